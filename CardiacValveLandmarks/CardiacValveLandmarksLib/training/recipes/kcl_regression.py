"""The published regression training (Kerfoot et al. 2021; MONAI model zoo `valve_landmarks` 0.5).

Network, augmentation, loss, optimiser and numbers as in the bundle's train configuration: L1 loss on the (2, 10)
coordinates, absent landmarks at (0, 0); Adam at 1e-4; 100 epochs of 400 steps, batches of 600, each used for three
successive steps. published_augment.py says what differs there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import InputError, UsageError
from ...landmarks import VALVE_LANDMARKS
from ...models.published import SIZE, PublishedNetwork
from ..checkpoint import save_tensors
from ..sources import DataSettings, load_sources
from . import Recipe

ABSENT = ("origin", "left-out")
#: images a step of the validation; it needs no gradients
_VALIDATION_CHUNK = 32


@dataclass(frozen=True)
class RegressionSettings(DataSettings):
    """absent: where an absent landmark should be predicted: at the "origin", as published, or "left-out" of the loss.
    keep_best: keep the weights that were best on validation; as published, the last. The others are those of
    published_augment.AugmentationRange."""

    steps: int = 40_000
    substeps: int = 3
    batch: int = 600
    learning_rate: float = 1e-4
    checkpoint_every: int = 400
    validate_every: int = 400
    log_every: int = 20
    threads: int = 2
    absent: str = "origin"
    keep_best: bool = False
    probability: float = 0.5
    gamma: tuple[float, ...] = (0.1, 1.0)
    noise: float = 0.05
    keep_inside: float = 0.1
    drop_beyond: float = 0.9
    deformation: float = 0.05
    shift: int = 8

    #: the rate is constant, so a run can be made longer
    may_change = DataSettings.may_change | {"steps"}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("absent", self.absent in ABSENT, " or ".join(ABSENT))
        self.require("probability", 0 <= self.probability <= 1, "from 0 to 1")
        self.require("gamma", len(self.gamma) == 2 and 0 < self.gamma[0] < self.gamma[1], "two rising numbers above 0")
        self.require("noise", self.noise >= 0, "0 or more")
        self.require("drop_beyond", 0 < self.keep_inside < self.drop_beyond, "more than keep_inside, which is above 0")
        # beyond, the field may fold the image, and a landmark has no place
        self.require("deformation", 0 < self.deformation <= 0.1, "above 0, to 0.1")
        self.require("shift", 0 <= self.shift < SIZE // 4, f"from 0 to {SIZE // 4 - 1}")


class TrainingRecipe(Recipe):
    """PublishedNetwork on 256 x 256 images; model.pt with the published tensors."""

    name = "kcl-regression"
    Settings = RegressionSettings
    settings: RegressionSettings
    always_finite = ("as_published_px",)

    def __init__(self, settings: RegressionSettings, folder: Path) -> None:
        super().__init__(settings, folder)
        if find_spec("monai") is None:
            raise UsageError("recipe kcl-regression needs monai: pip install '.[training]' in this project's folder.")
        from ..published_augment import AugmentationRange, PublishedAugmentation

        names = [field.name for field in fields(AugmentationRange)]
        amount = AugmentationRange(**{name: getattr(settings, name) for name in names})
        self._augment = PublishedAugmentation(SIZE, amount)
        self._sources = load_sources(settings, folder, (SIZE, SIZE))
        self._fingerprint = self._sources.fingerprint()
        if settings.keep_best and not np.isfinite(ten_points(self._sources.validation.landmarks)).any():
            source = settings.datasets[0] if settings.datasets else "the settings"
            raise InputError(source, "landmarks in the validation images, for keep_best to choose by", "none")

    @property
    def monitor(self) -> str | None:
        return "mean_px" if self.settings.keep_best else None

    def fingerprint(self) -> str:
        return self._fingerprint

    def network(self) -> nn.Module:
        # channels last is a fifth faster on a CPU; in bfloat16, oneDNN's gradients of dilated convolutions are then NaN
        layout = torch.contiguous_format if self.mixed else torch.channels_last
        return PublishedNetwork().to(memory_format=layout)

    def batch(self, number: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.settings.seed, 78, number])
        drawn = self._sources.draw(rng, self.settings.batch)
        seeds = rng.integers(2**32, size=self.settings.batch, dtype=np.uint32)
        images, points = [], []
        for image, places, seed in zip(drawn.images, ten_points(drawn.landmarks), seeds, strict=True):
            image, places = self._augment(scaled(torch.from_numpy(image)), places, int(seed))
            images.append(image)
            points.append(places)
        points = torch.from_numpy(np.stack(points)).float().transpose(1, 2)
        return {"images": torch.stack(images)[:, None], **self._targets(points)}

    def _targets(self, points: Tensor) -> dict[str, Tensor]:
        """points (B, 2, 10) with NaN where absent; weights whose mean over the batch is 1, so that a batch taken in
        parts has the same loss as a whole one."""
        present = ~points.isnan()
        weights = torch.ones_like(points)
        if self.settings.absent == "left-out":
            weights = present * (present.numel() / present.sum().clamp(min=1))
        return {"points": points.nan_to_num(), "weights": weights}

    def losses(self, net: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        with self.precision():
            found = net(batch["images"])
        return {"l1_px": ((found.float() - batch["points"]).abs() * batch["weights"]).mean()}

    def validate(self, net: nn.Module) -> dict[str, float]:
        """mean_px, median_px, mean_mm: distance of the landmarks that are there (mm: of the images whose spacing is
        known). as_published_px: over all ten of each image, absent ones to (0, 0), as the bundle's own figure."""
        data = self._sources.validation
        device = next(net.parameters()).device
        found = []
        for start in range(0, len(data), _VALIDATION_CHUNK):
            images = [scaled(torch.from_numpy(image)) for image in data.images[start : start + _VALIDATION_CHUNK]]
            found.append(net(torch.stack(images)[:, None].to(device)).float().cpu())
        return point_errors(torch.cat(found).transpose(1, 2).numpy(), ten_points(data.landmarks), data.spacing)

    def finish(self, net: nn.Module, folder: Path) -> Path:
        save_tensors(folder / "model.pt", {name: value.contiguous() for name, value in net.state_dict().items()})
        return folder / "model.pt"


def ten_points(landmarks: np.ndarray) -> np.ndarray:
    """(n, 11, 2) -> (n, 10, 2): without the apex, which the network does not know."""
    return landmarks[:, : len(VALVE_LANDMARKS)]


def scaled(image: Tensor) -> Tensor:
    """(H, W) with its own range mapped to [0, 1], as the published training does; 0 where it is constant."""
    low, high = image.aminmax()
    return (image - low) / (high - low) if high > low else torch.zeros_like(image)


def point_errors(found: np.ndarray, truth: np.ndarray, spacing: np.ndarray) -> dict[str, float]:
    """Figures of points (n, 10, 2) pixels against truth (NaN absent); spacing (n, 2) mm, NaN unknown. A figure that
    nothing in the truth tells is left out; where an answer is no number, as_published_px is not one either."""
    if not np.isfinite(found).all():
        return {"as_published_px": math.nan}
    difference = found - truth
    pixels = np.linalg.norm(difference, axis=-1)
    millimetres = np.linalg.norm(difference * spacing[:, None], axis=-1)
    all_ten = np.linalg.norm(found - np.nan_to_num(truth), axis=-1)
    figures = {"mean_px": pixels, "median_px": pixels, "mean_mm": millimetres, "as_published_px": all_ten}
    return {
        name: float((np.nanmedian if name.startswith("median") else np.nanmean)(values))
        for name, values in figures.items()
        if np.isfinite(values).any()
    }

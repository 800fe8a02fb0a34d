"""Heat-map training as published by Xue et al. (Radiology: Artificial Intelligence 2021): long or short axis."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn

from ...errors import InputError, UsageError
from ...landmarks import by_number
from ...models.decoding import published_decision
from ...models.intensity import scale_windows
from ...models.losses import gaussian_targets, published_loss
from ...models.published_unet import PublishedUNet
from ...models.shading import coarse_shape, even_out, log_shading
from ...phantom.sequences import SEQUENCES
from ...short_axis import N_SHORT_AXIS
from ..dataset import read_npz
from ..point_images import PointImages, from_labelled, join_points, read_short_axis, standardise
from ..sources import DataSettings, split_sources
from ..synthetic_points import synthetic_points
from ..xue_model import is_synthetic_only, load_weights, write_model
from . import Recipe

#: mitral points and apex of the three views
PUBLISHED_LANDMARKS = (1, 2, 3, 4, 5, 6, 11)
_BLURS = (0.5, 1.0, 2.0)


@dataclass(frozen=True)
class XueSettings(DataSettings):
    """points: "lax" (landmarks, by number) or "sax" (the short-axis points).
    sequence: what the images are; decides what synthetic ones look like.
    datasets: for lax the published NPZ form with pixel spacings, for sax that of training/point_images.py.
    images_each: of each view or level of a synthetic patient, turned by up to turn_degrees.
    assumed_spacing_mm: for datasets that state none. one_handed: the images are seen from the canonical
    side (as synthetic ones are), so images to be detected in are brought to it.
    spacing_mm, size: images are resampled, then padded or cropped to size x size. sigma: of the targets, in pixels.
    widths, blocks: of the U-Net, a width a level. intensity: "frame" (each image's range, as deployed).
    coil_correction: share of the training images whose coil shading is divided out; 1: all images, also in detection.
    noise, blur: share of the images that get Gaussian noise (SD 10 to 30 % of their mean) and blur (0.5, 1 or 2 px).
    view_batches: each batch is of one view, as published; else of any.
    epochs: passes over the training images; steps (0: not given) and validate_every follow from it. 0: they are as
    given.
    patience: epochs without a better validation loss after which the rate is halved.
    init: weights.pt of an earlier run to begin with (transfer to another sequence). export: "onnx" or "torchscript".
    """

    batch: int = 8
    learning_rate: float = 1e-3
    steps: int = 0
    points: str = "lax"
    landmarks: tuple[int, ...] = PUBLISHED_LANDMARKS
    sequence: str = "cine"
    images_each: int = 4
    turn_degrees: float = 40.0
    assumed_spacing_mm: float = 0.0
    one_handed: bool = True
    spacing_mm: float = 1.0
    size: int = 400
    sigma: float = 4.0
    widths: tuple[int, ...] = (32, 64, 128, 256)
    blocks: int = 3
    coil_correction: float = 0.5
    noise: float = 0.5
    blur: float = 0.5
    view_batches: bool = True
    epochs: int = 50
    patience: int = 3
    init: str = ""
    export: str = "onnx"

    least_steps = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("steps", self.steps > 0 or self.epochs > 0, "at least 1 where epochs is 0")
        self.require("points", self.points in ("lax", "sax"), "lax or sax")
        self.require("sequence", self.sequence in SEQUENCES, " or ".join(SEQUENCES))
        self.require("export", self.export in ("onnx", "torchscript"), "onnx or torchscript")
        numbers = set(self.landmarks)
        self.require(
            "landmarks",
            bool(numbers) and numbers <= set(range(1, 12)) and len(numbers) == len(self.landmarks),
            "different numbers from 1 to 11",
        )
        for name in ("coil_correction", "noise", "blur"):
            self.require(name, 0 <= getattr(self, name) <= 1, "from 0 to 1")
        for name in ("sigma", "spacing_mm"):
            self.require(name, getattr(self, name) > 0, "more than 0")
        for name in ("epochs", "assumed_spacing_mm", "turn_degrees"):
            self.require(name, getattr(self, name) >= 0, "0 or more")
        for name in ("images_each", "blocks", "patience"):
            self.require(name, getattr(self, name) >= 1, "at least 1")
        self.require("widths", bool(self.widths) and min(self.widths) >= 1, "at least one width, each at least 1")
        factor = 2 ** (len(self.widths) - 1)
        self.require("size", self.size >= 32 and self.size % factor == 0, f"a multiple of {factor}, at least 32")
        self.require("shares", not self.shares, "none: every image comes once an epoch")

    @property
    def intensity(self) -> str:
        """The catalogue's word for how images are scaled."""
        return "evened" if self.coil_correction == 1 else "frame"


class TrainingRecipe(Recipe):
    """The U-Net of Xue et al.; weights.pt and a heat-map model with its description, model.onnx or model.ts."""

    name = "xue-heatmap"
    Settings = XueSettings
    monitor = "loss"
    always_finite = ("loss",)
    settings: XueSettings

    def __init__(self, settings: XueSettings, folder: Path) -> None:
        super().__init__(settings, folder)
        self._synthetic_only = is_synthetic_only(settings)
        self.training, self.validation = _data(settings)
        self._check_points()
        if settings.coil_correction:
            # estimated once, by whichever process needs one first; NaN until then
            coarse = coarse_shape((settings.size, settings.size), settings.spacing_mm)
            self._gains = torch.full((len(self.training), *coarse), torch.nan)
            if settings.workers:
                self._gains.share_memory_()
        self._groups = [np.arange(len(self.training))]
        if settings.view_batches:
            groups = np.array(self.training.groups)
            self._groups = [np.flatnonzero(groups == group) for group in sorted(set(self.training.groups))]
        self._per_epoch = sum(-(-len(group) // settings.batch) for group in self._groups)
        if settings.epochs:
            steps = settings.epochs * self._per_epoch
            if settings.steps not in (0, steps):
                raise UsageError(
                    f"setting steps: {settings.epochs} epochs of these data are {steps} steps; found {settings.steps}. "
                    "Set epochs=0 to give steps, or leave steps out."
                )
            self.settings = replace(settings, steps=steps, validate_every=self._per_epoch)

    @property
    def _numbers(self) -> tuple[int, ...] | None:
        return self.settings.landmarks if self.settings.points == "lax" else None

    def _check_points(self) -> None:
        marked = np.isfinite(self.training.points).all(-1).any(0)
        names = self._numbers or range(1, N_SHORT_AXIS + 1)
        missing = [name for name, there in zip(names, marked, strict=True) if not there]
        if missing:
            raise InputError(
                self.settings.datasets[0] if self.settings.datasets else "the settings",
                "every point to be learned somewhere in the training images",
                f"none of number {', '.join(map(str, missing))}",
                "Leave them out of the setting landmarks, or add images that show them.",
            )

    def network(self) -> nn.Module:
        net = PublishedUNet(self.training.points.shape[1], self.settings.widths, self.settings.blocks)
        if self.settings.init:
            load_weights(net, self.settings)
        return net.to(memory_format=torch.channels_last)

    def batch(self, number: int) -> dict[str, Tensor]:
        """Images of one view alone (view_batches) or of any; each comes once an epoch."""
        epoch, place = divmod(number, self._per_epoch)
        index = self._order(epoch)[place]
        rng = np.random.default_rng([self.settings.seed, 78, number])
        images = np.stack([self._augmented(i, rng) for i in index])[:, None]
        return {"images": torch.from_numpy(images), **self._answers(self.training, index)}

    def _order(self, epoch: int) -> list[np.ndarray]:
        rng = np.random.default_rng([self.settings.seed, 79, epoch])
        batches = [
            mixed[start : start + self.settings.batch]
            for mixed in map(rng.permutation, self._groups)
            for start in range(0, len(mixed), self.settings.batch)
        ]
        return [batches[i] for i in rng.permutation(len(batches))]

    @staticmethod
    def _answers(data: PointImages, index: np.ndarray) -> dict[str, Tensor]:
        return {"points": torch.from_numpy(data.points[index]), "known": torch.from_numpy(data.known[index])}

    def _augmented(self, index: int, rng: np.random.Generator) -> np.ndarray:
        image = self.training.images[index].astype(np.float32)
        corrected, blurred, noisy = rng.random(3) < (
            self.settings.coil_correction,
            self.settings.blur,
            self.settings.noise,
        )
        if corrected:
            gain = self._gains[index].numpy()
            if np.isnan(gain).any():
                gain[:] = log_shading(image, self.settings.spacing_mm)
            image = even_out(image, gain)
        seen = image > 0
        if blurred:
            image = ndimage.gaussian_filter(image, rng.choice(_BLURS))
        if noisy:
            share, mean = rng.uniform(0.1, 0.3), float(image[seen].mean()) if seen.any() else 0.0
            # a magnitude image: none below zero, and none in the padding
            noise = rng.standard_normal(image.shape).astype(np.float32) * (share * mean)
            image = np.where(seen, np.abs(image + noise), image)
        return scale_windows(image[None], "frame")[0]

    def losses(self, net: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        with self.precision():
            logits = net(batch["images"].to(memory_format=torch.channels_last))
        return self._terms(logits, batch)

    def _terms(self, logits: Tensor, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        # a point nobody looked for takes no part in the softmax: it is neither there nor absent
        unknown = nn.functional.pad(~batch["known"], (0, 1))[:, :, None, None]
        logits = logits.float().masked_fill(unknown, -1e4)
        targets = gaussian_targets(batch["points"], logits.shape[-2:], self.settings.sigma)
        return published_loss(logits, targets, ~batch["points"].isnan().any(-1))

    def learning_rate(self, step: int, history: Sequence[Mapping[str, float]]) -> float:
        """Halved whenever `patience` validations in a row were no better than the best before."""
        rate, best, waited = self.settings.learning_rate, math.inf, 0
        for figures in history:
            waited = 0 if figures["loss"] < best else waited + 1
            best = min(best, figures["loss"])
            if waited == self.settings.patience:
                rate, waited = rate / 2, 0
        return rate

    def validate(self, net: nn.Module) -> dict[str, float]:
        """loss; mean and median error of what is there and is found; the share that is found (detected) and the share
        of its view's absent points that are found all the same (false_positives)."""
        data, found, losses = self.validation, [], []
        device = next(net.parameters()).device
        for start in range(0, len(data), self.settings.batch):
            index = np.arange(start, min(start + self.settings.batch, len(data)))
            images = np.stack([self._plain(data.images[i]) for i in index])[:, None]
            batch = {name: value.to(device) for name, value in self._answers(data, index).items()}
            logits = net(torch.from_numpy(images).to(device)).float()
            losses.append(float(sum(self._terms(logits, batch).values())) * len(index))
            found.append(published_decision(logits.softmax(1)[:, :-1].cpu().numpy()))
        return {"loss": sum(losses) / len(data), **figures(np.concatenate(found), data, self._numbers)}

    def _plain(self, image: np.ndarray) -> np.ndarray:
        return scale_windows(image.astype(np.float32)[None], self.settings.intensity, self.settings.spacing_mm)[0]

    def fingerprint(self) -> str:
        if not self.settings.datasets:
            return ""  # the settings say it all
        digest = sha256()
        for part in (self.training, self.validation):
            digest.update(repr((part.images.shape, part.groups, part.patients)).encode())
            for array in (part.images, part.points, part.known):
                digest.update(np.ascontiguousarray(array))
        return digest.hexdigest()

    def finish(self, net: nn.Module, folder: Path) -> Path:
        return write_model(net, self.settings, folder, self._synthetic_only)


def figures(found: np.ndarray, data: PointImages, numbers: Sequence[int] | None) -> dict[str, float]:
    """Errors of positions (n, K, 2) px against the points of images at one spacing, over what is known and, as in
    detection, of the image's view. numbers: the landmarks the points are, None for short-axis points."""
    there, seen = np.isfinite(data.points).all(-1), np.isfinite(found).all(-1)
    gaps = np.linalg.norm(found - data.points, axis=-1)[there & seen]
    absent = data.known & ~there
    if numbers is not None:
        views = [by_number(number).views for number in numbers]
        absent &= np.array([[not group or group in shown for shown in views] for group in data.groups])
    mean, median = (float(gaps.mean()), float(np.median(gaps))) if len(gaps) else (math.nan, math.nan)
    spacing = float(data.spacing[0, 0])
    return {
        "mean_px": mean,
        "mean_mm": mean * spacing,
        "median_mm": median * spacing,
        "detected": float(seen[there].mean()) if there.any() else math.nan,
        "false_positives": float(seen[absent].mean()) if absent.any() else 0.0,
    }


def _data(settings: XueSettings) -> tuple[PointImages, PointImages]:
    """(training, validation) images, standardised."""
    given = []
    for source, halves in _sources(settings):
        ready = []
        for part in halves:
            if settings.assumed_spacing_mm:
                spacing = np.where(np.isfinite(part.spacing), part.spacing, settings.assumed_spacing_mm)
                part = replace(part, spacing=spacing)
            ready.append(standardise(part, (settings.size, settings.size), settings.spacing_mm, source))
        given.append((source, ready))
    training, validation = split_sources(given, settings.validation_share, settings.seed)
    return join_points(training), join_points(validation)


def _sources(settings: XueSettings) -> Iterator[tuple[str, list[PointImages]]]:
    """Each source's name and its images: all, or a training and a test half."""
    numbers = settings.landmarks if settings.points == "lax" else None
    for path in settings.datasets:
        if numbers is None:
            yield path, [read_short_axis(path)]
        else:
            yield path, [from_labelled(half, numbers) for half in read_npz(path, size=None) if len(half)]
    if settings.synthetic:
        turn = settings.turn_degrees
        yield (
            "the synthetic heart",
            [
                synthetic_points(
                    numbers,
                    settings.sequence,
                    settings.synthetic,
                    settings.images_each,
                    settings.seed,
                    turn_degrees=turn,
                )
            ],
        )

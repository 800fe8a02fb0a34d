"""Where labelled images come from: NPZ files, the synthetic heart, or both mixed; with what is kept for validation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import UsageError
from ..phantom.cines import synthetic_study
from .dataset import LabelledImages, join, read_npz, split_by_patient, write_npz
from .settings import LoopSettings


@dataclass(frozen=True)
class DataSettings(LoopSettings):
    """datasets: NPZ files in the published form. synthetic: patients of the synthetic heart to be imaged.
    shares: of a batch that each source has on average (the datasets in their order, then the synthetic heart);
    empty: every image is drawn as often. validation_share: of the patients, where a source has no test half.
    """

    datasets: tuple[str, ...] = ()
    synthetic: int = 0
    shares: tuple[float, ...] = ()
    validation_share: float = 0.1

    #: other paths are no other run: the data themselves are compared
    may_change = LoopSettings.may_change | {"datasets"}

    def __post_init__(self) -> None:
        super().__post_init__()
        sources = len(self.datasets) + (self.synthetic > 0)
        if not sources:
            raise UsageError("no training data: give --dataset FILE.npz, or --set synthetic=PATIENTS, or both.")
        self.require("synthetic", self.synthetic >= 0, "0 or more")
        good = len(self.shares) in (0, sources) and all(share > 0 for share in self.shares)
        self.require("shares", good, f"{sources} numbers above 0 (one a source), or none")
        self.require("validation_share", 0 < self.validation_share < 1, "between 0 and 1")


class Sources(NamedTuple):
    """train: the images of each source. validation: of all. chances: of each source to be drawn."""

    train: tuple[LabelledImages, ...]
    validation: LabelledImages
    chances: np.ndarray

    def draw(self, rng: np.random.Generator, count: int) -> LabelledImages:
        """`count` training images, drawn with replacement; those of a source stand together."""
        counts = rng.multinomial(count, self.chances)
        drawn = [part.take(rng.integers(len(part), size=n)) for part, n in zip(self.train, counts, strict=True)]
        return join(drawn)

    def fingerprint(self) -> str:
        """What the data are."""
        return " ".join(part.fingerprint() for part in (*self.train, self.validation))


def load_sources(settings: DataSettings, folder: Path, size: tuple[int, int] | None = (256, 256)) -> Sources:
    """Read the settings' sources. folder: synthetic images are kept there. size: of all images, None: any one.

    InputError: what read_npz refuses; too few patients for a validation half where a source comes without one.
    """
    train, validation = [], []
    for path in settings.datasets:
        whole, held = read_npz(path, size)
        if not len(held):
            whole, held = split_by_patient(whole, settings.validation_share, settings.seed, path)
        train.append(whole)
        validation.append(held)
    if settings.synthetic:
        path = folder / f"synthetic-{settings.seed}-{settings.synthetic}.npz"
        if not path.exists():
            write_npz(path, synthetic_images(settings.seed, settings.synthetic, train[0].shape if train else size))
        whole, held = split_by_patient(read_npz(path, size)[0], settings.validation_share, settings.seed, path)
        train.append(whole)
        validation.append(held)
    chances = np.array(settings.shares or [len(part) for part in train], np.float64)
    return Sources(tuple(train), join(validation), chances / chances.sum())


def synthetic_images(seed: int, patients: int, shape: tuple[int, int] = (256, 256), frames: int = 4) -> LabelledImages:
    """Images of synthetic patients, each view at `frames` phases of the beat, in either handedness, with the spacing
    such images have in practice (1.2 to 1.8 mm). Patient n of a seed is the same however many there are."""
    parts = []
    for number in range(patients):
        rng = np.random.default_rng([seed, number, 57])
        spacing = rng.uniform(1.2, 1.8)
        study = synthetic_study(
            int(rng.integers(2**31)), frames=frames, shape=shape, spacing=spacing, width=1.3, contrast_width=1.2
        )
        for item in study.items:
            parts.append(
                LabelledImages(
                    item.cine.frames,
                    item.truth.positions,
                    (item.kind,) * frames,
                    np.full((frames, 2), spacing),
                    (f"synthetic {seed} {number}",) * frames,
                )
            )
    return join(parts)

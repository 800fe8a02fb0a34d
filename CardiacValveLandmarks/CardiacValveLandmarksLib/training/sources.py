"""Where labelled images come from: NPZ files, the synthetic heart, or both mixed; with what is kept for validation."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from ..errors import InputError, UsageError
from ..phantom.cines import synthetic_study
from .dataset import LabelledImages, join, read_npz, split_by_patient, write_npz
from .point_images import PointImages, join_points
from .settings import LoopSettings

Images = TypeVar("Images", LabelledImages, PointImages)


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
    given = [(path, [half for half in read_npz(path, size) if len(half)]) for path in settings.datasets]
    if settings.synthetic:
        path = folder / f"synthetic-{settings.seed}-{settings.synthetic}.npz"
        if not path.exists():
            shape = given[0][1][0].shape if given else size
            write_npz(path, synthetic_images(settings.seed, settings.synthetic, shape))
        given.append((path, [read_npz(path, size)[0]]))
    train, validation = split_sources(given, settings.validation_share, settings.seed)
    chances = np.array(settings.shares or [len(part) for part in train], np.float64)
    return Sources(train, join(validation), chances / chances.sum())


def split_sources(
    given: Sequence[tuple[str | os.PathLike, Sequence[Images]]], share: float, seed: int
) -> tuple[tuple[Images, ...], tuple[Images, ...]]:
    """(training, validation) images of each source: its halves where it has both, else split by patient.

    given: (source, [training, test] or [all]). A patient who is in several sources is on one side in all of them.
    InputError: one file trains on a patient another tests on; what split_by_patient refuses; nothing left to train on.
    """
    sides: dict[str, tuple[int, object]] = {}
    for source, halves in given:
        for side, half in enumerate(halves if len(halves) == 2 else ()):
            for name in set(half.patients) - {""}:
                other, where = sides.setdefault(name, (side, source))
                if other != side:
                    found = f"{name!r} in this file's {('training', 'test')[side]} half and in the other one of {where}"
                    raise InputError(source, "each patient in one half, in all files", found, "Split by patient.")
    result = []
    for source, halves in given:
        parts = tuple(halves) if len(halves) == 2 else _split(halves[0], sides, share, seed, source)
        for side, part in enumerate(parts):
            sides |= {name: (side, source) for name in part.patients if name}
        result.append(parts)
    training, validation = zip(*result, strict=True)
    for (source, _), part in zip(given, training, strict=True):
        if not len(part):
            raise InputError(source, "a patient to train on", "only patients that another file tests on")
    if not any(map(len, validation)):
        raise InputError(given[0][0], "images to validate on", "none: their patients are all trained on")
    return training, validation


def _split(data: Images, sides: Mapping[str, tuple[int, object]], share: float, seed: int, source) -> tuple:
    """The patients whose side is known go there, the others are split."""
    side = np.array([sides[name][0] if name in sides else -1 for name in data.patients])
    parts = [data.take(side == 0), data.take(side == 1)]
    free = data.take(side < 0)
    if (side < 0).all():
        return split_by_patient(free, share, seed, source)
    if len(set(free.patients)) > 1 or "" in free.patients:
        parts = [_together(*pair) for pair in zip(parts, split_by_patient(free, share, seed, source), strict=True)]
    else:
        parts[0] = _together(parts[0], free)
    return tuple(parts)


def _together(one: Images, two: Images) -> Images:
    return join([one, two]) if isinstance(one, LabelledImages) else join_points([one, two])


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

"""Training images of the synthetic heart, in shards that depend on nothing but a seed and a number.

An image is 320 mm wide, by default (160, 160) pixels of 2 mm, in the canonical handedness (phantom/planes.py); the
trainer cuts, turns and recolours it further (augment.py). Every fourth image or so is a plane that is none of the
three views.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..files import atomic_path, remove_leftovers
from ..landmarks import N_LANDMARKS, VIEWS
from ..phantom.contrast import Contrast
from ..phantom.planes import OTHER_VIEWS, other_plane, plane_geometry, view_plane
from ..phantom.render import Patient, Slice
from ..phantom.rings import cut_landmarks, valves

SIZE, SPACING_MM = 160, 2.0
#: class numbers of the view head; MIRRORED is made by the trainer
CLASSES = (*VIEWS, "other", "mirrored")
OTHER, MIRRORED = CLASSES.index("other"), CLASSES.index("mirrored")
_IMAGES_PER_PATIENT = 4
#: width of a strange contrast (phantom.contrast)
_STRANGE = (1.7, 3.0)


@dataclass(frozen=True)
class ShardKind:
    """strange: share of the images with a contrast from beyond what is otherwise trained on. spacing_mm: of the pixels;
    the images stay 320 mm wide."""

    strange: float = 0.0
    spacing_mm: float = SPACING_MM

    @property
    def size(self) -> int:
        """Pixels along each side."""
        return round(SIZE * SPACING_MM / self.spacing_mm)

    @property
    def label(self) -> str:
        """What tells the files of this kind from others; "" for the usual kind."""
        strange = f"-strange{self.strange:g}" if self.strange else ""
        return strange + (f"-{self.spacing_mm:g}mm" if self.spacing_mm != SPACING_MM else "")


USUAL = ShardKind()


@dataclass(frozen=True)
class Shard:
    """images (n, S, S) float16 scaled so that 1 is the 99.5th percentile, S as its kind says; landmarks (n, 11, 2)
    float32 pixels, NaN where absent; classes (n,) int64 indices into CLASSES."""

    images: np.ndarray
    landmarks: np.ndarray
    classes: np.ndarray


def training_image(
    patient: Patient, kind: str, rng: np.random.Generator, shard_kind: ShardKind = USUAL
) -> tuple[np.ndarray, np.ndarray, int]:
    """One image of a patient: (S, S) float32, (11, 2) landmarks in pixels, class. kind: a view or OTHER_VIEWS."""
    anatomy, size = patient.anatomy, shard_kind.size
    phase = rng.uniform()
    at_ed = valves(anatomy, 0.0)
    if kind in VIEWS:
        point, along, normal = view_plane(at_ed, anatomy, kind, rng, jitter=rng.uniform(0.4, 1.6))
    else:
        point, along, normal = other_plane(at_ed, anatomy, kind, rng)
    centre = np.array([-8.0, 0.0, 22.0]) + rng.uniform(-26, 26, 3)
    geometry = plane_geometry(
        patient.pose,
        point,
        along,
        normal,
        shape=(size, size),
        spacing=shard_kind.spacing_mm,
        centre=centre,
        rotation=rng.uniform(0, 2 * np.pi),
        thickness=rng.uniform(5, 9),
    )
    width = rng.uniform(0.7, 1.7)
    # without strange contrasts no number is drawn: shards stay what they were
    if shard_kind.strange and rng.random() < shard_kind.strange:
        width = rng.uniform(*_STRANGE)
    contrast = Contrast.sample(rng, width, free=rng.random() < 0.35)
    image = Slice(patient, geometry, (size, size), contrast, through_plane=2).render(phase, rng)
    landmarks = np.full((N_LANDMARKS, 2), np.nan, np.float32)
    if kind in VIEWS:
        for number, position in cut_landmarks(valves(anatomy, phase), kind, point, normal).items():
            landmarks[number - 1] = geometry.to_pixels(patient.pose.to_patient(position))
    if rng.random() < 0.3:  # a rectangular field of view smaller than the image
        most = 26 * SPACING_MM / shard_kind.spacing_mm
        rows, columns = (np.sort(rng.uniform(0, most, 2)) for _ in range(2))
        mask = np.zeros((size, size), bool)
        mask[int(rows[0]) : size - int(rows[1]), int(columns[0]) : size - int(columns[1])] = True
        image = np.where(mask, image, 0)
    return (
        image / max(float(np.percentile(image, 99.5)), 1e-6),
        landmarks,
        VIEWS.index(kind) if kind in VIEWS else OTHER,
    )


def make_shard(seed: int, number: int, count: int = 256, kind: ShardKind = USUAL) -> Shard:
    """Shard `number` of a seed: the same on every machine with the same NumPy. count: of images."""
    rng = np.random.default_rng([seed, number])
    images = np.zeros((count, kind.size, kind.size), np.float16)
    landmarks = np.zeros((count, N_LANDMARKS, 2), np.float32)
    classes = np.zeros(count, np.int64)
    for index in range(count):
        if index % _IMAGES_PER_PATIENT == 0:
            patient = Patient.sample(rng, rng.uniform(0.7, 1.7))
        views = (*VIEWS, OTHER_VIEWS[int(rng.integers(len(OTHER_VIEWS)))])
        image, landmarks[index], classes[index] = training_image(patient, views[index % _IMAGES_PER_PATIENT], rng, kind)
        images[index] = np.clip(image, 0, 8)
    return Shard(images, landmarks, classes)


def shard_path(folder: Path, seed: int, number: int, kind: ShardKind = USUAL) -> Path:
    """Where a shard is kept."""
    return folder / f"synthetic-{seed}{kind.label}-{number:05d}.npz"


def write_shard(folder: Path, seed: int, number: int, count: int = 256, kind: ShardKind = USUAL) -> Path:
    """Make a shard and write it, unless it is there."""
    path = shard_path(folder, seed, number, kind)
    remove_leftovers(path.parent, f".partial-*-{path.name}")
    if not path.exists():
        shard = make_shard(seed, number, count, kind)
        with atomic_path(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, images=shard.images, landmarks=shard.landmarks, classes=shard.classes)
    return path


def read_shard(path: Path) -> Shard:
    """Read what write_shard wrote."""
    with np.load(path) as data:
        return Shard(data["images"], data["landmarks"], data["classes"])

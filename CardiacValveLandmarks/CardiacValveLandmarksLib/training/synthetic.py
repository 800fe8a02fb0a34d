"""Training images of the synthetic heart, in shards that depend on nothing but a seed and a number.

An image is (160, 160) pixels of 2 mm in the canonical handedness (phantom/planes.py); the trainer cuts, turns and
recolours it further (augment.py). Every fourth image or so is a plane that is none of the three views.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..files import atomic_path
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
class Shard:
    """images (n, 160, 160) float16 scaled so that 1 is the 99.5th percentile; landmarks (n, 11, 2) float32 pixels,
    NaN where absent; classes (n,) int64 indices into CLASSES."""

    images: np.ndarray
    landmarks: np.ndarray
    classes: np.ndarray


def training_image(
    patient: Patient, kind: str, rng: np.random.Generator, strange: float = 0.0
) -> tuple[np.ndarray, np.ndarray, int]:
    """One image of a patient: (160, 160) float32, (11, 2) landmarks in pixels, class. kind: a view or OTHER_VIEWS.
    strange: chance of a contrast from beyond what is otherwise trained on."""
    anatomy = patient.anatomy
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
        shape=(SIZE, SIZE),
        spacing=SPACING_MM,
        centre=centre,
        rotation=rng.uniform(0, 2 * np.pi),
        thickness=rng.uniform(5, 9),
    )
    width = rng.uniform(0.7, 1.7)
    if strange and rng.random() < strange:  # without it no number is drawn: shards stay what they were
        width = rng.uniform(*_STRANGE)
    contrast = Contrast.sample(rng, width, free=rng.random() < 0.35)
    image = Slice(patient, geometry, (SIZE, SIZE), contrast, through_plane=2).render(phase, rng)
    landmarks = np.full((N_LANDMARKS, 2), np.nan, np.float32)
    if kind in VIEWS:
        for number, position in cut_landmarks(valves(anatomy, phase), kind, point, normal).items():
            landmarks[number - 1] = geometry.to_pixels(patient.pose.to_patient(position))
    if rng.random() < 0.3:  # a rectangular field of view smaller than the image
        rows, columns = (np.sort(rng.uniform(0, 26, 2)) for _ in range(2))
        mask = np.zeros((SIZE, SIZE), bool)
        mask[int(rows[0]) : SIZE - int(rows[1]), int(columns[0]) : SIZE - int(columns[1])] = True
        image = np.where(mask, image, 0)
    return (
        image / max(float(np.percentile(image, 99.5)), 1e-6),
        landmarks,
        VIEWS.index(kind) if kind in VIEWS else OTHER,
    )


def make_shard(seed: int, number: int, size: int = 256, strange: float = 0.0) -> Shard:
    """Shard `number` of a seed: the same on every machine with the same NumPy. strange: share of its images with a
    contrast from beyond what is otherwise trained on."""
    rng = np.random.default_rng([seed, number])
    images = np.zeros((size, SIZE, SIZE), np.float16)
    landmarks = np.zeros((size, N_LANDMARKS, 2), np.float32)
    classes = np.zeros(size, np.int64)
    for index in range(size):
        if index % _IMAGES_PER_PATIENT == 0:
            patient = Patient.sample(rng, rng.uniform(0.7, 1.7))
        kinds = (*VIEWS, OTHER_VIEWS[int(rng.integers(len(OTHER_VIEWS)))])
        image, landmarks[index], classes[index] = training_image(
            patient, kinds[index % _IMAGES_PER_PATIENT], rng, strange
        )
        images[index] = np.clip(image, 0, 8)
    return Shard(images, landmarks, classes)


def shard_path(folder: Path, seed: int, number: int, strange: float = 0.0) -> Path:
    """Where a shard is kept."""
    kind = f"-strange{strange:g}" if strange else ""
    return folder / f"synthetic-{seed}{kind}-{number:05d}.npz"


def write_shard(folder: Path, seed: int, number: int, size: int = 256, strange: float = 0.0) -> Path:
    """Make a shard and write it, unless it is there."""
    path = shard_path(folder, seed, number, strange)
    if not path.exists():
        shard = make_shard(seed, number, size, strange)
        with atomic_path(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, images=shard.images, landmarks=shard.landmarks, classes=shard.classes)
    return path


def read_shard(path: Path) -> Shard:
    """Read what write_shard wrote."""
    with np.load(path) as data:
        return Shard(data["images"], data["landmarks"], data["classes"])

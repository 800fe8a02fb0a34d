"""Images with any set of points, at one pixel spacing and size: what heat-map networks are trained on.

Short-axis images have a published-like NPZ form of their own: `saxImgs` (n, H, W), `saxPoints` (n, 3, 2) pixels in
the short-axis table's order, NaN where absent, `saxSpacing` (n, 2) mm and `saxPatients` (n,) names.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import InputError
from ..files import atomic_path
from ..landmarks import LANDMARKS
from ..models.sampling import centred_window
from ..short_axis import N_SHORT_AXIS
from .arrays import as_float32, checked_spacing, finite_images, load_arrays
from .dataset import LabelledImages

_SAX_KEYS = ("saxImgs", "saxPoints", "saxSpacing", "saxPatients")
_SAX_FORM = f"short-axis images ({', '.join(_SAX_KEYS)})"


@dataclass(frozen=True)
class PointImages:
    """Images with K points each; every field has n entries in the same order.

    images: (n, H, W) float, any scale. points: (n, K, 2) float32 pixels, NaN where absent. known: (n, K) bool, False
    where nobody looked for the point, so that its absence says nothing. groups: what the image shows (its view), ""
    where unknown. spacing: (n, 2) mm. patients: a name each; splits are by patient.
    """

    images: np.ndarray
    points: np.ndarray
    known: np.ndarray
    groups: tuple[str, ...]
    spacing: np.ndarray
    patients: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    def take(self, index: np.ndarray) -> PointImages:
        """The images of these numbers (or of this (n,) bool)."""
        index = np.asarray(index)
        index = np.flatnonzero(index) if index.dtype == bool else index
        return PointImages(
            self.images[index],
            self.points[index],
            self.known[index],
            tuple(self.groups[i] for i in index),
            self.spacing[index],
            tuple(self.patients[i] for i in index),
        )


def join_points(parts: Sequence[PointImages]) -> PointImages:
    """All images of several sets of one size and with the same points."""
    return PointImages(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("images", "points", "known")),
        tuple(group for part in parts for group in part.groups),
        np.concatenate([part.spacing for part in parts]),
        tuple(patient for part in parts for patient in part.patients),
    )


def from_labelled(data: LabelledImages, numbers: Sequence[int]) -> PointImages:
    """Labelled images with the landmarks of these numbers as points. A landmark that is in none of the images was not
    looked for (the published form has no apex); otherwise the landmarks of other views are known to be absent."""
    index = np.array(numbers) - 1
    points = data.landmarks[:, index]
    marked = np.isfinite(points).all(-1).any(0)
    shown = np.array([[view is None or view in LANDMARKS[i].views for i in index] for view in data.views])
    known = marked | ~shown.reshape(len(data), len(index))
    return PointImages(
        data.images, points, known, tuple(view or "" for view in data.views), data.spacing, data.patients
    )


def standardise(data: PointImages, size: tuple[int, int], spacing_mm: float, source: str | os.PathLike) -> PointImages:
    """Every image resampled to `spacing_mm` and padded or cropped about its centre to `size`, as float16 with its
    greatest value 1; points move with it, exactly, and those outside the new image are absent.

    source: what errors name. InputError where an image's pixel spacing is not known, or where it has no pixel above 0.
    """
    unknown = np.flatnonzero(~(np.isfinite(data.spacing) & (data.spacing > 0)).all(1))
    if len(unknown):
        raise InputError(
            source,
            f"the pixel spacing of every image, to resample it to {spacing_mm:g} mm",
            f"none for image {unknown[0]} ({len(unknown)} in all)",
            "Add it (trainSpacing, testSpacing in the NPZ), or state one for all with the setting assumed_spacing_mm.",
        )
    images = np.zeros((len(data), *size), np.float16)
    points = np.empty_like(data.points, np.float32)
    for number, (image, spacing) in enumerate(zip(data.images, data.spacing, strict=True)):
        window = centred_window(image.shape, spacing, size, spacing_mm)
        images[number] = _of_greatest_one(window.images(image[None])[0], number, source)
        points[number] = window.positions(data.points[number])
    outside = ~((points >= 0) & (points <= np.array(size) - 1)).all(-1, keepdims=True)
    points = np.where(outside, np.nan, points).astype(np.float32)
    return replace(data, images=images, points=points, spacing=np.full((len(data), 2), spacing_mm, np.float32))


def _of_greatest_one(image: np.ndarray, number: int, source: str | os.PathLike) -> np.ndarray:
    low, high = float(image.min()), float(image.max())
    # float16 ends there; divided by next to nothing, an image would become infinite
    if high <= 0 or low < -float(np.finfo(np.float16).max) * high:
        raise InputError(
            source,
            "at least one pixel above 0 in every image, and none thousands of times as far below 0",
            f"values from {low:g} to {high:g} in the part of image {number} that is used",
            "Add a constant to its intensities, or leave the image out.",
        )
    return image / high


def write_short_axis(path: str | os.PathLike, data: PointImages) -> None:
    """Short-axis images as NPZ, whole or not at all."""
    arrays = (data.images, data.points, data.spacing, np.array(data.patients, dtype=str))
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **dict(zip(_SAX_KEYS, arrays, strict=True)))


def read_short_axis(path: str | os.PathLike) -> PointImages:
    """What write_short_axis writes. InputError: not such a file, other shapes, values that are no finite numbers,
    points with one coordinate or outside their image, an image without any point, spacing that is not above 0."""
    images, points, spacing, patients = load_arrays(path, _SAX_KEYS, _SAX_FORM).values()
    if images.ndim != 3 or not images.size:
        raise InputError(path, "saxImgs (n, rows, columns) of finite numbers", f"{images.dtype} {images.shape}")
    count = len(images)
    shapes = {"saxPoints": (count, N_SHORT_AXIS, 2), "saxSpacing": (count, 2), "saxPatients": (count,)}
    for (key, shape), array in zip(shapes.items(), (points, spacing, patients), strict=True):
        if array.shape != shape:
            raise InputError(path, f"{key} of shape {shape}", str(array.shape))
    return PointImages(
        finite_images(images, "saxImgs", path),
        _checked_points(points, images.shape[1:], path),
        np.ones((count, N_SHORT_AXIS), bool),
        ("SAX",) * count,
        checked_spacing(spacing, "saxSpacing", path),
        tuple(map(str, patients)),
    )


def _checked_points(points: np.ndarray, shape: tuple[int, ...], path: str | os.PathLike) -> np.ndarray:
    """Points (n, K, 2) as float32, each inside its image or NaN, at least one an image."""
    if points.dtype.kind not in "biuf":
        raise InputError(path, "numbers in saxPoints", f"{points.dtype}")
    narrow = as_float32(points)
    absent = np.isnan(narrow).all(-1)
    inside = ((narrow >= -0.5) & (narrow <= np.array(shape) - 0.5)).all(-1)
    wrong = np.flatnonzero((~absent & ~inside).any(1) | absent.all(1))
    if len(wrong):
        raise InputError(
            path,
            "at least one point in every image, inside it, with both coordinates, or NaN in both",
            f"{points[wrong[0]].tolist()} in image {wrong[0]}",
            "Correct it or leave the image out.",
        )
    return narrow

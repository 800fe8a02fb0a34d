"""Labelled images, and the published NPZ form that holds them.

The published form (MONAI model zoo `valve_landmarks`) has four arrays: `trainImgs`, `testImgs` (n, 256, 256) images and
`trainLMImgs`, `testLMImgs` of the same shapes, 0 but for one pixel a landmark, whose value says which landmark it is.
That keeps whole pixels and ten landmarks alone, so this library writes four more arrays for each half, which other
readers pass over: `trainLandmarks` (n, 11, 2) exact positions, `trainViews`, `trainSpacing` (n, 2) mm, `trainPatients`;
for the other half the same with `test`. A file with the four published arrays alone is read as well.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from ..errors import InputError
from ..files import atomic_path
from ..landmarks import LANDMARKS, N_LANDMARKS, VALVE_LANDMARKS, VIEWS, view_mask
from .arrays import as_float32, checked_spacing, finite_images, load_arrays, numbers, optional_array

#: side of the published form's images
PUBLISHED_SIZE = 256
#: pixel value in a landmark image -> landmark
_BY_VALUE = {landmark.bundle_value: landmark for landmark in VALVE_LANDMARKS}
_PUBLISHED_KEYS = ("trainImgs", "trainLMImgs", "testImgs", "testLMImgs")
#: arrays of this library, after "train" or "test"
_OWN_KEYS = ("Landmarks", "Views", "Spacing", "Patients")
_FORM = f"a training set in the published form ({', '.join(_PUBLISHED_KEYS)})"


@dataclass(frozen=True)
class LabelledImages:
    """Images with their landmarks; every field has n entries in the same order.

    images: (n, H, W) float32, any intensity scale. landmarks: (n, 11, 2) float32 pixels (row, column), in the table's
    order, NaN where absent. views: a view each, None where unknown. spacing: (n, 2) float32 mm (row, column), NaN where
    unknown. patients: a name each, "" where unknown; splits are by patient.
    """

    images: np.ndarray
    landmarks: np.ndarray
    views: tuple[str | None, ...]
    spacing: np.ndarray
    patients: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in ("images", "landmarks", "spacing"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float32))
        count = len(self.images)
        if self.images.ndim != 3:
            raise ValueError(f"images: expected (n, H, W), found {self.images.shape}")
        for name, shape in (("landmarks", (count, N_LANDMARKS, 2)), ("spacing", (count, 2))):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name}: expected {shape}, found {getattr(self, name).shape}")
        object.__setattr__(self, "views", tuple(self.views))
        object.__setattr__(self, "patients", tuple(self.patients))
        if len(self.views) != count or len(self.patients) != count:
            raise ValueError(f"expected {count} views and patients, found {len(self.views)} and {len(self.patients)}")
        unknown = set(self.views) - {*VIEWS, None}
        if unknown:
            raise ValueError(f"views: expected {VIEWS} or None, found {sorted(unknown)}")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of every image."""
        return self.images.shape[1:]

    @property
    def present(self) -> np.ndarray:
        """(n, 11) bool."""
        return np.isfinite(self.landmarks).all(-1)

    def take(self, index: np.ndarray | Sequence[int]) -> LabelledImages:
        """The images of these numbers (or of this (n,) bool), in that order."""
        index = np.asarray(index)
        index = np.flatnonzero(index) if index.dtype == bool else index.astype(np.intp)
        return LabelledImages(
            self.images[index],
            self.landmarks[index],
            tuple(self.views[i] for i in index),
            self.spacing[index],
            tuple(self.patients[i] for i in index),
        )

    def fingerprint(self) -> str:
        """sha256 of all there is, in hexadecimal: a run goes on only with the data it began with."""
        digest = sha256(repr((self.images.shape, self.views, self.patients)).encode())
        for array in (self.images, self.landmarks, self.spacing):
            digest.update(np.ascontiguousarray(array))
        return digest.hexdigest()


def empty(shape: tuple[int, int] = (PUBLISHED_SIZE, PUBLISHED_SIZE)) -> LabelledImages:
    """No images, of this shape."""
    return LabelledImages(np.zeros((0, *shape)), np.zeros((0, N_LANDMARKS, 2)), (), np.zeros((0, 2)), ())


def join(parts: Sequence[LabelledImages]) -> LabelledImages:
    """All images of several sets, which must be of one size (ValueError otherwise)."""
    shapes = {part.shape for part in parts}
    if len(shapes) != 1:
        raise ValueError(f"images of one size are needed to join sets; found {sorted(shapes)}")
    return LabelledImages(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.landmarks for part in parts]),
        tuple(view for part in parts for view in part.views),
        np.concatenate([part.spacing for part in parts]),
        tuple(patient for part in parts for patient in part.patients),
    )


def split_by_patient(
    data: LabelledImages, share: float, seed: int, source: str | os.PathLike
) -> tuple[LabelledImages, LabelledImages]:
    """(training, validation): `share` of the patients, at least one, drawn by the seed, are for validation.

    source: what errors name. InputError where fewer than two patients are known, or some image's is not.
    """
    names = sorted(set(data.patients))
    if "" in names or len(names) < 2:
        found = "images whose patient is not known" if "" in names else f"{len(names)} patient"
        raise InputError(
            source,
            "images of at least two known patients, so that validation sees patients that training did not",
            found,
            "Add patients (trainPatients in the NPZ), or a test half with other patients.",
        )
    count = min(max(1, round(share * len(names))), len(names) - 1)
    chosen = {names[i] for i in np.random.default_rng([seed, 90]).permutation(len(names))[:count]}
    held = np.array([patient in chosen for patient in data.patients])
    return data.take(~held), data.take(held)


def landmark_images(
    landmarks: np.ndarray, shape: tuple[int, int], source: str | os.PathLike, key: str = "landmarks"
) -> np.ndarray:
    """Landmark images (n, H, W) uint8 of positions (n, 11, 2): a pixel for each of the ten insertion points.

    It is the nearest pixel, or the nearest that is free (the mitral and the aortic ring touch: their points can share
    one). source, key: the file and the array that errors name. InputError where a point, the apex too, is outside its
    image or has one coordinate only.
    """
    _check_positions(landmarks, shape, source, key)
    marked = np.zeros((len(landmarks), *shape), np.uint8)
    for number, points in enumerate(landmarks):
        for landmark in VALVE_LANDMARKS:
            point = points[landmark.index]
            if not np.isnan(point).any():
                marked[number][_free_pixel(marked[number], point)] = landmark.bundle_value
    return marked


def _check_positions(landmarks: np.ndarray, shape: tuple[int, int], source: str | os.PathLike, key: str) -> None:
    absent = np.isnan(landmarks).all(-1)
    inside = ((landmarks >= -0.5) & (landmarks < np.array(shape) - 0.5)).all(-1)
    wrong = np.argwhere(~absent & ~inside)
    if len(wrong):
        number, index = wrong[0]
        row, column = landmarks[number, index]
        raise InputError(
            source,
            f"landmarks inside the image of {shape[0]} x {shape[1]} pixels, or NaN in both coordinates",
            f"landmark {index + 1} of image {number} at ({row:.1f}, {column:.1f}) in {key}",
            "Mark it as absent, or take a larger image.",
        )


def _free_pixel(image: np.ndarray, point: np.ndarray) -> tuple[int, int]:
    """The pixel of `image` that is 0 and nearest to `point`."""
    row, column = np.floor(np.asarray(point, np.float64) + 0.5).astype(int)
    around = [(r, c) for r in range(row - 2, row + 3) for c in range(column - 2, column + 3)]
    inside = [(r, c) for r, c in around if 0 <= r < image.shape[0] and 0 <= c < image.shape[1] and not image[r, c]]
    return min(inside, key=lambda pixel: float(np.hypot(*(np.array(pixel) - point))))


def read_landmark_images(
    marked: np.ndarray, source: str | os.PathLike, key: str, allow_empty: bool = False
) -> np.ndarray:
    """Positions (n, 11, 2) float32 of landmark images (n, H, W); the apex is not in them.

    InputError, naming the image: unknown values, two pixels of one landmark, no landmark (unless allow_empty).
    """
    landmarks = np.full((len(marked), N_LANDMARKS, 2), np.nan, np.float32)
    for number, image in enumerate(marked):
        where = f"image {number} of {key}"
        rows, columns = np.nonzero(image)
        values = image[rows, columns]
        unknown = sorted(set(values.tolist()) - set(_BY_VALUE))
        if unknown:
            raise InputError(
                source,
                f"the pixel values 0 and {', '.join(map(str, _BY_VALUE))} in landmark images",
                f"{', '.join(f'{value:g}' for value in unknown[:5])} in {where}",
                "Landmark images must not be resampled: that makes values between.",
            )
        if not len(rows) and not allow_empty:
            raise InputError(
                source, "at least one landmark in every landmark image", f"none in {where}", "Leave such images out."
            )
        for row, column, value in zip(rows, columns, values, strict=True):
            index = _BY_VALUE[int(value)].index
            if not np.isnan(landmarks[number, index, 0]):
                raise InputError(
                    source,
                    "one pixel of each landmark",
                    f"two of the value {int(value)} (landmark {index + 1}) in {where}",
                    "Keep the right one.",
                )
            landmarks[number, index] = row, column
    return landmarks


def views_of(landmarks: np.ndarray) -> tuple[str | None, ...]:
    """The view each image (n, 11, 2) shows, from the landmarks it has; None where they do not say."""
    there = np.isfinite(landmarks).all(-1)
    shown = [[set(LANDMARKS[i].views) for i in np.flatnonzero(row)] for row in there]
    common = [set.intersection(*views) if views else set() for views in shown]
    return tuple(next(iter(views)) if len(views) == 1 else None for views in common)


def write_npz(
    path: str | os.PathLike,
    train: LabelledImages,
    test: LabelledImages | None = None,
    extra: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write the published form, with exact positions, views, spacing and patients beside it; reads back without loss.

    extra: further arrays by key, which `read_npz` passes over.
    InputError: what `read_npz` refuses of images, landmarks, views, spacing and patients, so that no such file comes to
    be; a place that cannot be written.
    """
    arrays: dict[str, np.ndarray] = dict(extra or {})
    test = empty(train.shape) if test is None else test
    _check_halves(path, train, test)
    for half, data in (("train", train), ("test", test)):
        arrays[f"{half}Imgs"] = finite_images(data.images, f"{half}Imgs", path)
        arrays[f"{half}LMImgs"] = landmark_images(data.landmarks, data.shape, path, f"{half}Landmarks")
        _check_views(data.views, data.landmarks, path, half)
        arrays[f"{half}Landmarks"] = data.landmarks
        arrays[f"{half}Views"] = np.array([view or "" for view in data.views], dtype="U8")
        arrays[f"{half}Spacing"] = checked_spacing(data.spacing, f"{half}Spacing", path)
        arrays[f"{half}Patients"] = np.array(data.patients, dtype=str if data.patients else "U1")
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def read_npz(
    path: str | os.PathLike, size: tuple[int, int] | None = (PUBLISHED_SIZE, PUBLISHED_SIZE)
) -> tuple[LabelledImages, LabelledImages]:
    """(training, test) images of an NPZ in the published form; the test half may have no images.

    size: the images' (H, W), None for any. InputError, saying what is wrong and where: what load_arrays refuses, other
    sizes, pixels that are not finite, what read_landmark_images refuses, exact positions that are outside their image
    or disagree with the landmark images, landmarks that the stated view does not show, spacing that is not above 0, no
    training images, a patient in both halves.
    """
    own = [half + name for half in ("train", "test") for name in _OWN_KEYS]
    arrays = load_arrays(path, _PUBLISHED_KEYS, _FORM, own)
    train, test = (_read_half(arrays, half, path, size) for half in ("train", "test"))
    if not len(train):
        raise InputError(path, "training images", "none in trainImgs")
    if train.shape != test.shape:
        raise InputError(path, "images of one size", f"{train.shape} in trainImgs, {test.shape} in testImgs")
    _check_halves(path, train, test)
    return train, test


def _check_halves(path: str | os.PathLike, train: LabelledImages, test: LabelledImages) -> None:
    both = sorted(set(train.patients) & set(test.patients) - {""})
    if both:
        raise InputError(path, "each patient in one half", f"{both[0]!r} in both", "Split by patient.")


def _read_half(
    arrays: Mapping[str, np.ndarray], half: str, path: str | os.PathLike, size: tuple[int, int] | None
) -> LabelledImages:
    images, marked = (numbers(arrays[half + name], half + name, path) for name in ("Imgs", "LMImgs"))
    shown = "(n, rows, columns)" if size is None else f"(n, {size[0]}, {size[1]})"
    if images.ndim != 3 or 0 in images.shape[1:] or (size is not None and images.shape[1:] != size):
        raise InputError(path, f"{half}Imgs of shape {shown}", str(images.shape), "Resample or pad the images.")
    if marked.shape != images.shape:
        raise InputError(path, f"{half}LMImgs of shape {images.shape}, as {half}Imgs", str(marked.shape))
    count = len(images)
    images = finite_images(images, f"{half}Imgs", path)
    exact = optional_array(arrays, f"{half}Landmarks", path, (count, N_LANDMARKS, 2))
    landmarks = read_landmark_images(marked, path, f"{half}LMImgs", allow_empty=exact is not None)
    if exact is not None:
        landmarks = as_float32(numbers(exact, f"{half}Landmarks", path))
        _check_exact(landmarks, marked, path, half)
    spacing = optional_array(arrays, f"{half}Spacing", path, (count, 2))
    patients = optional_array(arrays, f"{half}Patients", path, (count,))
    return LabelledImages(
        images,
        landmarks,
        _views(optional_array(arrays, f"{half}Views", path, (count,)), landmarks, path, half),
        np.full((count, 2), np.nan) if spacing is None else checked_spacing(spacing, f"{half}Spacing", path),
        ("",) * count if patients is None else tuple(map(str, patients)),
    )


def _views(
    stated: np.ndarray | None, landmarks: np.ndarray, path: str | os.PathLike, half: str
) -> tuple[str | None, ...]:
    """The stated views, checked; the landmarks say it where none are."""
    if stated is None:
        return views_of(landmarks)
    names = tuple(map(str, stated))
    if set(names) - {*VIEWS, ""}:
        raise InputError(path, f"{', '.join(VIEWS)} or nothing in {half}Views", f"{sorted(set(names))}")
    views = tuple(name or None for name in names)
    _check_views(views, landmarks, path, half)
    return views


def _check_views(views: Sequence[str | None], landmarks: np.ndarray, path: str | os.PathLike, half: str) -> None:
    """A landmark that its image's view does not show: one of the two is wrong, or the rows are in another order."""
    present = np.isfinite(landmarks).all(-1)
    for number, view in enumerate(views):
        strange = () if view is None else np.flatnonzero(present[number] & ~view_mask(view))
        if len(strange):
            landmark = LANDMARKS[strange[0]]
            raise InputError(
                path,
                f"landmarks that the view in {half}Views shows",
                f"landmark {landmark.number} ({', '.join(landmark.views)}) in image {number}, stated to be {view}",
                "Correct the view, or remove the landmark.",
            )


def _check_exact(exact: np.ndarray, marked: np.ndarray, path: str | os.PathLike, half: str) -> None:
    """Exact positions must be those of the landmark images: someone may have corrected one and not the other."""
    expected = landmark_images(exact, marked.shape[1:], path, f"{half}Landmarks")
    wrong = np.flatnonzero((expected != marked).any(axis=(1, 2)))
    if len(wrong):
        raise InputError(
            path,
            f"{half}Landmarks and {half}LMImgs that agree",
            f"other positions in image {wrong[0]}",
            f"Remove {half}Landmarks to use the landmark images.",
        )

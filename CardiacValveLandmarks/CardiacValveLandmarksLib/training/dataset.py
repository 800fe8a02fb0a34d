"""Labelled images, and the published NPZ form that holds them.

The published form (MONAI model zoo `valve_landmarks`) has four arrays: `trainImgs`, `testImgs` (n, 256, 256) images and
`trainLMImgs`, `testLMImgs` of the same shapes, 0 but for one pixel a landmark, whose value says which landmark it is.
That keeps whole pixels and ten landmarks alone, so this library writes four more arrays for each half, which other
readers pass over: `trainLandmarks` (n, 11, 2) exact positions, `trainViews`, `trainSpacing` (n, 2) mm, `trainPatients`;
for the other half the same with `test`. A file with the four published arrays alone is read as well.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from ..errors import InputError
from ..files import atomic_path
from ..landmarks import LANDMARKS, N_LANDMARKS, VALVE_LANDMARKS, VIEWS

#: side of the published form's images
PUBLISHED_SIZE = 256
#: pixel value in a landmark image -> landmark
_BY_VALUE = {landmark.bundle_value: landmark for landmark in VALVE_LANDMARKS}
_FORM = "a training set in the published form (trainImgs, trainLMImgs, testImgs, testLMImgs)"


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


def landmark_images(landmarks: np.ndarray, shape: tuple[int, int], source: str | os.PathLike) -> np.ndarray:
    """Landmark images (n, H, W) uint8 of positions (n, 11, 2): a pixel for each of the ten insertion points.

    It is the nearest pixel, or the nearest that is free (the mitral and the aortic ring touch: their points can share
    one). source: what errors name. InputError where a point is outside its image.
    """
    marked = np.zeros((len(landmarks), *shape), np.uint8)
    for number, points in enumerate(landmarks):
        for landmark in VALVE_LANDMARKS:
            point = points[landmark.index]
            if np.isnan(point).any():
                continue
            if not ((point >= -0.5) & (point < np.array(shape) - 0.5)).all():
                raise InputError(
                    source,
                    f"landmarks inside the image of {shape[0]} x {shape[1]} pixels",
                    f"landmark {landmark.number} of image {number} at ({point[0]:.1f}, {point[1]:.1f})",
                    "Mark it as absent, or take a larger image.",
                )
            marked[number][_free_pixel(marked[number], point)] = landmark.bundle_value
    return marked


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
    InputError: points outside their image, a patient in both halves, a place that cannot be written.
    """
    arrays: dict[str, np.ndarray] = dict(extra or {})
    test = empty(train.shape) if test is None else test
    _check_halves(path, train, test)
    for half, data in (("train", train), ("test", test)):
        arrays[f"{half}Imgs"] = data.images
        arrays[f"{half}LMImgs"] = landmark_images(data.landmarks, data.shape, path)
        arrays[f"{half}Landmarks"] = data.landmarks
        arrays[f"{half}Views"] = np.array([view or "" for view in data.views], dtype="U8")
        arrays[f"{half}Spacing"] = data.spacing
        arrays[f"{half}Patients"] = np.array(data.patients, dtype=str if data.patients else "U1")
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def read_npz(
    path: str | os.PathLike, size: tuple[int, int] | None = (PUBLISHED_SIZE, PUBLISHED_SIZE)
) -> tuple[LabelledImages, LabelledImages]:
    """(training, test) images of an NPZ in the published form; the test half may have no images.

    size: the images' (H, W), None for any. InputError, saying what is wrong and where: not an NPZ, missing arrays,
    other sizes, values that are not finite, what read_landmark_images refuses, exact positions that disagree with the
    landmark images, no training images, a patient in both halves.
    """
    try:
        archive = np.load(path, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise ValueError("one array: a .npy file")
        with archive:
            missing = [name for name in ("trainImgs", "trainLMImgs", "testImgs", "testLMImgs") if name not in archive]
            if missing:
                raise InputError(path, _FORM, f"no {', '.join(missing)}", "See docs/training.md.")
            train, test = (_read_half(archive, half, path, size) for half in ("train", "test"))
    except (OSError, ValueError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(path, _FORM, str(error) or type(error).__name__, "See docs/training.md.") from error
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


def _read_half(archive, half: str, path: str | os.PathLike, size: tuple[int, int] | None) -> LabelledImages:
    images, marked = _numbers(archive, f"{half}Imgs", path), _numbers(archive, f"{half}LMImgs", path)
    shown = "(n, rows, columns)" if size is None else f"(n, {size[0]}, {size[1]})"
    if images.ndim != 3 or (size is not None and images.shape[1:] != size):
        raise InputError(path, f"{half}Imgs of shape {shown}", str(images.shape), "Resample or pad the images.")
    if marked.shape != images.shape:
        raise InputError(path, f"{half}LMImgs of shape {images.shape}, as {half}Imgs", str(marked.shape))
    count = len(images)
    exact = _optional(archive, f"{half}Landmarks", path, (count, N_LANDMARKS, 2))
    landmarks = read_landmark_images(marked, path, f"{half}LMImgs", allow_empty=exact is not None)
    if exact is not None:
        _check_exact(exact, marked, path, half)
        landmarks = exact
    views = _optional(archive, f"{half}Views", path, (count,))
    spacing = _optional(archive, f"{half}Spacing", path, (count, 2))
    patients = _optional(archive, f"{half}Patients", path, (count,))
    if views is not None and set(map(str, views)) - {*VIEWS, ""}:
        raise InputError(path, f"{', '.join(VIEWS)} or nothing in {half}Views", f"{sorted(set(map(str, views)))}")
    return LabelledImages(
        images,
        landmarks,
        views_of(landmarks) if views is None else tuple(str(view) or None for view in views),
        np.full((count, 2), np.nan) if spacing is None else spacing,
        ("",) * count if patients is None else tuple(map(str, patients)),
    )


def _numbers(archive, key: str, path: str | os.PathLike) -> np.ndarray:
    array = archive[key]
    if array.dtype.kind not in "biuf":
        raise InputError(path, f"numbers in {key}", f"{array.dtype}")
    bad = np.flatnonzero(~np.isfinite(array).all(axis=tuple(range(1, array.ndim)))) if array.ndim else ()
    if len(bad):
        raise InputError(path, f"finite values in {key}", f"NaN or infinity in image {bad[0]}", "Repair or remove it.")
    return array


def _optional(archive, key: str, path: str | os.PathLike, shape: tuple[int, ...]) -> np.ndarray | None:
    if key not in archive:
        return None
    if archive[key].shape != shape:
        raise InputError(path, f"{key} of shape {shape}", str(archive[key].shape))
    return archive[key]


def _check_exact(exact: np.ndarray, marked: np.ndarray, path: str | os.PathLike, half: str) -> None:
    """Exact positions must be those of the landmark images: someone may have corrected one and not the other."""
    expected = landmark_images(np.asarray(exact, np.float32), marked.shape[1:], path)
    wrong = np.flatnonzero((expected != marked).any(axis=(1, 2)))
    if len(wrong):
        raise InputError(
            path,
            f"{half}Landmarks and {half}LMImgs that agree",
            f"other positions in image {wrong[0]}",
            f"Remove {half}Landmarks to use the landmark images.",
        )

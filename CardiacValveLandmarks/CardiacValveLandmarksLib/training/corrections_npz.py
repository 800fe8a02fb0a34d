"""Corrections <-> the published NPZ form: images that count with their landmarks, and back to cines without loss.

A file with the four published arrays alone loses positions between pixels, the apex, what a person decided and what
the model said, spacing, patients, and where the image lies. All that is kept in arrays of this module's own, which
other readers pass over: for each half, `Positions` (n, 11, 2) float64 pixels of the cine, `Provenance` and `Confidence`
(n, 11), `Cine` and `Frame` (n,), `Corner`, `Shape`, `Spacing` and `Timing` (n, 2), and `Geometry` (n, 10), after
"corrections" and "Train" or "Test". Names of cines are not kept: they may name a person.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..cine import Cine
from ..errors import InputError
from ..geometry import SliceGeometry
from ..landmarks import N_LANDMARKS, LandmarkSeries
from .corrections import PROPAGATED, CorrectedCine, label_weights
from .dataset import PUBLISHED_SIZE, LabelledImages, read_npz, write_npz

#: arrays of each half: name -> shape after the number of images
_COLUMNS: dict[str, tuple[int, ...]] = {
    "Positions": (N_LANDMARKS, 2),
    "Provenance": (N_LANDMARKS,),
    "Confidence": (N_LANDMARKS,),
    "Cine": (),
    "Frame": (),
    "Corner": (2,),
    "Shape": (2,),
    "Spacing": (2,),
    "Geometry": (10,),
    "Timing": (2,),
}
_HALVES = ("Train", "Test")


def corner_of(corrected: CorrectedCine, size: int = PUBLISHED_SIZE) -> np.ndarray:
    """(2,) int: the pixel of the cine that comes to (0, 0) of a `size` x `size` image; pixels stay as they are.

    A smaller cine is set in the middle, of a larger one the part around its landmarks is taken.
    InputError where a landmark does not fit in.
    """
    shape = np.array(corrected.cine.shape)
    points = corrected.landmarks.positions[label_weights(corrected.landmarks).any(1)]
    low, high = np.nanmin(points, axis=(0, 1)), np.nanmax(points, axis=(0, 1))
    wanted = np.floor((low + high) / 2 - size / 2 + 0.5)
    corner = np.where(shape <= size, -((size - shape) // 2), np.clip(wanted, 0, np.maximum(shape - size, 0)))
    if (low < corner - 0.5).any() or (high > corner + size - 0.5).any():
        raise InputError(
            corrected.cine.name,
            f"landmarks within {size} pixels of each other and inside the image",
            f"rows {low[0]:.0f} to {high[0]:.0f}, columns {low[1]:.0f} to {high[1]:.0f}",
            "Correct the landmarks.",
        )
    return corner.astype(int)


def _rows(
    corrected: Sequence[CorrectedCine], size: int, propagated: float
) -> tuple[LabelledImages, dict[str, np.ndarray]]:
    """The frames that count, as images, and the columns that lead back to the cines."""
    parts: dict[str, list] = {name: [] for name in (*_COLUMNS, "image", "landmarks", "view", "patient")}
    for number, one in enumerate(corrected):
        cine, landmarks, corner = one.cine, one.landmarks, corner_of(one, size)
        place = np.full(10, np.nan)
        if cine.geometry is not None:
            place[:] = *cine.geometry.origin, *cine.geometry.axis0, *cine.geometry.axis1, cine.geometry.thickness
        for frame in np.flatnonzero(label_weights(landmarks, propagated).any(1)):
            time = np.nan if cine.times_ms is None else cine.times_ms[frame]
            row = {
                "Positions": landmarks.positions[frame],
                "Provenance": landmarks.provenance[frame],
                "Confidence": landmarks.confidence[frame],
                "Cine": number,
                "Frame": frame,
                "Corner": corner,
                "Shape": cine.shape,
                "Spacing": np.full(2, np.nan) if cine.spacing is None else cine.spacing,
                "Geometry": place,
                "Timing": (time, np.nan if cine.rr_ms is None else cine.rr_ms),
                "image": _placed(cine.frames[frame], corner, size),
                "landmarks": landmarks.positions[frame] - corner,
                "view": one.view,
                "patient": one.patient,
            }
            for name, value in row.items():
                parts[name].append(value)
    columns = {name: np.array(parts[name]).reshape(-1, *shape) for name, shape in _COLUMNS.items()}
    images = LabelledImages(
        np.array(parts["image"]).reshape(-1, size, size),
        np.array(parts["landmarks"]).reshape(-1, N_LANDMARKS, 2),
        parts["view"],
        columns["Spacing"],
        parts["patient"],
    )
    return images, columns


def _placed(frame: np.ndarray, corner: np.ndarray, size: int) -> np.ndarray:
    """(H, W) -> (size, size): the part from `corner` on, zero outside the frame."""
    image = np.zeros((size, size), np.float32)
    low = np.maximum(corner, 0)
    part = frame[low[0] : corner[0] + size, low[1] : corner[1] + size]
    at = low - corner
    image[at[0] : at[0] + part.shape[0], at[1] : at[1] + part.shape[1]] = part
    return image


def labelled_images(
    corrected: Sequence[CorrectedCine], size: int = PUBLISHED_SIZE, propagated: float = PROPAGATED
) -> LabelledImages:
    """The frames that count (`corrections.label_weights`) as (size, size) images of unchanged pixels."""
    return _rows(corrected, size, propagated)[0]


def write_corrections_npz(
    path: str | os.PathLike,
    train: Sequence[CorrectedCine],
    test: Sequence[CorrectedCine] = (),
    propagated: float = PROPAGATED,
) -> dict[str, int]:
    """Write the frames that count; returns {"train": images, "test": images}.

    InputError: what `corner_of` and `dataset.write_npz` refuse, a patient in both halves among them.
    """
    halves, extra = [], {}
    for half, corrected in zip(_HALVES, (train, test), strict=True):
        images, columns = _rows(corrected, PUBLISHED_SIZE, propagated)
        halves.append(images)
        extra |= {f"corrections{half}{name}": values for name, values in columns.items()}
    write_npz(path, *halves, extra)
    return {half.lower(): len(images) for half, images in zip(_HALVES, halves, strict=True)}


def read_corrections_npz(path: str | os.PathLike) -> list[CorrectedCine]:
    """The cines of both halves, with the frames that were kept.

    InputError: not such a file, or a published NPZ of another origin, which does not say what a person decided.
    """
    halves = read_npz(path)
    found = []
    with np.load(path, allow_pickle=False) as archive:
        for half, images in zip(_HALVES, halves, strict=True):
            columns = {name: _column(archive, path, half, name, len(images)) for name in _COLUMNS}
            exact = columns["Positions"] - columns["Corner"][:, None]
            if not np.allclose(exact, images.landmarks, atol=1e-3, equal_nan=True):
                raise InputError(path, "corrections that agree with the landmarks", f"others in {half.lower()}")
            for number in np.unique(columns["Cine"]):
                chosen = np.flatnonzero(columns["Cine"] == number)
                found.append(_cine(path, images.take(chosen), {key: value[chosen] for key, value in columns.items()}))
    return found


def _column(archive: Mapping[str, np.ndarray], path: str | os.PathLike, half: str, name: str, count: int) -> np.ndarray:
    key = f"corrections{half}{name}"
    expected = (count, *_COLUMNS[name])
    if key not in archive:
        raise InputError(
            path,
            f"a dataset of corrections (with {key})",
            "a published training set of another origin",
            "Train on it with `cvl train --dataset`.",
        )
    if archive[key].shape != expected or archive[key].dtype.kind not in "iuf":
        raise InputError(path, f"numbers of shape {expected} in {key}", f"{archive[key].dtype} {archive[key].shape}")
    return archive[key]


def _cine(path: str | os.PathLike, images: LabelledImages, columns: Mapping[str, np.ndarray]) -> CorrectedCine:
    number, corner, shape = int(columns["Cine"][0]), columns["Corner"][0], columns["Shape"][0]
    place, times, rr = columns["Geometry"][0], columns["Timing"][:, 0], float(columns["Timing"][0, 1])
    low, high = np.maximum(corner, 0), np.minimum(corner + images.shape, shape)
    at = low - corner
    frames = images.images[:, at[0] : at[0] + high[0] - low[0], at[1] : at[1] + high[1] - low[1]]
    geometry = None
    if np.isfinite(place[:9]).all():
        geometry = SliceGeometry(place[:3], place[3:6], place[6:9], place[9])
        geometry = SliceGeometry(geometry.to_patient(low), geometry.axis0, geometry.axis1, geometry.thickness)
    try:
        cine = Cine(
            frames,
            geometry,
            columns["Spacing"][0] if np.isfinite(columns["Spacing"][0]).all() else None,
            times if np.isfinite(times).all() else None,
            rr_ms=rr if np.isfinite(rr) else None,
            name=f"cine-{number + 1}",
            source=f"{Path(path)}, cine {number + 1}",
        )
        marks = LandmarkSeries(
            columns["Positions"] - low, columns["Confidence"], columns["Provenance"], images.views[0]
        )
        return CorrectedCine(cine, marks, images.patients[0])
    except ValueError as error:
        raise InputError(path, "a dataset of corrections", f"cine {number + 1}: {error}") from error

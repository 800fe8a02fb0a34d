"""What a model finds where the truth is known: synthetic cines nobody trained on, images of a training set."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..cine import Cine
from ..detection import DetectionResult, detect
from ..errors import InputError
from ..landmarks import N_LANDMARKS, VALVE_LANDMARKS, VIEWS
from ..phantom.cines import SyntheticCine, synthetic_study
from .compare import ComparedCine, Comparison, Row
from .dataset import read_npz
from .landmark_sets import LandmarkSet
from .points import N_POINTS, long_axis, point_mask

#: evaluation studies have seeds from here on; training shards draw from other streams altogether
FIRST_SEED = 1_000_000


def compare_cine(item: SyntheticCine, result: DetectionResult, name: str) -> ComparedCine:
    """A detection beside the truth, over the landmarks of the true view (all, where it is none)."""
    frames, spacing = item.cine.n_frames, item.cine.spacing
    shown = point_mask(item.kind) if item.kind in VIEWS else np.arange(N_POINTS) < N_LANDMARKS
    return ComparedCine(
        name,
        name,
        (name.rsplit("_", 1)[0],) * frames,
        np.arange(frames),
        (item.kind,) * frames,
        (result.view,) * frames,
        long_axis(item.truth.positions * spacing),
        long_axis(result.landmarks.positions * spacing),
        long_axis(result.landmarks.confidence),
        np.tile(shown, (frames, 1)),
    )


def compare_synthetic(
    model: str | os.PathLike,
    studies: int,
    *,
    kinds: Sequence[str] = VIEWS,
    frames: int = 6,
    width: float = 1.0,
    contrast_width: float = 0.8,
    view: str = "auto",
    tta: bool = True,
    first_seed: int = FIRST_SEED,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Detect in `studies` synthetic patients, `frames` frames a cine spread over the beat.

    view: "auto", or "stated" to tell the model the true view. width, contrast_width: see phantom.cines.
    """
    cines = []
    for index in range(studies):
        study = synthetic_study(
            first_seed + index, kinds=tuple(kinds), frames=frames, width=width, contrast_width=contrast_width
        )
        for item in study.items:
            stated = item.kind if view == "stated" and item.kind in VIEWS else "auto"
            result = detect(item.cine, model, view=stated, tta=tta)
            cines.append(compare_cine(item, result, f"{first_seed + index}_{item.kind}"))
        if progress is not None:
            progress(index + 1, studies)
    return Comparison(tuple(cines), "mm", ())


def detect_images(
    path: str | os.PathLike,
    model: str | os.PathLike,
    *,
    tta: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> list[LandmarkSet]:
    """What a model finds in a training set in the published form, each image by itself and its view recognised; named
    as `read_landmark_sets` names its landmarks. InputError as `read_npz`, and for an image without contrast."""
    halves = dict(zip(("train", "test"), read_npz(path, size=None), strict=True))
    total, done, sets = sum(len(data) for data in halves.values()), 0, []
    for half, data in halves.items():
        found = []
        for number, (image, spacing) in enumerate(zip(data.images, data.spacing, strict=True)):
            if image.min() == image.max():
                raise InputError(path, "images with contrast", f"{half} image {number} is constant", "Remove it.")
            cine = Cine(image[None], spacing=spacing if np.isfinite(spacing).all() else None)
            found.append(detect(cine, model, tta=tta).landmarks)
            done += 1
            if progress is not None:
                progress(done, total)
        if found:
            positions, confidence = (
                long_axis(np.concatenate([getattr(one, name) for one in found])) for name in ("positions", "confidence")
            )
            views = tuple(one.view for one in found)
            name = f"{Path(path).stem}_{half}"
            sets.append(LandmarkSet(name, np.arange(len(data)), views, positions, None, confidence, source=str(path)))
    return sets


def summarise(rows: Sequence[Row], within: float = 5.0) -> dict[str, float]:
    """Figures over all rows: error in mm of what is there and was found (mean, median, quantiles), presence right
    (share of rows where found equals truth), share of the present that was found, view right (share of cines), share of
    the points of at least 0.5 confidence and of these the share that is within so many mm."""
    errors = np.array([row.error_mm for row in rows if row.truth and row.found])
    cines = {row.cine: row.recognised == (row.kind if row.kind in VIEWS else None) for row in rows}
    there = [row.found for row in rows if row.truth]
    valve = np.array([row.error_mm for row in rows if row.truth and row.found and row.landmark <= len(VALVE_LANDMARKS)])
    sure = np.array([row.error_mm for row in rows if row.truth and row.found and row.confidence >= 0.5])

    def share(values: Sequence[bool]) -> float:
        return float(np.mean(values)) if len(values) else float("nan")

    def quantile(values: np.ndarray, q: float) -> float:
        return float(np.quantile(values, q)) if len(values) else float("nan")

    return {
        "cines": len(cines),
        "points": len(errors),
        "mean_mm": float(errors.mean()) if len(errors) else float("nan"),
        "median_mm": quantile(errors, 0.5),
        "p90_mm": quantile(errors, 0.9),
        "p95_mm": quantile(errors, 0.95),
        "valve_median_mm": quantile(valve, 0.5),
        "presence_right": share([row.truth == row.found for row in rows]),
        "detected": share(there),
        "view_right": share(list(cines.values())),
        "sure_share": len(sure) / max(len(errors), 1),
        f"sure_within_{within:g}mm": share(list(sure <= within)),
    }

"""Which points a person should look at first.

Five signs, each scaled so that 1 is where doubt begins; a point's score is its worst sign. A point placed by hand is
not doubted. Thresholds are stated, not learned: they order the work, they judge nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .cine import Cine
from .landmarks import LANDMARKS, N_LANDMARKS, LandmarkSeries, Provenance, in_view
from .trajectory import harmonic_basis

#: a model's confidence below this
CONFIDENCE = 0.5
#: further than this from the landmark's own smooth path, mm
PATH_MM = 3.0
#: the two points of a valve closer than this, mm
VALVE_MM = 10.0
#: faster than this from the frame before, mm/s: three times the fastest healthy annulus (about 15 cm/s)
SPEED_MM_S = 450.0
#: the same between two frames where times are unknown, mm
STEP_MM = 15.0
#: harmonics of the quick path; enough for the systolic and both diastolic movements
_ORDER = 5


@dataclass(frozen=True)
class Doubt:
    """A point to look at. frame from 0, landmark number 1…11, score >= 1 and higher is worse, why in plain words."""

    frame: int
    landmark: int
    score: float
    why: str


def smooth_paths(series: LandmarkSeries, phases: np.ndarray) -> np.ndarray:
    """(T, 11, 2) pixels: each landmark's smooth periodic path at its own frames, NaN where there are too few points.

    A quick harmonic fit for looking at while correcting: least squares, reweighted (Huber) so that a jump does not
    pull the path along; points placed by hand count tenfold. The study's trajectories are fitted in `trajectory`.
    phases: (T,) in [0, 1).
    """
    paths = np.full(series.positions.shape, np.nan)
    orders = np.minimum(_ORDER, (series.present.sum(0) - 1) // 4)
    for order in np.unique(orders[orders >= 1]):
        # landmarks of one order are fitted together
        columns = np.flatnonzero(orders == order)
        present = series.present[:, columns].T
        trust = np.where(series.provenance[:, columns].T == Provenance.MANUAL, 10.0, 1.0) * present
        points = np.where(present[..., None], series.positions[:, columns].transpose(1, 0, 2), 0.0)
        basis = harmonic_basis(phases, int(order))
        products = (basis[:, :, None] * basis[:, None, :]).reshape(len(phases), -1)
        # a touch of ridge keeps a gap in the beat from swinging wildly
        ridge = 1e-6 * np.eye(basis.shape[1])
        weights, count = trust, present.sum(1)
        middle = np.column_stack([(count - 1) // 2, count // 2])
        for _ in range(4):
            normal = (weights @ products).reshape(len(columns), *ridge.shape) + ridge
            path = basis @ np.linalg.solve(normal, basis.T @ (weights[..., None] * points))
            distance = np.linalg.norm(points - path, axis=2)
            ordered = np.sort(np.where(present, distance, np.inf), axis=1)
            scale = np.maximum(1.5 * np.take_along_axis(ordered, middle, axis=1).mean(1, keepdims=True), 1e-6)
            weights = trust * np.minimum(1.0, scale / np.maximum(distance, scale * 1e-9))
        paths[:, columns] = path.transpose(1, 0, 2)
    return paths


def path_distances(series: LandmarkSeries, cine: Cine, paths: np.ndarray | None = None) -> np.ndarray:
    """(T, 11) mm from each point to its smooth path; pixels where the cine's spacing is unknown, NaN where absent."""
    paths = smooth_paths(series, cine.phases) if paths is None else paths
    spacing = np.ones(2) if cine.spacing is None else cine.spacing
    return np.linalg.norm((series.positions - paths) * spacing, axis=2)


def find_doubts(series: LandmarkSeries, cine: Cine, distances: np.ndarray | None = None) -> list[Doubt]:
    """The doubtful points of one cine, worst first. Distances are judged only where the pixel spacing is known.

    distances: `path_distances` where they are known already.
    """
    columns = [landmark.index for landmark in (LANDMARKS if series.view is None else in_view(series.view))]
    signs = [_unsure(series), _missing(series)]
    if cine.spacing is not None:
        distances = path_distances(series, cine) if distances is None else distances
        signs += [_off_path(distances), _jumping(series, cine)]
        signs += [_narrow(series, cine.spacing, pair) for pair in _valve_pairs(columns)]
    strength = np.stack([np.nan_to_num(sign.strength) for sign in signs])
    worst, which = strength.max(0), strength.argmax(0)
    doubtful = (worst >= 1) & (series.provenance != Provenance.MANUAL) & np.isin(np.arange(N_LANDMARKS), columns)
    found = [
        Doubt(int(t), int(k) + 1, float(worst[t, k]), signs[which[t, k]].words(t, k))
        for t, k in zip(*np.nonzero(doubtful), strict=True)
    ]
    return sorted(found, key=lambda d: (-d.score, d.frame, d.landmark))


@dataclass(frozen=True)
class _Sign:
    """strength: (T, 11), doubt begins at 1, NaN or less is none. words(frame, column): what is to be said of it."""

    strength: np.ndarray
    words: Callable[[int, int], str]


def _unsure(series: LandmarkSeries) -> _Sign:
    confidence = np.where(series.present, series.confidence, np.nan)
    strength = np.where(confidence < CONFIDENCE, (1 - confidence) / (1 - CONFIDENCE), 0)
    return _Sign(strength, lambda t, k: f"confidence {confidence[t, k]:.2f}")


def _missing(series: LandmarkSeries) -> _Sign:
    """Absent here and present in most frames. A person's "absent" shows as no confidence, and is believed."""
    gap = ~series.present & (series.present.mean(0) > 0.5) & ~np.isnan(series.confidence)
    return _Sign(np.where(gap, 1.5, 0), lambda t, k: "missing here, present in most frames")


def _off_path(distance: np.ndarray) -> _Sign:
    return _Sign(distance / PATH_MM, lambda t, k: f"{distance[t, k]:.1f} mm off its smooth path")


def _jumping(series: LandmarkSeries, cine: Cine) -> _Sign:
    """Far from the frame before and from the one after: the point itself is the odd one, not its neighbour."""
    step = np.linalg.norm((series.positions - np.roll(series.positions, 1, axis=0)) * cine.spacing, axis=2)
    before = step / _step_limits(cine)[:, None]
    strength = np.minimum(before, np.roll(before, -1, axis=0))
    return _Sign(strength, lambda t, k: f"jumps {step[t, k]:.1f} mm from the frame before, and back")


def _narrow(series: LandmarkSeries, spacing: np.ndarray, pair: tuple[int, int]) -> _Sign:
    first, second = pair
    apart = np.linalg.norm((series.positions[:, first] - series.positions[:, second]) * spacing, axis=1)
    strength = np.zeros(series.confidence.shape)
    strength[:, pair] = np.where(apart < VALVE_MM, VALVE_MM / np.maximum(apart, 0.1), 0)[:, None]
    other = {first: LANDMARKS[second].name, second: LANDMARKS[first].name}
    return _Sign(strength, lambda t, k: f"{apart[t]:.1f} mm from the valve's other point ({other[k]})")


def _step_limits(cine: Cine) -> np.ndarray:
    """(T,) mm a landmark may move from the frame before; the first follows the last."""
    if cine.times_ms is None or cine.n_frames < 2:
        return np.full(cine.n_frames, STEP_MM)
    steps = np.diff(cine.times_ms)
    around = np.median(steps)
    if cine.rr_ms is not None:
        around = max(around, cine.rr_ms - (cine.times_ms[-1] - cine.times_ms[0]))
    return SPEED_MM_S * np.concatenate([[around], steps]) / 1000.0


def _valve_pairs(columns: list[int]) -> list[tuple[int, int]]:
    """The columns of each valve's two points in one view."""
    pairs = {}
    for column in columns:
        landmark = LANDMARKS[column]
        if landmark.valve is not None:
            pairs.setdefault((landmark.valve, landmark.views), []).append(column)
    return [tuple(pair) for pair in pairs.values() if len(pair) == 2]

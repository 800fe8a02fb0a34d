"""Landmarks move as the image does: what a network marks in each frame, joined with the motion seen between frames.

A network looks at one frame at a time, and errs from frame to frame. The patch of image about a landmark moves with it,
whatever its contrast. Both are measurements of one closed path, whose likeliest course is sought.
"""

from __future__ import annotations

import numpy as np

from ..patch_tracking import PatchTracker
from .beat_path import MIN_FRAMES, SPEED_MM

#: SD (mm) of how a landmark moves beside its patch, which shows the wall next to it and blood too: this, and its usual
#: step from frame to frame (beat_path.SPEED_MM); with 3 mm errors on synthetic cines are the same within 1 %
_BESIDE_MM = 2.0
#: how much larger the variance is where the patch is not found
_LOST = 2.0
#: SD (mm) of a network's point: this and the spread of its heat-map
_LEAST_MM = 1.0
#: degrees of freedom of Student's t: a point far from where the others say it is has little weight
_FREEDOM = 3.0
_ROUNDS, _REWEIGHTINGS = 3, 5


def follow_motion(frames: np.ndarray, spacing: np.ndarray, positions: np.ndarray, spread_mm: np.ndarray) -> np.ndarray:
    """(T, L, 2) pixels of landmarks in a cine's frames (T, H, W), NaN where absent -> where they are likeliest.

    spacing: (2,) mm. spread_mm: (T, L), how uncertain each is. Absent ones stay absent; a landmark that is marked in
    fewer than MIN_FRAMES frames stays where it is.

    Least squares with Student's t for the points (reweighted), over points x_t of the closed path:
    sum |x_t - p_t|² / s_t² + sum |x_t+1 - x_t - d_t|² / s². p_t is the network's point, d_t the displacement of the
    patch at x_t, sought forwards and backwards, 0 where neither is found. The fewer frames a beat has, the further all
    moves between them, and the less is told from it: s² = 2² + (80 / T)² mm². Three rounds: patches are sought where
    the path of the round before lies.
    """
    result = np.array(positions, dtype=float)
    present = np.isfinite(result).all(-1)
    columns = np.flatnonzero(present.sum(0) >= MIN_FRAMES)
    if not columns.size:
        return result
    tracker = PatchTracker(frames, spacing)
    last = np.array(frames.shape[1:]) - 1
    for column in columns:
        seen = present[:, column]
        marked = np.where(seen[:, None], result[:, column] * spacing, 0.0)
        sd = np.where(seen, _LEAST_MM + spread_mm[:, column], np.inf)
        nothing = np.full(marked.shape, np.nan)
        path = np.where(seen[:, None], marked, _solve(marked, sd, nothing))
        for _ in range(_ROUNDS):
            path = _solve(marked, sd, _displacements(tracker, np.clip(path / spacing, 0, last)) * spacing)
        result[seen, column] = path[seen] / spacing
    return result


def _displacements(tracker: PatchTracker, path: np.ndarray) -> np.ndarray:
    """(T, 2) pixels: how far the patches at a path move to the next frame, the first after the last; NaN: not found."""
    count = len(path)
    result = np.full(path.shape, np.nan)
    for frame in range(count):
        after = (frame + 1) % count
        there, back = tracker.find(frame, after, path[frame]), tracker.find(after, frame, path[after])
        moves = [] if there is None else [there - path[frame]]
        moves += [] if back is None else [path[after] - back]
        if moves:
            result[frame] = np.mean(moves, axis=0)
    return result


def _solve(marked: np.ndarray, sd: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """(T, 2) mm: the path of least squares. sd: (T,) mm, inf where nothing is marked. steps: (T, 2) mm, NaN unknown."""
    count = len(marked)
    known = np.isfinite(steps).all(1)
    stiffness = np.where(known, 1, 1 / _LOST) / (_BESIDE_MM**2 + (SPEED_MM / count) ** 2)
    pull = np.where(known[:, None], steps, 0.0) * stiffness[:, None]
    after = (np.arange(count) + 1) % count
    links = np.zeros((count, count))
    np.add.at(links, (np.arange(count), np.arange(count)), stiffness + np.roll(stiffness, 1))
    np.add.at(links, (np.arange(count), after), -stiffness)
    np.add.at(links, (after, np.arange(count)), -stiffness)
    weight = 1 / sd**2
    trust = weight
    for _ in range(_REWEIGHTINGS):
        path = np.linalg.solve(links + np.diag(trust), trust[:, None] * marked + np.roll(pull, 1, axis=0) - pull)
        gap = np.linalg.norm(path - marked, axis=1) / sd
        trust = weight * (_FREEDOM + 2) / (_FREEDOM + gap**2)
    return path

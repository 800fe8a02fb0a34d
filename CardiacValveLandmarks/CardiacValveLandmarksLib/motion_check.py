"""An independent look at the landmarks: do the image patches around them move as the landmarks do?

The patch around a landmark in nearby frames is sought in a frame by normalised cross-correlation; the median of the
places found is compared with the landmark there. No network is involved and no trajectory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .landmarks import N_LANDMARKS, LandmarkSeries

#: a frame is flagged where landmark and tracked patch are further apart than this, mm
DISAGREEMENT_MM = 3.0
_PATCH_MM = 12.0
_SEARCH_MM = 9.0
#: frames before and after that are tracked from
_NEIGHBOURS = (-2, -1, 1, 2)
#: below this the patch was not found again: it left the plane or has no texture
_LOWEST_CORRELATION = 0.6


@dataclass(frozen=True)
class MotionCheck:
    """Landmarks against tracked image patches, for one view.

    disagreement_mm: (T, 11) mm, NaN where it could not be judged (absent, too few neighbours, no texture).
    flagged: (T, 11) bool, disagreement above `limit_mm`.
    """

    view: str
    disagreement_mm: np.ndarray
    flagged: np.ndarray
    limit_mm: float = DISAGREEMENT_MM


def frame_ranges(frames: Sequence[int]) -> str:
    """Frames counted from 0 as people count them, runs drawn together: [0, 1, 2, 6] -> "1–3, 7"."""
    runs: list[list[int]] = []
    for frame in sorted(frames):
        if runs and frame == runs[-1][-1] + 1:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    return ", ".join(f"{run[0] + 1}" if len(run) == 1 else f"{run[0] + 1}–{run[-1] + 1}" for run in runs)


def check_motion(
    view: str,
    frames: np.ndarray,
    spacing: np.ndarray,
    series: LandmarkSeries,
    limit_mm: float = DISAGREEMENT_MM,
) -> MotionCheck:
    """frames: (T, H, W). spacing: (2,) mm. The beat is periodic: the first frame's neighbour is the last."""
    from scipy.ndimage import gaussian_filter

    count = len(frames)
    smooth = gaussian_filter(np.asarray(frames, dtype=np.float64), (0, 0.7, 0.7))
    half = np.maximum(np.round(_PATCH_MM / spacing).astype(int), 3)
    reach = np.maximum(np.round(_SEARCH_MM / spacing).astype(int), 2)
    # beyond the border an image repeats its edge; no patch is lost there
    margin = half + reach + 2
    padded = np.pad(smooth, ((0, 0), (margin[0],) * 2, (margin[1],) * 2), mode="edge")
    disagreement = np.full((count, N_LANDMARKS), np.nan)
    inside = ((series.positions >= 0) & (series.positions <= np.array(frames.shape[1:]) - 1)).all(-1)
    usable = series.present & inside
    neighbours = sorted({offset % count for offset in _NEIGHBOURS} - {0}) if count > 1 else []
    for index in range(N_LANDMARKS):
        for frame in np.flatnonzero(usable[:, index]):
            found = []
            for other in ((frame + offset) % count for offset in neighbours):
                if usable[other, index]:
                    place = _find(padded[other], padded[frame], series.positions[other, index], half, reach, margin)
                    if place is not None:
                        found.append(place)
            if len(found) >= 2:
                offset = np.median(found, axis=0) - series.positions[frame, index]
                disagreement[frame, index] = np.linalg.norm(offset * spacing)
    with np.errstate(invalid="ignore"):
        return MotionCheck(view, disagreement, disagreement > limit_mm, limit_mm)


def _find(source, target, start: np.ndarray, half, reach, margin) -> np.ndarray | None:
    """(2,) pixels in `target` of what lies at `start` in `source`, or None where it is not found.

    Sought about `start`: the landmark of the target frame must not lead the search.
    """
    whole = np.round(start).astype(int)
    fraction = start - whole
    centre = whole + margin
    patch = source[centre[0] - half[0] : centre[0] + half[0] + 1, centre[1] - half[1] : centre[1] + half[1] + 1]
    window = half + reach
    field = target[centre[0] - window[0] : centre[0] + window[0] + 1, centre[1] - window[1] : centre[1] + window[1] + 1]
    centred = patch - patch.mean()
    energy = (centred**2).sum()
    if energy <= 1e-12 * max(float((patch**2).sum()), 1e-300):
        return None
    windows = np.lib.stride_tricks.sliding_window_view(field, patch.shape)
    places = windows.shape[:2]
    windows = windows.reshape(-1, patch.size)
    variance = np.einsum("ij,ij->i", windows, windows) - windows.sum(1) ** 2 / patch.size
    correlation = windows @ centred.ravel() / np.sqrt(np.maximum(variance, 1e-9 * energy) * energy)
    correlation = correlation.reshape(places)
    row, column = np.unravel_index(np.argmax(correlation), correlation.shape)
    if correlation[row, column] < _LOWEST_CORRELATION:
        return None
    if not (0 < row < correlation.shape[0] - 1 and 0 < column < correlation.shape[1] - 1):
        return None
    refined = np.array([row, column], dtype=float)
    for axis, line in enumerate((correlation[row - 1 : row + 2, column], correlation[row, column - 1 : column + 2])):
        curvature = line[0] - 2 * line[1] + line[2]
        if curvature < 0:
            refined[axis] += 0.5 * (line[0] - line[2]) / curvature
    return whole + fraction + refined - reach

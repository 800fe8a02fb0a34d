"""A second look at the landmarks: do the image patches around them move as the landmarks do?

The patch around a landmark in nearby frames is sought in a frame (patch_tracking.py); the median of the places found is
compared with the landmark there. No trajectory is involved. A heat-map model's points follow the image's motion in part
already (detection/image_motion.py), so that they are flagged less often than those of other origin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .landmarks import N_LANDMARKS, LandmarkSeries
from .patch_tracking import PatchTracker

#: a frame is flagged where landmark and tracked patch are further apart than this, mm
DISAGREEMENT_MM = 3.0
#: frames before and after that are tracked from
_NEIGHBOURS = (-2, -1, 1, 2)


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
    count, tracker = len(frames), PatchTracker(frames, spacing)
    disagreement = np.full((count, N_LANDMARKS), np.nan)
    inside = ((series.positions >= 0) & (series.positions <= np.array(frames.shape[1:]) - 1)).all(-1)
    usable = series.present & inside
    neighbours = sorted({offset % count for offset in _NEIGHBOURS} - {0}) if count > 1 else []
    for index in range(N_LANDMARKS):
        for frame in np.flatnonzero(usable[:, index]):
            found = []
            for other in ((frame + offset) % count for offset in neighbours):
                if usable[other, index]:
                    place = tracker.find(other, frame, series.positions[other, index])
                    if place is not None:
                        found.append(place)
            if len(found) >= 2:
                offset = np.median(found, axis=0) - series.positions[frame, index]
                disagreement[frame, index] = np.linalg.norm(offset * spacing)
    with np.errstate(invalid="ignore"):
        return MotionCheck(view, disagreement, disagreement > limit_mm, limit_mm)

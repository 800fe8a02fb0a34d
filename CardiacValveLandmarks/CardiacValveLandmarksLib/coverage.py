"""Where on the common beat paths have points: between, they are extrapolated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .alignment import grid_phases
from .trajectory import Trajectory
from .trajectory_fit import NOTABLE_GAP, longest_gap

#: so far beyond its last point a path is still believed, of the beat
_EDGE = 0.02


def covered(trajectories: Sequence[Trajectory]) -> np.ndarray:
    """(400,) bool over `grid_phases`: whether at least one path has points near."""
    grid = grid_phases()
    found = np.zeros(len(grid), bool)
    for t in trajectories:
        gap, start = longest_gap(t.phases[np.isfinite(t.points[:, 0])])
        since = (t.warp(grid) - start) % 1.0
        found |= (gap <= NOTABLE_GAP) | (since < _EDGE) | (since > gap - _EDGE)
    return found


def coverage_doubts(trajectories: Sequence[Trajectory]) -> list[str]:
    """What is to be said where no view has points over a part of the beat; nothing where all is well."""
    found = covered(trajectories)
    if found.all() or not found.any():
        return []
    ends = 100 * grid_phases()[np.flatnonzero(np.diff(found.astype(int), prepend=int(found[-1])))]
    return [
        f"No view has points over {100 * (1 - found.mean()):.0f} % of the beat (between {ends.min():.0f} and "
        f"{ends.max():.0f} %): what is measured there is extrapolated; end-diastole and end-systole were looked for "
        "elsewhere."
    ]

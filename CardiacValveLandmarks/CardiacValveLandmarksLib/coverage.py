"""Where on the common beat paths have points: between, they are extrapolated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .alignment import grid_phases
from .trajectory import Trajectory
from .trajectory_fit import NOTABLE_GAP, gaps_between

#: so far beyond its last point a path is still believed, of the beat
_EDGE = 0.02


def covered(trajectories: Sequence[Trajectory]) -> np.ndarray:
    """(400,) bool over `grid_phases`: whether at least one path has points near."""
    grid = grid_phases()
    found = np.zeros(len(grid), bool)
    for t in trajectories:
        own, apart = t.warp(grid), np.zeros(len(grid), bool)
        for gap, start in zip(*gaps_between(t.phases[np.isfinite(t.points[:, 0])]), strict=True):
            since = (own - start) % 1.0
            apart |= (gap > NOTABLE_GAP) & (since > _EDGE) & (since < gap - _EDGE)
        found |= ~apart
    return found


def coverage_doubts(trajectories: Sequence[Trajectory]) -> list[str]:
    """What is to be said where no view has points over parts of the beat; nothing where all is well."""
    found = covered(trajectories)
    if found.all() or not found.any():
        return []
    grid, step = 100 * grid_phases(), np.diff(found.astype(int), prepend=int(found[-1]))
    starts, ends = grid[step < 0], grid[step > 0]
    # a stretch that is under way at 0 % ends before the first one starts
    ends = np.roll(ends, -1) if ends[0] < starts[0] else ends
    stretches = " and ".join(f"from {a:.0f} to {b:.0f} %" for a, b in zip(starts, ends, strict=True))
    return [
        f"No view has points over {100 * (1 - found.mean()):.0f} % of the beat ({stretches}): what is measured there "
        "is extrapolated; end-diastole and end-systole were looked for elsewhere."
    ]

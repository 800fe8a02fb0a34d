"""Bringing views of different breath-holds to one beat: ED and ES from motion, phase warps.

Phases are in [0, 1) of the RR.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ALIGNMENTS = ("phase", "es", "ed-es")


@dataclass(frozen=True)
class PhaseWarp:
    """A periodic, increasing, piecewise linear map from the study's common phase to a view's own phase.

    common, own: (n,) matching phases in [0, 1), both in cyclic order; empty for the identity.
    """

    common: tuple[float, ...] = ()
    own: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.common) != len(self.own):
            raise ValueError(f"warp: {len(self.common)} common phases for {len(self.own)} own")

    def __call__(self, phases: np.ndarray | float) -> np.ndarray:
        """(...,) common phases -> (...,) own phases (not wrapped)."""
        phases = np.asarray(phases, dtype=np.float64)
        if not self.common:
            return phases
        start = self.common[0]
        common = np.array([(c - start) % 1.0 for c in self.common] + [1.0])
        own = np.array([(o - self.own[0]) % 1.0 for o in self.own] + [1.0])
        return self.own[0] + np.interp((phases - start) % 1.0, common, own)


#: where the LV apex lies from the valve plane in a heart in its usual place: left, anterior, inferior (LPS)
USUAL_APEX_DIRECTION = np.array([1.0, -1.0, -1.0]) / np.sqrt(3.0)
#: end-diastole is the last moment before systole with less than this part of the whole excursion
_ED_LEVEL = 0.08
_GRID = 400


@dataclass(frozen=True)
class BeatPhases:
    """ed, es: phases in [0, 1), NaN where the motion does not tell. curve: (400,) 0…1, systole high, over k/400."""

    ed: float
    es: float
    curve: np.ndarray


def beat_phases(paths: np.ndarray, apex_direction: np.ndarray | None, covered: np.ndarray | None = None) -> BeatPhases:
    """End-diastole and end-systole from how the valves move.

    paths: (L, 400, 3) LPS mm of valve landmarks at k/400. apex_direction: (3,) unit vector from the valves to the
    apex, or None: then end-diastole is taken as the extreme nearer to phase 0 (the R wave).
    The common motion is the first principal component over time of all paths together. End-systole is its extreme
    towards the apex, end-diastole the last low before systole (the atrial kick's end, or the end of diastasis).
    covered: (400,) bool, where there are points; neither is looked for elsewhere. None: everywhere.
    """
    covered = np.ones(_GRID, bool) if covered is None else covered
    nothing = BeatPhases(float("nan"), float("nan"), np.full(_GRID, np.nan))
    if len(paths) == 0:
        return nothing
    motion = paths - paths.mean(1, keepdims=True)
    _, sizes, components = np.linalg.svd(motion.transpose(0, 2, 1).reshape(-1, _GRID), full_matrices=False)
    if sizes[0] < 1e-3 * np.sqrt(motion.size):
        return nothing
    curve = components[0]
    if apex_direction is not None:
        toward = (motion.mean(0) @ apex_direction) @ curve
        sign = np.sign(toward) if toward else 1.0
    else:
        turn = np.abs((np.array([np.argmax(curve), np.argmin(curve)]) / _GRID + 0.5) % 1.0 - 0.5)
        sign = 1.0 if turn[1] <= turn[0] else -1.0
    curve = sign * curve
    curve = (curve - curve.min()) / np.ptp(curve)
    es = int(np.argmax(np.where(covered, curve, -np.inf)))
    before = np.roll(np.where(covered, curve, np.inf), -es)[::-1]
    lows = np.flatnonzero((before[1:-1] <= before[:-2]) & (before[1:-1] <= before[2:]) & (before[1:-1] < _ED_LEVEL)) + 1
    # the search goes back from end-systole, so that the first low found is the last one before it
    ed = (es - 1 - int(lows[0] if len(lows) else np.argmin(before))) % _GRID
    return BeatPhases(ed / _GRID, es / _GRID, curve)


def grid_phases() -> np.ndarray:
    """(400,) the phases `beat_phases` expects paths at."""
    return np.arange(_GRID) / _GRID


def phase_difference(a: float, b: float) -> float:
    """a - b in [-0.5, 0.5)."""
    return float((a - b + 0.5) % 1.0 - 0.5)


def make_warp(alignment: str, common_ed: float, common_es: float, own_ed: float, own_es: float) -> PhaseWarp:
    """The warp that brings a view's own ES (and with "ed-es" its ED) to the common one.

    "phase": none, both beats start at their first frames. "es": two segments, first frame to ES and ES to the end.
    "ed-es": two segments, ED to ES and ES to ED, for series that do not start at the R wave.
    ValueError where the phases that are needed are NaN.
    """
    if alignment not in ALIGNMENTS:
        raise ValueError(f"alignment: expected one of {', '.join(ALIGNMENTS)}, found {alignment!r}")
    if alignment == "phase":
        return PhaseWarp()
    if not np.isfinite([common_ed, common_es, own_ed, own_es]).all():
        raise ValueError("end-diastole or end-systole was not found: align by phase")
    if alignment == "es":
        return PhaseWarp((0.0, common_es), (0.0, own_es))
    return PhaseWarp((common_ed, common_es), (own_ed, own_es))

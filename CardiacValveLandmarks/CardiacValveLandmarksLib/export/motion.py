"""A ring's motion as finite elements want it: reference at end-diastole, displacements over one closed cycle.

Millimetres, seconds, LPS.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..annulus import Annulus
from ..errors import InputError, UsageError
from ..readers.checks import RR_RANGE_MS
from ..study import Study


@dataclass(frozen=True)
class RingMotion:
    """One valve's ring from end-diastole to the next end-diastole.

    reference: (N, 3) LPS mm at end-diastole. times: (T,) s from 0 to RR, both included.
    displacement: (T, N, 3) mm from `reference`; first and last are zero: the cycle closes.
    sd: (T, N) mm, standard deviation of each node at the nearest phase of the ring.
    """

    ring: Annulus
    reference: np.ndarray
    times: np.ndarray
    displacement: np.ndarray
    sd: np.ndarray

    @property
    def positions(self) -> np.ndarray:
        """(T, N, 3) LPS mm."""
        return self.reference + self.displacement

    @property
    def valve(self) -> str:
        return self.ring.valve

    @property
    def step(self) -> float:
        """Seconds between two times."""
        return float(self.times[1])


def no_motion(study: Study, rr_ms: float | None) -> str:
    """Why there is no ring motion in this study, in plain words; "" where there is."""
    if not study.annuli:
        reasons = "; ".join(f"{r.valve} ring: {r.reason.rstrip('.')}" for r in study.refused) or "no view shows a valve"
        return f"there is no ring ({reasons})"
    if not np.isfinite(study.ed_phase):
        return "no end-diastole was found in the motion, so there is no reference"
    if rr_ms is None and not np.isfinite(study.rr_ms):
        return "the RR is unknown in every view, so there are no times; give it in ms with --rr"
    return ""


def check_rr(rr_ms: float | None) -> None:
    """UsageError for a length of the beat that no heart has; None: it is the study's."""
    if rr_ms is not None and not RR_RANGE_MS[0] <= rr_ms <= RR_RANGE_MS[1]:
        raise UsageError(f"RR: expected {RR_RANGE_MS[0]:g} to {RR_RANGE_MS[1]:g} milliseconds, found {rr_ms:g}.")


def ring_motions(study: Study, rr_ms: float | None = None) -> tuple[RingMotion, ...]:
    """The motion of every ring of the study. rr_ms: length of the beat, None: the study's.

    UsageError: an RR out of range. InputError where there is none (`no_motion`): a deck without it would mean nothing.
    """
    check_rr(rr_ms)
    reason = no_motion(study, rr_ms)
    if reason:
        raise InputError("study", "the motion of at least one ring", reason)
    count = len(study.phases)
    phases = study.ed_phase + np.arange(count) / count
    times = (study.rr_ms if rr_ms is None else rr_ms) / 1000.0 * np.arange(count + 1) / count
    nearest = np.append(np.round(phases * count), round(study.ed_phase * count)).astype(int) % count
    motions = []
    for ring in study.annuli:
        positions = ring.evaluate(phases)
        # the last time repeats the first exactly, not up to rounding
        displacement = np.concatenate([positions - positions[0], np.zeros_like(positions[:1])])
        motions.append(RingMotion(ring, positions[0], times, displacement, ring.node_sd_mm[nearest]))
    return tuple(motions)

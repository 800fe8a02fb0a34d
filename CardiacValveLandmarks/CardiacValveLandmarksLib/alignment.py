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

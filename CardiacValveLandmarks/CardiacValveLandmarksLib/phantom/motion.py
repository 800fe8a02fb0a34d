"""How the synthetic heart moves: curves over the phase of the RR interval, 0 at end-diastole.

All are periodic, in [0, 1]. Shapes follow the usual description of long-axis motion: shortening in systole,
early refilling, diastasis, atrial contraction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .anatomy import HeartAnatomy


def _smoothstep(x: np.ndarray | float) -> np.ndarray:
    x = np.clip(x, 0.0, 1.0)
    return x * x * x * (x * (6 * x - 15) + 10)


def shortening(phase: np.ndarray | float, systole: float, atrial_kick: float) -> np.ndarray:
    """1 at end-systole, 0 at end-diastole: quintic rise, early refilling, diastasis, atrial kick."""
    phase = np.asarray(phase, dtype=float) % 1.0
    rise = _smoothstep(phase / systole)
    early_end = systole + 0.42 * (1 - systole)
    kick_start = 1 - 0.26 * (1 - systole)
    early = 1 - (1 - atrial_kick) * _smoothstep((phase - systole) / (early_end - systole))
    kick = atrial_kick * (1 - _smoothstep((phase - kick_start) / (1 - kick_start)))
    return np.where(phase < systole, rise, np.where(phase < kick_start, early, kick))


@dataclass(frozen=True)
class MotionState:
    """Scalars of one instant. contraction: 1 at end-systole; mitral_open, aortic_open: 0 shut, 1 open;
    atrial_fill: atrial size relative to its smallest (0…1); sway: sideways motion, -1…1."""

    contraction: float
    mitral_open: float
    aortic_open: float
    atrial_fill: float
    sway: float


def motion_state(anatomy: HeartAnatomy, phase: float) -> MotionState:
    """The instant of `phase` (fraction of RR from end-diastole, taken modulo 1)."""
    phase = float(phase) % 1.0
    systole = anatomy.systole
    contraction = float(shortening(phase, systole, anatomy.atrial_kick))
    ejecting = _smoothstep(phase / 0.05) * _smoothstep((systole - phase) / 0.05)
    filling = _smoothstep((phase - systole - 0.03) / 0.06) * _smoothstep((1 - phase) / 0.04)
    kick_start = 1 - 0.26 * (1 - systole)
    diastasis = np.exp(-(((phase - (kick_start - 0.06)) / 0.07) ** 2))
    return MotionState(
        contraction=contraction,
        mitral_open=float(filling * (1 - 0.55 * diastasis)),
        aortic_open=float(ejecting),
        atrial_fill=contraction,
        sway=float(np.sin(2 * np.pi * phase)),
    )

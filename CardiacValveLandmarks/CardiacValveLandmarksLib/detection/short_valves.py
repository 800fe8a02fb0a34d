"""Valves that are detected too short to be right."""

from __future__ import annotations

import numpy as np

from ..landmarks import in_view

#: two points of one valve closer than this (mm) cannot both be right
MIN_VALVE_MM = 10.0


def doubt_short_valves(
    view: str, spacing: np.ndarray, positions: np.ndarray, present: np.ndarray, confidence: np.ndarray
) -> list[str]:
    """Lower the confidence (T, 11), in place, where two points of a valve lie too close; what is to be said of it.

    spacing: (2,) mm of a pixel. positions: (T, 11, 2) pixels; present: (T, 11) bool.
    """
    said = []
    shown = [landmark for landmark in in_view(view) if landmark.valve]
    for first in shown:
        for second in shown:
            if first.valve == second.valve and first.number < second.number:
                a, b = first.index, second.index
                gap = np.linalg.norm((positions[:, a] - positions[:, b]) * spacing, axis=-1)
                close = present[:, a] & present[:, b] & (gap < MIN_VALVE_MM)
                if close.any():
                    confidence[np.ix_(close, [a, b])] *= 0.3
                    said.append(
                        f"The two {first.valve} points are closer than {MIN_VALVE_MM:g} mm in {close.sum()} of "
                        f"{len(close)} frames: at least one of them is wrong there."
                    )
    return said

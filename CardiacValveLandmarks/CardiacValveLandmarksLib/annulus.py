"""Closed rings of the valves over the beat, from the landmarks' trajectories.

LPS millimetres; phases in [0, 1) of the common beat.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RING_METHODS = ("fourier", "circle", "spline")


@dataclass(frozen=True)
class Annulus:
    """One valve's ring.

    valve: "mitral", "tricuspid" or "aortic". method: "fourier", "circle", "spline" or "chord circle".
    phases: (P,) common phases k/P: the ring closes in time from the last to the first.
    nodes: (P, N, 3) LPS mm; closed: node N joins node 1. Node k is the same material point in every phase.
        Counter-clockwise seen from the atrium (aortic: from the aorta), that is, from the side away from the apex.
    assumed: the shape is assumed and not measured (a circle on two points).
    node_1: number of the landmark that node 1 belongs to.
    landmarks: numbers of the landmarks used; angles: (n,) their ring angle in radians from node 1, in node order.
    residual_mm: (P,) rms distance of the landmarks from the ring.
    condition: condition number of the fit. largest_gap_deg: largest angle between neighbouring landmarks.
    node_sd_mm: (P, N) standard deviation of each node, from the trajectories' uncertainty and the breath-hold SD.
    notes: doubts in plain words.
    """

    valve: str
    method: str
    phases: np.ndarray
    nodes: np.ndarray
    assumed: bool
    node_1: int
    landmarks: tuple[int, ...]
    angles: np.ndarray
    residual_mm: np.ndarray
    condition: float
    largest_gap_deg: float
    node_sd_mm: np.ndarray
    notes: tuple[str, ...] = ()

    def evaluate(self, phases: np.ndarray | float) -> np.ndarray:
        """(...,) common phases -> (..., N, 3) LPS mm, by trigonometric interpolation in time."""
        phases = np.asarray(phases, dtype=np.float64)
        spectrum = np.fft.rfft(self.nodes, axis=0) / len(self.nodes)
        frequencies = np.arange(len(spectrum))
        twice = np.where((frequencies == 0) | (2 * frequencies == len(self.nodes)), 1.0, 2.0)
        turned = np.exp(2j * np.pi * phases[..., None] * frequencies) * twice
        return np.tensordot(turned, spectrum, axes=(-1, 0)).real


@dataclass(frozen=True)
class Refusal:
    """A ring that was not built. valve: which. reason: why, in plain words."""

    valve: str
    reason: str

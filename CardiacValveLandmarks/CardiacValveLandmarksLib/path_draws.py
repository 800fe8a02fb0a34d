"""Random draws of all paths of a study from their fits: how uncertainty reaches rings and measures.

Draw 0 is the fit itself. LPS millimetres.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from .geometry import SliceGeometry
from .landmarks import Provenance
from .trajectory import Trajectory, harmonic_basis

#: mm, SD in each direction of the plane of what an automatic landmark is off all over the beat: scatter about a path
#: does not tell it. rms of the built-in model's on 24 ordinary synthetic patients, 13 landmarks: 0.91. A point that a
#: person placed or moved is taken as exact here
WHOLE_BEAT_MM = 0.9
#: SD of how much shorter or longer its excursions are than the landmark's: rms of 200 paths of valve points (20 other
#: patients) 0.056
STRETCH = 0.06


class PathDraws:
    """`samples` draws of each trajectory, with the errors that an automatic path keeps over the whole beat (its place,
    and how far it goes), and of each view's unknown in-plane breath-hold offset.

    breathhold_sd: view -> SD in mm per in-plane direction. The same seed gives the same draws.
    """

    def __init__(
        self,
        trajectories: Iterable[Trajectory],
        geometries: Mapping[str, SliceGeometry],
        breathhold_sd: Mapping[str, float],
        samples: int,
        seed: int,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.trajectories = {(t.landmark.number, t.view): t for t in trajectories}
        self._coefficients = {
            key: np.concatenate([t.coefficients[None], t.sample(samples, rng)]) for key, t in self.trajectories.items()
        }
        self._bases: dict[tuple, np.ndarray] = {}
        self._offsets = {}
        for view, geometry in geometries.items():
            drawn = rng.normal(0.0, breathhold_sd[view], (samples, 2)) @ geometry.directions
            self._offsets[view] = np.concatenate([np.zeros((1, 3)), drawn])[:, None]
        self._kept = {}
        for (number, view), t in self.trajectories.items():
            there = t.provenance != Provenance.ABSENT
            automatic = float(np.mean(t.provenance[there] == Provenance.AUTO))
            drawn = rng.normal(0.0, WHOLE_BEAT_MM * automatic, (samples, 2)) @ geometries[view].directions
            self._kept[number, view] = np.concatenate([np.zeros((1, 3)), drawn])[:, None]
            stretch = rng.normal(1.0, STRETCH * automatic, (samples, 1, 1))
            self._coefficients[number, view][1:, 1:] *= stretch  # all but the path's middle

    def has(self, number: int, view: str) -> bool:
        return (number, view) in self.trajectories

    def positions(self, number: int, view: str, phases: np.ndarray, offset: bool = False) -> np.ndarray:
        """(P,) common phases -> (1 + samples, P, 3) mm; with the view's breath-hold offset where asked."""
        paths = self._basis(number, view, phases, 0) @ self._coefficients[number, view] + self._kept[number, view]
        return paths + self._offsets[view] if offset else paths

    def velocities(self, number: int, view: str, phases: np.ndarray) -> np.ndarray:
        """(P,) common phases -> (1 + samples, P, 3) mm/s in the view's own beat, NaN where its RR is unknown."""
        seconds = self.trajectories[number, view].rr_ms / 1000.0
        return self._basis(number, view, phases, 1) @ self._coefficients[number, view] / seconds

    def _basis(self, number: int, view: str, phases: np.ndarray, derivative: int) -> np.ndarray:
        """`harmonic_basis` at common phases, made once for each view: many measures ask for the same ones."""
        t = self.trajectories[number, view]
        key = (t.warp, t.order, derivative, phases.tobytes())
        if key not in self._bases:
            self._bases[key] = harmonic_basis(t.warp(phases), t.order, derivative)
        return self._bases[key]


def spread(draws: np.ndarray) -> np.ndarray:
    """(1 + samples, ...) -> (...,): SD over the draws, NaN where more than half of them have no value."""
    drawn = draws[1:]
    if not len(drawn):
        return np.full(draws.shape[1:], np.nan)
    known = np.isfinite(drawn)
    count = known.sum(0)
    mean = np.where(known, drawn, 0.0).sum(0) / np.maximum(count, 1)
    variance = np.where(known, (drawn - mean) ** 2, 0.0).sum(0) / np.maximum(count - 1, 1)
    return np.where((2 * count > len(drawn)) & (count > 1), np.sqrt(variance), np.nan)

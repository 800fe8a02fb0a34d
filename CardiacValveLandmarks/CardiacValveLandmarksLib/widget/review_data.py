"""What the review shows of one view, computed from the logic: numbers only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..cine import Cine
from ..doubts import Doubt
from ..landmarks import LandmarkSeries, Provenance


@dataclass(frozen=True)
class ViewData:
    """One view as it stands. distances: (T, 11) mm (pixels where no spacing is known) to the smooth path `paths`
    (T, 11, 2). doubts: (frame, landmark number) -> Doubt."""

    cine: Cine
    series: LandmarkSeries
    paths: np.ndarray
    distances: np.ndarray
    doubts: dict[tuple[int, int], Doubt]

    @classmethod
    def of(cls, logic, view: str, doubts: dict[tuple[int, int], Doubt] | None = None) -> ViewData:
        """doubts: those known before, to keep them while a point is being dragged."""
        look = logic.look(view)
        if doubts is None:
            doubts = {(doubt.frame, doubt.landmark): doubt for doubt in look.doubts}
        return cls(look.cine, look.correction.current, look.paths, look.distances, doubts)

    @property
    def unit(self) -> str:
        return "mm" if self.cine.spacing is not None else "px"

    def displacement(self, column: int) -> tuple[np.ndarray, np.ndarray]:
        """(T,) of the points and (T,) of the smooth path, both from where the path is in the first frame."""
        spacing = np.ones(2) if self.cine.spacing is None else self.cine.spacing
        points, path = self.series.positions[:, column], self.paths[:, column]
        known = np.flatnonzero(np.isfinite(points[:, 0]))
        start = path[0] if np.isfinite(path[0, 0]) else (points[known[0]] if known.size else np.zeros(2))
        return tuple(np.linalg.norm((each - start) * spacing, axis=1) for each in (points, path))

    def corrected(self, column: int) -> np.ndarray:
        """(T,) where a person placed the landmark."""
        return self.series.provenance[:, column] == Provenance.MANUAL

    def doubtful(self, column: int) -> np.ndarray:
        """(T,) where the landmark is doubtful."""
        found = np.zeros(self.series.n_frames, bool)
        found[[frame for frame, number in self.doubts if number == column + 1]] = True
        return found

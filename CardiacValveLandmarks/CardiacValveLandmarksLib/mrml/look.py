"""What is to be seen in a view's landmarks: smooth paths, distances from them, doubts; each found once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..cine import Cine
from ..correction import Correction
from ..doubts import Doubt, find_doubts, path_distances, smooth_paths


@dataclass(frozen=True)
class Look:
    """What is to be seen in a correction."""

    correction: Correction
    cine: Cine

    @cached_property
    def paths(self) -> np.ndarray:
        """(T, 11, 2) pixels, `smooth_paths`."""
        return smooth_paths(self.correction.current, self.cine.phases)

    @cached_property
    def distances(self) -> np.ndarray:
        """(T, 11), `path_distances`."""
        return path_distances(self.correction.current, self.cine, self.paths)

    @cached_property
    def doubts(self) -> list[Doubt]:
        """Worst first."""
        return find_doubts(self.correction.current, self.cine, self.distances)

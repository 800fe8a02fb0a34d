"""What a review knows of one view, and what is made ready for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..cine import Cine
from ..correction import Correction
from ..doubts import Doubt
from ..landmarks import LandmarkSeries
from .cine_nodes import scene_geometry
from .landmark_frames import Marks
from .landmark_nodes import LandmarkNodes
from .look import Look


@dataclass(frozen=True)
class Change:
    """What changed: frames of a view (empty: the views themselves). dragging: more will follow at once."""

    view: str | None
    frames: tuple[int, ...]
    dragging: bool = False


@dataclass(frozen=True)
class Prepared:
    """A correction of a view, ready to be put into the scene: nothing of it is there yet.

    base: the correction it was made from, None where the view had none. frames: of `frames_in_pieces`.
    """

    sequence: object
    base: Correction | None
    look: Look
    frames: object


@dataclass
class ReviewedView:
    """One view: its cine and its nodes."""

    cine: Cine
    nodes: LandmarkNodes

    def renew(self, prepared: Prepared) -> bool:
        """Take over the cine as it is now; whether it lies elsewhere than before."""
        geometry, before = scene_geometry(prepared.sequence), self.nodes.geometry
        self.cine, self.nodes.geometry = prepared.look.cine, geometry
        parts = ("origin", "axis0", "axis1")
        return not all(np.array_equal(getattr(geometry, part), getattr(before, part)) for part in parts)


def nothing(cine: Cine, view: str) -> Correction:
    """All absent."""
    return Correction.of(LandmarkSeries.empty(cine.n_frames, view))


def marks_of(doubts: Sequence[Doubt]) -> Marks:
    return frozenset((doubt.frame, doubt.landmark) for doubt in doubts)

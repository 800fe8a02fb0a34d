"""The landmarks and what is known of them at a frame: the one table everything is derived from.

Positions are (row, column) pixels, an integer is a pixel centre; absent is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

VIEWS = ("2CH", "3CH", "4CH")


@dataclass(frozen=True)
class Landmark:
    """One row of the landmark table.

    number: 1…11, as users and file formats count them. key: a stable identifier.
    views: the views that show it. valve: "mitral", "aortic", "tricuspid" or None (apex).
    side: which end of its valve. short: the name drawn beside a point.
    bundle_value: pixel value in the published training set's landmark images, or None.
    """

    number: int
    key: str
    name: str
    short: str
    views: tuple[str, ...]
    valve: str | None
    side: str | None
    bundle_value: int | None

    @property
    def index(self) -> int:
        """Position along every landmark axis of the library's arrays (number - 1)."""
        return self.number - 1


LANDMARKS: tuple[Landmark, ...] = (
    Landmark(1, "mitral_anterior_2ch", "mitral anterior", "MV ant", ("2CH",), "mitral", "anterior", 10),
    Landmark(2, "mitral_posterior_2ch", "mitral posterior", "MV post", ("2CH",), "mitral", "posterior", 15),
    Landmark(3, "mitral_septal_3ch", "mitral septal", "MV sept", ("3CH",), "mitral", "septal", 20),
    Landmark(4, "mitral_free_wall_3ch", "mitral free wall", "MV free", ("3CH",), "mitral", "free wall", 25),
    Landmark(5, "mitral_septal_4ch", "mitral septal", "MV sept", ("4CH",), "mitral", "septal", 30),
    Landmark(6, "mitral_free_wall_4ch", "mitral free wall", "MV free", ("4CH",), "mitral", "free wall", 35),
    Landmark(7, "aortic_septal_3ch", "aortic septal", "AV sept", ("3CH",), "aortic", "septal", 100),
    Landmark(8, "aortic_free_wall_3ch", "aortic free wall", "AV free", ("3CH",), "aortic", "free wall", 150),
    Landmark(9, "tricuspid_septal_4ch", "tricuspid septal", "TV sept", ("4CH",), "tricuspid", "septal", 200),
    Landmark(10, "tricuspid_free_wall_4ch", "tricuspid free wall", "TV free", ("4CH",), "tricuspid", "free wall", 250),
    Landmark(11, "lv_apex", "LV apex", "apex", VIEWS, None, None, None),
)
N_LANDMARKS = len(LANDMARKS)
#: the ten insertion points: the published network's channels, in its order
VALVE_LANDMARKS = tuple(landmark for landmark in LANDMARKS if landmark.valve is not None)
#: the valves that have rings
VALVES = ("mitral", "tricuspid", "aortic")
APEX = LANDMARKS[-1]

#: one colour a valve, RGB in [0, 1]: Okabe and Ito's palette, told apart by colour-blind people
VALVE_COLOURS: dict[str | None, tuple[float, float, float]] = {
    "mitral": (0.902, 0.624, 0.0),
    "aortic": (0.337, 0.706, 0.914),
    "tricuspid": (0.0, 0.620, 0.451),
    None: (0.941, 0.894, 0.259),
}


def by_number(number: int) -> Landmark:
    """The landmark with this number (1…11); KeyError with the allowed range otherwise."""
    if not 1 <= number <= N_LANDMARKS:
        raise KeyError(f"landmark number {number}: expected 1…{N_LANDMARKS}")
    return LANDMARKS[number - 1]


def in_view(view: str) -> tuple[Landmark, ...]:
    """The landmarks a view shows, in the table's order (the apex last)."""
    if view not in VIEWS:
        raise KeyError(f"view {view!r}: expected one of {', '.join(VIEWS)}")
    return tuple(landmark for landmark in LANDMARKS if view in landmark.views)


def view_mask(view: str) -> np.ndarray:
    """(11,) bool: which landmarks the view can show."""
    shown = set(in_view(view))
    return np.array([landmark in shown for landmark in LANDMARKS])


class Provenance(IntEnum):
    """Where a position comes from. ABSENT is zero, so that an empty array says "nothing there"."""

    ABSENT = 0
    AUTO = 1
    MANUAL = 2
    PROPAGATED = 3

    @property
    def label(self) -> str:
        """The word used in files and in the interface."""
        return self.name.lower()


@dataclass(frozen=True)
class LandmarkSeries:
    """The landmarks of one cine.

    positions: (T, 11, 2) float64 pixels (row, column), NaN where absent.
    confidence: (T, 11) float64 in [0, 1]; NaN where no model spoke (placed by hand).
    provenance: (T, 11) uint8 of Provenance; ABSENT exactly where positions are NaN.
    view: the view the landmarks are of, or None where it could not be told.
    view_confidence: in [0, 1], NaN when the view was given and not recognised.
    """

    positions: np.ndarray
    confidence: np.ndarray
    provenance: np.ndarray
    view: str | None = None
    view_confidence: float = float("nan")

    def __post_init__(self) -> None:
        positions = np.array(self.positions, dtype=np.float64)
        if positions.ndim != 3 or positions.shape[1:] != (N_LANDMARKS, 2):
            raise ValueError(f"positions: expected (T, {N_LANDMARKS}, 2), found {positions.shape}")
        frames = len(positions)
        confidence = np.array(self.confidence, dtype=np.float64)
        provenance = np.array(self.provenance, dtype=np.uint8)
        for name, array in (("confidence", confidence), ("provenance", provenance)):
            if array.shape != (frames, N_LANDMARKS):
                raise ValueError(f"{name}: expected {(frames, N_LANDMARKS)}, found {array.shape}")
        if provenance.max(initial=0) > max(Provenance):
            raise ValueError(f"provenance: expected 0…{max(Provenance)}, found {provenance.max()}")
        if np.isinf(positions).any() or np.isnan(positions).any(2).tolist() != np.isnan(positions).all(2).tolist():
            raise ValueError("positions: a point must be wholly finite, or NaN in both coordinates")
        if not np.array_equal(np.isnan(positions[..., 0]), provenance == Provenance.ABSENT):
            raise ValueError("provenance must be ABSENT exactly where positions are NaN")
        if self.view is not None and self.view not in VIEWS:
            raise ValueError(f"view: expected one of {VIEWS} or None, found {self.view!r}")
        for name, array in (("positions", positions), ("confidence", confidence), ("provenance", provenance)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def n_frames(self) -> int:
        return len(self.positions)

    @property
    def present(self) -> np.ndarray:
        """(T, 11) bool."""
        return self.provenance != Provenance.ABSENT

    def replace(self, **changes) -> LandmarkSeries:
        """A copy with some fields changed (arrays here are read-only)."""
        return replace(self, **changes)

    @classmethod
    def empty(cls, frames: int, view: str | None = None) -> LandmarkSeries:
        """All landmarks absent in every frame."""
        return cls(
            np.full((frames, N_LANDMARKS, 2), np.nan),
            np.full((frames, N_LANDMARKS), np.nan),
            np.zeros((frames, N_LANDMARKS), np.uint8),
            view,
        )

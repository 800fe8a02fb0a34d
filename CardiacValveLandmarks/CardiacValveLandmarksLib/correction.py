"""What a person changes in a prediction, and what follows from it.

A `Correction` keeps two things apart: the prediction, and the decisions of a person (placed here, absent, back to the
prediction). The landmarks shown and exported are a pure function of the two, so nothing drifts: the same decisions
give the same points whatever the order in which they were made, and a decision taken back leaves no trace.

Spreading. A placed point stands for the displacement d = placed - predicted in its frame. Over the neighbouring frames
of the same landmark it decays with a raised cosine, w(k) = (1 + cos(pi k / (n + 1))) / 2, k frames away, n = spread.
The cycle is closed: the last frame is a neighbour of the first. Between two placed points each window is cut to end
where the other point stands, n <= gap - 1, so neither moves the other; where both windows fill the gap they sum to
one and the field interpolates smoothly from one displacement to the other. A point placed where nothing was predicted
has no displacement: it spreads nothing and bounds the others.

A prediction that jumps in a single frame says nothing of its neighbours. There the displacement is measured from
where the neighbouring frames' predictions lead (`expected_positions`), so that putting a jump right leaves good
neighbours where they are.

Positions are (row, column) pixels, landmark axes are numbered as in `landmarks.LANDMARKS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from typing import Generic, TypeVar

import numpy as np

from .landmarks import N_LANDMARKS, LandmarkSeries, Provenance, view_mask

#: frames on either side that a correction spreads over unless told otherwise
DEFAULT_SPREAD = 3


class Decision(IntEnum):
    """What a person decided about one landmark in one frame."""

    NONE = 0
    PLACED = 1
    ABSENT = 2
    #: taken back: stays at the prediction although a neighbour's correction would reach it
    PREDICTED = 3


def window(spread: int) -> np.ndarray:
    """(spread + 1,) weights of a correction 0, 1, … `spread` frames away: 1 at the frame itself, 0 beyond the last."""
    return 0.5 * (1.0 + np.cos(np.pi * np.arange(spread + 1) / (spread + 1)))


def expected_positions(positions: np.ndarray) -> np.ndarray:
    """(T, 2) predicted pixels of one landmark, NaN absent -> (T, 2): the same, but where a single frame jumps, the
    place its neighbours lead to.

    The place is the cubic through two frames on either side (the cycle is closed). A frame jumps where it is further
    from it than five times the median of all frames, and than 1.5 pixels. Frames with an absent neighbour stay.
    """
    near = np.roll(positions, 1, axis=0) + np.roll(positions, -1, axis=0)
    far = np.roll(positions, 2, axis=0) + np.roll(positions, -2, axis=0)
    led = (4 * near - far) / 6
    distance = np.linalg.norm(positions - led, axis=1)
    known = np.isfinite(distance)
    if len(positions) < 8 or not known.any():
        return positions
    jumps = known & (distance > max(1.5, 5 * float(np.median(distance[known]))))
    # the frames beside a jump are led astray by it: only the worst of five in a row is one
    worst = np.max([np.roll(np.where(known, distance, 0), shift) for shift in (-2, -1, 1, 2)], axis=0)
    return np.where((jumps & (distance > worst))[:, None], led, positions)


@dataclass(frozen=True, eq=False)
class Correction:
    """A prediction and a person's decisions about it. Immutable: every operation returns a new object.

    prediction: what the model said; provenance AUTO or ABSENT only.
    decisions: (T, 11) uint8 of Decision.
    placed: (T, 11, 2) float64 pixels where decisions == PLACED, NaN elsewhere.
    spreads: (T, 11) int64, frames on either side a placed point spreads over; 0 elsewhere.
    """

    prediction: LandmarkSeries
    decisions: np.ndarray
    placed: np.ndarray
    spreads: np.ndarray

    def __post_init__(self) -> None:
        if not np.isin(self.prediction.provenance, (Provenance.ABSENT, Provenance.AUTO)).all():
            raise ValueError("prediction: expected provenance 'auto' or 'absent' only")
        shape = (self.n_frames, N_LANDMARKS)
        for name, dtype, expected in (
            ("decisions", np.uint8, shape),
            ("placed", np.float64, (*shape, 2)),
            ("spreads", np.int64, shape),
        ):
            array = np.array(getattr(self, name), dtype=dtype)
            if array.shape != expected:
                raise ValueError(f"{name}: expected {expected}, found {array.shape}")
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        if self.decisions.max(initial=0) > max(Decision):
            raise ValueError(f"decisions: expected 0…{max(Decision)}, found {self.decisions.max()}")
        if not np.array_equal(np.isfinite(self.placed).all(2), self.decisions == Decision.PLACED):
            raise ValueError("placed must be finite exactly where a point was placed")
        if self.spreads.min(initial=0) < 0:
            raise ValueError("spreads: expected numbers of frames >= 0")

    @classmethod
    def of(cls, prediction: LandmarkSeries) -> Correction:
        """Nothing corrected yet."""
        shape = (prediction.n_frames, N_LANDMARKS)
        return cls(prediction, np.zeros(shape, np.uint8), np.full((*shape, 2), np.nan), np.zeros(shape, np.int64))

    def __eq__(self, other: object) -> bool:
        """Bit for bit the same prediction and decisions (NaN equals NaN)."""
        if not isinstance(other, Correction):
            return NotImplemented
        a, b = self.prediction, other.prediction
        return (
            a.view == b.view
            and np.array_equal(self.decisions, other.decisions)
            and np.array_equal(self.spreads, other.spreads)
            and np.array_equal(self.placed, other.placed, equal_nan=True)
            and np.array_equal(a.provenance, b.provenance)
            and np.array_equal(a.positions, b.positions, equal_nan=True)
            and np.array_equal(a.confidence, b.confidence, equal_nan=True)
        )

    __hash__ = None

    @property
    def n_frames(self) -> int:
        return self.prediction.n_frames

    @property
    def n_manual(self) -> int:
        """How many points a person decided: placed or marked absent."""
        return int(np.isin(self.decisions, (Decision.PLACED, Decision.ABSENT)).sum())

    @cached_property
    def current(self) -> LandmarkSeries:
        """The landmarks as they stand: MANUAL, PROPAGATED, AUTO or ABSENT in every frame.

        Confidence is the model's; NaN where a person decided.
        """
        positions = self.prediction.positions.copy()
        confidence = self.prediction.confidence.copy()
        provenance = self.prediction.provenance.copy()
        for column in np.flatnonzero((self.decisions == Decision.PLACED).any(0)):
            field, reached = self._field(column)
            moved = reached & (self.decisions[:, column] == Decision.NONE) & (provenance[:, column] == Provenance.AUTO)
            positions[moved, column] += field[moved]
            provenance[moved, column] = Provenance.PROPAGATED
        placed = self.decisions == Decision.PLACED
        positions[placed] = self.placed[placed]
        provenance[placed] = Provenance.MANUAL
        absent = self.decisions == Decision.ABSENT
        positions[absent] = np.nan
        provenance[absent] = Provenance.ABSENT
        confidence[placed | absent] = np.nan
        return self.prediction.replace(positions=positions, confidence=confidence, provenance=provenance)

    def _field(self, column: int) -> tuple[np.ndarray, np.ndarray]:
        """The displacement (T, 2) spread over one landmark's frames, and (T,) bool where it reaches."""
        frames = self.n_frames
        field = np.zeros((frames, 2))
        reached = np.zeros(frames, bool)
        knots = np.flatnonzero(self.decisions[:, column] == Decision.PLACED)
        predicted = self.prediction.positions[:, column]
        # from where a frame that had jumped was expected; a person who says that it rightly lies there moves nothing
        displacement = self.placed[knots, column] - expected_positions(predicted)[knots]
        own = self.placed[knots, column] - predicted[knots]
        nearer = np.linalg.norm(own, axis=1) < np.linalg.norm(displacement, axis=1)
        displacement[nearer] = own[nearer]
        for i, knot in enumerate(knots):
            if np.isnan(displacement[i]).any():
                continue
            for step, neighbour in ((1, knots[(i + 1) % len(knots)]), (-1, knots[i - 1])):
                gap = (step * (neighbour - knot)) % frames or frames
                width = min(int(self.spreads[knot, column]), gap - 1)
                if width < 1:
                    continue
                at = (knot + step * np.arange(1, width + 1)) % frames
                field[at] += window(width)[1:, None] * displacement[i]
                reached[at] = True
        return field, reached

    def _index(self, frame: int, landmark: int) -> tuple[int, int]:
        if not 0 <= frame < self.n_frames:
            raise IndexError(f"frame {frame}: expected 0…{self.n_frames - 1}")
        if not 1 <= landmark <= N_LANDMARKS:
            raise IndexError(f"landmark number {landmark}: expected 1…{N_LANDMARKS}")
        view = self.prediction.view
        if view is not None and not view_mask(view)[landmark - 1]:
            raise ValueError(f"landmark {landmark} is not seen in the {view} view")
        return frame, landmark - 1

    def place(self, frame: int, landmark: int, position: np.ndarray, spread: int = DEFAULT_SPREAD) -> Correction:
        """A person puts `landmark` (number 1…11) at `position`, (2,) pixels, in `frame`.

        `spread` frames on either side follow it, 0: none. Points taken back within reach follow again; other placed
        points and absences stay. IndexError, ValueError: frame, landmark or position out of the question.
        """
        at = self._index(frame, landmark)
        position = np.asarray(position, dtype=np.float64)
        if position.shape != (2,) or not np.isfinite(position).all():
            raise ValueError(f"position: expected two finite numbers, found {position}")
        if spread < 0:
            raise ValueError(f"spread: expected a number of frames >= 0, found {spread}")
        spread = min(spread, self.n_frames)
        decisions, placed, spreads = self.decisions.copy(), self.placed.copy(), self.spreads.copy()
        within = (frame + np.arange(-spread, spread + 1)) % self.n_frames
        again = within[decisions[within, at[1]] == Decision.PREDICTED]
        decisions[again, at[1]] = Decision.NONE
        decisions[at], placed[at], spreads[at] = Decision.PLACED, position, spread
        return replace(self, decisions=decisions, placed=placed, spreads=spreads)

    def set_absent(self, frame: int | None, landmark: int) -> Correction:
        """A person says that `landmark` cannot be seen in `frame` (None: in no frame)."""
        _, column = self._index(0 if frame is None else frame, landmark)
        return self._decided(np.s_[:] if frame is None else frame, column, Decision.ABSENT)

    def reset(self, frame: int | None = None, landmark: int | None = None) -> Correction:
        """Back to the prediction: one point, all of a frame (landmark None), of a landmark (frame None), or all.

        A point that was placed takes what it spread back with it. A point that only followed a neighbour stays at
        the prediction until that neighbour is placed again; the others keep following.
        """
        row, column = self._index(frame or 0, landmark) if landmark is not None else (frame, None)
        if frame is not None and not 0 <= frame < self.n_frames:
            raise IndexError(f"frame {frame}: expected 0…{self.n_frames - 1}")
        rows = np.s_[:] if frame is None else row
        columns = np.s_[:] if landmark is None else column
        cleared = self._decided(rows, columns, Decision.NONE)
        if frame is None:
            return cleared
        following = np.zeros(self.decisions.shape, bool)
        following[rows, columns] = cleared.current.provenance[rows, columns] == Provenance.PROPAGATED
        return cleared._decided(following, None, Decision.PREDICTED) if following.any() else cleared

    def _decided(self, rows, columns, decision: Decision) -> Correction:
        """`decision` (not PLACED) at an index of (T, 11) arrays, given as rows and columns or as one mask."""
        at = rows if columns is None else (rows, columns)
        decisions, placed, spreads = self.decisions.copy(), self.placed.copy(), self.spreads.copy()
        decisions[at], placed[at], spreads[at] = decision, np.nan, 0
        return replace(self, decisions=decisions, placed=placed, spreads=spreads)

    def redetected(self, prediction: LandmarkSeries, keep_manual: bool = True) -> tuple[Correction, int]:
        """The same cine detected again: a new prediction under a person's decisions.

        Points placed or marked absent by hand are kept unless `keep_manual` is false, and spread anew from the new
        prediction; points taken back to the old prediction are free again. Returns the number of points kept.
        ValueError where the new prediction has another number of frames.
        """
        if prediction.n_frames != self.n_frames:
            raise ValueError(f"prediction: expected {self.n_frames} frames, found {prediction.n_frames}")
        if not keep_manual:
            return Correction.of(prediction), 0
        free = self.decisions == Decision.PREDICTED
        if prediction.view is not None:
            free = free | ~view_mask(prediction.view)
        kept = replace(self._decided(free, None, Decision.NONE), prediction=prediction)
        return kept, kept.n_manual

    def changed_frames(self, other: Correction) -> np.ndarray:
        """The frames in which anything differs from `other` (of the same length), as stored or as shown."""
        a, b = self, other
        same = (a.decisions == b.decisions) & (a.spreads == b.spreads)
        pairs = [(a.placed, b.placed)]
        for x, y in ((a.prediction, b.prediction), (a.current, b.current)):
            same &= x.provenance == y.provenance
            pairs += [(x.positions, y.positions), (x.confidence[..., None], y.confidence[..., None])]
        for x, y in pairs:
            same &= ((x == y) | (np.isnan(x) & np.isnan(y))).all(2)
        return np.flatnonzero(~same.all(1))


State = TypeVar("State")


class History(Generic[State]):
    """Undo and redo over immutable states: what comes back is the very object that was there."""

    def __init__(self, state: State, limit: int = 1000) -> None:
        self.state = state
        self._limit = limit
        self._past: list[State] = []
        self._future: list[State] = []

    @property
    def can_undo(self) -> bool:
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        return bool(self._future)

    def push(self, state: State) -> None:
        """A new state; what was undone before is forgotten, as is what lies more than `limit` steps back."""
        self._past.append(self.state)
        del self._past[: -self._limit]
        self._future.clear()
        self.state = state

    def amend(self, change: Callable[[State], State]) -> None:
        """Rewrite all states, past and to come: for what is no step of its own (a view taken in or gone)."""
        self._past = [change(state) for state in self._past]
        self._future = [change(state) for state in self._future]
        self.state = change(self.state)

    def undo(self) -> bool:
        """One step back; False where there is none."""
        return self._step(self._past, self._future)

    def redo(self) -> bool:
        """One step forward again; False where there is none."""
        return self._step(self._future, self._past)

    def _step(self, source: list[State], target: list[State]) -> bool:
        if not source:
            return False
        target.append(self.state)
        self.state = source.pop()
        return True

"""One frame of a view's landmarks <-> one fiducial node with eleven control points in the table's order.

Beside the positions, which Slicer draws and anybody may read, the node carries attributes with the provenance, the
confidence, the prediction and the person's decisions: all that is needed to go on working on a scene saved to a file.
"""

from __future__ import annotations

import json

import numpy as np
import slicer

from ..correction import Correction, Decision
from ..errors import InputError
from ..geometry import SliceGeometry
from ..landmarks import LANDMARKS, N_LANDMARKS, Provenance, view_mask
from .scene import PREFIX, flip

_PROVENANCE = PREFIX + "Provenance"
_CONFIDENCE = PREFIX + "Confidence"
_PREDICTION = PREFIX + "Prediction"
_DECISIONS = PREFIX + "Decisions"
#: added to a point's name in the slice view: placed by hand, moved by a correction nearby, to be looked at
_MARKS = {Provenance.MANUAL: " *", Provenance.PROPAGATED: " ~"}
_DOUBTFUL = " ?"
_LABELS = [provenance.label for provenance in Provenance]

#: (frame, landmark number) of points to be marked as doubtful
Marks = frozenset[tuple[int, int]]


def ras_of(pixels: np.ndarray, geometry: SliceGeometry) -> np.ndarray:
    """(..., 2) pixels -> (..., 3) RAS mm as the nodes hold them: to 1e-9 mm, what a saved scene returns exactly."""
    return np.round(flip(geometry.to_patient(pixels)), 9)


def new_node(view: str):
    """A fiducial node in no scene, with the view's points, to be filled by `FrameWriter`."""
    node = slicer.vtkMRMLMarkupsFiducialNode()
    node.SetName(f"{view} landmarks")
    _fill(node, view)
    return node


def _fill(node, view: str) -> None:
    for landmark, shown in zip(LANDMARKS, view_mask(view), strict=True):
        node.AddControlPoint(0.0, 0.0, 0.0, landmark.short)
        node.SetNthControlPointVisibility(landmark.index, bool(shown))
        node.SetNthControlPointSelected(landmark.index, landmark.valve == "mitral")
    node.SetFixedNumberOfControlPoints(True)


class FrameWriter:
    """Writes frames of a correction into nodes that `new_node` began. marks: what is doubtful."""

    def __init__(self, correction: Correction, geometry: SliceGeometry, marks: Marks = frozenset()) -> None:
        self._correction, self._marks, self._view = correction, marks, correction.prediction.view
        current, prediction = correction.current, correction.prediction
        self._points = ras_of(current.positions, geometry)
        self._provenance = current.provenance.tolist()
        self._confidence = current.confidence
        self._predicted = np.concatenate([prediction.positions, prediction.confidence[..., None]], axis=2)

    def write(self, node, frame: int, positions: bool = True) -> None:
        """One frame; without `positions` only what is known of the points."""
        points, confidence = self._points[frame].tolist(), self._confidence[frame].tolist()
        provenances = self._provenance[frame]
        modifying = node.StartModify()
        if node.GetNumberOfControlPoints() != N_LANDMARKS:  # somebody unlocked their number
            node.SetFixedNumberOfControlPoints(False)
            node.RemoveAllControlPoints()
            _fill(node, self._view)
            positions = True
        for landmark, provenance, sure in zip(LANDMARKS, provenances, confidence, strict=True):
            index = landmark.index
            if positions:
                if provenance != Provenance.ABSENT:
                    node.SetNthControlPointPosition(index, *points[index])
                elif node.GetNthControlPointPositionStatus(index) != node.PositionMissing:
                    node.SetNthControlPointPositionMissing(index)
            mark = _MARKS.get(provenance, "") + (_DOUBTFUL if (frame, landmark.number) in self._marks else "")
            node.SetNthControlPointLabel(index, landmark.short + mark)
            # NaN is unequal to itself
            node.SetNthControlPointDescription(index, _LABELS[provenance] + (f" {sure:.2f}" if sure == sure else ""))
        node.SetAttribute(_PROVENANCE, " ".join([_LABELS[provenance] for provenance in provenances]))
        node.SetAttribute(_CONFIDENCE, _numbers(self._confidence[frame]))
        node.SetAttribute(_PREDICTION, _numbers(self._predicted[frame]))
        node.SetAttribute(_DECISIONS, json.dumps(self._decided(frame)))
        node.EndModify(modifying)

    def _decided(self, frame: int) -> dict[str, list]:
        """Landmark number -> decision, and where a point was placed its pixels and spread."""
        correction, decided = self._correction, {}
        for index in np.flatnonzero(correction.decisions[frame]):
            decision = Decision(int(correction.decisions[frame, index]))
            decided[str(index + 1)] = [decision.name.lower()]
            if decision is Decision.PLACED:
                placed, spread = correction.placed[frame, index], correction.spreads[frame, index]
                decided[str(index + 1)] += [*placed.tolist(), int(spread)]
        return decided


def read_frame(node, name: str, frame: int) -> tuple[np.ndarray, ...]:
    """The attributes of one frame: predicted positions (11, 2), confidence (11,), decisions, placed, spreads.

    A frame without attributes (an early scene, or points made by hand) has no prediction: its points become manual.
    """
    positions, confidence = np.full((N_LANDMARKS, 2), np.nan), np.full(N_LANDMARKS, np.nan)
    decisions, placed = np.zeros(N_LANDMARKS, np.uint8), np.full((N_LANDMARKS, 2), np.nan)
    spreads = np.zeros(N_LANDMARKS, np.int64)
    predicted, decided = node.GetAttribute(_PREDICTION), node.GetAttribute(_DECISIONS)
    if predicted is None and node.GetNumberOfControlPoints() != N_LANDMARKS:
        found = f"{node.GetNumberOfControlPoints()} in frame {frame}"
        raise InputError(name, f"{N_LANDMARKS} points", found, "Delete the landmarks and detect again.")
    try:
        if predicted is not None:
            table = np.array(json.loads(predicted), dtype=np.float64)
            positions, confidence = table[:, :2], table[:, 2]
        for number, (decision, *values) in json.loads(decided or "{}").items():
            index = int(number) - 1
            decisions[index] = Decision[decision.upper()]
            if values:
                placed[index], spreads[index] = values[:2], values[2]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        found = f"attributes of frame {frame} that do not parse ({error})"
        raise InputError(name, "landmarks written by this module", found, "Delete them and detect again.") from error
    return positions, confidence, decisions, placed, spreads


def _numbers(values: np.ndarray) -> str:
    """JSON of an array, floats exactly, NaN as null."""
    return json.dumps(np.where(np.isnan(values), None, values.astype(object)).tolist())


def points_of(node) -> tuple[np.ndarray, np.ndarray]:
    """A fiducial node's points (11, 3) RAS mm, NaN where not defined, and (11,) bool: previewed, not yet placed."""
    points, preview = np.full((N_LANDMARKS, 3), np.nan), np.zeros(N_LANDMARKS, bool)
    for index in range(min(N_LANDMARKS, node.GetNumberOfControlPoints())):
        status = node.GetNthControlPointPositionStatus(index)
        preview[index] = status == node.PositionPreview
        if status == node.PositionDefined:
            points[index] = node.GetNthControlPointPosition(index)
    return points, preview

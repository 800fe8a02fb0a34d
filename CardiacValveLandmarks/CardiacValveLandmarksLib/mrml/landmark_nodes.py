"""A view's landmarks <-> one fiducial node in the image's own sequence browser.

Every frame holds eleven control points in the table's order; those the view does not show are hidden, absent ones are
*missing*. Beside the positions, which Slicer draws and anybody may read, each frame's node carries attributes with the
provenance, the confidence, the prediction and the person's decisions: all that is needed to go on working on a scene
saved to a file.
"""

from __future__ import annotations

import json

import numpy as np
import slicer

from ..correction import Correction, Decision
from ..errors import InputError, UsageError
from ..geometry import SliceGeometry
from ..landmarks import (
    LANDMARKS,
    N_LANDMARKS,
    VALVE_COLOURS,
    VIEWS,
    LandmarkSeries,
    Provenance,
    in_view,
    view_mask,
)
from .cine_nodes import make_proxy, usable_browser
from .scene import (
    ATTRIBUTE_KIND,
    ATTRIBUTE_VERSION,
    ATTRIBUTE_VIEW,
    PREFIX,
    ROLE_STUDY,
    SCENE_VERSION,
    copied_index,
    flip,
    in_scene,
    sequences_logic,
)

KIND = "landmarks"
ROLE_IMAGE = PREFIX + "Image"
_PROVENANCE = PREFIX + "Provenance"
_CONFIDENCE = PREFIX + "Confidence"
_PREDICTION = PREFIX + "Prediction"
_DECISIONS = PREFIX + "Decisions"
#: a stored point this far from where its attributes put it was moved without this module, mm
_MOVED_MM = 1e-3
#: added to a point's name in the slice view: placed by hand, moved by a correction nearby, to be looked at
_MARKS = {Provenance.MANUAL: " *", Provenance.PROPAGATED: " ~"}
_DOUBTFUL = " ?"

#: (frame, landmark number) of points to be marked as doubtful
Marks = frozenset[tuple[int, int]]


class LandmarkNodes:
    """The nodes of one view's landmarks: the landmark sequence, its proxy, the image's browser."""

    def __init__(self, image_sequence, sequence, view: str, geometry: SliceGeometry) -> None:
        self.image_sequence = image_sequence
        self.sequence = sequence
        self.view = view
        self.geometry = geometry
        self.browser = self._browser()

    @classmethod
    def find(cls, image_sequence, view: str, geometry: SliceGeometry) -> LandmarkNodes | None:
        """The nodes this image's landmarks already have in the scene, or None."""
        sequence = find_landmark_sequence(image_sequence)
        return None if sequence is None else cls(image_sequence, sequence, view, geometry)

    @classmethod
    def create(cls, image_sequence, correction: Correction, view: str, geometry: SliceGeometry, study: str | None):
        """New nodes holding `correction`, in the image's own browser. study: see `study`; None begins one."""
        sequence = copied_index(image_sequence, f"{view} landmarks")
        sequence.SetAttribute(ATTRIBUTE_KIND, KIND)
        sequence.SetAttribute(ATTRIBUTE_VIEW, view)
        sequence.SetAttribute(ATTRIBUTE_VERSION, str(SCENE_VERSION))
        sequence.SetNodeReferenceID(ROLE_IMAGE, image_sequence.GetID())
        sequence.SetNodeReferenceID(ROLE_STUDY, study or sequence.GetID())
        node = slicer.vtkMRMLMarkupsFiducialNode()
        node.SetName(f"{view} landmarks")
        for landmark in LANDMARKS:
            node.AddControlPoint(0.0, 0.0, 0.0, landmark.short)
        node.SetFixedNumberOfControlPoints(True)
        for frame in range(correction.n_frames):
            _write_frame(node, correction, frame, view, geometry)
            sequence.SetDataNodeAtValue(node, image_sequence.GetNthIndexValue(frame))
        return cls(image_sequence, sequence, view, geometry)

    @property
    def proxy(self):
        """The fiducial node that shows the current frame; mended where a person deleted it."""
        node = self.browser.GetProxyNode(self.sequence)
        if node is None:
            self.browser = self._browser()
            node = self.browser.GetProxyNode(self.sequence)
        return node

    @property
    def study(self) -> str:
        """What the landmarks of one study share and those of another do not."""
        return _study_of(self.sequence)

    @property
    def stored_view(self) -> str:
        """The view the stored landmarks are of."""
        return self.sequence.GetAttribute(ATTRIBUTE_VIEW)

    @property
    def frame(self) -> int:
        """The frame the browser shows."""
        return self.browser.GetSelectedItemNumber()

    @property
    def alive(self) -> bool:
        """Whether image, landmarks and browser are all still in the scene."""
        return all(map(in_scene, (self.image_sequence, self.sequence, self.browser)))

    def _browser(self):
        """The browser that shows the landmarks: the image's own, synchronised so that a drag is kept."""
        browser = sequences_logic().GetFirstBrowserNodeForSequenceNode(self.sequence) or usable_browser(
            self.image_sequence
        )
        if browser.GetProxyNode(self.sequence) is None:
            _style(make_proxy(self.sequence, browser).GetDisplayNode(), self.view)
        # A drag is stored in its own frame. The default missing-item mode would, with this on, clone the previous
        # frame into empty ones by mere browsing.
        browser.SetMissingItemMode(self.sequence, browser.MissingItemSetToDefault)
        browser.SetSaveChanges(self.sequence, True)
        return browser

    def write(self, correction: Correction, frames, marks: Marks = frozenset()) -> None:
        """Store `correction` in these frames; the shown one appears at once."""
        shown = self.frame
        for frame in map(int, frames):
            nodes = [self.sequence.GetNthDataNode(frame)] + [self.proxy] * (frame == shown)
            for node in nodes:
                _write_frame(node, correction, frame, self.view, self.geometry, marks)
        # frames are changed in place, which the sequence does not notice: without this it would not be saved again
        self.sequence.Modified()

    def become(self, view: str, correction: Correction) -> None:
        """The nodes of another view from now on, holding `correction`."""
        self.view = view
        self.sequence.SetAttribute(ATTRIBUTE_VIEW, view)
        for node in (self.sequence, self.proxy, *map(self.sequence.GetNthDataNode, range(correction.n_frames))):
            node.SetName(f"{view} landmarks")
        _style(self.proxy.GetDisplayNode(), view)
        self.write(correction, range(correction.n_frames))

    def write_shown_attributes(self, correction: Correction, marks: Marks) -> None:
        """During a drag: what is known of the shown frame's points, but not their positions, which the mouse holds."""
        _write_frame(self.proxy, correction, self.frame, self.view, self.geometry, marks, positions=False)

    def expected(self, correction: Correction, frame: int) -> np.ndarray:
        """(11, 3) RAS mm that `correction` puts in a frame, NaN where absent."""
        return ras_of(correction.current.positions[frame], self.geometry)

    def shown(self) -> tuple[np.ndarray, np.ndarray]:
        """The proxy's points, (11, 3) RAS mm, NaN where not defined, and (11,) bool: being placed right now."""
        return _points(self.proxy)

    def read(self) -> tuple[Correction, list[str]]:
        """What the scene holds, and in plain words what was moved in it without this module (now manual).

        InputError where a newer version of the module wrote it or frames are missing.
        """
        name = self.sequence.GetName()
        _check_version(self.sequence)
        frames = self.sequence.GetNumberOfDataNodes()
        if frames != self.image_sequence.GetNumberOfDataNodes():
            found = f"{frames} of {self.image_sequence.GetNumberOfDataNodes()} frames"
            raise InputError(name, "landmarks for every frame", found, "Delete the landmarks and detect again.")
        rows = [_read_frame(self.sequence.GetNthDataNode(frame), name, frame) for frame in range(frames)]
        positions, confidence, decisions, placed, spreads = (np.stack(part) for part in zip(*rows, strict=True))
        provenance = np.where(np.isnan(positions[..., 0]), Provenance.ABSENT, Provenance.AUTO)
        view = self.sequence.GetAttribute(ATTRIBUTE_VIEW)
        correction = Correction(LandmarkSeries(positions, confidence, provenance, view), decisions, placed, spreads)
        notes = []
        for frame in range(frames):
            stored, _ = _points(self.sequence.GetNthDataNode(frame))
            correction, moved = self.taken_over(correction, frame, stored, spread=0)
            notes += [f"frame {frame}, {LANDMARKS[n - 1].name}: moved outside the module, now manual" for n in moved]
        return correction, notes

    def taken_over(self, correction: Correction, frame: int, points: np.ndarray, spread: int):
        """`correction` with the points of a frame that differ from it decided as `points` has them.

        points: (11, 3) RAS mm, NaN where absent; brought to the image plane along its normal. Returns the correction
        and the numbers of the landmarks that differed. Points the view does not show are left alone.
        """
        expected = self.expected(correction, frame)
        apart = np.linalg.norm(points - expected, axis=1) > _MOVED_MM
        appeared = np.isnan(expected[:, 0]) != np.isnan(points[:, 0])
        changed = [int(i) + 1 for i in np.flatnonzero((apart | appeared) & view_mask(self.view))]
        for number in changed:
            point = points[number - 1]
            if np.isnan(point).any():
                correction = correction.set_absent(frame, number)
            else:
                correction = correction.place(frame, number, self.geometry.to_pixels(flip(point)), spread)
        return correction, changed


def ras_of(pixels: np.ndarray, geometry: SliceGeometry) -> np.ndarray:
    """(..., 2) pixels -> (..., 3) RAS mm as the nodes hold them: to 1e-9 mm, what a saved scene returns exactly."""
    return np.round(flip(geometry.to_patient(pixels)), 9)


def landmark_number(view: str, landmark: int | str) -> int:
    """A landmark's number from its number, key, or name within the view. UsageError where it is none of the view."""
    if view not in VIEWS:
        raise UsageError(f"view {view!r}: expected one of {', '.join(VIEWS)}")
    for known in in_view(view):
        if landmark in (known.number, known.key, known.name, known.short):
            return known.number
    names = ", ".join(f"{lm.number} {lm.name}" for lm in in_view(view))
    raise UsageError(f"landmark {landmark!r}: the {view} view has {names}")


def find_landmark_sequence(image_sequence):
    """The landmark sequence that refers to this image, or None."""
    for sequence in slicer.util.getNodesByClass("vtkMRMLSequenceNode", image_sequence.GetScene()):
        if sequence.GetAttribute(ATTRIBUTE_KIND) == KIND and sequence.GetNodeReference(ROLE_IMAGE) is image_sequence:
            return sequence
    return None


def studies_in(scene) -> dict[str, dict[str, object]]:
    """What landmarks the scene holds: study key -> view -> image sequence."""
    studies: dict[str, dict[str, object]] = {}
    for sequence in slicer.util.getNodesByClass("vtkMRMLSequenceNode", scene):
        image = sequence.GetNodeReference(ROLE_IMAGE)
        if sequence.GetAttribute(ATTRIBUTE_KIND) == KIND and image is not None:
            study = studies.setdefault(_study_of(sequence), {})
            study[sequence.GetAttribute(ATTRIBUTE_VIEW)] = image
    return studies


def _study_of(sequence) -> str:
    return sequence.GetNodeReferenceID(ROLE_STUDY) or sequence.GetID()


def _check_version(sequence) -> None:
    text = sequence.GetAttribute(ATTRIBUTE_VERSION) or "0"
    if not text.isdigit() or int(text) > SCENE_VERSION:
        raise InputError(
            sequence.GetName(),
            f"landmarks of scene version {SCENE_VERSION} or earlier",
            f"version {text}",
            "Update the Cardiac Valve Landmarks extension to open this scene.",
        )


def _style(display, view: str) -> None:
    """Colours by valve: mitral as 'selected', the view's other valve (or the apex) as 'unselected'."""
    other = next((lm.valve for lm in in_view(view) if lm.valve != "mitral"), None)
    display.SetSelectedColor(*VALVE_COLOURS["mitral"])
    display.SetColor(*VALVE_COLOURS[other])
    display.SetGlyphTypeFromString("Circle2D")
    display.SetUseGlyphScale(False)
    display.SetGlyphSize(3.0)
    display.SetTextScale(3.0)
    display.SetPointLabelsVisibility(True)
    display.SetPropertiesLabelVisibility(False)


def _write_frame(
    node,
    correction: Correction,
    frame: int,
    view: str,
    geometry: SliceGeometry,
    marks: Marks = frozenset(),
    positions: bool = True,
) -> None:
    """One frame of `correction` into a fiducial node with eleven control points."""
    current = correction.current
    mask = view_mask(view)
    points = ras_of(current.positions[frame], geometry)
    modifying = node.StartModify()
    for landmark in LANDMARKS:
        index = landmark.index
        provenance = Provenance(int(current.provenance[frame, index]))
        if positions:
            if provenance is Provenance.ABSENT:
                if node.GetNthControlPointPositionStatus(index) != node.PositionMissing:
                    node.SetNthControlPointPositionMissing(index)
            else:
                node.SetNthControlPointPosition(index, *points[index])
        confidence = current.confidence[frame, index]
        stated = "" if np.isnan(confidence) else f" {confidence:.2f}"
        mark = _MARKS.get(provenance, "") + (_DOUBTFUL if (frame, landmark.number) in marks else "")
        node.SetNthControlPointLabel(index, landmark.short + mark)
        node.SetNthControlPointDescription(index, provenance.label + stated)
        node.SetNthControlPointVisibility(index, bool(mask[index]))
        node.SetNthControlPointSelected(index, landmark.valve == "mitral")
    node.SetAttribute(_PROVENANCE, " ".join(Provenance(int(p)).label for p in current.provenance[frame]))
    node.SetAttribute(_CONFIDENCE, _numbers(current.confidence[frame]))
    prediction = correction.prediction
    node.SetAttribute(
        _PREDICTION, _numbers(np.column_stack([prediction.positions[frame], prediction.confidence[frame]]))
    )
    decided = {
        str(index + 1): [
            Decision(int(correction.decisions[frame, index])).name.lower(),
            *(
                [*correction.placed[frame, index].tolist(), int(correction.spreads[frame, index])]
                if correction.decisions[frame, index] == Decision.PLACED
                else []
            ),
        ]
        for index in np.flatnonzero(correction.decisions[frame])
    }
    node.SetAttribute(_DECISIONS, json.dumps(decided))
    node.EndModify(modifying)


def _read_frame(node, name: str, frame: int) -> tuple[np.ndarray, ...]:
    """The attributes of one frame: predicted positions (11, 2), confidence (11,), decisions, placed, spreads.

    A frame without attributes (an early scene, or points made by hand) has no prediction: its points become manual.
    """
    positions, confidence = np.full((N_LANDMARKS, 2), np.nan), np.full(N_LANDMARKS, np.nan)
    decisions, placed = np.zeros(N_LANDMARKS, np.uint8), np.full((N_LANDMARKS, 2), np.nan)
    spreads = np.zeros(N_LANDMARKS, np.int64)
    predicted, decided = node.GetAttribute(_PREDICTION), node.GetAttribute(_DECISIONS)
    if node.GetNumberOfControlPoints() != N_LANDMARKS:
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


def _points(node) -> tuple[np.ndarray, np.ndarray]:
    """A fiducial node's points (11, 3) RAS mm, NaN where not defined, and (11,) bool: previewed, not yet placed."""
    points, preview = np.full((N_LANDMARKS, 3), np.nan), np.zeros(N_LANDMARKS, bool)
    for index in range(min(N_LANDMARKS, node.GetNumberOfControlPoints())):
        status = node.GetNthControlPointPositionStatus(index)
        preview[index] = status == node.PositionPreview
        if status == node.PositionDefined:
            points[index] = node.GetNthControlPointPosition(index)
    return points, preview

"""A view's landmarks <-> one fiducial node in the image's own sequence browser.

Every frame holds eleven control points in the table's order; those the view does not show are hidden, absent ones are
*missing*. What a frame's node keeps beside the positions is in `landmark_frames`.
"""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import slicer

from ..correction import Correction
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
from .cine_nodes import make_proxy, transform_over, usable_browser
from .landmark_frames import FrameWriter, Marks, new_node, points_of, ras_of, read_frame
from .scene import (
    ATTRIBUTE_KIND,
    ATTRIBUTE_VERSION,
    ATTRIBUTE_VIEW,
    PREFIX,
    ROLE_STUDY,
    SCENE_VERSION,
    flip,
    in_scene,
    nodes_of_class,
    sequences_logic,
)

KIND = "landmarks"
ROLE_IMAGE = PREFIX + "Image"
#: a stored point this far from where its attributes put it was moved without this module, mm
_MOVED_MM = 1e-3


def frames_in_pieces(
    image_sequence, correction: Correction, view: str, geometry: SliceGeometry, marks: Marks
) -> Generator[None, None, object]:
    """A landmark sequence holding `correction`, in no scene yet; pauses after each frame. The scene is not touched."""
    sequence = slicer.vtkMRMLSequenceNode()
    sequence.SetName(f"{view} landmarks")
    # what a browser needs to step both: the image's index name, unit and values
    sequence.SetIndexName(image_sequence.GetIndexName())
    sequence.SetIndexUnit(image_sequence.GetIndexUnit())
    sequence.SetIndexType(image_sequence.GetIndexType())
    node, writer = new_node(view), FrameWriter(correction, geometry, marks)
    for frame in range(correction.n_frames):
        writer.write(node, frame)
        sequence.SetDataNodeAtValue(node, image_sequence.GetNthIndexValue(frame))
        yield
    return sequence


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
    def create(cls, image_sequence, frames, view: str, geometry: SliceGeometry, study: str | None) -> LandmarkNodes:
        """Put `frames`, of `frames_in_pieces`, into the scene, in the image's own browser.

        study: see `study`; None begins one.
        """
        frames.SetAttribute(ATTRIBUTE_KIND, KIND)
        frames.SetAttribute(ATTRIBUTE_VIEW, view)
        frames.SetAttribute(ATTRIBUTE_VERSION, str(SCENE_VERSION))
        scene = image_sequence.GetScene()
        frames.SetName(scene.GenerateUniqueName(frames.GetName()))
        sequence = scene.AddNode(frames)
        sequence.SetNodeReferenceID(ROLE_IMAGE, image_sequence.GetID())
        sequence.SetNodeReferenceID(ROLE_STUDY, study or sequence.GetID())
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

    def join(self, study: str) -> None:
        """Be of this study from now on."""
        if self.study != study:
            self.sequence.SetNodeReferenceID(ROLE_STUDY, study)

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

    @property
    def whole(self) -> bool:
        """Whether there are as many frames of landmarks as of images."""
        return self.sequence.GetNumberOfDataNodes() == self.image_sequence.GetNumberOfDataNodes()

    def check_frames(self) -> None:
        """InputError unless `whole`."""
        if not self.whole:
            found = f"{self.sequence.GetNumberOfDataNodes()} of {self.image_sequence.GetNumberOfDataNodes()} frames"
            advice = "Delete the landmarks and detect again."
            raise InputError(self.sequence.GetName(), "landmarks for every frame", found, advice)

    def trouble(self) -> str:
        """Why what is done to the shown points cannot be taken over, in plain words; "" where it can."""
        proxy = self.proxy
        # not taken out of it here: within an event of the node that ends Slicer
        if (transform := proxy.GetParentTransformNode()) is not None:
            return (
                f"{proxy.GetName()}: the points are under the transform {transform.GetName()}, away from their images; "
                "take them out to move them."
            )
        if name := transform_over(self.image_sequence):
            return f"{proxy.GetName()}: the cine is under the transform {name}; take it out to move points."
        return ""

    @property
    def complete(self) -> bool:
        """Whether the shown frame has the eleven points."""
        return self.proxy.GetNumberOfControlPoints() == N_LANDMARKS

    def style(self) -> None:
        """Give the shown node the look of the view's landmarks."""
        _style(self.proxy.GetDisplayNode(), self.view)

    def _browser(self):
        """The browser that shows the landmarks: the image's own, synchronised so that a drag is kept."""
        browser = usable_browser(self.image_sequence)
        if browser.GetProxyNode(self.sequence) is None:
            _style(make_proxy(self.sequence, browser).GetDisplayNode(), self.view)
        # A drag is stored in its own frame. The default missing-item mode would, with this on, clone the previous
        # frame into empty ones by mere browsing.
        browser.SetMissingItemMode(self.sequence, browser.MissingItemSetToDefault)
        browser.SetSaveChanges(self.sequence, True)
        return browser

    def write(self, correction: Correction, frames, marks: Marks = frozenset()) -> None:
        """Store `correction` in these frames; the shown one appears at once."""
        shown, writer = self.frame, FrameWriter(correction, self.geometry, marks)
        for frame in map(int, frames):
            writer.write(self.sequence.GetNthDataNode(frame), frame)
            if frame == shown:
                writer.write(self.proxy, frame)
        # frames are changed in place, which the sequence does not notice: without this it would not be saved again
        self.sequence.Modified()

    def replace(self, frames, view: str) -> None:
        """Store the frames of `frames_in_pieces` in place of all that is there, which may be of another view."""
        modifying = self.sequence.StartModify()
        for frame in range(frames.GetNumberOfDataNodes()):
            self.sequence.SetDataNodeAtValue(frames.GetNthDataNode(frame), self.sequence.GetNthIndexValue(frame))
        self.sequence.EndModify(modifying)
        if view != self.stored_view:
            self.sequence.SetAttribute(ATTRIBUTE_VIEW, view)
            for node in (self.sequence, self.proxy):
                node.SetName(f"{view} landmarks")
            _style(self.proxy.GetDisplayNode(), view)
        self.view = view
        sequences_logic(self.browser.GetScene()).UpdateProxyNodesFromSequences(self.browser)

    def write_shown_attributes(self, correction: Correction, marks: Marks) -> None:
        """During a drag: what is known of the shown frame's points, but not their positions, which the mouse holds."""
        FrameWriter(correction, self.geometry, marks).write(self.proxy, self.frame, positions=False)

    def expected(self, correction: Correction, frame: int) -> np.ndarray:
        """(11, 3) RAS mm that `correction` puts in a frame, NaN where absent."""
        return ras_of(correction.current.positions[frame], self.geometry)

    def shown(self) -> tuple[np.ndarray, np.ndarray]:
        """The proxy's points, (11, 3) RAS mm, NaN where not defined, and (11,) bool: being placed right now."""
        return points_of(self.proxy)

    def read(self) -> tuple[Correction, list[str]]:
        """What the scene holds, and in plain words what was moved in it without this module (now manual).

        InputError where a newer version of the module wrote it or frames are missing.
        """
        name = self.sequence.GetName()
        _check_version(self.sequence)
        self.check_frames()
        frames = self.sequence.GetNumberOfDataNodes()
        rows = [read_frame(self.sequence.GetNthDataNode(frame), name, frame) for frame in range(frames)]
        positions, confidence, decisions, placed, spreads = (np.stack(part) for part in zip(*rows, strict=True))
        provenance = np.where(np.isnan(positions[..., 0]), Provenance.ABSENT, Provenance.AUTO)
        view = self.sequence.GetAttribute(ATTRIBUTE_VIEW)
        try:
            correction = Correction(LandmarkSeries(positions, confidence, provenance, view), decisions, placed, spreads)
        except ValueError as error:
            advice = "Delete them and detect again."
            raise InputError(
                name, "landmarks written by this module", f"attributes that disagree ({error})", advice
            ) from error
        notes = []
        for frame in range(frames):
            node = self.sequence.GetNthDataNode(frame)
            if node.GetNumberOfControlPoints() != N_LANDMARKS:
                notes.append(f"frame {frame}: points were added or deleted outside the module; as it was before")
                continue
            stored, _ = points_of(node)
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
    for sequence in nodes_of_class("vtkMRMLSequenceNode", image_sequence.GetScene()):
        if sequence.GetAttribute(ATTRIBUTE_KIND) == KIND and sequence.GetNodeReference(ROLE_IMAGE) is image_sequence:
            return sequence
    return None


def check_other_view(view: str, image_sequence, geometry: SliceGeometry) -> None:
    """InputError where this cine has landmarks of another view in the scene that a person decided: a detection as this
    view would take their place."""
    nodes = LandmarkNodes.find(image_sequence, view, geometry)
    if nodes is None or nodes.stored_view == view:
        return
    decided = int((nodes.read()[0].decisions > 0).sum())
    if decided:
        raise InputError(
            image_sequence.GetName(),
            f"a cine without landmarks decided by hand as another view than the {view}",
            f"{decided} of them as {nodes.stored_view}",
            f"Choose it as {nodes.stored_view}, or delete {nodes.sequence.GetName()!r} to give them up.",
        )


def studies_in(scene) -> dict[str, dict[str, object]]:
    """What landmarks the scene holds: study key -> view -> image sequence."""
    studies: dict[str, dict[str, object]] = {}
    for sequence in nodes_of_class("vtkMRMLSequenceNode", scene):
        image = sequence.GetNodeReference(ROLE_IMAGE)
        if sequence.GetAttribute(ATTRIBUTE_KIND) == KIND and image is not None:
            study = studies.setdefault(_study_of(sequence), {})
            study[sequence.GetAttribute(ATTRIBUTE_VIEW)] = image
    return studies


def pass_on_study(leaving) -> None:
    """A node is about to leave the scene. Where a study goes by this landmark sequence, its other landmarks and its
    results go by another of its sequences from now on."""
    scene, old = leaving.GetScene(), leaving.GetID()
    if scene is None or not leaving.IsA("vtkMRMLSequenceNode") or leaving.GetAttribute(ATTRIBUTE_KIND) != KIND:
        return
    of_study = [
        node
        for node in nodes_of_class("vtkMRMLNode", scene)
        if node is not leaving and node.GetNodeReferenceID(ROLE_STUDY) == old
    ]
    new = next((node.GetID() for node in of_study if node.GetAttribute(ATTRIBUTE_KIND) == KIND), None)
    for node in of_study if new else ():
        node.SetNodeReferenceID(ROLE_STUDY, new)


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

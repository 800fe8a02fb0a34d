"""The moving rings in the scene: one closed curve a valve, in a browser of their own that follows the views' phase."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import slicer

from ..landmarks import VALVE_COLOURS
from .cine_nodes import make_proxy
from .scene import ATTRIBUTE_KIND, ATTRIBUTE_VERSION, PREFIX, ROLE_STUDY, SCENE_VERSION, flip, owned, remove

if TYPE_CHECKING:
    from ..annulus import Annulus
    from ..study import Study

_ITEMS = PREFIX + "PhaseItems"
KIND = "annulus"
KIND_BROWSER = "annuli"
ATTRIBUTE_VALVE = PREFIX + "Valve"
#: "yes" where the ring's shape is assumed (a circle on two points)
ATTRIBUTE_ASSUMED = PREFIX + "Assumed"


def rings_in_pieces(study: Study) -> Generator[None, None, list[tuple[Annulus, object]]]:
    """[(ring, its sequence of closed curves)] of a study, in no scene yet; pauses after each phase."""
    made = []
    for annulus in study.annuli:
        made.append((annulus, (yield from _ring_sequence(annulus))))
    return made


def show_rings(rings: list[tuple[Annulus, object]], owner: str, scene) -> dict[str, object]:
    """Put `rings_in_pieces` into the scene: {valve: closed curve node of the current phase}.

    owner: `LandmarkNodes.study` of the landmarks they come from; rings shown for it before are replaced, others stay.
    Node k of a ring is control point k - 1, locked. The index is the phase in percent of the common beat.
    """
    remove_rings(owner, scene)
    if not rings:
        return {}
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "Valve rings")
    browser.SetAttribute(ATTRIBUTE_KIND, KIND_BROWSER)
    browser.SetNodeReferenceID(ROLE_STUDY, owner)
    curves = {}
    for annulus, frames in rings:
        frames.SetName(scene.GenerateUniqueName(frames.GetName()))
        sequence = scene.AddNode(frames)
        sequence.SetNodeReferenceID(ROLE_STUDY, owner)
        if browser.GetMasterSequenceNode() is None:
            browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
        curve = make_proxy(sequence, browser)
        _style(curve.GetDisplayNode(), annulus)
        # a ring is a result: what is done to its curve by hand is not kept
        browser.SetSaveChanges(sequence, False)
        curves[annulus.valve] = curve
    return curves


def remove_rings(owner: str, scene=None) -> None:
    """Take the rings shown for these landmarks out of the scene."""
    scene = scene or slicer.mrmlScene
    sequences = owned("vtkMRMLSequenceNode", KIND, owner, scene)
    for browser in owned("vtkMRMLSequenceBrowserNode", KIND_BROWSER, owner, scene):
        proxies = [browser.GetProxyNode(sequence) for sequence in sequences]
        # the browser first: alive, it would make the proxies anew
        scene.RemoveNode(browser)
        for node in (*sequences, *proxies):
            if node is not None:
                remove(node)


def rings_browser(owner: str, scene=None):
    """The browser of the rings shown for these landmarks, or None."""
    found = owned("vtkMRMLSequenceBrowserNode", KIND_BROWSER, owner, scene or slicer.mrmlScene)
    return found[0] if found else None


def phase_items(study: Study, view: str) -> np.ndarray:
    """(T,) for each frame of a view the index of the ring phase nearest to it, through the view's warp."""
    frames = study.view(view).phases
    warp = next((t.warp for t in study.trajectories if t.view == view), None)
    own = study.phases if warp is None else warp(study.phases)
    apart = np.abs((own[None, :] - frames[:, None] + 0.5) % 1.0 - 0.5)
    return apart.argmin(1)


def keep_items(browser, items: Mapping[str, np.ndarray]) -> None:
    """Keep `phase_items` of each view with the rings' browser, for a scene that is opened again."""
    browser.SetAttribute(_ITEMS, json.dumps({view: one.tolist() for view, one in items.items()}))


def kept_items(browser) -> dict[str, np.ndarray]:
    """What `keep_items` kept; {} where that is nothing, or nothing that can be read."""
    try:
        kept = {view: np.array(one, int) for view, one in json.loads(browser.GetAttribute(_ITEMS) or "{}").items()}
    except (ValueError, AttributeError, TypeError, OverflowError):
        return {}
    count = browser.GetNumberOfItems()
    return {view: one for view, one in kept.items() if one.ndim == 1 and ((one >= 0) & (one < count)).all()}


class PhaseFollower:
    """Keeps the rings at the phase of whichever view was stepped last."""

    def __init__(self, rings, browsers: Mapping[str, object], items: Mapping[str, np.ndarray]) -> None:
        """rings: the rings' browser. browsers: view -> its browser. items: view -> `phase_items`."""
        self._rings = rings
        self._observed = []
        first = next(iter(browsers), None)
        if first is not None and 0 <= (frame := browsers[first].GetSelectedItemNumber()) < len(items[first]):
            rings.SetSelectedItemNumber(int(items[first][frame]))
        for view, browser in browsers.items():
            shown = [browser.GetSelectedItemNumber()]

            def follow(caller, event, item=items[view], shown=shown) -> None:
                frame = caller.GetSelectedItemNumber()
                if frame != shown[0] and 0 <= frame < len(item):
                    shown[0] = frame
                    self._rings.SetSelectedItemNumber(int(item[frame]))

            self._observed.append((browser, browser.AddObserver("ModifiedEvent", follow)))

    def release(self) -> None:
        for browser, tag in self._observed:
            browser.RemoveObserver(tag)
        self._observed.clear()


def _ring_sequence(annulus: Annulus) -> Generator[None, None, object]:
    sequence = slicer.vtkMRMLSequenceNode()
    sequence.SetName(f"{annulus.valve} ring" + (" (assumed shape)" if annulus.assumed else ""))
    sequence.SetIndexName("phase")
    sequence.SetIndexUnit("%")
    sequence.SetIndexType(sequence.NumericIndex)
    for name, value in (
        (ATTRIBUTE_KIND, KIND),
        (ATTRIBUTE_VERSION, str(SCENE_VERSION)),
        (ATTRIBUTE_VALVE, annulus.valve),
        (ATTRIBUTE_ASSUMED, "yes" if annulus.assumed else "no"),
    ):
        sequence.SetAttribute(name, value)
    curve = slicer.vtkMRMLMarkupsClosedCurveNode()
    curve.SetName(sequence.GetName())
    curve.SetCurveTypeToLinear()
    modifying = curve.StartModify()
    for number in range(annulus.nodes.shape[1]):
        curve.AddControlPoint(0.0, 0.0, 0.0, f"{annulus.valve} {number + 1}")
    curve.EndModify(modifying)
    curve.SetLocked(True)
    for phase, nodes in zip(annulus.phases, flip(annulus.nodes), strict=True):
        slicer.util.updateMarkupsControlPointsFromArray(curve, nodes)
        sequence.SetDataNodeAtValue(curve, f"{100 * phase:.9g}")
        yield
    return sequence


def _style(display, annulus: Annulus) -> None:
    """The valve's colour; an assumed ring thin and faint. The curve alone: no points, no names."""
    colour = VALVE_COLOURS[annulus.valve]
    display.SetSelectedColor(*colour)
    display.SetColor(*colour)
    display.SetPointLabelsVisibility(False)
    display.SetPropertiesLabelVisibility(False)
    display.SetGlyphScale(0.0)
    display.SetUseGlyphScale(False)
    display.SetGlyphSize(0.01)
    display.SetCurveLineSizeMode(display.UseLineDiameter)
    display.SetLineDiameter(0.6 if annulus.assumed else 1.2)
    display.SetOpacity(0.5 if annulus.assumed else 1.0)
    display.SetVisibility2D(True)
    display.SetSliceProjection(False)

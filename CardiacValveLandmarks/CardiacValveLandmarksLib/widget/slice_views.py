"""The study in Slicer's slice views: one cine a view, turned to its plane and fitted. Does nothing without views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import qt
import slicer

#: which slice view shows which cine
PLACES = {"2CH": "Red", "3CH": "Green", "4CH": "Yellow"}
#: layouts with these three and a 3-D view; some Slicers lack some of them
_LAYOUTS = (
    *("SlicerLayoutFourUpView", "SlicerLayoutFourUpPlotView", "SlicerLayoutFourUpTableView"),
    *("SlicerLayoutFourUpPlotTableView", "SlicerLayoutConventionalView", "SlicerLayoutConventionalWidescreenView"),
    *("SlicerLayoutConventionalPlotView", "SlicerLayoutFourOverFourView"),
)

#: reference of a slice view's composite node: the cine that was put there
_SHOWN = "CardiacValveLandmarksCine"


def slice_logic(view: str):
    """The logic of the slice view that shows a cine, or None where there is no such view."""
    return slicer.app.applicationLogic().GetSliceLogicByLayoutName(PLACES[view])


def show_study(volumes: Mapping[str, object], markups: Mapping[str, object]) -> None:
    """Put volumes, {view: proxy volume node}, into their slice views; a cine in a view without one is taken out.

    markups: {view: fiducial node}; each is shown with its own cine only, and in 3-D.
    """
    arranged, fitted = _arrange(), []
    three_d = slicer.util.getNodesByClass("vtkMRMLViewNode")
    for view in PLACES:
        logic = slice_logic(view)
        if logic is None:
            continue
        volume, composite = volumes.get(view), logic.GetSliceCompositeNode()
        shown = composite.GetBackgroundVolumeID()
        if volume is None:
            if shown is not None and shown == composite.GetNodeReferenceID(_SHOWN):
                composite.SetBackgroundVolumeID(None)
            continue
        composite.SetNodeReferenceID(_SHOWN, volume.GetID())
        node = logic.GetSliceNode()
        if shown != volume.GetID():  # else the user's zoom stays
            composite.SetBackgroundVolumeID(volume.GetID())
            node.RotateToVolumePlane(volume)
            logic.FitSliceToAll()
            logic.SnapSliceOffsetToIJK()
            fitted.append(logic)
        if view in markups:
            markups[view].GetDisplayNode().SetViewNodeIDs([node.GetID(), *(each.GetID() for each in three_d)])
    if arranged:  # the views have their size when the layout has been laid out, in a later turn
        qt.QTimer.singleShot(0, lambda: [logic.FitSliceToAll() for logic in fitted])


def any_shown(volumes: Sequence[object]) -> bool:
    """Whether one of these volume nodes is the image of a slice view, of any."""
    ids = {volume.GetID() for volume in volumes if volume is not None}
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    return any(composite.GetBackgroundVolumeID() in ids for composite in composites)


def foreground(view: str) -> tuple[str | None, float]:
    """What lies over a view's image, a volume's node ID or None, and how opaque."""
    logic = slice_logic(view)
    if logic is None:
        return None, 0.0
    composite = logic.GetSliceCompositeNode()
    return composite.GetForegroundVolumeID(), composite.GetForegroundOpacity()


def show_foreground(view: str, volume_id: str | None, opacity: float) -> None:
    """A volume over a view's image; None: the image alone."""
    logic = slice_logic(view)
    if logic is not None:
        composite = logic.GetSliceCompositeNode()
        composite.SetForegroundVolumeID(volume_id)
        composite.SetForegroundOpacity(opacity)


def _arrange() -> bool:
    """A layout with three slice views and 3-D, unless one is there; whether the layout was changed."""
    manager = slicer.app.layoutManager()
    if manager is None:
        return False
    kind = slicer.vtkMRMLLayoutNode
    if manager.layout not in {getattr(kind, name) for name in _LAYOUTS if hasattr(kind, name)}:
        manager.setLayout(kind.SlicerLayoutFourUpView)
        return True
    return False

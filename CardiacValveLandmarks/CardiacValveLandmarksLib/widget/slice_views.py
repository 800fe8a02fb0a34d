"""The study in Slicer's slice views: one cine a view, turned to its plane and fitted. Does nothing without views."""

from __future__ import annotations

from collections.abc import Mapping

import slicer

#: which slice view shows which cine
PLACES = {"2CH": "Red", "3CH": "Green", "4CH": "Yellow"}


def slice_logic(view: str):
    """The logic of the slice view that shows a cine, or None where there is no such view."""
    return slicer.app.applicationLogic().GetSliceLogicByLayoutName(PLACES[view])


def show_study(volumes: Mapping[str, object], markups: Mapping[str, object]) -> None:
    """Put volumes, {view: proxy volume node}, into their slice views; views without one are emptied.

    markups: {view: fiducial node}; each is shown with its own cine only, and in 3-D.
    """
    _arrange()
    three_d = slicer.util.getNodesByClass("vtkMRMLViewNode")
    for view in PLACES:
        logic = slice_logic(view)
        if logic is None:
            continue
        volume = volumes.get(view)
        logic.GetSliceCompositeNode().SetBackgroundVolumeID(None if volume is None else volume.GetID())
        if volume is None:
            continue
        node = logic.GetSliceNode()
        node.RotateToVolumePlane(volume)
        logic.FitSliceToAll()
        logic.SnapSliceOffsetToIJK()
        if view in markups:
            markups[view].GetDisplayNode().SetViewNodeIDs([node.GetID(), *(each.GetID() for each in three_d)])


def show_foreground(view: str, volume, opacity: float = 0.6) -> None:
    """A volume over a view's image; None: the image alone."""
    logic = slice_logic(view)
    if logic is not None:
        composite = logic.GetSliceCompositeNode()
        composite.SetForegroundVolumeID(None if volume is None else volume.GetID())
        composite.SetForegroundOpacity(0.0 if volume is None else opacity)


def _arrange() -> None:
    """A layout with three slice views and 3-D, unless one is there."""
    manager = slicer.app.layoutManager()
    if manager is None:
        return
    kind = slicer.vtkMRMLLayoutNode
    if manager.layout not in (kind.SlicerLayoutFourUpView, kind.SlicerLayoutConventionalView):
        manager.setLayout(kind.SlicerLayoutFourUpView)

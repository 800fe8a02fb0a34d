"""Placing a landmark that is absent: the next click in its slice view puts it there."""

from __future__ import annotations

from collections.abc import Callable

import slicer

from ..mrml.scene import in_scene


class Placing:
    """One placement at a time with Slicer's own place mode. on_end(): called when it is over, placed or given up."""

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end = on_end
        self._node, self._index, self._observer = None, -1, None

    @property
    def active(self) -> bool:
        return self._node is not None

    def start(self, node, index: int) -> None:
        """Wait for a click that places control point `index` of a fiducial node."""
        self.stop()
        application = slicer.app.applicationLogic()
        self._node, self._index = node, index
        # a missing point is not offered for placing, an undefined one is
        node.UnsetNthControlPointPosition(index)
        node.SetControlPointPlacementStartIndex(index)
        selection, interaction = application.GetSelectionNode(), application.GetInteractionNode()
        selection.SetReferenceActivePlaceNodeClassName(node.GetClassName())
        selection.SetActivePlaceNodeID(node.GetID())
        interaction.SetPlaceModePersistence(0)
        interaction.SetCurrentInteractionMode(interaction.Place)
        event = interaction.InteractionModeChangedEvent
        self._observer = interaction, interaction.AddObserver(event, lambda *_: self._mode_changed())

    def stop(self) -> None:
        """Give up a placement under way: the point is absent as before."""
        if not self.active:
            return
        interaction, tag = self._observer
        interaction.RemoveObserver(tag)
        node, index = self._node, self._index
        self._node, self._observer = None, None
        if in_scene(node) and node.GetNthControlPointPositionStatus(index) != node.PositionDefined:
            node.SetNthControlPointPositionMissing(index)
        if interaction.GetCurrentInteractionMode() == interaction.Place:
            interaction.SetCurrentInteractionMode(interaction.ViewTransform)
        self._on_end()

    def _mode_changed(self) -> None:
        interaction, _ = self._observer
        if interaction.GetCurrentInteractionMode() != interaction.Place:
            self.stop()

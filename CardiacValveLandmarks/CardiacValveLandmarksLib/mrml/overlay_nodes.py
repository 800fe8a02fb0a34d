"""What a model makes of a frame, as a volume over its image: of the moment, and not saved with the scene."""

from __future__ import annotations

import numpy as np
import vtk

from .cine_nodes import image_of
from .scene import ATTRIBUTE_KIND, PREFIX, nodes_of_class

KIND = "overlay"
ROLE_OVERLAID = PREFIX + "Overlaid"
#: transparent below this part of the full value, which is this quantile of the values
_FLOOR, _FULL = 0.06, 0.999
KIND_COLOURS = "overlay colours"


def show_overlay(image_sequence, values: np.ndarray, name: str):
    """The volume node that lies on a cine's images with these values, (H, W) from 0; made, or filled anew."""
    scene = image_sequence.GetScene()
    node = overlay_of(image_sequence)
    if node is None:
        node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        node.SetAttribute(ATTRIBUTE_KIND, KIND)
        node.SetNodeReferenceID(ROLE_OVERLAID, image_sequence.GetID())
        node.SetSaveWithScene(False)
        node.SetHideFromEditors(True)
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetSaveWithScene(False)
    node.SetName(name)
    matrix = vtk.vtkMatrix4x4()
    image_sequence.GetNthDataNode(0).GetIJKToRASMatrix(matrix)
    node.SetIJKToRASMatrix(matrix)
    node.SetAndObserveImageData(image_of(np.asarray(values, dtype=np.float32)))
    display = node.GetDisplayNode()
    display.SetAndObserveColorNodeID(_colours(scene).GetID())
    full = max(float(np.quantile(values, _FULL)), 1e-12)
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(0.0, full)
    display.AutoThresholdOff()
    display.SetThreshold(_FLOOR * full, max(float(values.max()), full))
    display.SetApplyThreshold(True)
    return node


def _colours(scene):
    """Dark red to yellow, as the files of `cvl saliency` have it; one a scene."""
    for node in nodes_of_class("vtkMRMLColorTableNode", scene):
        if node.GetAttribute(ATTRIBUTE_KIND) == KIND_COLOURS:
            return node
    node = scene.AddNewNodeByClass("vtkMRMLColorTableNode", "overlay colours")
    node.SetAttribute(ATTRIBUTE_KIND, KIND_COLOURS)
    node.SetTypeToUser()
    node.SetNumberOfColors(256)
    for step in range(256):
        value = step / 255
        node.SetColor(step, str(step), min(1.0, 0.35 + value), value, 0.0, 1.0)
    node.SetSaveWithScene(False)
    node.SetHideFromEditors(True)
    return node


def overlay_of(image_sequence):
    """The overlay of this cine, or None."""
    for node in nodes_of_class("vtkMRMLScalarVolumeNode", image_sequence.GetScene()):
        if node.GetAttribute(ATTRIBUTE_KIND) == KIND and node.GetNodeReference(ROLE_OVERLAID) is image_sequence:
            return node
    return None

"""The scene's names and small helpers every module of this layer shares."""

from __future__ import annotations

import numpy as np
import slicer

#: prefix of every node attribute and reference role of this extension
PREFIX = "CardiacValveLandmarks."
#: layout of what the nodes hold; a scene of a later major version is refused, earlier ones are read
SCENE_VERSION = 1

ATTRIBUTE_VERSION = PREFIX + "SceneVersion"
ATTRIBUTE_KIND = PREFIX + "Kind"
ATTRIBUTE_VIEW = PREFIX + "View"
#: reference to the landmark sequence of the study's first view: unlike names and attributes, references stay right
#: when a scene is imported into another
ROLE_STUDY = PREFIX + "Study"

_LPS_RAS = np.array([-1.0, -1.0, 1.0])


def flip(points: np.ndarray) -> np.ndarray:
    """(..., 3) LPS mm -> RAS mm, and back."""
    return np.asarray(points, dtype=np.float64) * _LPS_RAS


def sequences_logic():
    """Slicer's sequences logic of the running application."""
    return slicer.app.applicationLogic().GetModuleLogic("Sequences")


def copied_index(source, name: str):
    """A new sequence in `source`'s scene with its index name, unit and type: what a browser needs to step both."""
    sequence = source.GetScene().AddNewNodeByClass("vtkMRMLSequenceNode", name)
    sequence.SetIndexName(source.GetIndexName())
    sequence.SetIndexUnit(source.GetIndexUnit())
    sequence.SetIndexType(source.GetIndexType())
    return sequence


def in_scene(node) -> bool:
    """Whether the node still belongs to a scene (a Python reference outlives its removal)."""
    return node is not None and node.GetScene() is not None and node.GetScene().IsNodePresent(node) > 0


def owned(class_name: str, kind: str, owner: str, scene) -> list:
    """The nodes of a class and kind that belong to the study with this landmark sequence ID."""
    return [
        node
        for node in slicer.util.getNodesByClass(class_name, scene)
        if node.GetAttribute(ATTRIBUTE_KIND) == kind and node.GetNodeReferenceID(ROLE_STUDY) == owner
    ]


def remove(node) -> None:
    """Take a node out of its scene together with its display and storage nodes, which would stay as orphans."""
    scene = node.GetScene()
    others = []
    if node.IsA("vtkMRMLDisplayableNode"):
        others += [node.GetNthDisplayNode(i) for i in range(node.GetNumberOfDisplayNodes())]
    if node.IsA("vtkMRMLStorableNode"):
        others.append(node.GetStorageNode())
    for one in (node, *others):
        if one is not None:
            scene.RemoveNode(one)

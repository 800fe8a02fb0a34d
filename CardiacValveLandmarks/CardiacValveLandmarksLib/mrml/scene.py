"""The scene's names and small helpers every module of this layer shares."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import slicer
import vtk

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


#: scenes beside the application's, each with its sequences logic: host.py
served: list[tuple[object, object]] = []


def sequences_logic(scene):
    """The sequences logic that serves this scene: the running application's, or one of our own."""
    for own, logic in served:
        if own is scene:
            return logic
    return slicer.app.applicationLogic().GetModuleLogic("Sequences")


def in_scene(node) -> bool:
    """Whether the node still belongs to a scene (a Python reference outlives its removal)."""
    return node is not None and node.GetScene() is not None and node.GetScene().IsNodePresent(node) > 0


def nodes_of_class(class_name: str, scene) -> list:
    """The scene's nodes of a class. Slicer's own `getNodesByClass` looks into the application's scene only."""
    found = scene.GetNodesByClass(class_name)
    # the collection comes with a reference of ours
    found.UnRegister(None)
    return [found.GetItemAsObject(i) for i in range(found.GetNumberOfItems())]


def owned(class_name: str, kind: str, owner: str, scene) -> list:
    """The nodes of a class and kind that belong to the study with this landmark sequence ID."""
    return [
        node
        for node in nodes_of_class(class_name, scene)
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


def is_placing(scene) -> bool:
    """Whether Slicer is in place mode."""
    interaction = None if scene is None else scene.GetFirstNodeByClass("vtkMRMLInteractionNode")
    return interaction is not None and interaction.GetCurrentInteractionMode() == interaction.Place


def watch_scene(
    scene,
    on_leaving: Callable[[object], None],
    on_removed: Callable[[object], None],
    on_closed: Callable[[], None],
) -> Callable[[], None]:
    """Call back when a node is about to leave the scene, when it has left, and when the scene is about to close.
    Returns what ends the watch."""

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def leaving(caller, event, node) -> None:
        if not caller.IsClosing():
            on_leaving(node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def removed(caller, event, node) -> None:
        on_removed(node)

    tags = [
        scene.AddObserver(scene.NodeAboutToBeRemovedEvent, leaving),
        scene.AddObserver(scene.NodeRemovedEvent, removed),
        scene.AddObserver(scene.StartCloseEvent, lambda caller, event: on_closed()),
    ]
    return lambda: [scene.RemoveObserver(tag) for tag in tags] and None

"""A MRML scene of our own with the logics that serve it: beside Slicer's scene, or outside Slicer on slicer-core.

Wired the way Slicer's application wires its scene. Nothing here replaces MRML.
"""

from __future__ import annotations

import tempfile
from functools import cache

import slicer
import vtk

from .scene import served

#: module name -> logic class, in the order Slicer loads them
LOGICS = {
    "Sequences": "vtkSlicerSequencesLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Colors": "vtkMRMLColorLogic",
    "Models": "vtkSlicerModelsLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Plots": "vtkSlicerPlotsLogic",
}


class SceneHost:
    """`scene`, its application logic and module logics (`logics`, by module name), and a temporary folder."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="cvl-scene-")
        self.temporaryPath = self._folder.name
        self.scene = slicer.vtkMRMLScene()
        self._cache = slicer.vtkCacheManager()
        self._cache.SetRemoteCacheDirectory(self.temporaryPath)
        self._data_io = slicer.vtkDataIOManager()
        self._data_io.SetCacheManager(self._cache)
        self.scene.SetCacheManager(self._cache)
        self.scene.SetDataIOManager(self._data_io)
        self.application_logic = slicer.vtkSlicerApplicationLogic()
        self.application_logic.SetTemporaryPath(self.temporaryPath)
        self.logics = {}
        # the application first, then the scene: a logic that gets its scene before its application misses nodes
        for name, logic_class in LOGICS.items():
            logic = getattr(slicer, logic_class)()
            logic.SetMRMLApplicationLogic(self.application_logic)
            self.logics[name] = logic
        self.scene.AddNewNodeByClass("vtkMRMLSelectionNode")
        self.scene.AddNewNodeByClass("vtkMRMLInteractionNode")
        self.application_logic.SetMRMLScene(self.scene)
        for name, logic in self.logics.items():
            self.application_logic.SetModuleLogic(name, logic)
            logic.SetMRMLScene(self.scene)
        served.append((self.scene, self.logics["Sequences"]))


@cache
def own_host() -> SceneHost:
    """One a process: logics and scenes that Python collects in any order it likes bring VTK down."""
    if not hasattr(slicer, "app"):
        # outside Slicer: every markup in a sequence warns of a selection node it does not need
        vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_ERROR)
    return SceneHost()

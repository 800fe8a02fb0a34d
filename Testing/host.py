"""A real MRML scene outside Slicer: slicer-core's own C++, wired by the library's own host.

`make_application()` sets `slicer.mrmlScene` and a small `slicer.app` stand-in: just what the extension's code and
`slicer.util` need of the application when there is no Qt (SLICER.md lists it). Nothing here replaces MRML.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import slicer
from CardiacValveLandmarksLib.mrml.host import SceneHost


class CoreIOManager:
    """The part of qSlicerCoreIOManager that slicer.util's load and save functions reach."""

    def __init__(self, scene) -> None:
        self._scene = scene

    def fileType(self, path: str) -> str:
        return "SequenceFile" if ".seq." in Path(path).name else "SceneFile"

    def fileWriterFileType(self, node) -> str:
        return "NodeFile"

    def loadNodes(self, kind: str, properties: dict, loaded=None, messages=None) -> bool:
        path = properties["fileName"]
        if kind == "SceneFile":
            if properties.get("clear", False):
                self._scene.Clear(0)
            if path.endswith(".mrb"):
                return bool(self._scene.ReadFromMRB(path, False))
            self._scene.SetURL(path)
            return bool(self._scene.Import())
        if kind == "SequenceFile":
            node = self._scene.AddNewNodeByClass("vtkMRMLSequenceNode", Path(path).name.split(".")[0])
            storage = self._scene.AddNewNodeByClass("vtkMRMLVolumeSequenceStorageNode")
            node.SetAndObserveStorageNodeID(storage.GetID())
            storage.SetFileName(path)
            if not storage.ReadData(node):
                self._scene.RemoveNode(node)
                self._scene.RemoveNode(storage)
                return False
            loaded.AddItem(node)
            return True
        raise NotImplementedError(f"the test host loads no {kind}")

    def saveNodes(self, kind: str, properties: dict, messages=None) -> bool:
        path = properties["fileName"]
        if kind == "SceneFile":
            if not path.endswith(".mrb"):
                raise NotImplementedError("the test host saves scenes as .mrb only")
            return bool(self._scene.WriteToMRB(path))
        node = self._scene.GetNodeByID(properties["nodeID"])
        storage = node.GetStorageNode()
        if storage is None:
            if not node.AddDefaultStorageNode(path):
                return False
            storage = node.GetStorageNode()
        storage.SetFileName(path)
        return bool(storage.WriteData(node))


class Application(SceneHost):
    """The `slicer.app` stand-in: scene, logics, no window."""

    majorVersion, minorVersion = 5, 13

    def __init__(self) -> None:
        super().__init__()
        self.exit_status: int | None = None
        self._io = CoreIOManager(self.scene)
        self._options = SimpleNamespace(runPythonAndExit=False)

    def applicationLogic(self):
        return self.application_logic

    def coreIOManager(self) -> CoreIOManager:
        return self._io

    def mrmlScene(self):
        return self.scene

    def layoutManager(self) -> None:
        return None

    def topLevelWidgets(self) -> list:
        return []

    def processEvents(self) -> None:
        pass

    def commandOptions(self) -> SimpleNamespace:
        return self._options

    def testingEnabled(self) -> bool:
        return True

    def exit(self, status: int) -> None:
        self.exit_status = status


_application: Application | None = None


def make_application() -> Application:
    """The application with an empty scene, installed as `slicer.mrmlScene` and `slicer.app`.

    One a process, as in Slicer: logics and scenes that Python collects in any order it likes bring VTK down.
    """
    global _application
    if _application is None:
        _application = Application()
    application = _application
    application.scene.Clear(0)
    application.exit_status = None
    slicer.app = application
    slicer.mrmlScene = application.scene
    slicer.modules = SimpleNamespace(
        **{
            name.lower(): SimpleNamespace(name=name, logic=lambda logic=logic: logic)
            for name, logic in application.logics.items()
        }
    )
    return application

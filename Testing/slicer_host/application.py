"""`slicer.app` with a window, and the host's modules under the names Slicer gives them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace

import host as mrml_host
import slicer
from PySide6 import QtCore, QtWidgets

from . import parameter_node, qt_names, scripted_module, widgets


class Signal:
    """A signal of an object that is no QObject here."""

    def __init__(self) -> None:
        self._slots: list[Callable] = []

    def connect(self, slot: Callable) -> None:
        self._slots.append(slot)

    def disconnect(self, slot: Callable) -> None:
        self._slots.remove(slot)

    def emit(self, *arguments) -> None:
        for slot in list(self._slots):
            slot(*arguments)


class LayoutManager:
    """The layout alone: which one, and how often it was changed."""

    def __init__(self, layout: int) -> None:
        self.layout, self.changes = layout, 0

    def setLayout(self, layout: int) -> None:
        self.layout, self.changes = layout, self.changes + 1


class WindowApplication(mrml_host.Application):
    """qSlicerApplication as scripts see it. `answers`: what the user says to questions; none: a question fails.
    `layout_manager`: a LayoutManager, None as where there are no views."""

    applicationName = "Slicer host"

    def __init__(self, main_window: bool) -> None:
        super().__init__()
        self.startupCompleted = Signal()
        self.layout_manager: LayoutManager | None = None
        self.window = None
        if main_window:
            self.window = QtWidgets.QMainWindow()
            self.window.setObjectName("qSlicerMainWindow")
        # what qSlicerSequencesModule does: step the browsers that play
        self._player = QtCore.QTimer()
        self._player.timeout.connect(self._step)
        self._player.start(20)

    def _step(self) -> None:
        self.logics["Sequences"].UpdateAllProxyNodes()

    def topLevelWidgets(self) -> list:
        return [] if self.window is None else [self.window]

    def layoutManager(self) -> LayoutManager | None:
        return self.layout_manager

    def processEvents(self) -> None:
        QtWidgets.QApplication.processEvents()

    def palette(self):
        return QtWidgets.QApplication.palette()

    def testingEnabled(self) -> bool:
        return False

    def setOverrideCursor(self, cursor) -> None:
        QtWidgets.QApplication.setOverrideCursor(cursor)

    def restoreOverrideCursor(self) -> None:
        QtWidgets.QApplication.restoreOverrideCursor()

    def end(self) -> None:
        """Stop the timers and let the scene go."""
        self._player.stop()
        self.scene.Clear(1)
        if self.window is not None:
            self.window.deleteLater()


@dataclass
class Host:
    """What `install` made: Qt's application, slicer.app, and the module's imported file."""

    qt_application: QtWidgets.QApplication
    application: WindowApplication
    module: ModuleType
    asked: list[str]
    _area: QtWidgets.QScrollArea | None = None

    def make_widget(self):
        """The module's widget, set up in a window of its own as Slicer's module panel does."""
        parent = slicer.qMRMLWidget()
        parent.setLayout(QtWidgets.QVBoxLayout())
        parent.setMRMLScene(slicer.mrmlScene)
        area = QtWidgets.QScrollArea()
        area.setWidgetResizable(True)
        area.setWidget(parent)
        area.resize(500, 900)
        if self.application.window is not None:
            self.application.window.setCentralWidget(area)
            self.application.window.resize(500, 900)
            self.application.window.show()
        else:
            self._area = area
            area.show()
        name = self.module.__name__
        widget = getattr(self.module, name + "Widget")(parent)
        widget.setup()
        return widget

    def process(self, seconds: float = 0.0, until: Callable[[], bool] | None = None) -> bool:
        """Handle events: once, for some seconds, or until something is so (True) or the time is up (False)."""
        timer = QtCore.QElapsedTimer()
        timer.start()
        while True:
            self.qt_application.processEvents(QtCore.QEventLoop.AllEvents, 10)
            if until is not None and until():
                return True
            if timer.elapsed() >= 1000 * seconds:
                return until is None
            QtCore.QThread.msleep(2)


def _module(name: str, **contents) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(contents)
    sys.modules[name] = module
    return module


_modules_made = False


def make_modules() -> None:
    """Once a process: classes of Qt are changed for good."""
    global _modules_made
    if _modules_made:
        return
    sys.modules["qt"] = qt_names.make_module({**widgets.CTK, **widgets.MRML})
    _module("ctk", **widgets.CTK)
    for name, cls in widgets.MRML.items():
        setattr(slicer, name, cls)
    slicer.ScriptedLoadableModule = _module(
        "slicer.ScriptedLoadableModule",
        **{name: getattr(scripted_module, name) for name in dir(scripted_module) if name.startswith("Scripted")},
    )
    slicer.i18n = _module("slicer.i18n", tr=lambda text: text, translate=lambda context, text: text)
    slicer.parameterNodeWrapper = _module(
        "slicer.parameterNodeWrapper",
        parameterNodeWrapper=parameter_node.parameterNodeWrapper,
        WithinRange=parameter_node.WithinRange,
    )
    _modules_made = True


def install(module_path: Path, main_window: bool = True, answers: list[bool] | None = None) -> Host:
    """A fresh scene and application with the scripted module at `module_path` imported as Slicer would.

    answers: what the user says to the questions to come, in order; a question with no answer left fails, because in
    Slicer it would stop everything. `Host.asked` has the questions.
    """
    qt_application = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["host"])
    QtCore.QCoreApplication.setOrganizationName("CardiacValveLandmarksTests")
    make_modules()
    application = WindowApplication(main_window)
    slicer.app, slicer.mrmlScene = application, application.scene
    name = module_path.stem
    slicer.modules = SimpleNamespace(
        **{
            key.lower(): SimpleNamespace(name=key, logic=lambda logic=logic: logic)
            for key, logic in application.logics.items()
        },
        **{name.lower(): SimpleNamespace(name=name, path=str(module_path))},
    )
    asked: list[str] = []
    waiting = list(answers or [])

    def confirm(text, *_, **__):
        asked.append(text)
        if not waiting:
            raise AssertionError(f"a question nobody was to be asked: {text}")
        return waiting.pop(0)

    for function in ("confirmOkCancelDisplay", "confirmYesNoDisplay"):
        setattr(slicer.util, function, confirm)
    if str(module_path.parent) not in sys.path:
        sys.path.insert(0, str(module_path.parent))
    module = importlib.import_module(name)
    parent = SimpleNamespace(path=str(module_path))
    getattr(module, name)(parent)
    return Host(qt_application, application, module, asked)

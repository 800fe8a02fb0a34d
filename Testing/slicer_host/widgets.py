"""Stand-ins for the CTK and MRML widgets that .ui files name; as much of each as scripted modules commonly use."""

from __future__ import annotations

import shiboken6
import slicer
from PySide6 import QtGui, QtWidgets
from PySide6.QtCore import Property, Signal


class ctkCollapsibleButton(QtWidgets.QWidget):
    """A titled section that folds."""

    contentsCollapsed = Signal(bool)
    _HEADER = 24

    def __init__(self, parent=None) -> None:
        super().__init__(parent)
        self._text, self._collapsed = "", False
        self.setContentsMargins(0, self._HEADER, 0, 0)

    def _get_text(self) -> str:
        return self._text

    def setText(self, text: str) -> None:
        self._text = text
        self.update()

    def _get_collapsed(self) -> bool:
        return self._collapsed

    def setCollapsed(self, collapsed: bool) -> None:
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        for child in self.children():
            if child.isWidgetType():
                child.setVisible(not collapsed)
        self.setMaximumHeight(self._HEADER + 4 if collapsed else 16777215)
        self.contentsCollapsed.emit(collapsed)
        self.update()

    text = Property(str, _get_text, setText)
    collapsed = Property(bool, _get_collapsed, setCollapsed)

    def mousePressEvent(self, event) -> None:
        if event.position().y() < self._HEADER:
            self.setCollapsed(not self._collapsed)

    def paintEvent(self, event) -> None:
        painter = QtGui.QPainter(self)
        painter.fillRect(0, 0, QtWidgets.QWidget.width.fget(self), self._HEADER, QtGui.QColor(225, 228, 233))
        painter.drawText(8, 17, ("▸ " if self._collapsed else "▾ ") + self._text)
        painter.end()


class ctkPathLineEdit(QtWidgets.QWidget):
    """A line for a path. Filters are kept, not applied."""

    Dirs, Files, Writable, Readable, Executable, NoDot, NoDotDot = 1, 2, 32, 16, 64, 8192, 16384
    currentPathChanged = Signal(str)

    def __init__(self, parent=None) -> None:
        super().__init__(parent)
        self.filters = self.Dirs
        self.settingKey = ""
        self._line = QtWidgets.QLineEdit(self)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._line)
        self._line.textChanged.connect(self.currentPathChanged.emit)

    def _path(self) -> str:
        return self._line.text

    def setCurrentPath(self, path: str) -> None:
        self._line.setText(path)

    currentPath = Property(str, _path, setCurrentPath)


class qMRMLWidget(QtWidgets.QWidget):
    """A widget that is told the scene."""

    def __init__(self, parent=None) -> None:
        super().__init__(parent)
        self._scene = None

    def setMRMLScene(self, scene) -> None:
        self._scene = scene

    def mrmlScene(self):
        return self._scene


class _SortFilterProxyModel:
    """The part of the combo box's model that scripts reach: nodes left out by ID."""

    def __init__(self, changed) -> None:
        self._hidden, self._changed = (), changed

    @property
    def hiddenNodeIDs(self):
        return self._hidden

    @hiddenNodeIDs.setter
    def hiddenNodeIDs(self, identifiers) -> None:
        self._hidden = tuple(identifiers)
        self._changed()


class qMRMLNodeComboBox(QtWidgets.QComboBox):
    """A list of the scene's nodes of some types, kept current."""

    currentNodeChanged = Signal(object)

    def __init__(self, parent=None) -> None:
        super().__init__(parent)
        self._scene, self._tags, self._ids, self._current = None, [], [], ""
        self._model = _SortFilterProxyModel(self._refill)
        self.activated.connect(self._chosen)

    def setMRMLScene(self, scene) -> None:
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._scene = scene
        events = (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent, scene.EndImportEvent)
        self._tags = [scene.AddObserver(event, lambda *_: self._refill()) for event in events]
        self._refill()

    def sortFilterProxyModel(self) -> _SortFilterProxyModel:
        return self._model

    def nodeCount(self) -> int:
        return len([i for i in self._ids if i])

    def currentNode(self):
        return self._scene.GetNodeByID(self._current) if self._scene is not None and self._current else None

    def _get_id(self) -> str:
        return self._current

    def setCurrentNodeID(self, identifier: str) -> None:
        identifier = identifier or ""
        if identifier == self._current:
            return
        self._current = identifier if identifier in self._ids else ""
        self._show()
        self.currentNodeChanged.emit(self.currentNode())

    currentNodeID = Property(str, _get_id, setCurrentNodeID)

    def setCurrentNode(self, node) -> None:
        self.setCurrentNodeID("" if node is None else node.GetID())

    def _refill(self) -> None:
        if not shiboken6.isValid(self):
            return
        types = self.property("nodeTypes") or []
        nodes = [node for kind in types for node in slicer.util.getNodesByClass(kind, self._scene)]
        shown = [n for n in nodes if not n.GetHideFromEditors() and n.GetID() not in self._model.hiddenNodeIDs]
        self._ids = [""] + [node.GetID() for node in shown]
        blocked = self.blockSignals(True)
        self.clear()
        self.addItem("None" if self.property("noneDisplay") is None else self.property("noneDisplay"))
        for node in shown:
            self.addItem(node.GetName())
        self.blockSignals(blocked)
        if self._current and self._current not in self._ids:
            self._current = ""
            self.currentNodeChanged.emit(None)
        self._show()

    def _show(self) -> None:
        self.setCurrentIndex(self._ids.index(self._current) if self._current in self._ids else 0)

    def _chosen(self, index: int) -> None:
        self.setCurrentNodeID(self._ids[index])


CTK = {"ctkCollapsibleButton": ctkCollapsibleButton, "ctkPathLineEdit": ctkPathLineEdit}
MRML = {"qMRMLWidget": qMRMLWidget, "qMRMLNodeComboBox": qMRMLNodeComboBox}

"""The panel's code keeps to what PythonQt (Slicer) and PySide6 (these tests) both understand.

Read, not run: what only PySide6 has would pass every other test here and fail in Slicer.
"""

import ast
from pathlib import Path

import CardiacValveLandmarksLib
import pytest

WIDGET = Path(CardiacValveLandmarksLib.__file__).parent / "widget"
FILES = [*sorted(WIDGET.glob("*.py")), WIDGET.parents[1] / "CardiacValveLandmarks.py"]
#: Qt properties: PythonQt reads them without parentheses, and has no second name for the flags
READ = {
    "text",
    "value",
    "checked",
    "currentIndex",
    "currentText",
    "width",
    "height",
    "toolTip",
    "styleSheet",
    "objectName",
    "title",
    "enabled",
}
FLAGS = {"isChecked", "isEnabled", "isVisible", "isCheckable", "isHidden"}
#: return a tuple in PySide6 and a string in PythonQt
TUPLES = {"getOpenFileName", "getSaveFileName", "getOpenFileNames", "getText", "getInt", "getDouble", "getItem"}
#: made for PySide6, or not to be called from Python in both
MISSING = {"Signal", "Slot", "Property", "QSignalBlocker"}
#: virtual functions: PythonQt calls those of Python subclasses of some classes only; event filters are documented
HANDLERS = {
    "paintEvent",
    "mousePressEvent",
    "mouseMoveEvent",
    "resizeEvent",
    "keyPressEvent",
    "showEvent",
    "closeEvent",
    "event",
}


def chain(node) -> list[str]:
    """["qt", "Qt", "AlignLeft"] of `qt.Qt.AlignLeft`; [] where it begins with something else than a name."""
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return [*reversed([*names, node.id])] if isinstance(node, ast.Name) else []


def faults(tree) -> list[tuple[int, str]]:
    found = []

    def fault(node, text: str) -> None:
        found.append((node.lineno, text))

    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom | ast.Import):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            if any(name.split(".")[0] in ("PySide6", "PyQt5", "PyQt6", "shiboken6", "__feature__") for name in names):
                fault(node, "a binding of its own")
        if isinstance(node, ast.FunctionDef) and node.name in HANDLERS:
            fault(node, f"{node.name} overridden")
        if isinstance(node, ast.Attribute):
            names = chain(node)
            if names[:1] == ["qt"]:
                if names[1] in MISSING:
                    fault(node, f"qt.{names[1]}")
                if len(names) > 3 and names[2][:1].isupper():
                    fault(node, f"scoped enumeration {'.'.join(names)}")
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        if chain(function)[:1] in (["qt"], ["ctk"]) and node.keywords:
            fault(node, "keywords of a Qt constructor")
        if not isinstance(function, ast.Attribute):
            continue
        # table items are no QObjects: they have methods
        of_item = isinstance(function.value, ast.Name) and function.value.id in ("item", "event")
        if function.attr in FLAGS or (function.attr in READ and not node.args and not of_item):
            fault(node, f"{function.attr}() called")
        if function.attr in TUPLES or function.attr in ("exec", "exec_", "emit"):
            fault(node, f"{function.attr}()")
        if function.attr == "connect" and (len(node.args) != 1 or node.keywords):
            fault(node, "connect with more than the slot")
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_only_what_both_understand(file):
    assert faults(ast.parse(file.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "line",
    [
        "from PySide6 import QtCore",
        "changed = qt.Signal(int)",
        "label.setText(edit.text())",
        "if box.isChecked(): pass",
        "x = qt.Qt.AlignmentFlag.AlignLeft",
        "qt.QPushButton(text='a')",
        "name, _ = qt.QFileDialog.getOpenFileName(None, '')",
        "button.clicked.connect(slot, qt.Qt.QueuedConnection)",
        "button.clicked.emit()",
        "dialog.exec()",
        "with qt.QSignalBlocker(box): pass",
        "class A(qt.QLabel):\n    def paintEvent(self, event): pass",
    ],
)
def test_the_check_sees_what_it_is_for(line):
    assert len(faults(ast.parse(line))) == 1, line

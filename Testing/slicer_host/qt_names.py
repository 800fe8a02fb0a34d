"""The module `qt` as PythonQt offers it: all Qt names flat, and Qt properties read without parentheses.

PythonQt reads `button.text`, PySide6 `button.text()`. Here every Qt property of the classes becomes a Python property,
so that code which would fail in Slicer (`button.text()`) fails here as well. Setters stay as they are in both.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

#: overridden in C++: Shiboken looks these up by name to call them back, a property there would be called
_VIRTUAL = {"sizeHint", "minimumSizeHint"}


def _check_references() -> None:
    """ImportError where this PySide6 (6.12 on Python 3.11) loses a reference to None a call, which ends in a crash."""
    thing = QtCore.QObject()
    before = sys.getrefcount(None)
    for _ in range(1000):
        thing.setObjectName("")
    if sys.getrefcount(None) < before - 500:
        raise ImportError(
            f"PySide6 {QtCore.__version__} loses references on this Python; install PySide6-Essentials==6.10.1"
        )


_check_references()


def _read_like_python_qt(cls: type) -> None:
    """Turn the Qt properties that `cls` itself declares into Python properties."""
    meta = cls.staticMetaObject
    for index in range(meta.propertyOffset(), meta.propertyCount()):
        name = meta.property(index).name()
        capital = name[0].upper() + name[1:]
        getter = getattr(cls, "is" + capital, None) or getattr(cls, name, None)
        if name in _VIRTUAL or not callable(getter) or isinstance(getter, property):
            continue
        setter = getattr(cls, "set" + capital, None)
        setattr(cls, name, property(getter, setter))


def make_module(custom_widgets: dict[str, type]) -> ModuleType:
    """The `qt` module. custom_widgets: class name in .ui files -> stand-in that the loader makes."""
    module = ModuleType("qt")
    classes = []
    for source in (QtCore, QtGui, QtWidgets):
        for name in dir(source):
            if not name.startswith("_"):
                value = getattr(source, name)
                setattr(module, name, value)
                if isinstance(value, type) and issubclass(value, QtCore.QObject):
                    classes.append(value)
    single_shot = QtCore.QTimer.singleShot
    for cls in sorted(set(classes), key=lambda c: len(c.__mro__)):
        _read_like_python_qt(cls)
    # a function in Slicer (slicerqt.py), though Qt has a property of that name
    QtCore.QTimer.singleShot = staticmethod(single_shot)
    # PythonQt knows an object's name by both words
    QtCore.QObject.name = QtCore.QObject.objectName

    class Loader(QtUiTools.QUiLoader):
        """`qt.QUiLoader`: knows Slicer's and CTK's widgets, as Slicer's designer plug-ins do."""

        def createWidget(self, class_name, parent=None, name=""):
            if class_name in custom_widgets:
                widget = custom_widgets[class_name](parent)
                widget.setObjectName(name)
                return widget
            return super().createWidget(class_name, parent, name)

    module.QUiLoader = Loader
    return module

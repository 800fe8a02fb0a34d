"""`slicer.parameterNodeWrapper`, small: typed properties over a vtkMRMLScriptedModuleNode, tied to widgets.

Types: bool, int (Annotated with WithinRange), float, str, MRML node classes. As in Slicer, a widget takes part when it
carries the dynamic property SlicerParameterName, and only the exact widget class of a type is accepted.
"""

from __future__ import annotations

import typing
from dataclasses import dataclass

import slicer
import vtk
from PySide6 import QtWidgets

from .widgets import qMRMLNodeComboBox

_NAME = "SlicerParameterName"


@dataclass(frozen=True)
class WithinRange:
    """Annotation: limits of a number."""

    minimum: float
    maximum: float


@dataclass(frozen=True)
class _Parameter:
    name: str
    kind: type
    default: object
    limits: WithinRange | None

    @property
    def is_node(self) -> bool:
        return issubclass(self.kind, slicer.vtkMRMLNode)

    def read(self, node):
        if self.is_node:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        return text == "True" if self.kind is bool else self.kind(text)

    def write(self, node, value) -> None:
        if self.is_node:
            node.SetNodeReferenceID(self.name, None if value is None else value.GetID())
            return
        if not isinstance(value, self.kind):
            raise ValueError(f"{self.name}: expected {self.kind.__name__}, found {value!r}")
        if self.limits is not None and not self.limits.minimum <= value <= self.limits.maximum:
            raise ValueError(f"{self.name}: {value} is not within {self.limits}")
        node.SetParameter(self.name, str(value))


class _Connection:
    """One widget and one parameter."""

    _WIDGETS: typing.ClassVar = {
        QtWidgets.QCheckBox: (bool, "checked", "toggled"),
        QtWidgets.QSpinBox: (int, "value", "valueChanged"),
        QtWidgets.QLineEdit: (str, "text", "textChanged"),
    }

    def __init__(self, wrapper, parameter: _Parameter, widget) -> None:
        self.parameter, self.widget, self._wrapper = parameter, widget, wrapper
        if type(widget) is qMRMLNodeComboBox and parameter.is_node:
            self._signal, self._property = widget.currentNodeChanged, None
        else:
            kind, self._property, signal = self._WIDGETS.get(type(widget), (None, "", ""))
            if kind is not parameter.kind:
                raise RuntimeError(f"no connector from {parameter.kind} to {type(widget)}")
            if parameter.limits is not None:
                widget.setRange(parameter.limits.minimum, parameter.limits.maximum)
            self._signal = getattr(widget, signal)
        self.show()
        self._signal.connect(self._changed)

    def show(self) -> None:
        value = self.parameter.read(self._wrapper.parameterNode)
        if self._property is None:
            self.widget.setCurrentNode(value)
        else:
            setattr(self.widget, self._property, value)

    def _changed(self, *_) -> None:
        if not self._wrapper._updating:
            value = self.widget.currentNode() if self._property is None else getattr(self.widget, self._property)
            self.parameter.write(self._wrapper.parameterNode, value)

    def end(self) -> None:
        self._signal.disconnect(self._changed)


class _Wrapper:
    """What the decorator adds to a class of annotations."""

    def __init__(self, parameterNode, prefix=None) -> None:
        self.parameterNode = parameterNode
        self._guis: dict[int, list[_Connection]] = {}
        self._updating = False
        for parameter in self.allParameters.values():
            is_set = (
                parameterNode.GetNodeReferenceID(parameter.name)
                if parameter.is_node
                else parameter.name in parameterNode.GetParameterNames()
            )
            if not is_set:
                parameter.write(parameterNode, parameter.default)

    def connectGui(self, gui) -> None:
        """As in Slicer: it connects, and gives nothing to disconnect by."""
        named = ((widget, widget.property(_NAME)) for widget in gui.__dict__.values())
        self.connectParametersToGui({name: widget for widget, name in named if name})

    def connectParametersToGui(self, mapping) -> int:
        connections = [_Connection(self, self.allParameters[name], widget) for name, widget in mapping.items()]
        tag = len(self._guis)
        self._guis[tag] = connections
        self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._show())
        return tag

    def disconnectGui(self, tag) -> None:
        for connection in self._guis.pop(tag, ()):
            connection.end()

    def _show(self) -> None:
        if self._updating:
            return
        self._updating = True
        try:
            for connections in self._guis.values():
                for connection in connections:
                    connection.show()
        finally:
            self._updating = False

    def AddObserver(self, event, callback, priority=0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag) -> None:
        self.parameterNode.RemoveObserver(tag)

    def StartModify(self) -> int:
        return self.parameterNode.StartModify()

    def EndModify(self, before) -> None:
        self.parameterNode.EndModify(before)

    def Modified(self) -> None:
        self.parameterNode.Modified()


def parameterNodeWrapper(cls):
    """Class decorator, as `slicer.parameterNodeWrapper.parameterNodeWrapper`."""
    parameters = {}
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        kind, limits = hint, None
        if typing.get_origin(hint) is typing.Annotated:
            kind, *notes = typing.get_args(hint)
            limits = next((note for note in notes if isinstance(note, WithinRange)), None)
        neutral = None if issubclass(kind, slicer.vtkMRMLNode) else kind()
        parameters[name] = _Parameter(name, kind, getattr(cls, name, neutral), limits)
    members = {"allParameters": parameters, "__doc__": cls.__doc__, "__module__": cls.__module__}
    for name, parameter in parameters.items():
        members[name] = property(
            lambda self, p=parameter: p.read(self.parameterNode),
            lambda self, value, p=parameter: p.write(self.parameterNode, value),
        )
    return type(cls.__name__, (_Wrapper,), members)

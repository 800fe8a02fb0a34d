"""Measures and curves of a study as table and plot nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from .scene import ATTRIBUTE_KIND, ROLE_STUDY, owned

if TYPE_CHECKING:
    from ..measure_builder import Curve, Measure
    from ..study import Study

KIND_MEASURES = "measures"
KIND_CURVES = "curves"
KIND_SERIES = "series"
KIND_CHART = "chart"
#: curves a chart begins with; the others have their series beside them
_FIRST_SHOWN = "excursion_"
#: Okabe and Ito's palette, told apart by colour-blind people
_COLOURS = (
    (0.902, 0.624, 0.0),
    (0.337, 0.706, 0.914),
    (0.0, 0.620, 0.451),
    (0.0, 0.447, 0.698),
    (0.835, 0.369, 0.0),
    (0.800, 0.475, 0.655),
    (0.4, 0.4, 0.4),
)


def show_measures(study: Study, owner: str, scene=None) -> dict[str, object]:
    """{"measures": table, "curves": table, "chart": plot chart} of the study.

    owner: `LandmarkNodes.study` of the landmarks they come from; what was shown for it before is updated in place.
    """
    scene = scene or slicer.mrmlScene
    measures = _node("vtkMRMLTableNode", KIND_MEASURES, "Valve measures", owner, scene)
    _fill(
        measures,
        {
            "measure": [m.name for m in study.measures],
            "value": [m.value for m in study.measures],
            "SD": [m.uncertainty for m in study.measures],
            "unit": [m.unit for m in study.measures],
            "note": [_note(m) for m in study.measures],
            "reference": [m.reference for m in study.measures],
            "definition": [m.definition for m in study.measures],
            "key": [m.key for m in study.measures],
        },
    )
    curves = _node("vtkMRMLTableNode", KIND_CURVES, "Valve curves", owner, scene)
    columns = {"phase, %": 100 * study.phases} | {_column(curve): curve.values for curve in study.curves}
    _fill(curves, columns)
    return {"measures": measures, "curves": curves, "chart": _chart(study, curves, owner, scene)}


def update_measures(tables: Mapping[str, object], measures: Sequence[Measure], curves: Sequence[Curve]) -> None:
    """Write these into the tables of `show_measures`, where they have a place; the others stay."""
    table = tables["measures"].GetTable()
    keys, values, spreads = (table.GetColumnByName(name) for name in ("key", "value", "SD"))
    rows = {keys.GetValue(row): row for row in range(keys.GetNumberOfValues())}
    for measure in measures:
        if measure.key in rows:
            values.SetValue(rows[measure.key], measure.value)
            spreads.SetValue(rows[measure.key], measure.uncertainty)
    table.Modified()
    table = tables["curves"].GetTable()
    for curve in curves:
        column = table.GetColumnByName(_column(curve))
        if column is not None:
            numpy_support.vtk_to_numpy(column)[:] = curve.values
            column.Modified()
    table.Modified()


def _note(measure) -> str:
    marks = [
        text for text, is_so in (("approximate", measure.approximate), ("assumed shape", measure.assumed)) if is_so
    ]
    return "; ".join([*marks, *([measure.note] if measure.note else [])])


def _column(curve: Curve) -> str:
    return f"{curve.name}, {curve.unit}" if curve.unit else curve.name


def _chart(study: Study, table, owner: str, scene):
    chart = _node("vtkMRMLPlotChartNode", KIND_CHART, "Valve excursion", owner, scene)
    chart.RemoveAllPlotSeriesNodeIDs()
    for node in owned("vtkMRMLPlotSeriesNode", KIND_SERIES, owner, scene):
        scene.RemoveNode(node)
    for number, curve in enumerate(c for c in study.curves if c.key.startswith(_FIRST_SHOWN)):
        series = scene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", curve.name)
        series.SetAttribute(ATTRIBUTE_KIND, KIND_SERIES)
        series.SetNodeReferenceID(ROLE_STUDY, owner)
        series.SetAndObserveTableNodeID(table.GetID())
        series.SetXColumnName("phase, %")
        series.SetYColumnName(_column(curve))
        series.SetPlotType(series.PlotTypeScatter)
        series.SetMarkerStyle(series.MarkerStyleNone)
        series.SetColor(*_COLOURS[number % len(_COLOURS)])
        chart.AddAndObservePlotSeriesNodeID(series.GetID())
    chart.SetTitle("Excursion of the valves' insertion points")
    chart.SetXAxisTitle("phase of the beat, %")
    chart.SetYAxisTitle("mm")
    return chart


def _fill(table, columns: dict[str, list]) -> None:
    """Replace a table's content; numbers as doubles, the rest as text."""
    content = vtk.vtkTable()
    for name, values in columns.items():
        numeric = isinstance(values, np.ndarray) or (values and isinstance(values[0], float))
        array = vtk.vtkDoubleArray() if numeric else vtk.vtkStringArray()
        array.SetName(name)
        for value in values:
            array.InsertNextValue(float(value) if numeric else str(value))
        content.AddColumn(array)
    table.SetAndObserveTable(content)
    table.SetLocked(True)
    table.SetUseColumnTitleAsColumnHeader(True)


def _node(class_name: str, kind: str, name: str, owner: str, scene):
    found = owned(class_name, kind, owner, scene)
    if found:
        return found[0]
    node = scene.AddNewNodeByClass(class_name, name)
    node.SetAttribute(ATTRIBUTE_KIND, kind)
    node.SetNodeReferenceID(ROLE_STUDY, owner)
    return node

"""Measures that follow: while a point is dragged, and after it was dropped."""

import numpy as np
import pytest
import slicer
from CardiacValveLandmarksLib.landmarks import VIEWS
from panel_helpers import stored


@pytest.fixture
def measured(study, host):
    """The panel after a measurement."""
    study.ui.measureButton.click()
    assert host.process(120, until=lambda: not study.busy)
    assert study.measures.result is not None, study.ui.messageLabel.text
    return study


def cell(panel, key: str) -> str:
    row = next(row for row, measure in enumerate(panel.measures._listed) if measure.key == key)
    return panel.ui.measuresTable.item(row, 1).text()


def in_scene(kind: str, key: str) -> float:
    """A value of the measures' table node, or the largest of a curve's column."""
    for node in slicer.util.getNodesByClass("vtkMRMLTableNode"):
        table = node.GetTable()
        if kind == "measures" and table.GetColumnByName("key") is not None:
            keys = table.GetColumnByName("key")
            row = next(r for r in range(keys.GetNumberOfValues()) if keys.GetValue(r) == key)
            return table.GetColumnByName("value").GetValue(row)
        if kind == "curves" and table.GetColumnByName(key) is not None:
            return max(table.GetColumnByName(key).GetValue(row) for row in range(table.GetNumberOfRows()))
    raise AssertionError(f"no {key}")


def test_a_dragged_point_takes_its_measures_along(measured, host):
    panel, node = measured, measured.logic.landmarksNode("4CH")
    panel.review.select("4CH", 10)
    frame = 5
    panel.ui.frameSlider.setValue(frame)
    first, shown, ring = panel.measures.result, cell(panel, "tapse"), cell(panel, "mitral_area_ed")
    assert "±" in shown
    start = stored(panel, "4CH")[frame, 9]
    toward = stored(panel, "4CH")[frame, 10] - start
    values, peaks = [], []
    node.InvokeEvent(node.PointStartInteractionEvent)
    for step in (2.0, 4.0, 6.0):
        node.SetNthControlPointPosition(9, *(start + step * toward / np.linalg.norm(toward)))
        host.process(0.05)
        values.append(in_scene("measures", "tapse"))
        peaks.append(in_scene("curves", "excursion tricuspid free wall (4CH), mm"))
        assert cell(panel, "tapse") == f"{values[-1]:.1f} mm"
    assert len(set(values)) == len(set(peaks)) == 3, "table and plot follow every mouse move"
    assert cell(panel, "mitral_area_ed") == ring and panel.measures.result is first
    node.InvokeEvent(node.PointEndInteractionEvent)
    assert "in a moment" in panel.ui.measureLabel.text
    assert host.process(120, until=lambda: panel.measures.result is not first)
    assert host.process(20, until=lambda: not panel.measures.worker.running)
    assert not panel.measures.outdated and "±" in cell(panel, "tapse")
    assert cell(panel, "tapse") != shown and not panel.busy
    assert panel.views() == list(VIEWS) and host.asked == []


def test_undo_brings_the_measures_back(measured, host):
    first = measured.measures.result
    measured.logic.setPosition("4CH", 3, 10, stored(measured, "4CH")[3, 9] + [3.0, 0, 0])
    assert host.process(120, until=lambda: measured.measures.result is not first)
    assert host.process(20, until=lambda: not measured.measures.worker.running)
    measured.ui.undoButton.click()
    second = measured.measures.result
    assert host.process(120, until=lambda: measured.measures.result is not second)
    assert measured.measures.result.measure("tapse").value == pytest.approx(first.measure("tapse").value)


def test_a_scene_closed_while_it_measures_again(measured, host):
    measured.logic.setAbsent("4CH", 3, 10)
    assert host.process(20, until=lambda: measured.measures.worker.running)
    slicer.mrmlScene.Clear(0)
    assert host.process(60, until=lambda: not measured.measures.worker.running)
    assert not slicer.util.getNodesByClass("vtkMRMLMarkupsNode") and measured.measures.result is None

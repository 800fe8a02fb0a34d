"""Rings, tables and plots of a study in the scene."""

import numpy as np
import pytest
import slicer
from CardiacValveLandmarksLib.mrml.annulus_nodes import phase_items, rings_browser
from CardiacValveLandmarksLib.mrml.cine_nodes import sequence_from_cine
from CardiacValveLandmarksLib.mrml.logic import StudyLogic
from CardiacValveLandmarksLib.phantom.cines import synthetic_study
from CardiacValveLandmarksLib.study import StudySettings
from CardiacValveLandmarksLib.study_build import build_study
from synthetic import Result


@pytest.fixture(scope="module")
def heart():
    return synthetic_study(0, frames=12, shape=(64, 64), spacing=4.0)


@pytest.fixture(scope="module")
def settings():
    return StudySettings(motion_check=False, samples=20, phases=16)


@pytest.fixture(scope="module")
def built(heart, settings):
    return build_study([(item.cine, item.truth) for item in heart.items], settings)


@pytest.fixture
def logic(app, heart):
    truth = {item.kind: item.truth for item in heart.items}
    logic = StudyLogic(lambda cine, *, view, **options: Result(truth[view], view, 1.0))
    logic.detect({item.kind: sequence_from_cine(item.cine) for item in heart.items})
    yield logic
    logic.cleanup()


def ring_points(node):
    return slicer.util.arrayFromMarkupsControlPoints(node)


def test_the_study_is_built_of_what_the_scene_holds(logic, settings, built):
    study = logic.study(settings)
    assert [a.valve for a in study.annuli] == [a.valve for a in built.annuli]
    assert study.annulus("mitral").nodes == pytest.approx(built.annulus("mitral").nodes, abs=1e-6)


def test_rings_are_closed_curves_that_follow_the_phase(logic, built):
    nodes = logic.showStudy(built)
    browser = rings_browser(logic._current().view("2CH").nodes.study)
    assert browser.GetNumberOfItems() == 16
    for view in ("2CH", "4CH"):
        items = phase_items(built, view)
        for frame in (5, 0, 11):
            logic.browserNode(view).SetSelectedItemNumber(frame)
            assert browser.GetSelectedItemNumber() == items[frame]
            for annulus in built.annuli:
                expected = annulus.nodes[items[frame]] * [-1, -1, 1]
                assert ring_points(nodes[annulus.valve]) == pytest.approx(expected, abs=1e-6)
    mitral = nodes["mitral"]
    assert mitral.GetLocked() and mitral.GetCurveClosed()
    assert mitral.GetCurveLengthWorld() == pytest.approx(
        np.linalg.norm(np.diff(ring_points(mitral), axis=0, append=ring_points(mitral)[:1]), axis=1).sum(), rel=1e-6
    )
    assert "assumed" in nodes["tricuspid"].GetName() and "assumed" not in mitral.GetName()


def test_every_frame_has_its_nearest_phase(built):
    view = built.view("4CH")
    for frame, item in enumerate(phase_items(built, "4CH")):
        apart = abs((built.phases[item] - view.phases[frame] + 0.5) % 1 - 0.5)
        assert apart <= 0.5 / len(built.phases) + 1e-9


def test_tables_and_plot(logic, built):
    nodes = logic.showStudy(built)
    table = nodes["measures"].GetTable()
    keys = [table.GetColumnByName("key").GetValue(row) for row in range(table.GetNumberOfRows())]
    assert keys == [measure.key for measure in built.measures]
    row = keys.index("mapse_septal")
    assert table.GetColumnByName("value").GetValue(row) == pytest.approx(built.measure("mapse_septal").value)
    curves = nodes["curves"].GetTable()
    assert curves.GetNumberOfRows() == 16 and curves.GetNumberOfColumns() == 1 + len(built.curves)
    chart = nodes["chart"]
    shown = [chart.GetNthPlotSeriesNode(i) for i in range(chart.GetNumberOfPlotSeriesNodes())]
    assert len(shown) == sum(curve.key.startswith("excursion_") for curve in built.curves)
    assert all(curves.GetColumnByName(series.GetYColumnName()) is not None for series in shown)


def test_showing_again_replaces_and_another_study_stays(logic, built, heart):
    first = logic.showStudy(built)
    count = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLMarkupsClosedCurveNode")
    nodes = slicer.mrmlScene.GetNumberOfNodes()
    again = logic.showStudy(built)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLMarkupsClosedCurveNode") == count == 3
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes
    assert again["measures"] is first["measures"]
    logic.detect({item.kind: sequence_from_cine(item.cine) for item in heart.items})
    logic.showStudy(built)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLMarkupsClosedCurveNode") == 6
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLTableNode") == 4


def test_rings_are_in_a_saved_scene(logic, built, tmp_path):
    logic.showStudy(built)
    path = str(tmp_path / "rings.mrb")
    assert slicer.util.saveScene(path)
    slicer.util.loadScene(path, {"clear": True})
    curve = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLMarkupsClosedCurveNode")
    browser = slicer.modules.sequences.logic().GetFirstBrowserNodeForProxyNode(curve)
    browser.SetSelectedItemNumber(7)
    valve = browser.GetSequenceNode(curve).GetAttribute("CardiacValveLandmarks.Valve")
    assert ring_points(curve) == pytest.approx(built.annulus(valve).nodes[7] * [-1, -1, 1], abs=1e-6)
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLTableNode").GetTable().GetNumberOfRows() > 10

"""The panel's last part: measures, export, several studies and what is left in the scene."""

import json

import numpy as np
import pytest
import slicer
from CardiacValveLandmarksLib.landmarks import VIEWS, Provenance
from panel_helpers import provenance, stored
from PySide6 import QtWidgets


def test_measures_and_rings(study, host, shot):
    study.ui.measureButton.click()
    assert host.process(120, until=lambda: not study.busy)
    result = study.measures.result
    assert result is not None and study.ui.measuresTable.rowCount > 5
    names = [study.ui.measuresTable.item(row, 0).text() for row in range(study.ui.measuresTable.rowCount)]
    assert any("MAPSE septal" in name for name in names) and not any("aortic" in name for name in names)
    curves = slicer.util.getNodesByClass("vtkMRMLMarkupsClosedCurveNode")
    assert len(curves) == len(result.annuli)
    shot("panel-measured")
    study.ui.aorticCheckBox.click()
    study.ui.mitralCheckBox.click()
    host.process()
    names = [study.ui.measuresTable.item(row, 0).text() for row in range(study.ui.measuresTable.rowCount)]
    assert any("aortic" in name for name in names) and not any("MAPSE septal" in name for name in names)
    study.ui.liveCheckBox.click()
    study.logic.setAbsent("2CH", 0, 1)
    host.process(0.6)
    assert "press Measure again" in study.ui.measureLabel.text and "outdated" in study.ui.measuresSection.text
    assert study.measures.result is result


def test_export_writes_what_is_ticked_and_overwrites_nothing(study, host, tmp_path, shot):
    assert not study.ui.exportButton.enabled and "folder" in study.ui.exportButton.toolTip
    study.ui.exportFolderSelector.setCurrentPath(str(tmp_path / "out"))
    study.ui.febioCheckBox.setChecked(False)
    study.ui.vtkCheckBox.setChecked(False)
    host.process()
    study.ui.exportButton.click()
    assert host.process(120, until=lambda: not study.busy)
    written = sorted(path.relative_to(tmp_path / "out").parts[0] for path in (tmp_path / "out").rglob("*.*"))
    assert set(written) == {"csv", "json"} and "files written" in study.ui.exportLabel.text, study.ui.messageLabel.text
    assert json.loads(next((tmp_path / "out" / "json").glob("*.json")).read_text(encoding="utf-8"))
    shot("panel-exported")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*")}
    study.ui.exportButton.click()
    assert host.process(120, until=lambda: not study.busy)
    assert "expected an empty folder" in study.ui.messageLabel.text
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*")} == before


def test_an_export_is_not_said_to_be_cancelled(study, host, tmp_path):
    """It writes files: it runs to its end, and that is said."""
    study.ui.exportFolderSelector.setCurrentPath(str(tmp_path / "out"))
    host.process()
    study.ui.exportButton.click()
    assert study.busy and not study.ui.detectButton.enabled
    study.worker.cancel()
    assert host.process(120, until=lambda: not study.busy)
    assert "files written" in study.ui.messageLabel.text and list((tmp_path / "out").rglob("*.csv"))


def test_a_study_that_cannot_be_opened_does_not_leave_the_one_before(study, host, cines):
    """Another patient's landmarks, of a newer version: nothing of the study before may be measured under its name."""
    from CardiacValveLandmarksLib.mrml.cine_nodes import sequence_from_cine
    from CardiacValveLandmarksLib.mrml.scene import ATTRIBUTE_VERSION

    study.ui.measureButton.click()
    assert host.process(120, until=lambda: not study.busy) and study.measures.result is not None
    others = {item.kind: sequence_from_cine(item.cine.replace(name=f"other_{item.kind}")) for item in cines}
    logic = type(study.logic)()
    logic.startManual(others)
    for browser in (logic.browserNode(view) for view in VIEWS):
        node = logic.landmarksNode(next(view for view in VIEWS if logic.browserNode(view) is browser))
        browser.GetSequenceNode(node).SetAttribute(ATTRIBUTE_VERSION, "9")
    logic.cleanup()
    for view, node in others.items():
        getattr(study.ui, f"viewSelector{view}").setCurrentNode(node)
    host.process()
    assert study.views() == [] and study.ui.landmarkTable.rowCount == 0
    assert study.measures.result is None and study.ui.measuresTable.rowCount == 0
    assert not study.ui.measureButton.enabled and not study.ui.exportButton.enabled
    assert "version" in study.ui.messageLabel.text


def test_two_studies_in_one_scene_do_not_mix(study, host, cines):
    from CardiacValveLandmarksLib.mrml.cine_nodes import sequence_from_cine

    first = {view: getattr(study.parameters, f"cine{view}") for view in VIEWS}
    study.logic.setAbsent("4CH", 1, 5)
    points = {view: stored(study, view) for view in VIEWS}
    others = {item.kind: sequence_from_cine(item.cine.replace(name=f"other_{item.kind}")) for item in cines}

    def choose(nodes):
        for view, node in nodes.items():
            getattr(study.ui, f"viewSelector{view}").setCurrentNode(node)
        host.process()

    choose(others)
    assert study.views() == [] and study.ui.landmarkTable.rowCount == 0 and not study.ui.undoButton.enabled
    study.ui.detectButton.click()
    assert host.process(60, until=lambda: not study.busy)
    study.logic.setAbsent("2CH", 2, 1)
    choose(first)
    assert study.views() == list(VIEWS)
    for view in VIEWS:
        assert np.array_equal(stored(study, view), points[view], equal_nan=True)
    study.ui.undoButton.click()
    assert provenance(study, "4CH", 1, 5) == Provenance.AUTO, "its own last step was taken back"


def test_a_saved_scene_goes_on_where_it_was_left(study, host, tmp_path):
    study.logic.setPosition("4CH", 3, 5, stored(study, "4CH")[3, 4] + 1.5)
    study.ui.spreadSpinBox.setValue(5)
    host.process()
    points = {view: stored(study, view) for view in VIEWS}
    path = tmp_path / "scene.mrb"
    assert slicer.util.saveScene(str(path))
    slicer.mrmlScene.Clear(0)
    host.process()
    assert study.views() == []
    slicer.util.loadScene(str(path))
    host.process()
    assert study.views() == list(VIEWS), study.ui.messageLabel.text
    assert study.ui.spreadSpinBox.value == 5
    for view in VIEWS:
        assert np.allclose(stored(study, view), points[view], atol=1e-6, equal_nan=True)
    assert provenance(study, "4CH", 3, 5) == Provenance.MANUAL
    study.review.select("4CH", 5)
    study.ui.frameSlider.setValue(3)
    study.ui.resetPointButton.click()
    assert provenance(study, "4CH", 3, 5) != Provenance.MANUAL


@pytest.mark.parametrize("what", ["landmarks", "proxy", "cine"])
def test_nodes_deleted_by_hand_leave_a_panel_that_works(study, host, what):
    node = {
        "landmarks": lambda: study.logic.browserNode("3CH").GetSequenceNode(study.logic.landmarksNode("3CH")),
        "proxy": lambda: study.logic.landmarksNode("3CH"),
        "cine": lambda: study.parameters.cine3CH,
    }[what]()
    slicer.mrmlScene.RemoveNode(node)
    host.process(0.1)
    assert study.views() == (list(VIEWS) if what == "proxy" else ["2CH", "4CH"])
    study.review.select("4CH", 5)
    study.ui.nextFrameButton.click()
    study.ui.absentButton.click()
    study.ui.undoButton.click()
    study.ui.detectButton.click()
    assert host.process(60, until=lambda: not study.busy)
    assert ("3CH" in study.views()) == (what != "cine"), study.ui.messageLabel.text


def test_the_modules_own_test_runs(make_host):
    host = make_host()
    host.module.CardiacValveLandmarksTest().runTest()


def test_nothing_asks_a_question_on_the_way(study, host):
    assert host.asked == [] and not [
        w for w in QtWidgets.QApplication.topLevelWidgets() if isinstance(w, QtWidgets.QDialog)
    ]

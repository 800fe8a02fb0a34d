"""The panel's first half: selecting, finding views, the model, detecting and cancelling."""

import re
import threading

import numpy as np
import pytest
import slicer
from CardiacValveLandmarksLib.errors import InputError
from CardiacValveLandmarksLib.landmarks import VIEWS, Provenance
from panel_helpers import FRAMES, MODULE, WRONG, scene_contents, stored
from PySide6 import QtWidgets

#: PANEL.md: names that scripts rely on
NAMES = [
    "viewSelector2CH",
    "viewSelector3CH",
    "viewSelector4CH",
    "findViewsButton",
    "loadFolderButton",
    "syntheticStudyButton",
    "modelSelector",
    "downloadButton",
    "detectButton",
    "progressBar",
    "frameSlider",
    "playButton",
    "nextDoubtfulButton",
    "landmarkTable",
    "spreadSpinBox",
    "undoButton",
    "redoButton",
    "displacementPlot",
    "mitralCheckBox",
    "tricuspidCheckBox",
    "aorticCheckBox",
    "measuresTable",
    "exportFolderSelector",
    "exportButton",
    "csvCheckBox",
    "jsonCheckBox",
    "npzCheckBox",
    "vtkCheckBox",
    "febioCheckBox",
    "abaqusCheckBox",
    "bivmeCheckBox",
    "dicom-srCheckBox",
]


def assert_every_disabled_control_says_why(panel):
    controls = (QtWidgets.QAbstractButton, QtWidgets.QComboBox, QtWidgets.QAbstractSlider, QtWidgets.QAbstractSpinBox)
    for widget in panel.widget.findChildren(QtWidgets.QWidget):
        if (
            isinstance(widget, controls)
            and widget.name
            and not widget.name.startswith("qt_")
            and widget.isVisibleTo(panel.widget)
        ):
            if not widget.enabled and not isinstance(widget.parentWidget(), QtWidgets.QTableWidget):
                assert re.search(r"[a-z]{3}.*\.", widget.toolTip), f"{widget.name}: {widget.toolTip!r}"
            if isinstance(widget, QtWidgets.QAbstractButton) and widget.enabled:
                assert widget.toolTip, f"{widget.name} has no tooltip"


def test_the_names_scripts_rely_on_are_there(panel):
    assert [name for name in NAMES if not hasattr(panel.ui, name)] == []


def test_an_empty_panel_says_what_to_do(panel, shot):
    assert not panel.ui.detectButton.enabled and "Select a cine" in panel.ui.detectButton.toolTip
    assert "load a folder" in panel.ui.nextStepLabel.text
    assert_every_disabled_control_says_why(panel)
    shot("panel-empty")


def test_importing_the_module_file_loads_no_engine_and_no_panel():
    import subprocess
    import sys

    code = (
        f"import sys; sys.path[:0] = [{str(MODULE.parent)!r}, {str(MODULE.parents[1] / 'Testing')!r}]\n"
        f"from pathlib import Path; import slicer_host; slicer_host.install(Path({str(MODULE)!r}), main_window=False)\n"
        "heavy = ('torch', 'onnxruntime', 'monai', 'requests', 'pydicom', 'scipy')\n"
        "found = [m for m in sys.modules if m in heavy or m.startswith('CardiacValveLandmarksLib.widget.')]\n"
        "assert not found, found"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_a_main_window_the_panel_is_built(make_host):
    host = make_host(main_window=False)
    assert slicer.util.mainWindow() is None and slicer.app.layoutManager() is None
    widget = host.make_widget()
    widget.enter()
    host.process()
    widget.cleanup()


def test_the_synthetic_study_is_made_and_selected(panel, host, cines, monkeypatch):
    from CardiacValveLandmarksLib.widget import study_section

    monkeypatch.setattr(study_section, "synthetic_cines", lambda *_: [item.cine for item in cines])
    panel.ui.syntheticStudyButton.click()
    assert panel.busy and not panel.ui.loadFolderButton.enabled
    assert host.process(60, until=lambda: not panel.busy)
    names = [getattr(panel.ui, f"viewSelector{view}").currentNode().GetName() for view in VIEWS]
    assert names == [f"synthetic_{view}" for view in VIEWS]
    assert "no patient" in panel.ui.messageLabel.text and panel.ui.detectButton.enabled


def test_a_folder_is_loaded_and_its_views_found(panel, host, cines, tmp_path):
    from CardiacValveLandmarksLib.phantom.dicom import write_dicom

    for number, item in enumerate(cines, 1):
        write_dicom(item.cine, tmp_path / f"series{number}", series_number=number, series_description="cine")
    (tmp_path / "picture.png").write_bytes(b"no image")
    panel.study.load_folder(str(tmp_path))
    told = []
    assert host.process(
        60, until=lambda: told.append(panel.ui.messageLabel.text) or ("Views found" in told[-1] and not panel.busy)
    ), told[-1]
    assert "Views found: 2CH, 3CH, 4CH." in told[-1]
    for view, item in zip(VIEWS, cines, strict=True):
        node = getattr(panel.ui, f"viewSelector{view}").currentNode()
        assert node.GetNumberOfDataNodes() == item.cine.n_frames
        assert np.array_equal(slicer.util.arrayFromVolume(node.GetNthDataNode(0))[0], item.cine.frames[0])


def test_a_folder_with_nothing_in_it_is_told_and_adds_nothing(panel, host, tmp_path):
    before = scene_contents()
    panel.study.load_folder(str(tmp_path))
    assert host.process(60, until=lambda: not panel.busy)
    assert "empty folder" in panel.ui.messageLabel.text and scene_contents() == before


def test_find_views_selects_and_says_how_sure_it_is(panel, host, sequences, shot):
    host.process()
    panel.ui.findViewsButton.click()
    assert host.process(60, until=lambda: not panel.busy)
    for view in VIEWS:
        assert getattr(panel.ui, f"viewSelector{view}").currentNode() is sequences[view]
    assert panel.ui.viewState2CH.text == "● 2CH, sure" and panel.ui.viewState3CH.text == "◐ 3CH, unsure"
    panel.ui.viewSelector2CH.setCurrentNode(None)
    panel.ui.viewSelector4CH.setCurrentNode(sequences["2CH"])
    host.process()
    assert panel.ui.viewState4CH.text == "◐ looks like 2CH?" and panel.ui.viewState2CH.text == "○ none"
    shot("panel-views")


def test_views_of_two_patients_are_never_put_together(panel, host, sequences, cines):
    from CardiacValveLandmarksLib.mrml.cine_nodes import sequence_from_cine

    other = sequence_from_cine(cines[2].cine.replace(study_uid="1.2.3", name="other_4CH"))
    host.process()
    panel.ui.findViewsButton.click()
    assert "several studies" in panel.ui.messageLabel.text and not panel.busy
    panel.ui.viewSelector4CH.setCurrentNode(other)
    panel.ui.findViewsButton.click()
    assert host.process(60, until=lambda: not panel.busy)
    chosen = [getattr(panel.ui, f"viewSelector{view}").currentNode() for view in VIEWS]
    assert chosen == [None, None, other]


def test_cines_that_do_not_say_whose_they_are_are_not_pooled(panel, host, cines):
    from CardiacValveLandmarksLib.mrml.cine_nodes import sequence_from_cine

    for name in ("patientA", "patientB"):
        for item in cines:
            sequence_from_cine(item.cine.replace(study_uid="", patient_key="", name=f"{name}_{item.kind}"))
    host.process()
    panel.ui.findViewsButton.click()
    assert "whose they are" in panel.ui.messageLabel.text and not panel.busy


@pytest.mark.parametrize("kind", ["one frame", "3-D volumes", "twice"])
def test_a_selection_that_cannot_be_used_says_so(kind, selected, host, sequences):
    panel = selected
    if kind == "twice":
        panel.ui.viewSelector2CH.setCurrentNode(sequences["4CH"])
        host.process()
        assert panel.ui.viewState4CH.text == "✕ selected twice" and list(panel.study.usable()) == ["2CH", "3CH"]
        return
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", kind)
    volume = slicer.util.addVolumeFromArray(np.zeros((1 if kind == "one frame" else 3, 8, 8)))
    for index in range(1 if kind == "one frame" else 4):
        sequence.SetDataNodeAtValue(volume, str(index))
    panel.ui.viewSelector2CH.setCurrentNode(sequence)
    host.process()
    assert panel.ui.viewState2CH.text == "✕ not a 2-D cine"
    assert ("1 frame" if kind == "one frame" else "3-D volumes") in panel.ui.viewState2CH.toolTip
    assert panel.ui.detectButton.enabled, "the other views can still be detected in"


def test_detection_fills_the_scene_and_the_panel(study, shot):
    assert {view: len(stored(study, view)) for view in VIEWS} == FRAMES
    assert study.ui.landmarkTable.rowCount == 13
    texts = [study.ui.landmarkTable.item(row, 1).text() for row in range(13)]
    assert set(texts) == {"auto"}
    assert "4CH: 5 landmarks in 12 frames" in study.ui.messageLabel.text
    assert "doubtful" in study.ui.nextStepLabel.text and study.ui.detectButton.text == "Detect again"
    assert_every_disabled_control_says_why(study)
    shot("panel-detected")


def test_progress_is_shown_and_the_interface_stays_alive(selected, host, detector, shot):
    detector.delay = 0.02
    panel, seen, beats = selected, [], []
    timer = __import__("qt").QTimer()
    timer.setInterval(5)
    timer.timeout.connect(lambda: beats.append(panel.ui.progressLabel.text))
    timer.start()
    panel.ui.detectButton.click()
    assert panel.ui.detectButton.text == "Cancel" and panel.ui.detectButton.enabled
    assert host.process(10, until=lambda: "3CH, frame" in panel.ui.progressLabel.text)
    assert_every_disabled_control_says_why(panel)
    shot("panel-detecting")
    seen.append(panel.ui.progressBar.value)
    assert host.process(60, until=lambda: not panel.busy)
    timer.stop()
    assert 100 < seen[0] < 1000 and len(beats) > 20
    assert not panel.ui.progressBar.visible and panel.views() == list(VIEWS)


def test_cancelling_leaves_the_scene_as_it_was(study, host, detector):
    before, points = scene_contents(), {view: stored(study, view) for view in VIEWS}
    detector.delay = 0.02
    study.ui.detectButton.click()
    host.process(0.15)
    study.ui.detectButton.click()
    assert host.process(10, until=lambda: not study.busy)
    assert "cancelled" in study.ui.messageLabel.text
    assert scene_contents() == before
    for view in VIEWS:
        assert np.array_equal(stored(study, view), points[view], equal_nan=True)
    assert study.ui.detectButton.text == "Detect again" and study.ui.detectButton.enabled


def test_a_cine_deleted_during_detection_changes_nothing(selected, host, detector, sequences):
    detector.delay = 0.02
    selected.ui.detectButton.click()
    host.process(0.1)
    slicer.mrmlScene.RemoveNode(sequences["3CH"])
    assert host.process(20, until=lambda: not selected.busy)
    assert "Nothing was changed" in selected.ui.messageLabel.text
    assert not slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")
    assert selected.ui.viewState3CH.text == "○ none" and selected.ui.detectButton.enabled


def test_a_scene_closed_during_detection_stays_empty(selected, host, detector):
    detector.delay = 0.02
    selected.ui.detectButton.click()
    host.process(0.1)
    slicer.mrmlScene.Clear(0)
    assert host.process(20, until=lambda: not selected.busy)
    assert scene_contents() == {} and not selected.ui.detectButton.enabled
    assert "load a folder" in selected.ui.nextStepLabel.text


def test_a_detection_goes_on_when_the_module_is_left(selected, host, detector):
    detector.delay = 0.02
    selected.ui.detectButton.click()
    host.process(0.1)
    selected.exit()
    assert host.process(20, until=lambda: not selected.busy)
    assert selected.views() == list(VIEWS)
    selected.logic.setAbsent("4CH", selected.browsing.frame("4CH"), 5)
    selected.enter()
    row = selected.review.table.rows.index(("4CH", 5))
    assert selected.ui.landmarkTable.item(row, 1).text() == "absent" and selected.ui.undoButton.enabled


def test_a_model_file_that_vanished_is_told(selected, host, tmp_path, monkeypatch):
    from CardiacValveLandmarksLib.models import spec

    selected.logic._detector = None
    monkeypatch.setattr(spec, "RESOURCES", tmp_path)
    selected.detect.start()
    assert host.process(20, until=lambda: not selected.busy)
    assert "phantom-heatmap.onnx: expected the weights" in selected.ui.messageLabel.text
    assert not selected.views() and "is missing" in selected.ui.detectButton.toolTip


def test_an_error_of_the_model_is_shown_and_a_fault_of_ours_too(selected, host, detector):
    detector.error = InputError("model.onnx", "the weights", "no file", "Download them.")
    selected.ui.detectButton.click()
    assert host.process(20, until=lambda: not selected.busy)
    assert selected.ui.messageLabel.text.startswith("model.onnx: expected the weights; found no file. Download them.")
    detector.error = ZeroDivisionError("a fault")
    selected.ui.detectButton.click()
    assert host.process(20, until=lambda: not selected.busy)
    assert "ZeroDivisionError: a fault" in selected.ui.messageLabel.text and "report" in selected.ui.messageLabel.text
    assert not selected.views()


def test_detecting_again_keeps_what_was_placed_and_says_how_many(study, host):
    place = study.logic.landmarks("2CH")[0][3, 0] + [2.0, 1.0, 0.0]
    study.logic.setPosition("2CH", 3, 1, place, spread=0)
    study.logic.setAbsent("3CH", 2, 7)
    kept = stored(study, "2CH")[3, 0]
    study.ui.detectButton.click()
    assert host.process(60, until=lambda: not study.busy)
    assert "kept 2 points" in study.ui.messageLabel.text
    assert stored(study, "2CH")[3, 0] == pytest.approx(kept, abs=1e-9) and np.isnan(stored(study, "3CH")[2, 6]).all()
    study.ui.keepManualCheckBox.click()
    study.ui.detectButton.click()
    assert host.process(60, until=lambda: not study.busy)
    assert study.logic.landmarks("2CH")[2][3, 0] == Provenance.AUTO


def test_a_script_without_an_event_loop_blocks_until_done(selected):
    selected.ui.detectButton.click()
    selected.worker.wait()
    assert selected.views() == list(VIEWS) and not selected.busy
    assert threading.active_count() < 4


def test_what_a_model_lacks_is_said_and_installed_only_with_consent(make_host, monkeypatch):
    from CardiacValveLandmarksLib.widget import packages

    host = make_host(answers=[False, True])
    widget = host.make_widget()
    widget.enter()
    panel = widget.panel
    # now with the catalogue's models, whose file is there and whose engine is not
    panel.logic._detector = None
    there, installed = set(), []
    monkeypatch.setattr(packages, "installed", lambda name: name in there)
    spec = panel.model.spec()
    monkeypatch.setattr(type(spec), "weights_path", property(lambda self: MODULE.with_suffix(".onnx")))
    monkeypatch.setattr(type(MODULE), "is_file", lambda self: True)
    monkeypatch.setattr(type(MODULE), "stat", lambda self, **_: __import__("os").stat(MODULE.parent))
    monkeypatch.setattr(packages, "_pip", lambda what: (installed.append(what), there.add("onnxruntime")))
    panel.refresh()
    assert "needs onnxruntime" in panel.model.why_not() and panel.ui.installButton.isVisibleTo(panel.widget)
    assert not installed, "nothing before the button is pressed"
    panel.ui.installButton.click()
    assert len(host.asked) == 1 and not installed
    panel.ui.installButton.click()
    assert installed == [packages.ONNXRUNTIME] and panel.model.why_not() == ""
    monkeypatch.undo()
    widget.cleanup()


def test_weights_that_are_not_here_can_be_downloaded(panel):
    panel.logic._detector = None
    panel.parameters.model = "kcl-valve-landmarks"
    panel.refresh()
    if panel.model.spec().weights_path.is_file():
        pytest.skip("the weights were downloaded on this computer")
    assert panel.ui.downloadButton.isVisibleTo(panel.widget) and not panel.ui.removeModelButton.isVisibleTo(
        panel.widget
    )
    assert "Press Download" in panel.ui.detectButton.toolTip or "Select a cine" in panel.ui.detectButton.toolTip
    assert WRONG

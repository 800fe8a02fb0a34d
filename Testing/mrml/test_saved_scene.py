"""A scene saved to a bundle has everything, and the work goes on."""

import numpy as np
import pytest
import slicer
from CardiacValveLandmarksLib.errors import InputError
from CardiacValveLandmarksLib.landmarks import Provenance
from CardiacValveLandmarksLib.mrml.logic import StudyLogic
from snapshot import scene_of, stored_positions
from synthetic import TruthDetector


def reopened(path) -> StudyLogic:
    slicer.util.loadScene(str(path), {"clear": True})
    return StudyLogic(TruthDetector())


@pytest.fixture
def saved(study, tmp_path):
    """A corrected study in a bundle, with what its scene held."""
    study.setPosition("4CH", 3, 5, study.landmarks("4CH")[0][3, 4] + 2, spread=2)
    study.setAbsent("2CH", 4, 1)
    study.reset("4CH", 4, 5)
    held = scene_of(study)
    path = tmp_path / "Ärzte study.mrb"
    assert slicer.util.saveScene(str(path))
    return path, held


def test_everything_is_there_to_the_last_bit(saved):
    path, held = saved
    logic = reopened(path)
    assert [sorted(views) for views in logic.studies()] == [["2CH", "3CH", "4CH"]]
    logic.open(logic.studies()[0])
    assert logic.messages == []
    assert scene_of(logic) == held


def test_the_work_goes_on(saved):
    path, _ = saved
    logic = reopened(path)
    manual = logic.landmarks("4CH")[0][3, 4]
    assert logic.landmarks("4CH")[2][[2, 3, 4], 4].tolist() == [3, 2, 1]
    logic.detect(logic.studies()[0])
    assert logic.kept == 2 and np.array_equal(logic.landmarks("4CH")[0][3, 4], manual)
    logic.reset("4CH", landmark=5)
    assert set(logic.landmarks("4CH")[2][:, 4]) == {Provenance.AUTO}
    node = logic.landmarksNode("4CH")
    logic.browserNode("4CH").SetSelectedItemNumber(9)
    node.SetNthControlPointPosition(4, *(np.array(node.GetNthControlPointPosition(4)) + 1))
    assert logic.landmarks("4CH")[2][9, 4] == Provenance.MANUAL
    assert logic.undo() and logic.landmarks("4CH")[2][9, 4] == Provenance.AUTO


def test_a_point_moved_without_the_module_is_taken_as_manual(saved):
    path, _ = saved
    slicer.util.loadScene(str(path), {"clear": True})
    sequence = next(
        node
        for node in slicer.util.getNodesByClass("vtkMRMLSequenceNode")
        if node.GetAttribute("CardiacValveLandmarks.View") == "3CH" and "landmarks" in node.GetName()
    )
    node = sequence.GetNthDataNode(6)
    node.SetNthControlPointPosition(6, *(np.array(node.GetNthControlPointPosition(6)) + np.array([0, 4, 0])))
    logic = StudyLogic(TruthDetector())
    assert logic.landmarks("3CH")[2][6, 6] == Provenance.MANUAL
    assert (logic.landmarks("3CH")[2][:, 6] == Provenance.MANUAL).sum() == 1
    assert "frame 6" in logic.messages[0]
    assert stored_positions(logic, "3CH")[6] == pytest.approx(logic.landmarks("3CH")[0][6], nan_ok=True)


def landmark_sequences():
    return [
        node
        for node in slicer.util.getNodesByClass("vtkMRMLSequenceNode")
        if node.GetAttribute("CardiacValveLandmarks.Kind") == "landmarks"
    ]


def test_a_scene_of_an_older_version_is_read_and_its_points_are_kept_as_manual(saved):
    path, _ = saved
    slicer.util.loadScene(str(path), {"clear": True})
    before = {}
    for sequence in landmark_sequences():
        sequence.RemoveAttribute("CardiacValveLandmarks.SceneVersion")
        for frame in range(sequence.GetNumberOfDataNodes()):
            node = sequence.GetNthDataNode(frame)
            for name in [n for n in node.GetAttributeNames() if n.startswith("CardiacValveLandmarks.")]:
                node.RemoveAttribute(name)
        before[sequence.GetAttribute("CardiacValveLandmarks.View")] = [
            sequence.GetNthDataNode(f).GetNthControlPointPosition(10) for f in range(sequence.GetNumberOfDataNodes())
        ]
    logic = StudyLogic(TruthDetector())
    for view in ("2CH", "3CH", "4CH"):
        positions, _, provenance = logic.landmarks(view)
        assert positions[:, 10] == pytest.approx(np.array(before[view]), abs=1e-6)
        assert set(provenance[provenance > 0]) == {Provenance.MANUAL}
    assert "now manual" in logic.messages[0]


def test_a_scene_of_a_newer_version_is_refused_and_left_alone(saved):
    path, _ = saved
    slicer.util.loadScene(str(path), {"clear": True})
    for sequence in landmark_sequences():
        sequence.SetAttribute("CardiacValveLandmarks.SceneVersion", "99")
    nodes = slicer.mrmlScene.GetNumberOfNodes()
    logic = StudyLogic(TruthDetector())
    with pytest.raises(InputError, match=r"version 99.*Update"):
        logic.landmarks("4CH")
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes


def test_a_bundle_taken_into_a_scene_that_has_a_study(saved, app):
    path, held = saved
    # the scene still holds the study; the bundle brings a second one, under new node ids
    assert app.scene.ReadFromMRB(str(path), False)
    logic = StudyLogic(TruthDetector())
    studies = logic.studies()
    assert [sorted(views) for views in studies] == [["2CH", "3CH", "4CH"]] * 2
    for views in studies:
        logic.open(views)
        assert scene_of(logic) == held
    logic.setAbsent("4CH", 8, 5)
    logic.open(studies[0])
    assert scene_of(logic) == held

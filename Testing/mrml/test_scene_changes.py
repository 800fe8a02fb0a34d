"""What people do to the nodes of a study in Slicer's other modules: nothing they placed is lost, nothing is taken for
an edit that is none."""

import numpy as np
import pytest
import slicer
import vtk
from CardiacValveLandmarksLib.errors import InputError
from CardiacValveLandmarksLib.landmarks import Provenance
from CardiacValveLandmarksLib.mrml.annulus_nodes import rings_browser
from CardiacValveLandmarksLib.mrml.logic import StudyLogic
from snapshot import stored_positions
from synthetic import TruthDetector


def manual(logic, view) -> list[list[int]]:
    return np.argwhere(logic.landmarks(view)[2] == Provenance.MANUAL).tolist()


def agrees(logic, view) -> bool:
    """Whether the scene shows what the logic knows."""
    return np.allclose(stored_positions(logic, view), logic.landmarks(view)[0], atol=1e-6, equal_nan=True)


def place(logic, view, frame, number, by=2.0, spread=0) -> np.ndarray:
    logic.setPosition(view, frame, number, logic.landmarks(view)[0][frame, number - 1] + by, spread=spread)
    return logic.landmarks(view)[0][frame, number - 1]


def begin_drag(node, index: int, by: float) -> None:
    node.InvokeEvent(node.PointStartInteractionEvent)
    node.SetNthControlPointPosition(index, *(np.array(node.GetNthControlPointPosition(index)) + by))


def end_drag(node) -> None:
    node.InvokeEvent(node.PointEndInteractionEvent)


def step_through(browser) -> None:
    for frame in range(browser.GetNumberOfItems()):
        browser.SetSelectedItemNumber(frame)


def reopened(study, path) -> StudyLogic:
    assert slicer.util.saveScene(str(path))
    study.cleanup()
    slicer.util.loadScene(str(path), {"clear": True})
    logic = StudyLogic(TruthDetector())
    logic.open(logic.studies()[0])
    return logic


def shifted() -> object:
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "T")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 10.0)
    transform.SetMatrixTransformToParent(matrix)
    return transform


def test_a_selection_of_before_has_the_landmarks_that_came_since(logic, sequences):
    """One cine selected after the other opens studies of one, two and three; then one is taken away again."""
    for views in (("2CH",), ("2CH", "3CH"), ("2CH", "3CH", "4CH")):
        logic.open({view: sequences[view] for view in views})
    logic.detect(sequences)
    at = place(logic, "2CH", 3, 1)
    logic.open({view: sequences[view] for view in ("2CH", "3CH")})
    assert logic.views() == ["2CH", "3CH"]
    assert np.allclose(logic.landmarks("2CH")[0][3, 0], at) and manual(logic, "2CH") == [[3, 0]]


@pytest.mark.parametrize("through_a_file", [False, True])
def test_landmarks_that_follow_in_another_browser_too_are_not_edited_by_stepping_it(study, tmp_path, through_a_file):
    browser = study.browserNode("2CH")
    browser.AddSynchronizedSequenceNode(study._current().view("4CH").nodes.sequence)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    logic = reopened(study, tmp_path / "scene.mrb") if through_a_file else study
    before = logic.landmarks("4CH")[0]
    step_through(logic.browserNode("2CH"))
    assert manual(logic, "4CH") == [] and np.array_equal(before, logic.landmarks("4CH")[0], equal_nan=True)
    assert logic.browserNode("4CH") is not logic.browserNode("2CH")
    logic.cleanup()


def test_a_cine_that_was_moved_is_detected_in_where_it_lies_now(study, sequences):
    cine = sequences["4CH"]
    place(study, "4CH", 3, 5)
    for frame in range(cine.GetNumberOfDataNodes()):
        node = cine.GetNthDataNode(frame)
        node.SetOrigin(*np.add(node.GetOrigin(), (5, 0, 0)))
    cine.Modified()
    study.detect({"4CH": cine})
    step_through(study.browserNode("4CH"))
    assert manual(study, "4CH") == [[3, 4]] and agrees(study, "4CH")
    assert study.undo() and agrees(study, "4CH")


def test_times_put_right_are_known_after_the_next_detection(study, sequences):
    cine = sequences["4CH"]
    cine.SetAttribute("MultiVolume.FrameLabels", ",".join(str(20 * n) for n in range(25)))
    cine.SetAttribute("MultiVolume.FrameIdentifyingDICOMTagUnits", "ms")
    study.detect({"4CH": cine})
    assert study.cine("4CH").times_ms[1] == pytest.approx(20.0)


def test_frames_that_come_or_go_make_no_edits_and_are_said(study, sequences):
    cine = sequences["4CH"]
    cine.RemoveDataNodeAtValue(cine.GetNthIndexValue(4))
    step_through(study.browserNode("4CH"))
    assert manual(study, "4CH") == []
    with pytest.raises(InputError, match=r"25 of 24 frames.*Delete the landmarks"):
        study.detect({"4CH": cine})


def test_a_node_that_slicer_made_anew_is_dragged_like_the_first(study):
    browser = study.browserNode("4CH")
    slicer.mrmlScene.RemoveNode(study._current().view("4CH").nodes.proxy)
    browser.SetSelectedItemNumber(7)
    node = browser.GetProxyNode(study._current().views["4CH"].nodes.sequence)
    begin_drag(node, 4, 3.0)
    end_drag(node)
    assert [7, 4] in manual(study, "4CH") and agrees(study, "4CH")


@pytest.mark.parametrize("what", ["cine", "landmarks"])
def test_points_are_not_moved_while_they_or_the_cine_are_under_a_transform(study, sequences, what):
    node = study.landmarksNode("4CH")
    under = node if what == "landmarks" else study.browserNode("4CH").GetProxyNode(sequences["4CH"])
    before = study.landmarks("4CH")[0]
    under.SetAndObserveTransformNodeID(shifted().GetID())
    begin_drag(node, 4, 3.0)
    end_drag(node)
    assert np.array_equal(before, study.landmarks("4CH")[0], equal_nan=True) and agrees(study, "4CH")
    assert any("under the transform T" in text for text in study.messages)
    under.SetAndObserveTransformNodeID(None)
    assert manual(study, "4CH") == []
    begin_drag(node, 4, 3.0)
    end_drag(node)
    assert [0, 4] in manual(study, "4CH") and agrees(study, "4CH")


@pytest.mark.parametrize("change", ["delete", "add"])
def test_points_added_or_deleted_by_unlocking_their_number_are_put_right(study, tmp_path, change):
    at = place(study, "4CH", 10, 6)
    study.browserNode("4CH").SetSelectedItemNumber(3)
    before, node = study.landmarks("4CH")[0], study.landmarksNode("4CH")
    node.SetFixedNumberOfControlPoints(False)
    if change == "delete":
        node.RemoveNthControlPoint(4)
    else:
        node.AddControlPoint(1.0, 2.0, 3.0, "mine")
    # not within the node's own event; with the next step, or the next call
    begin_drag(node, 3, 1.0)
    end_drag(node)
    study.browserNode("4CH").SetSelectedItemNumber(4)
    assert np.array_equal(before, study.landmarks("4CH")[0], equal_nan=True) and agrees(study, "4CH")
    assert [text for text in study.news if "frame 3: points cannot be added or deleted" in text]
    study.browserNode("4CH").SetSelectedItemNumber(3)
    assert node.GetNumberOfControlPoints() == 11 and agrees(study, "4CH")
    # the same behind the module's back, found when the scene is opened
    frame = study._current().view("4CH").nodes.sequence.GetNthDataNode(5)
    frame.SetFixedNumberOfControlPoints(False)
    frame.RemoveNthControlPoint(4)
    logic = reopened(study, tmp_path / "scene.mrb")
    assert np.allclose(before, logic.landmarks("4CH")[0], atol=1e-6, equal_nan=True) and agrees(logic, "4CH")
    assert np.allclose(logic.landmarks("4CH")[0][10, 5], at) and manual(logic, "4CH") == [[10, 5]]
    assert any("frame 5: points were added or deleted" in text for text in logic.messages)
    logic.cleanup()


def test_landmarks_that_lost_a_frame_are_said_by_every_change(study):
    sequence = study._current().view("4CH").nodes.sequence
    sequence.RemoveDataNodeAtValue(sequence.GetNthIndexValue(24))
    state = study._current().state
    for change in (lambda: place(study, "4CH", 3, 5), study.undo, lambda: study.reset("4CH")):
        with pytest.raises(InputError, match="24 of 25 frames"):
            change()
    assert study._current().state == state


def test_a_node_made_anew_looks_like_the_first(study):
    browser = study.browserNode("4CH")
    looks = []
    for _ in range(2):
        display = browser.GetProxyNode(study._current().views["4CH"].nodes.sequence).GetDisplayNode()
        looks.append((display.GetGlyphType(), display.GetGlyphSize(), display.GetSelectedColor()))
        slicer.mrmlScene.RemoveNode(browser.GetProxyNode(study._current().views["4CH"].nodes.sequence))
        browser.SetSelectedItemNumber(7)
    assert looks[0] == looks[1]


def test_results_of_other_studies_stay_theirs_when_landmarks_are_deleted(logic, sequences):
    logic.detect({"2CH": sequences["2CH"]})
    logic.showStudy()
    first = logic._owner()
    both = {view: sequences[view] for view in ("3CH", "4CH")}
    logic.detect(both)
    tables = logic.showStudy()
    slicer.mrmlScene.RemoveNode(slicer.mrmlScene.GetNodeByID(first))
    slicer.mrmlScene.RemoveNode(logic._current().view("3CH").nodes.sequence)
    again = logic.showStudy()
    assert again["measures"] is tables["measures"]
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLTableNode") == 4
    assert all(node.GetNodeReferenceID("CardiacValveLandmarks.Study") is None for node in sequences.values())


def test_what_is_found_in_the_scene_is_said_after_a_detection_too(logic, sequences):
    other = StudyLogic(TruthDetector())
    other.detect({"4CH": sequences["4CH"]})
    frame = other._current().view("4CH").nodes.sequence.GetNthDataNode(5)
    other.cleanup()
    frame.SetNthControlPointPosition(4, *np.add(frame.GetNthControlPointPosition(4), 3.0))
    logic.detect({"4CH": sequences["4CH"]})
    assert any("frame 5" in text and "moved outside" in text for text in logic.messages)


def test_a_view_that_goes_while_a_point_of_another_is_held(study):
    node = study.landmarksNode("4CH")
    begin_drag(node, 4, 3.0)
    slicer.mrmlScene.RemoveNode(study._current().view("3CH").nodes.sequence)
    end_drag(node)
    assert [0, 4] in manual(study, "4CH") and agrees(study, "4CH") and study.views() == ["2CH", "4CH"]
    assert study.undo() and manual(study, "4CH") == [] and agrees(study, "4CH")


def test_a_view_that_comes_while_a_point_of_another_is_held(logic, sequences):
    logic.detect({"4CH": sequences["4CH"]})
    both = {view: sequences[view] for view in ("2CH", "4CH")}
    logic.open(both)
    other = StudyLogic(TruthDetector())
    other.detect({"2CH": sequences["2CH"]})
    other.cleanup()
    pieces = logic.applyInPieces(logic.compute(logic.prepare(both)))
    node = logic.landmarksNode("4CH")
    begin_drag(node, 4, 3.0)
    for _ in pieces:
        pass
    end_drag(node)
    assert logic.views() == ["2CH", "4CH"] == sorted(logic._current().state)
    assert [0, 4] in manual(logic, "4CH") and agrees(logic, "4CH") and agrees(logic, "2CH")


def test_a_cine_taken_for_another_view_keeps_what_was_placed(study, sequences):
    at = place(study, "4CH", 3, 5)
    with pytest.raises(InputError, match=r"decided by hand as another view.*1 of them as 4CH"):
        study.detect({"3CH": sequences["4CH"]})
    study.open(sequences)
    assert np.allclose(study.landmarks("4CH")[0][3, 4], at) and manual(study, "4CH") == [[3, 4]]
    study.detect({"3CH": sequences["4CH"]}, keepManual=False)
    assert study.views() == ["3CH"]


def test_a_study_stays_one_when_its_first_view_is_deleted(study, tmp_path):
    study.showStudy()
    count = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLTableNode")
    slicer.mrmlScene.RemoveNode(study._current().view("2CH").nodes.sequence)
    assert [sorted(one) for one in study.studies()] == [["3CH", "4CH"]]
    study.showStudy()
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLTableNode") == count
    logic = reopened(study, tmp_path / "scene.mrb")
    assert [sorted(one) for one in logic.studies()] == [["3CH", "4CH"]]
    logic.cleanup()


def test_views_detected_apart_and_then_together_are_one_study(logic, sequences):
    for view in ("4CH", "2CH"):
        logic.detect({view: sequences[view]})
    assert len(logic.studies()) == 2
    logic.detect({view: sequences[view] for view in ("2CH", "4CH")})
    assert [sorted(one) for one in logic.studies()] == [["2CH", "4CH"]]


def test_rings_of_a_scene_that_is_opened_again_follow_the_phase(study, tmp_path):
    study.showStudy()
    logic = reopened(study, tmp_path / "scene.mrb")
    rings, browser = rings_browser(logic._owner(), slicer.mrmlScene), logic.browserNode("4CH")
    shown = []
    for frame in (0, 6, 12, 18):
        browser.SetSelectedItemNumber(frame)
        shown.append(rings.GetSelectedItemNumber())
    assert shown == [0, 6, 12, 18]
    for spoiled in ("spoiled", '{"4CH": 5}', '{"4CH": [[1], [2]]}', '{"4CH": [1e99]}', '{"4CH": [999]}', "[1]"):
        rings.SetAttribute("CardiacValveLandmarks.PhaseItems", spoiled)
        logic.close()
        logic.open(logic.studies()[0])  # no error, and nothing follows
    logic.cleanup()


def test_undo_while_a_point_is_held_ends_the_drag_for_good(study):
    node, before = study.landmarksNode("4CH"), study.landmarks("4CH")[0]
    begin_drag(node, 4, 3.0)
    assert study.undo()
    for by in (1.0, 1.0, 1.0):
        node.SetNthControlPointPosition(4, *(np.array(node.GetNthControlPointPosition(4)) + by))
    end_drag(node)
    assert np.array_equal(before, study.landmarks("4CH")[0], equal_nan=True) and agrees(study, "4CH")
    begin_drag(node, 4, 3.0)
    end_drag(node)
    assert [0, 4] in manual(study, "4CH")


def test_a_spread_beyond_the_beat_is_the_beat(study):
    place(study, "4CH", 3, 5, spread=10**9)
    assert study.correction("4CH").spreads[3, 4] == 25

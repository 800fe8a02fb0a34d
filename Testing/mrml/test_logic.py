"""The console API on real nodes."""

import numpy as np
import pytest
import slicer
from CardiacValveLandmarksLib.errors import Cancelled, InputError, UsageError
from CardiacValveLandmarksLib.landmarks import Provenance, view_mask
from CardiacValveLandmarksLib.mrml.cine_nodes import sequence_from_cine
from CardiacValveLandmarksLib.mrml.logic import StudyLogic
from snapshot import scene_of, stored_positions
from synthetic import TruthDetector, make_cine


def test_detection_puts_a_view_into_one_node_in_the_images_own_browser(logic, sequences):
    nodes = logic.detect(sequences)
    assert list(nodes) == ["2CH", "3CH", "4CH"]
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode") == 3
    for view, node in nodes.items():
        browser = logic.browserNode(view)
        assert browser.GetMasterSequenceNode() is sequences[view] and browser.IsProxyNodeID(node.GetID())
        assert node.GetNumberOfControlPoints() == 11 and node.GetFixedNumberOfControlPoints()
        shown = [bool(node.GetNthControlPointVisibility(i)) for i in range(11)]
        assert shown == view_mask(view).tolist()
        defined = [node.GetNthControlPointPositionStatus(i) == node.PositionDefined for i in range(11)]
        assert defined == shown


def test_every_frame_shows_its_own_points(study):
    for view in study.views():
        positions, _, _ = study.landmarks(view)
        browser, node = study.browserNode(view), study.landmarksNode(view)
        for frame in (3, 0, len(positions) - 1, 7):
            browser.SetSelectedItemNumber(frame)
            points = slicer.util.arrayFromMarkupsControlPoints(node)
            mask = view_mask(view)
            assert np.array_equal(points[mask], positions[frame][mask])
        assert stored_positions(study, view) == pytest.approx(positions, abs=0, nan_ok=True)


def test_browsing_is_no_edit(study):
    before = scene_of(study)
    for view in study.views():
        for frame in range(12):
            study.browserNode(view).SetSelectedItemNumber(frame)
        study.browserNode(view).SetSelectedItemNumber(0)
    assert scene_of(study) == before and study.undo() and not study.canUndo()


def test_set_position_spreads_and_undo_returns_the_exact_scene(study):
    before = scene_of(study)
    position = study.landmarks("4CH")[0][10, 4] + [3.0, 2.0, 1.0]
    study.setPosition("4CH", frame=10, landmark=5, position=position, spread=2)
    after = scene_of(study)
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {("4CH", frame) for frame in (8, 9, 10, 11, 12)}
    provenance = study.landmarks("4CH")[2][:, 4]
    assert provenance[10] == Provenance.MANUAL and provenance[9] == Provenance.PROPAGATED
    geometry = study.cine("4CH").geometry
    stored = study.landmarks("4CH")[0][10, 4] * [-1, -1, 1]
    assert abs(geometry.distance(stored)) < 1e-9
    assert geometry.to_pixels(stored) == pytest.approx(geometry.to_pixels(position * [-1, -1, 1]))
    assert study.undo() and scene_of(study) == before
    assert study.redo() and scene_of(study) == after


def test_absent_reset_and_names(study):
    study.setAbsent("3CH", 4, "aortic septal")
    positions, _, provenance = study.landmarks("3CH")
    assert np.isnan(positions[4, 6]).all() and provenance[4, 6] == Provenance.ABSENT
    study.browserNode("3CH").SetSelectedItemNumber(4)
    node = study.landmarksNode("3CH")
    assert node.GetNthControlPointPositionStatus(6) == node.PositionMissing
    study.reset("3CH", frame=4, landmark=7)
    assert study.landmarks("3CH")[2][4, 6] == Provenance.AUTO
    assert node.GetNthControlPointPositionStatus(6) == node.PositionDefined
    study.setAbsent("3CH", None, "aortic_septal_3ch")
    assert not study.landmarks("3CH")[2][:, 6].any()


def test_editing_the_node_is_a_step(study):
    view, node = "2CH", study.landmarksNode("2CH")
    study.spread = 0
    study.browserNode(view).SetSelectedItemNumber(6)
    before = scene_of(study)
    at = np.add(node.GetNthControlPointPosition(0), (2, 1, 0))
    node.SetNthControlPointPosition(0, *at)
    assert study.landmarks(view)[2][6, 0] == Provenance.MANUAL
    node.SetNthControlPointPositionMissing(1)
    assert study.landmarks(view)[2][6, 1] == Provenance.ABSENT
    after = scene_of(study)
    assert {key for key in before if before[key] != after[key]} == {(view, 6), (view, "shown")}
    assert study.undo() and study.undo() and scene_of(study) == before


def test_edits_while_playing_are_not_taken(study):
    browser, node = study.browserNode("2CH"), study.landmarksNode("2CH")
    before = scene_of(study)
    browser.SetPlaybackActive(True)
    node.SetNthControlPointPosition(0, 1, 2, 3)
    browser.SetPlaybackActive(False)
    browser.SetSelectedItemNumber(1)
    browser.SetSelectedItemNumber(0)
    assert scene_of(study) == before


def test_taking_hold_of_a_point_stops_the_playback(study):
    browser, node = study.browserNode("2CH"), study.landmarksNode("2CH")
    browser.SetPlaybackActive(True)
    node.InvokeEvent(node.PointStartInteractionEvent)
    assert not browser.GetPlaybackActive()
    node.InvokeEvent(node.PointEndInteractionEvent)
    assert not study._current().history.can_redo


def test_detecting_again_keeps_manual_points_and_says_how_many(study, sequences):
    position = study.landmarks("4CH")[0][3, 4] + 2
    study.setPosition("4CH", 3, 5, position, spread=1)
    study.setAbsent("2CH", 2, 1)
    manual = study.landmarks("4CH")[0][3, 4]
    before = scene_of(study)
    study.detect(sequences)
    assert study.kept == 2 and "kept 2" in study.messages[-1]
    assert np.array_equal(study.landmarks("4CH")[0][3, 4], manual)
    assert study.landmarks("2CH")[2][2, 0] == Provenance.ABSENT
    assert scene_of(study) != before
    assert study.undo() and scene_of(study) == before
    study.detect(sequences, keepManual=False)
    assert study.kept == 0 and study.landmarks("4CH")[2][3, 4] == Provenance.AUTO


def test_progress_and_cancel(logic, sequences):
    nodes, calls = slicer.mrmlScene.GetNumberOfNodes(), iter(range(1000))
    with pytest.raises(Cancelled):
        logic.detect(sequences, cancel=lambda: next(calls) > 30)
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes and logic.studies() == [] and logic.views() == []
    seen = []
    logic.detect(sequences, progress=lambda done, what: seen.append((done, what)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen) and seen[-1][0] == 1
    assert "4CH, frame 25 of 25" in seen[-1][1]


def test_cancelling_a_second_detection_leaves_the_first(study, sequences):
    before = scene_of(study)
    with pytest.raises(Cancelled):
        study.detect(sequences, cancel=lambda: True)
    assert scene_of(study) == before


def test_two_studies_do_not_mix(logic, sequences):
    logic.detect(sequences)
    other = {view: sequence_from_cine(make_cine(view, 12)) for view in ("2CH", "4CH")}
    logic.detect(other)
    logic.setPosition("4CH", 2, 5, logic.landmarks("4CH")[0][2, 4] + 1)
    assert logic.views() == ["2CH", "4CH"] and len(logic.landmarks("4CH")[0]) == 12
    logic.open(sequences)
    assert logic.views() == ["2CH", "3CH", "4CH"] and len(logic.landmarks("4CH")[0]) == 25
    first = scene_of(logic)
    assert not (logic.landmarks("4CH")[2] == Provenance.MANUAL).any()
    assert logic.undo()  # its own detection, not the other study's correction
    logic.redo()
    assert scene_of(logic) == first
    logic.open(other)
    assert logic.landmarks("4CH")[2][2, 4] == Provenance.MANUAL and logic.undo()
    assert len(logic.studies()) == 2


def test_history_ends_where_the_scene_was_changed_meanwhile(logic, sequences):
    logic.detect(sequences)
    node = logic.landmarksNode("4CH")
    logic.open({"2CH": sequence_from_cine(make_cine("2CH", 8))})
    node.SetNthControlPointPosition(4, *(np.array(node.GetNthControlPointPosition(4)) + 5))
    logic.open(sequences)
    assert logic.landmarks("4CH")[2][0, 4] == Provenance.MANUAL
    assert not logic.canUndo()


def test_a_fresh_logic_takes_up_what_the_scene_holds(study):
    study.setPosition("4CH", 3, 5, study.landmarks("4CH")[0][3, 4] + 2)
    held = scene_of(study)
    study.cleanup()
    other = StudyLogic(TruthDetector())
    assert np.array_equal(other.landmarks("4CH")[2][3, 4], Provenance.MANUAL)
    assert scene_of(other) == held
    other.reset("4CH", 3, 5)
    assert other.landmarks("4CH")[2][3, 4] == Provenance.AUTO
    other.cleanup()


def test_placing_by_hand_without_a_detection(logic, sequences):
    nodes = logic.startManual({"4CH": sequences["4CH"]})
    assert list(nodes) == ["4CH"] and not logic.landmarks("4CH")[2].any()
    at = logic.cine("4CH").geometry.to_patient(np.array([20.0, 20.0])) * [-1, -1, 1]
    logic.setPosition("4CH", 5, 5, at)
    assert logic.landmarks("4CH")[0][5, 4] == pytest.approx(at)
    assert (logic.landmarks("4CH")[2][:, 4] > 0).sum() == 1


def test_doubtful_is_worst_first_over_all_views(logic, detector, sequences):
    detector.unsure = {("3CH", 3, 7): 0.3, ("4CH", 8, 9): 0.1, ("2CH", 0, 2): 0.45}
    logic.detect(sequences)
    assert [found[:3] for found in logic.doubtful()] == [("4CH", 8, 9), ("3CH", 3, 7), ("2CH", 0, 2)]
    assert logic.doubtful("3CH") == [("3CH", 3, 7, "confidence 0.30")]
    sequence = logic._current().view("3CH").nodes.sequence
    labels = [sequence.GetNthDataNode(frame).GetNthControlPointLabel(6) for frame in range(16)]
    assert labels[3] == "AV sept ?" and set(labels) == {"AV sept ?", "AV sept"}
    logic.setPosition("3CH", 3, 7, logic.landmarks("3CH")[0][3, 6], spread=0)
    assert logic.doubtful("3CH") == []
    assert sequence.GetNthDataNode(3).GetNthControlPointLabel(6) == "AV sept *"
    assert logic.pathDistances("3CH").shape == (16, 11)


def test_callbacks_hear_of_every_change(study):
    heard = []
    study.addCallback(heard.append)
    study.setAbsent("2CH", 4, 1)
    study.undo()
    study.removeCallback(heard.append)
    study.redo()
    assert [(change.view, change.frames) for change in heard] == [("2CH", (4,)), ("2CH", (4,))]


def test_find_views(app, sequences):
    """A cine is taken for the view it shows; of two that show the same, one, and the other is named."""
    seen = {"cine_2CH": ("2CH", 0.9), "cine_3CH": ("4CH", 0.6), "cine_4CH": ("4CH", 0.9)}
    logic = StudyLogic(TruthDetector(views=seen))
    found = logic.findViews(list(sequences.values()))
    assert found["2CH"] is sequences["2CH"] and "3CH" not in found
    assert found["4CH"] in (sequences["3CH"], sequences["4CH"])
    assert any("4CH?" in message for message in logic.messages)
    assert any("No 3CH" in message for message in logic.messages)
    logic._detector = TruthDetector(views=dict.fromkeys(seen, (None, 0.2)))
    assert logic.findViews(list(sequences.values())) == {}
    assert len(logic.messages) == 3 and "not recognised" in logic.messages[0]
    logic.cleanup()


def test_load_folder(app, tmp_path):
    for view in ("2CH", "4CH"):
        slicer.util.saveNode(sequence_from_cine(make_cine(view)), str(tmp_path / f"a_{view}.seq.nrrd"))
    slicer.mrmlScene.Clear(0)
    logic = StudyLogic(TruthDetector(views={"a_2CH": ("2CH", 0.9), "a_4CH": ("4CH", 0.9)}))
    found = logic.loadFolder(tmp_path)
    assert list(found) == ["2CH", "4CH"] and list(logic.detect(found)) == ["2CH", "4CH"]
    logic.cleanup()


def test_wrong_calls_say_what_was_expected(study, sequences):
    with pytest.raises(UsageError, match="5 mitral septal"):
        study.setAbsent("4CH", 0, 1)
    with pytest.raises(UsageError, match="2CH, 3CH, 4CH"):
        study.setAbsent("SAX", 0, 1)
    with pytest.raises(UsageError, match="0…24"):
        study.setAbsent("4CH", 25, 5)
    with pytest.raises(UsageError, match="three finite"):
        study.setPosition("4CH", 0, 5, (1, 2))
    with pytest.raises(UsageError, match="two views"):
        study.detect({"2CH": sequences["2CH"], "4CH": sequences["2CH"]})
    with pytest.raises(InputError, match="sequence node"):
        study.detect({"2CH": study.landmarksNode("2CH")})
    with pytest.raises(UsageError, match="no cine"):
        study.detect({})


def test_detecting_again_in_one_view_keeps_the_study_open(study, sequences):
    study.setAbsent("2CH", 1, 1)
    others = {key: value for key, value in scene_of(study).items() if key[0] != "4CH"}
    study.detect({"4CH": sequences["4CH"]})
    assert study.views() == ["2CH", "3CH", "4CH"]
    assert {key: value for key, value in scene_of(study).items() if key[0] != "4CH"} == others
    assert study.undo() and study.undo() and study.landmarks("2CH")[2][1, 0] == Provenance.AUTO


def test_a_cine_taken_for_another_view(study, sequences):
    """Opening it so changes nothing; detecting it so replaces its landmarks, name and all."""
    before = scene_of(study)
    study.open({"3CH": sequences["4CH"]})
    assert study.views() == [] and "as 4CH" in study.messages[0]
    study.open(sequences)
    assert scene_of(study) == before
    node = study.detect({"3CH": sequences["4CH"]})["3CH"]
    assert node.GetName() == "3CH landmarks"
    assert [bool(node.GetNthControlPointVisibility(i)) for i in range(11)] == view_mask("3CH").tolist()
    provenance = study.landmarks("3CH")[2]
    assert provenance[:, view_mask("3CH")].all() and not provenance[:, ~view_mask("3CH")].any()
    study.open(sequences)
    assert study.views() == ["2CH", "3CH"], "its landmarks as 4CH are gone"
    again = StudyLogic(TruthDetector())
    assert {"3CH": sequences["4CH"]}.items() <= next(s for s in again.studies() if "3CH" in s).items()
    again.cleanup()


def test_what_another_logic_writes_is_no_persons_edit(study, detector, sequences):
    """The panel's logic and one of the console show the same landmarks: both know what either did."""
    other = StudyLogic(detector)
    try:
        other.open(sequences)
        position = study.landmarks("4CH")[0][0, 4] + [3.0, 2.0, 1.0]
        study.browserNode("4CH").SetSelectedItemNumber(0)
        other.setPosition("4CH", frame=0, landmark=5, position=position, spread=0)
        for logic in (other, study):
            provenance = logic.landmarks("4CH")[2]
            assert np.argwhere(provenance == Provenance.MANUAL).tolist() == [[0, 4]]
            assert not (provenance == Provenance.PROPAGATED).any()
        other.setAbsent("4CH", 7, 6)
        assert np.isnan(study.landmarks("4CH")[0][7, 5]).all()
        # a new detection that keeps nothing leaves nothing placed in either
        other.detect(sequences, keepManual=False)
        for logic in (other, study):
            assert not (logic.landmarks("4CH")[2] == Provenance.MANUAL).any()
        study.setPosition("2CH", 3, 1, study.landmarks("2CH")[0][3, 0] + 1.0, spread=0)
        assert other.landmarks("2CH")[2][3, 0] == Provenance.MANUAL and study.canUndo()
    finally:
        other.cleanup()


def test_rings_begin_at_the_phase_that_is_shown(study):
    from CardiacValveLandmarksLib.mrml.annulus_nodes import phase_items, rings_browser

    shown = study.study()
    for view in study.views():
        study.browserNode(view).SetSelectedItemNumber(6)
    study.showStudy(shown)
    browser = rings_browser(study._owner(), slicer.mrmlScene)
    assert browser.GetSelectedItemNumber() in {int(phase_items(shown, view)[6]) for view in study.views()}
    assert browser.GetSelectedItemNumber() > 0

"""A result is taken into the scene in pieces: until the last of them the scene is as it was."""

import numpy as np
import pytest
import slicer
from CardiacValveLandmarksLib.errors import InputError
from CardiacValveLandmarksLib.landmarks import Provenance
from snapshot import scene_of


def node_ids():
    scene = slicer.mrmlScene
    return sorted(scene.GetNthNode(i).GetID() for i in range(scene.GetNumberOfNodes()))


def advance(pieces, count: int) -> None:
    for _ in range(count):
        next(pieces)


def pieces_in(logic, detected) -> int:
    return sum(1 for _ in logic.applyInPieces(detected))


def test_stopped_at_any_piece_nothing_has_happened(logic, sequences):
    detected, before = logic.compute(logic.prepare(sequences)), node_ids()
    for count in (1, 3, 4, 30, 60):
        pieces = logic.applyInPieces(detected)
        advance(pieces, count)
        pieces.close()
        assert node_ids() == before and logic.studies() == [] and not logic.canUndo()
    assert pieces_in(logic, detected) > 61, "a piece a frame"
    assert logic.views() == ["2CH", "3CH", "4CH"]


def test_a_second_detection_stopped_on_its_way_changes_no_point(study, sequences):
    study.setAbsent("2CH", 1, 1)
    held = scene_of(study)
    pieces = study.applyInPieces(study.compute(study.prepare(sequences)))
    advance(pieces, 50)
    pieces.close()
    assert scene_of(study) == held
    assert study.undo() and study.landmarks("2CH")[2][1, 0] != Provenance.ABSENT


def test_what_a_person_does_meanwhile_is_kept(study, sequences):
    detected = study.compute(study.prepare(sequences))
    pieces = study.applyInPieces(detected)
    advance(pieces, 50)
    study.setPosition("2CH", 3, 1, study.landmarks("2CH")[0][3, 0] + 2, spread=0)
    placed = study.landmarks("2CH")[0][3, 0]
    with pytest.raises(StopIteration):
        advance(pieces, 1000)
    assert study.kept == 1 and np.array_equal(study.landmarks("2CH")[0][3, 0], placed)
    predicted = study.landmarksNode("2CH")
    study.browserNode("2CH").SetSelectedItemNumber(3)
    assert predicted.GetNthControlPointPosition(0) == pytest.approx(placed, abs=1e-9)


@pytest.mark.parametrize("what", ["cine", "scene", "images"])
def test_what_is_lost_meanwhile_is_told(logic, sequences, what):
    pieces = logic.applyInPieces(logic.compute(logic.prepare(sequences)))
    advance(pieces, 40)
    if what == "cine":
        slicer.mrmlScene.RemoveNode(sequences["3CH"])
    elif what == "scene":
        slicer.mrmlScene.Clear(0)
    else:
        sequence = sequences["2CH"]
        sequence.SetDataNodeAtValue(sequence.GetNthDataNode(5), sequence.GetNthIndexValue(2))
    before = node_ids()
    with pytest.raises(InputError, match="Nothing was changed"):
        advance(pieces, 1000)
    assert node_ids() == before and logic.studies() == []


def test_rings_come_all_at_once(study):
    shown = study.study()
    before = node_ids()
    pieces = study.showStudyInPieces(shown)
    advance(pieces, 10)
    assert node_ids() == before
    pieces.close()
    assert node_ids() == before

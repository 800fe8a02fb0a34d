"""What goes wrong in a scene: each time a message that says what to do, and the scene intact."""

from pathlib import Path

import numpy as np
import pytest
import slicer
from CardiacValveLandmarksLib.errors import CvlError, InputError, ModelError, UsageError
from CardiacValveLandmarksLib.landmarks import Provenance
from CardiacValveLandmarksLib.mrml.cine_nodes import sequence_from_cine
from CardiacValveLandmarksLib.mrml.logic import StudyLogic
from snapshot import scene_of
from synthetic import TruthDetector, make_cine


def node_ids():
    scene = slicer.mrmlScene
    return sorted(scene.GetNthNode(i).GetID() for i in range(scene.GetNumberOfNodes()))


def test_a_cine_deleted_during_detection(logic, sequences):
    jobs = logic.prepare(sequences)
    detected = logic.compute(jobs)
    slicer.mrmlScene.RemoveNode(sequences["3CH"])
    before = node_ids()
    with pytest.raises(InputError, match=r"removed.*Load the cine again"):
        logic.apply(detected)
    assert node_ids() == before and logic.studies() == []


def test_the_scene_closed_during_detection(logic, sequences):
    detected = logic.compute(logic.prepare(sequences))
    slicer.mrmlScene.Clear(0)
    before = node_ids()
    with pytest.raises(InputError, match="Nothing was changed"):
        logic.apply(detected)
    assert node_ids() == before


def test_another_cine_under_the_same_id_is_not_mistaken(logic, app):
    first = sequence_from_cine(make_cine("4CH", 20))
    detected = logic.compute(logic.prepare({"4CH": first}))
    slicer.mrmlScene.Clear(0)
    second = sequence_from_cine(make_cine("4CH", 20, shape=(40, 44)))
    assert second.GetID() == detected[0].job.sequence_id
    with pytest.raises(InputError, match="other"):
        logic.apply(detected)
    assert logic.studies() == []


def test_the_scene_closed_during_review(study):
    slicer.mrmlScene.Clear(0)
    assert study.views() == []
    with pytest.raises(UsageError, match=r"no landmarks.*detect"):
        study.setAbsent("4CH", 0, 5)
    assert not study.canUndo()


def test_one_cine_deleted_during_review_leaves_the_others(study, sequences):
    study.setAbsent("2CH", 1, 1)
    slicer.mrmlScene.RemoveNode(sequences["4CH"])
    assert study.views() == ["2CH", "3CH"]
    with pytest.raises(UsageError, match="2CH, 3CH"):
        study.landmarks("4CH")
    assert study.undo() and study.landmarks("2CH")[2][1, 0] == Provenance.AUTO


def test_a_landmark_sequence_deleted(study, sequences):
    nodes = study._current().view("3CH").nodes
    slicer.mrmlScene.RemoveNode(nodes.sequence)
    assert study.views() == ["2CH", "4CH"]
    study.detect(sequences)
    assert study.views() == ["2CH", "3CH", "4CH"] and study.landmarks("3CH")[2][0, 2] == Provenance.AUTO


def test_a_deleted_landmark_proxy_comes_back_and_is_observed(study):
    held = study.landmarks("4CH")[0]
    slicer.mrmlScene.RemoveNode(study.landmarksNode("4CH"))
    node = study.landmarksNode("4CH")
    assert slicer.mrmlScene.IsNodePresent(node) and node.GetDisplayNode() is not None
    assert np.array_equal(study.landmarks("4CH")[0], held, equal_nan=True)
    node.SetNthControlPointPosition(4, *(held[0, 4] + 3))
    assert study.landmarks("4CH")[2][0, 4] == Provenance.MANUAL


def test_a_hidden_landmark_proxy_is_shown_again_by_a_detection(study, sequences):
    study.landmarksNode("4CH").GetDisplayNode().SetVisibility(False)
    study.detect(sequences)
    assert study.landmarksNode("4CH").GetDisplayNode().GetVisibility()


def test_a_deleted_image_proxy_comes_back_at_detection(logic, sequences):
    browser = slicer.modules.sequences.logic().GetFirstBrowserNodeForSequenceNode(sequences["4CH"])
    slicer.mrmlScene.RemoveNode(browser.GetProxyNode(sequences["4CH"]))
    logic.detect(sequences)
    assert logic.browserNode("4CH").GetProxyNode(sequences["4CH"]).GetImageData() is not None


def test_a_deleted_browser(study, sequences):
    held = study.landmarks("4CH")[0]
    slicer.mrmlScene.RemoveNode(study.browserNode("4CH"))
    study.open(sequences)
    study.detect({"4CH": sequences["4CH"]})
    assert study.browserNode("4CH").GetProxyNode(sequences["4CH"]) is not None
    assert study.landmarks("4CH")[0].shape == held.shape


def test_two_browsers_over_one_sequence(logic, sequences):
    sequence = sequences["4CH"]
    second = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "second")
    second.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(second)
    logic.detect({"4CH": sequence})
    browser, node = logic.browserNode("4CH"), logic.landmarksNode("4CH")
    before = scene_of(logic)
    other = second if browser is not second else None
    assert other is not None and second.GetProxyNode(logic._current().view("4CH").nodes.sequence) is None
    for frame in (5, 9, 0):
        second.SetSelectedItemNumber(frame)
    assert scene_of(logic) == before
    second.SetSelectedItemNumber(9)
    node.SetNthControlPointPosition(4, *(np.array(node.GetNthControlPointPosition(4)) + 2))
    assert np.flatnonzero(logic.landmarks("4CH")[2][:, 4] == Provenance.MANUAL).tolist() == [0]


def test_a_model_that_is_gone_leaves_the_scene(app, sequences):
    def detector(cine, **options):
        raise ModelError("model.onnx", "a model file", "nothing there", "Download it again.")

    logic, before = StudyLogic(detector), node_ids()
    with pytest.raises(ModelError, match="Download"):
        logic.detect(sequences)
    assert node_ids() == before and logic.studies() == []
    logic.cleanup()


def test_a_detector_that_fails_in_the_last_view_changes_none(study, sequences):
    before = scene_of(study)

    class Failing(TruthDetector):
        def __call__(self, cine, **options):
            if cine.view == "4CH":
                raise InputError(cine.name, "a heart", "none")
            return super().__call__(cine, **options)

    study._detector = Failing()
    with pytest.raises(InputError):
        study.detect(sequences)
    assert scene_of(study) == before


def test_nothing_is_done_for_what_is_no_cine(logic, app):
    single = sequence_from_cine(make_cine("4CH", 1))
    before = node_ids()
    with pytest.raises(InputError, match="1 frame"):
        logic.detect({"4CH": single})
    assert node_ids() == before


def no_cine(kind: str):
    """A sequence that is none, and what is to be said of it."""
    arrays = [np.full((1, 20, 24), float(frame)) for frame in range(4)]
    expected = {
        "one frame": "1 frame",
        "3-D volumes": r"3-D volumes \(24 x 20 x 3\).*Split",
        "another size": r"\(20, 24\).*\(18, 24\).*on its own",
        "another place": "frame 2 at another place.*on its own",
        "not a number": "NaN or infinity.*again",
        "points": "at frame 0.*Select a sequence of images",
        "empty": "0 frames.*Select a cine",
    }[kind]
    if kind == "one frame":
        arrays = arrays[:1]
    if kind == "3-D volumes":
        arrays = [np.repeat(array, 3, axis=0) for array in arrays]
    if kind == "another size":
        arrays[2] = arrays[2][:, :18]
    if kind == "not a number":
        arrays[1][0, 3, 3] = np.nan
    if kind == "empty":
        arrays = []
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", kind)
    for frame, array in enumerate(arrays):
        node = slicer.vtkMRMLMarkupsFiducialNode() if kind == "points" else slicer.util.addVolumeFromArray(array)
        if kind == "another place" and frame == 2:
            node.SetOrigin(0, 0, 8)
        sequence.SetDataNodeAtValue(node, str(frame))
        if kind != "points":
            slicer.mrmlScene.RemoveNode(node)
    return sequence, expected


@pytest.mark.parametrize(
    "kind", ["one frame", "3-D volumes", "another size", "another place", "not a number", "points", "empty"]
)
def test_what_is_no_cine_is_refused_and_nothing_changes(study, kind):
    """Beside a study under review, which stays the open one, as it is."""
    study.setAbsent("2CH", 1, 1)
    sequence, expected = no_cine(kind)
    before, held = node_ids(), scene_of(study)
    for act in (study.detect, study.startManual):
        with pytest.raises(InputError, match=f"(?s){expected}"):
            act({"3CH": sequence})
    with pytest.raises(InputError, match=f"(?s){expected}"):
        study.findViews([sequence])
    assert node_ids() == before
    study.open(study.studies()[0])
    assert scene_of(study) == held and study.canUndo()


def test_all_of_these_are_errors_of_ours_with_a_status():
    assert {InputError.exit_status, UsageError.exit_status, ModelError.exit_status} == {2, 3, 4}
    assert issubclass(ModelError, CvlError)


def test_the_model_file_removed_between_choosing_and_detecting(app, sequences, tmp_path):
    """The real detection, its model copied to a file of the user's and deleted after `prepare`."""
    import shutil

    import CardiacValveLandmarksLib

    built_in = Path(CardiacValveLandmarksLib.__file__).parent / "resources" / "phantom-heatmap.onnx"
    mine = tmp_path / "mine.onnx"
    shutil.copy(built_in, mine)
    logic = StudyLogic()
    before, jobs = node_ids(), logic.prepare(sequences)
    mine.unlink()
    with pytest.raises(ModelError, match=r"mine\.onnx"):
        logic.compute(jobs, model=str(mine))
    assert node_ids() == before and logic.studies() == []
    logic.cleanup()

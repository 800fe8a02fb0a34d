"""Another study is chosen while something runs: panel, logic and scene stay on one study, and no result gets lost or
lands with the wrong one."""

import time

import pytest
import slicer
from CardiacValveLandmarksLib.landmarks import VIEWS
from CardiacValveLandmarksLib.mrml.cine_nodes import sequence_from_cine
from CardiacValveLandmarksLib.mrml.logic import StudyLogic


def selected(panel) -> dict[str, str]:
    return {view: getattr(panel.parameters, f"cine{view}").GetID() for view in VIEWS}


def worked_on(panel) -> dict[str, str]:
    return {view: panel.logic._current().views[view].nodes.image_sequence.GetID() for view in panel.views()}


def choose(panel, host, sequences) -> None:
    for view, node in sequences.items():
        setattr(panel.parameters, f"cine{view}", node)
    host.process(0.05)


def finish(panel, host) -> None:
    assert host.process(60, until=lambda: not panel.busy)
    host.process(0.3)


@pytest.fixture
def others(study, cines):
    """A second study in the scene, with landmarks."""
    sequences = {item.kind: sequence_from_cine(item.cine.replace(name=f"other_{item.kind}")) for item in cines}
    logic = StudyLogic(study.logic._detector)
    logic.detect(sequences)
    logic.cleanup()
    return sequences


def test_another_study_chosen_during_a_detection(study, host, detector, others):
    first = selected(study)
    detector.delay = 0.03
    study.ui.detectButton.click()
    host.process(0.2)
    assert study.busy
    choose(study, host, others)
    finish(study, host)
    assert selected(study) == worked_on(study) == {view: node.GetID() for view, node in others.items()}
    choose(study, host, {view: slicer.mrmlScene.GetNodeByID(node_id) for view, node_id in first.items()})
    host.process(0.3)
    assert worked_on(study) == first


def test_another_study_chosen_while_measuring(study, host, others, monkeypatch):
    import CardiacValveLandmarksLib.study_build as study_build

    study.parameters.liveMeasures = False
    real = study_build.build_study

    def slow(*arguments, **named):
        time.sleep(0.4)
        return real(*arguments, **named)

    monkeypatch.setattr(study_build, "build_study", slow)
    study.ui.measureButton.click()
    host.process(0.1)
    assert study.busy
    choose(study, host, others)
    finish(study, host)
    assert study.measures.result is None and study.ui.measuresTable.rowCount == 0
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLTableNode") == 0
    assert "Another study was chosen meanwhile" in study.ui.messageLabel.text


def test_a_cine_deselected_and_chosen_again_keeps_its_points(study, host):
    four = study.parameters.cine4CH
    study.logic.setAbsent("4CH", 3, 5)
    study.parameters.cine4CH = None
    host.process(0.2)
    assert study.views() == ["2CH", "3CH"] and study.ui.landmarkTable.rowCount > 0
    study.parameters.cine4CH = four
    host.process(0.2)
    assert study.views() == ["2CH", "3CH", "4CH"]
    assert study.logic.correction("4CH").decisions[3, 4]

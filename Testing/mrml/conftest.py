"""Fixtures of the MRML suite: a fresh real scene, the logic with a known detector, a study in the scene."""

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core, Python 3.11)")

from synthetic import TruthDetector, make_cine


@pytest.fixture
def app():
    """slicer.app with a fresh scene."""
    from host import make_application

    application = make_application()
    yield application
    application.scene.Clear(0)


@pytest.fixture
def detector():
    return TruthDetector()


@pytest.fixture
def logic(app, detector):
    from CardiacValveLandmarksLib.mrml.logic import StudyLogic

    logic = StudyLogic(detector)
    yield logic
    logic.cleanup()


@pytest.fixture
def sequences(app):
    """Three cines in the scene: {view: sequence node}, each with a frame count of its own."""
    from CardiacValveLandmarksLib.mrml.cine_nodes import sequence_from_cine

    return {
        view: sequence_from_cine(make_cine(view, frames)) for view, frames in (("2CH", 20), ("3CH", 16), ("4CH", 25))
    }


@pytest.fixture
def study(logic, sequences):
    """The logic after a detection in all three views."""
    logic.detect(sequences)
    return logic

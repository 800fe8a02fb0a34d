"""Studies to export, with known truth."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "study"))

import synthetic_truth
from CardiacValveLandmarksLib.export.motion import ring_motions
from CardiacValveLandmarksLib.study import Study, StudySettings
from CardiacValveLandmarksLib.study_build import build_study
from user_meshes import RIM, Ventricle, smooth_ring


def make_study(**changes) -> Study:
    """A synthetic study without pixels; `changes` are arguments of synthetic_truth.make."""
    truth = synthetic_truth.make(**{"noise_mm": 0.5, "seed": 1, **changes})
    return build_study(truth.entries, StudySettings(samples=20, motion_check=False))


@pytest.fixture(scope="session")
def study() -> Study:
    return make_study()


@pytest.fixture(scope="session")
def study_with():
    """Makes a study with other arguments of synthetic_truth.make."""
    return make_study


@pytest.fixture(scope="session")
def one_view() -> Study:
    """4CH only: no mitral ring, an assumed tricuspid one."""
    return make_study(views=("4CH",))


@pytest.fixture(scope="session")
def no_ring() -> Study:
    """2CH only: nothing to make a ring of."""
    return make_study(views=("2CH",))


@pytest.fixture(scope="session")
def ring(study):
    """The motion of the mitral ring."""
    return next(m for m in ring_motions(study) if m.valve == "mitral")


@pytest.fixture(scope="session")
def truth(ring):
    """(T, RIM, 3): where the rim's nodes of `ventricle` are over the beat."""
    return smooth_ring(ring.positions, RIM)


@pytest.fixture(scope="session")
def ventricle(truth, study):
    return Ventricle(truth[0], study.trajectory(11, "4CH").evaluate(study.ed_phase))

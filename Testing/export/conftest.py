"""Studies to export, with known truth."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "study"))

import synthetic_truth
from CardiacValveLandmarksLib.study import Study, StudySettings
from CardiacValveLandmarksLib.study_build import build_study


def make_study(**changes) -> Study:
    """A synthetic study without pixels; `changes` are arguments of synthetic_truth.make."""
    truth = synthetic_truth.make(**{"noise_mm": 0.5, "seed": 1, **changes})
    return build_study(truth.entries, StudySettings(samples=20, motion_check=False))


@pytest.fixture(scope="session")
def study() -> Study:
    return make_study()


@pytest.fixture(scope="session")
def one_view() -> Study:
    """4CH only: no mitral ring, an assumed tricuspid one."""
    return make_study(views=("4CH",))


@pytest.fixture(scope="session")
def no_ring() -> Study:
    """2CH only: nothing to make a ring of."""
    return make_study(views=("2CH",))

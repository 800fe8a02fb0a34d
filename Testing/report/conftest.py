"""A small examination with pixels, written as DICOM, and a detector that knows its truth."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "study"))

import synthetic_truth
from CardiacValveLandmarksLib.phantom.dicom import write_dicom

FRAMES = {"2CH": 12, "3CH": 14, "4CH": 12}


@pytest.fixture(scope="session")
def truth():
    return synthetic_truth.make(seed=3, noise_mm=0.4, images=True, frames=FRAMES)


@pytest.fixture(scope="session")
def dicom(truth, tmp_path_factory) -> Path:
    """A folder a view, named after a person."""
    folder = tmp_path_factory.mktemp("examination") / "ZEBULON_JANE"
    for number, (cine, _) in enumerate(truth.entries, start=1):
        write_dicom(cine, folder / cine.name, series_number=number, series_description="ZEBULON", patient_id="ZEBULON1")
    return folder


@pytest.fixture(scope="session")
def detector(truth):
    """cine -> the truth of the view that lies where the cine does."""

    def detect(cine):
        for own, series in truth.entries:
            if np.allclose(own.geometry.normal, cine.geometry.normal, atol=1e-4):
                return SimpleNamespace(landmarks=series, warnings=("The model was trained on a synthetic heart only.",))
        raise AssertionError(cine.source)

    return detect

"""The scene that a headless `study` leaves beside its files."""

import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import slicer
from CardiacValveLandmarksLib.errors import InputError
from CardiacValveLandmarksLib.mrml.bundle import bundle_run
from CardiacValveLandmarksLib.mrml.logic import StudyLogic
from CardiacValveLandmarksLib.phantom.cines import synthetic_study
from CardiacValveLandmarksLib.phantom.dicom import write_dicom
from CardiacValveLandmarksLib.study import StudySettings
from CardiacValveLandmarksLib.study_run import read_examination, run_study
from synthetic import Result

WHO = "Jane_Doe"


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A study's output folder, and the arguments that it was made with."""
    scans, out = tmp_path_factory.mktemp(WHO), tmp_path_factory.mktemp("out")
    heart = synthetic_study(3, frames=12, shape=(64, 64), spacing=4.0)
    for number, item in enumerate(heart.items):
        folder = scans / str(number)
        write_dicom(item.cine, folder, series_number=number, series_description=item.kind, patient_id=WHO)
    truth = {float(number): item.truth for number, item in enumerate(heart.items)}

    def detector(cine):
        found = truth[cine.attributes["series_number"]]
        return Result(found, found.view, 1.0, ())

    examination = read_examination(scans, {}, False)
    run_study(examination, out, detector, settings=StudySettings(motion_check=False, samples=20))
    arguments = {"folder": str(scans), "output": str(out), "identify": False, "overwrite": False}
    return SimpleNamespace(**arguments, path_2CH=None, path_3CH=None, path_4CH=None), heart


def test_the_scene_has_the_study_and_nobodys_name(app, ran):
    options, heart = ran
    path = bundle_run(options)
    with zipfile.ZipFile(path) as bundle:
        for name in bundle.namelist():
            assert WHO not in name
            if name.endswith((".mrml", ".json")):
                assert WHO.encode() not in bundle.read(name), name
    slicer.util.loadScene(str(path), {"clear": True})
    logic = StudyLogic(lambda cine, **options: None)
    logic.open(logic.studies()[0])
    assert logic.views() == ["2CH", "3CH", "4CH"] and logic.messages == []
    for item in heart.items:
        assert np.array_equal(logic.correction(item.kind).current.positions, item.truth.positions, equal_nan=True)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLMarkupsClosedCurveNode") == 3
    logic.cleanup()
    with pytest.raises(InputError, match="overwrite"):
        bundle_run(options)

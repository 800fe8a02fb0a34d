"""The DICOM structured report, on synthetic DICOM images."""

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from CardiacValveLandmarksLib.errors import InputError
from CardiacValveLandmarksLib.export import ExportOptions, export_study, format_named
from CardiacValveLandmarksLib.phantom.dicom import write_dicom

pytest.importorskip("highdicom", reason="highdicom is not installed")
pydicom = pytest.importorskip("pydicom")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    import synthetic_truth

    folder = tmp_path_factory.mktemp("images")
    for number, (cine, _) in enumerate(synthetic_truth.make(images=False).entries, start=1):
        small = cine.replace(frames=np.ones((cine.n_frames, 8, 8), np.float32))
        write_dicom(small, folder / cine.name, series_number=number, series_description="cine")
    return folder


@pytest.fixture(scope="module")
def report(study, images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    export_study(study, folder, [format_named("dicom-sr")], _options(images))
    return folder / "dicom-sr" / "measures.dcm"


def _options(images):
    return ExportOptions(identify=True, images=images)


def test_report_has_the_measures_of_the_images_patient(study, report):
    data = pydicom.dcmread(report)
    assert data.PatientID == "SYNTHETIC"
    assert data.StudyInstanceUID == study.views[0].study_uid
    numbers = {}

    def walk(item):
        if getattr(item, "ValueType", "") == "NUM":
            value = item.MeasuredValueSequence[0]
            code = item.ConceptNameCodeSequence[0]
            numbers[code.CodeMeaning] = (float(value.NumericValue), value.MeasurementUnitsCodeSequence[0].CodeValue)
        for child in getattr(item, "ContentSequence", []):
            walk(child)

    walk(data)
    known = [m for m in study.measures if np.isfinite(m.value)]
    assert len(numbers) == len(known)
    assert any(name.startswith("e′ ") for name in numbers)
    assert numbers["TAPSE free wall (4CH)"] == (pytest.approx(study.measure("tapse").value, rel=1e-5), "mm")


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
def test_report_is_valid_dicom(report):
    done = subprocess.run(["dciodvfy", str(report)], capture_output=True, text=True, check=False)
    errors = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
    assert errors == []


def test_images_of_another_study_are_refused(study, images, tmp_path):
    other = replace(study, views=tuple(replace(v, study_uid="1.2.3.99") for v in study.views))
    with pytest.raises(InputError, match="another study"):
        export_study(other, tmp_path / "out", [format_named("dicom-sr")], _options(images))


def test_a_folder_without_images_is_refused(study, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="DICOM images"):
        export_study(study, tmp_path / "out", [format_named("dicom-sr")], _options(tmp_path / "empty"))

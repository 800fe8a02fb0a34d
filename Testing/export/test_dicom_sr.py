"""The DICOM structured report, on synthetic DICOM images."""

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import synthetic_truth
from CardiacValveLandmarksLib.errors import InputError
from CardiacValveLandmarksLib.export import ExportOptions, export_study, format_named
from CardiacValveLandmarksLib.phantom.dicom import write_dicom

pytest.importorskip("highdicom", reason="highdicom is not installed")
pydicom = pytest.importorskip("pydicom")

#: shape of the images the study was made of
SMALL = (8, 8)


def write_images(folder, frames, **changes):
    """DICOM images of the study's views, which show noise."""
    for number, (cine, _) in enumerate(synthetic_truth.make(images=False).entries, start=1):
        noise = np.random.default_rng(number).integers(0, 1000, (cine.n_frames, *frames)).astype(np.float32)
        write_dicom(cine.replace(frames=noise), folder / cine.name, series_number=number, series_description="cine")
    for path in folder.rglob("*.dcm") if changes else ():
        data = pydicom.dcmread(path)
        for name, value in changes.items():
            if value is None:
                data.pop(name, None)
            else:
                setattr(data, name, value)
        data.save_as(path)
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("images"), SMALL)


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
    with pytest.raises(InputError, match="an empty folder"):
        export_study(study, tmp_path / "out", [format_named("dicom-sr")], _options(tmp_path / "empty"))


def test_images_that_are_not_the_studys_are_refused_where_it_knows_no_uid(study, tmp_path):
    """A study saved without --identify has no UIDs: another patient's report must not be written for it."""
    unknown = replace(study, views=tuple(replace(v, study_uid="") for v in study.views))
    others = write_images(tmp_path / "others", (96, 96), PatientID="4711", PatientName="Other^Person")
    with pytest.raises(InputError, match="none that fit"):
        export_study(unknown, tmp_path / "out", [format_named("dicom-sr")], _options(others))
    assert not list(tmp_path.glob("out/**/*.dcm"))


def test_images_of_two_names_are_refused(study, images, tmp_path):
    mixed = tmp_path / "mixed"
    shutil.copytree(images, mixed)
    for path in mixed.glob("*3*/*.dcm"):
        data = pydicom.dcmread(path)
        data.PatientName = "Other^Person"
        data.save_as(path)
    with pytest.raises(InputError, match="one PatientName"):
        export_study(study, tmp_path / "out", [format_named("dicom-sr")], _options(mixed))


def test_anonymised_images_and_other_files_beside_them(study, tmp_path):
    anonymous = dict.fromkeys(("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"))
    changes = {**anonymous, "PatientID": None, "SeriesNumber": 2**31 - 1}
    folder = write_images(tmp_path / "images", SMALL, **changes)
    (folder / "truth.csv").write_text("a,b\n")
    (folder / "empty").write_text("")
    export_study(study, tmp_path / "out", [format_named("dicom-sr")], _options(folder))
    data = pydicom.dcmread(tmp_path / "out" / "dicom-sr" / "measures.dcm")
    assert data.PatientID == "" and data.SeriesNumber == 2**31 - 1


def test_a_japanese_name_stays_what_it_is(study, tmp_path):
    name = "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce"
    changes = {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PatientName": name}
    folder = write_images(tmp_path / "images", SMALL, **changes)
    export_study(study, tmp_path / "out", [format_named("dicom-sr")], _options(folder))
    data = pydicom.dcmread(tmp_path / "out" / "dicom-sr" / "measures.dcm")
    assert data.SpecificCharacterSet == "ISO_IR 192" and str(data.PatientName) == name


def test_evidence_is_the_images_of_the_views(study, images, report):
    data = pydicom.dcmread(report)
    series = [s for item in data.CurrentRequestedProcedureEvidenceSequence for s in item.ReferencedSeriesSequence]
    assert len(series) == 3
    assert sum(len(s.ReferencedSOPSequence) for s in series) == len(list(images.rglob("*.dcm")))

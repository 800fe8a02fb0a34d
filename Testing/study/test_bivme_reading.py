"""biv-me guide points: read row by row, and as the landmarks of a study."""

import numpy as np
import pytest
from CardiacValveLandmarksLib.cine import Cine
from CardiacValveLandmarksLib.errors import InputError
from CardiacValveLandmarksLib.export.bivme_files import guide_point_landmarks, read_guide_points
from CardiacValveLandmarksLib.study import StudySettings
from CardiacValveLandmarksLib.study_build import build_study

HEADER = "x\ty\tz\tcontour type\tframeID\tweight\ttime frame\n"
ROW = "6.33182\t39.11732\t-15.96727\tMITRAL_VALVE\t7\t1.0\t0\n"
SLICE = (
    "a.dcm\tsliceID: \t7\tImagePositionPatient\t-180.784\t116.78\t78.6807\tImageOrientationPatient\t0.9954\t0\t"
    "0.0958042\t0.0787602\t-0.569348\t-0.818315\tPixelSpacing\t1.40625\t1.5\n"
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "GPFile_000.txt").write_bytes((HEADER + ROW).encode())
    (tmp_path / "SliceInfoFile.txt").write_bytes(SLICE.encode())
    return tmp_path


def test_rows_keep_their_bytes(folder):
    text = HEADER + ROW.replace("\n", "\r\n") + "1\t2\t3\tSAX_LV_EPICARDIAL\t7\t1.0\t0"
    (folder / "GPFile_000.txt").write_bytes(text.encode())
    points = read_guide_points(folder)
    assert points.frames[0].text() == text
    assert points.frames[0].points("MITRAL_VALVE", 7).tolist() == [[6.33182, 39.11732, -15.96727]]


def test_geometry_of_a_slice(folder):
    geometry = read_guide_points(folder).slices[7].geometry
    assert geometry.spacing == pytest.approx([1.40625, 1.5], rel=1e-5)
    assert geometry.axis1 == pytest.approx(np.array([0.9954, 0, 0.0958042]) * 1.5)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("GPFile_000.txt", "x y z\n", "first row"),
        ("GPFile_000.txt", "", "empty file"),
        ("GPFile_000.txt", HEADER + ROW.replace("6.33182", "nan"), "row 2"),
        ("GPFile_000.txt", HEADER + ROW.replace("\t7", ""), "6 columns"),
        ("GPFile_002.txt", HEADER, "none missing"),
        ("SliceInfoFile.txt", SLICE.replace("PixelSpacing\t", ""), "row 1"),
        ("SliceInfoFile.txt", SLICE.replace("1.40625", "0"), "positive"),
    ],
)
def test_damaged_files_are_named(folder, name, text, words):
    (folder / name).write_bytes(text.encode())
    with pytest.raises(InputError, match=words):
        read_guide_points(folder)


def test_a_folder_without_guide_points(tmp_path):
    with pytest.raises(InputError, match="SliceInfoFile"):
        read_guide_points(tmp_path)


@pytest.fixture(scope="module")
def real(real_data):
    return read_guide_points(real_data / "biv-me" / "guidepoints" / "default" / "patient1")


def test_a_real_set_reads_back_byte_for_byte(real):
    assert len(real.frames) == 25
    for frame in real.frames:
        assert frame.text().encode() == (real.folder / f"GPFile_{frame.number:03d}.txt").read_bytes()
    assert real.find_slices() == {"2CH": 9, "3CH": 8, "4CH": 7}


def test_figures_of_the_real_set(real):
    entries = []
    for view, (series, geometry) in guide_point_landmarks(real).items():
        assert np.abs(geometry.distance(geometry.to_patient(series.positions[series.present]))).max() < 1e-6
        entries.append((Cine(np.zeros((25, 8, 8)), geometry, name=view), series))
    study = build_study(entries, StudySettings(motion_check=False, samples=20))
    assert study.measure("excursion_4ch").value == pytest.approx(18.0, abs=1.2)
    assert study.measure("excursion_2ch").value == pytest.approx(13.6, abs=1.2)
    assert study.measure("excursion_3ch").value == pytest.approx(11.0, abs=1.2)
    assert study.measure("lv_length_ed").value == pytest.approx(100.9, abs=1.5)
    assert study.measure("lv_length_min").value == pytest.approx(83.9, abs=1.5)
    # ends told by anatomy: the points run around the ring as they do in a heart
    assert not any("follow each other" in warning for warning in study.warnings)
    assert study.annulus("mitral").residual_mm.max() < 5
    assert [a.valve for a in study.annuli] == ["mitral", "tricuspid", "aortic"]

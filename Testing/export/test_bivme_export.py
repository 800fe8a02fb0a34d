"""biv-me guide points: an existing set with only its valve rows changed, and the partial set."""

import dataclasses
import shutil

import numpy as np
import pytest
from CardiacValveLandmarksLib.errors import InputError
from CardiacValveLandmarksLib.export import ExportOptions, export_study, format_named
from CardiacValveLandmarksLib.export.bivme_files import guide_point_landmarks, read_guide_points
from CardiacValveLandmarksLib.export.formats.bivme import replace_points
from CardiacValveLandmarksLib.readers import scan
from CardiacValveLandmarksLib.study import StudySettings
from CardiacValveLandmarksLib.study_build import build_study

REPLACED = {"MITRAL_VALVE", "TRICUSPID_VALVE", "AORTA_VALVE", "APEX_POINT"}


@pytest.fixture(scope="module")
def real_set(real_data):
    return real_data / "biv-me" / "guidepoints" / "default" / "patient1"


@pytest.fixture(scope="module")
def real_study(real_set, real_data):
    """The set's own valve points as landmarks of its images."""
    landmarks = guide_point_landmarks(read_guide_points(real_set))
    entries = []
    for view, folder in (("2CH", "Se8"), ("3CH", "Se7"), ("4CH", "Se6")):
        cine = scan(real_data / "biv-me" / "dicom" / folder).cines[0]
        series, geometry = landmarks[view]
        entries.append((cine, series.replace(positions=cine.geometry.to_pixels(geometry.to_patient(series.positions)))))
    return build_study(entries, StudySettings(samples=20, motion_check=False))


def _untouched(line: str) -> bool:
    return not REPLACED & set(line.split("\t"))


def test_untouched_rows_are_kept_byte_for_byte(real_study, real_set, tmp_path):
    export_study(real_study, tmp_path, [format_named("bivme")], ExportOptions(guide_points=real_set))
    files = sorted(p.name for p in real_set.iterdir())
    assert files == sorted(p.name for p in (tmp_path / "bivme").iterdir() if p.name != "about.json")
    changed = 0
    for name in files:
        old, new = ((f / name).read_bytes().decode().splitlines(keepends=True) for f in (real_set, tmp_path / "bivme"))
        assert len(old) == len(new)
        for before, after in zip(old, new, strict=True):
            if _untouched(before):
                assert before == after
            else:
                # same label, slice, weight and time frame; only the point moves
                assert before.split("\t")[3:] == after.split("\t")[3:]
                changed += before != after
    assert changed > 200


def test_an_apex_is_not_added_to_slices_that_had_none(real_study, real_set):
    """biv-me judges a slice by the rows it has (remove_misaligned_lv_lax_contours)."""
    points = read_guide_points(real_set)
    had = {(row.slice_id, row.label) for frame in points.frames for row in frame.rows}
    four = real_study.trajectory(11, "4CH")
    everywhere = tuple(dataclasses.replace(four, view=view) for view in ("2CH", "3CH", "4CH"))
    frames = replace_points(dataclasses.replace(real_study, trajectories=real_study.trajectories + everywhere), points)
    assert {(row.slice_id, row.label) for frame in frames for row in frame.rows} == had


def test_replaced_points_are_the_study_s_paths(real_study, real_set, tmp_path):
    export_study(real_study, tmp_path, [format_named("bivme")], ExportOptions(guide_points=real_set))
    back = guide_point_landmarks(read_guide_points(tmp_path / "bivme"))
    for view, numbers in (("2CH", (1, 2)), ("3CH", (3, 4, 7, 8)), ("4CH", (5, 6, 9, 10, 11))):
        series, geometry = back[view]
        for number in numbers:
            path = real_study.trajectory(number, view)
            expected = path.evaluate(real_study.view(view).phases)
            found = geometry.to_patient(series.positions[:, number - 1])
            np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_set_of_other_images_is_refused(study, real_set, tmp_path):
    with pytest.raises(InputError, match="other images"):
        export_study(study, tmp_path, [format_named("bivme")], ExportOptions(guide_points=real_set))
    assert not (tmp_path / "bivme").exists()


def test_a_broken_set_is_refused(real_study, real_set, tmp_path):
    copy = tmp_path / "set"
    shutil.copytree(real_set, copy)
    (copy / "GPFile_003.txt").write_text("x\ty\nno\trows\n")
    with pytest.raises(InputError, match=r"GPFile_003\.txt"):
        export_study(real_study, tmp_path / "out", [format_named("bivme")], ExportOptions(guide_points=copy))


def test_partial_set_says_so_and_reads_back(study, tmp_path):
    export_study(study, tmp_path, [format_named("bivme")])
    folder = tmp_path / "bivme"
    assert "cannot fit" in (folder / "PARTIAL.txt").read_text()
    assert not (folder / "SliceInfoFile.txt").read_bytes().endswith(b"\n")
    points = read_guide_points(folder)
    assert len(points.frames) == len(study.phases)
    back = guide_point_landmarks(points)
    assert set(back) == {"2CH", "3CH", "4CH"}
    series, geometry = back["4CH"]
    expected = study.trajectory(9, "4CH").evaluate(study.phases)
    np.testing.assert_allclose(geometry.to_patient(series.positions[:, 8]), expected, atol=1e-3)
    assert geometry.spacing == pytest.approx(study.view("4CH").geometry.spacing)

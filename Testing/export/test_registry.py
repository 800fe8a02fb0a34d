"""The registry: what is written where, whole or not at all, and never over something of the user's."""

import json
import re
from dataclasses import replace

import pytest
from CardiacValveLandmarksLib.errors import InputError, UsageError
from CardiacValveLandmarksLib.export import ExportOptions, Format, export_study, format_named, known_formats
from CardiacValveLandmarksLib.export.registry import parse_formats

PLAIN = ("csv", "json", "npz", "febio", "abaqus", "bivme")


def _chosen(*keys):
    return [format_named(key) for key in keys]


def test_the_formats_of_the_command_line_exist():
    keys = {f.key for f in known_formats()}
    assert keys >= {"csv", "json", "npz", "vtk", "vtkhdf", "febio", "abaqus", "bivme", "dicom-sr"}


def test_unknown_format_names_the_known_ones():
    with pytest.raises(UsageError, match=r"'stl'.*abaqus.*csv"):
        parse_formats("csv,stl", ExportOptions())


def test_all_leaves_out_with_a_reason_what_lacks_its_input():
    chosen, left_out = parse_formats("all", ExportOptions())
    assert "dicom-sr" not in {f.key for f in chosen}
    assert any("dicom-sr" in line and "--identify" in line for line in left_out)


def test_a_format_named_alone_is_never_left_out_silently():
    with pytest.raises(UsageError, match="--identify"):
        parse_formats("dicom-sr", ExportOptions())


def test_a_format_that_lacks_the_images_says_what_to_give(study, tmp_path):
    for key, module in (("dicom-sr", "highdicom"), ("mrb", "slicer.util")):
        pytest.importorskip(module)
        with pytest.raises(InputError, match="--images"):
            export_study(study, tmp_path, _chosen(key), ExportOptions(identify=True))
    assert not any(tmp_path.iterdir())


def test_a_missing_package_is_named_with_its_extra():
    absent = replace(format_named("vtkhdf"), modules=("no_such_package_here",))
    assert 'pip install ".[vtkhdf]"' in absent.missing(ExportOptions())


@pytest.mark.parametrize("key", PLAIN)
def test_about_tells_units_frame_rr_and_assumptions(study, tmp_path, key):
    export_study(study, tmp_path, _chosen(key))
    about = json.loads((tmp_path / key / "about.json").read_text(encoding="utf-8"))
    assert about["units"]["length"] == "mm"
    assert about["frame_of_reference"].startswith("LPS")
    assert about["rr_ms"] == study.rr_ms
    assert {r["valve"]: r["assumed_shape"] for r in about["rings"]} == {
        "mitral": False,
        "tricuspid": True,
        "aortic": True,
    }
    assert set(about["files"]) | {"about.json"} == {p.name for p in (tmp_path / key).iterdir()}


def test_nothing_identifies_unless_asked(study, tmp_path):
    views = tuple(
        replace(
            v,
            source="/data/ZEBULON_JANE/scan",
            study_uid="1.2.840.99",
            frame_of_reference_uid="1.2.840.98",
            name="zebulon",
        )
        for v in study.views
    )
    named = replace(study, views=views)
    export_study(named, tmp_path / "a", _chosen(*PLAIN))
    for path in (tmp_path / "a").rglob("*"):
        if path.is_file():
            assert not re.search(rb"zebulon|1\.2\.840\.9", path.read_bytes(), re.IGNORECASE), path
    export_study(named, tmp_path / "b", _chosen("csv"), ExportOptions(identify=True))
    assert "ZEBULON_JANE" in (tmp_path / "b" / "csv" / "about.json").read_text(encoding="utf-8")


def test_existing_files_stop_the_export_before_anything_is_written(study, tmp_path):
    (tmp_path / "npz").mkdir()
    (tmp_path / "npz" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="--overwrite"):
        export_study(study, tmp_path, _chosen("csv", "npz"))
    assert not (tmp_path / "csv").exists()
    assert (tmp_path / "npz" / "mine.txt").read_text() == "mine"


def test_overwrite_removes_our_own_stale_files_and_no_others(study, no_ring, tmp_path):
    def frame(number):
        return tmp_path / "bivme" / f"GPFile_{number:03d}.txt"

    many, few = len(study.phases), len(no_ring.phases)
    assert many > few
    export_study(study, tmp_path, _chosen("bivme"))
    (tmp_path / "bivme" / "mine.txt").write_text("mine")
    assert frame(many - 1).exists()
    export_study(no_ring, tmp_path, _chosen("bivme"), ExportOptions(overwrite=True))
    assert frame(few - 1).exists()
    assert not any(frame(number).exists() for number in range(few, many))
    assert (tmp_path / "bivme" / "mine.txt").exists()


def test_a_list_of_files_made_by_others_removes_nothing_outside(study, tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    (tmp_path / "csv").mkdir()
    listed = {"written_by": "someone", "files": ["../precious.txt", str(tmp_path / "precious.txt")]}
    (tmp_path / "csv" / "about.json").write_text(json.dumps(listed))
    export_study(study, tmp_path, _chosen("csv"), ExportOptions(overwrite=True))
    assert (tmp_path / "precious.txt").exists()


def test_a_failing_format_leaves_nothing_behind(study, tmp_path):
    def write(study, folder, options):
        (folder / "half.txt").write_text("half")
        raise InputError("x", "a", "b")

    with pytest.raises(InputError):
        export_study(study, tmp_path, [Format("broken", "broken", write)])
    assert not (tmp_path / "broken").exists()


def test_unwritable_output_is_an_input_error(study, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        export_study(study, tmp_path / "file", _chosen("csv"))


@pytest.mark.parametrize("key", ["npz", "febio", "abaqus"])
def test_a_study_without_rings_says_why_it_has_no_decks(no_ring, tmp_path, key):
    with pytest.raises(InputError, match=r"no ring.*mitral"):
        export_study(no_ring, tmp_path, _chosen(key))
    assert not any(tmp_path.iterdir())


def test_partial_study_exports_what_it_has(one_view, tmp_path):
    export_study(one_view, tmp_path, _chosen("csv", "npz"))
    assert [p.name for p in (tmp_path / "npz").glob("*.npz")] == ["tricuspid.npz"]
    about = json.loads((tmp_path / "csv" / "about.json").read_text(encoding="utf-8"))
    assert about["missing_views"] == ["2CH", "3CH"]
    assert any(r["valve"] == "mitral" for r in about["rings_refused"])


def test_decks_need_an_rr_and_take_a_given_one(study, tmp_path):
    import numpy as np

    timeless = replace(study, rr_ms=float("nan"))
    with pytest.raises(InputError, match="--rr"):
        export_study(timeless, tmp_path, _chosen("npz"))
    with pytest.raises(UsageError, match="150 to 3000 milliseconds"):
        export_study(timeless, tmp_path, _chosen("npz"), ExportOptions(rr_ms=0.8))  # seconds
    export_study(timeless, tmp_path, _chosen("npz"), ExportOptions(rr_ms=800.0))
    assert np.load(tmp_path / "npz" / "mitral.npz")["time"][-1] == pytest.approx(0.8, abs=1e-12)

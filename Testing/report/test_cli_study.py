"""`cvl study`, `cvl export` and `cvl mesh-map` from images to files, with known landmarks instead of a model."""

import argparse
import json
import shutil
import sys

import numpy as np
import pytest
from CardiacValveLandmarksLib.cli import export as cli_export
from CardiacValveLandmarksLib.cli import meshmap, study
from CardiacValveLandmarksLib.errors import InputError, UsageError
from CardiacValveLandmarksLib.export import ExportOptions, format_named
from CardiacValveLandmarksLib.report import Origin
from CardiacValveLandmarksLib.study_io import study_from_json
from CardiacValveLandmarksLib.study_run import _usable, read_examination


def parse(module, *arguments):
    parser = argparse.ArgumentParser()
    module.add_parser(parser.add_subparsers())
    return parser.parse_args([str(a) for a in arguments])


@pytest.fixture(scope="module")
def result(dicom, detector, tmp_path_factory):
    """The folder of one whole run."""
    folder = tmp_path_factory.mktemp("run") / "out"
    options = parse(study, "study", dicom, "-o", folder)
    assert study.run(options, detector, Origin("A model for tests", synthetic_only=True)) == 0
    return folder


def test_a_run_leaves_report_study_and_formats(result, truth):
    scene = {"mrb"} if not format_named("mrb").missing(ExportOptions()) else set()
    written = {"study.json", "report.html", "csv", "json", "npz", "febio", "abaqus"} | scene
    assert {p.name for p in result.iterdir()} == written
    found = study_from_json(result / "study.json")
    assert [v.view for v in found.views] == ["2CH", "3CH", "4CH"]
    assert [a.valve for a in found.annuli] == ["mitral", "tricuspid", "aortic"]
    for view in found.views:
        _, series = truth.entry(view.view)
        np.testing.assert_allclose(view.landmarks.positions, series.positions)
    assert found.measure("mapse_mean").value == pytest.approx(14, abs=2)


def test_no_file_of_a_run_names_the_patient(result):
    for path in result.rglob("*"):
        if path.is_file():
            assert b"zebulon" not in path.read_bytes().lower(), path


def test_identify_names_the_sources(dicom, detector, tmp_path, capsys):
    options = parse(study, "study", dicom, "-o", tmp_path / "out", "--identify", "--formats", "csv")
    assert study.run(options, detector) == 0
    printed = capsys.readouterr().out
    assert "paths: 2CH: 2 harmonics (chosen from 12 frames); 3CH: 3 harmonics" in printed
    assert printed.count("(95 % intervals), not applied") == 3
    assert "ZEBULON" in (tmp_path / "out" / "study.json").read_text()
    assert "ZEBULON" in (tmp_path / "out" / "report.html").read_text()


def test_the_report_names_the_model(result):
    text = (result / "report.html").read_text(encoding="utf-8")
    assert "Landmarks by “A model for tests”, which was trained on a synthetic heart only." in text
    # what `cvl study` and `cvl demo` hand over
    origin = study.origin_of(parse(study, "study", "anywhere", "-o", "anywhere"))
    assert origin.synthetic_only
    assert "sha256" in origin.details["Model"]


def test_a_pixel_spacing_can_be_stated_where_the_file_has_none(real_data):
    scan = real_data / "amrg"
    assert read_examination(scan).cines[0].spacing is None
    assert read_examination(scan, spacing_mm=1.4).cines[0].spacing.tolist() == [1.4, 1.4]
    with pytest.raises(UsageError, match="above 0"):
        read_examination(scan, spacing_mm=-1.0)


def test_the_model_s_limits_travel_into_every_output(result):
    said = "trained on a synthetic heart only"
    assert said in (result / "report.html").read_text()
    assert any(said in w for w in study_from_json(result / "study.json").warnings)
    assert any(said in w for w in json.loads((result / "febio" / "about.json").read_text())["doubts_and_assumptions"])


def test_a_second_run_does_not_overwrite(result, dicom, detector, capsys):
    before = {p: p.stat().st_mtime_ns for p in result.rglob("*")}
    with pytest.raises(InputError, match="--overwrite"):
        study.run(parse(study, "study", dicom, "-o", result), detector)
    assert {p: p.stat().st_mtime_ns for p in result.rglob("*")} == before


def test_views_can_be_named_by_hand(dicom, detector, tmp_path):
    # no FOLDER; one view only
    options = parse(study, "study", "--4ch", dicom / "4ch", "-o", tmp_path / "out", "--formats", "csv,npz")
    assert study.run(options, detector) == 0
    found = study_from_json(tmp_path / "out" / "study.json")
    assert [v.view for v in found.views] == ["4CH"]
    assert found.views[0].stated
    page = (tmp_path / "out" / "report.html").read_text()
    assert "No 2CH and no 3CH" in page
    assert "No mitral ring" in page
    assert [p.name for p in (tmp_path / "out" / "npz").glob("*.npz")] == ["tricuspid.npz"]


def test_formats_a_partial_study_does_not_suffice_for(dicom, detector, tmp_path, capsys):
    arguments = ("study", "--2ch", dicom / "2ch", "-o")
    assert study.run(parse(study, *arguments, tmp_path / "default"), detector) == 0
    assert "febio is left out: there is no ring" in capsys.readouterr().out
    # asked for by name: all else is written, and the status says that something is not
    options = parse(study, *arguments, tmp_path / "named", "--formats", "csv,febio")
    assert study.run(options, detector) == 3
    assert (tmp_path / "named" / "csv" / "measures.csv").exists()
    assert not (tmp_path / "named" / "febio").exists()


def test_a_new_run_leaves_nothing_of_the_one_before(dicom, detector, tmp_path, capsys):
    """Boundary conditions of another study beside the new one would be taken for its own."""
    out = tmp_path / "out"
    assert study.run(parse(study, "study", dicom, "-o", out, "--formats", "csv,febio"), detector) == 0
    (out / "febio" / "mine.feb").write_text("a person's own")
    again = parse(study, "study", "--2ch", dicom / "2ch", "-o", out, "--formats", "csv", "--overwrite")
    assert study.run(again, detector) == 0
    assert "deleted: febio" in capsys.readouterr().out
    assert [path.name for path in (out / "febio").iterdir()] == ["mine.feb"]
    assert (out / "csv" / "measures.csv").exists()


def test_without_matplotlib_it_is_said_first_and_the_rest_can_be_had(dicom, detector, tmp_path, monkeypatch, capsys):
    """Slicer's Python has no matplotlib."""
    out = tmp_path / "out"
    assert study.run(parse(study, "study", dicom, "-o", out, "--formats", "csv"), detector) == 0
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)

    def never(cine):
        raise AssertionError("detection was started")

    again = ("study", dicom, "-o", out, "--formats", "csv", "--overwrite")
    with pytest.raises(UsageError, match=r"matplotlib.*slicer\.util\.pip_install.*--no-report"):
        study.run(parse(study, *again), never)
    assert (out / "report.html").exists()
    assert study.run(parse(study, *again, "--no-report"), detector) == 0
    assert {path.name for path in out.iterdir()} == {"csv", "study.json"}
    assert "deleted: report.html" in capsys.readouterr().out


def throw(error):
    raise error


def test_a_format_that_cannot_be_written_takes_nothing_else_along(dicom, detector, tmp_path, monkeypatch):
    points = tmp_path / "points"
    points.mkdir()
    options = parse(
        study, "study", dicom, "-o", tmp_path / "early", "--formats", "bivme", "--guide-points", points / "nowhere"
    )

    def never(cine):
        raise AssertionError("detection was started")

    with pytest.raises(InputError, match="nowhere"):
        study.run(options, never)
    # a file that stops the format on the way
    out = tmp_path / "late"

    for error, told in ((OSError(28, "No space left on device"), InputError), (RuntimeError("a fault"), RuntimeError)):
        monkeypatch.setattr(np, "savez_compressed", lambda *arguments, error=error, **named: throw(error))
        with pytest.raises(told, match=r"No space left|a fault"):
            study.run(parse(study, "study", dicom, "-o", out, "--formats", "npz,csv", "--overwrite"), detector)
        assert study_from_json(out / "study.json").views and (out / "report.html").exists() and (out / "csv").exists()
        assert not (out / "npz").exists()
        (out / "study.json").unlink()


def test_one_cine_is_not_used_twice(dicom, monkeypatch):
    monkeypatch.chdir(dicom.parent)
    found = read_examination(dicom, {"3CH": f"{dicom.name}/2ch"})
    assert len(found.cines) == 3 and found.stated["3CH"] == found.cines[0].name


def test_repeats_of_a_slice_are_no_stack(truth):
    cine = truth.entries[2][0]
    far = cine.geometry
    moved = [
        cine.replace(geometry=type(far)(far.origin + 8 * k * far.normal, far.axis0, far.axis1, far.thickness))
        for k in range(5)
    ]
    assert len(_usable([cine] * 5)[0]) == 5
    assert not _usable(moved)[0]


def test_usage_errors_come_before_any_work(dicom, tmp_path):
    def never(cine):
        raise AssertionError("detection was started")

    for arguments in (("--formats", "stl"), ("--nodes", "2"), ("--formats", "dicom-sr"), ("--rr", "50")):
        with pytest.raises(UsageError):
            study.run(parse(study, "study", dicom, "-o", tmp_path / "out", *arguments), never)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="file"):
        study.run(parse(study, "study", dicom, "-o", tmp_path / "file"), never)
    with pytest.raises(UsageError, match="--4ch"):
        study.run(parse(study, "study", "-o", tmp_path / "out"), never)
    assert not (tmp_path / "out").exists()


def test_two_patients_are_refused(dicom, truth, detector, tmp_path):
    from CardiacValveLandmarksLib.phantom.dicom import write_dicom

    mixed = tmp_path / "mixed"
    shutil.copytree(dicom / "4ch", mixed / "4ch")
    write_dicom(
        truth.entry("2CH")[0].replace(study_uid="1.9"),
        mixed / "2ch",
        series_number=9,
        series_description="other",
        patient_id="SOMEONE ELSE",
    )
    with pytest.raises(InputError):
        study.run(parse(study, "study", mixed, "-o", tmp_path / "out"), detector)
    assert not (tmp_path / "out").exists()


def test_export_needs_no_images(result, tmp_path, capsys):
    options = parse(cli_export, "export", result / "study.json", "-o", tmp_path / "out", "--formats", "npz,bivme")
    assert cli_export.run(options) == 0
    same = np.load(result / "npz" / "mitral.npz"), np.load(tmp_path / "out" / "npz" / "mitral.npz")
    for name in ("reference", "displacement", "time"):
        assert np.array_equal(same[0][name], same[1][name])


def test_export_of_all_says_what_it_leaves_out(result, tmp_path, capsys):
    options = parse(cli_export, "export", result / "study.json", "-o", tmp_path / "out", "--formats", "all")
    assert cli_export.run(options) == 0
    assert "dicom-sr is left out" in capsys.readouterr().out
    assert (tmp_path / "out" / "febio" / "mitral.feb").exists()


def test_export_refuses_a_study_of_another_version(result, tmp_path):
    content = json.loads((result / "study.json").read_text())
    content["version"] = "99.0"
    (tmp_path / "study.json").write_text(json.dumps(content))
    options = parse(cli_export, "export", tmp_path / "study.json", "-o", tmp_path / "out", "--formats", "csv")
    with pytest.raises(InputError, match=r"version 99\.0"):
        cli_export.run(options)
    assert not (tmp_path / "out").exists()


def test_mesh_map_from_the_command_line(result, tmp_path, capsys):
    reference = np.load(result / "npz" / "mitral.npz")["reference"]
    rows = "".join(f"{i}, {x!r}, {y!r}, {z!r}\n" for i, (x, y, z) in enumerate(reference.tolist(), start=1))
    (tmp_path / "mesh.inp").write_text(f"*NODE, NSET=rim\n{rows}*STEP\n*STATIC\n*END STEP\n")
    options = parse(meshmap, "mesh-map", result / "study.json", tmp_path / "mesh.inp", "--set", "rim", "-o", tmp_path)
    assert meshmap.run(options) == 0
    printed = capsys.readouterr().out
    assert "32 nodes follow the mitral ring" in printed
    assert json.loads((tmp_path / "mesh_mitral.json").read_text())["distance_mm"]["largest"] < 1e-6


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("export", "{missing}", "-o", "{out}", "--formats", "csv"), 3, "study file"),
        (("export", "{study}", "-o", "{out}", "--formats", "stl"), 2, "expected one of"),
        (("export", "{study}", "-o", "{out}", "--formats", "dicom-sr"), 2, "--identify"),
        (("mesh-map", "{study}", "{missing}", "--set", "rim", "-o", "{out}"), 2, "a mesh"),
        (("mesh-map", "{study}", "mesh.inp", "--set", "rim", "-o", "{out}"), 3, "nothing there"),
        (("mesh-map", "{study}", "mesh.inp", "-o", "{out}"), 2, "--set"),
        (("study", "{missing}", "-o", "{out}", "--model", "no-such-model"), 4, "no-such-model"),
    ],
)
def test_exit_statuses(result, tmp_path, capsys, arguments, status, message):
    from CardiacValveLandmarksLib.cli import main

    places = {"study": result / "study.json", "missing": tmp_path / "missing", "out": tmp_path / "out"}
    assert main([argument.format(**places) for argument in arguments]) == status
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()

"""study.json: exact, described by its schema, anonymous unless asked, and only of its own version."""

import dataclasses
import json

import jsonschema
import numpy as np
import pytest
import synthetic_truth as synthetic
from CardiacValveLandmarksLib import cli
from CardiacValveLandmarksLib.errors import InputError
from CardiacValveLandmarksLib.landmarks import Landmark
from CardiacValveLandmarksLib.study import StudySettings
from CardiacValveLandmarksLib.study_build import build_study
from CardiacValveLandmarksLib.study_io import SCHEMA_FILE, study_from_json, study_to_dict, study_to_json


@pytest.fixture(scope="module")
def study():
    truth = synthetic.make(2, 1.0, images=True, frames=dict.fromkeys(synthetic.VIEWS, 12))
    cine, series = truth.entries[0]
    # some of everything: NaN, a missing RR, a warp, an override
    entries = [(cine.replace(rr_ms=None, times_ms=None), series), *truth.entries[1:]]
    return build_study(entries, StudySettings(samples=10, phases=12, nodes=8, alignment="es", views={"4CH": "4ch"}))


@pytest.fixture
def path(study, tmp_path):
    study_to_json(study, tmp_path / "study.json", identify=True)
    return tmp_path / "study.json"


def same(a, b):
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if dataclasses.is_dataclass(a) and not isinstance(a, Landmark):
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(map(same, a, b))
    return a == b or (a != a and b != b)


def test_everything_comes_back_to_the_last_bit(study, path):
    assert same(study, study_from_json(path))


def test_paths_and_rings_work_after_reading(study, path):
    again = study_from_json(path)
    assert np.array_equal(again.trajectory(6).evaluate(0.3), study.trajectory(6).evaluate(0.3))
    assert np.array_equal(again.annulus("mitral").evaluate(0.3), study.annulus("mitral").evaluate(0.3))


def test_the_file_is_strict_json_and_fits_the_schema(path):
    def refuse(constant):
        raise AssertionError(constant)

    content = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(content, schema)
    del content["study"]["trajectories"][0]["coefficients"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, schema)


def test_the_schema_knows_every_field(study):
    definitions = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))["$defs"]
    for kind in (
        study,
        study.views[0],
        study.views[0].landmarks,
        study.trajectories[0],
        study.annuli[0],
        study.settings,
    ):
        names = {field.name for field in dataclasses.fields(kind)}
        assert set(definitions[type(kind).__name__]["properties"]) == names
        assert set(definitions[type(kind).__name__]["required"]) == names


def test_nothing_identifies_unless_asked(study):
    plain = json.dumps(study_to_dict(study))
    assert "synthetic 4CH" not in plain
    assert "1.2.3" not in plain
    assert "synthetic 4CH" in json.dumps(study_to_dict(study, identify=True))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.update(version="2.0"), "version 2.0"),
        (lambda c: c.update(version="0.9"), "version 0.9"),
        (lambda c: c.pop("version"), "version None"),
        (lambda c: c.update(format="another"), "another kind"),
        (lambda c: c["study"].pop("annuli"), "study.annuli is missing"),
        (lambda c: c["study"]["measures"][0].update(value="many"), "measures\\[0\\].value"),
        (lambda c: c["study"]["trajectories"][0].update(landmark=12), "landmark number 12"),
        (lambda c: c["study"]["trajectories"][0].update(coefficients="x"), "coefficients: expected an array"),
        (lambda c: c["study"]["views"][0]["landmarks"].update(positions=[[1.0]]), "positions"),
        (lambda c: c.update(study=[]), "expected an object"),
        (lambda c: c["study"].update(rr_ms=float("inf")), "rr_ms"),
        (lambda c: c["study"]["annuli"][0]["nodes"].pop(), "12 phases, found 11"),
        (lambda c: c["study"]["annuli"][0]["nodes"][0][0].__setitem__(0, float("inf")), "infinite"),
        (lambda c: c["study"]["curves"][0]["values"].pop(), "12 phases, found 11"),
        (lambda c: c["study"]["views"][0]["phases"].pop(), "phases and times"),
        (lambda c: c["study"]["views"][0].update(view="5CH"), "expected one of 2CH"),
        (lambda c: c["study"]["trajectories"][0]["coefficients"].pop(), "coefficients of shape"),
        (lambda c: c["study"]["trajectories"][0]["covariance"].pop(), "covariance of shape"),
        (lambda c: c["study"]["trajectories"][0]["noise_covariance"].pop(), "noise_covariance of shape"),
        (lambda c: c["study"]["trajectories"][0].update(order=-1), "of shape"),
        (lambda c: c["study"]["trajectories"][0]["residuals"].pop(), "residuals of shape"),
    ],
)
def test_other_versions_and_damaged_files_are_refused(path, change, words):
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match=words) as caught:
        study_from_json(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s["annuli"][0].update(valve="../../elsewhere"), "rings"),
        (lambda s: s["annuli"][0].update(valve="/tmp/elsewhere"), "rings"),
        (lambda s: s["annuli"][1].update(valve=s["annuli"][0]["valve"]), "at most once"),
        (lambda s: s["annuli"][0]["nodes"][2].__setitem__(3, [None, 1.0, 2.0]), "finite nodes"),
        (lambda s: s.update(rr_ms=0), "RR of study"),
        (lambda s: s["views"][1].update(rr_ms=-800), "RR of 3CH"),
    ],
)
def test_what_no_study_has_is_not_exported(path, tmp_path, change, words):
    """Files are called after the valves: none may lie elsewhere."""
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content["study"])
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match=words):
        study_from_json(path)
    before = set(tmp_path.rglob("*"))
    assert cli.main(["export", str(path), "-o", str(tmp_path / "out" / "in"), "--formats", "npz,abaqus"]) == 3
    assert not {file for file in set(tmp_path.rglob("*")) - before if file.is_file()}


def test_a_later_minor_version_with_more_fields_is_read(study, path):
    content = json.loads(path.read_text(encoding="utf-8"))
    content["version"] = "1.7"
    content["study"]["something new"] = 1
    path.write_text(json.dumps(content), encoding="utf-8")
    assert same(study, study_from_json(path))


def test_an_earlier_minor_version_has_the_default_of_a_later_setting(study, path):
    content = json.loads(path.read_text(encoding="utf-8"))
    content["version"] = "1.0"
    del content["study"]["settings"]["excursion"]
    path.write_text(json.dumps(content), encoding="utf-8")
    assert same(study, study_from_json(path))


@pytest.mark.parametrize("text", ["", "{", "[1, 2", "\x00\x01"])
def test_what_is_no_json_is_refused(tmp_path, text):
    path = tmp_path / "study.json"
    path.write_text(text)
    with pytest.raises(InputError, match="JSON"):
        study_from_json(path)
    with pytest.raises(InputError):
        study_from_json(tmp_path / "nothing.json")

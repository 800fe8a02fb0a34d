"""csv, json and npz against the study they came from."""

import csv
import json

import numpy as np
import pytest
from CardiacValveLandmarksLib.export import export_study, format_named
from CardiacValveLandmarksLib.export.motion import ring_motions


@pytest.fixture(scope="module")
def folder(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    export_study(study, folder, [format_named(key) for key in ("csv", "json", "npz")])
    return folder


def _rows(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_measures_come_back_exactly(study, folder):
    rows = {row["key"]: row for row in _rows(folder / "csv" / "measures.csv")}
    assert set(rows) == {m.key for m in study.measures}
    for m in study.measures:
        found = float(rows[m.key]["value"]) if rows[m.key]["value"] else np.nan
        np.testing.assert_equal(found, m.value)
        assert rows[m.key]["unit"] == m.unit


def test_trajectories_and_landmarks_in_patient_space(study, folder):
    rows = [r for r in _rows(folder / "csv" / "trajectories.csv") if r["view"] == "4CH" and r["landmark"] == "10"]
    found = np.array([[float(r[f"{c}_mm"]) for c in "xyz"] for r in rows])
    assert np.array_equal(found, study.trajectory(10).evaluate(study.phases))
    view = study.view("3CH")
    rows = [r for r in _rows(folder / "csv" / "landmarks.csv") if r["view"] == "3CH" and r["landmark"] == "7"]
    found = np.array([[float(r[f"{c}_mm"]) for c in "xyz"] for r in rows])
    np.testing.assert_allclose(found, view.geometry.to_patient(view.landmarks.positions[:, 6]), atol=1e-9)


def test_annuli_table(study, folder):
    rows = [r for r in _rows(folder / "csv" / "annuli.csv") if r["valve"] == "mitral"]
    found = np.array([[float(r[f"{c}_mm"]) for c in "xyz"] for r in rows]).reshape(study.annulus("mitral").nodes.shape)
    assert np.array_equal(found, study.annulus("mitral").nodes)


def test_json_is_strict_and_complete(study, folder):
    def refuse(constant):
        raise AssertionError(constant)

    text = (folder / "json" / "results.json").read_text(encoding="utf-8")
    results = json.loads(text, parse_constant=refuse)
    assert np.array_equal(results["annuli"][0]["nodes_mm"], study.annuli[0].nodes)
    assert {m["key"] for m in results["measures"]} == {m.key for m in study.measures}
    assert results["about"]["ed_phase"] == study.ed_phase


def test_npz_is_a_closed_cycle_from_end_diastole(study, folder):
    data = np.load(folder / "npz" / "mitral.npz")
    ring = study.annulus("mitral")
    np.testing.assert_allclose(data["reference"], ring.evaluate(study.ed_phase), atol=1e-9)
    assert data["time"][0] == 0
    assert data["time"][-1] == pytest.approx(study.rr_ms / 1000, abs=1e-12)
    assert np.array_equal(data["displacement"][-1], data["displacement"][0])
    assert not data["displacement"][0].any()
    k = 17
    expected = ring.evaluate(study.ed_phase + k / len(study.phases))
    np.testing.assert_allclose(data["reference"] + data["displacement"][k], expected, atol=1e-9)


def test_motion_goes_the_right_way(study):
    """At end-systole the mitral ring has moved towards the apex, not away from it."""
    motion = next(m for m in ring_motions(study) if m.valve == "mitral")
    es = round(((study.es_phase - study.ed_phase) % 1) * (len(motion.times) - 1))
    towards = study.trajectory(11, "4CH").evaluate(study.ed_phase) - motion.reference.mean(0)
    assert motion.displacement[es].mean(0) @ (towards / np.linalg.norm(towards)) > 8

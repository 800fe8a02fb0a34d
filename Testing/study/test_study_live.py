"""Measures followed while a point is dragged: those of a study built anew, where it keeps what is held."""

import numpy as np
import pytest
from CardiacValveLandmarksLib.phantom.cines import synthetic_study
from CardiacValveLandmarksLib.study import StudySettings
from CardiacValveLandmarksLib.study_build import build_study
from CardiacValveLandmarksLib.study_live import LiveStudy

QUICK = StudySettings(motion_check=False, shift_images=False, samples=10)


def entries_of(apex: bool):
    made = []
    for item in synthetic_study(3, frames=25, shape=(40, 40), spacing=5.0, mirror=False).items:
        truth = item.truth.replace(view=item.kind)
        if not apex:
            positions, confidence, provenance = (
                np.array(a) for a in (truth.positions, truth.confidence, truth.provenance)
            )
            positions[:, 10], confidence[:, 10], provenance[:, 10] = np.nan, np.nan, 0
            truth = truth.replace(positions=positions, confidence=confidence, provenance=provenance)
        made.append((item.cine, truth))
    return made


@pytest.fixture(scope="module", params=[True, False], ids=["apex", "no apex"])
def known(request):
    entries = entries_of(request.param)
    return entries, build_study(entries, QUICK)


def moved(entries, view: str, number: int, by):
    series = next(series for cine, series in entries if series.view == view)
    positions = np.array(series.positions)
    positions[8:12, number - 1] += by
    return series.replace(positions=positions)


def values(measures) -> dict[str, float]:
    return {m.key: m.value for m in measures}


def test_unchanged_points_have_the_studys_own_measures(known):
    entries, study = known
    live = LiveStudy(study)
    for _cine, series in entries:
        measures, curves = live.follow(series.view, series)
        found = values(measures)
        assert len(found) > 40 and not any("area" in key for key in found)
        for key, value in found.items():
            assert value == pytest.approx(study.measure(key).value, rel=1e-9, abs=1e-9, nan_ok=True), key
        whole = {curve.key: curve.values for curve in study.curves}
        assert all(np.allclose(curve.values, whole[curve.key], atol=1e-9) for curve in curves)


def test_a_moved_point_changes_the_measures_as_a_new_study_does(known):
    """Where the drag leaves ED and ES where they were, the chords of a study built anew are met exactly."""
    entries, study = known
    series = moved(entries, "4CH", 10, [0.4, -0.2])
    found = values(LiveStudy(study).follow("4CH", series)[0])
    assert found["tapse"] != pytest.approx(study.measure("tapse").value, abs=0.02)
    anew = build_study([(cine, series if old.view == "4CH" else old) for cine, old in entries], QUICK)
    assert found["tapse"] == pytest.approx(anew.measure("tapse").value, abs=0.3)
    assert found["mapse_anterior"] == pytest.approx(study.measure("mapse_anterior").value, rel=1e-9)
    if (anew.ed_phase, anew.es_phase) == (study.ed_phase, study.es_phase):
        assert found["tricuspid_4ch_es"] == pytest.approx(anew.measure("tricuspid_4ch_es").value, rel=1e-9)


def test_a_view_the_study_has_not(known):
    entries, _ = known
    study = build_study(entries[:2], QUICK)
    assert LiveStudy(study).follow("4CH", entries[2][1]) == ((), ())

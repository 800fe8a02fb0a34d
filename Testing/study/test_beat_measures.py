"""End-diastole, end-systole and measures against exact truth; each measure says what it is."""

import numpy as np
import pytest
import synthetic_truth as synthetic
from CardiacValveLandmarksLib.alignment import USUAL_APEX_DIRECTION, beat_phases, grid_phases, phase_difference
from CardiacValveLandmarksLib.beat_quantities import velocity_peaks
from CardiacValveLandmarksLib.landmarks import VIEWS
from CardiacValveLandmarksLib.study import StudySettings
from CardiacValveLandmarksLib.study_build import build_study

QUICK = StudySettings(motion_check=False, samples=20)


def valve_paths(view="4CH", roll=0.0):
    paths = synthetic.truth(view, grid_phases() + roll)[:, :10].transpose(1, 0, 2)
    return paths[np.isfinite(paths[:, 0, 0])]


@pytest.mark.parametrize("roll", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("direction", [synthetic.APEX_DIRECTION, USUAL_APEX_DIRECTION])
def test_ed_and_es_are_found_wherever_the_series_starts(roll, direction):
    beat = beat_phases(valve_paths(roll=roll), direction)
    assert abs(phase_difference(beat.ed, -roll)) < 0.01
    assert abs(phase_difference(beat.es, synthetic.ES_PHASE - roll)) < 0.01


def test_without_an_apex_direction_ed_is_near_the_trigger():
    beat = beat_phases(valve_paths(), None)
    assert abs(phase_difference(beat.ed, 0.0)) < 0.01
    assert abs(phase_difference(beat.es, synthetic.ES_PHASE)) < 0.01


def test_no_motion_tells_nothing():
    still = np.repeat(valve_paths()[:, :1], 400, axis=1)
    assert np.isnan(beat_phases(still, synthetic.APEX_DIRECTION).ed)
    assert np.isnan(beat_phases(still[:0], None).es)


def test_diastasis_without_an_atrial_kick_ends_at_systole():
    phases = grid_phases()
    curve = np.interp(phases, [0, 0.35, 0.6, 1], [0, 1, 0, 0])
    paths = (curve[None, :, None] * 12 * synthetic.APEX_DIRECTION) + np.zeros((3, 1, 1))
    assert abs(phase_difference(beat_phases(paths, synthetic.APEX_DIRECTION).ed, 0.0)) < 0.01


def test_velocity_peaks_in_time_order_and_fused_waves():
    phases = np.arange(128) / 128

    def wave(at, width, height):
        return height * np.exp(-(((phases - at) / width) ** 2))

    peaks = velocity_peaks((wave(0.15, 0.06, 80) - wave(0.5, 0.05, 100) - wave(0.9, 0.04, 60))[None], 46)
    assert (peaks.s[0], peaks.e[0], peaks.a[0]) == pytest.approx((80, 100, 60), rel=0.02)
    fused = velocity_peaks((wave(0.15, 0.06, 80) - wave(0.6, 0.12, 100))[None], 46)
    assert fused.e[0] == pytest.approx(100, rel=0.1) or fused.a[0] == pytest.approx(100, rel=0.1)


@pytest.fixture(scope="module")
def exact():
    entries = synthetic.make(frames=dict.fromkeys(VIEWS, 200)).entries
    return build_study(entries, StudySettings(motion_check=False, samples=10, order=20))


@pytest.fixture(scope="module")
def noisy():
    return build_study(synthetic.make(4, 1.0).entries, QUICK)


def test_measures_of_exact_points_are_the_truth(exact):
    ed, es = np.array([0.0]), np.array([synthetic.ES_PHASE])
    four = [synthetic.truth("4CH", phase)[0] for phase in (ed, es)]
    axis = synthetic.APEX_DIRECTION
    for key, index in (("mapse_septal", 4), ("mapse_lateral", 5), ("tapse", 9)):
        assert exact.measure(key).value == pytest.approx((four[1][index] - four[0][index]) @ axis, abs=0.25)
    for column, moment in enumerate(("ed", "es")):
        chord = np.linalg.norm(four[column][4] - four[column][5])
        assert exact.measure(f"mitral_4ch_{moment}").value == pytest.approx(chord, abs=0.1)
        length = np.linalg.norm(four[column][10] - (four[column][4] + four[column][5]) / 2)
        assert exact.measure(f"lv_length_4ch_{moment}").value == pytest.approx(length, abs=0.2)
    assert abs(phase_difference(exact.ed_phase, 0)) < 0.01
    assert exact.es_phase == pytest.approx(synthetic.ES_PHASE, abs=0.01)
    phases = np.arange(1000) / 1000
    path = synthetic.truth("4CH", phases)[:, 5] @ axis
    speed = np.gradient(path, phases * synthetic.RR["4CH"] / 1000) / 10
    assert exact.measure("s_lateral").value == pytest.approx(speed.max(), rel=0.04)
    assert exact.measure("e_lateral").value == pytest.approx(-speed.min(), rel=0.04)
    late = -speed[(phases > 0.8) & (phases < 0.98)].min()
    assert exact.measure("a_lateral").value == pytest.approx(late, rel=0.08)


def test_every_measure_says_what_it_is(noisy):
    assert len({m.key for m in noisy.measures}) == len(noisy.measures)
    for m in noisy.measures:
        assert m.name
        assert m.definition
        assert m.unit in ("mm", "cm/s", "cm²", "mL", "%")
        assert m.landmarks
        assert set(m.provenance) == {"auto"}
        assert np.isfinite(m.value) or m.note
        assert not np.isfinite(m.value) or m.uncertainty > 0
    assert "harmonics" in noisy.measure("e_lateral").definition
    for key in ("mapse_septal", "tapse", "mitral_3ch_ed", "mitral_area_ed", "longitudinal_shortening", "e_lateral"):
        assert noisy.measure(key).reference
    assert noisy.measure("mitral_area_ed").approximate
    assert not noisy.measure("mitral_area_ed").assumed
    assert noisy.measure("tricuspid_area_ed").assumed
    assert not any("saddle" in m.name for m in noisy.measures)


def test_noise_leaves_measures_within_their_uncertainty(noisy, exact):
    keys = (
        "mapse_septal",
        "mapse_lateral",
        "mapse_anterior",
        "mapse_inferior",
        "tapse",
        "mitral_3ch_ed",
        "lv_length_ed",
    )
    score = [(noisy.measure(key).value - exact.measure(key).value) / noisy.measure(key).uncertainty for key in keys]
    assert np.abs(score).max() < 4
    assert np.sqrt(np.mean(np.square(score))) < 2


def test_curves_agree_with_measures(noisy):
    curves = {c.key: c for c in noisy.curves}
    assert all(c.values.shape == noisy.phases.shape == c.sd.shape for c in noisy.curves)
    assert curves["excursion_lateral"].values.max() == pytest.approx(noisy.measure("mapse_lateral").value, abs=0.3)
    assert curves["velocity_lateral"].values.max() == pytest.approx(noisy.measure("s_lateral").value, rel=0.1)
    assert curves["mitral_sweep"].values.max() == pytest.approx(noisy.measure("mitral_sweep").value, rel=0.05)
    assert curves["lv_length"].values.min() == pytest.approx(noisy.measure("lv_length_min").value, abs=0.3)


def test_same_input_same_numbers(noisy):
    again = build_study(synthetic.make(4, 1.0).entries, QUICK)
    assert [(m.key, m.value, m.uncertainty) for m in again.measures if m.value == m.value] == [
        (m.key, m.value, m.uncertainty) for m in noisy.measures if m.value == m.value
    ]

"""Few frames, frames placed by hand, and beats that were not recorded to their end: what is given, and what is said."""

import re

import numpy as np
import pytest
import synthetic_truth as synthetic
from CardiacValveLandmarksLib.beat_quantities import velocity_peaks
from CardiacValveLandmarksLib.coverage import covered
from CardiacValveLandmarksLib.errors import UsageError
from CardiacValveLandmarksLib.landmarks import APEX, Provenance
from CardiacValveLandmarksLib.study import StudySettings
from CardiacValveLandmarksLib.study_build import build_study
from CardiacValveLandmarksLib.trajectory_fit import MANUAL_WEIGHT, fit_cine

WALLS = ("septal", "lateral", "anterior", "inferior")


def study(entries, **settings):
    return build_study(entries, StudySettings(**{"motion_check": False, "samples": 60, **settings}))


def placed(seed, every, sd_mm=0.7):
    """Every so many frames of each view placed by a person, and nothing else."""
    entries = []
    for cine, series in synthetic.make(seed, sd_mm).entries:
        shown = series.present.copy()
        shown[np.arange(len(shown)) % every != 0] = False
        entries.append((cine, series.replace(
            positions=np.where(shown[..., None], series.positions, np.nan),
            provenance=np.where(shown, Provenance.MANUAL, Provenance.ABSENT).astype(np.uint8),
            confidence=np.full(shown.shape, np.nan),
        )))  # fmt: skip
    return entries


def cut(entries, share, **cine_changes):
    """The first frames of each series only."""
    result = []
    for cine, series in entries:
        count = round(share * cine.n_frames)
        parts = {name: getattr(series, name)[:count] for name in ("positions", "confidence", "provenance")}
        short = cine.replace(frames=cine.frames[:count], times_ms=cine.times_ms[:count], **cine_changes)
        result.append((short, series.replace(**parts)))
    return result


@pytest.fixture(scope="module")
def exact():
    return study(synthetic.make().entries)


def test_a_few_frames_placed_by_hand_are_not_believed_to_a_hundredth_of_a_millimetre(exact):
    errors = []
    for seed in range(6):
        found = study(placed(seed, 2))
        for wall in WALLS:
            measure = found.measure(f"mapse_{wall}")
            errors.append(((measure.value - exact.measure(f"mapse_{wall}").value), measure.uncertainty))
    off, stated = np.array(errors).T
    assert (np.abs(off) < 1.96 * stated).mean() > 0.7
    assert np.sqrt((off**2).mean()) < 1.2


def test_paths_placed_by_hand_do_not_depend_on_what_such_a_point_counts_beside_others(monkeypatch):
    cine, series = placed(1, 1)[2]
    first = fit_cine(cine, series, "4CH").trajectories
    monkeypatch.setattr("CardiacValveLandmarksLib.trajectory_fit.MANUAL_WEIGHT", MANUAL_WEIGHT / 20)
    for one, other in zip(first, fit_cine(cine, series, "4CH").trajectories, strict=True):
        np.testing.assert_allclose(one.coefficients, other.coefficients, atol=1e-9)


def test_harmonics_follow_the_frames_with_points_and_few_are_said():
    found = study(placed(0, 4))
    assert {t.view: t.order for t in found.trajectories} == {"2CH": 1, "3CH": 3, "4CH": 1}
    assert any("2CH: points in 7 frames and so 1 harmonic only" in w for w in found.warnings)
    lateral = found.measure("e_lateral")
    assert np.isnan(lateral.value) and "one harmonic" in lateral.note
    assert np.isfinite(found.measure("e_inferolateral").value)


def test_one_diastolic_wave_is_e_wherever_it_peaks():
    phases = np.arange(128) / 128
    for peak in (0.55, 0.65, 0.75, 0.85):
        wave = -80 * np.exp(-(((phases - peak) / 0.09) ** 2)) + 60 * np.exp(-(((phases - 0.17) / 0.08) ** 2))
        found = velocity_peaks(wave[None], 45)
        assert found.e[0] == pytest.approx(80, abs=1.5) and np.isnan(found.a[0]), peak


def test_every_stretch_without_points_is_told_from_where_to_where():
    entries = []
    for cine, series in synthetic.make(0, 0.2).entries:
        phases = cine.phases
        shown = series.present & ((phases < 0.2) | ((phases > 0.45) & (phases < 0.7)))[:, None]
        entries.append((cine, series.replace(
            positions=np.where(shown[..., None], series.positions, np.nan),
            provenance=np.where(shown, Provenance.AUTO, Provenance.ABSENT).astype(np.uint8),
        )))  # fmt: skip
    found = study(entries)
    told = next(w for w in found.warnings if w.startswith("No view has points"))
    stretches = [tuple(map(int, pair)) for pair in re.findall(r"from (\d+) to (\d+) %", told)]
    assert len(stretches) == 2
    for (a, b), (c, d) in zip(stretches, ((20, 44), (70, 98)), strict=True):
        assert abs(a - c) <= 4 and abs(b - d) <= 4


@pytest.mark.parametrize("share", [0.5, 0.6, 0.7])
def test_end_diastole_is_not_looked_for_where_nothing_was_recorded(exact, share):
    found = study(cut(synthetic.make(0, 0.3).entries, share))
    points = covered([t for t in found.trajectories if t.landmark != APEX])
    for phase in (found.ed_phase, found.es_phase):
        assert points[round(phase * 400) % 400]
    assert min(found.ed_phase, 1 - found.ed_phase) < 0.05
    assert any("No view has points over" in w for w in found.warnings)
    told = [w for w in found.warnings if w.startswith("4CH: no points")]
    assert len(told) == 1 and "extrapolated" in told[0] and "other landmarks" not in told[0]
    length = found.measure("lv_length_ed")
    assert length.value == pytest.approx(exact.measure("lv_length_ed").value, abs=1.0)


def test_an_unknown_cycle_is_said_with_what_is_made_of_the_times(exact):
    entries = cut(synthetic.make().entries, 0.8, rr_ms=None)
    found = study(entries)
    assert sum("taken as one whole beat" in w and "RR unknown" in w for w in found.warnings) == 3
    uneven = [(c.replace(times_ms=c.times_ms[0] + (c.times_ms - c.times_ms[0]) ** 1.2), s) for c, s in entries]
    cine = uneven[0][0]
    since = cine.times_ms - cine.times_ms[0]
    np.testing.assert_allclose(np.diff(cine.phases) / np.diff(since), cine.phases[-1] / since[-1])


def test_end_diastole_without_any_direction_is_doubted():
    cine, series = synthetic.make(views=("4CH",)).entry("4CH")
    gone = series.positions.copy()
    gone[:, APEX.index] = np.nan
    provenance = np.where(np.isfinite(gone[..., 0]), series.provenance, Provenance.ABSENT).astype(np.uint8)
    plain = cine.replace(geometry=None, spacing=cine.spacing)
    found = study([(plain, series.replace(positions=gone, provenance=provenance))])
    assert any("nearer to the first frame" in w for w in found.warnings)


def test_too_few_phases_for_the_paths_are_a_usage_error():
    entries = synthetic.make().entries
    with pytest.raises(UsageError, match="at least 13 for paths of 6 harmonics"):
        study(entries, phases=8)
    assert len(study(entries, phases=8, order=3).phases) == 8
    few = study([(c, s) for c, s in cut(entries, 0.6)], order=5)
    assert len(few.phases) >= 11


def test_no_path_at_all_is_not_called_a_lack_of_motion():
    found = study(cut(synthetic.make().entries, 0.1))
    assert "No landmark has a path: nothing is measured." in found.warnings
    assert not any("do not move enough" in w for w in found.warnings)

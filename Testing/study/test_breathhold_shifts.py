"""Breath-hold shifts imposed on a study are found again."""

import numpy as np
import pytest
import synthetic_truth as synthetic
from CardiacValveLandmarksLib.breathhold import without_common
from CardiacValveLandmarksLib.landmarks import VIEWS
from CardiacValveLandmarksLib.study import StudySettings
from CardiacValveLandmarksLib.study_build import build_study

QUICK = StudySettings(motion_check=False, samples=10)


def imposed(seed):
    rng = np.random.default_rng(seed)
    return {
        view: rng.uniform(1, 5) * (lambda a: np.array([np.cos(a), np.sin(a)]))(rng.uniform(0, 6.28)) for view in VIEWS
    }


def errors_and_intervals(seed, images):
    shifts = imposed(seed)
    study = build_study(synthetic.make(seed, 1.0, shifts, images=images).entries, QUICK)
    keep = without_common([synthetic.geometry(view) for view in VIEWS])
    true = -keep @ np.concatenate([shifts[view] for view in VIEWS])
    found = np.concatenate([shift.shift_mm for shift in study.shifts])
    return found - true, np.concatenate([s.interval_mm for s in study.shifts]), study


def test_landmarks_alone_tell_the_long_axis_part():
    errors, intervals = zip(*(errors_and_intervals(seed, False)[:2] for seed in range(8)), strict=True)
    errors, intervals = np.array(errors), np.array(intervals)
    assert np.median(np.abs(errors[:, ::2])) < 1.2
    assert (np.abs(errors) <= intervals).mean() > 0.8


def test_with_images_they_are_found_to_about_a_millimetre():
    errors, intervals, studies = zip(*(errors_and_intervals(seed, True) for seed in range(2)), strict=True)
    errors = np.array(errors)
    assert np.median(np.linalg.norm(errors.reshape(-1, 2), axis=1)) < 1.5
    assert all(s.evidence == "landmarks and images" for s in studies[0].shifts)
    assert np.array(intervals).max() < 5.0


def test_they_are_reported_and_applied_only_when_asked():
    shifts = {"2CH": np.zeros(2), "3CH": np.zeros(2), "4CH": np.array([5.0, 0.0])}
    entries = synthetic.make(3, 0.5, shifts).entries
    plain = build_study(entries, QUICK)
    applied = build_study(entries, StudySettings(motion_check=False, samples=10, apply_shifts=True))
    assert not plain.shifts_applied
    assert applied.shifts_applied
    assert [s.shift_mm.tolist() for s in plain.shifts] == [s.shift_mm.tolist() for s in applied.shifts]
    for shift in plain.shifts:
        before, after = (s.trajectory(11, shift.view).evaluate(0.2) for s in (plain, applied))
        assert np.allclose(after - before, shift.vector)
    for view in ("2CH", "4CH"):
        # in-view measures do not depend on where the view lies
        key = f"mitral_{view.lower()}_ed"
        assert plain.measure(key).value == pytest.approx(applied.measure(key).value)
    assert plain.annulus("mitral").residual_mm.mean() > applied.annulus("mitral").residual_mm.mean()


def test_one_view_has_no_shift():
    study = build_study(synthetic.make(views=("4CH",)).entries, QUICK)
    assert study.shifts == ()

"""Agreement statistics: against values worked out by hand and what must hold for any numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

pytest.importorskip("scipy")

from CardiacValveLandmarksLib.training.agreement import bland_altman, calibrate, describe, paired_test, wrapped

values = arrays(float, 9, elements=st.floats(-50, 50).map(lambda x: round(x, 3)))


def test_description_by_hand():
    figures = describe(np.array([1.0, 2, 3, 4, np.nan]))
    assert figures["n"] == 4 and figures["mean"] == 2.5 and figures["median"] == 2.5 and figures["max"] == 4
    assert figures["sd"] == pytest.approx(np.sqrt(5 / 3)) and figures["q25"] == 1.75
    assert np.isnan(describe(np.array([]))["mean"]) and np.isnan(describe(np.array([3.0]))["sd"])


def test_bland_altman_by_hand():
    # differences 1, 2, 3, 4, 5: bias 3, SD sqrt(2.5), t(4) at 97.5 % 2.776445
    found = bland_altman(np.array([11.0, 12, 13, 14, 15]), np.full(5, 10.0))
    sd = np.sqrt(2.5)
    assert found.bias == 3 and found.sd == pytest.approx(sd)
    assert (found.lower, found.upper) == (pytest.approx(3 - 1.96 * sd), pytest.approx(3 + 1.96 * sd))
    assert found.bias_ci == (
        pytest.approx(3 - 2.776445 * sd / np.sqrt(5)),
        pytest.approx(3 + 2.776445 * sd / np.sqrt(5)),
    )
    half = 2.776445 * sd * np.sqrt(1 / 5 + 1.96**2 / 8)
    assert found.upper_ci == (pytest.approx(found.upper - half), pytest.approx(found.upper + half))
    # t = 3 / (sd / sqrt 5) = 4.242641, two-sided with 4 degrees of freedom
    assert found.p == pytest.approx(0.013236, abs=1e-6)


def test_a_paired_test_takes_persons_as_independent():
    a, b = np.array([1.0, 2, 3, 5, 6, 7]), np.zeros(6)
    whole, by_person = paired_test(a, b), paired_test(a, b, ["x", "x", "x", "y", "y", "y"])
    # means 2 and 6: difference 4 on average, SD sqrt 8, t = 4 / (sqrt 8 / sqrt 2) = 2, one degree of freedom
    assert (
        by_person.groups == 2 and by_person.t == pytest.approx(2) and by_person.p == pytest.approx(0.295167, abs=1e-6)
    )
    assert by_person.p_images == pytest.approx(whole.p) and whole.p < by_person.p
    one = paired_test(a, b, ["x"] * 6)
    assert np.isnan(one.p) and one.groups == 1
    assert np.isnan(paired_test(a, a).p)


@settings(max_examples=50, deadline=None)
@given(values, values, st.floats(-20, 20), st.floats(0.1, 9))
def test_invariance(a, b, shift, scale):
    plain, swapped = bland_altman(a, b), bland_altman(b, a)
    assert swapped.bias == pytest.approx(-plain.bias, abs=1e-9) and swapped.sd == pytest.approx(plain.sd)
    assert swapped.lower == pytest.approx(-plain.upper, abs=1e-9)
    moved = bland_altman((a + shift) * scale, (b + shift) * scale)
    assert moved.bias == pytest.approx(plain.bias * scale, abs=1e-6)
    assert moved.sd == pytest.approx(plain.sd * scale, abs=1e-6)
    order = np.random.default_rng(0).permutation(len(a))
    assert bland_altman(a[order], b[order]).lower_ci == pytest.approx(plain.lower_ci, abs=1e-9)
    # every value twice, said to be of the same persons: bias stays, the number of persons too
    twice = bland_altman(np.repeat(a, 2), np.repeat(b, 2), np.repeat(np.arange(len(a)), 2))
    assert twice.groups == plain.groups and twice.bias == pytest.approx(plain.bias)
    assert plain.lower_ci[0] <= plain.lower <= plain.lower_ci[1] <= plain.upper_ci[1]


def test_limits_of_agreement_hold_95_percent():
    rng = np.random.default_rng(1)
    difference = rng.normal(2, 3, 200_000)
    found = bland_altman(difference, np.zeros_like(difference))
    inside = (difference > found.lower) & (difference < found.upper)
    assert inside.mean() == pytest.approx(0.95, abs=0.002)


def test_confidence_intervals_cover():
    rng = np.random.default_rng(2)
    runs = [bland_altman(rng.normal(1, 2, 12), np.zeros(12)) for _ in range(400)]
    assert np.mean([run.bias_ci[0] < 1 < run.bias_ci[1] for run in runs]) == pytest.approx(0.95, abs=0.035)
    limit = 1 + 1.96 * 2
    assert np.mean([run.upper_ci[0] < limit < run.upper_ci[1] for run in runs]) == pytest.approx(0.95, abs=0.05)


def test_calibration_by_hand():
    confidence = np.array([0.05, 0.05, 0.95, 0.95, 0.95, 1.0, np.nan, 0.5])
    error = np.array([9.0, 1.0, 1.0, 2.0, 9.0, 3.0, 1.0, np.nan])
    told = calibrate(confidence, error, within=5.0)
    assert told.n == 6 and told.near == pytest.approx(4 / 6)
    low, high = told.bins[0], told.bins[-1]
    assert (low.n, low.observed, low.stated) == (2, 0.5, pytest.approx(0.05))
    assert (high.n, high.observed, high.stated) == (4, 0.75, pytest.approx(0.9625))
    assert told.ece == pytest.approx((2 * 0.45 + 4 * 0.2125) / 6)
    assert (told.sure, told.sure_near) == (pytest.approx(4 / 6), 0.75)
    assert high.observed_ci[0] < 0.75 < high.observed_ci[1]
    assert sum(part.n for part in told.bins) == told.n and np.isnan(told.bins[4].observed)


def test_calibrated_confidence_has_no_calibration_error_and_the_worse_one_has():
    rng = np.random.default_rng(3)
    confidence = rng.random(40_000)
    error = np.where(rng.random(40_000) < confidence, 1.0, 9.0)
    assert calibrate(confidence, error).ece < 0.01
    assert calibrate(confidence**3, error).ece > 0.2
    # ranks alone: any increasing function of the confidence leaves the correlation as it is
    assert calibrate(confidence**3, error).spearman == pytest.approx(calibrate(confidence, error).spearman)
    assert calibrate(confidence, 10 - 9 * confidence).spearman == pytest.approx(1)


@given(st.floats(-2000, 2000), st.integers(-3, 3))
def test_angles_wrap(angle, turns):
    assert -180 <= wrapped(angle) < 180
    assert abs(wrapped(wrapped(angle) - wrapped(angle + 360 * turns))) < 1e-6

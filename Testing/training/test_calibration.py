"""Calibration: thresholds between the two kinds, confidence that is as frequent as it says."""

import numpy as np
import pytest

pytest.importorskip("scipy")

from CardiacValveLandmarksLib.training.calibrate import collect, fit_decision


def test_decision_is_calibrated():
    rng = np.random.default_rng(0)
    n = 6000
    there = rng.random(n) < 0.7
    peak = np.where(there, rng.beta(6, 3, n), rng.beta(1, 12, n))
    spread, shift = rng.gamma(2, 2, n), rng.gamma(1, 2, n)
    near = rng.random(n) < 1 / (1 + np.exp(-(1.0 + 3 * peak - 0.4 * spread - 0.3 * shift)))
    error = np.where(there, np.where(near, 2.0, 9.0), np.nan)
    is_view = rng.random(400) < 0.5
    score = np.where(is_view, rng.beta(9, 2, 400), rng.beta(2, 9, 400))
    signs = np.column_stack([peak, spread, shift])
    drawn = {"signs": signs, "error": error, "score": score, "is_view": is_view}
    decision = fit_decision(drawn, drawn)
    assert (peak[there] >= decision.presence).mean() >= 0.998 and (score[is_view] >= decision.view).mean() >= 0.99
    assert (peak[there] >= decision.presence + 0.05).mean() < 0.999
    constant, *weights = decision.confidence
    assert weights[0] > 0 > max(weights[1:])
    stated = 1 / (1 + np.exp(-(constant + signs @ weights)))
    used = there & (peak >= decision.presence)
    for low in (0.2, 0.5, 0.8):
        group = used & (stated >= low) & (stated < low + 0.2)
        assert abs(stated[group].mean() - near[group].mean()) < 0.08


def test_what_is_collected_does_not_depend_on_how_many_processes_do_it():
    one, two = (collect("phantom-heatmap", 2, frames=1, processes=count) for count in (1, 5))
    assert one.keys() == two.keys()
    for name, values in one.items():
        np.testing.assert_allclose(np.sort(values), np.sort(two[name]), atol=1e-4)

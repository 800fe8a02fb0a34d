"""Paths from noisy, incomplete and hand-corrected landmarks."""

import functools

import numpy as np
import pytest
import synthetic_truth as synthetic
from CardiacValveLandmarksLib.alignment import PhaseWarp
from CardiacValveLandmarksLib.landmarks import LandmarkSeries, Provenance
from CardiacValveLandmarksLib.trajectory import harmonic_basis
from CardiacValveLandmarksLib.trajectory_fit import ALIKE, ViewPoints, default_order, fit_cine, fit_views, order_text
from hypothesis import given
from hypothesis import strategies as st

FINE = np.arange(200) / 200


def fitted(view="4CH", seed=0, noise=1.0, change=None, order=None, frames=None):
    cine, series = synthetic.make(seed, noise, views=(view,), frames=frames).entry(view)
    return fit_cine(cine, series if change is None else change(series), view, order)


@functools.cache
def truth(view):
    return synthetic.truth(view, FINE)


def error(trajectory, view="4CH"):
    off = trajectory.evaluate(FINE) - truth(view)[:, trajectory.landmark.index]
    return float(np.sqrt((off**2).sum(-1).mean() / 2))


def absent(series: LandmarkSeries, frames, number) -> LandmarkSeries:
    positions, provenance = series.positions.copy(), series.provenance.copy()
    positions[frames, number - 1] = np.nan
    provenance[frames, number - 1] = Provenance.ABSENT
    return series.replace(positions=positions, provenance=provenance)


@given(order=st.integers(1, 8), phase=st.floats(-2, 2), derivative=st.integers(0, 2))
def test_basis_is_periodic_and_its_derivative_is_one(order, phase, derivative):
    basis = harmonic_basis(np.array(phase), order, derivative)
    assert np.allclose(basis, harmonic_basis(np.array(phase + 1), order, derivative), atol=1e-6 * order**2)
    step = 1e-6
    slope = (
        harmonic_basis(np.array(phase + step), order, derivative)
        - harmonic_basis(np.array(phase - step), order, derivative)
    ) / (2 * step)
    assert np.allclose(slope, harmonic_basis(np.array(phase), order, derivative + 1), rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("frames", [25, 30, 50])
def test_paths_have_much_less_error_than_their_points(frames):
    errors = [
        error(t, view)
        for seed in range(6)
        for view in ("2CH", "3CH", "4CH")
        for t in fitted(view, seed, frames=dict.fromkeys(("2CH", "3CH", "4CH"), frames)).trajectories
    ]
    assert np.sqrt(np.mean(np.square(errors))) < 0.6


def together(seed, change=None, frames=25):
    """(4CH paths fitted with the other views, fitted alone); `change` is done to the 2CH."""
    entries = synthetic.make(seed, 1.0, frames=dict.fromkeys(("2CH", "3CH", "4CH"), frames)).entries
    views = []
    for cine, series in entries:
        series = change(series) if change is not None and cine.name == "2ch" else series
        views.append(ViewPoints(series.view, cine.geometry, series, cine.phases, cine.rr_ms))
    return fit_views(views)[2].trajectories, fit_views(views[2:])[0].trajectories


def spoilt(series):
    """4 mm of noise, and a series that starts in mid-beat."""
    noise = np.random.default_rng(0).normal(0, 4 / synthetic.SPACING, series.positions.shape)
    return series.replace(positions=np.roll(series.positions, -9, axis=0) + noise)


@pytest.mark.parametrize("change", [None, spoilt])
def test_other_views_tell_how_a_beat_looks_and_bad_ones_do_no_harm(change):
    errors = np.array(
        [[np.mean([error(t) ** 2 for t in paths]) for paths in together(seed, change)] for seed in range(6)]
    )
    with_others, alone = np.sqrt(errors.mean(0))
    assert with_others < (0.95 if change is None else 1.0) * alone


def test_views_of_different_frame_counts_are_fitted_together():
    entries = synthetic.make(2, 1.0).entries
    views = [ViewPoints(s.view, c.geometry, s, c.phases, c.rr_ms) for c, s in entries]
    for (cine, series), fit in zip(entries, fit_views(views), strict=True):
        for t in fit.trajectories:
            assert error(t, series.view) < 1.0
            assert t.weights.shape == t.residuals.shape == t.phases.shape == (cine.n_frames,)


def test_exact_points_are_followed_closely_and_stay_in_their_plane():
    plane = synthetic.geometry("4CH")
    for t in fitted(noise=0.0).trajectories:
        assert error(t) < 0.25
        assert np.abs(plane.distance(t.evaluate(FINE))).max() < 1e-9


def by_hand(series: LandmarkSeries) -> LandmarkSeries:
    return series.replace(provenance=np.where(series.present, Provenance.MANUAL, Provenance.ABSENT))


@pytest.mark.parametrize(("change", "wider"), [(by_hand, 1.0), (None, ALIKE)])
def test_the_band_is_as_wide_as_the_error_and_wider_for_automatic_points(change, wider):
    """Here the errors of the frames are independent."""
    ratios = []
    for seed in range(8):
        for t in fitted(seed=seed, change=change).trajectories:
            ratios.append(wider**2 * error(t) ** 2 / (t.band(FINE) ** 2).mean())
    assert 0.6 < np.mean(ratios) < 1.6


def test_errors_that_are_alike_in_neighbouring_frames_are_within_the_band():
    """As those of a network are, whose points follow the motion of the image."""
    rng, scores = np.random.default_rng(0), []

    def alike(series):
        count = series.n_frames
        apart = np.abs(np.subtract.outer(np.arange(count), np.arange(count)))
        root = np.linalg.cholesky(0.6 ** np.minimum(apart, count - apart) + 1e-9 * np.eye(count))
        noise = np.einsum("ts,sld->tld", root, rng.normal(0, 1.0, series.positions.shape))
        return series.replace(positions=series.positions + noise)

    for seed in range(8):
        for t in fitted(seed=seed, noise=0.0, change=alike).trajectories:
            off = np.linalg.norm(t.evaluate(FINE) - truth("4CH")[:, t.landmark.index], axis=-1) / np.sqrt(2)
            scores.append(off / t.band(FINE))
    assert np.mean(np.concatenate(scores) < 1.96) > 0.9


def test_gross_outliers_do_not_move_the_path():
    def spoil(series):
        positions = series.positions.copy()
        positions[[3, 12, 20], 5] += [25.0, -15.0]
        return series.replace(positions=positions)

    clean = {t.landmark.number: t for t in fitted().trajectories}
    spoilt = {t.landmark.number: t for t in fitted(change=spoil).trajectories}
    assert error(spoilt[6]) < error(clean[6]) + 0.3
    assert spoilt[6].residuals[[3, 12, 20]].min() > 30
    assert spoilt[6].weights[[3, 12, 20]].max() < 0.1 * np.median(spoilt[6].weights)


def test_low_confidence_counts_less():
    def doubt(series):
        positions, confidence = series.positions.copy(), series.confidence.copy()
        positions[10:14, 5] += 3.0
        confidence[10:14, 5] = 0.05
        return series.replace(positions=positions, confidence=confidence)

    def sure(series):
        return doubt(series).replace(confidence=series.confidence)

    moved = [next(t for t in fitted(change=c).trajectories if t.landmark.number == 6) for c in (doubt, sure)]
    assert error(moved[0]) < error(moved[1])


@pytest.mark.parametrize("pull", [4.0, 10.0])
def test_a_point_placed_by_hand_is_nearly_exact(pull):
    def correct(series):
        positions, provenance, confidence = (
            np.array(a) for a in (series.positions, series.provenance, series.confidence)
        )
        positions[9, 5] += pull / synthetic.SPACING
        provenance[9, 5] = Provenance.MANUAL
        confidence[9, 5] = np.nan
        return series.replace(positions=positions, provenance=provenance, confidence=confidence)

    t = next(t for t in fitted(change=correct).trajectories if t.landmark.number == 6)
    assert t.residuals[9] < 0.05 * pull * np.sqrt(2)


def test_all_points_by_hand_leave_a_band_of_their_own_scatter():
    def by_hand(series):
        provenance = np.where(series.present, Provenance.MANUAL, Provenance.ABSENT)
        return series.replace(provenance=provenance, confidence=np.full(provenance.shape, np.nan))

    for t in fitted(change=by_hand).trajectories:
        assert error(t) < 1.0
        assert 0.2 < t.band(FINE).mean() < 1.0


def test_half_of_the_beat_missing_is_bridged_and_told():
    fit = fitted(change=lambda s: absent(s, slice(15, 30), 6))
    t = next(t for t in fit.trajectories if t.landmark.number == 6)
    assert any("no points over" in doubt and "free wall" in doubt for doubt in fit.doubts)
    assert error(t) < 3.0
    assert np.isnan(t.residuals[15:]).all()
    assert (t.weights[15:] == 0).all()
    assert t.band(np.array([0.75]))[0] > 1.5 * t.band(np.array([0.25]))[0]


@pytest.mark.parametrize("left", [0, 5])
def test_too_few_points_have_no_path_and_it_is_said(left):
    fit = fitted(change=lambda s: absent(s, slice(left, None), 6))
    assert 6 not in [t.landmark.number for t in fit.trajectories]
    assert any("mitral free wall" in doubt and "no path" in doubt for doubt in fit.doubts)


def test_a_gap_too_long_to_bridge_has_no_path():
    fit = fitted(change=lambda s: absent(s, slice(10, None), 6))
    assert 6 not in [t.landmark.number for t in fit.trajectories]
    assert any("at most 60 %" in doubt for doubt in fit.doubts)


def test_velocity_is_the_derivative_in_the_views_own_time():
    t = fitted().trajectories[0]
    step = 1e-5
    slope = (t.evaluate(FINE + step) - t.evaluate(FINE - step)) / (2 * step * t.rr_ms / 1000)
    assert np.allclose(t.velocity(FINE), slope, atol=1e-3)


def test_without_rr_there_is_no_velocity():
    cine, series = synthetic.make().entry("4CH")
    t = fit_cine(cine.replace(rr_ms=None), series, "4CH").trajectories[0]
    assert np.isnan(t.velocity(0.3)).all()
    assert np.isfinite(t.evaluate(0.3)).all()


def test_order_is_chosen_from_the_frames_or_given_and_printed():
    assert [default_order(n) for n in (6, 12, 20, 25, 30, 50)] == [1, 2, 4, 6, 6, 6]
    chosen, given_order = fitted().trajectories, fitted(order=4).trajectories
    assert order_text(chosen) == "4CH: 6 harmonics (chosen from 30 frames)"
    assert order_text(given_order) == "4CH: 4 harmonics (given)"
    with pytest.raises(ValueError, match="1…14 for 30 frames"):
        fitted(order=15)


def test_motionless_points_are_no_trouble():
    def still(series):
        return series.replace(positions=np.broadcast_to(series.positions[:1], series.positions.shape))

    for t in fitted(noise=0.0, change=still).trajectories:
        assert np.ptp(t.evaluate(FINE), axis=0).max() < 1e-3


def test_draws_spread_as_the_band_says():
    t = fitted().trajectories[0]
    drawn = harmonic_basis(FINE, t.order) @ t.sample(400, np.random.default_rng(0))
    spread = np.sqrt(drawn.var(0).sum(-1) / 2)
    assert np.allclose(spread, t.band(FINE), rtol=0.2)


@given(
    es=st.floats(0.2, 0.6), own=st.floats(0.2, 0.6), start=st.floats(0, 0.99), phase=st.floats(0, 1, exclude_max=True)
)
def test_a_warp_is_periodic_increasing_and_hits_its_knots(es, own, start, phase):
    warp = PhaseWarp((start, (start + es) % 1), ((start + 0.1) % 1, (start + 0.1 + own) % 1))

    def apart(a, b):
        return abs((float(a) - b + 0.5) % 1 - 0.5)

    assert apart(warp(start), (start + 0.1) % 1) < 1e-9
    assert apart(warp((start + es) % 1), (start + 0.1 + own) % 1) < 1e-9
    assert apart(warp(phase + 1), float(warp(phase)) % 1) < 1e-9
    assert (float(warp(phase + 1e-4)) - float(warp(phase))) % 1.0 < 1e-3

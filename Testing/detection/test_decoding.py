"""Windows, decoding and the ensemble's mean: exact where they can be."""

import numpy as np
import pytest
from CardiacValveLandmarksLib.models.decoding import consensus, decode, published_decision, spread
from CardiacValveLandmarksLib.models.sampling import Window, triangle_weights
from hypothesis import given, settings
from hypothesis import strategies as st

SIDES = st.integers(20, 400)
STEPS = st.floats(0.4, 3.0)


@given(SIDES, SIDES, STEPS, STEPS, st.booleans(), st.integers(0, 2**31))
@settings(max_examples=100, deadline=None)
def test_window_positions_are_inverted_exactly(height, width, step0, step1, mirrored, seed):
    rng = np.random.default_rng(seed)
    window = Window((height, width), tuple(rng.uniform(0, 200, 2)), (step0, step1), (128, 112), mirrored)
    points = rng.uniform(-50, 450, (7, 2))
    np.testing.assert_allclose(window.undo_positions(window.positions(points)), points, atol=1e-9)


@given(STEPS, st.booleans(), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_a_spot_lands_where_positions_says(step, mirrored, seed):
    """Resample a Gaussian spot: its centre of mass in the window is where the window maps its centre to."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform(70, 130, 2)
    rows, columns = np.mgrid[:200, :200]
    image = np.exp(-((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / (2 * 6.0**2))[None]
    window = Window((200, 200), (100.0, 101.5), (step, step), (128, 128), mirrored)
    expected = window.positions(centre)
    if not ((expected > 25) & (expected < 103)).all() or step < 0.7:
        return
    small = window.images(image)[0]
    grid = np.mgrid[:128, :128]
    found = (grid * small).sum((1, 2)) / small.sum()
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_outside_the_image_is_zero_and_flat_stays_flat():
    weights = triangle_weights(50, np.arange(-20.0, 70.0), 1.0)
    total = weights.sum(1)
    assert (total[:19] == 0).all() and (total[-19:] == 0).all()
    np.testing.assert_allclose(total[21:69], 1, atol=1e-6)


@given(st.floats(15, 110), st.floats(15, 110), st.floats(1.5, 4.0))
@settings(max_examples=80, deadline=None)
def test_decoding_is_sub_pixel(row, column, sigma):
    rows, columns = np.mgrid[:128, :128]
    spot = 0.9 * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * sigma**2))
    peaks = decode(spot[None].astype(np.float32))
    np.testing.assert_allclose(peaks.positions[0], [row, column], atol=0.15)
    assert 0.8 < peaks.peak[0] <= 0.9


@given(st.floats(40, 88), st.floats(40, 88), st.floats(1.5, 4.0))
@settings(max_examples=40, deadline=None)
def test_spread_is_the_width_of_a_spot_and_grows_with_a_second_one(row, column, sigma):
    rows, columns = np.mgrid[:128, :128]

    def spot(r, c):
        return np.exp(-((rows - r) ** 2 + (columns - c) ** 2) / (2 * sigma**2))

    one, place = spot(row, column), np.array([[row, column]])
    assert spread(one[None], place, 40.0)[0] == pytest.approx(np.sqrt(2) * sigma, rel=0.05)
    beside = np.sqrt(2 * sigma**2 + 9)  # Pythagoras
    assert spread(one[None], place + np.array([3.0, 0.0]), 40.0)[0] == pytest.approx(beside, rel=0.05)
    # half the mass, far away, counts as at the reach
    two = spread((0.5 * one + 0.5 * spot(5, 5))[None], place, 15.0)[0]
    assert two == pytest.approx(np.sqrt(sigma**2 + 15.0**2 / 2), rel=0.05)
    assert spread(np.zeros((1, 128, 128)), place, 15.0)[0] == 0


def test_a_second_weaker_spot_does_not_pull():
    rows, columns = np.mgrid[:128, :128]

    def spot(r, c):
        return np.exp(-((rows - r) ** 2 + (columns - c) ** 2) / (2 * 2.0**2))

    peaks = decode((spot(40, 40) + 0.8 * spot(90, 80))[None])
    np.testing.assert_allclose(peaks.positions[0], [40, 40], atol=0.05)


def test_consensus_ignores_an_outlier_and_reports_the_spread():
    rng = np.random.default_rng(0)
    members = np.array([30.0, 60.0]) + rng.normal(0, 0.5, (8, 5, 2))
    members[3] += 60
    mean, spread, share = consensus(members, np.ones((8, 5)), reach=5.0)
    np.testing.assert_allclose(mean, np.broadcast_to([30.0, 60.0], (5, 2)), atol=0.8)
    assert (spread > 10).all()
    np.testing.assert_allclose(share, 7 / 8)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_consensus_of_one_is_itself(weight):
    mean, spread, share = consensus(np.full((1, 3, 2), 7.0), np.full((1, 3), weight), 4.0)
    np.testing.assert_allclose(mean, 7.0)
    np.testing.assert_allclose(spread, 0)
    np.testing.assert_allclose(share, 1)


def spot_at(row, column, sigma, height=0.8, shape=(96, 112)):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return height * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * sigma**2))


@given(st.floats(15, 80), st.floats(15, 95), st.floats(2.0, 7.0))
@settings(max_examples=40, deadline=None)
def test_the_published_rule_takes_the_mean_of_the_half_maximum_blob(row, column, sigma):
    """Any sigma, also one whose blob is wider than `decode` looks."""
    found = published_decision(spot_at(row, column, sigma)[None])
    np.testing.assert_allclose(found[0], [row, column], atol=0.3)


def test_the_published_rule_takes_one_blob_only_and_says_absent():
    two = spot_at(30, 30, 4.0) + spot_at(70, 80, 4.0, 0.6)  # the second is above half the maximum
    weak = spot_at(30, 30, 4.0, 0.0999)
    exact = np.zeros((96, 112))
    exact[20:24, 50:53] = 0.1  # a landmark is there from 0.1 on
    found = published_decision(np.stack([two, weak, exact, np.zeros((96, 112))])[None])
    np.testing.assert_allclose(found[0, 0], [30, 30], atol=0.05)
    np.testing.assert_allclose(found[0, 2], [21.5, 51])
    assert np.isnan(found[0, [1, 3]]).all()

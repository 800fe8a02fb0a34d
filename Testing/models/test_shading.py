"""Coil shading is found and divided out, the same gain for any image of a cine, and intensities are as stated."""

import numpy as np
import pytest
from CardiacValveLandmarksLib.models.intensity import scale_windows
from CardiacValveLandmarksLib.models.shading import even_out, log_shading
from hypothesis import given, settings
from hypothesis import strategies as st


def scene(shape=(200, 240)):
    """A body with three tissues, air around it."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] / np.array(shape)[:, None, None] * 2 - 1
    image = np.where((rows / 0.85) ** 2 + (columns / 0.9) ** 2 < 1, 0.4, 0.0)
    image[(rows + 0.1) ** 2 + columns**2 < 0.15] = 1.0
    image[(rows - 0.5) ** 2 + (columns - 0.2) ** 2 < 0.05] = 0.7
    noise = np.random.default_rng(0).normal(0, 0.01, shape)
    return np.abs(image + noise), rows, columns


@pytest.mark.parametrize("strength", [0.5, 0.9])
def test_a_known_gain_is_mostly_removed(strength):
    image, rows, columns = scene()
    gain = np.exp(strength * (0.8 - np.hypot(rows + 0.7, columns + 0.3)))
    body = image > 0.1
    true = np.log(gain)[body]
    evened = even_out(image * gain, log_shading(image * gain, 1.5))
    left = np.log(evened[body] / image[body])
    assert left.std() < 0.5 * true.std()


def test_an_even_image_stays_nearly_as_it_is_and_an_empty_one_is_left_alone():
    image, _, _ = scene()
    assert np.abs(log_shading(image, 1.5)).max() < 0.25
    assert not log_shading(np.zeros((60, 60)), 1.0).any()


@given(st.integers(40, 300), st.integers(40, 300), st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
@settings(max_examples=40, deadline=None)
def test_a_coarse_gain_covers_the_image_exactly(height, width, slope0, slope1):
    """A gain linear in the logarithm is divided out without error where the coarse map has neighbours."""
    coarse = (12, 15)
    place = [(np.arange(n) + 0.5) / n - 0.5 for n in coarse]
    log_gain = (slope0 * place[0][:, None] + slope1 * place[1]).astype(np.float32)
    fine = [(np.arange(n) + 0.5) / n - 0.5 for n in (height, width)]
    image = np.exp(slope0 * fine[0][:, None] + slope1 * fine[1])
    evened = even_out(image, log_gain)
    inner = np.ix_(*(np.abs(axis) < 0.45 for axis in fine))
    np.testing.assert_allclose(evened[inner], 1, rtol=1e-4)


@pytest.mark.parametrize("intensity", ["file", "frame", "percentile", "evened"])
def test_intensity_scaling(intensity):
    image, _, _ = scene()
    cine = np.stack([image * 100, image * 50])
    scaled = scale_windows(cine, intensity, 1.5)
    assert scaled.dtype == np.float32 and scaled.min() >= 0
    if intensity == "percentile":
        assert scaled.max() <= 1.5 and scaled[1].max() < 0.6 * scaled[0].max()
    else:
        assert scaled[0].max() == pytest.approx(1)
        assert scaled[1].max() == pytest.approx(0.5 if intensity == "file" else 1, abs=0.01)
    flat = scale_windows(np.full((2, 40, 40), 7.0), intensity, 1.0)
    np.testing.assert_array_equal(flat, 1 if intensity == "percentile" else 0)

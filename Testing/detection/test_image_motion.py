"""Points that a network marked are drawn to where the motion of the image says they are, and no further."""

import numpy as np
import pytest
from CardiacValveLandmarksLib.detection.image_motion import follow_motion
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, shift, zoom

FRAMES, SPACING = 20, np.array([1.5, 1.5])
START = np.array([40.0, 45.0])


def _beat() -> tuple[np.ndarray, np.ndarray]:
    """A texture that moves as a whole by up to 8 pixels, and the path of one of its points."""
    rng = np.random.default_rng(3)
    texture = gaussian_filter(rng.normal(size=(90, 90)), 2.5)
    phases = np.arange(FRAMES) / FRAMES
    path = np.stack([8 * np.sin(np.pi * phases) ** 2, 3 * np.sin(2 * np.pi * phases)], -1)
    moved = np.stack([shift(texture, step, order=3, mode="wrap") for step in path])
    return moved + rng.normal(0, 0.03 * texture.std(), moved.shape), START + path


IMAGES, TRUTH = _beat()
CERTAIN = np.full((FRAMES, 1), 1.5)


def _errors(positions: np.ndarray) -> np.ndarray:
    return np.linalg.norm((positions[:, 0] - TRUTH) * SPACING, axis=-1)


def test_right_points_stay_where_they_are():
    assert _errors(follow_motion(IMAGES, SPACING, TRUTH[:, None], CERTAIN)).max() < 0.4


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**16), start=st.integers(0, FRAMES - 1), count=st.integers(1, 4))
def test_frames_that_went_astray_are_drawn_back_and_noise_gets_less(seed, start, count):
    rng = np.random.default_rng(seed)
    marked = TRUTH[:, None] + rng.normal(0, 1.0, (FRAMES, 1, 2))
    astray = (start + np.arange(count)) % FRAMES
    marked[astray, 0] += [0.0, 6.0]  # 9 mm aside, all in the same direction
    spreads = CERTAIN.copy()
    spreads[astray] = 5.0
    found = _errors(follow_motion(IMAGES, SPACING, marked, spreads))
    assert found[astray].mean() < 0.8 * _errors(marked)[astray].mean()
    others = np.setdiff1d(np.arange(FRAMES), astray)
    assert found[others].mean() < _errors(marked)[others].mean()


def test_it_does_not_matter_where_the_beat_begins():
    rng = np.random.default_rng(0)
    marked = TRUTH[:, None] + rng.normal(0, 2.0, (FRAMES, 1, 2))
    found = follow_motion(IMAGES, SPACING, marked, CERTAIN)
    turned = follow_motion(np.roll(IMAGES, 7, axis=0), SPACING, np.roll(marked, 7, axis=0), CERTAIN)
    np.testing.assert_allclose(np.roll(turned, -7, axis=0), found, atol=1e-6)


def test_absent_points_stay_absent_and_the_rest_is_followed():
    marked = TRUTH[:, None].repeat(3, axis=1)
    marked[4:9, 0] = np.nan
    marked[:, 1] = np.nan
    marked[4:, 2] = np.nan  # too few to tell
    found = follow_motion(IMAGES, SPACING, marked, CERTAIN.repeat(3, axis=1))
    np.testing.assert_array_equal(np.isnan(found), np.isnan(marked))
    assert np.nanmax(_errors(found[:, :1])) < 0.4
    np.testing.assert_array_equal(found[:4, 2], marked[:4, 2])


@pytest.mark.parametrize("image", [np.zeros_like(IMAGES), np.random.default_rng(1).normal(size=IMAGES.shape)])
def test_where_no_patch_is_found_a_steady_path_stays(image):
    """Nothing and noise: the points are all there is."""
    found = follow_motion(image, SPACING, TRUTH[:, None], CERTAIN)
    assert _errors(found).max() < 1.5


def test_the_border_of_the_image_changes_nothing():
    """Points at it, or half a pixel beyond, go where they go in a larger image that repeats its edge."""
    edge = np.array(IMAGES.shape[1:]) - 1
    corners = np.array([[1.0, 2.0], [edge[0] - 1.0, 40.0], [30.0, edge[1]], [-0.4, edge[1] + 0.4]])
    marked = corners + (TRUTH - TRUTH.mean(0))[:, None] * 0.1
    sure = np.broadcast_to(CERTAIN, marked.shape[:2])
    larger = np.pad(IMAGES, ((0, 0), (24, 24), (24, 24)), mode="edge")
    found = follow_motion(IMAGES, SPACING, marked, sure)
    np.testing.assert_allclose(follow_motion(larger, SPACING, marked + 24, sure) - 24, found, atol=0.3)
    assert np.linalg.norm((found - marked) * SPACING, axis=-1).max() > 0.2


def test_a_doubtful_point_is_moved_further():
    marked = TRUTH[:, None].copy()
    marked[6, 0] += [4.0, 0.0]
    spreads = CERTAIN.copy()
    certain = _errors(follow_motion(IMAGES, SPACING, marked, spreads))[6]
    spreads[6] = 8.0
    assert _errors(follow_motion(IMAGES, SPACING, marked, spreads))[6] < 0.7 * certain


def test_finer_pixels_give_the_same_paths():
    """They are thinned: half as large, twice as many."""
    rng = np.random.default_rng(5)
    marked = TRUTH[:, None] + rng.normal(0, 1.5, (FRAMES, 1, 2))
    fine = zoom(IMAGES, (1, 2, 2), order=3, grid_mode=False)
    scale = (np.array(fine.shape[1:]) - 1) / (np.array(IMAGES.shape[1:]) - 1)
    found = follow_motion(IMAGES, SPACING, marked, CERTAIN)
    again = follow_motion(fine, SPACING / scale, marked * scale, CERTAIN) / scale
    assert np.linalg.norm((again - found) * SPACING, axis=-1).max() < 0.3

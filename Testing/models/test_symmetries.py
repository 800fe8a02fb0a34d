"""Symmetries and the fit to the network's size: what goes there comes back."""

import numpy as np
import pytest
from CardiacValveLandmarksLib.models.coordinates import Fit, scale_intensity
from CardiacValveLandmarksLib.models.symmetries import IDENTITY, ROTATIONS, SETS, SQUARE
from hypothesis import given, settings
from hypothesis import strategies as st

shapes = st.tuples(st.integers(1, 12), st.integers(1, 12))


@settings(deadline=None)
@given(shapes, st.sampled_from(SQUARE), st.randoms(use_true_random=False))
def test_images_and_positions_move_together_and_come_back(shape, symmetry, random):
    image = np.arange(shape[0] * shape[1]).reshape(shape)
    moved = symmetry.images(image)
    assert moved.shape == symmetry.shape(shape) and moved.flags.c_contiguous
    np.testing.assert_array_equal(symmetry.undo_maps(moved), image)
    point = np.array([random.randrange(shape[0]), random.randrange(shape[1])])
    there = symmetry.positions(point, shape)
    assert moved[tuple(there)] == image[tuple(point)]
    np.testing.assert_array_equal(symmetry.undo_positions(there, shape), point)


@settings(deadline=None)
@given(shapes, st.sampled_from(SQUARE), st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), min_size=1))
def test_sub_pixel_positions_come_back(shape, symmetry, points):
    points = np.array(points)
    np.testing.assert_allclose(symmetry.undo_positions(symmetry.positions(points, shape), shape), points, atol=1e-12)


def test_the_sets_hold_different_symmetries():
    image = np.arange(6).reshape(2, 3)
    assert len({symmetry.images(image).tobytes() + bytes(symmetry.shape((2, 3))) for symmetry in SQUARE}) == 8
    assert len(SETS["rotations"]) == 4 and not any(symmetry.mirrored for symmetry in ROTATIONS)
    assert SETS["none"] == (IDENTITY,)
    np.testing.assert_array_equal(IDENTITY.images(image), image)


def test_leading_axes_are_kept():
    stack = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    for symmetry in SQUARE:
        np.testing.assert_array_equal(symmetry.images(stack)[1, 2], symmetry.images(stack[1, 2]))
        np.testing.assert_array_equal(symmetry.undo_maps(symmetry.images(stack)), stack)


@settings(deadline=None)
@given(
    st.tuples(st.integers(20, 600), st.integers(20, 600)),
    st.lists(st.tuples(st.floats(-100, 700), st.floats(-100, 700)), min_size=1, max_size=5),
)
def test_fit_is_invertible_and_crops_nothing(shape, points):
    fit, points = Fit(shape, (256, 256)), np.array(points)
    np.testing.assert_allclose(fit.undo_positions(fit.positions(points)), points, atol=1e-9)
    corners = fit.positions(np.array([[-0.5, -0.5], [shape[0] - 0.5, shape[1] - 0.5]]))
    assert (corners >= -0.5 - 1e-9).all() and (corners <= 255.5 + 1e-9).all()


def test_fit_leaves_the_networks_own_size_alone():
    frames = np.random.default_rng(0).random((2, 256, 256), dtype=np.float32)
    fit = Fit((256, 256), (256, 256))
    np.testing.assert_array_equal(fit.images(frames), frames)
    np.testing.assert_array_equal(fit.undo_positions(np.array([[3.25, 200.5]])), [[3.25, 200.5]])


@pytest.mark.parametrize("shape", [(208, 256), (256, 130), (200, 144), (255, 251)])
def test_fit_only_pads_where_it_can(shape):
    frames = np.random.default_rng(0).random((2, *shape), dtype=np.float32)
    fit = Fit(shape, (256, 256))
    images = fit.images(frames)
    top, left = fit.positions(np.zeros(2)).astype(int)
    np.testing.assert_array_equal(images[:, top : top + shape[0], left : left + shape[1]], frames)
    assert images.sum() == pytest.approx(frames.sum(), rel=1e-4)


@settings(max_examples=20, deadline=None)
@given(
    st.tuples(st.integers(60, 500), st.integers(60, 500)),
    st.tuples(st.floats(0.3, 0.7), st.floats(0.3, 0.7)),
)
def test_fit_moves_images_as_positions(shape, centre):
    """The centre of a smooth blob is found where the positions say it goes."""
    centre = np.array(centre) * shape
    grid = np.stack(np.mgrid[: shape[0], : shape[1]], -1)
    width = min(shape) / 20
    blob = np.exp(-((grid - centre) ** 2).sum(-1) / (2 * width**2))
    fit = Fit(shape, (256, 256))
    image = fit.images(blob[None])[0].astype(np.float64)
    found = (np.stack(np.mgrid[:256, :256], -1) * image[..., None]).sum((0, 1)) / image.sum()
    np.testing.assert_allclose(found, fit.positions(centre), atol=0.05)


def test_scaling_over_the_file_and_over_frames():
    frames = np.random.default_rng(0).normal(size=(3, 8, 8)) * np.array([1, 10, 100])[:, None, None]
    whole, each = scale_intensity(frames, "file"), scale_intensity(frames, "frame")
    assert (whole.min(), whole.max()) == (0, 1) and np.ptp(whole[0]) < 0.1
    assert (each.min((1, 2)) == 0).all() and (each.max((1, 2)) == 1).all()
    with pytest.raises(ValueError, match="constant"):
        scale_intensity(np.ones((2, 4, 4)), "file")

"""Synthetic images in the colours of corrected ones."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from CardiacValveLandmarksLib.errors import UsageError  # noqa: E402
from CardiacValveLandmarksLib.training.finetune_heatmap import (  # noqa: E402
    Cuts,
    HeatmapFinetuneSettings,
    _MixedPool,
)
from CardiacValveLandmarksLib.training.recolour import heart_intensities, intensity_curve, recolour  # noqa: E402
from CardiacValveLandmarksLib.training.synthetic import OTHER, make_shard  # noqa: E402
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402


@pytest.fixture(scope="module")
def shard():
    return make_shard(77, 0, 12)


def _landmarks(one, other, apex) -> np.ndarray:
    points = np.full((11, 2), np.nan)
    points[[4, 5, 10]] = one, other, apex
    return points


@given(st.floats(-np.pi, np.pi), st.floats(0.7, 1.4), st.floats(-5, 5), st.floats(-5, 5))
def test_the_same_places_of_a_heart_wherever_it_lies(angle, larger, down, right):
    """Intensities that are a linear function of the place in the heart, in a heart turned, grown and moved."""
    turn = larger * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array([64 + down, 64 + right])
    points = np.array([[-10, -8], [-10, 8], [15, 0]]) @ turn.T + middle
    grid = np.stack(np.meshgrid(np.arange(128.0), np.arange(128.0), indexing="ij"), -1)
    image = ((grid - middle) @ np.linalg.inv(turn).T) @ [1.0, 3.0]
    seen = heart_intensities(image, _landmarks(*points), "4CH")
    assert np.isfinite(seen).all()
    # a place (a, b): the valve's middle (-10, 0), a times its width (0, 16), b times the way to the apex (25, 0)
    a, b = np.meshgrid(np.linspace(-0.9, 1.9, 36), np.linspace(-0.7, 1.3, 36), indexing="ij")
    np.testing.assert_allclose(seen, ((-10 + 25 * b) + 3 * 16 * a).ravel(), atol=1e-3)


def test_a_heart_without_valve_or_apex_has_no_places():
    image, points = np.zeros((64, 64)), [[20, 20], [20, 40], [50, 30]]
    assert heart_intensities(image, _landmarks(*points), "4CH") is not None
    assert heart_intensities(image, _landmarks(*points), "2CH") is None
    for missing in range(3):
        fewer = [[np.nan] * 2 if index == missing else point for index, point in enumerate(points)]
        assert heart_intensities(image, _landmarks(*fewer), "4CH") is None


@pytest.mark.parametrize("misplaced", [0.0, 0.3])
def test_the_curve_keeps_the_contrast_of_the_other_image(misplaced):
    """Blood bright and wall dark becomes blood dark and wall bright, also where a third of the places do not fit."""
    rng = np.random.default_rng(3)
    tissue = rng.choice(3, 1200, p=[0.5, 0.3, 0.2])
    source = np.array([0.9, 0.3, 0.6])[tissue] + rng.normal(0, 0.02, 1200)
    elsewhere = np.where(rng.random(1200) < misplaced, rng.permutation(tissue), tissue)
    target = np.array([0.2, 1.0, 0.5])[elsewhere] + rng.normal(0, 0.02, 1200)
    image = np.kron(np.array([[0.9, 0.3, 0.6]]), np.ones((20, 20)))
    seen = recolour(image, intensity_curve(source, target))[10, [10, 30, 50]]
    np.testing.assert_allclose(seen, [0.2, 1.0, 0.5], atol=0.12)


def test_too_little_seen_gives_no_curve():
    rng = np.random.default_rng(4)
    assert intensity_curve(np.full(1200, np.nan), rng.random(1200)) is None
    assert intensity_curve(rng.random(100), rng.random(100)) is None
    assert intensity_curve(np.full(1200, 0.5), rng.random(1200)) is None


class _Synthetic:
    """A pool that gives the same images every time."""

    def __init__(self, shard, rows) -> None:
        self.parts = shard.images[rows][:, None], shard.landmarks[rows], shard.classes[rows]

    def draw(self, rng):
        return tuple(torch.from_numpy(part.copy()) for part in self.parts)


def test_a_batch_has_corrected_recoloured_and_rehearsed_images(shard):
    """In the second part hearts keep their landmarks and have the other contrast; planes that are no view, and the
    rest of the batch, stay as they are."""
    views = np.flatnonzero(shard.classes < OTHER)
    given, other = views[:3], np.flatnonzero(shard.classes == OTHER)[0]
    dark = np.where(shard.images < 0.05, shard.images, 1.2 - np.clip(shard.images, 0, 1.2)).astype(np.float32)
    cuts = Cuts(dark[given], shard.landmarks[given], shard.classes[given], np.full(3, 1 / 3))
    rows = np.array([views[4], views[5], views[6], views[7], other, views[8], views[3], views[4]])
    pool = _MixedPool(_Synthetic(shard, rows), cuts, corrected=0.25, recoloured=0.375)
    assert pool.counts(8) == (2, 3)
    images, landmarks, classes = (part.numpy() for part in pool.draw(np.random.default_rng(0)))
    for index in range(2):
        assert any(np.allclose(images[index, 0], one, atol=1e-3) for one in cuts.images)
    for index in (2, 3):
        before, after = shard.images[rows[index]].astype(float), images[index, 0].astype(float)
        view = ("2CH", "3CH", "4CH")[classes[index]]
        pair = [heart_intensities(image, landmarks[index], view) for image in (before, after)]
        assert np.corrcoef(np.nan_to_num(pair))[0, 1] < -0.3
    np.testing.assert_array_equal(images[4:, 0], shard.images[rows[4:]])
    np.testing.assert_array_equal(landmarks[2:], shard.landmarks[rows[2:]])
    np.testing.assert_array_equal(classes[2:], shard.classes[rows[2:]])


def test_shares_of_a_batch_are_checked():
    with pytest.raises(UsageError, match="recoloured"):
        HeatmapFinetuneSettings(corrected=0.8, recoloured=0.3)
    assert _MixedPool(None, Cuts(np.zeros((0, 8, 8)), np.zeros((0, 11, 2)), np.zeros(0), np.zeros(0)), 0.3, 0.3).counts(
        16
    ) == (5, 5)

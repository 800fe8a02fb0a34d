"""Landmarks that do not move with the image are found; those that do are left alone."""

import numpy as np
import pytest
import synthetic_truth as synthetic
from CardiacValveLandmarksLib.motion_check import check_motion, frame_ranges
from scipy.ndimage import gaussian_filter, shift


@pytest.fixture(scope="module")
def moving():
    """Texture that moves as a whole by up to 10 pixels, and landmarks that move with it."""
    rng = np.random.default_rng(0)
    texture = gaussian_filter(rng.normal(size=(90, 90)), 2.5)
    phases = np.arange(24) / 24
    path = np.stack([10 * synthetic.beat_curve(phases), 4 * np.sin(2 * np.pi * phases)], -1)
    frames = np.stack([shift(texture, step, order=3, mode="wrap") for step in path])
    frames += rng.normal(0, 0.03 * texture.std(), frames.shape)
    cine, series = synthetic.make(frames=dict.fromkeys(synthetic.VIEWS, 24)).entry("4CH")
    del cine
    positions = np.array(series.positions)
    positions[:, 5] = np.array([40.0, 45.0]) + path
    positions[:, 4] = np.array([50.0, 30.0]) + path
    return frames, series.replace(positions=positions)


def test_good_landmarks_are_not_flagged(moving):
    frames, series = moving
    check = check_motion("4CH", frames, np.array([1.4, 1.4]), series)
    assert not check.flagged[:, 4:6].any()
    assert np.nanmax(check.disagreement_mm[:, 4:6]) < 1.0
    assert np.isfinite(check.disagreement_mm[:, 4:6]).mean() > 0.9


def test_a_jump_in_one_frame_is_flagged_there_and_only_there(moving):
    frames, series = moving
    positions = np.array(series.positions)
    positions[7, 5] += [0.0, 4.0]
    check = check_motion("4CH", frames, np.array([1.4, 1.4]), series.replace(positions=positions))
    assert np.flatnonzero(check.flagged[:, 5]).tolist() == [7]
    assert check.disagreement_mm[7, 5] == pytest.approx(4 * 1.4, abs=1.0)
    assert not check.flagged[:, 4].any()


def test_frames_are_listed_as_people_count_them():
    assert frame_ranges([0, 1, 2, 6, 8, 9]) == "1–3, 7, 9–10"
    assert frame_ranges([4]) == "5"


def test_an_image_without_texture_is_not_judged(moving):
    _, series = moving
    check = check_motion("4CH", np.ones((24, 90, 90)), np.array([1.4, 1.4]), series)
    assert np.isnan(check.disagreement_mm).all()
    assert not check.flagged.any()


def test_points_at_the_border_and_beyond_are_no_trouble(moving):
    frames, series = moving
    positions = np.array(series.positions)
    positions[:, 5] = [0.0, 89.0]
    positions[:, 4] = [-5.0, 200.0]
    check = check_motion("4CH", frames, np.array([1.4, 1.4]), series.replace(positions=positions))
    assert np.isnan(check.disagreement_mm[:, 4]).all()
    assert check.disagreement_mm.shape == (24, 11)


def test_a_single_frame_cannot_be_judged(moving):
    frames, series = moving
    one = series.replace(
        positions=series.positions[:1], confidence=series.confidence[:1], provenance=series.provenance[:1]
    )
    assert np.isnan(check_motion("4CH", frames[:1], np.array([1.4, 1.4]), one).disagreement_mm).all()

"""The path through a beat follows one structure, whatever shows up elsewhere in single frames."""

import numpy as np
from CardiacValveLandmarksLib.detection.beat_path import beat_path
from hypothesis import given, settings
from hypothesis import strategies as st

SIZE = 48


def blob(place, height):
    rows, columns = np.indices((SIZE, SIZE))
    return height * np.exp(-((rows - place[0]) ** 2 + (columns - place[1]) ** 2) / 8)


def beat(frames):
    """A hinge that goes 10 pixels (20 mm) down in the first third of the beat and comes back."""
    phase = np.arange(frames) / frames
    down = np.where(phase < 1 / 3, np.sin(phase * 1.5 * np.pi) ** 2, np.cos((phase - 1 / 3) * 0.75 * np.pi) ** 2)
    return np.stack([14 + 10 * down, np.full(frames, 20.0)], axis=1)


@given(st.integers(20, 40), st.integers(0, 2**31), st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_a_brighter_decoy_in_single_frames_is_not_followed(frames, seed, decoys):
    rng, truth = np.random.default_rng(seed), beat(frames)
    maps = np.stack([blob(place, 0.5) for place in truth])
    for frame in rng.choice(frames, decoys, replace=False):
        maps[frame] *= 0.2
        maps[frame] += blob((38, 40), 0.8)
    assert np.linalg.norm(beat_path(maps, 2.0) - truth, axis=1).max() < 3.5


def test_a_frame_that_shows_nothing_keeps_to_its_neighbours():
    truth = beat(25)
    maps = np.stack([blob(place, 0.6) for place in truth])
    maps[6] = blob((40, 42), 0.3)
    path = beat_path(maps, 2.0)
    assert np.linalg.norm(path[6] - truth[6]) < 8
    assert np.linalg.norm(np.delete(path - truth, 6, 0), axis=1).max() < 3


def test_two_frames_that_show_a_decoy_alone_keep_to_their_neighbours():
    truth = beat(25)
    maps = np.stack([blob(place, 0.6) for place in truth])
    maps[15:17] = blob((40, 42), 0.6)
    path = beat_path(maps, 2.0)
    assert np.linalg.norm(path - truth, axis=1).max() < 8


def test_a_cine_of_half_a_beat_need_not_close():
    truth = np.stack([np.linspace(8, 40, 13), np.full(13, 20.0)], axis=1)
    maps = np.stack([blob(place, 0.6) for place in truth])
    assert np.linalg.norm(beat_path(maps, 2.0) - truth, axis=1).max() < 1


def test_where_the_decoy_is_there_all_the_time_the_stronger_one_wins():
    truth = beat(25)
    maps = np.stack([blob(place, 0.6) + blob((40, 42), 0.3) for place in truth])
    assert np.linalg.norm(beat_path(maps, 2.0) - truth, axis=1).max() < 3


@given(st.integers(0, 24))
@settings(max_examples=10, deadline=None)
def test_it_does_not_matter_where_the_beat_begins(start):
    rng = np.random.default_rng(4)
    maps = np.stack([blob(place, 0.5) + 0.4 * blob(rng.uniform(5, 43, 2), 1) for place in beat(25)])
    np.testing.assert_array_equal(np.roll(beat_path(maps, 2.0), -start, 0), beat_path(np.roll(maps, -start, 0), 2.0))


def test_empty_maps_have_a_path_too():
    assert beat_path(np.zeros((5, 16, 16)), 2.0).shape == (5, 2)

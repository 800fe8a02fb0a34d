"""Corrections: what a person decides, what follows, and that nothing else does."""

import numpy as np
import pytest
from CardiacValveLandmarksLib.correction import Correction, Decision, History, window
from CardiacValveLandmarksLib.landmarks import N_LANDMARKS, LandmarkSeries, Provenance, view_mask
from hypothesis import given, settings
from hypothesis import strategies as st

MITRAL, FREE = 5, 6  # of the 4CH view


def prediction(frames=20, view="4CH", absent=(), seed=0):
    """Smooth random paths; `absent`: (frame, landmark number) the model did not find."""
    random = np.random.default_rng(seed)
    angles = 2 * np.pi * np.arange(frames) / frames
    positions = np.full((frames, 11, 2), np.nan)
    shown = view_mask(view)
    for index in np.flatnonzero(shown):
        positions[:, index] = random.uniform(20, 80, 2) + 4 * np.column_stack([np.sin(angles), np.cos(angles)])
    for frame, number in absent:
        positions[frame, number - 1] = np.nan
    present = np.isfinite(positions[..., 0])
    return LandmarkSeries(positions, np.where(present, 0.9, np.nan), np.where(present, 1, 0), view)


def moved(correction, number=MITRAL):
    return correction.current.positions[:, number - 1] - correction.prediction.positions[:, number - 1]


def test_window_decays_from_one_and_ends_before_the_next_frame():
    weights = window(3)
    assert weights[0] == 1 and (np.diff(weights) < 0).all() and weights[-1] > 0
    assert window(4)[:5] == pytest.approx(0.5 * (1 + np.cos(np.pi * np.arange(5) / 5)))


def test_a_placed_point_is_where_it_was_put_and_its_neighbours_follow_less_and_less():
    before = Correction.of(prediction())
    at = before.prediction.positions[10, MITRAL - 1] + [6.0, -2.0]
    after = before.place(10, MITRAL, at, spread=3)
    assert np.array_equal(after.current.positions[10, MITRAL - 1], at)
    lengths = np.linalg.norm(moved(after), axis=1)
    assert lengths[10:14] == pytest.approx(np.hypot(6, 2) * window(3))
    assert lengths[7:11] == pytest.approx(lengths[10:14][::-1])
    assert np.flatnonzero(lengths).tolist() == [7, 8, 9, 10, 11, 12, 13]
    provenance = after.current.provenance[:, MITRAL - 1]
    assert provenance[10] == Provenance.MANUAL and (provenance[[7, 8, 9, 11, 12, 13]] == Provenance.PROPAGATED).all()
    assert np.isnan(after.current.confidence[10, MITRAL - 1]) and after.current.confidence[9, MITRAL - 1] == 0.9
    others = np.delete(np.arange(11), MITRAL - 1)
    assert np.array_equal(after.current.positions[:, others], before.current.positions[:, others], equal_nan=True)


def test_the_cycle_is_closed():
    after = Correction.of(prediction()).place(0, MITRAL, [1.0, 1.0], spread=2)
    assert np.flatnonzero(moved(after).any(1)).tolist() == [0, 1, 2, 18, 19]


def test_spread_zero_moves_nothing_else():
    after = Correction.of(prediction()).place(4, MITRAL, [1.0, 1.0], spread=0)
    assert np.flatnonzero(moved(after).any(1)).tolist() == [4]


def test_between_two_placed_points_the_field_interpolates():
    series = prediction()
    shift = np.array([5.0, 3.0])
    after = Correction.of(series)
    for frame in (4, 9):
        after = after.place(frame, MITRAL, series.positions[frame, MITRAL - 1] + shift, spread=8)
    # both windows fill the gap and sum to one: the same displacement all the way
    assert moved(after)[4:10] == pytest.approx(np.tile(shift, (6, 1)))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 15), st.floats(-20, 20), st.floats(-20, 20), st.integers(0, 30)),
        min_size=1,
        max_size=10,
    ),
    st.randoms(use_true_random=False),
)
def test_placed_points_stay_exactly_and_order_does_not_matter(places, random):
    series = prediction(16, absent=[(2, MITRAL), (3, MITRAL)])
    last = {frame: (np.array([20 + x, 20 + y]), spread) for frame, x, y, spread in places}
    one, other = Correction.of(series), Correction.of(series)
    shuffled = list(last.items())
    random.shuffle(shuffled)
    for frame, (position, spread) in last.items():
        one = one.place(frame, MITRAL, position, spread)
    for frame, (position, spread) in shuffled:
        other = other.place(frame, MITRAL, position, spread)
    assert one == other
    assert np.array_equal(one.current.positions, other.current.positions, equal_nan=True)
    for frame, (position, _) in last.items():
        assert np.array_equal(one.current.positions[frame, MITRAL - 1], position)
    # nobody's displacement is exceeded between corrections of one sign and size
    largest = max(np.abs(position - 20).max() + 100 for position, _ in last.values())
    assert np.nanmax(np.abs(moved(one))) <= largest


def test_absent_frames_are_not_brought_back_by_a_neighbour():
    correction = Correction.of(prediction(absent=[(5, MITRAL)])).set_absent(7, MITRAL)
    after = correction.place(6, MITRAL, [10.0, 10.0], spread=3)
    assert after.current.provenance[[5, 7], MITRAL - 1].tolist() == [Provenance.ABSENT] * 2
    assert np.isnan(after.current.positions[[5, 7], MITRAL - 1]).all()
    assert after.current.provenance[[4, 8], MITRAL - 1].tolist() == [Provenance.PROPAGATED] * 2


def test_a_missing_point_placed_spreads_nothing():
    after = Correction.of(prediction(absent=[(5, MITRAL)])).place(5, MITRAL, [10.0, 10.0], spread=3)
    assert np.array_equal(after.current.positions[5, MITRAL - 1], [10.0, 10.0])
    assert after.current.provenance[5, MITRAL - 1] == Provenance.MANUAL
    rest = np.delete(moved(after), 5, axis=0)
    assert not rest.any()


def test_reset_of_a_placed_point_takes_its_spread_back():
    before = Correction.of(prediction())
    assert before.place(10, MITRAL, [1, 1], 3).reset(10, MITRAL) == before


def test_reset_of_a_following_point_leaves_the_rest():
    placed = Correction.of(prediction()).place(10, MITRAL, [1, 1], 3)
    after = placed.reset(11, MITRAL)
    assert np.array_equal(moved(after)[11], [0, 0])
    assert after.current.provenance[11, MITRAL - 1] == Provenance.AUTO
    rest = np.delete(np.arange(20), 11)
    assert np.array_equal(moved(after)[rest], moved(placed)[rest])
    again = after.place(10, MITRAL, [2, 2], 3)
    assert again.current.provenance[11, MITRAL - 1] == Provenance.PROPAGATED


def test_reset_of_frame_landmark_and_all():
    start = Correction.of(prediction())
    both = start.place(3, MITRAL, [1, 1], 2).place(3, FREE, [2, 2], 2).place(12, FREE, [3, 3], 2).set_absent(1, FREE)
    frame = both.reset(frame=3)
    assert not frame.decisions[3].any() and frame.decisions[12, FREE - 1] == Decision.PLACED
    assert frame.decisions[1, FREE - 1] == Decision.ABSENT
    landmark = both.reset(landmark=FREE)
    assert not landmark.decisions[:, FREE - 1].any() and landmark.decisions[3, MITRAL - 1] == Decision.PLACED
    assert both.reset() == start


def test_absent_in_every_frame():
    after = Correction.of(prediction()).set_absent(None, MITRAL)
    assert not after.current.present[:, MITRAL - 1].any() and after.current.present[:, FREE - 1].all()


def test_detecting_again_keeps_what_a_person_decided():
    start = Correction.of(prediction())
    decided = start.place(4, MITRAL, [1, 2], 2).set_absent(9, FREE).place(14, FREE, [7, 7], 1).reset(13, FREE)
    new = prediction(seed=1)
    kept, count = decided.redetected(new)
    assert count == 3
    assert np.array_equal(kept.current.positions[4, MITRAL - 1], [1, 2])
    assert kept.current.provenance[9, FREE - 1] == Provenance.ABSENT
    expected = (np.array([1, 2]) - new.positions[4, MITRAL - 1]) * window(2)[1]
    assert moved(kept)[5] == pytest.approx(expected)
    assert not (kept.decisions == Decision.PREDICTED).any()
    gone, count = decided.redetected(new, keep_manual=False)
    assert count == 0 and gone == Correction.of(new)
    with pytest.raises(ValueError, match="20 frames"):
        start.redetected(prediction(19))


def test_what_cannot_be_done_is_refused():
    correction = Correction.of(prediction())
    with pytest.raises(IndexError, match="0…19"):
        correction.place(20, MITRAL, [1, 1])
    with pytest.raises(ValueError, match="not seen in the 4CH"):
        correction.place(0, 1, [1, 1])
    with pytest.raises(ValueError, match="finite"):
        correction.place(0, MITRAL, [1, np.nan])
    with pytest.raises(ValueError, match="spread"):
        correction.place(0, MITRAL, [1, 1], -1)
    with pytest.raises(IndexError):
        correction.reset(frame=99)


def test_one_frame_only():
    after = Correction.of(prediction(1)).place(0, MITRAL, [1, 1], spread=5)
    assert np.array_equal(after.current.positions[0, MITRAL - 1], [1, 1])


def test_changed_frames_are_those_that_differ():
    start = Correction.of(prediction())
    after = start.place(2, MITRAL, [1, 1], 1)
    assert start.changed_frames(start).tolist() == []
    assert after.changed_frames(start).tolist() == [1, 2, 3]


def test_history_returns_the_very_states():
    first, second, third = object(), object(), object()
    history = History(first)
    history.push(second)
    assert history.undo() and history.state is first and not history.undo()
    assert history.redo() and history.state is second and not history.redo()
    history.undo()
    history.push(third)
    assert not history.can_redo
    short = History(0, limit=2)
    for number in (1, 2, 3):
        short.push(number)
    assert [short.undo(), short.undo(), short.undo()] == [True, True, False] and short.state == 1


def test_putting_a_single_jump_right_leaves_good_neighbours_alone():
    """The prediction jumps 20 pixels in one frame; the person puts it back on the path."""
    phases = np.arange(24) / 24
    path = np.stack([60 + 6 * np.cos(2 * np.pi * phases), 80 + 3 * np.sin(2 * np.pi * phases)], axis=1)
    positions = np.full((24, N_LANDMARKS, 2), np.nan)
    positions[:, 0] = path
    positions[9, 0] += np.array([20, -8])
    provenance = np.where(np.isnan(positions[..., 0]), Provenance.ABSENT, Provenance.AUTO)
    series = LandmarkSeries(positions, np.ones((24, N_LANDMARKS)), provenance, "2CH")
    corrected = Correction.of(series).place(9, 1, path[9], spread=3).current
    assert np.abs(corrected.positions[:, 0] - path).max() < 0.2
    # and so does one who says that it rightly lies there
    confirmed = Correction.of(series).place(9, 1, positions[9, 0], spread=3).current
    np.testing.assert_allclose(confirmed.positions[:, 0], positions[:, 0], atol=1e-9)
    # an error that is shared by the neighbours is still taken from them
    positions[6:13, 0] = path[6:13] + np.array([5, 0])
    shared = LandmarkSeries(positions, np.ones((24, N_LANDMARKS)), provenance, "2CH")
    moved = Correction.of(shared).place(9, 1, path[9], spread=3).current
    np.testing.assert_allclose(moved.positions[10, 0] - positions[10, 0], [-5 * 0.853553, 0], atol=1e-3)

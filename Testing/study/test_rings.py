"""Rings from six points, and where they are refused."""

import numpy as np
import pytest
import synthetic_truth as synthetic
from CardiacValveLandmarksLib.annulus_fit import RING_METHODS, RingRefused, chord_circle, fit_ring
from CardiacValveLandmarksLib.beat_quantities import ring_area, ring_perimeter, swept_volume
from hypothesis import given, settings
from hypothesis import strategies as st

APEX = synthetic.APEX_DIRECTION
PAIRS = {"2CH": (0, 1), "3CH": (2, 3), "4CH": (4, 5)}


def six(phase=0.0, views=("2CH", "3CH", "4CH")):
    return np.concatenate([synthetic.truth(view, np.array([phase]))[0, list(PAIRS[view])] for view in views])


def flat_ring(count=64, radius=20.0):
    """Counter-clockwise seen from -z: from the atrium, where the apex lies at +z."""
    turn = -2 * np.pi * np.arange(count) / count
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), 0 * turn], -1)


def counter_clockwise_from_atrium(nodes, toward):
    centred = nodes - nodes.mean(-2, keepdims=True)
    return np.cross(centred, np.roll(centred, -1, axis=-2)).sum(-2) @ toward < 0


@pytest.mark.parametrize("method", RING_METHODS)
def test_ring_follows_the_true_one(method):
    points = six()
    model = fit_ring(points, APEX, 2, method)
    nodes = model.nodes(points, 32)
    true = synthetic.ring(np.array([0.0]))[0]
    apart = np.linalg.norm(nodes[:, None] - true[None], axis=-1).min(1)
    limit = {"fourier": 1.0, "spline": 0.6, "circle": 2.3}[method]
    assert np.sqrt((apart**2).mean()) < limit
    assert abs(ring_area(nodes) / ring_area(true[:-1]) - 1) < 0.025
    assert counter_clockwise_from_atrium(nodes, APEX)
    # node 1 is at its landmark
    assert np.linalg.norm(nodes[0] - points[2]) < {"fourier": 2.5, "spline": 1e-6, "circle": 4.5}[method]


@pytest.mark.parametrize("method", RING_METHODS)
def test_nodes_are_material_over_the_beat(method):
    model = fit_ring(six(), APEX, 2, method)
    phases = np.arange(20) / 20
    points = np.stack([six(phase) for phase in phases])
    nodes = model.nodes(points, 32)
    assert nodes.shape == (20, 32, 3)
    assert counter_clockwise_from_atrium(nodes, APEX).all()
    # the true material point of the same ring angle, measured from the septum: the same over the beat
    angles = np.arctan2((nodes - synthetic.CENTRE) @ synthetic.SIDE, (nodes - synthetic.CENTRE) @ synthetic.SEPTAL)
    turn = np.angle(np.exp(1j * (angles - angles[:1])))
    assert np.abs(turn).max() < np.deg2rad(6)


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_fourier_ring_moves_with_the_heart_rigidly(seed):
    rng = np.random.default_rng(seed)
    points = six() + rng.normal(0, 1, (6, 3))
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation *= np.sign(np.linalg.det(rotation))
    shift = rng.normal(0, 50, 3)
    nodes = fit_ring(points, APEX, 2).nodes(points, 16)
    moved = points @ rotation.T + shift
    again = fit_ring(moved, rotation @ APEX, 2).nodes(moved, 16)
    assert np.allclose(again, nodes @ rotation.T + shift, atol=1e-6)


def test_an_ellipse_is_found():
    turn = np.deg2rad([10, 55, 130, 190, 250, 320])
    ellipse = np.stack([22 * np.cos(turn), -17 * np.sin(turn), 0 * turn], -1)
    nodes = fit_ring(ellipse, np.array([0, 0, 1.0]), 0).nodes(ellipse, 32)
    apart = np.linalg.norm(nodes[:, None] - flat_ring(720, 1.0)[None] * [22, 17, 1], axis=-1).min(1)
    assert apart.max() < 0.8


def test_two_views_are_enough_when_they_cross():
    points = six(views=("2CH", "4CH"))
    model = fit_ring(points, APEX, 2)
    assert model.largest_gap_deg < 150
    assert np.isfinite(model.nodes(points, 32)).all()


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (six(views=("4CH",)), "only 2 points"),
        (np.concatenate([six(views=("4CH",)), six(views=("4CH",)) + 0.4]), "one line"),
        (six() + np.array([[0.0] * 3] * 5 + [[25.0, 25.0, -25.0]]), "steeper|from any one ring"),
    ],
)
def test_a_ring_the_points_do_not_determine_is_refused(points, words):
    with pytest.raises(RingRefused, match=words):
        fit_ring(points, APEX, 0)


def test_a_half_ring_is_refused():
    turn = np.deg2rad([0, 30, 60, 90, 120, 150])
    points = np.stack([20 * np.cos(turn), 20 * np.sin(turn), 0 * turn], -1)
    with pytest.raises(RingRefused, match=r"have no point|too few directions"):
        fit_ring(points, np.array([0, 0, 1.0]), 0)


def test_coinciding_ring_angles_stop_only_the_spline():
    points = six()
    points[2] = points[0] + 0.3
    assert np.isfinite(fit_ring(points, APEX, 0).nodes(points, 32)).all()
    with pytest.raises(RingRefused, match="share a ring angle"):
        fit_ring(points, APEX, 0, "spline")


def test_chord_circle_passes_its_points_and_does_not_flip():
    first = np.array([[10.0, 0, 0], [9.0, 0, 3]])
    second = -first + np.array([0, 0, 1.0])
    normal, toward = np.array([0, 1.0, 0]), np.array([0, 0, 1.0])
    nodes = chord_circle(first, second, normal, toward, 32)
    assert np.allclose(nodes[:, 0], first)
    assert np.allclose(nodes[:, 16], second)
    assert counter_clockwise_from_atrium(nodes, toward).all()
    # the other way round it is the mirror image of the order, still counter-clockwise
    assert counter_clockwise_from_atrium(chord_circle(second, first, normal, toward, 32), toward).all()


def test_area_perimeter_and_swept_volume_of_a_cylinder():
    ring = flat_ring()
    area = ring_area(ring)
    assert area == pytest.approx(0.5 * 64 * 400 * np.sin(2 * np.pi / 64))
    assert ring_perimeter(ring) == pytest.approx(64 * 40 * np.sin(np.pi / 64))
    assert swept_volume(ring, ring + np.array([0, 0, 15.0])) == pytest.approx(area * 15 / 1000)
    assert swept_volume(ring, ring - [0, 0, 15.0]) == pytest.approx(-area * 15 / 1000)
    cone = swept_volume(ring, ring * 0.8 + [3.0, 0, 15.0])
    assert cone == pytest.approx(area * 15 / 3000 * (1 + 0.8 + 0.64))
    assert swept_volume(ring, ring * 0.8) == pytest.approx(0, abs=1e-12)

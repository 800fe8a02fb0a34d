"""The synthetic heart: its truth is exact, and it moves as hearts do."""

import numpy as np
import pytest
from CardiacValveLandmarksLib.landmarks import VIEWS, in_view
from CardiacValveLandmarksLib.orientation import handedness
from CardiacValveLandmarksLib.phantom.anatomy import HeartAnatomy
from CardiacValveLandmarksLib.phantom.cines import synthetic_study
from CardiacValveLandmarksLib.phantom.heart import MYOCARDIUM
from CardiacValveLandmarksLib.phantom.motion import motion_state, shortening
from CardiacValveLandmarksLib.phantom.render import Patient
from CardiacValveLandmarksLib.phantom.rings import MIN_CHORD, cut_landmarks, cut_ring, valves
from hypothesis import given, settings
from hypothesis import strategies as st

SEEDS = st.integers(0, 2**31)


@pytest.fixture(scope="module")
def study():
    return synthetic_study(11, frames=12)


def test_every_view_shows_its_landmarks_and_no_other(study):
    for item in study.items:
        shown = {landmark.index for landmark in in_view(item.kind)}
        present = item.truth.present
        assert present[:, sorted(shown)].all()
        assert not np.delete(present, sorted(shown), axis=1).any()


def test_truth_lies_on_the_rings_and_in_the_plane(study):
    for item in study.items:
        for frame in (0, 4, 9):
            for landmark in in_view(item.kind):
                point = item.cine.geometry.to_patient(item.truth.positions[frame, landmark.index])
                assert abs(item.cine.geometry.distance(point)) < 1e-6
                if landmark.valve:
                    ring = study.ring(landmark.valve, frame / 12)
                    segment = np.linalg.norm(ring - np.roll(ring, 1, axis=0), axis=1).max()
                    assert np.linalg.norm(ring - point, axis=1).min() <= segment


def test_truth_sits_where_blood_meets_wall(study):
    """Around a mitral hinge of the 4CH there are both bright blood and dark wall within 6 mm."""
    item = study.item("4CH")
    for landmark in (5, 6):
        row, column = item.truth.positions[0, landmark - 1].round().astype(int)
        patch = item.cine.frames[0, row - 4 : row + 5, column - 4 : column + 5]
        assert patch.max() > 1.6 * max(patch.min(), 1)


def test_the_same_seed_gives_the_same_study(study):
    again = synthetic_study(11, frames=12)
    for first, second in zip(study.items, again.items, strict=True):
        np.testing.assert_array_equal(first.cine.frames, second.cine.frames)
        np.testing.assert_array_equal(first.truth.positions, second.truth.positions)


def test_mirrored_images_show_the_same_points_in_space():
    plain = synthetic_study(5, frames=3, mirror=False)
    mirrored = synthetic_study(5, frames=3, mirror=True)
    for view in VIEWS:
        a, b = plain.item(view), mirrored.item(view)
        shown = [landmark.index for landmark in in_view(view)]
        first = a.cine.geometry.to_patient(a.truth.positions[:, shown])
        second = b.cine.geometry.to_patient(b.truth.positions[:, shown])
        np.testing.assert_allclose(first, second, atol=1e-6)
        assert a.cine.geometry.normal @ b.cine.geometry.normal == pytest.approx(-1)


@given(SEEDS)
@settings(max_examples=60, deadline=None)
def test_handedness_of_a_stated_view_is_never_called_wrong(seed):
    """For ordinary adults with the view known; where the orientation does not tell, it says so (0)."""
    study = synthetic_study(seed, frames=2, shape=(8, 8), spacing=8.0, mirror=bool(seed % 2))
    for item in study.items:
        assert handedness(item.cine.geometry, item.kind) in (0, -1 if seed % 2 else 1)


@given(SEEDS, st.floats(0.7, 1.7))
@settings(max_examples=60, deadline=None)
def test_anatomy_stays_possible(seed, width):
    anatomy = HeartAnatomy.sample(np.random.default_rng(seed), width)
    assert anatomy.wall > 3 and anatomy.lv_radius - anatomy.wall * anatomy.thickening > 5
    assert anatomy.aortic_radius >= 9 and anatomy.mitral_radius >= 13
    rings = valves(anatomy, 0.0)
    # the ring nodes are finite, closed curves that a plane through the centre cuts twice
    for ring in (rings.mitral, rings.aortic, rings.tricuspid):
        assert np.isfinite(ring.nodes).all()
        assert len(cut_ring(ring.nodes, ring.centre, np.cross(ring.normal, [0.3, 0.5, 0.1]))) == 2


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_motion_is_periodic_and_rests_at_end_diastole(seed):
    anatomy = HeartAnatomy.sample(np.random.default_rng(seed))
    start, end = valves(anatomy, 0.0), valves(anatomy, 1.0)
    np.testing.assert_allclose(start.mitral.nodes, end.mitral.nodes, atol=1e-9)
    curve = shortening(np.linspace(0, 1, 400), anatomy.systole, anatomy.atrial_kick)
    assert curve.min() >= -1e-9 and curve.max() <= 1 + 1e-9
    assert abs(np.argmax(curve) / 399 - anatomy.systole) < 0.01
    assert np.abs(np.diff(curve)).max() < 0.06  # no jump


def test_excursions_are_those_of_adults():
    """Mean mitral excursion near 13 mm and tricuspid near 20 over ordinary hearts (ranges of published controls)."""
    rng = np.random.default_rng(3)
    mitral, tricuspid = [], []
    for _ in range(60):
        anatomy = HeartAnatomy.sample(rng)
        ed, es = valves(anatomy, 0.0), valves(anatomy, anatomy.systole)
        mitral.append((es.mitral.centre - ed.mitral.centre)[2])
        free_wall = ed.tricuspid.nodes[:, 0].argmin()
        tricuspid.append((es.tricuspid.nodes - ed.tricuspid.nodes)[free_wall, 2])
    assert 11 < np.mean(mitral) < 16
    assert 17 < np.mean(tricuspid) < 24


def test_valves_open_and_shut():
    anatomy = HeartAnatomy.sample(np.random.default_rng(1))
    systole = motion_state(anatomy, anatomy.systole / 2)
    filling = motion_state(anatomy, anatomy.systole + 0.12)
    assert systole.aortic_open > 0.9 and systole.mitral_open < 0.1
    assert filling.mitral_open > 0.5 and filling.aortic_open < 0.1


def test_a_plane_that_grazes_a_ring_shows_no_landmark():
    rings = valves(HeartAnatomy.sample(np.random.default_rng(2)), 0.0)
    normal = np.array([0.0, -1.0, 0.0])
    edge = rings.mitral.nodes[rings.mitral.nodes[:, 1].argmax()]
    found = cut_landmarks(rings, "4CH", edge - [0, 0.05, 0], normal)
    assert 5 not in found and 6 not in found
    through = cut_landmarks(rings, "4CH", rings.mitral.centre, normal)
    assert np.linalg.norm(through[5] - through[6]) > MIN_CHORD
    assert through[5][0] < through[6][0]  # septal on the septal side


def test_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="5CH"):
        synthetic_study(0, kinds=("5CH",))


def test_septal_tricuspid_hinge_lies_on_the_right_side_of_the_septum():
    """In ordinary hearts the wall of the LV begins within 4.5 mm of it, in half of them within 1.5 mm."""
    gaps = []
    for seed in range(30):
        heart = Patient.sample(np.random.default_rng(seed)).heart(0.0)
        along = np.linspace(-8.0, 8.0, 65)
        points = heart.rings.tricuspid.nodes[0] + along[:, None] * np.array([1.0, 0.0, 0.0])
        wall = next(
            layer.opacity for layer in heart.layers(points.astype(np.float32), 0.5) if layer.structure == MYOCARDIUM
        )
        gaps.append(abs(along[np.flatnonzero(wall > 0.5)[0]]) if (wall > 0.5).any() else np.inf)
    assert np.median(gaps) < 1.5
    assert np.mean(np.array(gaps) < 4.5) >= 0.9

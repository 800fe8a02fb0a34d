"""Pixels <-> patient space, for any orientation and pixel size."""

import numpy as np
import pytest
from CardiacValveLandmarksLib.geometry import SliceGeometry
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

length = st.floats(0.2, 5)
coordinate = st.floats(-500, 500)
pixel = st.tuples(st.floats(-100, 600), st.floats(-100, 600))


@st.composite
def geometries(draw):
    # any rotation: a quaternion of four numbers that are not all small
    quaternion = draw(st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1))
    rotation = Rotation.from_quat(quaternion).as_matrix()
    origin = draw(st.tuples(coordinate, coordinate, coordinate))
    return SliceGeometry(origin, rotation[:, 0] * draw(length), rotation[:, 1] * draw(length), draw(length))


@given(geometries(), st.lists(pixel, min_size=1, max_size=5))
def test_there_and_back(geometry, pixels):
    points = geometry.to_patient(pixels)
    assert points.shape == (len(pixels), 3)
    np.testing.assert_allclose(geometry.to_pixels(points), pixels, rtol=0, atol=1e-9)
    np.testing.assert_allclose(geometry.distance(points), 0, atol=1e-9)


@given(geometries(), pixel, st.floats(-50, 50))
def test_a_point_off_the_plane_is_projected_along_the_normal(geometry, at, height):
    point = geometry.to_patient(at) + height * geometry.normal
    np.testing.assert_allclose(geometry.to_pixels(point), at, rtol=0, atol=1e-8)
    assert geometry.distance(point) == pytest.approx(height, abs=1e-9)


@given(geometries(), pixel, pixel)
def test_distances_are_in_millimetres(geometry, one, other):
    apart = np.linalg.norm(geometry.to_patient(one) - geometry.to_patient(other))
    expected = np.linalg.norm((np.array(one) - other) * geometry.spacing)
    assert apart == pytest.approx(expected, abs=1e-7)


@given(geometries())
def test_axes(geometry):
    np.testing.assert_allclose(geometry.to_patient([0, 0]), geometry.origin, atol=1e-12)
    np.testing.assert_allclose(geometry.to_patient([1, 0]) - geometry.origin, geometry.axis0, atol=1e-9)
    np.testing.assert_allclose(geometry.to_patient([0, 1]) - geometry.origin, geometry.axis1, atol=1e-9)
    directions = geometry.directions
    np.testing.assert_allclose(directions * geometry.spacing[:, None], [geometry.axis0, geometry.axis1], atol=1e-12)
    np.testing.assert_allclose(directions @ directions.T, np.eye(2), atol=1e-9)
    assert np.linalg.norm(geometry.normal) == pytest.approx(1)
    assert np.linalg.det([geometry.axis0, geometry.axis1, geometry.normal]) > 0


def test_batches_keep_their_shape():
    geometry = SliceGeometry([1, 2, 3], [0, 2, 0], [0, 0, 3])
    assert geometry.to_patient(np.zeros((4, 5, 2))).shape == (4, 5, 3)
    assert geometry.to_pixels(np.zeros((4, 5, 3))).shape == (4, 5, 2)
    assert np.isnan(geometry.to_patient([np.nan, np.nan])).all()
    assert np.isnan(geometry.thickness)


@pytest.mark.parametrize(
    ("origin", "axis0", "axis1", "message"),
    [
        ([0, 0], [1, 0, 0], [0, 1, 0], "origin"),
        ([0, 0, np.nan], [1, 0, 0], [0, 1, 0], "origin"),
        ([0, 0, 0], [np.inf, 0, 0], [0, 1, 0], "axis0"),
        ([0, 0, 0], [0, 0, 0], [0, 1, 0], "positive"),
        ([0, 0, 0], [1, 0, 0], [1, 1, 0], "orthogonal"),
    ],
)
def test_bad_geometry(origin, axis0, axis1, message):
    with pytest.raises(ValueError, match=message):
        SliceGeometry(origin, axis0, axis1)


def test_arrays_are_read_only_copies():
    origin = np.zeros(3)
    geometry = SliceGeometry(origin, [1, 0, 0], [0, 1, 0])
    origin[0] = 5
    assert geometry.origin[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        geometry.axis0[0] = 2

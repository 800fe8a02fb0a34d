"""Short-axis truth is where the painted tissues say, the A-RVI angle does not depend on the image, and the other
sequences show what they should."""

import numpy as np
import pytest
from CardiacValveLandmarksLib.geometry import SliceGeometry
from CardiacValveLandmarksLib.orientation import handedness
from CardiacValveLandmarksLib.phantom.render import Patient, Slice
from CardiacValveLandmarksLib.phantom.sequences import Scar, ScarredPatient, sequence_contrast
from CardiacValveLandmarksLib.phantom.short_axis import (
    LEVELS,
    short_axis_cine,
    short_axis_geometry,
    short_axis_plane,
    short_axis_points,
)
from CardiacValveLandmarksLib.short_axis import (
    ANTERIOR,
    CENTRE,
    INFERIOR,
    SHORT_AXIS_POINTS,
    arvi_angle,
    arvi_angle_patient,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st


def painted(patient, phase, geometry, shape):
    """(H, W) index of the tissue on top at each pixel: 0 other, 1 LV wall, 2 LV blood, 3 RV blood."""
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1).reshape(-1, 2)
    points = patient.pose.to_heart(geometry.to_patient(grid)).astype(np.float32)
    label = np.zeros(len(points), int)
    for tissue, opacity, _ in patient.heart(phase).layers(points, 0.3):
        label[opacity > 0.5] = {"lv_wall": 1, "blood_left": 2, "trabeculae": 2, "blood_right": 3}.get(tissue, 0)
        if tissue == "trabeculae":
            break
    return label.reshape(shape)


@pytest.mark.parametrize("seed", (0, 2, 3, 5))  # patients whose slice is clear of the tricuspid ring
def test_insertions_are_the_ends_of_the_right_ventricle_along_the_wall(seed):
    rng = np.random.default_rng([seed, 1])
    patient = Patient.sample(rng)
    plane = short_axis_plane(patient.anatomy, "mid", rng)
    geometry = short_axis_geometry(patient, plane, rng, shape=(280, 280), spacing=0.5)
    phase = (0.0, patient.anatomy.systole)[seed % 2]
    found = geometry.to_pixels(patient.pose.to_patient(short_axis_points(patient.heart(phase), plane[0], plane[2])))
    label = painted(patient, phase, geometry, (280, 280))
    inside = np.argwhere(label == 2)
    assert np.linalg.norm(inside.mean(0) - found[CENTRE]) * 0.5 < 0.7
    # RV pixels that touch the wall, as seen from the LV centre: their first and last direction
    wall, right = label == 1, label == 3
    reach = np.zeros_like(wall)
    for shift in np.argwhere(np.ones((7, 7))) - 3:
        reach |= np.roll(wall, tuple(shift), (0, 1))
    touching = np.argwhere(right & reach) - found[CENTRE]
    angles = np.sort(np.arctan2(-touching[:, 0], touching[:, 1]))
    gap = np.argmax(np.diff(np.append(angles, angles[0] + 2 * np.pi)))
    ends = np.array([angles[(gap + 1) % len(angles)], angles[gap]])
    for point in (ANTERIOR, INFERIOR):
        offset = found[point] - found[CENTRE]
        angle = np.arctan2(-offset[0], offset[1])
        away = np.abs((ends - angle + np.pi) % (2 * np.pi) - np.pi).min() * np.linalg.norm(offset) * 0.5
        assert away < 1.5  # mm along the wall
    assert np.linalg.norm(found[ANTERIOR] - found[INFERIOR]) * 0.5 > 15


@given(st.integers(0, 2**31), st.sampled_from(sorted(LEVELS)))
@example(540_392, "mid")  # a tricuspid ring far down: even a mid slice meets it
@settings(max_examples=15, deadline=None)
def test_every_patient_has_its_points(seed, level):
    rng = np.random.default_rng(seed)
    patient = Patient.sample(rng, rng.uniform(0.7, 1.3))
    point, _, normal = short_axis_plane(patient.anatomy, level, rng)
    for phase in (0.0, patient.anatomy.systole):
        heart = patient.heart(phase)
        points = short_axis_points(heart, point, normal)
        from_valve = ((point - heart.rings.tricuspid.nodes) @ normal).min()
        if np.isnan(points[CENTRE]).any():  # at end-systole the base comes down to a basal slice
            assert level == "basal" and phase > 0
            continue
        np.testing.assert_allclose((points - point)[np.isfinite(points[:, 0])] @ normal, 0, atol=1e-6)
        if np.isnan(points).any():  # only where the slice is at the valve
            assert from_valve < 6
        else:  # the run from anterior to inferior goes by the septum (180 degrees)
            across = points - points[CENTRE]
            anterior, inferior, _ = np.rad2deg(np.arctan2(across[:, 1], across[:, 0])) % 360
            assert 40 < anterior < 175 < 185 < inferior < 320


def test_the_angle_in_the_patient_ignores_how_the_image_lies():
    plain, mirrored = (short_axis_cine(3, frames=2, shape=(160, 160), mirror=flag) for flag in (False, True))
    first, second = (arvi_angle_patient(item.truth, item.cine.geometry) for item in (plain, mirrored))
    np.testing.assert_allclose(first, second, atol=1e-6)
    assert handedness(plain.cine.geometry, "SAX") == 1 and handedness(mirrored.cine.geometry, "SAX") == -1
    assert (first > 60).all() and (first < 200).all()


@given(st.floats(0, 2 * np.pi), st.floats(0.5, 3), st.floats(0.5, 3), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_angles_follow_their_definition(turn, step0, step1, seed):
    """A point put at a known angle is read back, whatever the spacing; both angles agree up to the image's turn."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform(50, 100, 2)
    spacing = np.array([step0, step1])
    positions = np.full((3, 2), np.nan)
    positions[CENTRE] = centre
    positions[ANTERIOR] = centre + 30 * np.array([-np.sin(turn), np.cos(turn)]) / spacing
    found = arvi_angle(positions, spacing)
    assert abs((found - np.rad2deg(turn) + 180) % 360 - 180) < 1e-6
    # a canonical short axis whose columns run to the patient's left, seen from the apex
    apexward = np.array([0.0, -0.6, -0.8])
    left = np.array([1.0, 0.0, 0.0])
    down = -np.cross(apexward, left)
    geometry = SliceGeometry(np.zeros(3), down * step0, left * step1)
    assert abs((arvi_angle_patient(positions, geometry) - found + 180) % 360 - 180) < 1e-6


def test_an_absent_point_has_no_angle():
    positions = np.full((2, 3, 2), 20.0)
    positions[0, ANTERIOR] = np.nan  # absent; and coinciding points in the second frame
    assert np.isnan(arvi_angle(positions)).all()
    sagittal = SliceGeometry(np.zeros(3), np.array([0, 1.0, 0]), np.array([0, 0, 1.0]))
    with pytest.raises(ValueError, match="sagittal"):
        arvi_angle_patient(positions, sagittal)
    assert [point.number for point in SHORT_AXIS_POINTS] == [1, 2, 3]


@pytest.mark.parametrize("sequence", ["LGE", "T1"])
def test_other_sequences_look_as_they_should(sequence):
    """LGE: dark wall, grey blood, a scar brighter than the wall. T1: wall between fat and blood."""
    wall, blood, scar, fat = [], [], [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        plain = Patient.sample(rng)
        patient = ScarredPatient(
            plain.anatomy, plain.pose, plain.body, (Scar(20.0, 0.5, (20.0, 25.0, plain.anatomy.wall)),)
        )
        plane = short_axis_plane(patient.anatomy, "mid", rng)
        plane = (np.array([0, 0, 0.5 * patient.anatomy.lv_length]), *plane[1:])
        geometry = short_axis_geometry(patient, plane, rng, shape=(180, 180), spacing=1.5)
        contrast = sequence_contrast(sequence, rng)
        image = Slice(patient, geometry, (180, 180), contrast).render(0.0, rng)
        grid = np.stack(np.meshgrid(np.arange(180), np.arange(180), indexing="ij"), -1)
        x, y, _ = patient.pose.to_heart(geometry.to_patient(grid)).transpose(2, 0, 1)
        label = painted(plain, 0.0, geometry, (180, 180))
        degrees = np.rad2deg(np.arctan2(y, x)) % 360
        wall.append(np.median(image[(label == 1) & (degrees > 120) & (degrees < 250)]))
        scar.append(np.median(image[(label == 1) & (np.abs(degrees - 20) < 12)]))
        blood.append(np.median(image[label == 2]))
        fat.append(contrast.levels["fat"][0])
    wall, blood, scar, fat = map(np.array, (wall, blood, scar, fat))
    if sequence == "LGE":
        assert (wall < 0.6 * blood).all() and (scar > 1.5 * wall).all()
    else:
        assert (fat < wall).all() and (wall < 0.85 * blood).all() and (scar > wall).all() and (scar < blood).all()


def test_unknown_level_and_sequence_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="apical"):
        short_axis_plane(Patient.sample(rng).anatomy, "apical", rng)
    with pytest.raises(ValueError, match="CT"):
        sequence_contrast("CT", rng)

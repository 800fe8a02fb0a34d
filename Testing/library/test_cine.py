"""The Cine type: what it accepts, and its phases."""

import numpy as np
import pytest
from CardiacValveLandmarksLib.cine import Cine
from CardiacValveLandmarksLib.geometry import SliceGeometry

FRAMES = np.arange(24).reshape(4, 3, 2)


def test_frames_are_float32_and_read_only():
    cine = Cine(FRAMES)
    assert cine.frames.dtype == np.float32 and cine.n_frames == 4 and cine.shape == (3, 2)
    with pytest.raises(ValueError, match="read-only"):
        cine.frames[0, 0, 0] = 1


def test_float_frames_given_stay_writable():
    frames = FRAMES.astype(np.float32)
    Cine(frames)
    frames[0, 0, 0] = 7  # the owner's array is not locked


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": FRAMES[0]}, r"\(T, H, W\)"),
        ({"frames": FRAMES[:0]}, r"\(T, H, W\)"),
        ({"frames": np.full((4, 3, 2), np.nan)}, "finite"),
        ({"times_ms": [0, 1, 2]}, "4 strictly increasing"),
        ({"times_ms": [0, 1, 1, 2]}, "strictly increasing"),
        ({"times_ms": [0, 1, np.nan, 2]}, "strictly increasing"),
        ({"rr_ms": 0}, "rr_ms"),
        ({"rr_ms": np.nan}, "rr_ms"),
        ({"spacing": [1, 0]}, "spacing"),
        ({"spacing": [1]}, "spacing"),
        ({"view": "5CH"}, "view"),
    ],
)
def test_bad_values(changes, message):
    with pytest.raises(ValueError, match=message):
        Cine(**{"frames": FRAMES, **changes})


def test_spacing_comes_from_the_geometry():
    geometry = SliceGeometry([0, 0, 0], [0, 2, 0], [0, 0, 3])
    np.testing.assert_allclose(Cine(FRAMES, geometry=geometry, spacing=[9, 9]).spacing, [2, 3])
    np.testing.assert_allclose(Cine(FRAMES, spacing=[1, 2]).spacing, [1, 2])
    assert Cine(FRAMES).spacing is None


def test_phases():
    np.testing.assert_allclose(Cine(FRAMES, times_ms=[10, 30, 60, 90], rr_ms=100).phases, [0, 0.2, 0.5, 0.8])
    np.testing.assert_allclose(Cine(FRAMES).phases, [0, 0.25, 0.5, 0.75])
    # a frame of the next beat is where it belongs in the cycle
    np.testing.assert_allclose(Cine(FRAMES, times_ms=[0, 40, 80, 120], rr_ms=100).phases, [0, 0.4, 0.8, 0.2])


def test_replace():
    cine = Cine(FRAMES, name="a")
    assert cine.replace(view="4CH").view == "4CH" and cine.view is None and cine.replace(view="4CH").name == "a"
    with pytest.raises(ValueError, match="view"):
        cine.replace(view="x")

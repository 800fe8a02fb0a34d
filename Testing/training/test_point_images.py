"""Images with points of any kind: files, synthetic ones, figures of what was found in them."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("onnx", reason="onnx is not installed")

from CardiacValveLandmarksLib.errors import InputError  # noqa: E402
from CardiacValveLandmarksLib.training.point_images import (  # noqa: E402
    PointImages,
    read_short_axis,
    standardise,
    write_short_axis,
)
from CardiacValveLandmarksLib.training.recipes.xue_heatmap import figures  # noqa: E402
from CardiacValveLandmarksLib.training.synthetic_points import synthetic_points  # noqa: E402


def test_short_axis_files_read_back_and_bad_ones_are_refused(tmp_path):
    data = synthetic_points(None, "T1", 2, 1, 7)
    path = tmp_path / "sax.npz"
    write_short_axis(path, data)
    again = read_short_axis(path)
    for name in ("images", "points", "spacing"):
        np.testing.assert_array_equal(getattr(again, name), getattr(data, name))
    assert again.patients == data.patients and again.known.all()
    with np.load(path) as archive:
        good = dict(archive)
    outside, half = good["saxPoints"].copy(), good["saxPoints"].copy()
    outside[1, 0] = 900
    half[0, 1, 0] = np.nan
    for change, said in (
        ({"saxPoints": outside}, "image 1"),
        ({"saxPoints": half}, "image 0"),
        ({"saxPoints": np.full_like(half, np.nan)}, "at least one point"),
        ({"saxSpacing": np.ones(3)}, "saxSpacing"),
        ({"saxImgs": np.full_like(good["saxImgs"], np.nan)}, "finite"),
    ):
        np.savez(tmp_path / "bad.npz", **{**good, **change})
        with pytest.raises(InputError, match=said):
            read_short_axis(tmp_path / "bad.npz")
    np.savez(tmp_path / "bad.npz", saxImgs=good["saxImgs"])
    with pytest.raises(InputError, match="saxPoints"):
        read_short_axis(tmp_path / "bad.npz")


def filled(shape, value, place=(1, 0)):
    """Ones but for one value."""
    array = np.ones(shape, np.result_type(type(value), float))
    array[place] = value
    return array


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"saxPoints": np.full((2, 3, 2), "a")}, "numbers in saxPoints; found <U1"),
        ({"saxPoints": np.full((2, 3, 2), 9j)}, "numbers in saxPoints; found complex128"),
        ({"saxPoints": filled((2, 3, 2), np.inf)}, "inf.* in image 1"),
        ({"saxPoints": filled((2, 3, 2), 1e300)}, "1e.300.* in image 1"),
        ({"saxSpacing": np.full((2, 2), "a")}, "numbers in saxSpacing; found <U1"),
        ({"saxSpacing": np.full((2, 2), 1j)}, "numbers in saxSpacing; found complex128"),
        ({"saxSpacing": filled((2, 2), 0.0)}, "saxSpacing.*for image 1"),
        ({"saxSpacing": filled((2, 2), -1.0)}, "saxSpacing.*for image 1"),
        ({"saxSpacing": filled((2, 2), np.nan)}, "saxSpacing.*for image 1"),  # one of two
        ({"saxSpacing": filled((2, 2), 1e300)}, "saxSpacing.*for image 1"),
        ({"saxImgs": np.array(3.0)}, r"saxImgs \(n, rows, columns\)"),
        ({"saxImgs": np.zeros((0, 9, 9))}, r"saxImgs \(n, rows, columns\)"),
        ({"saxImgs": np.full((2, 9, 9), "a")}, "numbers in saxImgs"),
        ({"saxImgs": filled((2, 9, 9), 1e300, (1, 0, 0))}, "beyond float32 in image 1"),
    ],
)
def test_short_axis_arrays_of_another_kind_are_refused(tmp_path, change, message):
    path, patients = tmp_path / "sax.npz", np.array(["a", "b"])
    good = {"saxImgs": np.ones((2, 9, 9)), "saxPoints": np.ones((2, 3, 2)), "saxSpacing": np.ones((2, 2))}
    np.savez(path, **good, saxPatients=patients)
    assert len(read_short_axis(path)) == 2
    np.savez(path, **{**good, **change}, saxPatients=patients)
    with pytest.raises(InputError, match=message) as error, warnings.catch_warnings():
        warnings.simplefilter("error")
        read_short_axis(path)
    assert "sax.npz" in str(error.value)


def test_unknown_short_axis_spacing_is_read(tmp_path):
    data = synthetic_points(None, "T1", 1, 1, 7)
    write_short_axis(tmp_path / "sax.npz", replace(data, spacing=np.full((len(data), 2), np.nan)))
    assert np.isnan(read_short_axis(tmp_path / "sax.npz").spacing).all()


def test_a_damaged_short_axis_file_is_refused(tmp_path):
    path = tmp_path / "sax.npz"
    write_short_axis(path, synthetic_points(None, "T1", 1, 1, 7))
    content = bytearray(path.read_bytes())
    for place in range(100, 1100, 50):
        damaged = content.copy()
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="short-axis images"):
            read_short_axis(path)


@pytest.mark.parametrize(("low", "high"), [(-9.0, -1.0), (0.0, 0.0), (-1e6, 1.0)])
def test_an_image_without_anything_above_zero_cannot_be_standardised(low, high):
    images = np.random.default_rng(0).uniform(0.5, 1, (3, 40, 40)).astype(np.float32)
    images[1] = np.where(images[1] < 0.7, low, high)
    points = np.full((3, 1, 2), 20.0)
    data = PointImages(images, points, np.ones((3, 1), bool), ("",) * 3, np.ones((3, 2)), ("a", "b", "c"))
    with pytest.raises(InputError, match=r"some.npz: expected at least one pixel above 0 .*image 1"):
        standardise(data, (32, 32), 1.0, "some.npz")
    faint = replace(data, images=np.abs(images) * np.float32(1e-12) + np.float32(1e-12))
    assert (standardise(faint, (32, 32), 1.0, "some.npz").images.max((1, 2)) == 1).all()


@pytest.mark.parametrize("sequence", ["cine", "LGE", "T1"])
def test_synthetic_patients_do_not_depend_on_their_number(sequence):
    few, more = (synthetic_points((1, 2, 11), sequence, count, 1, 3) for count in (1, 2))
    np.testing.assert_array_equal(few.images, more.images[:3])
    np.testing.assert_array_equal(few.points, more.points[:3])
    assert np.isfinite(few.points[0]).all() and np.isnan(few.points[1, :2]).all()


def test_figures_count_what_is_missed_and_made_up():
    points = np.array([[[10.0, 10.0], [np.nan, np.nan]], [[20.0, 20.0], [5.0, 5.0]]])
    data = PointImages(np.zeros((2, 8, 8)), points, np.ones((2, 2), bool), ("", ""), np.full((2, 2), 2.0), ("a", "b"))
    found = np.array([[[13.0, 14.0], [1.0, 1.0]], [[20.0, 20.0], [np.nan, np.nan]]])
    values = figures(found, data, None)
    assert values["mean_px"] == 2.5 and values["mean_mm"] == 5 and values["false_positives"] == 1
    assert values["detected"] == pytest.approx(2 / 3)
    # a point of another view says nothing: detection does not ask for it
    assert figures(found, replace(data, groups=("2CH", "2CH")), (1, 5))["false_positives"] == 0
    assert figures(found, replace(data, groups=("2CH", "2CH")), (1, 2))["false_positives"] == 1

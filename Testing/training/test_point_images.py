"""Images with points of any kind: files, synthetic ones, figures of what was found in them."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("onnx", reason="onnx is not installed")

from CardiacValveLandmarksLib.errors import InputError  # noqa: E402
from CardiacValveLandmarksLib.training.point_images import (  # noqa: E402
    PointImages,
    read_short_axis,
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

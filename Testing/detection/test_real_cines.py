"""The built-in model on real scans. Bounds are those promised; docs/MODEL_CARD.md has the figures reached."""

import numpy as np
import pytest
from CardiacValveLandmarksLib.detection import detect
from CardiacValveLandmarksLib.export.bivme_files import guide_point_landmarks, read_guide_points
from CardiacValveLandmarksLib.readers import read_cine


def some_frames(cine, step: int):
    """Every step-th frame: the time of a test is better spent on more series."""
    return cine.replace(frames=cine.frames[::step], times_ms=cine.times_ms[::step])


@pytest.mark.parametrize(("folder", "view"), [("mvnet/2ch", "2CH"), ("mvnet/4ch", "4CH")])
def test_views_of_another_scanner_are_recognised(real_data, folder, view):
    result = detect(some_frames(read_cine(real_data / folder), 3))
    assert result.view == view
    assert result.landmarks.present.any(0).sum() >= 3


def test_a_cine_without_geometry_is_recognised_and_says_what_was_assumed(real_data):
    cine = read_cine(real_data / "amrg")
    result = detect(cine.replace(frames=cine.frames[::6]))
    assert result.view == "4CH"
    assert any("no pixel spacing" in warning for warning in result.warnings)


@pytest.mark.parametrize("series", ["Se9", "Se3"])
def test_right_sided_and_short_axis_series_are_refused(real_data, series):
    result = detect(some_frames(read_cine(real_data / "biv-me" / "dicom" / series), 4))
    assert result.view is None and not result.landmarks.present.any()


def test_errors_against_biv_me_guide_points(real_data):
    reference = guide_point_landmarks(read_guide_points(real_data / "biv-me" / "guidepoints" / "default" / "patient1"))
    pooled = []
    for series, view in (("Se6", "4CH"), ("Se7", "3CH"), ("Se8", "2CH")):
        cine = some_frames(read_cine(real_data / "biv-me" / "dicom" / series), 3)
        result = detect(cine)
        assert result.view == view  # the description of Se7 says 4CH
        truth, geometry = reference[view]
        gap = geometry.to_patient(truth.positions[::3]) - cine.geometry.to_patient(result.landmarks.positions)
        errors = np.linalg.norm(gap, axis=-1)
        pooled.append(errors[np.isfinite(errors)])
    errors = np.concatenate(pooled)
    assert len(errors) > 80
    assert np.median(errors) <= 5 and np.quantile(errors, 0.9) <= 12

"""The doubtful points: each sign is found where it was put, and a clean cine has none."""

import numpy as np
import pytest
from CardiacValveLandmarksLib.cine import Cine
from CardiacValveLandmarksLib.doubts import find_doubts, path_distances, smooth_paths
from CardiacValveLandmarksLib.landmarks import LandmarkSeries, Provenance, in_view

FRAMES = 25


@pytest.fixture
def cine():
    times = np.arange(FRAMES) * 36.0
    return Cine(np.zeros((FRAMES, 8, 8)), spacing=np.array([1.4, 1.4]), times_ms=times, rr_ms=900.0, view="4CH")


def series(change=None):
    """Landmarks 15 px apart on closed paths; `change(positions, confidence, provenance)` spoils them."""
    angles = 2 * np.pi * np.arange(FRAMES) / FRAMES
    positions, confidence = np.full((FRAMES, 11, 2), np.nan), np.full((FRAMES, 11), np.nan)
    for place, landmark in enumerate(in_view("4CH")):
        path = np.column_stack([4 * np.sin(angles) + np.cos(3 * angles), 2 * np.cos(angles)])
        positions[:, landmark.index] = path + np.array([50 + 15 * place, 50])
        confidence[:, landmark.index] = 0.9
    provenance = np.isfinite(confidence).astype(np.uint8)
    if change is not None:
        change(positions, confidence, provenance)
    return LandmarkSeries(positions, confidence, provenance, "4CH")


def test_a_clean_cine_has_no_doubts_and_lies_on_its_paths(cine):
    clean = series()
    assert find_doubts(clean, cine) == []
    assert np.nanmax(path_distances(clean, cine)) < 0.05
    assert np.isnan(smooth_paths(clean, cine.phases)[:, 0]).all()


def test_low_confidence(cine):
    def spoil(positions, confidence, provenance):
        confidence[3, 4], confidence[7, 5] = 0.4, 0.1

    found = find_doubts(series(spoil), cine)
    assert [(d.frame, d.landmark) for d in found] == [(7, 6), (3, 5)]
    assert "confidence 0.10" in found[0].why


def test_a_jump_is_first_and_does_not_pull_the_path(cine):
    def spoil(positions, confidence, provenance):
        positions[12, 8] += 20

    spoiled = series(spoil)
    found = find_doubts(spoiled, cine)
    assert (found[0].frame, found[0].landmark) == (12, 9)
    distances = path_distances(spoiled, cine)[:, 8]
    assert distances[12] > 25 and np.delete(distances, 12).max() < 1.5


def test_a_valve_too_narrow(cine):
    def spoil(positions, confidence, provenance):
        positions[:, 5] = positions[:, 4] + [3.0, 0.0]

    found = find_doubts(series(spoil), cine)
    assert {d.landmark for d in found} == {5, 6} and "other point (mitral" in found[0].why


def test_missing_in_one_frame(cine):
    def spoil(positions, confidence, provenance):
        positions[6, 4], confidence[6, 4], provenance[6, 4] = np.nan, 0.05, Provenance.ABSENT

    assert [(d.frame, d.landmark) for d in find_doubts(series(spoil), cine)] == [(6, 5)]


def test_manual_points_are_not_doubted(cine):
    def spoil(positions, confidence, provenance):
        positions[12, 8] += 20
        confidence[12, 8], provenance[12, 8] = np.nan, Provenance.MANUAL

    assert (12, 9) not in [(d.frame, d.landmark) for d in find_doubts(series(spoil), cine)]


def test_without_spacing_nothing_is_measured_in_mm(cine):
    def spoil(positions, confidence, provenance):
        positions[12, 8] += 20
        confidence[1, 4] = 0.2

    unknown = Cine(np.zeros((FRAMES, 8, 8)), view="4CH")
    assert [(d.frame, d.landmark) for d in find_doubts(series(spoil), unknown)] == [(1, 5)]


def test_the_neighbours_of_a_jump_are_not_blamed_for_it(cine):
    def spoil(positions, confidence, provenance):
        positions[12, 8] += 20

    assert {(d.frame, d.landmark) for d in find_doubts(series(spoil), cine)} == {(12, 9)}

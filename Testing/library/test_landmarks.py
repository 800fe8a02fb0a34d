"""The landmark table and the series of landmarks."""

import numpy as np
import pytest
from CardiacValveLandmarksLib import landmarks
from CardiacValveLandmarksLib.landmarks import LANDMARKS, N_LANDMARKS, VIEWS, LandmarkSeries, Provenance


def test_the_table_of_the_published_training_set():
    """Numbers, views, valves and pixel values as published."""
    table = [(mark.number, mark.views, mark.valve, mark.bundle_value) for mark in LANDMARKS]
    mitral, aortic, tricuspid = "mitral", "aortic", "tricuspid"
    assert table == [
        (1, ("2CH",), mitral, 10),
        (2, ("2CH",), mitral, 15),
        (3, ("3CH",), mitral, 20),
        (4, ("3CH",), mitral, 25),
        (5, ("4CH",), mitral, 30),
        (6, ("4CH",), mitral, 35),
        (7, ("3CH",), aortic, 100),
        (8, ("3CH",), aortic, 150),
        (9, ("4CH",), tricuspid, 200),
        (10, ("4CH",), tricuspid, 250),
        (11, VIEWS, None, None),
    ]
    assert [mark.index for mark in LANDMARKS] == list(range(N_LANDMARKS))
    assert len({mark.key for mark in LANDMARKS}) == N_LANDMARKS
    assert len(landmarks.VALVE_LANDMARKS) == 10 and landmarks.APEX.number == 11
    assert {mark.valve for mark in LANDMARKS} == set(landmarks.VALVE_COLOURS)


def test_lookups():
    assert landmarks.by_number(7).key == "aortic_septal_3ch"
    assert [mark.number for mark in landmarks.in_view("4CH")] == [5, 6, 9, 10, 11]
    assert np.flatnonzero(landmarks.view_mask("2CH")).tolist() == [0, 1, 10]
    assert np.flatnonzero(landmarks.view_mask("3CH")).tolist() == [2, 3, 6, 7, 10]
    for bad in (0, 12, -1):
        with pytest.raises(KeyError, match="expected 1"):
            landmarks.by_number(bad)
    with pytest.raises(KeyError, match="2CH, 3CH, 4CH"):
        landmarks.in_view("SAX")


def series(**changes):
    positions = np.full((3, N_LANDMARKS, 2), np.nan)
    provenance = np.zeros((3, N_LANDMARKS), np.uint8)
    positions[:, 4] = 7.5
    provenance[:, 4] = Provenance.MANUAL
    values = {"positions": positions, "confidence": np.full((3, N_LANDMARKS), np.nan), "provenance": provenance}
    return LandmarkSeries(**{**values, **changes})


def test_series():
    one = series(view="4CH")
    assert one.n_frames == 3 and one.present.sum() == 3 and one.present[:, 4].all()
    with pytest.raises(ValueError, match="read-only"):
        one.positions[0, 0, 0] = 1
    assert one.replace(view="2CH").view == "2CH" and one.view == "4CH"
    empty = LandmarkSeries.empty(5, "3CH")
    assert empty.n_frames == 5 and not empty.present.any() and np.isnan(empty.positions).all()
    assert [member.label for member in Provenance] == ["absent", "auto", "manual", "propagated"]


def test_series_that_contradict_themselves():
    good = series()
    half = good.positions.copy()
    half[0, 4, 0] = np.nan
    infinite = good.positions.copy()
    infinite[0, 4, 0] = np.inf
    swapped = good.provenance.copy()
    swapped[0, 4], swapped[0, 5] = 0, 1
    unknown = good.provenance.copy()
    unknown[0, 4] = 9
    for changes, message in (
        ({"positions": half}, "wholly finite"),
        ({"positions": infinite}, "wholly finite"),
        ({"positions": good.positions[:, :10]}, "positions"),
        ({"confidence": good.confidence[:2]}, "confidence"),
        ({"provenance": swapped}, "ABSENT exactly"),
        ({"provenance": unknown}, "provenance"),
        ({"view": "SAX"}, "view"),
    ):
        with pytest.raises(ValueError, match=message):
            series(**changes)

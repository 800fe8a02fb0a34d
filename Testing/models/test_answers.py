"""Answers of models that would be read as wrong places, and entries of catalogues that would be used wrongly."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from CardiacValveLandmarksLib.cine import Cine
from CardiacValveLandmarksLib.detection import _result
from CardiacValveLandmarksLib.detection.result import Found
from CardiacValveLandmarksLib.errors import ModelError
from CardiacValveLandmarksLib.models.answers import heatmaps_of
from CardiacValveLandmarksLib.models.catalogue import find_model, list_models, user_catalogue
from CardiacValveLandmarksLib.models.sampling import centred_window
from CardiacValveLandmarksLib.models.spec import spec_from_entry
from hypothesis import given
from hypothesis import strategies as st

IMAGES = np.zeros((2, 1, 32, 48), np.float32)


@pytest.fixture(scope="module")
def spec():
    return replace(find_model("phantom-heatmap"), path=Path("model.onnx"))


def answer(shape=(2, 12, 32, 48)):
    logits = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def test_probabilities_of_the_images_own_size_are_taken(spec):
    maps = answer()
    assert np.array_equal(heatmaps_of(spec, {"heatmaps": maps}, IMAGES), maps[:, :11])


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        (answer((2, 12, 16, 24)), r"shape \(2, 12, 32, 48\).*16, 24"),
        (answer((2, 20, 32, 48)), r"\(2, 20, 32, 48\)"),
        (answer((2, 3, 32, 48)), r"\(2, 3, 32, 48\)"),
        (answer()[0], r"\(12, 32, 48\)"),
        (np.log(answer()), "softmax"),
        (8 * answer(), "softmax"),
        (np.where(answer() > 0.5, np.nan, answer()), "NaN"),
    ],
)
def test_other_answers_are_refused(spec, maps, message):
    with pytest.raises(ModelError, match=message):
        heatmaps_of(spec, {"heatmaps": maps}, IMAGES)


@given(row=st.floats(-20, 60), column=st.floats(-20, 80), mirrored=st.booleans())
def test_what_lies_at_an_edge_of_image_or_window_is_not_well_inside(row, column, mirrored):
    window = centred_window((40, 60), np.array([1.5, 1.5]), (48, 48), 1.0, mirrored)
    point = np.array([row, column])
    places = window.positions(point)
    edge = 1 / 1.5
    expected = all(edge <= x <= n - 1 - edge for x, n in zip(point, (40, 60), strict=True))
    expected &= all(1 <= x <= 46 for x in places)
    assert window.well_inside(point) == expected


def test_nothing_is_said_of_landmarks_that_a_model_does_not_look_for(spec):
    cine = Cine(np.zeros((5, 8, 8), np.float32))
    zeros = np.zeros((5, 11))
    found = Found(np.full((5, 11, 2), np.nan), zeros, zeros, "4CH", {"4CH": 1.0, "2CH": 0.0, "3CH": 0.0}, zeros > 1)
    ten = replace(spec, landmarks=tuple(range(1, 11)))
    confidence = _result(cine, found, "4CH", ten, "", True).landmarks.confidence
    assert np.isnan(confidence[:, 10]).all() and (confidence[:, :10] == 1).all()
    nothing = _result(cine, replace(found, view=None), None, spec, "", True).landmarks.confidence
    assert np.isnan(nothing).all()


@pytest.mark.parametrize(
    "content",
    [{"version": 1}, {"version": 1, "models": 5}, {"version": 1, "models": None}, {"version": 1, "models": [3]}],
)
def test_a_catalogue_without_a_list_of_models_is_named(cache, content):
    cache.mkdir(parents=True)
    user_catalogue().write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"models\.json.*a list of models"):
        list_models()


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("heatmap", {"landmarks": [[1]]}),
        ("heatmap", {"landmarks": [True, 2]}),
        ("heatmap", {"title": 5}),
        ("heatmap", {"licence": ["MIT"]}),
        ("heatmap", {"size": True}),
        ("heatmap", {"file": None, "source": "https://example.org/model.onnx"}),
        ("coordinates", {"landmarks": [1, 2, 3]}),
        ("coordinates", {"input": {"intensity": "percentile"}}),
        ("coordinates", {"input": {"size": [100, 100]}}),
        ("coordinates", {"input": {"spacing_mm": 1.0}}),
        ("short-axis", {"landmarks": [1, 2, 3, 4]}),
    ],
)
def test_entries_that_contradict_themselves_are_refused(kind, change):
    model = find_model("kcl-valve-landmarks" if kind == "coordinates" else "phantom-heatmap").entry()
    entry = {**model, "kind": kind, "file": "model.onnx"}
    if kind == "short-axis":
        entry["landmarks"] = [1, 2, 3]
    spec_from_entry(entry, "user", "here")
    inputs = {**entry["input"], **change.pop("input", {})}
    with pytest.raises(ModelError, match="here"):
        spec_from_entry({**entry, **change, "input": inputs}, "user", "here")


def test_registering_at_the_same_time_loses_none(published_weights, cache):
    code = (
        "import sys; from CardiacValveLandmarksLib.models.catalogue import register; "
        f"register({str(published_weights)!r}, sys.argv[1])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "CardiacValveLandmarks")}
    ids = [f"model-{n}" for n in range(4)]
    running = [subprocess.Popen([sys.executable, "-c", code, each], env=environment) for each in ids]
    assert [process.wait() for process in running] == [0] * 4
    assert {model.id for model in list_models() if model.origin == "user"} == set(ids)


def test_without_a_home_the_built_in_models_are_there(monkeypatch):
    monkeypatch.delenv("CVL_CACHE")

    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nowhere)
    assert find_model("phantom-heatmap").id == "phantom-heatmap"
    with pytest.raises(ModelError, match="CVL_CACHE"):
        user_catalogue()

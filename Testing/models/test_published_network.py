"""The published network: its tensors, its numbers, and the same numbers from both engines."""

import importlib.util
import json

import numpy as np
import pytest
from CardiacValveLandmarksLib.models.catalogue import find_model, resolve_model
from CardiacValveLandmarksLib.models.coordinates import predict_coordinates, predict_points
from CardiacValveLandmarksLib.models.engine import open_engine

torch = pytest.importorskip("torch")
ENGINES = ("torch", "onnx")


def network():
    from CardiacValveLandmarksLib.models.published import PublishedNetwork

    return PublishedNetwork()


def test_tensor_names_and_shapes_are_the_published_ones(real_data):
    shapes = json.loads((real_data / "parity" / "state_dict_shapes.json").read_text())
    state = network().state_dict()
    assert {name: list(value.shape) for name, value in state.items()} == shapes
    assert len(state) == 174
    assert sum(value.numel() for value in state.values()) == 3_319_962


@pytest.fixture(scope="module")
def parity(real_data, tmp_path_factory):
    """(weights file, frames (32, 256, 256), what the published pipeline returned (32, 2, 10))."""
    nibabel = pytest.importorskip("nibabel")
    recipe = importlib.util.spec_from_file_location("fill_weights", real_data / "parity" / "fill_weights.py")
    fill = importlib.util.module_from_spec(recipe)
    recipe.loader.exec_module(fill)
    path = tmp_path_factory.mktemp("parity") / "model.pt"
    torch.save(fill.state_dict(), path)
    volume = np.asarray(nibabel.load(real_data / "amrg" / "AMRGAtlas_0031.nii.gz").dataobj, np.float32)
    return path, np.moveaxis(volume[:, :, 0], -1, 0), np.load(real_data / "parity" / "amrg_expected.npy")


@pytest.mark.parametrize("engine", ENGINES)
def test_published_pipeline_is_reproduced(parity, engine):
    path, frames, expected = parity
    spec = resolve_model(path)
    points = predict_coordinates(open_engine(spec.path, spec.architecture, engine), frames, spec)
    # ten times closer than promised: ONNX Runtime's own instance norm alone is 1e-2 px off
    np.testing.assert_allclose(points.transpose(0, 2, 1), expected, atol=1e-3)


def test_engines_agree(published_weights, images):
    first, second = (
        predict_points(open_engine(published_weights, "published-regressor", engine), images) for engine in ENGINES
    )
    assert np.ptp(first, axis=0).max() > 0.01  # the images do make a difference
    np.testing.assert_allclose(first, second, atol=1e-3)


def test_linear_tail_is_the_last_convolution_and_the_heads(published_weights):
    from CardiacValveLandmarksLib.models.published_onnx import linear_tail

    state = torch.load(published_weights, weights_only=True)
    matrix, offset = linear_tail({name: value.numpy() for name, value in state.items()})
    reference = network()
    reference.load_state_dict(state)
    features = torch.randn(2, 128, 16, 16)
    with torch.inference_mode():
        expected = reference.final(reference.net[4][1](features)).numpy()
    np.testing.assert_allclose(features.flatten(1).numpy() @ matrix + offset, expected, atol=1e-4)


def test_batches_do_not_change_the_result(published_weights, images):
    engine = open_engine(published_weights, "published-regressor", "onnx")
    one_by_one = np.concatenate([predict_points(engine, images[i : i + 1]) for i in range(len(images))])
    np.testing.assert_allclose(predict_points(engine, images), one_by_one, atol=1e-4)


def test_catalogue_entry_says_what_the_network_is():
    spec = find_model("kcl-valve-landmarks")
    assert spec.input.size == (256, 256)
    assert spec.input.intensity == "file"
    assert spec.landmarks == tuple(range(1, 11))
    assert spec.symmetries == "square" and not spec.input.one_handed

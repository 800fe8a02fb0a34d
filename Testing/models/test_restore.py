"""Networks restored from every kind of model file compute what the file computes."""

import numpy as np
import pytest
from CardiacValveLandmarksLib.errors import ModelError
from CardiacValveLandmarksLib.models.architectures import ARCHITECTURES
from CardiacValveLandmarksLib.models.catalogue import resolve_model, spec_of_file
from CardiacValveLandmarksLib.models.compact import halve_weights
from CardiacValveLandmarksLib.models.engine import open_engine

torch = pytest.importorskip("torch")

from CardiacValveLandmarksLib.models.heatmap import HeatmapNet  # noqa: E402
from CardiacValveLandmarksLib.models.published import PublishedNetwork  # noqa: E402
from CardiacValveLandmarksLib.models.restore import torch_network  # noqa: E402


def same_heatmaps(spec, net):
    """Compare with ONNX Runtime on two images, one with the view told."""
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(2, 1, 128, 128, generator=generator) * 1.5
    view = torch.tensor([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    expected = open_engine(spec.path, spec.architecture, "onnx").run({"image": image.numpy(), "view": view.numpy()})
    with torch.no_grad():
        heatmaps, views = net(image, view)
    np.testing.assert_allclose(heatmaps.softmax(1).numpy(), expected["heatmaps"], atol=2e-5)
    np.testing.assert_allclose(views.softmax(1).numpy(), expected["view_probabilities"], atol=2e-5)


def test_the_built_in_model_comes_back_from_half_size_onnx():
    spec = resolve_model("phantom-heatmap")
    net = torch_network(spec)
    assert isinstance(net, HeatmapNet) and not net.training
    assert all(p.dtype == torch.float32 and p.requires_grad for p in net.parameters())
    same_heatmaps(spec, net)


def test_networks_have_the_size_of_their_file(tmp_path):
    torch.manual_seed(0)
    net = HeatmapNet(widths=(16, 24, 40))
    torch.save(net.state_dict(), tmp_path / "small.pt")
    spec = spec_of_file(tmp_path / "small.pt")
    restored = torch_network(spec)
    assert restored.widths == (16, 24, 40)
    same_heatmaps(spec, restored)
    weights = {name: value.numpy() for name, value in net.state_dict().items()}
    (tmp_path / "small.onnx").write_bytes(halve_weights(ARCHITECTURES["heatmap-unet"].to_onnx(weights)))
    same_heatmaps(spec_of_file(tmp_path / "small.onnx"), torch_network(spec_of_file(tmp_path / "small.onnx")))


def test_the_published_network_comes_from_a_checkpoint_or_a_bundle_folder(published_weights, images, tmp_path):
    (tmp_path / "bundle" / "models").mkdir(parents=True)
    (tmp_path / "bundle" / "models" / "model.pt").write_bytes(published_weights.read_bytes())
    spec = spec_of_file(published_weights)
    expected = open_engine(spec.path, spec.architecture, "onnx").run({"image": images[:2, None]})["points"]
    for given in (published_weights, tmp_path / "bundle"):
        net = torch_network(spec_of_file(given))
        assert isinstance(net, PublishedNetwork)
        with torch.no_grad():
            found = net(torch.from_numpy(images[:2, None])).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_graph_with_merged_weights_is_refused(published_weights, tmp_path):
    weights = {name: value.numpy() for name, value in torch.load(published_weights, weights_only=True).items()}
    (tmp_path / "graph.onnx").write_bytes(ARCHITECTURES["published-regressor"].to_onnx(weights))
    with pytest.raises(ModelError, match=r"graph\.onnx.*merged for speed"):
        torch_network(spec_of_file(tmp_path / "graph.onnx"))


def test_other_models_are_refused_by_name(tmp_path):
    class Graph(torch.nn.Module):
        def forward(self, image):
            return image.repeat(1, 3, 1, 1)

    torch.jit.script(Graph()).save(str(tmp_path / "own.pt"))
    spec = spec_of_file(tmp_path / "own.pt", {"landmarks": [1, 2]})
    with pytest.raises(ModelError, match=r"own\.pt.*brings its own graph"):
        torch_network(spec)
    state = HeatmapNet().state_dict()
    del state["head.bias"]
    torch.save(state, tmp_path / "lacking.pt")
    with pytest.raises(ModelError, match=r"lacking\.pt.*head\.bias is missing"):
        spec_of_file(tmp_path / "lacking.pt")

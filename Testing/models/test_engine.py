"""Engines: the stated rule of choice, errors in place of fall-backs, equal results."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from CardiacValveLandmarksLib.errors import ModelError, UsageError
from CardiacValveLandmarksLib.models import architectures, conversion, engine, weights
from CardiacValveLandmarksLib.models.cache import checksums
from CardiacValveLandmarksLib.models.catalogue import resolve_model
from CardiacValveLandmarksLib.models.engine import OnnxEngine, TorchEngine, open_engine

torch = pytest.importorskip("torch")
PUBLISHED = "published-regressor"


def without(monkeypatch, *missing):
    """Make packages look as if they were not installed."""
    for module in (weights, conversion, engine):
        monkeypatch.setattr(module, "has_package", lambda name: name not in missing)


def test_automatic_choice_is_onnx_runtime_and_it_says_so(published_weights):
    opened = open_engine(published_weights, PUBLISHED)
    assert (opened.name, opened.device) == ("onnx", "cpu")
    assert opened.describe().startswith("ONNX Runtime") and "CPU" in opened.describe()


def test_automatic_choice_is_torch_without_onnx_runtime(published_weights, monkeypatch):
    without(monkeypatch, "onnxruntime")
    assert open_engine(published_weights, PUBLISHED, device="cpu").name == "torch"
    with pytest.raises(ModelError, match="onnxruntime"):
        open_engine(published_weights, PUBLISHED, "onnx")


def test_automatic_choice_is_torch_where_nothing_can_convert(published_weights, monkeypatch):
    without(monkeypatch, "onnx")
    assert open_engine(published_weights, PUBLISHED, device="cpu").name == "torch"
    with pytest.raises(ModelError, match="the package onnx,"):
        open_engine(published_weights, PUBLISHED, "onnx")


def test_the_built_in_model_asks_for_onnx_runtime_where_nothing_is_there(monkeypatch):
    """As in a fresh Slicer: not for torch, which is a hundred times as large."""
    without(monkeypatch, "onnxruntime", "torch")
    model = resolve_model("phantom-heatmap")
    with pytest.raises(ModelError, match="the package onnxruntime"):
        open_engine(model.path, model.architecture)


def test_onnx_runtime_that_cannot_be_loaded_is_an_error_with_advice(tmp_path, monkeypatch):
    """As on a Windows with another C++ runtime: it is installed, but its import fails."""
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('DLL load failed')")
    for name in [name for name in sys.modules if name.split(".")[0] == "onnxruntime"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    model = resolve_model("phantom-heatmap")
    with pytest.raises(ModelError, match=r"DLL load failed.*another version of onnxruntime"):
        OnnxEngine(model.path)


def test_torch_weights_without_torch_are_an_error_until_converted(published_weights, monkeypatch):
    with monkeypatch.context() as patch:
        without(patch, "torch")
        for wanted in ("auto", "onnx", "torch"):
            with pytest.raises(ModelError, match="torch"):
                open_engine(published_weights, PUBLISHED, wanted)
    open_engine(published_weights, PUBLISHED, "onnx")
    without(monkeypatch, "torch")
    assert open_engine(published_weights, PUBLISHED).name == "onnx"


def test_converted_weights_run_without_importing_torch(published_weights, cache):
    open_engine(published_weights, PUBLISHED, "onnx")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from CardiacValveLandmarksLib.models.catalogue import resolve_model\n"
        "from CardiacValveLandmarksLib.models.coordinates import predict_coordinates\n"
        "from CardiacValveLandmarksLib.models.engine import open_engine\n"
        "import numpy as np\n"
        "spec = resolve_model(sys.argv[2])\n"
        "opened = open_engine(spec.path, spec.architecture, checksum=spec.checksum)\n"
        "predict_coordinates(opened, np.random.default_rng(0).random((2, 256, 256)), spec)\n"
        "heavy = {'torch', 'onnx', 'scipy', 'matplotlib', 'requests', 'jsonschema'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    package = conversion.__file__.split("CardiacValveLandmarksLib")[0]
    done = subprocess.run([sys.executable, "-c", code, package, published_weights], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_conversion_is_kept_by_checksum(published_weights):
    (checksum,) = checksums(published_weights, "sha256")
    kept = conversion.onnx_form(published_weights, checksum, architectures.ARCHITECTURES[PUBLISHED])
    before = kept.stat().st_mtime_ns
    assert conversion.onnx_form(published_weights, checksum, architectures.ARCHITECTURES[PUBLISHED]) == kept
    assert kept.stat().st_mtime_ns == before
    assert conversion.known_architecture(checksum) == PUBLISHED
    assert conversion.remove_conversions(checksum) == [kept] and not kept.exists()


def test_failed_conversion_leaves_nothing(published_weights, monkeypatch, cache):
    architecture = architectures.ARCHITECTURES[PUBLISHED]

    def fail(weights):
        raise MemoryError

    broken = architectures.Architecture(**{**vars(architecture), "to_onnx": fail})
    with pytest.raises(MemoryError):
        conversion.onnx_form(published_weights, "0" * 64, broken)
    assert not list(cache.rglob("*.*"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_cuda_that_is_not_there_is_an_error(published_weights, device):
    with pytest.raises(UsageError, match="CUDA"):
        open_engine(published_weights, PUBLISHED, device=device)
    with pytest.raises(UsageError, match="torch"):
        open_engine(published_weights, PUBLISHED, "onnx", device)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_cuda_agrees_with_the_cpu(published_weights, images):
    on_gpu = open_engine(published_weights, PUBLISHED, device="cuda")
    assert on_gpu.device == "cuda:0"
    on_cpu = open_engine(published_weights, PUBLISHED, "torch", "cpu")
    batch = {"image": images[:, None]}
    np.testing.assert_allclose(on_gpu.run(batch)["points"], on_cpu.run(batch)["points"], atol=1e-2)


@pytest.mark.parametrize(
    "options", [{"engine": "openvino"}, {"device": "gpu"}, {"device": "cuda:x"}, {"threads": 0}], ids=str
)
def test_unknown_options_are_usage_errors(published_weights, options):
    with pytest.raises(UsageError):
        open_engine(published_weights, PUBLISHED, **options)


def test_onnx_file_that_is_none(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"this is no model")
    with pytest.raises(ModelError, match="ONNX"):
        OnnxEngine(path)


class SmallMaps(torch.nn.Module):
    """A heat-map network with what ours have: batch norms, two inputs, any image size."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv2d(1, 4, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(4)
        self.view = torch.nn.Linear(3, 4)
        self.last = torch.nn.Conv2d(4, 12, 1)

    def forward(self, image, view):
        x = self.norm(self.first(image)) + self.view(view)[:, :, None, None]
        return self.last(torch.nn.functional.leaky_relu(x, 0.1)).softmax(1)


@pytest.fixture
def small_maps(monkeypatch, tmp_path):
    """An exported two-input heat-map model of a known architecture, and its module."""
    torch.manual_seed(1)
    module = SmallMaps().eval()
    module.norm.running_mean.uniform_(-1, 1)
    module.norm.running_var.uniform_(0.5, 2)
    known = architectures.Architecture(
        "small-maps", ("image", "view"), ("heatmaps",), lambda like: SmallMaps(), None, 1
    )
    monkeypatch.setitem(architectures.ARCHITECTURES, "small-maps", known)
    example = {"image": np.zeros((1, 1, 32, 32), np.float32), "view": np.zeros((1, 3), np.float32)}
    dynamic = {"image": {0: "n", 2: "h", 3: "w"}, "view": {0: "n"}, "heatmaps": {0: "n", 2: "h", 3: "w"}}
    path = tmp_path / "small.onnx"
    path.write_bytes(conversion.export_module(module, example, ("heatmaps",), dynamic))
    return path, module


def test_exported_module_runs_in_both_engines(small_maps):
    path, module = small_maps
    rng = np.random.default_rng(0)
    inputs = {
        "image": rng.random((3, 1, 40, 24), dtype=np.float32),
        "view": np.eye(3, dtype=np.float32),
    }
    with torch.inference_mode():
        expected = module(*(torch.from_numpy(array) for array in inputs.values())).numpy()
    opened = open_engine(path, "small-maps", "onnx"), open_engine(path, "small-maps", "torch", "cpu")
    assert isinstance(opened[0], OnnxEngine) and isinstance(opened[1], TorchEngine)
    for one in opened:
        np.testing.assert_allclose(one.run(inputs)["heatmaps"], expected, atol=1e-5)


def test_own_graph_in_onnx_form_is_not_run_by_torch(small_maps):
    path, _ = small_maps
    with pytest.raises(UsageError, match="ONNX graph"):
        open_engine(path, architectures.OWN_GRAPH, "torch")


def test_own_graph_takes_any_names_but_one_input(small_maps, tmp_path):
    path, _ = small_maps
    with pytest.raises(ModelError, match="inputs image, view"):
        open_engine(path, architectures.OWN_GRAPH)
    other = tmp_path / "other.onnx"
    example = {"picture": np.zeros((1, 1, 16, 16), np.float32)}
    module = torch.nn.Conv2d(1, 12, 3, padding=1)
    other.write_bytes(conversion.export_module(module, example, ("maps",), {"picture": {0: "n"}, "maps": {0: "n"}}))
    opened = open_engine(other, architectures.OWN_GRAPH)
    assert opened.run({"image": np.zeros((3, 1, 16, 16), np.float32)})["heatmaps"].shape == (3, 12, 16, 16)
    with pytest.raises(ModelError, match="takes these images"):
        opened.run({"image": np.zeros((3, 1, 20, 16), np.float32)})


def test_torchscript_that_does_not_take_the_image(tmp_path):
    path = tmp_path / "maps.ts"
    torch.jit.script(torch.nn.Conv2d(3, 12, 3)).save(str(path))
    with pytest.raises(ModelError, match="takes these images"):
        open_engine(path, architectures.OWN_GRAPH, device="cpu").run({"image": np.zeros((1, 1, 8, 8), np.float32)})


def test_torchscript_runs_in_torch_only(tmp_path):
    path = tmp_path / "maps.ts"
    torch.jit.script(torch.nn.Conv2d(1, 12, 3, padding=1)).save(str(path))
    opened = open_engine(path, architectures.OWN_GRAPH, device="cpu")
    assert opened.name == "torch"
    assert opened.run({"image": np.zeros((2, 1, 8, 8), np.float32)})["heatmaps"].shape == (2, 12, 8, 8)
    with pytest.raises(UsageError, match="TorchScript"):
        open_engine(path, architectures.OWN_GRAPH, "onnx")


def test_heatmap_network_from_weights_and_from_its_onnx_form(tmp_path):
    from CardiacValveLandmarksLib.models.catalogue import resolve_model
    from CardiacValveLandmarksLib.models.heatmap import HeatmapNet

    torch.manual_seed(2)
    net = HeatmapNet()
    for name, buffer in net.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2)
    path = tmp_path / "trained.pt"
    torch.save({"model": net.state_dict(), "step": 3}, path)
    spec = resolve_model(path)
    assert spec.architecture == "heatmap-unet" and spec.kind == "heatmap"
    inputs = {"image": np.random.default_rng(0).random((2, 1, 96, 64), dtype=np.float32)}
    inputs["view"] = np.array([[0, 1, 0], [0, 0, 0]], np.float32)
    onnx_form = conversion.conversion_path(spec.checksum, architectures.ARCHITECTURES["heatmap-unet"])
    first = open_engine(path, spec.architecture, "onnx").run(inputs)
    assert resolve_model(onnx_form).architecture == "heatmap-unet"
    for other in (path, onnx_form):
        second = open_engine(other, spec.architecture, "torch", "cpu").run(inputs)
        assert list(first) == list(second) == ["heatmaps", "view_probabilities"]
        for name in first:
            np.testing.assert_allclose(first[name], second[name], atol=1e-5)
    assert first["heatmaps"].shape == (2, 12, 96, 64)


def test_coordinates_need_no_scipy():
    """Importing it would take a third of the whole `cvl detect` with the published network."""
    library = Path(engine.__file__).resolve().parents[2]
    code = f"import sys; sys.path.insert(0, {str(library)!r}); import CardiacValveLandmarksLib.detection.coordinates"
    done = subprocess.run([sys.executable, "-c", f"{code}; sys.exit('scipy' in sys.modules)"], check=False)
    assert done.returncode == 0

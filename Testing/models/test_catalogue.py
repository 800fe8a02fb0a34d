"""The catalogue, models given by path, and files that are refused."""

import json
import os
import pickle

import jsonschema
import pytest
from CardiacValveLandmarksLib.errors import ModelError, UsageError
from CardiacValveLandmarksLib.models import catalogue
from CardiacValveLandmarksLib.models import spec as spec_module
from CardiacValveLandmarksLib.models.cache import checksums
from CardiacValveLandmarksLib.models.catalogue import (
    find_model,
    list_models,
    record_checksum,
    register,
    resolve_model,
    unregister,
    verify,
)
from CardiacValveLandmarksLib.models.spec import RESOURCES, spec_from_entry

torch = pytest.importorskip("torch")
SCHEMA = json.loads((RESOURCES / "models.schema.json").read_text())


def test_catalogue_follows_its_schema():
    jsonschema.validate(json.loads((RESOURCES / "models.json").read_text()), SCHEMA)
    assert {model.id for model in list_models()} >= {"phantom-heatmap", "kcl-valve-landmarks"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "Has Space"),
        ("kind", "mesh"),
        ("landmarks", [1, 1]),
        ("landmarks", [12]),
        ("symmetries", "all"),
        ("sha256", "abc"),
        ("size", 0),
        ("spacing_mm", -1),
        ("intensity", "z-score"),
        ("surplus", 1),
    ],
)
def test_code_and_schema_refuse_the_same(field, value):
    entry = find_model("kcl-valve-landmarks").entry()
    part = entry["input"] if field in entry["input"] else entry
    part[field] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"version": 1, "models": [entry]}, SCHEMA)
    with pytest.raises(ModelError, match=field):
        spec_from_entry(entry, "user", "here.json")


def test_unknown_id_lists_the_known():
    with pytest.raises(ModelError, match="kcl-valve-landmarks") as caught:
        resolve_model("nothing")
    assert caught.value.exit_status == 4


def test_missing_download_says_how_to_get_it():
    with pytest.raises(ModelError, match="cvl models download kcl-valve-landmarks") as caught:
        resolve_model("kcl-valve-landmarks")
    assert str(find_model("kcl-valve-landmarks").weights_path) in str(caught.value)


def test_state_dict_is_known_by_its_tensors(published_weights):
    spec = resolve_model(published_weights)
    assert spec.architecture == "published-regressor"
    assert spec.path == published_weights and spec.origin == "path"
    assert spec.checksum == checksums(published_weights, "sha256")[0]


@pytest.mark.parametrize("nested", ["net", "network", "model", "state_dict"])
def test_nested_checkpoints(published_weights, tmp_path, nested):
    path = tmp_path / "checkpoint.pt"
    torch.save({nested: torch.load(published_weights, weights_only=True), "epoch": 3}, path)
    assert resolve_model(path).architecture == "published-regressor"


def test_bundle_folder(published_weights, tmp_path):
    (tmp_path / "bundle" / "models").mkdir(parents=True)
    with pytest.raises(ModelError, match=r"models/model\.pt"):
        resolve_model(tmp_path / "bundle")
    (tmp_path / "bundle" / "models" / "model.pt").write_bytes(published_weights.read_bytes())
    spec = resolve_model(tmp_path / "bundle")
    assert spec.architecture == "published-regressor" and spec.id == "bundle"


def test_other_shapes_are_named(published_weights, tmp_path):
    state = torch.load(published_weights, weights_only=True)
    name = "net.layer_1.1.conv.weight"
    state[name] = torch.zeros(16, 16, 5, 5)
    path = tmp_path / "other.pt"
    torch.save(state, path)
    with pytest.raises(ModelError, match=rf"{name} is \(16, 16, 5, 5\) and not \(16, 16, 3, 3\)") as caught:
        resolve_model(path)
    assert caught.value.exit_status == 4


def test_missing_and_unknown_tensors_are_named(published_weights, tmp_path):
    state = torch.load(published_weights, weights_only=True)
    state["net.layer_9.weight"] = state.pop("net.layer_0.1.conv.bias")
    path = tmp_path / "other.pt"
    torch.save(state, path)
    with pytest.raises(ModelError, match=r"net\.layer_0\.1\.conv\.bias is missing; net\.layer_9\.weight is unknown"):
        resolve_model(path)


class Malicious:
    """Runs a command when unpickled without care."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("form", ["torch", "torch old", "pickle"])
def test_pickle_with_code_is_refused_and_not_run(tmp_path, form):
    path, marker = tmp_path / "model.pt", tmp_path / "it-ran"
    if form == "pickle":
        path.write_bytes(pickle.dumps({"net.weight": Malicious(marker)}))
    else:
        torch.save({"net.weight": Malicious(marker)}, path, _use_new_zipfile_serialization=form == "torch")
    with pytest.raises(ModelError, match="refused") as caught:
        resolve_model(path)
    assert caught.value.exit_status == 4
    assert not marker.exists()


@pytest.mark.parametrize("content", [b"", b"no model", b"PK\x03\x04 torn", b"\x80\x02 torn"], ids=str)
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin"])
def test_files_that_are_no_models(tmp_path, content, suffix):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.") as caught:
        resolve_model(path)
    assert caught.value.exit_status == 4


def test_torn_checkpoint(published_weights, tmp_path):
    path = tmp_path / "torn.pt"
    path.write_bytes(published_weights.read_bytes()[:-100_000])
    with pytest.raises(ModelError):
        resolve_model(path)


def test_a_whole_model_object_is_refused(tmp_path):
    path = tmp_path / "module.pt"
    torch.save(torch.nn.Conv2d(1, 1, 1), path)
    with pytest.raises(ModelError, match="refused"):
        resolve_model(path)


def test_a_path_that_is_not_there(tmp_path):
    with pytest.raises(ModelError, match="no file of that name"):
        resolve_model(tmp_path / "absent.pt")


@pytest.fixture
def torchscript(tmp_path):
    path = tmp_path / "maps.ts"
    torch.jit.script(torch.nn.Conv2d(1, 12, 3, padding=1)).save(str(path))
    return path


def test_own_graph_needs_a_description(torchscript):
    with pytest.raises(ModelError, match="cvl models register"):
        resolve_model(torchscript)


def test_sidecar_describes_a_file(torchscript):
    entry = find_model("kcl-valve-landmarks").entry()
    entry |= {"id": "mine", "kind": "heatmap", "architecture": "own-graph", "landmarks": list(range(1, 12))}
    sidecar = torchscript.with_suffix(".json")
    sidecar.write_text(json.dumps(entry))
    spec = resolve_model(torchscript)
    assert (spec.id, spec.kind, spec.landmarks) == ("mine", "heatmap", tuple(range(1, 12)))
    sidecar.write_text(json.dumps({**entry, "sha256": "0" * 64}))
    with pytest.raises(ModelError, match="sha256"):
        resolve_model(torchscript)


def test_registered_model_is_checked_ever_after(torchscript):
    numbers = list(range(1, 12))
    registered = register(torchscript, "mine", landmarks=numbers, spacing_mm=1.5, symmetries="rotations")
    jsonschema.validate(json.loads(catalogue.user_catalogue().read_text()), SCHEMA)
    spec = resolve_model("mine")
    assert spec.path == torchscript and spec.checksum == registered.checksum
    assert spec.input.spacing_mm == 1.5 and spec.symmetries == "rotations" and spec.origin == "user"
    with pytest.raises(UsageError, match="taken"):
        register(torchscript, "mine", landmarks=numbers)
    torchscript.write_bytes(torchscript.read_bytes() + b"\0")
    with pytest.raises(ModelError, match="bytes"):
        resolve_model("mine")
    unregister("mine")
    assert torchscript.exists()
    with pytest.raises(ModelError, match="neither of that name"):
        resolve_model("mine")


def test_built_in_id_cannot_be_taken(published_weights):
    with pytest.raises(UsageError, match="taken"):
        register(published_weights, "phantom-heatmap")


def test_damaged_user_catalogue_is_named(cache):
    catalogue.user_catalogue().parent.mkdir(parents=True)
    catalogue.user_catalogue().write_text("{")
    with pytest.raises(ModelError, match=r"models\.json"):
        list_models()


def test_copied_in_by_hand_is_verified(published_weights, monkeypatch, tmp_path):
    spec = find_model("kcl-valve-landmarks")
    spec.weights_path.parent.mkdir(parents=True)
    spec.weights_path.write_bytes(published_weights.read_bytes())
    with pytest.raises(ModelError, match="md5"):  # these are not the published weights
        resolve_model(spec.id)
    changed = json.loads((RESOURCES / "models.json").read_text())
    entry = next(entry for entry in changed["models"] if entry["id"] == spec.id)
    entry["md5"] = checksums(published_weights, "md5")[0]
    (tmp_path / "models.json").write_text(json.dumps(changed))
    monkeypatch.setattr(catalogue, "RESOURCES", tmp_path)
    spec = resolve_model(spec.id)
    assert spec.path == spec.weights_path and spec.checksum == checksums(published_weights, "sha256")[0]


def test_record_checksum(monkeypatch, tmp_path):
    (tmp_path / "models.json").write_text((RESOURCES / "models.json").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "phantom-heatmap.onnx").write_bytes(b"weights")
    for module in (catalogue, spec_module):
        monkeypatch.setattr(module, "RESOURCES", tmp_path)
    recorded = record_checksum("phantom-heatmap")
    assert recorded.size == 7 and find_model("phantom-heatmap").sha256 == recorded.sha256
    assert verify(find_model("phantom-heatmap")) == recorded.sha256
    (tmp_path / "phantom-heatmap.onnx").write_bytes(b"Weights")
    with pytest.raises(ModelError, match="sha256"):
        resolve_model("phantom-heatmap")
    jsonschema.validate(json.loads((tmp_path / "models.json").read_text()), SCHEMA)

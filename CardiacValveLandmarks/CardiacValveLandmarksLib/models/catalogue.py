"""The models there are: the catalogue inside the package, the user's own, and files given by path."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ..errors import ModelError, UsageError
from ..files import atomic_open, locked_folder
from .architectures import ARCHITECTURES, OWN_GRAPH
from .cache import cache_folder, checksums
from .conversion import known_architecture
from .engine import OnnxEngine
from .spec import RESOURCES, Decision, ModelSpec, spec_from_entry
from .weights import check_shapes, file_kind, read_state_dict

CATALOGUE_VERSION = 1
#: another process may be writing the user's catalogue: waited for so long
_PATIENCE_S = 10.0
#: used when no model is named
DEFAULT_MODEL = "phantom-heatmap"


def _read_json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(path, "a JSON file", str(error), "Repair or remove it.") from error


def _read_catalogue(path: Path) -> list[Mapping]:
    content = _read_json(path)
    if not isinstance(content, Mapping) or content.get("version") != CATALOGUE_VERSION:
        raise ModelError(path, f"a model catalogue of version {CATALOGUE_VERSION}", "something else")
    models = content.get("models")
    if not isinstance(models, list) or not all(isinstance(entry, Mapping) for entry in models):
        raise ModelError(path, "a list of models", f"{models!r:.60}", "Repair or remove it.")
    return models


def user_catalogue() -> Path:
    """The file that lists the user's own models."""
    return cache_folder() / "models.json"


def list_models() -> list[ModelSpec]:
    """All models: built-in, to download, then the user's own. Nothing is verified here."""
    path = RESOURCES / "models.json"
    models = [
        spec_from_entry(entry, "built-in" if entry.get("file") else "download", path) for entry in _read_catalogue(path)
    ]
    return models + _user_models()


def _user_models() -> list[ModelSpec]:
    try:
        path = user_catalogue()
    except ModelError:  # without a home there is none
        return []
    return [spec_from_entry(entry, "user", path) for entry in _read_catalogue(path)] if path.is_file() else []


def find_model(model_id: str) -> ModelSpec:
    """The catalogue's model of this id. ModelError listing the ids there are."""
    models = list_models()
    for model in models:
        if model.id == model_id:
            return model
    raise ModelError(
        model_id,
        "a model of the catalogue or a model file",
        "neither of that name",
        f"Known models: {', '.join(model.id for model in models)}.",
    )


def verify(spec: ModelSpec, path: str | os.PathLike | None = None) -> str:
    """Check size and checksum of the model's weights (or of `path` in their place); returns the sha256 found.

    ModelError where the file is missing or differs. A model without a recorded checksum passes with the sum found.
    """
    path = Path(path or spec.weights_path)
    if not path.is_file():
        advice = f"Restore the file, or see `cvl models list`. Its home is {spec.weights_path}."
        if spec.origin == "download":
            advice = f"Run `cvl models download {spec.id}`, or copy the file there by hand."
        raise ModelError(path, f"the weights of {spec.id}", "no file", advice)
    size = path.stat().st_size
    if spec.size is not None and size != spec.size:
        raise ModelError(path, f"{spec.size} bytes ({spec.id})", f"{size} bytes", _replace_advice(spec))
    sha256, md5 = checksums(path, "sha256", "md5")
    for name, expected, found in (("sha256", spec.sha256, sha256), ("md5", spec.md5, md5)):
        if expected is not None and found != expected:
            raise ModelError(path, f"{name} {expected} ({spec.id})", found, _replace_advice(spec))
    return sha256


def _replace_advice(spec: ModelSpec) -> str:
    if spec.origin == "download":
        return f"The file is damaged or another one: `cvl models remove {spec.id}`, then download it again."
    if spec.origin == "user":
        return f"The file changed since it was registered: register it again after `cvl models remove {spec.id}`."
    return "The installation is damaged: install the package again."


def resolve_model(name: str | os.PathLike) -> ModelSpec:
    """A model by id or by path, verified, with `path` and `checksum` of what will be loaded.

    A path is a weights file (.pt), a TorchScript or ONNX model, or a MONAI bundle's folder. Beside a file,
    `STEM.json` with one catalogue entry says what the file is; without it, weights are known by their tensors,
    while a graph of its own needs the sidecar or to be registered.
    ModelError: unknown, missing, not verified, or of an unknown form.
    """
    text = os.fspath(name)
    if not any(model.id == text for model in list_models()) and (
        Path(text).exists() or Path(text).name != text or Path(text).suffix in (".pt", ".pth", ".onnx", ".ts")
    ):
        return spec_of_file(text)
    spec = find_model(text)
    checksum = verify(spec)
    path = spec.weights_path
    return replace(spec, path=path, checksum=checksum)


def spec_of_file(path: str | os.PathLike, changes: Mapping | None = None) -> ModelSpec:
    """What a model file or bundle folder is, from its sidecar, its tensors or its shape; verified.

    changes: fields of the entry (and of its input) that are known better, by name.
    """
    given, path = Path(path), Path(path)
    if path.is_dir():  # a MONAI bundle
        path = path / "models" / "model.pt"
        if not path.is_file():
            raise ModelError(given, "a MONAI bundle with models/model.pt", "no such file in it")
    if not path.is_file():
        raise ModelError(given, "a model file", "no file of that name", "Check the path, or see `cvl models list`.")
    path = path.resolve()
    (checksum,) = checksums(path, "sha256")
    sidecar = path.with_suffix(".json")
    if sidecar.is_file():
        entry = _read_json(sidecar)
        if not isinstance(entry, dict):
            raise ModelError(sidecar, "one catalogue entry", f"a {type(entry).__name__}")
        stated = entry.get("sha256")
        if stated is not None and stated != checksum:
            raise ModelError(path, f"sha256 {stated} ({sidecar.name})", checksum, "File and description do not match.")
    else:
        entry = _guess_entry(path, checksum, dict(changes or {}), given)
    entry.update(file=str(path), sha256=checksum, md5=None, size=path.stat().st_size, source=None)
    for key, value in (changes or {}).items():
        (entry["input"] if key in entry.get("input", ()) else entry)[key] = value
    spec = spec_from_entry(entry, "path", sidecar if sidecar.is_file() else path)
    return replace(spec, path=path, checksum=checksum)


def write_description(path: Path, entry: Mapping) -> None:
    """Write STEM.json beside a model file: a catalogue entry with the file's name, size and checksum."""
    facts = {"file": path.name, "size": path.stat().st_size, "sha256": checksums(path, "sha256")[0]}
    with atomic_open(path.with_suffix(".json")) as stream:
        json.dump({**entry, "source": None, "md5": None, **facts}, stream, indent=2, ensure_ascii=False)
        stream.write("\n")


def _guess_entry(path: Path, checksum: str, changes: Mapping, given: Path) -> dict:
    kind = file_kind(path)
    name = given.name if given.is_dir() else path.stem
    own = {
        "id": re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")[:64] or "model",
        "title": f"the user's {name}",
        "licence": "unknown",
        "citation": "unknown",
        "intended_use": "As its author says.",
        "synthetic_only": False,
        "decision": None,
    }
    architecture = OWN_GRAPH
    if kind == "state-dict":
        architecture = known_architecture(checksum) or _match_architecture(path)
    elif kind == "onnx":
        architecture = _architecture_of_graph(path)
    if architecture != OWN_GRAPH:
        template = next(model for model in list_models() if model.architecture == architecture)
        entry = {**template.entry(), **own}
        if checksum == template.sha256:  # a copy of that very model
            entry |= {"decision": template.entry()["decision"], "synthetic_only": template.synthetic_only}
        return entry
    if "landmarks" not in changes:
        raise ModelError(
            path,
            "a description of this model",
            "none: a graph of its own does not say which landmarks it finds and on which pixels",
            f"Register it (`cvl models register`), or put {path.stem}.json (an entry of models.schema.json) beside it.",
        )
    return {
        **own,
        "kind": "heatmap",
        "landmarks": [],
        "architecture": OWN_GRAPH,
        "input": {
            "spacing_mm": None,
            "size": None,
            "channels": 1,
            "intensity": "frame",
            "one_handed": True,
            "view_input": False,
        },
        "symmetries": "none",
    }


def _architecture_of_graph(path: Path) -> str:
    """Our own networks in ONNX form are known by the names of what they take and give."""
    graph = OnnxEngine(path, threads=1)
    for name, architecture in ARCHITECTURES.items():
        if (graph.inputs, graph.outputs) == (architecture.inputs, architecture.outputs):
            return name
    OnnxEngine(path, threads=1, own_graph=True)  # or it has one input and one output
    return OWN_GRAPH


def _match_architecture(path: Path) -> str:
    weights = read_state_dict(path)
    best, most = None, 0
    for name, architecture in ARCHITECTURES.items():
        expected = architecture.state(weights)
        common = len(expected.keys() & weights.keys())
        if common > most:
            best, most = (name, expected), common
    if best is None:
        raise ModelError(
            path, f"weights of {' or '.join(ARCHITECTURES)}", f"{len(weights)} tensors, none of a known name"
        )
    check_shapes(path, weights, best[1], best[0])
    return best[0]


def register(path: str | os.PathLike, model_id: str, **changes) -> ModelSpec:
    """Put a model into the user's catalogue. It stays where it is; its checksum is recorded and checked from then on.

    changes: fields of the entry or of its input, where the file does not say (`landmarks`, `spacing_mm`, ...).
    UsageError: the id is taken. ModelError: not a model that can be loaded.
    """
    spec = replace(spec_of_file(path, {**changes, "id": model_id}), origin="user")
    with locked_folder(cache_folder(), wait_s=_PATIENCE_S):
        if any(model.id == model_id for model in list_models()):
            raise UsageError(f"model id {model_id!r} is taken; choose another or remove it first.")
        _write_user_models([*_user_models(), spec])
    return spec


def unregister(model_id: str) -> None:
    """Take a model out of the user's catalogue; its file stays."""
    with locked_folder(cache_folder(), wait_s=_PATIENCE_S):
        _write_user_models([model for model in _user_models() if model.id != model_id])


def _write_user_models(models: list[ModelSpec]) -> None:
    _write_catalogue(user_catalogue(), [model.entry() for model in models])


def _write_catalogue(path: Path, entries: list[dict]) -> None:
    with atomic_open(path) as stream:
        json.dump({"version": CATALOGUE_VERSION, "models": entries}, stream, indent=2, ensure_ascii=False)
        stream.write("\n")


def record_checksum(model_id: str, catalogue: Path | None = None) -> ModelSpec:
    """For developers: write size and sha256 of a built-in model's file, as it is now, into the package's catalogue.

    `python -m CardiacValveLandmarksLib.models.catalogue ID`, after training new built-in weights.
    """
    path = find_model(model_id).weights_path
    (sha256,) = checksums(path, "sha256")
    return _record(model_id, catalogue, sha256=sha256, size=path.stat().st_size)


def record_decision(model_id: str, decision: Decision, catalogue: Path | None = None) -> ModelSpec:
    """For developers: write a built-in model's calibration (training.calibrate) into the package's catalogue."""
    return _record(model_id, catalogue, decision=decision)


def _record(model_id: str, catalogue: Path | None, **changes) -> ModelSpec:
    spec = find_model(model_id)
    if spec.origin != "built-in":
        raise UsageError(f"{model_id} is not built in.")
    new = replace(spec, **changes)
    path = catalogue or RESOURCES / "models.json"
    _write_catalogue(path, [new.entry() if e["id"] == model_id else dict(e) for e in _read_catalogue(path)])
    return new


if __name__ == "__main__":
    import sys

    for argument in sys.argv[1:]:
        recorded = record_checksum(argument)
        print(f"{recorded.id}: {recorded.size} bytes, sha256 {recorded.sha256}")

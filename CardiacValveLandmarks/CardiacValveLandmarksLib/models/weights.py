"""Reading weight files: what a file is, and its tensors, without ever running code from it."""

from __future__ import annotations

import importlib.util
import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..errors import ModelError

#: names under which checkpoints of common trainers keep the network beside other things
_NESTED = ("net", "network", "model", "state_dict", "model_state_dict")


def has_package(name: str) -> bool:
    """Whether a package can be imported, without importing it."""
    return importlib.util.find_spec(name) is not None


def file_kind(path: str | os.PathLike) -> str:
    """ "onnx", "torchscript" or "state-dict", by what the file is. ModelError for anything else."""
    path = Path(path)
    if path.suffix.lower() == ".onnx":
        return "onnx"
    try:
        with path.open("rb") as stream:
            start = stream.read(16)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                names = {name.split("/", 1)[-1] for name in archive.namelist()}
            if "data.pkl" in names:
                return "torchscript" if "constants.pkl" in names else "state-dict"
        elif start[:1] == b"\x80":  # a pickle: torch's old format
            return "state-dict"
    except (OSError, zipfile.BadZipFile) as error:
        raise ModelError(path, "a model file that can be read", str(error)) from error
    raise ModelError(
        path,
        "weights (.pt), a TorchScript archive or an .onnx file",
        "something else" if start else "an empty file",
        "Download or copy the file again.",
    )


def read_state_dict(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The tensors of a torch checkpoint by name. Needs torch; a pickle that holds code is refused, not run.

    Accepts a plain state dict or one nested under a name trainers use (net, network, model, state_dict).
    """
    if not has_package("torch"):
        raise ModelError(
            path,
            "the package torch to read these weights",
            "it is not installed",
            "Install torch, or use a model in ONNX form (the built-in one needs no torch).",
        )
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).splitlines()[0]
        raise ModelError(
            path,
            "weights only",
            f"a pickle that holds more than tensors; it was refused and nothing in it was run ({reason})",
            "Save the network's state_dict() alone.",
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, AttributeError) as error:
        raise ModelError(path, "a torch checkpoint", f"{error}", "Download or copy the file again.") from error
    if isinstance(content, Mapping):
        for name in _NESTED:
            if isinstance(content.get(name), Mapping):
                content = content[name]
                break
    if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise ModelError(path, "a state dict (tensors by name)", f"a {type(content).__name__} with other things in it")
    return {
        str(name): value.detach().float().numpy() if value.is_floating_point() else value.detach().numpy()
        for name, value in content.items()
    }


def read_onnx_weights(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The named constants of an ONNX file (those `conversion.export_module` writes carry torch's names)."""
    if not has_package("onnx"):
        raise ModelError(path, "the package onnx to read these weights into torch", "it is not installed")
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(os.fspath(path))
    except (OSError, DecodeError) as error:
        raise ModelError(path, "an ONNX model", str(error), "Download or copy the file again.") from error
    weights = {constant.name: onnx.numpy_helper.to_array(constant) for constant in model.graph.initializer}
    for node in model.graph.node:  # the exporter keeps one of several equal tensors, and names for the others
        if node.op_type == "Identity" and node.input[0] in weights:
            weights[node.output[0]] = weights[node.input[0]]
    return weights


def check_shapes(path: str | os.PathLike, found: Mapping, expected: Mapping, architecture: str) -> None:
    """ModelError naming the first tensors that differ. Values need only have `.shape`.

    Counters of batch norms (`num_batches_tracked`) play no part in inference and may be missing.
    """
    differences = []
    for name, value in expected.items():
        if name not in found:
            if not name.endswith("num_batches_tracked"):
                differences.append(f"{name} is missing")
        elif tuple(found[name].shape) != tuple(value.shape):
            differences.append(f"{name} is {tuple(found[name].shape)} and not {tuple(value.shape)}")
    differences += [f"{name} is unknown" for name in found if name not in expected]
    if differences:
        shown = "; ".join(differences[:3]) + (f"; and {len(differences) - 3} more" if len(differences) > 3 else "")
        raise ModelError(path, f"the {len(expected)} tensors of {architecture}", shown, "Choose the right weights.")

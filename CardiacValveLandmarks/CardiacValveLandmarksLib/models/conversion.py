"""Torch weights -> ONNX, once; kept in the cache by the weights' checksum."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelError
from ..files import atomic_open
from .architectures import ARCHITECTURES, Architecture
from .cache import conversions_folder
from .weights import check_shapes, has_package, read_state_dict

if TYPE_CHECKING:
    import numpy as np
    import torch


def conversion_path(checksum: str, architecture: Architecture) -> Path:
    """Where the ONNX form of the weights with this sha256 is kept."""
    return conversions_folder() / f"{checksum}-{architecture.name}-{architecture.version}.onnx"


def known_architecture(checksum: str) -> str | None:
    """The architecture of weights that were converted before, without reading them (which needs torch)."""
    for name, architecture in ARCHITECTURES.items():
        if conversion_path(checksum, architecture).is_file():
            return name
    return None


def can_convert() -> bool:
    """Whether the packages that a conversion needs are there."""
    return has_package("torch") and has_package("onnx")


def onnx_form(path: str | os.PathLike, checksum: str, architecture: Architecture) -> Path:
    """The ONNX file of these torch weights; made now when it is not in the cache. Needs torch and onnx only then.

    checksum: sha256 of the file. ModelError where a package is missing or the tensors do not fit.
    """
    kept = conversion_path(checksum, architecture)
    if kept.is_file():
        return kept
    for package in ("torch", "onnx"):
        if not has_package(package):
            raise ModelError(
                path,
                f"the package {package}, needed once to convert these weights for ONNX Runtime",
                "it is not installed",
                f"Install {package}, run once, and remove it again if you like; or use the built-in model.",
            )
    weights = read_state_dict(path)
    check_shapes(path, weights, architecture.state(weights), architecture.name)
    model = architecture.to_onnx(weights)
    with atomic_open(kept, "wb") as stream:
        stream.write(model)
    return kept


def remove_conversions(checksum: str = "") -> list[Path]:
    """Delete the kept conversions of these weights, or of all; returns what was deleted."""
    found = list(conversions_folder().glob(f"{checksum}*-*.onnx"))
    for path in found:
        path.unlink()
    return found


def export_module(
    module: torch.nn.Module, example: Mapping[str, np.ndarray], outputs: tuple[str, ...], dynamic: Mapping[str, dict]
) -> bytes:
    """A serialised ONNX model of a torch module in evaluation mode; its constants keep torch's tensor names,
    so that the torch engine can read them back.

    example: an array for each input by name, in the order of the module's arguments.
    dynamic: per input or output name, which axes may vary, as `torch.onnx.export` takes them.
    """
    import torch

    buffer = io.BytesIO()
    torch.onnx.export(
        module.eval(),
        tuple(torch.from_numpy(array) for array in example.values()),
        buffer,
        input_names=list(example),
        output_names=list(outputs),
        dynamic_axes=dict(dynamic),
        opset_version=17,
        # evaluation mode without torch's own fusing (it renames the weights); ONNX Runtime fuses when it loads
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
        dynamo=False,  # the newer exporter needs one more package
    )
    return buffer.getvalue()

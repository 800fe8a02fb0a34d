"""Networks as torch modules with the weights of a model file, to look into or to train on. Needs torch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..errors import ModelError
from .architectures import ARCHITECTURES, Architecture
from .spec import ModelSpec
from .weights import check_shapes, file_kind, read_onnx_weights, read_state_dict

if TYPE_CHECKING:
    from torch import nn


def load_network(path: str | os.PathLike, architecture: Architecture) -> nn.Module:
    """The network as it is exported, with the weights of a state dict or of its ONNX form, in evaluation mode.

    Its size is the file's. ModelError where the file cannot be read or holds other tensors.
    """
    if file_kind(path) == "onnx":  # a graph has constants of its own beside the weights
        found = {name.removeprefix(architecture.prefix): array for name, array in read_onnx_weights(path).items()}
        expected = architecture.state(found)
        if not expected.keys() & found.keys():
            raise ModelError(
                path,
                f"a graph that keeps the tensors of {architecture.name} by name",
                "a graph whose weights were merged for speed",
                "Use the torch checkpoint it was made from.",
            )
        weights = {name: array for name, array in found.items() if name in expected}
    else:
        weights = read_state_dict(path)
        expected = architecture.state(weights)
    check_shapes(path, weights, expected, architecture.name)
    return architecture.load(weights)


def torch_network(spec: ModelSpec) -> nn.Module:
    """The trainable network of a resolved model (`resolve_model`), float32 on the CPU, in evaluation mode.

    A `HeatmapNet` (image, view -> heat-map logits, view logits) or a `PublishedNetwork` (image -> (N, 2, 10)
    pixels), whatever form its weights were kept in: torch or ONNX, half or full size.
    ModelError: a model that brings its own graph has no network of ours; or the file does not fit.
    """
    from .heatmap import ExportedHeatmapNet

    architecture = ARCHITECTURES.get(spec.architecture)
    path = spec.path or spec.weights_path
    if architecture is None:
        raise ModelError(
            path,
            f"weights of {' or '.join(ARCHITECTURES)}",
            f"{spec.id} brings its own graph, which can be run but not taken apart",
            "Use the built-in model or the published one; of recipe xue-heatmap train with export=torchscript.",
        )
    network = load_network(path, architecture)
    return network.net if isinstance(network, ExportedHeatmapNet) else network

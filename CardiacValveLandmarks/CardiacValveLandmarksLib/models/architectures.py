"""The networks whose weights this library can load, by the names the catalogue uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import nn

#: any file that brings its own graph: TorchScript or ONNX, `image` (B, 1, H, W) -> `heatmaps` (B, N + 1, H, W)
OWN_GRAPH = "own-graph"


@dataclass(frozen=True)
class Architecture:
    """build: makes the torch module. to_onnx: its tensors by name -> a serialised ONNX model.

    inputs, outputs: names of the arrays an engine takes and gives, in the order of the module's arguments.
    version: raised when `to_onnx` changes what it writes, so that kept conversions are made anew.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    build: Callable[[], nn.Module]
    to_onnx: Callable[[Mapping[str, np.ndarray]], bytes]
    version: int


def _build_published() -> nn.Module:
    from .published import PublishedNetwork

    return PublishedNetwork()


def _published_to_onnx(weights: Mapping[str, np.ndarray]) -> bytes:
    from .published_onnx import build_onnx

    return build_onnx(weights)


ARCHITECTURES: dict[str, Architecture] = {
    architecture.name: architecture
    for architecture in (
        Architecture("published-regressor", ("image",), ("points",), _build_published, _published_to_onnx, 1),
    )
}

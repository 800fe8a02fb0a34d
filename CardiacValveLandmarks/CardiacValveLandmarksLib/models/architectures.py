"""The networks whose weights this library can load, by the names the catalogue uses."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor, nn

#: any file that brings its own graph: TorchScript or ONNX, `image` (B, 1, H, W) -> `heatmaps` (B, N + 1, H, W)
OWN_GRAPH = "own-graph"


@dataclass(frozen=True)
class Architecture:
    """build: makes the torch module; given the tensors of a file by the module's names (anything with `.shape`), of
    the size the file has. to_onnx: its tensors by name -> a serialised ONNX model.

    inputs, outputs: names of the arrays an engine takes and gives, in the order of the module's arguments.
    version: raised when `to_onnx` changes what it writes, so that kept conversions are made anew.
    prefix: what the module's tensor names have in front of those in a weights file.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    build: Callable[[Mapping[str, np.ndarray] | None], nn.Module]
    to_onnx: Callable[[Mapping[str, np.ndarray]], bytes]
    version: int
    prefix: str = ""

    def state(self, like: Mapping[str, np.ndarray] | None = None) -> dict[str, Tensor]:
        """The tensors of a new network, by the names they have in a weights file; like: as large as these."""
        return {name.removeprefix(self.prefix): value for name, value in self.build(like).state_dict().items()}

    def load(self, weights: Mapping[str, np.ndarray]) -> nn.Module:
        """The network with these tensors, whose names and shapes were checked, in evaluation mode."""
        import torch

        module = self.build(weights)
        tensors = {self.prefix + name: torch.from_numpy(np.array(array)) for name, array in weights.items()}
        # not strict: only counters of batch norms, which play no part here, may be missing
        module.load_state_dict(tensors, strict=False)
        return module.eval()


def _build_published(like: Mapping[str, np.ndarray] | None = None) -> nn.Module:
    from .published import PublishedNetwork

    return PublishedNetwork()


def _published_to_onnx(weights: Mapping[str, np.ndarray]) -> bytes:
    from .published_onnx import build_onnx

    return build_onnx(weights)


def _build_heatmap(like: Mapping[str, np.ndarray] | None = None) -> nn.Module:
    from .heatmap import ExportedHeatmapNet, HeatmapNet

    sizes = {}
    if like is not None and {"stem.weight", "head.weight", "view_head.2.weight"} <= like.keys():
        steps = itertools.takewhile(like.__contains__, (f"down.{level}.first.weight" for level in itertools.count(1)))
        sizes = {
            "landmarks": like["head.weight"].shape[0] - 1,
            "classes": like["view_head.2.weight"].shape[0],
            "widths": (like["stem.weight"].shape[0], *(like[name].shape[0] for name in steps)),
        }
    return ExportedHeatmapNet(HeatmapNet(**sizes))


def _heatmap_to_onnx(weights: Mapping[str, np.ndarray]) -> bytes:
    from .conversion import export_module
    from .heatmap import HEATMAPS, IMAGE, VIEW, VIEW_PROBABILITIES

    example = {IMAGE: np.zeros((1, 1, 128, 128), np.float32), VIEW: np.zeros((1, 3), np.float32)}
    plane = {0: "n", 2: "rows", 3: "columns"}
    dynamic = {IMAGE: plane, VIEW: {0: "n"}, HEATMAPS: plane, VIEW_PROBABILITIES: {0: "n"}}
    module = ARCHITECTURES["heatmap-unet"].load(weights)
    return export_module(module, example, (HEATMAPS, VIEW_PROBABILITIES), dynamic)


ARCHITECTURES: dict[str, Architecture] = {
    architecture.name: architecture
    for architecture in (
        Architecture("published-regressor", ("image",), ("points",), _build_published, _published_to_onnx, 1),
        Architecture(
            "heatmap-unet",
            ("image", "view"),
            ("heatmaps", "view_probabilities"),
            _build_heatmap,
            _heatmap_to_onnx,
            1,
            prefix="net.",
        ),
    )
}

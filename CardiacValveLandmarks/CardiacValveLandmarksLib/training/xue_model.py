"""Files of a network trained by the recipe xue-heatmap: weights to go on from, and a model for `cvl detect --model`."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ModelError
from ..files import atomic_open, atomic_path
from ..landmarks import by_number
from ..models.catalogue import write_description
from ..short_axis import SHORT_AXIS_POINTS
from .checkpoint import save_tensors

if TYPE_CHECKING:
    from torch import nn

    from .recipes.xue_heatmap import XueSettings

_WEIGHTS = "weights.pt"


def point_keys(settings: XueSettings) -> list[str]:
    """What each channel is, by the tables' keys."""
    if settings.points == "sax":
        return [point.key for point in SHORT_AXIS_POINTS]
    return [by_number(number).key for number in settings.landmarks]


def load_weights(net: nn.Module, settings: XueSettings) -> None:
    """Put the weights of `settings.init`, a weights.pt of an earlier run, into a network of the same shape.

    ModelError: not such a file, of other points, other pixels, or another network.
    """
    content, path = _read_weights(settings.init), Path(settings.init)
    expected = {"points": point_keys(settings), "spacing_mm": settings.spacing_mm}
    for name, value in expected.items():
        if content[name] != value:
            raise ModelError(path, f"{name} {value}", str(content[name]), "Give the settings of that run.")
    ours = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    its = {name: tuple(tensor.shape) for name, tensor in content["net"].items()}
    if ours != its:
        differ = sorted(name for name in {*ours, *its} if ours.get(name) != its.get(name))
        raise ModelError(
            path,
            f"a network of widths {settings.widths} and {settings.blocks} blocks a level",
            f"another one ({differ[0]}: {its.get(differ[0])}, not {ours.get(differ[0])})",
            "Set widths and blocks as in that run's settings.json.",
        )
    net.load_state_dict(content["net"])


def _read_weights(path: str) -> dict:
    import torch

    wanted = "weights.pt of a run of xue-heatmap"
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise ModelError(path, wanted, str(error).splitlines()[0]) from error
    if not isinstance(content, dict) or not {"points", "spacing_mm", "synthetic_only", "net"} <= content.keys():
        raise ModelError(path, wanted, "something else", "It is written at the end of a run.")
    return content


def is_synthetic_only(settings: XueSettings) -> bool:
    """Whether such a run sees synthetic images only, the run it begins with included."""
    return not settings.datasets and (not settings.init or _read_weights(settings.init)["synthetic_only"])


def write_model(net: nn.Module, settings: XueSettings, folder: Path, synthetic_only: bool) -> Path:
    """weights.pt; model.onnx or model.ts, (B, 1, H, W) -> (B, points + 1, H, W) probabilities; and model.json, its
    description. Returns the model's path."""
    import torch

    from ..models.conversion import export_module
    from ..models.published_unet import Probabilities

    content = {
        "points": point_keys(settings),
        "spacing_mm": settings.spacing_mm,
        "synthetic_only": synthetic_only,
        "net": net.state_dict(),
    }
    save_tensors(folder / _WEIGHTS, content)
    module = Probabilities(net).eval()
    example = np.zeros((1, 1, settings.size, settings.size), np.float32)
    if settings.export == "onnx":
        plane = {0: "n", 2: "rows", 3: "columns"}
        path = folder / "model.onnx"
        model = export_module(module, {"image": example}, ("heatmaps",), {"image": plane, "heatmaps": plane})
        with atomic_open(path, "wb") as stream:
            stream.write(model)
    else:
        path = folder / "model.ts"
        with atomic_path(path) as temporary, torch.no_grad():
            torch.jit.trace(module, torch.from_numpy(example)).save(str(temporary))
    write_description(path, _entry(settings, synthetic_only))
    return path


def _entry(settings: XueSettings, synthetic_only: bool) -> dict:
    """The catalogue entry beside the model, but for the file."""
    axis = "short-axis" if settings.points == "sax" else "long-axis"
    return {
        "id": f"xue-{settings.points}-{settings.sequence.lower()}",
        "title": f"Heat-map network after Xue et al. 2021, {axis} {settings.sequence}",
        "kind": "short-axis" if settings.points == "sax" else "heatmap",
        "landmarks": list(range(1, len(SHORT_AXIS_POINTS) + 1) if settings.points == "sax" else settings.landmarks),
        "architecture": "own-graph",
        "input": {
            "spacing_mm": settings.spacing_mm,
            "size": [settings.size, settings.size],
            "channels": 1,
            "intensity": settings.intensity,
            "one_handed": settings.one_handed,
            "view_input": False,
        },
        "symmetries": "none",
        "licence": "MIT" if synthetic_only else "unknown",
        "citation": "Training and network after Xue et al., Radiology: Artificial Intelligence 2021;3(5):e200197.",
        "intended_use": "Research. Trained by the user; see settings.json beside it.",
        "synthetic_only": synthetic_only,
        "decision": None,
    }

"""The state of a run between two steps, kept in one file: written whole or not at all, checked when read."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import torch
from torch import nn

from ..errors import ModelError
from ..files import atomic_open
from ..landmarks import LANDMARKS
from .recipes import Recipe

CHECKPOINT_FILE = "checkpoint.pt"
_VERSION = 1


@dataclass
class RunState:
    """What a run is made of between two steps. step: steps done. average: running mean of the weights, or None.
    history: validations so far, {"step": …, figure: …} each. best: weights of the best of them by the recipe's
    monitor, and its figure."""

    net: nn.Module
    optimiser: torch.optim.Optimizer
    average: nn.Module | None = None
    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict | None = None


def _identity(recipe: Recipe) -> dict:
    """What must be the same when a run goes on."""
    settings = {key: value for key, value in asdict(recipe.settings).items() if key not in recipe.settings.may_change}
    return {
        "version": _VERSION,
        "recipe": recipe.name,
        "landmarks": [landmark.key for landmark in LANDMARKS],
        "data": recipe.fingerprint(),
        "settings": settings,
    }


def save_tensors(path: Path, content: Mapping) -> None:
    """torch.save, whole or not at all, and on the disk when it returns. InputError where it cannot be written."""
    buffer = io.BytesIO()  # torch turns a full disk into an error of its own; a plain write says what it is
    torch.save(content, buffer)
    with atomic_open(path, "wb") as stream:
        stream.write(buffer.getbuffer())
        stream.flush()
        os.fsync(stream.fileno())


def save_checkpoint(folder: Path, recipe: Recipe, state: RunState) -> None:
    """Replace the run's checkpoint. InputError where it cannot be written; the one before is then untouched."""
    content = {
        **_identity(recipe),
        "net": state.net.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "average": None if state.average is None else state.average.state_dict(),
        "step": state.step,
        "history": state.history,
        "best": state.best,
    }
    save_tensors(folder / CHECKPOINT_FILE, content)


def load_checkpoint(folder: Path, recipe: Recipe, state: RunState) -> bool:
    """Put the run's checkpoint into `state`; False where there is none.

    ModelError: damaged, or of another recipe, landmark table, data or settings than this run's; it says which.
    """
    path = folder / CHECKPOINT_FILE
    for left in folder.glob(f".partial-*-{CHECKPOINT_FILE}"):  # of a run that was killed while it wrote
        left.unlink()
    if not path.exists():
        return False
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        found = str(error).partition("\n")[0] or "an empty file"
        raise ModelError(path, "a checkpoint of a training run", found, _START_ANEW) from error
    if not isinstance(content, dict) or content.get("version") != _VERSION:
        raise ModelError(path, f"a checkpoint of version {_VERSION}", "something else", _START_ANEW)
    _compare(path, _identity(recipe), content, {f.name: f.default for f in fields(recipe.settings)})
    try:
        state.net.load_state_dict(content["net"])
        if state.average is not None:
            state.average.load_state_dict(content["average"])
        state.optimiser.load_state_dict(content["optimiser"])
    except (KeyError, RuntimeError, ValueError) as error:
        raise ModelError(path, f"the network of {recipe.name}", str(error).partition("\n")[0], _START_ANEW) from error
    state.step, state.history, state.best = content["step"], content["history"], content["best"]
    return True


_START_ANEW = "Choose another folder to start anew, or give the same data and settings again to go on."


def _compare(path: Path, expected: dict, found: dict, defaults: Mapping) -> None:
    if found["recipe"] != expected["recipe"]:
        raise ModelError(path, f"a checkpoint of {expected['recipe']}", f"one of {found['recipe']}", _START_ANEW)
    if found["landmarks"] != expected["landmarks"]:
        pairs = zip(expected["landmarks"], found["landmarks"], strict=False)
        number = next((i for i, (ours, its) in enumerate(pairs) if ours != its), len(found["landmarks"]))
        its = found["landmarks"][number] if number < len(found["landmarks"]) else "none"
        raise ModelError(
            path,
            f"a checkpoint of this landmark table ({len(expected['landmarks'])} landmarks)",
            f"one of another table ({len(found['landmarks'])}; number {number + 1} is {its})",
            "It was made by another version of this software: go on with that one, or start anew in another folder.",
        )
    # a setting that came later than the checkpoint had its default then
    ours = expected["settings"]
    its = {**{key: value for key, value in defaults.items() if key in ours}, **found["settings"]}
    # tuples come back as they were, but a file made elsewhere may hold lists
    differ = [key for key in sorted({*ours, *its}) if _plain(ours.get(key)) != _plain(its.get(key))]
    if differ:
        name = differ[0]
        raise ModelError(path, f"{name} {ours.get(name)!r}, as now given", f"{its.get(name)!r}", _START_ANEW)
    if found["data"] != expected["data"]:
        raise ModelError(path, "a checkpoint of these training data", "one of other data", _START_ANEW)


def _plain(value):
    return list(value) if isinstance(value, tuple) else value

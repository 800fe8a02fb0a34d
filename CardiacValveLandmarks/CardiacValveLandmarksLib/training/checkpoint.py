"""The state of a run between two steps, kept in one file: written whole or not at all, checked when read."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import torch
from torch import Tensor, nn

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

    ModelError: damaged, incomplete, or of another recipe, landmark table, data or settings than this run's; it says
    which.
    """
    path = folder / CHECKPOINT_FILE
    for left in folder.glob(f".partial-*-{CHECKPOINT_FILE}"):  # of a run that was killed while it wrote
        left.unlink()
    if not path.exists():
        return False
    content = _read(path)
    _compare(path, _identity(recipe), content, {f.name: f.default for f in fields(recipe.settings)})
    try:
        state.net.load_state_dict(content["net"])
        if state.average is not None:
            state.average.load_state_dict(content["average"])
        state.optimiser.load_state_dict(content["optimiser"])
        if content["best"] is not None and _shapes(content["best"]["net"]) != _shapes(state.net.state_dict()):
            raise ValueError("other tensors in the best weights")
    except (KeyError, IndexError, AttributeError, TypeError, RuntimeError, ValueError) as error:
        raise ModelError(path, f"the network of {recipe.name}", str(error).partition("\n")[0], _START_ANEW) from error
    state.step, state.history, state.best = content["step"], content["history"], content["best"]
    return True


_START_ANEW = "Choose another folder to start anew, or give the same data and settings again to go on."
_COPY_AGAIN = "Copy the file again, or choose another folder to start anew."


def _read(path: Path) -> dict:
    """The content of a checkpoint, of which the network's and the optimiser's parts are not looked into."""
    try:
        damaged = _damaged_record(path)
        if damaged is None:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        found = str(error).partition("\n")[0] or "an empty file"
        raise ModelError(path, "a checkpoint of a training run", found, _COPY_AGAIN) from error
    if damaged is not None:
        found = f"a damaged file: its part {damaged} does not have the checksum it was written with"
        raise ModelError(path, "a checkpoint of a training run", found, _COPY_AGAIN)
    if not isinstance(content, dict) or content.get("version") != _VERSION:
        raise ModelError(path, f"a checkpoint of version {_VERSION}", "something else", _START_ANEW)
    for name, (kind, holds) in _CONTENT.items():
        if name not in content:
            raise ModelError(path, f"a checkpoint with {name}", "none in it", _COPY_AGAIN)
        if not holds(content[name]):
            found = f"something else ({type(content[name]).__name__})"
            raise ModelError(path, f"a checkpoint with {name}: {kind}", found, _COPY_AGAIN)
    return content


_UNREADABLE = (
    OSError, RuntimeError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError,
    pickle.UnpicklingError, zipfile.BadZipFile, zlib.error, struct.error,
)  # fmt: skip


#: in the attributes of a part of an archive
_FOLDER = 0x10


def _damaged_record(path: Path) -> str | None:
    """The first part of a torch file that is not what was written, by the archive's CRC-32, which torch does not check
    as it reads."""
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
        # torch reads nothing of a part marked as a folder, and takes what the memory holds
        folder = next((record.filename for record in records if record.external_attr & _FOLDER), None)
        # torch.serialization.set_crc32_options(False) writes 0 for all
        return archive.testzip() if folder is None and any(record.CRC for record in records) else folder


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _are_names(values: object, kind: type) -> bool:
    """A list of texts, or a dict with texts as keys."""
    return isinstance(values, kind) and all(isinstance(value, str) for value in values)


def _are_figures(entry: object) -> bool:
    return _are_names(entry, dict) and "step" in entry and all(map(_is_number, entry.values()))


def _is_best(value: object) -> bool:
    if not isinstance(value, dict) or not _is_number(value.get("value")) or not _is_count(value.get("step")):
        return False
    return _are_names(value.get("net"), dict) and all(isinstance(tensor, Tensor) for tensor in value["net"].values())


#: what there is in a checkpoint: name -> what it must be, in words and as a check
_CONTENT: dict[str, tuple[str, Callable[[object], bool]]] = {
    "recipe": ("a name", lambda value: isinstance(value, str)),
    "landmarks": ("a list of names", lambda value: _are_names(value, list)),
    "data": ("a checksum", lambda value: isinstance(value, str)),
    "settings": ("values by name", lambda value: _are_names(value, dict)),
    "net": ("tensors by name", lambda value: isinstance(value, dict)),
    "optimiser": ("a state", lambda value: isinstance(value, dict)),
    "average": ("tensors by name, or None", lambda value: value is None or isinstance(value, dict)),
    "step": ("a count", _is_count),
    "history": ("a list of figures", lambda value: isinstance(value, list) and all(map(_are_figures, value))),
    "best": ("weights with their figure, or None", lambda value: value is None or _is_best(value)),
}


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in weights.items()}


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

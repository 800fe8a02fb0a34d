"""Settings of a training run: dataclasses, and the JSON file kept beside the model."""

from __future__ import annotations

import json
import math
import os
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ..errors import InputError, UsageError
from ..files import atomic_open

SETTINGS_FILE = "settings.json"
#: torch takes seeds below 2**64, and the loop adds to it at each step
_SEEDS = 2**63


@dataclass(frozen=True)
class LoopSettings:
    """What every recipe needs; a recipe's own settings derive from it and set its defaults. All numbers are finite.

    steps: optimiser steps in all. substeps: successive steps on the same batch. batch: images a step.
    average: decay of a running mean of the weights, which is then what is validated and kept; 0: none.
    clip_norm: the gradient's norm is cut to this; 0: not.
    checkpoint_every, validate_every, log_every: steps between; validate_every 0: never.
    device: cpu, cuda or cuda:N, as given, never another.
    bfloat16: forward pass in mixed precision; None: where the device has instructions for it, so that a run on another
    processor may be rounded otherwise, as one on another device is.
    threads: of torch on the CPU. workers: processes that prepare batches ahead; 0: none, in turn with the steps.
    chunk: images that go through the network at once; 0: the whole batch. Gradients add up over the chunks, so that a
    batch can be larger than memory; the same but for rounding, unless the network has batch norms.
    tensorboard: log for it too.
    """

    seed: int = 0
    steps: int = 1000
    substeps: int = 1
    batch: int = 32
    chunk: int = 0
    learning_rate: float = 1e-3
    average: float = 0.0
    clip_norm: float = 0.0
    checkpoint_every: int = 500
    validate_every: int = 0
    log_every: int = 50
    device: str = "cpu"
    bfloat16: bool | None = False
    threads: int = 1
    workers: int = 1
    tensorboard: bool = False

    #: 0 where the number of steps can follow from other settings
    least_steps: typing.ClassVar[int] = 1
    #: settings that may differ between a run and its continuation; all others decide the result
    may_change: typing.ClassVar[frozenset[str]] = frozenset(
        ("device", "threads", "workers", "checkpoint_every", "log_every", "tensorboard")
    )

    def __post_init__(self) -> None:
        for field in fields(self):
            self.require(field.name, _is_finite(getattr(self, field.name)), "finite numbers")
        self.require("steps", self.steps >= self.least_steps, f"at least {self.least_steps}")
        for name in ("substeps", "batch", "checkpoint_every", "log_every", "threads"):
            self.require(name, getattr(self, name) >= 1, "at least 1")
        self.require("seed", 0 <= self.seed < _SEEDS, f"from 0 to {_SEEDS - 1}")
        for name in ("chunk", "workers", "validate_every", "clip_norm"):
            self.require(name, getattr(self, name) >= 0, "0 or more")
        self.require("learning_rate", self.learning_rate > 0, "more than 0")
        self.require("device", re.fullmatch(r"cpu|cuda(:\d+)?", self.device) is not None, "cpu, cuda or cuda:N")
        self.require("average", 0 <= self.average < 1, "from 0 to below 1")

    def require(self, name: str, holds: bool, expected: str) -> None:
        """UsageError naming the setting unless it holds."""
        if not holds:
            raise UsageError(f"setting {name}: expected {expected}; found {getattr(self, name)!r}.")


def _is_finite(value: object) -> bool:
    values = value if isinstance(value, tuple) else (value,)
    return all(math.isfinite(item) for item in values if isinstance(item, float))


def make_settings(cls: type[LoopSettings], values: Mapping, where: str | os.PathLike) -> LoopSettings:
    """Settings of class `cls` with these values (JSON types), the rest as by default.

    where: what errors name. InputError: a name there is not, a value of another type. UsageError: out of range.
    """
    return cls(**typed_values(cls, values, where))


def typed_values(cls: type[LoopSettings], values: Mapping, where: str | os.PathLike) -> dict:
    """`values` (JSON types) as the settings of class `cls` have them. InputError as `make_settings`."""
    hints = typing.get_type_hints(cls)
    known = {field.name for field in fields(cls)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise InputError(where, f"settings among {', '.join(sorted(known))}", ", ".join(unknown))
    return {name: _as(hints[name], value, name, where) for name, value in values.items()}


def _as(kind, value, name: str, where: str | os.PathLike):
    """A JSON value as the annotated type: int, float, bool, str, tuple[X, ...] or X | None."""
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        if value is None:
            return None
        (kind,) = (part for part in typing.get_args(kind) if part is not type(None))
    if typing.get_origin(kind) is tuple and isinstance(value, (list, tuple)):
        return tuple(_as(typing.get_args(kind)[0], item, name, where) for item in value)
    if kind is float and type(value) in (int, float):
        try:
            return float(value)
        except OverflowError as error:
            raise InputError(where, f"{name} of type float", "a number beyond its range") from error
    if type(value) is not kind:
        label = getattr(kind, "__name__", str(kind)) if typing.get_origin(kind) is None else "a list"
        raise InputError(where, f"{name} of type {label}", repr(value))
    return value


def write_settings(folder: Path, recipe: str, settings: LoopSettings) -> None:
    """settings.json in `folder`: the recipe's name and every setting."""
    with atomic_open(folder / SETTINGS_FILE) as stream:
        json.dump({"recipe": recipe, **asdict(settings)}, stream, indent=2)
        stream.write("\n")


def read_settings(path: str | os.PathLike) -> dict:
    """What a settings file says: {"recipe": …, name: value …}, some or all of them. InputError: not such a file."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(path, "a settings file (JSON)", str(error)) from error
    if not isinstance(content, dict):
        raise InputError(path, "a settings file: one JSON object", f"a {type(content).__name__}")
    return content

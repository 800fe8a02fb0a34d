"""`cvl train`: a network by one of the recipes. Needs torch, and what the recipe needs (monai, onnx)."""

from __future__ import annotations

import argparse
import json
import sys
from importlib.util import find_spec
from pathlib import Path

from ..errors import InputError, UsageError
from ..training.settings import SETTINGS_FILE, make_settings, read_settings, typed_values

#: the recipe that makes the built-in model
_DEFAULT_RECIPE = "synthetic-heatmap"


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "train",
        help="train a network",
        description="Train a network. A run stopped at any moment goes on from its last checkpoint when the same "
        "command is given again, or just `cvl train -o DIR`. See docs/training.md.",
    )
    parser.add_argument(
        "-o", "--output", required=True, metavar="DIR", help="checkpoint, settings.json, logs and the trained model"
    )
    parser.add_argument("--recipe", metavar="NAME", help="what to train and how; a run in DIR goes on with its own")
    parser.add_argument(
        "--dataset",
        action="append",
        metavar="F.npz",
        help="labelled images in the published form, for the recipes that take some (--recipe); may be repeated",
    )
    parser.add_argument("--config", metavar="F.json", help="settings (default: those in DIR, if any)")
    add_settings(parser)
    parser.set_defaults(run=run)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """The settings of a run, as `given_settings` reads them."""
    parser.add_argument("--seed", type=int)
    parser.add_argument("--steps", type=int, help="optimiser steps in all")
    parser.add_argument("--batch", type=int, help="images a step")
    parser.add_argument("--threads", type=int, help="of the processor")
    parser.add_argument("--device", metavar="cpu|cuda[:n]")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other setting, as named in settings.json; VALUE as in JSON; may be repeated",
    )


def run(options: argparse.Namespace) -> int:
    if find_spec("torch") is None:
        raise UsageError("training needs torch: pip install '.[training]' in this project's folder.")
    from ..training.loop import train
    from ..training.recipes import recipe_class

    folder = Path(options.output)
    kept, where, told = given_settings(options, folder)
    if not (kept or options.recipe or options.config):
        raise UsageError(f"{folder} holds no run to go on with. For a new one name its --recipe, or give a --config.")
    recipe = recipe_class(kept.pop("recipe", None) or options.recipe or _DEFAULT_RECIPE)
    settings = settings_of(recipe.Settings, kept, where, told, recipe.name)
    print(f"Model: {train(recipe(settings, folder), folder, progress=say)}")
    return 0


def given_settings(options: argparse.Namespace, folder: Path) -> tuple[dict, str | Path, dict]:
    """The settings file's values, that file, and the values of the command line, which win."""
    own = folder / SETTINGS_FILE
    where = options.config or (own if own.is_file() else None)
    kept = {} if where is None else read_settings(where)
    if options.recipe and kept.get("recipe", options.recipe) != options.recipe:
        raise UsageError(f"--recipe {options.recipe}: {where} is of {kept['recipe']}; give another --config or -o.")
    told = {"datasets": options.dataset} if options.dataset else {}
    for name in ("seed", "steps", "batch", "threads", "device"):
        if getattr(options, name) is not None:
            told[name] = getattr(options, name)
    for item in options.set:
        name, equals, text = item.partition("=")
        if not equals:
            raise UsageError(f"--set {item}: expected NAME=VALUE.")
        told[name] = _json_or_text(text)
    return kept, where or "the settings", told


def settings_of(cls: type, kept: dict, where: str | Path, told: dict, recipe: str):
    """Settings of class `cls`, of a file and of the command line; each is named in its own errors."""
    if "datasets" in told and "datasets" not in cls.__dataclass_fields__:
        raise UsageError(f"--dataset: {recipe} makes its own images; name a recipe that takes some with --recipe.")
    try:
        typed_values(cls, told, "the command line")
    except InputError as error:
        raise UsageError(str(error)) from error
    return make_settings(cls, {**kept, **told}, where)


def _json_or_text(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def say(progress) -> None:
    """A line of progress (training.loop.Progress) on standard error."""
    minutes = round(progress.seconds_left / 60)
    left = f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
    if minutes < 2:
        left = f"{progress.seconds_left:.0f} s"
    figures = "".join(f", {key} {value:.3g}" for key, value in progress.validation.items() if key != "step")
    print(
        f"step {progress.step} of {progress.steps}: loss {progress.loss:.4f}{figures}; about {left} left",
        file=sys.stderr,
    )

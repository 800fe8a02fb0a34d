"""`cvl models`: what models there are; fetch, check, register and remove them."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from ..errors import ModelError, UsageError
from .numbers import positive


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser("models", help="list, download, verify, register and remove models")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    listing = actions.add_parser("list", help="the models there are and where their files belong")
    listing.set_defaults(run=_list)

    for name, run, text in (
        ("download", _download, "fetch weights; goes on where an earlier try stopped"),
        ("verify", _verify, "check size and checksum; without an id, of every model that is here"),
        ("remove", _remove, "delete downloaded weights and conversions; forget a registered model"),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("models", nargs="*", metavar="ID")
        action.add_argument("--all", action="store_true", help="every model of the catalogue, your own ones too")
        action.set_defaults(run=run)

    register = actions.add_parser(
        "register",
        help="add a model of your own: bundle folder, state dict (.pt), TorchScript or ONNX heat-map model",
        description="The file stays where it is and is checked by checksum from then on. A TorchScript file is a "
        "program of its author: register only what you trust.",
    )
    register.add_argument("path", metavar="PATH")
    register.add_argument("--id", required=True, help="its name, as in `--model NAME`")
    register.add_argument("--title")
    register.add_argument("--landmarks", metavar="1,2,…", type=_numbers, help="landmark numbers, in channel order")
    register.add_argument("--spacing", type=positive, metavar="MM", dest="spacing_mm", help="pixel spacing it works at")
    register.add_argument("--size", type=_numbers, metavar="ROWS,COLUMNS", help="the only image size it takes")
    register.add_argument(
        "--intensity", choices=("file", "frame", "percentile", "evened"), help="how images are scaled to [0, 1]"
    )
    register.add_argument("--symmetries", choices=("square", "rotations", "none"), help="its test-time ensemble")
    register.add_argument("--both-hands", action="store_true", help="it was trained with mirror images as well")
    register.add_argument("--licence")
    register.add_argument("--citation")
    register.set_defaults(run=_register)


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected numbers with commas between, found {text!r}") from None


def _chosen(options: argparse.Namespace, needed: bool) -> list | None:
    """The models named, all with --all, None where nothing was said and nothing is needed."""
    from ..models.catalogue import find_model, list_models

    if options.all and options.models:
        raise UsageError("give ids or --all, not both.")
    if options.all:
        return list_models()
    if not options.models:
        if needed:
            raise UsageError("give the id of a model (see `cvl models list`) or --all.")
        return None
    return [find_model(model_id) for model_id in options.models]


def _list(options: argparse.Namespace) -> int:
    from ..models.catalogue import DEFAULT_MODEL, list_models

    rows = [("id", "kind", "state", "licence", "title")]
    models = list_models()
    for model in models:
        here = model.weights_path.is_file()
        state = {True: {"download": "downloaded"}.get(model.origin, model.origin), False: "not here"}[here]
        name = model.id + (" *" if model.id == DEFAULT_MODEL else "")
        rows.append((name, model.kind, state, model.licence, model.title))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    print("\n* used when no model is named. Files (a download may also be copied there by hand):")
    for model in models:
        print(f"  {model.id}: {model.weights_path}")
        if model.source and not model.weights_path.is_file():
            print(f"    from {model.source}")
        if model.synthetic_only:
            print("    trained on synthetic images only")
        if model.training is not None:
            print(f"    {model.training['summary']}")
    return 0


def _progress(title: str) -> Callable[[int, int | None], None]:
    """A line on the terminal, at most ten times a second; nothing where stderr is not a terminal."""
    shown = [0.0]

    def show(done: int, total: int | None) -> None:
        finished = total is not None and done >= total
        if sys.stderr.isatty() and (finished or time.monotonic() - shown[0] > 0.1):
            shown[0] = time.monotonic()
            share = f" of {total / 1e6:.1f} MB, {100 * done / total:.0f} %" if total else " MB"
            print(f"\r{title}: {done / 1e6:.1f}{share}", end="\n" if finished else "", file=sys.stderr, flush=True)

    return show


def _download(options: argparse.Namespace) -> int:
    from ..models.catalogue import verify
    from ..models.download import download_model

    chosen = _chosen(options, needed=True)
    for model in [model for model in chosen if model.origin == "download" or not options.all]:
        path = download_model(model, _progress(model.id))
        print(f"{model.id}: {path} ({path.stat().st_size} bytes, sha256 {verify(model)})")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from ..models.catalogue import list_models, verify

    chosen = _chosen(options, needed=False)
    if chosen is None:
        chosen = [model for model in list_models() if model.weights_path.is_file()]
    status = 0
    for model in chosen:
        try:
            checksum = verify(model)
        except ModelError as error:
            print(f"{model.id}: NOT verified", flush=True)
            print(f"cvl: error: {error}", file=sys.stderr)
            status = error.exit_status
        else:
            known = "verified" if model.sha256 or model.md5 else "no checksum recorded to compare with"
            print(f"{model.id}: {known} (sha256 {checksum})")
    return status


def _remove(options: argparse.Namespace) -> int:
    from ..models.conversion import remove_conversions
    from ..models.download import remove_model

    chosen = _chosen(options, needed=True)
    removed = []
    for model in [model for model in chosen if model.origin != "built-in" or not options.all]:
        deleted = remove_model(model)
        removed += deleted
        done = "removed" if deleted else "was not here"
        left = "no longer registered" + ("; its file stays" if model.weights_path.exists() else "")
        print(f"{model.id}: {left if model.origin == 'user' else done}")
    if options.all:
        removed += remove_conversions()
    for path in removed:
        print(f"  deleted {path}")
    return 0


def _register(options: argparse.Namespace) -> int:
    from ..landmarks import N_LANDMARKS
    from ..models.catalogue import register
    from ..models.spec import ID_FORM, valid_id

    names = ("title", "landmarks", "spacing_mm", "size", "intensity", "symmetries", "licence", "citation")
    if not valid_id(options.id):
        raise UsageError(f"--id {options.id}: expected {ID_FORM}.")
    if options.landmarks and not (
        set(options.landmarks) <= set(range(1, N_LANDMARKS + 1))
        and len(set(options.landmarks)) == len(options.landmarks)
    ):
        raise UsageError(f"--landmarks: expected different numbers from 1 to {N_LANDMARKS}, found {options.landmarks}.")
    if options.size and (len(options.size) != 2 or min(options.size) < 8):
        raise UsageError(f"--size: expected ROWS,COLUMNS, each at least 8, found {options.size}.")
    changes = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if options.both_hands:
        changes["one_handed"] = False
    spec = register(options.path, options.id, **changes)
    print(f"{spec.id}: {spec.path} ({spec.architecture}, sha256 {spec.checksum})")
    return 0

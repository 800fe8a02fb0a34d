"""`cvl finetune`: a model learns from corrected studies. `cvl dataset`: corrected studies as a training set."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

from ..errors import InputError, UsageError
from .numbers import natural, share, share_or_none
from .train import add_settings, given_settings, say, settings_of


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "finetune",
        help="a model learns from corrected studies",
        description="Train a model of the catalogue further on corrected cines, mixed with images of the synthetic "
        "heart so that nothing is forgotten. Some patients are held out. The result is registered only where it is "
        "better on those and not worse on synthetic cines; both figures are printed. See docs/finetuning.md.",
    )
    add_corrections(parser)
    parser.add_argument(
        "-o", "--output", required=True, metavar="DIR", help="checkpoint, logs, the new model, finetuning.json"
    )
    parser.add_argument("--model", default="phantom-heatmap", metavar="ID|FILE", help="to begin from")
    parser.add_argument("--id", metavar="ID", help="of the new model (default: that of --model, with -tuned)")
    parser.add_argument("--no-register", action="store_true", help="leave the new model in DIR only")
    parser.add_argument("--held-out", type=share, default=0.25, metavar="SHARE", help="of the patients (default 0.25)")
    add_settings(parser)
    parser.set_defaults(run=run, recipe=None, dataset=None, config=None)

    parser = subparsers.add_parser(
        "dataset",
        help="corrected studies as a training set",
        description="Write the frames of corrected studies that count as a training set in the published NPZ form. "
        "Exact positions, the apex, and what a person decided are kept beside the published arrays.",
    )
    add_corrections(parser)
    parser.add_argument("-o", "--output", required=True, metavar="F.npz")
    parser.add_argument(
        "--test", type=share_or_none, default=0.1, metavar="SHARE", help="of the patients, for the test half"
    )
    parser.add_argument("--seed", type=natural, default=0, help="which patients those are")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    parser.set_defaults(run=run_dataset)


def add_corrections(parser: argparse.ArgumentParser) -> None:
    """Which corrected studies, and where their images are."""
    parser.add_argument(
        "studies",
        nargs="+",
        metavar="STUDY",
        help="study.json, NAME.json of cvl detect, a scene saved by Slicer (.mrb), an .npz of cvl dataset, or a folder",
    )
    parser.add_argument("--cines", metavar="DIR", help="the images, where the studies do not say or they have moved")
    parser.add_argument(
        "--placed-only", action="store_true", help="use only frames with points placed by hand, not those that followed"
    )


def read_given(options: argparse.Namespace) -> list:
    """The corrected cines of all studies named; says what was found."""
    from ..training.corrections import label_weights, read_all_corrections

    corrected = read_all_corrections(options.studies, options.cines)
    frames = sum(int(label_weights(one.landmarks, weight_of(options)).any(1).sum()) for one in corrected)
    patients = len({one.patient for one in corrected})
    print(f"{len(corrected)} corrected cines of {patients} patient(s), {frames} frames that count.")
    return corrected


def weight_of(options: argparse.Namespace) -> float:
    """How much points count that followed a correction nearby."""
    from ..training.corrections import PROPAGATED

    return 0.0 if options.placed_only else PROPAGATED


def run(options: argparse.Namespace) -> int:
    missing = [name for name in ("torch", "onnx") if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"fine-tuning needs {' and '.join(missing)}: pip install '.[training]' in this project's folder."
        )
    from ..models.catalogue import resolve_model
    from ..training.finetune import finetune, settings_class

    folder = Path(options.output)
    spec = resolve_model(options.model)
    kept, where, told = given_settings(options, folder)
    kept.pop("recipe", None)
    settings = settings_of(settings_class(spec), kept, where, told, "fine-tuning")
    outcome = finetune(
        read_given(options),
        folder,
        options.model,
        settings=settings,
        model_id=None if options.no_register else options.id or f"{spec.id}-tuned",
        held_out=options.held_out,
        propagated=weight_of(options),
        progress=say,
    )
    print("\n".join((*outcome.notes, outcome.comparison.text(), f"Model: {outcome.file}")))
    if outcome.registered:
        print(f"Registered: use it as `cvl detect --model {outcome.registered}`, or choose it in the panel.")
    return 0


def run_dataset(options: argparse.Namespace) -> int:
    from ..training.corrections import split
    from ..training.corrections_npz import write_corrections_npz

    path = Path(options.output)
    if path.exists() and not options.overwrite:
        raise InputError(path, "no such file", "one", "Choose another name, or give --overwrite.")
    corrected = read_given(options)
    train, test = corrected, []
    if options.test > 0 and len({one.patient for one in corrected}) > 1:
        train, test, _ = split(corrected, options.test, options.seed)
    counts = write_corrections_npz(path, train, test, weight_of(options))
    print(f"{path}: {counts['train']} training and {counts['test']} test images.")
    if not test:
        print("All of one patient, or no test half asked for: trainers will want patients to validate on.")
    return 0

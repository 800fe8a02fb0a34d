"""`cvl evaluate`: errors of a model on synthetic cines it has not seen."""

from __future__ import annotations

import argparse
import csv
import json
from dataclasses import asdict, fields

from ..errors import UsageError
from ..files import atomic_open, make_folder
from .progress import ProgressBar


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser("evaluate", help="measure a model on synthetic cines it has not seen")
    parser.add_argument("--model", default="phantom-heatmap", metavar="ID|FILE")
    parser.add_argument("--studies", type=int, default=20, help="synthetic patients, three views each (default 20)")
    parser.add_argument("--frames", type=int, default=6, help="frames a cine (default 6)")
    parser.add_argument("--hard", action="store_true", help="unusual anatomy and poor images")
    parser.add_argument("--other-views", action="store_true", help="planes that are none of the three views instead")
    parser.add_argument("--tell-view", action="store_true", help="state the true view instead of recognising it")
    parser.add_argument("--no-tta", action="store_true")
    parser.add_argument("-o", "--output", metavar="DIR", help="also write rows.csv and summary.json there")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ..landmarks import VIEWS
    from ..phantom.planes import OTHER_VIEWS
    from ..training.evaluate import Row, evaluate_synthetic, summarise

    if options.studies < 1 or options.frames < 2:
        raise UsageError("--studies must be at least 1 and --frames at least 2.")
    with ProgressBar("evaluate") as bar:
        rows = evaluate_synthetic(
            options.model,
            options.studies,
            kinds=OTHER_VIEWS if options.other_views else VIEWS,
            frames=options.frames,
            width=1.6 if options.hard else 1.0,
            contrast_width=1.6 if options.hard else 0.8,
            view="stated" if options.tell_view else "auto",
            tta=not options.no_tta,
            progress=bar.update,
        )
    summary = summarise(rows)
    for name, value in summary.items():
        print(f"{name:18} {value:.3f}" if isinstance(value, float) else f"{name:18} {value}")
    if options.output:
        folder = make_folder(options.output)
        with atomic_open(folder / "rows.csv") as stream:
            writer = csv.DictWriter(stream, [field.name for field in fields(Row)], lineterminator="\n")
            writer.writeheader()
            writer.writerows(asdict(row) for row in rows)
        with atomic_open(folder / "summary.json") as stream:
            finite = {name: value if value == value else None for name, value in summary.items()}
            json.dump({"settings": {k: v for k, v in vars(options).items() if k != "run"}, **finite}, stream, indent=1)
    return 0

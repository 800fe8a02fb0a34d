"""`cvl batch`: `cvl study` of many examinations, which goes on where it stopped."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from .. import __version__
from ..errors import UsageError
from .packages import require
from .study import add_study_options

#: what is this command's own, or differs between examinations
_OWN = {"command", "run", "debug", "root", "output", "workers", "scheduler", "overwrite", "images", "guide_points"}


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "batch",
        help="many examinations; goes on where it stopped",
        description="Runs `cvl study` on each folder in ROOT and writes a folder for each, batch.csv (what became of "
        "it) and measures.csv (all measures). Run again, it does what is new, changed, or failed.",
    )
    parser.add_argument("root", metavar="ROOT", help="a folder with a folder for each examination")
    parser.add_argument("-o", "--output", required=True, metavar="DIR")
    parser.add_argument("--workers", type=int, metavar="N", help="examinations at once (default: half of the CPUs)")
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="a Dask scheduler (tcp://…) whose workers see the same files"
    )
    add_study_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ..batch import BATCH_FILE, Batch
    from ..files import locked_folder
    from ..models.catalogue import resolve_model

    if options.scheduler is not None and options.workers is not None:
        raise UsageError("--workers and --scheduler: one of them; a scheduler has workers of its own.")
    if options.workers is not None and options.workers < 1:
        raise UsageError(f"--workers: expected at least 1, found {options.workers}.")
    for name in ("images", "guide_points"):
        if getattr(options, name) is not None:
            raise UsageError(f"--{name.replace('_', '-')} is of one examination: use cvl study or cvl export for it.")
    if options.scheduler is not None:
        require("distributed", "--scheduler", "--workers instead")
    if not options.no_report:
        require("matplotlib", "the report", "--no-report")
    told = {name: value for name, value in vars(options).items() if name not in _OWN}
    if Path(options.model).is_file():  # the processes may have other working folders
        told["model"] = str(Path(options.model).absolute())
    told["version"] = __version__  # results of two versions are no batch
    # nor are those of another model under the same name
    told["model_sha256"] = resolve_model(options.model).checksum
    workers = options.workers or max(1, (os.cpu_count() or 1) // 2)
    with locked_folder(options.output) as folder:
        batch = Batch(options.root, folder, told, options.overwrite)
        names = batch.pending()
        before = len(batch.examinations) - len(names)
        if before:
            print(f"{before} of {len(batch.examinations)} examinations were done before.")
        try:
            batch.run(names, workers, options.scheduler, _tell)
        finally:
            written = batch.write_tables()
    failed = [record for name in batch.examinations if not (record := batch.outcome(name)).done]
    print(f"Written to {folder}: {BATCH_FILE}, {', '.join(path.name for path in written)}, a folder each.")
    if failed:
        print(
            f"cvl: error: {len(failed)} of {len(batch.examinations)} examinations failed; see above.", file=sys.stderr
        )
        return failed[0].status or 1
    return 0


def _tell(record, done: int, of: int) -> None:
    what = f"done in {record.seconds:.0f} s" if record.done else f"failed: {record.message}"
    print(f"[{done}/{of}] {record.name}: {what}", file=sys.stdout if record.done else sys.stderr, flush=True)

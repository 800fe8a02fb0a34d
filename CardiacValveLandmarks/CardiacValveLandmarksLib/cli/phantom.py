"""`cvl phantom`: a synthetic study as DICOM series, with its truth."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import InputError, UsageError
from ..files import make_folder
from .numbers import natural


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "phantom",
        help="make a synthetic study with known landmarks",
        description="Make the cines of a synthetic beating heart: a DICOM series a view, and of 2CH, 3CH and 4CH the "
        "true landmarks (NAME_truth.csv).",
    )
    parser.add_argument("-o", "--output", required=True, metavar="DIR")
    parser.add_argument("--seed", type=natural, default=0, help="which patient (default 0)")
    parser.add_argument("--frames", type=int, default=25)
    parser.add_argument(
        "--views", default="2CH,3CH,4CH", help="comma-separated; also SAX, RV2CH, RVOT, oblique (default 2CH,3CH,4CH)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ..landmarks import VIEWS
    from ..phantom.cines import synthetic_study
    from ..phantom.planes import OTHER_VIEWS

    if options.frames < 5:  # fewer would be read as a dynamic series, not as a cine
        raise UsageError("--frames must be at least 5.")
    kinds = tuple(options.views.split(","))
    if unknown := [kind for kind in kinds if kind not in (*VIEWS, *OTHER_VIEWS)]:
        raise UsageError(f"--views {','.join(unknown)}: expected some of {', '.join((*VIEWS, *OTHER_VIEWS))}.")
    if len(set(kinds)) < len(kinds):
        raise UsageError(f"--views {options.views}: expected each once.")
    study = synthetic_study(options.seed, kinds=kinds, frames=options.frames)
    folder = make_folder(options.output)
    if any(folder.iterdir()):
        raise InputError(folder, "an empty folder", "files in it", "Choose another folder.")
    for path in write_study(study, folder, options.seed):
        print(path)
    return 0


def write_study(study, folder: Path, seed: int) -> list[Path]:
    """Every cine of a SyntheticStudy as a DICOM series in a folder of its own, NAME_truth.csv beside those of views."""
    from ..detection.files import write_csv
    from ..landmarks import VIEWS
    from ..phantom.dicom import write_dicom

    written = []
    for number, item in enumerate(study.items, 1):
        name = item.cine.name
        facts = {"series_description": name, "patient_id": f"SYNTHETIC-{seed}", "seed": seed}
        write_dicom(item.cine, folder / name, series_number=number, **facts)
        written.append(folder / name)
        if item.kind in VIEWS:  # the others show no landmark of the table
            write_csv(item.cine, item.truth, folder / f"{name}_truth.csv")
            written.append(folder / f"{name}_truth.csv")
    return written

"""`cvl phantom`: a synthetic study as DICOM series, with its truth."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import InputError, UsageError
from ..files import make_folder


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "phantom",
        help="make a synthetic study with known landmarks",
        description="Make the cines of a synthetic beating heart: a DICOM series a view, and its true landmarks "
        "(NAME_truth.csv).",
    )
    parser.add_argument("-o", "--output", required=True, metavar="DIR")
    parser.add_argument("--seed", type=int, default=0, help="which patient (default 0)")
    parser.add_argument("--frames", type=int, default=25)
    parser.add_argument(
        "--views", default="2CH,3CH,4CH", help="comma-separated; also SAX, RV2CH, RVOT, oblique (default 2CH,3CH,4CH)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ..phantom.cines import synthetic_study

    if options.frames < 5 or options.seed < 0:  # fewer would be read as a dynamic series, not as a cine
        raise UsageError("--frames must be at least 5 and --seed at least 0.")
    try:
        study = synthetic_study(options.seed, kinds=tuple(options.views.split(",")), frames=options.frames)
    except ValueError as error:
        raise UsageError(str(error)) from error
    folder = make_folder(options.output)
    if any(folder.iterdir()):
        raise InputError(folder, "an empty folder", "files in it", "Choose another folder.")
    for path in write_study(study, folder, options.seed):
        print(path)
    return 0


def write_study(study, folder: Path, seed: int) -> list[Path]:
    """Every cine of a SyntheticStudy as a DICOM series in a folder of its own, and NAME_truth.csv beside it."""
    from ..detection.files import write_csv
    from ..phantom.dicom import write_dicom

    written = []
    for number, item in enumerate(study.items, 1):
        name = item.cine.name
        write_dicom(item.cine, folder / name, series_number=number, series_description=name, seed=seed)
        write_csv(item.cine, item.truth, folder / f"{name}_truth.csv")
        written += [folder / name, folder / f"{name}_truth.csv"]
    return written

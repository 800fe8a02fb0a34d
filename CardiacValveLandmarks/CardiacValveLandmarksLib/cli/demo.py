"""`cvl demo`: the whole way on a synthetic study made on the spot, with its errors against the truth."""

from __future__ import annotations

import argparse

import numpy as np

from ..errors import InputError
from ..files import make_folder
from .detect import add_detection_options, write_results
from .phantom import write_study


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "demo",
        help="the whole way on a synthetic study made on the spot",
        description="Make a synthetic study, write it as DICOM, read it, find its landmarks, and print the errors "
        "against its truth.",
    )
    parser.add_argument("-o", "--output", required=True, metavar="DIR")
    parser.add_argument("--seed", type=int, default=2026, help="which synthetic patient")
    add_detection_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ..detection import detect
    from ..phantom.cines import synthetic_study
    from ..readers import read_cine

    folder = make_folder(options.output)
    if any(folder.iterdir()):
        raise InputError(folder, "an empty folder", "files in it", "Choose another folder.")
    print("Making a synthetic study (three views of a beating heart) and writing it as DICOM ...")
    study = synthetic_study(options.seed)
    write_study(study, folder / "dicom", options.seed)
    worst = 0.0
    print(f"{'view':6}{'landmark':22}{'present':>9}{'mean mm':>9}{'worst mm':>10}")
    for item in study.items:
        cine = read_cine(folder / "dicom" / item.cine.name)
        result = detect(cine, options.model, engine=options.engine, device=options.device, tta=not options.no_tta)
        write_results(cine, result, folder / "landmarks", item.cine.name)
        errors = np.linalg.norm((result.landmarks.positions - item.truth.positions) * cine.spacing, axis=-1)
        for line in _table(item, result, errors):
            print(line)
        worst = max(worst, float(np.nanmax(errors, initial=0)))
    print(f"The largest error is {worst:.1f} mm. Model: {result.model.title}; {result.engine}.")
    print(f"Pictures and landmarks are in {folder / 'landmarks'}, the DICOM series in {folder / 'dicom'}.")
    return 0


def _table(item, result, errors: np.ndarray):
    from ..landmarks import in_view

    if result.view != item.kind:
        yield f"{item.kind:6}recognised as {result.view or 'none of the views'}"
    for landmark in in_view(item.kind):
        column = errors[:, landmark.index]
        found = np.isfinite(column)
        truth = item.truth.present[:, landmark.index]
        present = f"{int((found & truth).sum())}/{int(truth.sum())}"
        figures = f"{column[found].mean():9.1f}{column[found].max():10.1f}" if found.any() else f"{'-':>9}{'-':>10}"
        yield f"{item.kind:6}{landmark.number:2} {landmark.name:19}{present:>9}{figures}"

"""`cvl demo`: the whole way on a synthetic study made on the spot, with its errors against the truth."""

from __future__ import annotations

import argparse

import numpy as np

from ..errors import InputError
from ..files import make_folder
from . import study as study_command
from .detect import add_detection_options, write_results
from .numbers import natural
from .packages import require
from .phantom import write_study

#: by this file `make demo` knows what it may remove
_MARK = ".made-by-cvl-demo"
#: measures shown against those of the true landmarks
_COMPARED = ("mapse_mean", "mapse_mean_4ch", "tapse", "lv_length_ed", "longitudinal_shortening", "mitral_area_ed")


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "demo",
        help="the whole way on a synthetic study made on the spot",
        description="Make a synthetic study, write it as DICOM, read it, find its landmarks, build rings, measures, "
        "FEM files and a report, and print the errors against its truth.",
    )
    parser.add_argument("-o", "--output", required=True, metavar="DIR")
    parser.add_argument("--seed", type=natural, default=2026, help="which synthetic patient")
    add_detection_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ..detection import detect
    from ..phantom.cines import synthetic_study
    from ..readers import read_cine
    from ..study_build import build_study

    require("PIL", "a picture")
    require("matplotlib", "the report")
    origin = study_command.origin_of(options)  # a model that is not there is told before anything is written
    folder = make_folder(options.output)
    if any(folder.iterdir()):
        raise InputError(folder, "an empty folder", "files in it", "Choose another folder.")
    (folder / _MARK).touch()
    print("Making a synthetic study (three views of a beating heart) and writing it as DICOM ...")
    synthetic = synthetic_study(options.seed)
    write_study(synthetic, folder / "dicom", options.seed)
    print(f"\nLandmarks\n{'view':6}{'landmark':22}{'present':>9}{'mean mm':>9}{'worst mm':>10}")
    results, truth = {}, []
    for item in synthetic.items:
        cine = read_cine(folder / "dicom" / item.cine.name)
        result = detect(cine, options.model, engine=options.engine, device=options.device, tta=not options.no_tta)
        write_results(cine, result, folder / "landmarks", item.cine.name)
        # a study names its cines anew, so that names tell nothing; the images say which is which
        results[hash(cine.frames.tobytes())] = result
        truth.append((cine, item.truth))
        for line in _landmark_table(item, result):
            print(line)
    print(f"Model: {result.model.title}; {result.engine}.\n\nStudy")
    arguments = argparse.ArgumentParser()
    study_command.add_parser(arguments.add_subparsers())
    told = arguments.parse_args(["study", str(folder / "dicom"), "-o", str(folder / "study"), "--model", options.model])
    status = study_command.run(told, lambda cine: results[hash(cine.frames.tobytes())], origin)
    print(f"\n{'measure':52}{'found':>8}{'true':>8}")
    found = build_study([(cine, results[hash(cine.frames.tobytes())].landmarks) for cine, _ in truth])
    true = build_study(truth)
    for key in _COMPARED:
        ours, theirs = found.measure(key), true.measure(key)
        if ours is not None and theirs is not None:
            print(f"{f'{ours.name}, {ours.unit}':52}{ours.value:8.1f}{theirs.value:8.1f}")
    print(f"{'mitral ring, RMS distance to the true one, mm':52}{_ring_error(found, synthetic):8.1f}{'':>8}")
    print(f"\nLook at {folder / 'study' / 'report.html'}, and at the pictures in {folder / 'landmarks'}.")
    return status


def _landmark_table(item, result):
    from ..landmarks import in_view

    errors = np.linalg.norm((result.landmarks.positions - item.truth.positions) * item.cine.spacing, axis=-1)
    if result.view != item.kind:
        yield f"{item.kind:6}recognised as {result.view or 'none of the views'}"
    for landmark in in_view(item.kind):
        column = errors[:, landmark.index]
        found = np.isfinite(column)
        truth = item.truth.present[:, landmark.index]
        present = f"{int((found & truth).sum())}/{int(truth.sum())}"
        figures = f"{column[found].mean():9.1f}{column[found].max():10.1f}" if found.any() else f"{'-':>9}{'-':>10}"
        yield f"{item.kind:6}{landmark.number:2} {landmark.name:19}{present:>9}{figures}"


def _ring_error(study, synthetic) -> float:
    """RMS distance of the mitral ring's nodes from the true ring, over all phases; NaN where there is no ring."""
    ring = study.annulus("mitral")
    if ring is None:
        return float("nan")
    squared = []
    for phase, nodes in zip(ring.phases, ring.nodes, strict=True):
        true = synthetic.ring("mitral", phase)
        squared.append((np.linalg.norm(nodes[:, None] - true, axis=-1).min(1)) ** 2)
    return float(np.sqrt(np.mean(squared)))

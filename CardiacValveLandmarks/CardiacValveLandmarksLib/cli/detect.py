"""`cvl detect`: landmarks of every frame of each cine."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from ..errors import InputError
from ..files import make_folder
from .packages import require
from .progress import ProgressBar
from .results import output_names, refuse_existing, whole_results

SUFFIXES = (".npy", ".csv", ".mrk.json", ".png", ".gif", ".json")


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "detect",
        help="find the landmarks in every frame of each cine",
        description="Find the landmarks in every frame of each cine. Writes NAME.npy (T, 2, 10), NAME.csv, NAME.json, "
        "NAME.mrk.json (first frame), and pictures NAME.png, NAME.gif.",
    )
    parser.add_argument("cines", nargs="+", metavar="CINE", help="a DICOM folder, a 4-D NIfTI, or a .seq.nrrd")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder for the results")
    add_detection_options(parser)
    parser.add_argument("--view", default="auto", choices=("auto", "2CH", "3CH", "4CH"))
    parser.add_argument("--no-pictures", action="store_true", help="write no NAME.png and NAME.gif")
    parser.add_argument("--overwrite", action="store_true", help="replace results that are there")
    parser.set_defaults(run=run)


def add_detection_options(parser: argparse.ArgumentParser) -> None:
    """The options every command that detects has."""
    parser.add_argument("--model", default="phantom-heatmap", metavar="ID|FILE", help="default: the built-in model")
    parser.add_argument("--engine", default="auto", choices=("auto", "torch", "onnx"))
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda[:n]")
    parser.add_argument("--no-tta", action="store_true", help="without the test-time ensemble: faster, less sure")


def run(options: argparse.Namespace) -> int:
    from ..detection import detect

    if not options.no_pictures:
        require("PIL", "a picture", "--no-pictures")
    cines = read_cines(options.cines)
    names, folder = output_names(cines, SUFFIXES), make_folder(options.output)
    if not options.overwrite:
        refuse_existing(folder / (name + suffix) for name in names for suffix in SUFFIXES)
    failed: list[InputError] = []
    for name, cine in zip(names, cines, strict=True):
        cine = cine.replace(name=name)
        try:
            with ProgressBar(name) as bar:
                result = detect(
                    cine, options.model, options.view, options.engine, options.device, not options.no_tta, bar.update
                )
        except InputError as error:  # of this cine; the others go on
            if len(cines) == 1:
                raise
            print(f"{name}: {error}", file=sys.stderr)
            failed.append(error)
            continue
        write_results(cine, result, folder, name, pictures=not options.no_pictures)
        _summarise(name, cine, result)
    if failed:
        print(f"cvl: error: {len(failed)} of {len(cines)} cines failed; see above.", file=sys.stderr)
        return failed[0].exit_status
    print(f"Results are in {folder}.")
    return 0


def read_cines(paths: Iterable[str]) -> list:
    """The cines of all paths; what is skipped is said on standard error."""
    from ..readers import scan

    cines = []
    for path in paths:
        found = scan(path)
        for skipped in found.skipped:
            print(f"skipped {skipped.source}: expected {skipped.expected}; found {skipped.found}", file=sys.stderr)
        cines.extend(found.cines)
    return cines


def write_results(cine, result, folder: Path, name: str, pictures: bool = True) -> list[Path]:
    """All files of one detection, whole or not at all; returns what was written. Markups need geometry and are left out
    without it."""
    from ..detection import files

    with whole_results(folder, name, SUFFIXES) as staging:
        paths = {suffix: staging / (name + suffix) for suffix in SUFFIXES}
        files.write_npy(result, paths[".npy"])
        files.write_csv(cine, result.landmarks, paths[".csv"])
        if cine.geometry is not None:
            files.write_markups(cine, result.landmarks, paths[".mrk.json"])
        if pictures:
            from ..overlay import write_animation, write_picture

            write_picture(cine, result.landmarks, paths[".png"])
            write_animation(cine, result.landmarks, paths[".gif"])
        files.write_json(cine, result, paths[".json"])
        return [folder / path.name for path in paths.values() if path.exists()]


def _summarise(name: str, cine, result) -> None:
    from ..landmarks import in_view

    if cine.source:
        print(f"{name} is {cine.source}")
    if result.view is None:
        print(f"{name}: view not recognised, no landmark given ({cine.n_frames} frames)")
    else:
        asked = [landmark.index for landmark in in_view(result.view) if landmark.number in result.model.landmarks]
        found = result.landmarks.present[:, asked]
        how = "stated" if result.settings["view_stated"] else f"recognised, {result.view_confidence:.2f}"
        print(f"{name}: {result.view} ({how}), {cine.n_frames} frames, {found.mean():.0%} of its landmarks present")
    if cine.geometry is None:
        print("  no patient geometry in the file: positions are pixels only, no .mrk.json")
    for warning in result.warnings:
        print(f"  {warning}")
    print(f"  model {result.model.id}; {result.engine}")

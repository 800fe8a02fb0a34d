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

SUFFIXES = (".npy", ".csv", ".json", ".mrk.json", ".png", ".gif")


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
    names, folder = output_names(cines), make_folder(options.output)
    if not options.overwrite:
        refuse_existing(folder / (name + suffix) for name in names for suffix in SUFFIXES)
    for name, cine in zip(names, cines, strict=True):
        with ProgressBar(name) as bar:
            result = detect(
                cine, options.model, options.view, options.engine, options.device, not options.no_tta, bar.update
            )
        write_results(cine, result, folder, name, pictures=not options.no_pictures)
        _summarise(name, cine, result)
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


def output_names(cines) -> list[str]:
    """Each cine's name, numbered where two inputs bring the same."""
    taken: dict[str, int] = {}
    names = []
    for cine in cines:
        taken[cine.name] = taken.get(cine.name, 0) + 1
        names.append(cine.name if taken[cine.name] == 1 else f"{cine.name}_{taken[cine.name]}")
    return names


def refuse_existing(paths: Iterable[Path]) -> None:
    """InputError for the first of the files that is there."""
    for path in paths:
        if path.exists():
            raise InputError(path, "no results from before", "a file", "Add --overwrite or choose another folder.")


def write_results(cine, result, folder: Path, name: str, pictures: bool = True) -> list[Path]:
    """All files of one detection; returns what was written. Markups need geometry and are left out without it."""
    from ..detection import files

    paths = {suffix: folder / (name + suffix) for suffix in SUFFIXES}
    files.write_npy(result, paths[".npy"])
    files.write_csv(cine, result.landmarks, paths[".csv"])
    written = [paths[".npy"], paths[".csv"]]
    if cine.geometry is not None:
        files.write_markups(cine, result.landmarks, paths[".mrk.json"])
        written.append(paths[".mrk.json"])
    if pictures:
        from ..overlay import write_animation, write_picture

        write_picture(cine, result.landmarks, paths[".png"])
        write_animation(cine, result.landmarks, paths[".gif"])
        written += [paths[".png"], paths[".gif"]]
    # last: its presence says that the others are complete
    files.write_json(cine, result, paths[".json"])
    return [*written, paths[".json"]]


def _summarise(name: str, cine, result) -> None:
    from ..landmarks import in_view

    if result.view is None:
        print(f"{name}: view not recognised, no landmark given ({cine.n_frames} frames)")
    else:
        found = result.landmarks.present[:, [landmark.index for landmark in in_view(result.view)]]
        how = "stated" if result.settings["view_stated"] else f"recognised, {result.view_confidence:.2f}"
        print(f"{name}: {result.view} ({how}), {cine.n_frames} frames, {found.mean():.0%} of its landmarks present")
    if cine.geometry is None:
        print("  no patient geometry in the file: positions are pixels only, no .mrk.json")
    for warning in result.warnings:
        print(f"  {warning}")
    print(f"  model {result.model.id}; {result.engine}")

"""`cvl sax`: RV insertions, LV centre and the A-RVI angle in every frame of short-axis cines."""

from __future__ import annotations

import argparse

import numpy as np

from ..files import make_folder
from .detect import read_cines
from .packages import require
from .progress import ProgressBar
from .results import output_names, refuse_existing, whole_results

SUFFIXES = ("_sax.csv", "_sax.png", "_sax.json")


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "sax",
        help="find the RV insertions and the LV centre in short-axis cines",
        description="Find the anterior and inferior RV insertion and the LV centre in every frame of short-axis cines, "
        "and the angle of the anterior insertion (A-RVI). Writes NAME_sax.csv, NAME_sax.json and NAME_sax.png. The "
        "model is one trained with `cvl train --recipe xue-heatmap --set points=sax`; see docs/training.md.",
    )
    parser.add_argument("cines", nargs="+", metavar="CINE", help="a DICOM folder, a 4-D NIfTI, or a .seq.nrrd")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder for the results")
    parser.add_argument("--model", required=True, metavar="ID|FILE", help="a model of short-axis points")
    parser.add_argument("--engine", default="auto", choices=("auto", "torch", "onnx"))
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda[:n]")
    parser.add_argument("--no-pictures", action="store_true", help="write no NAME_sax.png")
    parser.add_argument("--overwrite", action="store_true", help="replace results that are there")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ..detection.short_axis import detect_short_axis
    from ..detection.short_axis_files import write_csv, write_json, write_picture

    if not options.no_pictures:
        require("PIL", "a picture", "--no-pictures")
    cines = read_cines(options.cines)
    names, folder = output_names(cines, SUFFIXES), make_folder(options.output)
    if not options.overwrite:
        refuse_existing(folder / (name + suffix) for name in names for suffix in SUFFIXES)
    for name, cine in zip(names, cines, strict=True):
        cine = cine.replace(name=name)
        with ProgressBar(name) as bar:
            result = detect_short_axis(cine, options.model, options.engine, options.device, bar.update)
        with whole_results(folder, name, SUFFIXES) as staging:
            write_csv(cine, result, staging / f"{name}_sax.csv")
            if not options.no_pictures:
                write_picture(cine, result, staging / f"{name}_sax.png")
            write_json(cine, result, staging / f"{name}_sax.json")
        _summarise(name, cine, result)
    print(f"Results are in {folder}.")
    return 0


def _summarise(name: str, cine, result) -> None:
    there = np.isfinite(result.positions).all(-1)
    if cine.source:
        print(f"{name} is {cine.source}")
    print(f"{name}: {cine.n_frames} frames, {there.mean():.0%} of the points present")
    for angles, where in ((result.arvi_image, "image"), (result.arvi_patient, "patient")):
        seen = angles[np.isfinite(angles)] if angles is not None else np.empty(0)
        if len(seen):
            # a mean of directions: 359 and 1 degree are neighbours
            mean = np.rad2deg(np.angle(np.exp(1j * np.deg2rad(seen)).mean())) % 360
            print(f"  A-RVI in the {where}: {mean:.1f} degrees (mean of {len(seen)} frames; first {seen[0]:.1f})")
    for warning in result.warnings:
        print(f"  {warning}")
    print(f"  model {result.model.id}; {result.engine}")

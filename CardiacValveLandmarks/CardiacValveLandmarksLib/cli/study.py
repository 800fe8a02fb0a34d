"""`cvl study`: an examination's cines to landmarks, trajectories, rings, measures, files and a report."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from ..errors import InputError, UsageError
from .detect import add_detection_options
from .export import add_export_options, export_options
from .numbers import positive
from .packages import require
from .progress import ProgressBar

#: those that need nothing but what is installed with the package, and the scene where Slicer's MRML is there
DEFAULT_FORMATS = "csv,json,npz,febio,abaqus,mrb"
_PRINTED = ("mapse_mean", "mapse_mean_4ch", "tapse", "lv_length_ed", "longitudinal_shortening", "mitral_area_ed")


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "study",
        help="views of one examination to moving rings, measures, FEM files and a report",
        description="Finds the views in FOLDER, their landmarks, trajectories and rings, measures, and writes "
        "study.json, report.html and a folder for each format.",
    )
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="the examination (DICOM, NIfTI, .seq.nrrd)")
    parser.add_argument("-o", "--output", required=True, metavar="DIR")
    for view in ("2CH", "3CH", "4CH"):
        parser.add_argument(
            f"--{view.lower()}", dest=f"path_{view}", metavar="PATH", help=f"the {view}, where it is not to be found"
        )
    add_study_options(parser)
    parser.set_defaults(run=run)


def add_study_options(parser: argparse.ArgumentParser) -> None:
    """All but what is read and where it goes."""
    add_detection_options(parser)
    add_export_options(parser, DEFAULT_FORMATS)
    group = parser.add_argument_group("study")
    group.add_argument("--spacing", type=positive, metavar="MM", help="pixel spacing of cines whose file states none")
    group.add_argument("--order", type=int, metavar="N", help="harmonics of the paths; default: from frames and RR")
    group.add_argument(
        "--align", default="phase", choices=("phase", "es", "ed-es"), help="how views are brought together"
    )
    group.add_argument(
        "--excursion",
        default="auto",
        choices=("auto", "long-axis", "ed-plane", "view-line"),
        help="along what excursions are measured; auto: the LV long axis where there is an apex point",
    )
    group.add_argument("--ring", default="fourier", choices=("fourier", "circle", "spline"), help="mitral ring")
    group.add_argument("--nodes", type=int, default=32, metavar="N", help="nodes of every ring")
    group.add_argument(
        "--phases",
        type=int,
        metavar="N",
        help="phases of rings and curves, at least 2 x harmonics + 1; default: the most frames",
    )
    group.add_argument("--apply-shifts", action="store_true", help="correct the estimated breath-hold shifts")
    group.add_argument("--no-report", action="store_true", help="write no report.html")
    group.add_argument("--no-motion-check", action="store_true", help="do not compare points with the images' motion")


def run(options: argparse.Namespace, detector=None, origin=None) -> int:
    """detector: cine -> landmarks and warnings, instead of the model of the options; origin: where these come from."""
    from ..export import parse_formats
    from ..report import Origin
    from ..study import StudySettings
    from ..study_build import check_settings
    from ..study_run import check_output, read_examination, run_study

    settings = StudySettings(
        order=options.order,
        alignment=options.align,
        excursion={"ed-plane": "ED plane"}.get(options.excursion, options.excursion.replace("-", " ")),
        ring_method=options.ring,
        nodes=options.nodes,
        phases=options.phases,
        apply_shifts=options.apply_shifts,
        motion_check=not options.no_motion_check,
    )
    check_settings(settings)
    if not options.no_report:
        require("matplotlib", "the report", "--no-report")
    stated = {v: p for v in ("2CH", "3CH", "4CH") if (p := getattr(options, f"path_{v}")) is not None}
    for path in stated.values():
        if sum(Path(path).resolve() == Path(other).resolve() for other in stated.values()) > 1:
            raise UsageError(f"study: {path} was given for two views; one cine cannot be both.")
    # some formats need the images themselves: they are at hand here
    if options.folder is None and not stated:
        raise UsageError("study: give FOLDER, or the cine of a view (--4ch PATH).")
    exporting = export_options(options, images=options.images or options.folder)
    by_name = options.formats not in (DEFAULT_FORMATS, "all")
    formats, unavailable = parse_formats(options.formats, exporting, by_name)
    check_output(Path(options.output), formats, options.overwrite)
    origin = origin or Origin()
    if detector is None:
        detector, origin = _model(options)
    examination = read_examination(options.folder, stated, options.identify, options.spacing)
    for cine in examination.cines:
        print(f"{cine.name}: {cine.n_frames} frames, {cine.source}")
    for skipped in examination.skipped:
        print(f"not used: {skipped.source}: expected {skipped.expected}; found {skipped.found}", file=sys.stderr)
    result = run_study(
        examination,
        options.output,
        detector,
        settings=settings,
        formats=formats,
        options=exporting,
        origin=origin,
        report=not options.no_report,
    )
    _summarise(result.study)
    for line in (*unavailable, *result.left_out):
        print(line)
    if result.removed:
        print(f"Files of an earlier run that do not belong to this study were deleted: {', '.join(result.removed)}.")
    tops = dict.fromkeys(path.relative_to(options.output).parts[0] for path in result.written)
    print(f"Written to {options.output}: {', '.join(tops)}")
    # what was asked for by name and cannot be had is a failure, though all else is written
    if result.left_out and by_name:
        print("cvl: error: not every format asked for could be written; see above.", file=sys.stderr)
        return InputError.exit_status
    return 0


def _model(options: argparse.Namespace):
    """The detector of the options and, for the report, where its landmarks come from."""
    from ..detection import detect

    def detector(cine):
        with ProgressBar(f"landmarks of {cine.name}") as bar:
            return detect(
                cine, options.model, "auto", options.engine, options.device, not options.no_tta, progress=bar.update
            )

    return detector, origin_of(options)


def origin_of(options: argparse.Namespace):
    """What the report says of the model that the options of the command line name."""
    from ..models.catalogue import resolve_model
    from ..report import Origin

    spec = resolve_model(options.model)
    details = {
        "Model": f"{spec.id}, sha256 {spec.checksum}",
        "Detection": f"engine {options.engine}, device {options.device}, "
        + ("without the test-time ensemble" if options.no_tta else "with the test-time ensemble"),
    }
    return Origin(spec.title, spec.synthetic_only, details)


def _summarise(study) -> None:
    from ..trajectory_fit import order_text

    views = ", ".join(f"{v.view} ({v.name})" for v in study.views)
    missing = [v for v in ("2CH", "3CH", "4CH") if study.view(v) is None]
    print(f"views: {views}" + (f"; missing: {', '.join(missing)}" if missing else ""))
    print(f"paths: {order_text(study.trajectories) or 'none'}")
    for shift in study.shifts:
        (down, right), (above, beside) = shift.shift_mm, shift.interval_mm
        state = "applied" if study.shifts_applied else "not applied"
        print(
            f"breath-hold shift of the {shift.view}: {down:+.1f} ± {above:.1f} mm down, {right:+.1f} ± {beside:.1f} mm "
            f"right (95 % intervals), {state}"
        )
    for ring in study.annuli:
        print(f"{ring.valve} ring: {ring.method}{', assumed' if ring.assumed else ''}")
    for key in _PRINTED:
        measure = study.measure(key)
        if measure is not None and np.isfinite(measure.value):
            print(f"{measure.name}: {measure.value:.1f} ± {measure.uncertainty:.1f} {measure.unit}")
    for warning in study.warnings:
        print(f"note: {warning}")

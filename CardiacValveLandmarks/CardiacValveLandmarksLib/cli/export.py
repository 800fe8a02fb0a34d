"""`cvl export`: a study.json in other formats. Only those that hold images, or point to them, need any."""

from __future__ import annotations

import argparse

from .numbers import positive


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "export",
        help="a study.json in other formats",
        description="Writes a study in other formats, a folder for each. Only mrb and dicom-sr need the images.",
    )
    parser.add_argument("study", metavar="study.json")
    parser.add_argument("-o", "--output", required=True, metavar="DIR")
    add_export_options(parser, None)
    parser.set_defaults(run=run)


def add_export_options(parser: argparse.ArgumentParser, default: str | None) -> None:
    """The options of every command that exports."""
    group = parser.add_argument_group("export")
    group.add_argument(
        "--formats",
        default=default,
        required=default is None,
        metavar="LIST",
        help="names with commas between (a wrong one lists them), or all"
        + (f"; default: {default}" if default else ""),
    )
    group.add_argument("--overwrite", action="store_true", help="replace files of an earlier run")
    group.add_argument("--identify", action="store_true", help="file names and UIDs may go into the files")
    group.add_argument(
        "--rr", type=positive, metavar="MS", help="length of the beat for FEM files, instead of the study's"
    )
    group.add_argument("--guide-points", metavar="DIR", help="biv-me set whose valve rows are to be replaced")
    group.add_argument("--images", metavar="DIR", help="the study's images, for mrb and dicom-sr (with --identify)")


def export_options(options: argparse.Namespace, **changes):
    """ExportOptions of the command line."""
    from ..export import ExportOptions
    from ..export.motion import check_rr

    check_rr(options.rr)
    names = ("identify", "overwrite", "guide_points", "images")
    return ExportOptions(**{**{n: getattr(options, n) for n in names}, "rr_ms": options.rr, **changes})


def run(options: argparse.Namespace) -> int:
    from ..export import export_study, parse_formats
    from ..export.registry import remove_others
    from ..study_io import study_from_json

    exporting = export_options(options)
    formats, left_out = parse_formats(options.formats, exporting)
    study = study_from_json(options.study)
    if options.formats == "all":
        unfit = {f: reason for f in formats if (reason := f.unfit(study, exporting))}
        left_out = (*left_out, *(f"{f.key} is left out: {reason}." for f, reason in unfit.items()))
        formats = tuple(f for f in formats if f not in unfit)
    written = export_study(study, options.output, formats, exporting)
    if options.formats == "all" and options.overwrite:
        left_out = (
            *left_out,
            *(
                f"{key}: files of an earlier export were deleted."
                for key in remove_others(options.output, {f.key for f in formats})
            ),
        )
    for line in left_out:
        print(line)
    print(f"{len(written)} files in {options.output}: {', '.join(f.key for f in formats)}")
    return 0

"""`cvl evaluate`: errors of a model on synthetic cines it has not seen, or of landmark files against a reader's."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from pathlib import Path

from ..errors import InputError, UsageError
from ..files import make_folder
from .detect import read_cines
from .numbers import positive
from .packages import require
from .progress import ProgressBar

_MODEL = "phantom-heatmap"
#: options of the two ways to evaluate, with their defaults
_SYNTHETIC = {"studies": 20, "frames": 6, "hard": False, "other_views": False, "tell_view": False}
_FILES = {"predictions": None, "reader2": None, "names": None, "spacing": None, "landmarks": None, "strata": None,
          "cines": None}  # fmt: skip


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "evaluate",
        help="measure a model on synthetic cines, or landmark files against a reader's",
        description="Without --reference: a model on synthetic cines it has not seen. With it: landmarks against a "
        "reader's, as in the papers. Landmarks are read from .json of cvl detect and cvl sax, study.json, .npy and "
        ".npz in the published forms, VIA annotations (.json, .csv), Slicer's .mrk.json, biv-me guide-point folders, "
        "or a folder of such files.",
    )
    parser.add_argument("-o", "--output", metavar="DIR", help="folder for tables (CSV), figures (JSON) and pictures")
    parser.add_argument("--model", default=_MODEL, metavar="ID|FILE", help="default: the built-in model")
    parser.add_argument("--within", type=positive, default=5.0, metavar="MM", help="what counts as near (default 5)")
    parser.add_argument("--no-tta", action="store_true", help="without the test-time ensemble")
    parser.add_argument("--no-pictures", action="store_true")
    parser.add_argument("--overwrite", action="store_true", help="replace an evaluation that is there")
    files = parser.add_argument_group("landmark files")
    files.add_argument("--reference", nargs="+", metavar="PATH", help="landmarks of reader 1")
    files.add_argument("--reader2", nargs="+", metavar="PATH", help="landmarks of a second reader")
    files.add_argument("--predictions", nargs="+", metavar="PATH", help="landmarks to judge; or give --cines to detect")
    files.add_argument(
        "--cines", nargs="+", metavar="CINE", help="the images: for spacing, scanner and sequence; without "
        "--predictions the model detects in them (or in the images of a reference .npz)",
    )  # fmt: skip
    files.add_argument("--strata", metavar="CSV", help="column cine, then a column a grouping; person groups patients")
    files.add_argument("--names", metavar="JSON", help="what names, pictures and pixels of annotations mean")
    files.add_argument("--spacing", type=positive, metavar="MM", help="mm a pixel, where no file states it")
    files.add_argument("--landmarks", metavar="N,N…", help="numbers to assess (default: all the reference marks)")
    synthetic = parser.add_argument_group("synthetic cines")
    synthetic.add_argument("--studies", type=int, help="synthetic patients, three views each (default 20)")
    synthetic.add_argument("--frames", type=int, help="frames a cine (default 6)")
    synthetic.add_argument("--hard", action="store_true", help="unusual anatomy and poor images")
    synthetic.add_argument("--other-views", action="store_true", help="planes that are none of the three views instead")
    synthetic.add_argument("--tell-view", action="store_true", help="state the true view instead of recognising it")
    parser.set_defaults(run=run, **_SYNTHETIC, **_FILES)


def run(options: argparse.Namespace) -> int:
    mode, others = ("--reference", _SYNTHETIC) if options.reference else ("synthetic cines", _FILES)
    wrong = [name for name, default in others.items() if getattr(options, name) != default]
    if wrong == ["predictions"]:
        raise UsageError("--predictions: give the landmarks they are compared with as well, --reference PATH.")
    if wrong:
        names = ", ".join("--" + name.replace("_", "-") for name in wrong)
        raise UsageError(f"{names}: does not go with {mode}; see cvl evaluate --help.")
    if options.predictions and (options.model != _MODEL or options.no_tta):
        raise UsageError("--model and --no-tta are for detecting; --predictions brings its own landmarks.")
    if options.output:
        from ..training.evaluation_files import refuse_existing

        if not options.no_pictures:
            require("matplotlib", "a picture", "--no-pictures")
        refuse_existing(options.output, options.overwrite)
        make_folder(options.output)
    return _files(options) if options.reference else _synthetic(options)


def _synthetic(options: argparse.Namespace) -> int:
    from ..landmarks import VIEWS
    from ..phantom.planes import OTHER_VIEWS
    from ..training.evaluate import compare_synthetic, summarise
    from ..training.evaluation import evaluate

    if options.studies < 1 or options.frames < 2:
        raise UsageError("--studies must be at least 1 and --frames at least 2.")
    with ProgressBar("evaluate") as bar:
        comparison = compare_synthetic(
            options.model,
            options.studies,
            kinds=OTHER_VIEWS if options.other_views else VIEWS,
            frames=options.frames,
            width=1.6 if options.hard else 1.0,
            contrast_width=1.6 if options.hard else 0.8,
            view="stated" if options.tell_view else "auto",
            tta=not options.no_tta,
            progress=bar.update,
        )
    for name, value in summarise(comparison.rows(), options.within).items():
        print(f"{name:18} {value:.3f}" if isinstance(value, float) else f"{name:18} {value}")
    if options.output:
        _write(evaluate(comparison, within=options.within), options)
    return 0


def _files(options: argparse.Namespace) -> int:
    from ..training.annotation_names import NameMap
    from ..training.compare import compare
    from ..training.evaluation import evaluate
    from ..training.landmark_sets import joined_sets, read_landmark_sets

    chosen = _numbers(options.landmarks)
    names = NameMap.read(options.names) if options.names else NameMap()
    cines = read_cines(options.cines or [])

    def read(paths: list[str] | None) -> list:
        return joined_sets([item for path in paths or [] for item in read_landmark_sets(path, names)])

    reference, second = read(options.reference), read(options.reader2)
    groupings = _strata(options.strata) if options.strata else {}
    if options.predictions:
        predictions = read(options.predictions)
    elif cines:
        predictions = _detected(cines, options)
    elif all(path.lower().endswith(".npz") for path in options.reference):
        predictions = _detected_in_npz(options)
    else:
        raise UsageError("Give --predictions, or --cines to detect in.")
    how = {"cines": cines, "spacing": options.spacing, "landmarks": chosen}
    how["persons"] = {cine: row["person"] for cine, row in groupings.items() if row.get("person")}
    model = compare(predictions, reference, **how)
    with_second = compare(model.inform(predictions), second, **how) if second else None
    between = compare(second, model.inform(reference), **how, common_frames=True) if second else None
    strata = _groupings(model, cines, groupings)
    result = evaluate(model, with_second, between, strata=strata, within=options.within)
    if options.output:  # first: who reads what is printed may stop reading
        _write(result, options)
    _print(result)
    return 0


def _detected(cines: list, options: argparse.Namespace) -> list:
    from ..detection import detect
    from ..training.landmark_sets import LandmarkSet

    found = []
    for cine in cines:
        with ProgressBar(cine.name) as bar:
            result = detect(cine, options.model, tta=not options.no_tta, progress=bar.update)
        found.append(LandmarkSet.from_series(cine.name, result.landmarks, cine.geometry, cine.spacing, "", cine.source))
    return found


def _detected_in_npz(options: argparse.Namespace) -> list:
    from ..training.evaluate import detect_images

    found = []
    for path in options.reference:
        with ProgressBar(Path(path).name) as bar:
            found += detect_images(path, options.model, tta=not options.no_tta, progress=bar.update)
    return found


def _numbers(text: str | None) -> list[int] | None:
    if text is None:
        return None
    from ..training.points import N_POINTS

    words = [word.strip() for word in text.split(",")]
    numbers = [int(word) for word in words if word.isascii() and word.isdecimal()]
    if len(numbers) != len(words) or not all(1 <= number <= N_POINTS for number in numbers):
        raise UsageError(f"--landmarks {text}: expected numbers from 1 to {N_POINTS} with commas between.")
    return numbers


def _strata(path: str) -> dict[str, dict[str, str]]:
    """cine -> grouping -> value."""
    expected, advice = "a CSV with a column cine and one a grouping", "See docs/evaluation.md."
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as stream:
            text = stream.read()
        delimiter = ";" if ";" in text.partition("\n")[0] else ","  # as spreadsheets write it where commas are decimal
        table = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text), delimiter=delimiter)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(path, expected, str(error), advice) from error
    header, *rows = [row for row in table if any(row)] or [[]]
    header = ["cine" if name.lower() == "cine" else "person" if name.lower() == "person" else name for name in header]
    if not rows or "cine" not in header or len(header) < 2:
        raise InputError(path, expected, f"columns {header}" if rows else "no rows", advice)
    if len(set(header)) < len(header):
        raise InputError(path, "each column once", f"columns {header}", advice)
    if "view" in header:
        raise InputError(
            path, expected, "a column view", "The view is a grouping by itself; call the column otherwise."
        )
    if any(len(row) != len(header) for row in rows):
        raise InputError(path, expected, "a row with more or fewer columns than the first", advice)
    named = [dict(zip(header, row, strict=True)) for row in rows]
    names = [row["cine"] for row in named]
    if len(set(names)) != len(names):
        raise InputError(path, "each cine once", "a cine twice", advice)
    return {row.pop("cine"): row for row in named}


def _groupings(model, cines: list, stated: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """The groupings of each compared cine: from its images' headers, then from the user's table."""
    by_name = {cine.name: cine.attributes for cine in cines}
    groupings = {}
    for cine in model.cines:
        facts = by_name.get(cine.prediction, by_name.get(cine.cine, {}))
        told = {
            "vendor": str(facts.get("manufacturer", "")),
            "field_strength": f"{facts['field_strength']:g} T" if "field_strength" in facts else "",
            "sequence": str(facts.get("sequence_name", "")),
        }
        told = {name: value for name, value in told.items() if value}
        extra = stated.get(cine.cine, stated.get(cine.prediction, {}))
        groupings[cine.cine] = told | {name: value for name, value in extra.items() if value and name != "person"}
    unknown = sorted(set(stated) - {name for cine in model.cines for name in (cine.cine, cine.prediction)})
    if unknown:
        known = ", ".join(cine.cine for cine in model.cines[:5])
        if len(unknown) == len(stated):
            raise UsageError(f"--strata: none of its cines is compared; they are called {known}.")
        print(f"--strata: not compared, so passed over: {', '.join(unknown)} (compared are {known}).", file=sys.stderr)
    return groupings


def _print(result) -> None:
    for note in result.notes:
        print(note)
    unit = result.unit
    head = ("view", "landmark", "n", "missed", "extra", "mean", "SD", "median", "95 %")
    print("{:8}{:24}{:>6}{:>8}{:>7}{:>8} ± {:6}{:>7}{:>8}".format(*head), unit)
    for row in result.landmarks:
        name = row["name"] if row["landmark"] == "all" else f"{row['landmark']} {row['name']}"
        print(
            f"{row['view']:8}{name:24}{row['n']:6}{row['false_negative']:8}{row['false_positive']:7}"
            f"{row['mean']:8.2f} ± {row['sd']:<6.2f}{row['median']:7.2f}{row['p95']:8.2f}"
        )
    for row in result.detection:
        right = f"{row['right']} of {row['images']} images ({row['rate']:.1%})"
        print(f"{row['view']}: every landmark given or absent as in the reference in {right}")
    overall = result.readers[-1] if result.readers else None
    if overall is not None:
        print(
            f"second reader, same {overall['n']} points: {overall['reader2_reader1_mean']:.2f} ± "
            f"{overall['reader2_reader1_sd']:.2f} {unit}; prediction {overall['prediction_reader1_mean']:.2f} ± "
            f"{overall['prediction_reader1_sd']:.2f} {unit}; {_test(overall)}"
        )
    told = result.calibration
    if told is not None:
        print(
            f"confidence >= 0.5: {told.sure:.1%} of points, {told.sure_near:.1%} of them within {told.within:g} "
            f"{unit}; calibration error {told.ece:.3f}; rank correlation of distance and doubt {told.spearman:.2f}"
        )


def _test(row) -> str:
    if row["persons"] < 2:
        return "one person, so no test"
    return f"paired t-test over {row['persons']} persons p = {row['p']:.3g}"


def _write(result, options: argparse.Namespace) -> None:
    from ..training.evaluation_files import write_evaluation

    settings = {name: value for name, value in vars(options).items() if name not in ("run", "debug", "command")}
    written = write_evaluation(result, options.output, settings, not options.no_pictures, options.overwrite)
    print(f"Results are in {written[0].parent}.")

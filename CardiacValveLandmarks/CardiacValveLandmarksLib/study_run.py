"""From the cines of an examination to all its files: what `cvl study`, the batch and Slicer's panel run.

Detection is handed in as a function, so that corrected landmarks take the same way as found ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from .cine import Cine
from .errors import InputError, UsageError
from .export import ExportOptions, Format, export_study
from .export.bivme_files import read_guide_points
from .export.registry import check_free, remove_others
from .files import atomic_open, make_folder
from .landmarks import VIEWS, LandmarkSeries
from .readers import Skipped, read_cine, scan
from .readers.checks import file_doubts
from .report import Origin, report_html
from .study import Study, StudySettings
from .study_build import build_study
from .study_images import cines_of
from .study_io import study_to_json
from .trajectory_fit import MIN_FRAMES

STUDY_FILE, REPORT_FILE = "study.json", "report.html"
#: so many parallel slices are a stack (short axis), not a choice of long-axis views
_STACK = 5
_PARALLEL = np.cos(np.deg2rad(3.0))


class Detection(Protocol):
    """What is used of a detection.DetectionResult."""

    landmarks: LandmarkSeries
    warnings: tuple[str, ...]


Detector = Callable[[Cine], Detection]


@dataclass(frozen=True)
class Examination:
    """cines: to be looked at. stated: view -> name of the cine the user named for it. skipped: what is not used."""

    cines: tuple[Cine, ...]
    stated: Mapping[str, str]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True)
class StudyFiles:
    """study: what was found. written: paths. left_out: formats that this study cannot be written in, and why.
    removed: formats, or the report, whose files of an earlier run were deleted: they do not belong to this study."""

    study: Study
    written: tuple[Path, ...]
    left_out: tuple[str, ...]
    removed: tuple[str, ...] = ()


def read_examination(
    folder: str | os.PathLike | None,
    stated: Mapping[str, str | os.PathLike] | None = None,
    identify: bool = False,
    spacing_mm: float | None = None,
) -> Examination:
    """The cines of a folder, and those the user names for a view (view -> path), which come first.

    With all three views named the folder is not searched. Without `identify` cines are named by series number or
    count: names of folders and files may name a person. spacing_mm: of cines whose file states none.
    """
    stated = dict(stated or {})
    if spacing_mm is not None and not spacing_mm > 0:
        raise UsageError(f"spacing: expected mm above 0, found {spacing_mm:g}.")
    if folder is None and not stated:
        raise InputError("examination", "a folder, or the cine of a view", "neither", "Give FOLDER, or --4ch PATH.")
    # a study may say where its images are (`identify`), which must hold in other working directories too
    stated = {view: Path(path).absolute() for view, path in stated.items()}
    folder = None if folder is None else Path(folder).absolute()
    cines = [read_cine(path).replace(view=view) for view, path in sorted(stated.items())]
    skipped: list[Skipped] = []
    if folder is not None and set(stated) != set(VIEWS):
        found = scan(folder)
        skipped += found.skipped
        known = {Path(cine.source).resolve() for cine in cines}
        cines += [cine for cine in found.cines if Path(cine.source).resolve() not in known]
    usable, unusable = _usable(cines)
    if not usable:
        raise InputError(folder or "examination", "a long-axis cine", "; ".join(s.found for s in unusable))
    if spacing_mm is not None:
        usable = [c.replace(spacing=np.full(2, spacing_mm)) if c.spacing is None else c for c in usable]
    named = _named(usable, identify)
    by_view = {cine.view: cine.name for cine in named if cine.view is not None}
    return Examination(tuple(named), by_view, (*skipped, *unusable))


def _usable(cines: Sequence[Cine]) -> tuple[list[Cine], list[Skipped]]:
    usable, skipped = [], []
    for cine in cines:
        normal = None if cine.geometry is None else cine.geometry.normal
        parallel = 0 if normal is None else _parallel_places(cines, normal)
        if cine.n_frames < MIN_FRAMES:
            skipped.append(Skipped(cine.source, f"at least {MIN_FRAMES} frames", f"{cine.n_frames}"))
        elif cine.view is None and parallel >= _STACK:
            skipped.append(Skipped(cine.source, "a long-axis view", f"one of {parallel} parallel slices (a stack)"))
        else:
            usable.append(cine)
    return usable, skipped


def _parallel_places(cines: Sequence[Cine], normal: np.ndarray) -> int:
    """At how many places, to the millimetre, slices with this normal lie: repeats of a slice are no stack."""
    planes = [cine.geometry for cine in cines if cine.geometry is not None]
    return len({round(float(g.origin @ normal)) for g in planes if abs(g.normal @ normal) > _PARALLEL})


def _named(cines: Sequence[Cine], identify: bool) -> list[Cine]:
    named, taken = [], set()
    for count, cine in enumerate(cines, start=1):
        number = cine.attributes.get("series_number")
        name = cine.name if identify else f"series-{number:g}" if isinstance(number, float) else f"cine-{count}"
        if name in taken:
            name = f"{name}-{count}"
        taken.add(name)
        named.append(cine.replace(name=name))
    return named


def run_study(
    examination: Examination,
    folder: str | os.PathLike,
    detector: Detector,
    *,
    settings: StudySettings | None = None,
    formats: Iterable[Format] = (),
    options: ExportOptions | None = None,
    origin: Origin | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    report: bool = True,
) -> StudyFiles:
    """Landmarks, study, and all files in `folder`: study.json, report.html (with `report`) and a folder a format.

    detector: cine -> landmarks and warnings. origin: of the landmarks, for the report. progress: (what, done, total).
    Nothing is written before the study stands; nothing of an earlier run is replaced without `options.overwrite`.
    With it, what formats not written now have from an earlier run is deleted. A format this study does not suffice for
    is left out and said in `left_out`; where one cannot be written, all else is, and its error comes last.
    """
    options, settings, formats = options or ExportOptions(), settings or StudySettings(), tuple(formats)
    folder = Path(folder)
    check_output(folder, formats, options.overwrite)
    if options.guide_points is not None:
        read_guide_points(options.guide_points)  # mistakes in a path are told before the long work

    def tell(what: str, done: int, total: int) -> None:
        if progress is not None:
            progress(what, done, total)

    entries, warnings = [], {}
    for count, cine in enumerate(examination.cines):
        tell(f"landmarks of {cine.name}", count, len(examination.cines))
        found = detector(cine)
        entries.append((cine, found.landmarks))
        told = file_doubts(cine)  # the study says them itself
        warnings[cine.name] = tuple(warning for warning in found.warnings if warning not in told)
    tell("study", 0, 1)
    study = build_study(entries, replace(settings, views={**examination.stated, **settings.views}))
    study = replace(study, warnings=(*_detection_warnings(study, warnings), *study.warnings))
    options = replace(options, cines=cines_of(study, examination.cines))
    page = None
    if report:
        tell("report", 0, 1)
        page = report_html(study, options.cines, origin, options.identify)
    left_out = {f: reason for f in formats if (reason := f.unfit(study, options))}
    make_folder(folder)
    written, failed = [], []
    for format_ in formats:
        if format_ not in left_out:
            tell(format_.key, 0, 1)
            try:
                written += export_study(study, folder, [format_], options)
            except Exception as error:  # noqa: BLE001 - raised below, once all else is written
                failed.append(error)
    removed = (
        remove_others(folder, {path.relative_to(folder).parts[0] for path in written}) if options.overwrite else ()
    )
    if page is not None:
        with atomic_open(folder / REPORT_FILE) as stream:
            stream.write(page)
        written.append(folder / REPORT_FILE)
    elif (folder / REPORT_FILE).exists():  # an earlier study's, to be replaced
        (folder / REPORT_FILE).unlink()
        removed = (*removed, REPORT_FILE)
    # last: a folder with a study file is complete
    study_to_json(study, folder / STUDY_FILE, options.identify)
    written.append(folder / STUDY_FILE)
    if failed:
        raise failed[0]
    left = tuple(f"{f.key} is left out: {why}." for f, why in left_out.items())
    return StudyFiles(study, tuple(written), left, removed)


def check_output(folder: Path, formats: Iterable[Format], overwrite: bool) -> None:
    """InputError where a run would meet files of an earlier one, or `folder` is none."""
    if folder.exists() and not folder.is_dir():
        raise InputError(folder, "a folder", "a file", "Choose another output folder.")
    for name in (STUDY_FILE, REPORT_FILE):
        if (folder / name).exists() and not overwrite:
            raise InputError(folder / name, "no such file", "one", "Choose another folder, or give --overwrite.")
    check_free(folder, formats, overwrite)


def _detection_warnings(study: Study, warnings: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Those of the study's cines; what is said of every view is said once."""
    said = {view.view: warnings.get(view.name, ()) for view in study.views}
    common = [w for w in next(iter(said.values()), ()) if all(w in others for others in said.values())]
    return common + [f"{view}: {w}" for view, found in said.items() for w in found if w not in common]

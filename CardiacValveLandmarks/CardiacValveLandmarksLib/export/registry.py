"""The formats there are, and writing a study in some of them.

Each format fills a folder of its own, `DIR/<key>/`, with its files and `about.json` (units, frame of reference, RR,
assumptions, list of files). Files are made in a hidden folder first and take their places when all are written.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import os
import pkgutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from ..cine import Cine
from ..correction import Correction
from ..errors import InputError, UsageError
from ..files import make_folder, remove_leftovers, take_places
from ..packages import how_to_install
from ..study import Study
from ..study_names import without_names
from . import formats
from .about import ABOUT_FILE, files_written, write_about


@dataclass(frozen=True)
class ExportOptions:
    """What the caller can tell the formats.

    identify: file names of the images, UIDs and the patient may go into the files.
    overwrite: files of an earlier export may be replaced.
    rr_ms: length of the beat for files that need time; None: the study's.
    guide_points: folder of an existing biv-me guide-point set whose valve rows are to be replaced.
    images: folder of the study's own images: for formats that hold them, or what their files say of the patient.
    cines: view -> its images, where they are at hand; `images` is not read for them then.
    corrections: view -> what the model said and what a person decided, where that is known: for a scene to work on.
    """

    identify: bool = False
    overwrite: bool = False
    rr_ms: float | None = None
    guide_points: str | os.PathLike | None = None
    images: str | os.PathLike | None = None
    cines: Mapping[str, Cine] = field(default_factory=dict, repr=False)
    corrections: Mapping[str, Correction] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Format:
    """One format.

    key: as in `--formats`. title: for people. units: of length and time in its files, for `about.json`.
    write: function of (study, empty folder, options). notes: what its files assume, for `about.json`.
    unfit: function of (study, options), why this study cannot be written so, in plain words, "" where it can.
    modules: importable modules it needs; extra: the optional dependency of this package that brings them.
    needs: names of `ExportOptions` without which it cannot be written.
    """

    key: str
    title: str
    write: Callable[[Study, Path, ExportOptions], None]
    length_unit: str = "mm"
    time_unit: str = "ms"
    notes: tuple[str, ...] = ()
    unfit: Callable[[Study, ExportOptions], str] = lambda study, options: ""
    modules: tuple[str, ...] = ()
    extra: str = ""
    needs: tuple[str, ...] = ()

    def missing(self, options: ExportOptions) -> str:
        """Why it cannot be written here, in words with what to do about it; "" where it can."""
        absent = [name for name in self.modules if not _is_installed(name)]
        if absent:
            how = how_to_install(absent[0], self.extra)
            return f"the Python module {', '.join(absent)} is not installed; install it with: {how}"
        unset = [name for name in self.needs if not getattr(options, name)]
        if unset:
            return "it needs " + " and ".join(f"--{name.replace('_', '-')}" for name in unset)
        return ""


def _is_installed(name: str) -> bool:
    """Whether a module or a package's module can be imported, without importing the package."""
    package, _, rest = name.partition(".")
    spec = importlib.util.find_spec(package)
    if spec is not None and rest:
        spec = importlib.machinery.PathFinder.find_spec(name, spec.submodule_search_locations)
    return spec is not None


@cache
def known_formats() -> tuple[Format, ...]:
    """All formats, by key."""
    found = []
    for module in pkgutil.iter_modules(formats.__path__):
        format_ = getattr(importlib.import_module(f"{formats.__name__}.{module.name}"), "FORMAT", None)
        if format_ is not None:
            found.append(format_)
    return tuple(sorted(found, key=lambda f: f.key))


def format_named(key: str) -> Format:
    """The format with this key; UsageError with the keys there are otherwise."""
    for format_ in known_formats():
        if format_.key == key:
            return format_
    raise UsageError(f"format {key!r}: expected one of {', '.join(f.key for f in known_formats())}, or all.")


def parse_formats(
    text: str, options: ExportOptions, by_name: bool = True
) -> tuple[tuple[Format, ...], tuple[str, ...]]:
    """("csv,npz" or "all") -> the formats, and sentences about those that have to be left out.

    by_name: the user named them; then one that cannot be written is a UsageError. "all" names none.
    """
    keys = list(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    if not keys:
        raise UsageError("formats: expected at least one, for example csv,vtk.")
    if "all" in keys:
        if len(keys) > 1:
            raise UsageError("formats: give `all` or a list, not both.")
        chosen, by_name = known_formats(), False
    else:
        chosen = tuple(format_named(key) for key in keys)
    why = {f: f.missing(options) for f in chosen}
    if by_name:
        for format_, reason in why.items():
            if reason:
                raise UsageError(f"format {format_.key} cannot be written: {reason}.")
    left_out = tuple(f"{f.key} is left out: {reason}." for f, reason in why.items() if reason)
    return tuple(f for f, reason in why.items() if not reason), left_out


def check_free(folder: str | os.PathLike, chosen: Iterable[Format], overwrite: bool) -> None:
    """InputError where an export would meet files that are there already. Call it before long work."""
    for format_ in chosen:
        target = Path(folder) / format_.key
        if target.exists() and not target.is_dir():
            raise InputError(target, "a folder, or nothing", "a file", "Choose another output folder.")
        if not overwrite and target.is_dir() and any(not p.name.startswith(".") for p in target.iterdir()):
            raise InputError(
                target, "an empty folder, or none", "files", "Choose another output folder, or give --overwrite."
            )


def export_study(
    study: Study, folder: str | os.PathLike, chosen: Iterable[Format], options: ExportOptions | None = None
) -> list[Path]:
    """Write `study` in each of the formats, one folder a format; the paths written are returned.

    InputError where something is there already and `options.overwrite` is not set, where the study has not what a
    format needs, or where the place cannot be written. A format is written whole or not at all.
    """
    options = options or ExportOptions()
    study = study if options.identify else without_names(study)
    chosen = tuple(chosen)
    check_free(folder, chosen, options.overwrite)
    for format_ in chosen:
        reason = format_.missing(options) or format_.unfit(study, options)
        if reason:
            raise InputError(f"format {format_.key}", "a study that can be written in it", reason)
    written = []
    for format_ in chosen:
        written += _write(format_, study, Path(folder) / format_.key, options)
    return written


def _write(format_: Format, study: Study, target: Path, options: ExportOptions) -> list[Path]:
    new = not target.exists()
    make_folder(target)
    remove_leftovers(target)
    try:
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=target) as name:
            staging = Path(name)
            format_.write(study, staging, options)
            write_about(study, format_, staging, options)
            files = sorted(path.relative_to(staging) for path in staging.rglob("*") if path.is_file())
            stale = set(files_written(target)) - {path.as_posix() for path in files}
            take_places(staging, target, files)
            # what an earlier export wrote and this one did not: a longer beat's frames, a ring now refused
            for file in stale:
                (target / file).unlink(missing_ok=True)
    except OSError as error:
        _remove_if_empty(target, new)
        raise InputError(
            target,
            "a folder that can be written",
            str(error),
            "Free some space, close what holds files there, or choose another folder.",
        ) from error
    except BaseException:
        _remove_if_empty(target, new)
        raise
    return [target / file for file in files]


def remove_others(folder: str | os.PathLike, kept: Iterable[str]) -> tuple[str, ...]:
    """Delete what earlier exports wrote into `folder` in the formats that are not `kept`; their keys are returned.

    Only what `about.json` lists goes; files that somebody put there stay.
    """
    removed = []
    for format_ in known_formats():
        target = Path(folder) / format_.key
        if format_.key in set(kept) or not (files := files_written(target)):
            continue
        for file in (*files, ABOUT_FILE):
            (target / file).unlink(missing_ok=True)
        for inner in sorted((path for path in target.rglob("*") if path.is_dir()), reverse=True):
            _remove_if_empty(inner, True)
        _remove_if_empty(target, True)
        removed.append(format_.key)
    return tuple(removed)


def _remove_if_empty(folder: Path, new: bool) -> None:
    if new and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()

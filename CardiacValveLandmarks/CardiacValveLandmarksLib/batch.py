"""Many examinations, one folder each: what is done is not done again, what fails stops no other.

Every examination is a process of its own (`cvl study`), here or on another machine: one that is killed, or runs out of
memory, takes no other along. `batch.json` in the output folder keeps what became of each.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import __version__
from .errors import InputError, UsageError
from .files import atomic_open, make_folder, remove_leftovers, safe_name
from .readers.scan import files_below
from .study_io import study_from_json
from .study_run import STUDY_FILE

BATCH_FILE, TABLE_FILE, MEASURES_FILE, LOG_FOLDER = "batch.json", "batch.csv", "measures.csv", "logs"
#: a file of a finished study that is so much younger than its end (s) was changed by somebody
_YOUNGER = 3.0
_LIBRARY = Path(__file__).resolve().parents[1]
_FORMAT = "cardiac-valve-landmarks batch"
_ADVICE = "Move that folder away. (--overwrite would do everything anew, this and all others.)"
#: how the folder begins in which an examination is at work
_AT_WORK = ".partial-"
#: lies in results that a batch put there, as old as they are
_MARK = ".cvl-batch"
_MEASURE_COLUMNS = ("key", "name", "value", "uncertainty", "unit", "note")
#: names in the output folder that no examination can have
_TAKEN = {BATCH_FILE, TABLE_FILE, MEASURES_FILE, LOG_FOLDER}
#: studies at work in this process' children
_running: set[subprocess.Popen] = set()


@dataclass(frozen=True)
class Job:
    """One examination: `name` of its folder, which is read, `output`, and the options of `cvl study`. replace: whatever
    lies there."""

    name: str
    folder: str
    output: str
    log: str
    options: Mapping[str, Any]
    threads: int
    replace: bool


@dataclass(frozen=True)
class Record:
    """What became of an examination. status: exit status of `cvl study`, None: begun and not ended. message: its error
    in words. signature: of the files it was made from."""

    name: str
    status: int | None
    message: str
    seconds: float
    signature: str

    @property
    def done(self) -> bool:
        return self.status == 0


def find_examinations(root: str | os.PathLike) -> dict[str, Path]:
    """Name -> folder: each folder in `root` is an examination. InputError where there is none."""
    root = Path(root)
    if not root.is_dir():
        raise InputError(root, "a folder with a folder for each examination", "no folder", "Check the path.")
    try:
        folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise InputError(root, "a folder that can be read", str(error)) from error
    if not folders:
        advice = "For one examination use `cvl study`."
        raise InputError(root, "a folder with a folder for each examination", "no folder in it", advice)
    names: dict[str, Path] = {}
    for folder in folders:
        name = safe_name(folder.name, "examination")
        stem, number = name, 2
        while name.lower() in {taken.lower() for taken in names} | _TAKEN:
            name, number = f"{stem}_{number}", number + 1
        names[name] = folder
    return names


def signature_of(folder: Path) -> str:
    """Of the names, sizes and times of all files in a folder that are read: whether there is something new."""
    listed = []
    for path in files_below(folder, []):
        about = path.lstat() if path.is_symlink() and not path.exists() else path.stat()
        listed.append((path.relative_to(folder).as_posix(), about.st_size, about.st_mtime_ns))
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def run_job(job: Job) -> tuple[int, str, float]:
    """Run `cvl study` in a process of its own: exit status, its error in words, seconds. What it says is in the log.

    It works beside, so that what lies under the examination's name is whole, or somebody's.
    """
    began, place = time.monotonic(), Path(job.output)
    make_folder(place.parent)
    with tempfile.TemporaryDirectory(prefix=f"{_AT_WORK}{job.name}-", dir=place.parent) as working:
        results = Path(working) / "results"
        status, message = _study(job, results)
        if (results / STUDY_FILE).exists():
            (results / _MARK).touch()
            trouble = "" if job.replace else in_the_way(place)  # it may have come meanwhile
            if trouble:
                status, message = InputError.exit_status, trouble
            else:
                if place.exists():
                    place.rename(Path(working) / "before")
                results.rename(place)
    return status, message, time.monotonic() - began


def in_the_way(place: Path) -> str:
    """Why results may not be put there, in words: what lies there is no batch's, or was changed since. "": they may."""
    if not place.exists():
        return ""
    mark = place / _MARK
    if not mark.exists():
        return f"{place}: expected no such folder; found one. {_ADVICE}"
    placed = mark.stat().st_mtime
    for path in place.rglob("*"):
        if path.is_file() and path.stat().st_mtime > placed + _YOUNGER:  # a corrected scene, perhaps
            found = f"{path}: expected results as they were written; found a change since."
            return f"{found} {_ADVICE}"
    return ""


def _study(job: Job, output: Path) -> tuple[int, str]:
    """Exit status and error of `cvl study`, which writes to `output`."""
    paths = [str(_LIBRARY), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": str(job.threads),
        "PYTHONIOENCODING": "utf-8",
    }
    given = json.dumps({**job.options, "folder": job.folder, "output": str(output)})
    log = Path(job.log)
    make_folder(log.parent)
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "CardiacValveLandmarksLib.cli.study_job"],
            stdin=subprocess.PIPE,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        _running.add(process)
        try:
            process.communicate(given.encode())
        finally:
            _running.discard(process)
    status = process.returncode
    said = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.startswith("cvl:")]
    message = said[-1].removeprefix("cvl: error: ") if status and said else ""
    if status < 0:
        message = f"ended by signal {-status} (out of memory, or stopped)"
    return status, message or (f"exit status {status}, see {log}" if status else "")


class Batch:
    """The examinations of `root` and what is known of them in `folder`, which is locked by the caller (files.py).

    options: of `cvl study`, without what is read and written. UsageError where the folder holds a batch of other
    options, unless `overwrite`, by which everything is done anew.
    """

    def __init__(
        self, root: str | os.PathLike, folder: str | os.PathLike, options: Mapping[str, Any], overwrite: bool = False
    ) -> None:
        self.folder, self.options, self.overwrite = Path(folder).absolute(), dict(options), overwrite
        self.examinations = {name: path.absolute() for name, path in find_examinations(root).items()}
        if any(self.folder.is_relative_to(path) for path in self.examinations.values()):
            raise UsageError(f"{self.folder} lies in an examination that is read: choose another output folder.")
        self.records = {} if overwrite else self._known()
        self.refused: dict[str, Record] = {}
        remove_leftovers(self.folder)

    def outcome(self, name: str) -> Record:
        """What became of an examination, now or before."""
        begun = Record(name, None, "not begun", 0.0, "")
        return self.refused.get(name) or self.records.get(name) or begun

    def _known(self) -> dict[str, Record]:
        path = self.folder / BATCH_FILE
        if not path.exists():
            return {}
        advice = "Choose another folder, or give --overwrite."
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] != _FORMAT:
                raise ValueError(f"format {content['format']!r}")
            records = {entry["name"]: Record(**entry) for entry in content["examinations"]}
            before = dict(content["options"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(path, "what a batch left", str(error), advice) from error
        other = sorted(
            name for name in {*before, *self.options} if before.get(name) != json.loads(_json(self.options.get(name)))
        )
        if other:
            listed = ", ".join(f"{name} {before.get(name)!r}, now {self.options.get(name)!r}" for name in other)
            raise UsageError(
                f"{self.folder} holds a batch of other options ({listed}): {advice[0].lower()}{advice[1:]}"
            )
        return records

    def pending(self) -> dict[str, str]:
        """Name -> signature of what is to be done: what is new, changed, or did not end well."""
        found = {}
        for name, folder in self.examinations.items():
            signature, record = signature_of(folder), self.records.get(name)
            whole = (self.folder / name / STUDY_FILE).exists()
            if record is None or not record.done or record.signature != signature or not whole:
                found[name] = signature
        return found

    def run(
        self,
        names: Mapping[str, str],
        workers: int = 1,
        scheduler: str | None = None,
        tell: Callable[[Record, int, int], None] | None = None,
    ) -> None:
        """Do these (`pending`). workers: so many at once, here. scheduler: instead, the address of a Dask scheduler,
        whose workers see the same files. tell(record, done, of) after each."""
        jobs, done = [], 0
        for name, signature in names.items():
            if trouble := "" if self.overwrite else in_the_way(self.folder / name):
                self.refused[name] = Record(name, InputError.exit_status, trouble, 0.0, signature)
                done += 1
                if tell is not None:
                    tell(self.refused[name], done, len(names))
            else:
                jobs.append(self._job(name, workers))
                self.records[name] = Record(name, None, "", 0.0, signature)
        self._keep()
        for name, (status, message, seconds) in _results(jobs, workers, scheduler):
            done += 1
            self.records[name] = Record(name, status, message, seconds, names[name])
            self._keep()
            if tell is not None:
                tell(self.records[name], done, len(names))

    def _job(self, name: str, workers: int) -> Job:
        threads = max(1, (os.cpu_count() or 1) // workers)
        log = self.folder / LOG_FOLDER / f"{name}.log"
        place = str(self.folder / name)
        return Job(name, str(self.examinations[name]), place, str(log), self.options, threads, self.overwrite)

    def _keep(self) -> None:
        content = {
            "format": _FORMAT,
            "written_by": f"CardiacValveLandmarks {__version__}",
            "options": self.options,
            "examinations": [asdict(self.records[name]) for name in sorted(self.records)],
        }
        with atomic_open(self.folder / BATCH_FILE) as stream:
            stream.write(_json(content) + "\n")

    def write_tables(self) -> list[Path]:
        """batch.csv, a row an examination, and measures.csv, a row a measure of each that is done."""
        table, measures = [], []
        for name in self.examinations:
            record = self.outcome(name)
            ended = "done" if record.done else "failed" if record.status is not None else "not done"
            row = {"examination": name, "status": ended, "seconds": round(record.seconds, 1), "message": record.message}
            study = None
            try:
                study = study_from_json(self.folder / name / STUDY_FILE) if record.done else None
            except InputError as error:
                row |= {"status": "failed", "message": str(error)}
            if study is not None:
                views = " ".join(view.view for view in study.views)
                row |= {"views": views, "doubts": len(study.warnings)}
                measures += [
                    {"examination": name, **{key: _cell(getattr(measure, key)) for key in _MEASURE_COLUMNS}}
                    for measure in study.measures
                ]
            table.append(row)
        written = []
        for file, rows, columns in (
            (TABLE_FILE, table, ("examination", "status", "seconds", "views", "doubts", "message")),
            (MEASURES_FILE, measures, ("examination", *_MEASURE_COLUMNS)),
        ):
            with atomic_open(self.folder / file) as stream:
                writer = csv.DictWriter(stream, columns)
                writer.writeheader()
                writer.writerows(rows)
            written.append(self.folder / file)
        return written


def _cell(value: Any) -> Any:
    """NaN as nothing: tables of numbers have no other word for it that all programs read."""
    return "" if isinstance(value, float) and math.isnan(value) else value


def _json(content: Any) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False)


def _results(jobs: Sequence[Job], workers: int, scheduler: str | None) -> Iterator[tuple[str, tuple[int, str, float]]]:
    """(name, what run_job gave) as they end."""
    if scheduler is not None:
        yield from _on_dask(jobs, scheduler)
        return
    pool = ThreadPoolExecutor(workers)
    try:
        names = {pool.submit(run_job, job): job.name for job in jobs}
        for future in as_completed(names):
            yield names[future], future.result()
    except BaseException:  # interrupted: what has not begun does not begin, the rest ends
        pool.shutdown(wait=False, cancel_futures=True)
        for process in list(_running):
            process.terminate()
        raise
    finally:
        pool.shutdown()


def _on_dask(jobs: Sequence[Job], scheduler: str) -> Iterator[tuple[str, tuple[int, str, float]]]:
    from dask.distributed import Client
    from dask.distributed import as_completed as completed

    try:
        client = Client(scheduler, timeout=10)
    except (OSError, ValueError) as error:
        raise InputError(
            scheduler, "a Dask scheduler that answers", str(error), "Start it, or use --workers."
        ) from error
    with client:
        futures = client.map(run_job, jobs, pure=False, retries=0)
        names = dict(zip([future.key for future in futures], [job.name for job in jobs], strict=True))
        for future in completed(futures):
            error = future.exception()
            failed = (1, f"the worker failed: {error}", 0.0)
            yield names[future.key], failed if error is not None else future.result()

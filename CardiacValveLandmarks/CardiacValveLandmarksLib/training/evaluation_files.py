"""The files of an evaluation: tables as CSV, all figures as JSON, pictures as PNG. Written whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path

from ..errors import InputError
from ..files import make_folder
from .compare import Row
from .evaluation import MODEL, Evaluation, Table, flat

#: what may be written; a folder that has any of these keeps them unless told otherwise
FILES = (
    "points.csv", "landmarks.csv", "detection.csv", "measures.csv", "strata.csv", "readers.csv", "calibration.csv",
    "evaluation.json", "errors.png", "bland_altman.png", "reliability.png",
)  # fmt: skip
SCHEMA_VERSION = "1.0"


def refuse_existing(folder: str | os.PathLike, overwrite: bool) -> None:
    """InputError where an evaluation is there already and `overwrite` does not allow to replace it."""
    there = [name for name in FILES if (Path(folder) / name).exists()]
    if there and not overwrite:
        advice = "Add --overwrite or choose another folder."
        raise InputError(Path(folder) / there[0], "no evaluation from before", "a file", advice)


def write_evaluation(
    evaluation: Evaluation,
    folder: str | os.PathLike,
    settings: Mapping[str, object],
    pictures: bool = True,
    overwrite: bool = False,
) -> list[Path]:
    """All files of an evaluation; returns their paths. What an evaluation lacks (no second reader, no confidence)
    has no file, and with `overwrite` a file of that name from before is removed.

    settings: how the evaluation was called, kept in evaluation.json. InputError where the folder cannot be written.
    """
    refuse_existing(folder, overwrite)
    contents: dict[str, bytes] = {"points.csv": _csv([asdict(row) for row in evaluation.pairs[MODEL].rows()], Row)}
    for name in ("landmarks", "detection", "measures", "strata", "readers"):
        table = getattr(evaluation, name)
        if table:
            contents[f"{name}.csv"] = _csv(table)
    if evaluation.calibration is not None:
        contents["calibration.csv"] = _csv([flat(asdict(part)) for part in evaluation.calibration.bins])
    contents["evaluation.json"] = to_json(evaluation, settings).encode()
    if pictures:
        from . import evaluation_charts as charts

        drawn = {
            "errors.png": charts.error_picture(evaluation),
            "bland_altman.png": charts.bland_altman_picture(evaluation),
            "reliability.png": charts.reliability_picture(evaluation),
        }
        contents |= {name: data for name, data in drawn.items() if data is not None}
    return _write_all(make_folder(folder), contents)


def to_json(evaluation: Evaluation, settings: Mapping[str, object]) -> str:
    """Every table and figure; NaN as null."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "settings": dict(settings),
        "unit": evaluation.unit,
        "within": evaluation.within,
        "notes": list(evaluation.notes),
        **{
            name: getattr(evaluation, name)
            for name in ("landmarks", "detection", "measures", "strata", "readers", "calibration")
        },
    }
    return json.dumps(_plain(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value):
    """JSON types, null for NaN."""
    if is_dataclass(value):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, int, bool)) else str(value)


def _csv(table: Table | Sequence[Mapping[str, object]], kind: type | None = None) -> bytes:
    stream = io.StringIO()
    names = [field.name for field in fields(kind)] if kind is not None else list(table[0])
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    writer.writeheader()
    for row in table:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return stream.getvalue().encode()


def _cell(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else ""
    return "" if value is None else value


def _write_all(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Every file is complete before the first takes its name."""
    try:
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as temporary:
            for name, data in contents.items():
                (Path(temporary) / name).write_bytes(data)
            for name in FILES:
                if name in contents:
                    (Path(temporary) / name).replace(folder / name)
                else:
                    (folder / name).unlink(missing_ok=True)
    except OSError as error:
        advice = "Free some space or choose another folder."
        raise InputError(folder, "a folder that can be written", str(error), advice) from error
    return [folder / name for name in FILES if name in contents]

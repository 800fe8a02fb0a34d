"""study.json: a study without its images, exactly.

Every field of the study's types is written under its own name: arrays as nested lists, landmarks by number, NaN as
null, floats in the shortest form that reads back to the same bits. `resources/study.schema.json` describes the file.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
import types
import typing
from pathlib import Path
from typing import Any

import numpy as np

from .errors import InputError
from .files import atomic_open
from .landmarks import VALVES, VIEWS, Landmark, by_number
from .study import Study, StudySettings
from .study_names import without_names

FORMAT = "cardiac-valve-landmarks study"
SCHEMA_VERSION = "1.1"
SCHEMA_FILE = Path(__file__).parent / "resources" / "study.schema.json"


def study_to_json(study: Study, path: str | os.PathLike, identify: bool = False) -> None:
    """Write `study`, floats exactly, NaN as null; names of cines, sources and UIDs only with `identify`.

    InputError where the file cannot be written. An existing file is replaced: asking first is the caller's part.
    """
    with atomic_open(path) as stream:
        json.dump(study_to_dict(study, identify), stream, allow_nan=False, ensure_ascii=False, indent=1)
        stream.write("\n")


def study_to_dict(study: Study, identify: bool = False) -> dict[str, Any]:
    """What `study_to_json` writes, as plain dicts, lists, strings and numbers."""
    if not identify:
        study = without_names(study)
    return {
        "format": FORMAT,
        "version": SCHEMA_VERSION,
        "units": {"length": "mm", "time": "ms", "space": "LPS", "phase": "part of the RR, 0 at the first frame"},
        "study": _encode(study),
    }


def study_from_json(path: str | os.PathLike) -> Study:
    """Read what `study_to_json` wrote. InputError where it is no study file or of another major version."""
    path = Path(path)
    advice = "Make it again with `cvl study`."
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except IsADirectoryError as error:
        raise InputError(path, "a study file", "a folder", f"Give {path / 'study.json'}.") from error
    except OSError as error:
        raise InputError(path, "a study file", error.strerror or str(error), "Check the path.") from error
    except ValueError as error:
        raise InputError(path, "a study file (JSON)", f"no JSON: {error}", advice) from error
    return study_from_dict(content, path)


def study_from_dict(content: Any, path: str | os.PathLike = "study") -> Study:
    """The study in `study_to_dict`'s form. Errors name `path`."""
    advice = "Make it again with `cvl study`."
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(path, f'a study file ("format": "{FORMAT}")', "another kind of file", advice)
    version = str(content.get("version"))
    if version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
        raise InputError(path, f"study file version {SCHEMA_VERSION.split('.')[0]}.x", f"version {version}", advice)
    try:
        study = _decode(Study, content.get("study"), "study")
        _check(study)
        return study
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(path, f"a study file of version {version}", f"{error}", advice) from error


def _check(study: Study) -> None:
    """ValueError where arrays that belong together have other lengths, and for what no study has: what is exported from
    it would mean nothing, or lie elsewhere (files are called after the valves)."""
    count = len(study.phases)
    for where, rr in (("study", study.rr_ms), *((view.view, view.rr_ms) for view in study.views)):
        if rr <= 0:
            raise ValueError(f"the RR of {where}: expected milliseconds above 0, found {rr:g}")
    valves = [ring.valve for ring in study.annuli]
    if not set(valves) <= set(VALVES) or len(set(valves)) < len(valves):
        raise ValueError(f"rings: expected each of {', '.join(VALVES)} at most once, found {', '.join(valves)}")
    for view in study.views:
        frames = view.landmarks.n_frames
        if view.view not in VIEWS:
            raise ValueError(f"a view: expected one of {', '.join(VIEWS)}, found {view.view!r}")
        if len(view.phases) != frames or (view.times_ms is not None and len(view.times_ms) != frames):
            raise ValueError(f"the {view.view}: expected phases and times of {frames} frames")
    for t in study.trajectories:
        name, size, frames = f"the path of {t.landmark.name} ({t.view})", 2 * t.order + 1, len(t.phases)
        shapes = {
            "coefficients": (size, 3), "covariance": (size, size), "noise_covariance": (3, 3), "points": (frames, 3),
            "residuals": (frames,), "weights": (frames,), "provenance": (frames,),
        }  # fmt: skip
        for part, shape in shapes.items():
            if getattr(t, part).shape != shape:
                raise ValueError(f"{name}: expected {part} of shape {shape}, found {getattr(t, part).shape}")
    for ring in study.annuli:
        if not len(ring.phases) == len(ring.nodes) == len(ring.node_sd_mm) == count:
            raise ValueError(f"the {ring.valve} ring: expected {count} phases, found {len(ring.nodes)}")
        if not np.isfinite(ring.nodes).all():
            raise ValueError(f"the {ring.valve} ring: expected finite nodes")
    for curve in study.curves:
        if not len(curve.values) == len(curve.sd) == count:
            raise ValueError(f"the curve {curve.key}: expected {count} phases, found {len(curve.values)}")


def _encode(value: Any) -> Any:
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, Landmark):
        return value.number
    if dataclasses.is_dataclass(value):
        return {field.name: _encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        return _encode(value.tolist())
    if isinstance(value, (tuple, list)):
        return [_encode(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _encode(item) for key, item in value.items()}
    if isinstance(value, (int, np.integer)):
        return int(value)
    number = float(value)
    if math.isinf(number):
        raise ValueError("a study holds no infinite numbers")
    return None if math.isnan(number) else number


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


#: arrays that are not floating point, by (class, field)
_ARRAY_TYPES = {
    ("Trajectory", "provenance"): np.uint8,
    ("LandmarkSeries", "provenance"): np.uint8,
    ("MotionCheck", "flagged"): np.bool_,
}


def _decode(kind: Any, value: Any, where: str) -> Any:
    """`value` as `kind` (a type annotation); ValueError naming `where` if it is something else."""
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        options = typing.get_args(kind)
        if value is None and type(None) in options:
            return None
        return _decode(next(option for option in options if option is not type(None)), value, where)
    if origin is tuple:
        return _decode_tuple(typing.get_args(kind), value, where)
    if origin is dict:
        if not isinstance(value, dict):
            raise ValueError(f"{where}: expected an object")
        item = typing.get_args(kind)[1]
        return {key: _decode(item, entry, f"{where}.{key}") for key, entry in value.items()}
    if kind is Landmark:
        return by_number(_decode(int, value, where))
    if dataclasses.is_dataclass(kind):
        return _decode_object(kind, value, where)
    if kind is float:
        if value is None:
            return math.nan
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    elif kind is int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    elif isinstance(value, kind):
        return value
    raise ValueError(f"{where}: expected {getattr(kind, '__name__', kind)}, found {value!r:.60}")


def _decode_tuple(items: tuple, value: Any, where: str) -> tuple:
    if not isinstance(value, list):
        raise ValueError(f"{where}: expected a list")
    if len(items) == 2 and items[1] is Ellipsis:
        return tuple(_decode(items[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if len(items) != len(value):
        raise ValueError(f"{where}: expected {len(items)} entries, found {len(value)}")
    return tuple(_decode(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(zip(items, value, strict=True)))


def _decode_object(kind: type, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: expected an object")
    fields = {}
    hints = _hints(kind)
    for field in dataclasses.fields(kind):
        if field.name not in value:
            if kind is StudySettings and field.default is not dataclasses.MISSING:
                continue  # a setting that an earlier minor version did not have
            raise ValueError(f"{where}.{field.name} is missing")
        entry, hint = value[field.name], hints[field.name]
        place = f"{where}.{field.name}"
        if hint is np.ndarray or (np.ndarray in typing.get_args(hint) and entry is not None):
            fields[field.name] = _array(entry, _ARRAY_TYPES.get((kind.__name__, field.name), np.float64), place)
        else:
            fields[field.name] = _decode(hint, entry, place)
    # fields of a later minor version are ignored
    return kind(**fields)


def _array(value: Any, dtype: type, where: str) -> np.ndarray:
    if not isinstance(value, list):
        raise ValueError(f"{where}: expected an array")
    try:
        array = np.array(value, dtype=np.float64)  # None becomes NaN
    except (ValueError, TypeError) as error:
        raise ValueError(f"{where}: expected an array of numbers") from error
    if np.isinf(array).any():
        raise ValueError(f"{where}: infinite numbers are not allowed")
    if dtype is not np.float64 and np.isnan(array).any():
        raise ValueError(f"{where}: null is not allowed here")
    return array.astype(dtype)

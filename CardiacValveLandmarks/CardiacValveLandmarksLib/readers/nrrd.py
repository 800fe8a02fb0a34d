"""NRRD sequence (`.seq.nrrd` as Slicer writes it, attached or detached) -> Cine.

SimpleITK reads neither the list axis' kind nor its index values, so the header is parsed here.
Format: https://teem.sourceforge.net/nrrd/format.html; what Slicer adds: its developer guide, "Sequences".
"""

from __future__ import annotations

import bz2
import gzip
import math
import re
import zlib
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from ..cine import Cine
from ..errors import InputError
from ..files import safe_name
from ..geometry import SliceGeometry
from .checks import COUNTED, TIME_MS, check_frames, check_interval, cycle_from_frames, is_placeholder

_TYPES = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(("longlong", "long long", "long long int", "int64", "int64_t"), "i8"),
    **dict.fromkeys(("ulonglong", "unsigned long long", "uint64", "uint64_t"), "u8"),
    "float": "f4",
    "double": "f8",
}
#: signs that bring a space to LPS
_SPACES = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
}
_LENGTH_MM = {"mm": 1.0, "millimeter": 1.0, "cm": 10.0, "m": 1000.0, "um": 0.001}
_TIME_KINDS = ("list", "time")
_EXPECTED = "a sequence of one slice: a 4-D NRRD with three space axes and one list (time) axis"


def read_nrrd(path: Path) -> Cine:
    """The cine of an NRRD sequence with one slice. Rows (the slower axis) are axis 0 of the frames, as in DICOM.

    geometry is None where the header states no patient space, or a placeholder (along the axes, at the origin).
    Frames are in the order of Slicer's index values, which are their times_ms where the index has a unit of time; where
    they are no numbers, as in the file. InputError for what is no cine.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(path, "a file that can be read", str(error)) from error
    fields, keys, start = _parse(path, raw)
    try:
        sizes = [int(size) for size in fields["sizes"].split()]
        dtype = np.dtype(_TYPES[fields["type"].lower()])
        kinds = fields.get("kinds", "").lower().split()
    except (KeyError, ValueError) as error:
        raise InputError(path, "an NRRD header with type and sizes", f"{error!s}", "Write the file again.") from error
    axis = _list_axis(path, sizes, kinds, fields)
    body = _body(path, raw, start, fields)
    if dtype.itemsize > 1:
        if fields.get("endian", "").lower() not in ("little", "big"):
            raise InputError(path, "the byte order (endian: little or big)", "none in the header")
        dtype = dtype.newbyteorder("<" if fields["endian"].lower() == "little" else ">")
    count = math.prod(sizes)
    data = _values(path, body, dtype, count, fields).reshape(sizes, order="F")
    space = [number for number in range(4) if number != axis]
    # (t, k, j, i): one of the three is the slice, the slower of the others gives rows
    frames = data.transpose(axis, *reversed(space))
    flat = [number for number in reversed(space) if sizes[number] == 1]
    if not flat:
        found = f"{sizes[space[2]]} slices, sizes {sizes}"
        raise InputError(path, _EXPECTED, found, "Give one slice a file.")
    slice_axis = flat[0]
    rows, columns = (number for number in reversed(space) if number != slice_axis)
    frames = frames.reshape(sizes[axis], sizes[rows], sizes[columns]).astype(np.float32)
    times, order = _times(path, axis, sizes[axis], fields, keys)
    frames = np.ascontiguousarray(frames if order is None else frames[order])
    check_frames(path, frames)
    if times is not None:
        check_interval(path, times)
    geometry, spacing, geometry_source = _geometry(path, fields, rows, columns, slice_axis)
    rr = cycle_from_frames(times)
    return Cine(
        frames,
        geometry=geometry,
        spacing=spacing,
        times_ms=times,
        rr_ms=rr,
        rr_source=COUNTED if rr is not None else "unknown",
        name=safe_name(re.sub(r"(\.seq)?\.(nrrd|nhdr)$", "", path.name, flags=re.IGNORECASE)),
        source=str(path),
        attributes={
            "order_source": "file" if order is None else "index values",
            "geometry_source": geometry_source,
        },
    )


def _parse(path: Path, raw: bytes) -> tuple[dict[str, str], dict[str, str], int]:
    """Fields (names in lower case), key-value pairs, and where the data begins."""
    if not raw.startswith(b"NRRD000"):
        found = "an empty file" if not raw else "a file that does not begin with NRRD000"
        raise InputError(path, "an NRRD file", found, "Check that it was copied whole.")
    end = re.search(rb"\r?\n\r?\n", raw)
    header = raw[: end.start() if end else len(raw)]
    fields: dict[str, str] = {}
    keys: dict[str, str] = {}
    for line in header.decode("utf-8", "replace").splitlines()[1:]:
        if line.startswith("#"):
            continue
        pair, field = line.split(":=", 1), line.split(": ", 1)
        # a value may hold the other separator: the first one in the line counts
        if len(pair) == 2 and (len(field) < 2 or len(pair[0]) < len(field[0])):
            keys[pair[0]] = pair[1]
        elif len(field) == 2:
            fields[field[0].strip().lower()] = field[1].strip()
    for alias, name in (("datafile", "data file"), ("lineskip", "line skip"), ("byteskip", "byte skip")):
        if alias in fields:
            fields.setdefault(name, fields[alias])
    return fields, keys, end.end() if end else len(raw)


def _list_axis(path: Path, sizes: list[int], kinds: list[str], fields: dict[str, str]) -> int:
    """Which axis is time."""
    colours = [kind for kind in kinds if "color" in kind or "vector" in kind or "matrix" in kind or kind == "complex"]
    if colours:
        raise InputError(path, _EXPECTED, f"an axis of kind {colours[0]}: several channels", "Give one grey channel.")
    if len(sizes) != 4 or min(sizes) < 1:
        raise InputError(path, _EXPECTED, f"{len(sizes)}-D, sizes {sizes}", "Give the whole sequence.")
    axes = [number for number, kind in enumerate(kinds) if kind in _TIME_KINDS]
    if not axes:
        axes = [number for number, part in enumerate(_directions(path, fields)) if part is None]
    if len(axes) != 1:
        advice = "Save the sequence from Slicer as .seq.nrrd, or mark the axis by its kind (list)."
        raise InputError(path, _EXPECTED, f"kinds {kinds or 'not stated'} and {len(axes)} axes of time", advice)
    return axes[0]


def _directions(path: Path, fields: dict[str, str]) -> list[np.ndarray | None]:
    """A vector or None for each axis; [] where none are stated."""
    parts = re.findall(r"none|\([^)]*\)", fields.get("space directions", "").lower())
    try:
        vectors = [None if part == "none" else np.array(part[1:-1].split(","), dtype=float) for part in parts]
    except ValueError as error:
        raise InputError(path, "space directions of numbers", fields["space directions"]) from error
    # some writers put NaN or zeros for "none"
    return [v if v is not None and np.isfinite(v).all() and v.any() else None for v in vectors]


def _body(path: Path, raw: bytes, start: int, fields: dict[str, str]) -> bytes:
    """The data as stored, decompressed."""
    name = fields.get("data file")
    if name is not None:
        if name.upper().startswith("LIST") or "%" in name:
            raise InputError(path, "one data file", f"data file: {name}", "Save the sequence as one .seq.nrrd.")
        data_path = path.parent / name
        try:
            body = data_path.read_bytes()
        except OSError as error:
            raise InputError(data_path, f"the data file of {path.name}", str(error), "Keep both together.") from error
    else:
        body = raw[start:]
    try:
        lines, skip = int(fields.get("line skip", 0)), int(fields.get("byte skip", 0))
    except ValueError as error:
        raise InputError(path, "whole numbers to skip", str(error)) from error
    for _ in range(lines):
        body = body.partition(b"\n")[2]
    encoding = fields.get("encoding", "").lower()
    try:
        if encoding in ("gzip", "gz"):
            body = gzip.decompress(body)
        elif encoding in ("bzip2", "bz2"):
            body = bz2.decompress(body)
        elif encoding not in ("raw", "ascii", "text", "txt"):
            raise InputError(path, "encoding raw, gzip, bzip2 or ascii", encoding or "none", "Save it again.")
    except (EOFError, OSError, ValueError, zlib.error) as error:
        raise InputError(path, "whole compressed data", str(error), "Copy or save the file again.") from error
    return body[skip:] if skip > 0 else body


def _values(path: Path, body: bytes, dtype: np.dtype, count: int, fields: dict[str, str]) -> np.ndarray:
    if fields["encoding"].lower() in ("ascii", "text", "txt"):
        try:
            values = np.array(body.split(), dtype=dtype.newbyteorder("="))
        except ValueError as error:
            raise InputError(path, "numbers", str(error)) from error
    else:
        # byte skip -1: the data are the last bytes of the file
        if fields.get("byte skip") == "-1":
            body = body[-count * dtype.itemsize :]
        values = np.frombuffer(body, dtype, min(count, len(body) // dtype.itemsize))
    if len(values) < count:
        found = f"{len(values)} values instead of {count}: the file is cut off"
        raise InputError(path, "a whole file", found, "Copy or save it again.")
    return values[:count]


def _times(
    path: Path, axis: int, count: int, fields: dict[str, str], keys: dict[str, str]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Times (T,) ms or None, and the order (T,) that sorts the frames by their index values, None: as in the file."""
    values = [unquote(value) for value in keys.get(f"axis {axis} index values", "").split()]
    units = re.findall(r'"([^"]*)"', fields.get("units", ""))
    unit = unquote(units[axis]) if axis < len(units) else ""
    unit = unit or keys.get(f"axis {axis} index unit", "")
    factor = TIME_MS.get(unit.strip().lower())
    if not values:
        return None, None
    try:
        index = np.array(values, dtype=float)
    except ValueError as error:
        if factor is None:  # names
            return None, None
        raise InputError(path, "index values that are times", str(error)) from error
    if len(index) != count or not np.isfinite(index).all() or len(np.unique(index)) < count:
        found = f"{len(values)} values, {len(np.unique(index))} of them different"
        raise InputError(path, f"{count} different index values", found, "Save the sequence again.")
    order = np.argsort(index)
    # Slicer's own DICOM import numbers the frames and gives no unit
    return None if factor is None else index[order] * factor, order


def _geometry(
    path: Path, fields: dict[str, str], rows: int, columns: int, slice_axis: int
) -> tuple[SliceGeometry | None, np.ndarray | None, str]:
    units = re.findall(r'"([^"]*)"', fields.get("space units", "")) or ["mm"]
    if units[0].lower() not in _LENGTH_MM:
        raise InputError(path, "space units of length (mm)", units[0])
    factor = _LENGTH_MM[units[0].lower()]
    directions = _directions(path, fields)
    if len(directions) != 4:
        spacings = fields.get("spacings", "").split()
        try:
            spacing = np.array([spacings[rows], spacings[columns]], dtype=float) * factor
        except (IndexError, ValueError):
            return None, None, "none: no space directions"
        stated = np.isfinite(spacing).all() and (spacing > 0).all() and (spacing != 1).any()
        return None, spacing if stated else None, "none: no space directions"
    axis0, axis1, through = (directions[number] for number in (rows, columns, slice_axis))
    if axis0 is None or axis1 is None or axis0.shape != (3,) or axis1.shape != (3,):
        raise InputError(path, "a direction in space for each image axis", fields["space directions"])
    spacing = np.array([np.linalg.norm(axis0), np.linalg.norm(axis1)]) * factor
    signs = _SPACES.get(fields.get("space", "").lower())
    origin = re.fullmatch(r"\(([^)]*)\)", fields.get("space origin", ""))
    through = np.cross(axis0, axis1) if through is None else through
    try:
        if signs is None or origin is None:
            return None, spacing, "none: no patient space or origin is named"
        place = np.array(origin[1].split(","), dtype=float)
        if is_placeholder(np.stack([axis0, axis1, through], axis=1), place):
            known = None if (spacing == 1).all() else spacing
            return None, known, "none: a placeholder (along the axes, at the origin)"
        flip = np.array(signs) * factor
        thickness = float(np.linalg.norm(through)) * factor
        return SliceGeometry(place * flip, axis0 * flip, axis1 * flip, thickness), None, "space directions"
    except ValueError as error:
        raise InputError(path, "a finite origin and orthogonal image axes", str(error), "Save it again.") from error

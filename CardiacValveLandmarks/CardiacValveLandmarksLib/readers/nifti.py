"""4-D NIfTI -> Cine. A small reader of our own: nibabel is not in Slicer, and SimpleITK hides the codes that tell
a stated geometry from a made-up one.

Layout: https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h and nifti2.h.
"""

from __future__ import annotations

import gzip
import logging
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..cine import Cine
from ..errors import InputError
from ..files import safe_name
from ..geometry import SliceGeometry
from .checks import COUNTED, MAX_FRAME_INTERVAL_MS, check_frames, cycle_from_frames, is_placeholder

_log = logging.getLogger(__name__)

#: NIfTI datatype code -> numpy type; complex (32, 1792) and colour (128, 2304) are no cine
_TYPES = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
_COLOURS = {128: "RGB", 2304: "RGBA", 32: "complex", 1792: "complex", 2048: "complex"}
#: xyzt_units bits -> factor to mm and to ms
_LENGTH_MM = {1: 1000.0, 2: 1.0, 3: 0.001}
_TIME_MS = {8: 1000.0, 16: 1.0, 24: 0.001}
_MAX_HEADER = 540
#: ms; what is shorter is an echo's repetition time, which converters write in the place of the frame interval
_MIN_INTERVAL_MS = 10.0


@dataclass(frozen=True)
class Header:
    """The fields that are used, whichever version and byte order they come from. matrices: [(code, 4×4 RAS)] of the
    sform and the qform, in the file's length unit; code 0 is "not stated"."""

    order: str
    shape: tuple[int, ...]
    datatype: int
    offset: int
    slope: float
    intercept: float
    pixdim: np.ndarray
    units: int
    sform: tuple[int, np.ndarray]
    qform: tuple[int, np.ndarray]


def read_nifti(path: Path) -> Cine:
    """The cine of a NIfTI file `(H, W, 1, N)`: frames[t] = data[:, :, 0, t], no transpose.

    geometry is None where the header states none: no sform or qform code, or a matrix that writers put when they
    know nothing (along the axes, at the origin). Then spacing comes from pixdim, unless that is a placeholder too.
    InputError for everything that is no cine.
    """
    header = parse_header(path, _read(path, _MAX_HEADER))
    shape = header.shape
    if header.datatype in _COLOURS:
        raise InputError(path, "one grey value a pixel", f"{_COLOURS[header.datatype]} data", "Convert it to grey.")
    if header.datatype not in _TYPES:
        raise InputError(path, "a known NIfTI data type", f"type {header.datatype}", "Write it as int16 or float32.")
    expected = "a 4-D NIfTI (rows, columns, 1, frames)"
    if len(header.shape) > 4 and max(header.shape[4:]) > 1:
        found, advice = f"shape {header.shape}: several channels", "Give one grey channel."
        if shape[2:4] == (1, 1):
            advice = "If its fifth axis is time, move it to the fourth: (rows, columns, 1, frames)."
        raise InputError(path, expected, found, advice)
    if len(header.shape) < 4:
        advice = "If its third axis is time, make it the fourth: (rows, columns, 1, frames)."
        raise InputError(path, expected, f"{len(header.shape)}-D, shape {header.shape}", advice)
    if shape[2] != 1:
        advice = "Give one slice a file."
        if 1 in shape[:2]:
            advice = "If this is one slice, make its axis of length 1 the third: (rows, columns, 1, frames)."
        elif shape[3] == 1:
            advice = "If its third axis is time, move it to the fourth: (rows, columns, 1, frames)."
        raise InputError(path, expected, f"{shape[2]} slices, shape {header.shape}", advice)
    dtype = np.dtype(header.order + _TYPES[header.datatype])
    count = math.prod(shape)
    body = _read(path)[header.offset :][: count * dtype.itemsize]
    if len(body) < count * dtype.itemsize:
        found = f"{len(body)} bytes of pixels instead of {count * dtype.itemsize}: the file is cut off"
        raise InputError(path, "a whole file", found, "Copy or export it again.")
    data = np.frombuffer(body, dtype).reshape(shape[:4], order="F")[:, :, 0, :]
    frames = np.ascontiguousarray(np.moveaxis(data, -1, 0), dtype=np.float32)
    # scl_slope 0 (or not a number) means "not scaled"
    if np.isfinite([header.slope, header.intercept]).all() and header.slope != 0:
        frames = frames * np.float32(header.slope) + np.float32(header.intercept)
    check_frames(path, frames)
    geometry, spacing, geometry_source = _geometry(path, header)
    times, time_source = _times(path, header)
    rr = cycle_from_frames(times)
    return Cine(
        frames,
        geometry=geometry,
        spacing=spacing,
        times_ms=times,
        rr_ms=rr,
        rr_source=COUNTED if rr is not None else "unknown",
        name=safe_name(path.name.removesuffix(".gz").removesuffix(".nii")),
        source=str(path),
        attributes={"order_source": "file", "geometry_source": geometry_source, "time_source": time_source},
    )


def _read(path: Path, at_most: int = -1) -> bytes:
    """The file's content, decompressed (told by content, not by name)."""
    try:
        with path.open("rb") as stream:
            packed = stream.read(2) == b"\x1f\x8b"
            stream.seek(0)
            if not packed:
                return stream.read(at_most)
            with gzip.open(stream) as unpacked:
                return unpacked.read(at_most)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(path, "a whole gzip file", str(error), "Copy or download it again.") from error
    except OSError as error:
        raise InputError(path, "a file that can be read", str(error)) from error


def parse_header(path: Path, head: bytes) -> Header:
    """The header of a single-file NIfTI-1 or -2 of either byte order. InputError for anything else."""
    for order in "<>":
        if len(head) >= 348 and struct.unpack_from(order + "i", head)[0] == 348:
            magic = head[344:348]
            if magic == b"ni1\0":
                raise InputError(path, "a single-file NIfTI (.nii)", "a header without pixels (.hdr and .img)")
            if magic != b"n+1\0":
                raise InputError(path, "a NIfTI file", f"magic {magic!r} (Analyze?)", "Convert it to NIfTI.")
            return _parse(path, order, head, 1)
        if len(head) >= 540 and struct.unpack_from(order + "i", head)[0] == 540 and head[4:8] == b"n+2\0":
            return _parse(path, order, head, 2)
    raise InputError(path, "a NIfTI file", "no NIfTI header", "Check that it was copied whole.")


def _parse(path: Path, order: str, head: bytes, version: int) -> Header:
    def take(code: str, offset: int) -> tuple:
        return struct.unpack_from(order + code, head, offset)

    if version == 1:
        dim = take("8h", 40)
        (datatype,), pixdim, (offset, slope, intercept) = take("h", 70), take("8f", 76), take("3f", 108)
        (units,), (qcode, scode) = take("B", 123), take("2h", 252)
        quatern, srow = take("6f", 256), take("12f", 280)
    else:
        dim = take("8q", 16)
        (datatype,), pixdim, (offset,), (slope, intercept) = (
            take("h", 12),
            take("8d", 104),
            take("q", 168),
            take("2d", 176),
        )
        (qcode, scode), quatern, srow = take("2i", 344), take("6d", 352), take("12d", 400)
        (units,) = take("i", 500)
    if not 1 <= dim[0] <= 7 or min(dim[1 : dim[0] + 1]) < 1:
        raise InputError(path, "positive sizes", f"dimensions {dim}", "The header is damaged.")
    rank = dim[0]
    while rank > 4 and dim[rank] == 1:
        rank -= 1
    smallest = 352 if version == 1 else 544
    if not math.isfinite(offset):
        raise InputError(path, "where the pixels begin (vox_offset)", f"{offset}", "The header is damaged.")
    pixdim = np.array(pixdim, np.float64)
    sform = np.vstack([np.reshape(srow, (3, 4)), [0, 0, 0, 1]]).astype(np.float64)
    return Header(
        order=order,
        shape=tuple(int(size) for size in dim[1 : rank + 1]),
        datatype=datatype,
        offset=max(int(offset), smallest),
        slope=float(slope),
        intercept=float(intercept),
        pixdim=pixdim,
        units=int(units),
        sform=(int(scode), sform),
        qform=(int(qcode), _quaternion_matrix(quatern, pixdim)),
    )


def _quaternion_matrix(quatern: tuple[float, ...], pixdim: np.ndarray) -> np.ndarray:
    """nifti1.h, method 2."""
    b, c, d = quatern[:3]
    a = np.sqrt(max(0.0, 1.0 - (b * b + c * c + d * d)))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * pixdim[1:4] * [1, 1, -1 if pixdim[0] < 0 else 1]
    matrix[:3, 3] = quatern[3:6]
    return matrix


def _geometry(path: Path, header: Header) -> tuple[SliceGeometry | None, np.ndarray | None, str]:
    factor = _LENGTH_MM.get(header.units & 7, 1.0)  # unit not stated: mm, as all writers mean
    reason = "none: the header has no sform or qform code"
    for name in ("sform", "qform"):
        code, matrix = getattr(header, name)
        if code <= 0:
            continue
        if is_placeholder(matrix[:3, :3], matrix[:3, 3]):
            reason = f"none: the {name} is a placeholder (along the axes, at the origin)"
            continue
        lps = np.diag([-1.0, -1.0, 1.0]) @ matrix[:3] * factor
        thickness = float(np.linalg.norm(lps[:, 2]))
        try:
            return SliceGeometry(lps[:, 3], lps[:, 0], lps[:, 1], thickness or float("nan")), None, name
        except ValueError as error:
            raise InputError(
                path, f"an {name} of finite, orthogonal axes", str(error), "Repair the header, or clear its code."
            ) from error
    spacing = np.abs(header.pixdim[1:3]) * factor
    # 1 × 1 is what stands there when nobody wrote a size
    if not np.isfinite(spacing).all() or (spacing <= 0).any() or (np.abs(header.pixdim[1:3]) == 1).all():
        return None, None, reason
    return None, spacing, reason


def _times(path: Path, header: Header) -> tuple[np.ndarray | None, str]:
    """Times (N,) ms from pixdim[4], where it carries a unit and is a possible frame interval."""
    factor, step = _TIME_MS.get(header.units & 56), float(header.pixdim[4])
    if factor is None or not np.isfinite(step) or step <= 0:
        return None, "none: the header states no frame interval with a unit"
    interval = step * factor
    if not _MIN_INTERVAL_MS <= interval <= MAX_FRAME_INTERVAL_MS:
        # 1 s is what writers put when they know nothing
        if interval != 1000:
            _log.warning(
                "%s: pixdim[4] of %g ms is no frame interval of a cine; the times are taken as unknown", path, interval
            )
        return None, f"none: pixdim[4] of {interval:g} ms is no frame interval of a cine"
    return np.arange(header.shape[3]) * interval, "pixdim[4]"

"""Cine -> NIfTI-1 in the published network's form: (H, W, 1, T), axes 0 and 1 as they are."""

from __future__ import annotations

import gzip
import logging
import os
import struct

import numpy as np

from .cine import Cine
from .files import atomic_open
from .geometry import SliceGeometry

_log = logging.getLogger(__name__)

_UINT16, _FLOAT32 = 512, 16
_MM, _MS = 2, 16
_SCANNER = 1
#: frame intervals may differ by this part of their mean and still be one interval
_EVEN = 0.01


def write_nifti(cine: Cine, path: str | os.PathLike) -> None:
    """Write `cine` as `.nii` or `.nii.gz`, whole or not at all; an existing file is replaced.

    Whole numbers from 0 to 65535 are stored as uint16, other intensities as float32. Geometry goes to sform and
    qform (code 1, single precision); without geometry both codes are 0 and the spacing, if known, is in pixdim.
    NIfTI holds one frame interval: times that are not evenly spaced are left out, with a warning.
    """
    whole = cine.frames.min() >= 0 and cine.frames.max() <= 65535 and (cine.frames == np.round(cine.frames)).all()
    data = np.moveaxis(cine.frames, 0, -1).astype("<u2" if whole else "<f4")
    content = _header(cine, path, _UINT16 if whole else _FLOAT32) + data.tobytes(order="F")
    compressed = os.fspath(path).endswith(".gz")
    with atomic_open(path, "wb") as stream:
        stream.write(gzip.compress(content, compresslevel=6, mtime=0) if compressed else content)


def _header(cine: Cine, path: str | os.PathLike, datatype: int) -> bytes:
    geometry = cine.geometry
    spacing = np.ones(2) if cine.spacing is None else cine.spacing
    thickness = geometry.thickness if geometry is not None and np.isfinite(geometry.thickness) else 1.0
    interval = _interval(cine, path)
    units = (_MM if cine.spacing is not None else 0) | (_MS if interval else 0)
    header = bytearray(352)

    def put(code: str, offset: int, *values: float) -> None:
        struct.pack_into("<" + code, header, offset, *values)

    put("i", 0, 348)
    put("8h", 40, 4, *cine.shape, 1, cine.n_frames, 1, 1, 1)
    put("2h", 70, datatype, 16 if datatype == _UINT16 else 32)
    put("8f", 76, 1, *spacing, thickness, interval, 0, 0, 0)
    put("3f", 108, 352, 1, 0)  # vox_offset, scl_slope, scl_inter
    put("B", 123, units)
    if geometry is not None:
        put("2h", 252, _SCANNER, _SCANNER)
        matrix = _ras_matrix(geometry, thickness)
        put("6f", 256, *_quaternion(matrix[:, :3] / np.linalg.norm(matrix[:, :3], axis=0)), *matrix[:, 3])
        put("12f", 280, *matrix.ravel())
    header[344:348] = b"n+1\0"
    return bytes(header)


def _interval(cine: Cine, path: str | os.PathLike) -> float:
    if cine.times_ms is None or cine.n_frames < 2:
        return 0.0
    steps = np.diff(cine.times_ms)
    if np.ptp(steps) > _EVEN * steps.mean() or cine.times_ms[0] != 0:
        _log.warning("%s: the frames are not evenly spaced from 0; NIfTI cannot hold their times", path)
        return 0.0
    return float(steps.mean())


def _ras_matrix(geometry: SliceGeometry, thickness: float) -> np.ndarray:
    """(3, 4) pixel indices -> RAS mm: NIfTI's own space; third axis along the normal, so that it is a rotation."""
    lps = np.stack([geometry.axis0, geometry.axis1, geometry.normal * thickness, geometry.origin], axis=1)
    return np.diag([-1.0, -1.0, 1.0]) @ lps


def _quaternion(rotation: np.ndarray) -> np.ndarray:
    """(3,) the parts b, c, d of the unit quaternion with a ≥ 0 (nifti1.h, method 2)."""
    # the quaternion is the eigenvector of the largest eigenvalue: no case distinctions, and nearest for a matrix
    # that is a rotation only nearly (Bar-Itzhack 2000)
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation
    symmetric = np.array(
        [
            [xx + yy + zz, zy - yz, xz - zx, yx - xy],
            [zy - yz, xx - yy - zz, xy + yx, xz + zx],
            [xz - zx, xy + yx, yy - xx - zz, yz + zy],
            [yx - xy, xz + zx, yz + zy, zz - xx - yy],
        ]
    )
    quaternion = np.linalg.eigh(symmetric)[1][:, -1]
    return quaternion[1:] * (1 if quaternion[0] >= 0 else -1)

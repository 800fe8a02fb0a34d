"""Arrays of an NPZ file, checked as they are read. Errors name the file, the array and the image."""

from __future__ import annotations

import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from ..errors import InputError

#: what NumPy, zipfile and zlib raise at a file that is damaged or of another kind
_DAMAGE = (
    OSError, ValueError, TypeError, KeyError, EOFError, OverflowError, RuntimeError, SyntaxError,
    zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError,
)  # fmt: skip


def load_arrays(
    path: str | os.PathLike, needed: Sequence[str], form: str, optional: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """These arrays of an NPZ, in this order; of the optional ones those that are there. form: what errors call it.

    InputError: another kind of file, arrays missing, damage, arrays too large for the memory.
    """
    try:
        archive = np.load(path, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise ValueError("one array: a .npy file")
        with archive:
            missing = [key for key in needed if key not in archive]
            if missing:
                raise InputError(path, form, f"no {', '.join(missing)}", "See docs/training.md.")
            arrays = {key: archive[key] for key in (*needed, *optional) if key in archive}
    except MemoryError as error:
        found = f"a file that states arrays too large for it ({error or 'out of memory'})"
        raise InputError(path, "arrays that fit into the memory", found, "Copy it again: it may be damaged.") from error
    except _DAMAGE as error:
        raise InputError(path, form, str(error) or type(error).__name__, "See docs/training.md.") from error
    strange = [key for key, array in arrays.items() if not isinstance(array, np.ndarray)]
    if strange:  # NumPy gives the bytes of an entry that is none of its own
        raise InputError(path, form, f"no array in {strange[0]}", "See docs/training.md.")
    return arrays


def as_float32(array: np.ndarray) -> np.ndarray:
    """Numbers as float32, without a warning: those beyond its range become infinite, for the checks that follow."""
    with np.errstate(over="ignore", invalid="ignore"):
        return array.astype(np.float32, copy=False)


def finite_images(images: np.ndarray, key: str, path: str | os.PathLike) -> np.ndarray:
    """Images (n, …) as float32. InputError, naming the array `key` and the image: pixels that are not finite then."""
    narrow = as_float32(numbers(images, key, path))
    bad = np.flatnonzero(~np.isfinite(narrow).all(axis=tuple(range(1, narrow.ndim))))
    if len(bad):
        found = "values beyond float32" if np.isfinite(images[bad[0]]).all() else "NaN or infinity"
        raise InputError(path, f"finite values in {key}", f"{found} in image {bad[0]}", "Repair or remove it.")
    return narrow


def checked_spacing(spacing: np.ndarray, key: str, path: str | os.PathLike) -> np.ndarray:
    """Pixel spacing (n, 2) as float32. InputError, naming the array `key` and the image, unless both numbers are finite
    and above 0, or both NaN (unknown)."""
    narrow = as_float32(numbers(spacing, key, path))
    known = (np.isfinite(narrow) & (narrow > 0)).all(1)
    wrong = np.flatnonzero(~known & ~np.isnan(narrow).all(1))
    if len(wrong):
        raise InputError(
            path,
            f"two finite numbers above 0 (mm) for every image in {key}, or NaN twice where unknown",
            f"{spacing[wrong[0]].tolist()} for image {wrong[0]}",
            "Correct it, or state it as unknown.",
        )
    return narrow


def numbers(array: np.ndarray, key: str, path: str | os.PathLike) -> np.ndarray:
    """The array as it is. InputError unless it holds real numbers."""
    if array.dtype.kind not in "biuf":
        raise InputError(path, f"numbers in {key}", f"{array.dtype}")
    return array


def optional_array(
    arrays: Mapping[str, np.ndarray], key: str, path: str | os.PathLike, shape: tuple[int, ...]
) -> np.ndarray | None:
    """The array of this name, None where there is none. InputError: of another shape."""
    if key in arrays and arrays[key].shape != shape:
        raise InputError(path, f"{key} of shape {shape}", str(arrays[key].shape))
    return arrays.get(key)

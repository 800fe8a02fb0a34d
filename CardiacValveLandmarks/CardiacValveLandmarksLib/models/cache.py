"""The folder that keeps downloaded weights, conversions and the user's own catalogue; checksums."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from ..errors import ModelError

#: names the folder when set; else it is where the system keeps what can be fetched again
CACHE_VARIABLE = "CVL_CACHE"
_FOLDER_NAME = "cardiac-valve-landmarks"


def cache_folder() -> Path:
    """CVL_CACHE, else the user's cache folder: %LOCALAPPDATA% (Windows), ~/Library/Caches (macOS),
    $XDG_CACHE_HOME or ~/.cache (others), in it `cardiac-valve-landmarks`. Not made here. ModelError: no home."""
    chosen = os.environ.get(CACHE_VARIABLE)
    try:
        if chosen:
            return Path(chosen).expanduser()
        home = Path.home()
    except RuntimeError as error:  # a user the system does not know, as in containers
        advice = f"Set {CACHE_VARIABLE} to a folder that can be written."
        raise ModelError(chosen or "~", "a folder for models", f"no home folder ({error})", advice) from error
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or home / ".cache"
    return Path(base) / _FOLDER_NAME


def weights_folder() -> Path:
    """Downloaded weights, one file a model: `ID.pt` or `ID.onnx`. A file copied in by hand works as well."""
    return cache_folder() / "models"


def conversions_folder() -> Path:
    """ONNX graphs made from torch weights, named by the weights' checksum."""
    return cache_folder() / "conversions"


def checksums(path: str | os.PathLike, *algorithms: str) -> tuple[str, ...]:
    """Hexadecimal checksums of a file, read once. ModelError where it cannot be read."""
    sums = [hashlib.new(name, usedforsecurity=False) for name in algorithms]
    try:
        with Path(path).open("rb") as stream:
            while block := stream.read(1 << 20):
                for one in sums:
                    one.update(block)
    except OSError as error:
        raise ModelError(path, "a model file that can be read", str(error)) from error
    return tuple(one.hexdigest() for one in sums)

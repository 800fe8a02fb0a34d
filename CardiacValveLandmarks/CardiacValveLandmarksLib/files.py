"""Output that is written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from .errors import InputError

#: seconds after which nobody writes to a partial file any more
_LEFT_OVER = 3600.0
#: names that Windows keeps for devices
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])", re.IGNORECASE)


def make_folder(folder: str | os.PathLike) -> Path:
    """The folder, made if needed. InputError where that cannot be done."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(folder, "a folder that can be written", str(error), "Choose another output folder.") from error
    return folder


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary path beside `path` (same suffix) that takes its name when the block ends without an error.

    For writers that want a path. On any error the temporary file is removed and an existing `path` is untouched.
    OSError (disk full, no permission) becomes InputError naming `path`.
    """
    path = Path(path)
    folder = make_folder(path.parent)
    temporary = None
    try:
        handle, name = tempfile.mkstemp(prefix=".partial-", suffix="-" + path.name, dir=folder)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        # mkstemp makes private files; outputs get the permissions any new file would
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as error:
        raise InputError(
            path, "a file that can be written", str(error), "Free some space or choose another folder."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_open(path: str | os.PathLike, mode: str = "w") -> Iterator[IO]:
    """Like `open(path, mode)` for writing ("w" is UTF-8 with \\n line ends, or "wb"), whole or not at all."""
    if mode not in ("w", "wb"):
        raise ValueError(f"mode: expected 'w' or 'wb', found {mode!r}")
    text = {"encoding": "utf-8", "newline": "\n"} if mode == "w" else {}
    with atomic_path(path) as temporary, temporary.open(mode, **text) as stream:
        yield stream


def take_places(staging: Path, target: Path, files: Sequence[Path]) -> None:
    """Move files (relative) from one folder to another of the same file system, over those there: all or none.

    OSError where one cannot be moved; then, as after an interruption, those of before are back.
    """
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=target) as name:
        aside, done = Path(name), []
        try:
            for number, file in enumerate(files):
                place, kept = target / file, aside / str(number)
                place.parent.mkdir(parents=True, exist_ok=True)
                if place.is_dir():
                    raise IsADirectoryError(errno.EISDIR, "a folder lies there", str(place))
                was = place.exists()
                done.append((place, kept if was else None))
                if was:
                    place.replace(kept)
                (staging / file).replace(place)
        except BaseException:
            for place, kept in reversed(done):
                if kept is None:
                    place.unlink(missing_ok=True)
                elif kept.exists():
                    kept.replace(place)
            raise


def remove_leftovers(folder: Path, pattern: str = ".partial-*") -> None:
    """What processes left that were killed while they wrote here. Others may be at work: their files are young."""
    for left in folder.glob(pattern):
        with contextlib.suppress(OSError):  # another process was faster, or it is not ours to remove
            if time.time() - left.stat().st_mtime > _LEFT_OVER:
                shutil.rmtree(left) if left.is_dir() else left.unlink()


@contextlib.contextmanager
def locked_folder(folder: str | os.PathLike, wait_s: float = 0.0) -> Iterator[Path]:
    """The folder (made if needed), for one process at a time; the system frees it when the process ends, however.

    InputError where another process holds it (for longer than wait_s), or where it cannot be written. Leaves an empty
    file `.lock`.
    """
    folder = make_folder(folder)
    try:
        stream = (folder / ".lock").open("wb")
    except OSError as error:
        raise InputError(folder, "a folder that can be written", str(error), "Choose another output folder.") from error
    until = time.monotonic() + wait_s
    with stream:
        while True:
            try:
                _lock(stream)
                break
            except OSError as error:
                if time.monotonic() < until:
                    time.sleep(0.05)
                    continue
                raise InputError(
                    folder, "a folder no other run works in", str(error), "Wait for that run, or choose another folder."
                ) from error
        yield folder


def _lock(stream: IO) -> None:
    """OSError where another process has it."""
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


def safe_name(text: str, default: str = "cine") -> str:
    """`text` reduced to letters, digits, '.', '_' and '-': a file name on every system.

    Windows takes no name that ends in a dot, and none that is a device, with whatever suffix.
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._-")[:79].rstrip("._-") or default
    stem, dot, rest = name.partition(".")
    return f"{stem}_{dot}{rest}" if _DEVICE.fullmatch(stem) else name

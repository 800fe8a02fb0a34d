"""Fetching and removing weights. A file takes its name only after its size and checksum were found right."""

from __future__ import annotations

import contextlib
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import Cancelled, ModelError, UsageError
from ..files import make_folder
from .cache import checksums
from .catalogue import unregister, verify
from .conversion import remove_conversions
from .spec import ModelSpec

if TYPE_CHECKING:
    import requests

ATTEMPTS = 4
CONNECT_SECONDS, READ_SECONDS = 10.0, 30.0
_CHUNK = 1 << 16
#: a partial file nobody has written to for so long is nobody's any more, s
_ABANDONED_SECONDS = 900.0
#: answers that may be better a moment later
_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}


class _Interrupted(Exception):
    """The transfer broke off; what came so far is kept and continued."""


def partial_path(spec: ModelSpec) -> Path:
    """What came so far of an unfinished download; the next one goes on from there."""
    return spec.weights_path.with_name(spec.weights_path.name + ".part")


@contextlib.contextmanager
def _own_partial(shared: Path) -> Iterator[Path]:
    """A partial file that is this download's alone, begun with what an earlier one left; left for the next at the end.

    Two downloads of a model at the same time do not write into each other: taking over a file is a renaming, which
    succeeds for one of them, and the other begins anew.
    """
    own = shared.with_name(f"{shared.name}-{uuid.uuid4().hex[:12]}")
    abandoned = time.time() - _ABANDONED_SECONDS
    for path in (shared, *shared.parent.glob(shared.name + "-*")):
        with contextlib.suppress(OSError):  # not there, or taken by another
            if path == shared or path.stat().st_mtime < abandoned:
                path.replace(own)
                break
    try:
        yield own
    finally:
        if own.is_symlink() or own.exists():
            own.replace(shared)


def download_model(
    spec: ModelSpec,
    progress: Callable[[int, int | None], None] | None = None,
    cancel: Callable[[], bool] | None = None,
    *,
    attempts: int = ATTEMPTS,
    timeout: tuple[float, float] = (CONNECT_SECONDS, READ_SECONDS),
    pause: float = 1.0,
) -> Path:
    """Download a model's weights to `spec.weights_path` and return it; a good file that is there is left alone.

    progress: called with (bytes so far, bytes in all or None). cancel: asked between blocks; Cancelled on yes, what
    came so far is kept. timeout: seconds to connect, and of silence. pause: seconds before the second attempt,
    doubled each time. Proxies are taken from the environment, as `requests` does.
    ModelError: not reachable, refused, of wrong size or checksum, or no room. An existing file is replaced only by
    one that was verified.
    """
    if spec.origin != "download" or not spec.source:
        raise UsageError(f"{spec.id} is not a model to download.")
    if spec.sha256 is None and spec.md5 is None:
        raise ModelError(spec.source, "a checksum in the catalogue", "none", "Without one nothing is downloaded.")
    target = spec.weights_path
    if target.is_file():
        with contextlib.suppress(ModelError):  # damaged: fetch it again
            verify(spec)
            return target
    make_folder(target.parent)
    with _own_partial(partial_path(spec)) as partial:
        reason = _fetch(spec, partial, progress, cancel, attempts, timeout, pause)
        if not reason:
            partial.replace(target)
            return target
    raise ModelError(
        spec.source,
        f"the weights of {spec.id}",
        f"{reason} ({attempts} attempts)",
        f"Check the network and proxy and try again (it goes on where it stopped), or copy the file to {target}.",
    )


def _fetch(spec: ModelSpec, partial: Path, progress, cancel, attempts: int, timeout, pause: float) -> str:
    """Attempts until `partial` is whole and verified: "", or why the last one was not."""
    import requests

    reason = "not tried"
    with requests.Session() as session:
        for attempt in range(attempts):
            if attempt:
                _wait(pause * 2 ** (attempt - 1), cancel)
            resumed = partial.is_file() and partial.stat().st_size > 0
            try:
                _transfer(session, spec, partial, progress, cancel, timeout)
                verify(spec, partial)
            except (requests.RequestException, _Interrupted) as error:
                reason = str(error)
                continue
            except ModelError:
                partial.unlink(missing_ok=True)
                if not resumed:
                    raise
                reason = "the continued file had the wrong checksum"  # its first part may be of another version
                continue
            except OSError as error:  # after requests' own errors, which are OSErrors too: it is the disk
                raise _no_room(partial, str(error)) from error
            return ""
    return reason


def _transfer(
    session: requests.Session,
    spec: ModelSpec,
    partial: Path,
    progress: Callable[[int, int | None], None] | None,
    cancel: Callable[[], bool] | None,
    timeout: tuple[float, float],
) -> None:
    """One request; appends to `partial` when the server continues, else writes it anew."""
    have = partial.stat().st_size if partial.is_file() else 0
    headers = {"Accept-Encoding": "identity"}  # lengths and ranges of the file itself
    if have:
        headers["Range"] = f"bytes={have}-"
    with session.get(spec.source, headers=headers, stream=True, timeout=timeout) as response:
        if response.status_code == 416:  # the partial file is no beginning of the server's
            partial.unlink(missing_ok=True)
            raise _Interrupted("the server could not continue the file")
        if response.status_code in _TRY_AGAIN:
            raise _Interrupted(f"the server answered {response.status_code} {response.reason}")
        if response.status_code not in (200, 206):
            raise _refused(spec, f"{response.status_code} {response.reason}")
        if spec.source.startswith("https:") and not response.url.startswith("https:"):
            raise _refused(spec, f"a redirect to the unprotected address {response.url}")
        continues = response.status_code == 206
        if continues and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            partial.unlink(missing_ok=True)
            raise _Interrupted("the server continued at another place")
        have = have if continues else 0
        length = response.headers.get("Content-Length", "")
        total = have + int(length) if length.isdigit() else spec.size
        if total is not None:
            free = shutil.disk_usage(partial.parent).free
            if total - have > free:
                raise _no_room(partial, f"{total - have} bytes to come, {free} free")
        with partial.open("ab" if continues else "wb") as stream:
            for block in response.iter_content(_CHUNK):
                if cancel is not None and cancel():
                    raise Cancelled(f"the download of {spec.id} was cancelled")
                stream.write(block)
                have += len(block)
                if progress is not None:
                    progress(have, total)
        if total is not None and have < total:
            raise _Interrupted(f"the connection ended after {have} of {total} bytes")


def _refused(spec: ModelSpec, found: str) -> ModelError:
    return ModelError(
        spec.source, f"the weights of {spec.id}", found, f"Fetch the file by hand and copy it to {spec.weights_path}."
    )


def _no_room(partial: Path, found: str) -> ModelError:
    return ModelError(
        partial, "room for the weights", found, "Free some space, or set CVL_CACHE to a folder on a larger disk."
    )


def _wait(seconds: float, cancel: Callable[[], bool] | None) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if cancel is not None and cancel():
            raise Cancelled("the download was cancelled")
        time.sleep(min(left, 0.1))


def remove_model(spec: ModelSpec) -> list[Path]:
    """Delete what this library keeps of a model: downloaded weights, an unfinished download, conversions to ONNX;
    a model of the user's own is taken out of the user's catalogue and its file stays. Returns what was deleted.

    UsageError for a built-in model.
    """
    if spec.origin == "built-in":
        raise UsageError(f"{spec.id} is part of the package and is not removed.")
    removed = []
    weights = spec.weights_path
    checksum = spec.sha256 or (checksums(weights, "sha256")[0] if weights.is_file() else None)
    if checksum is not None:
        removed += remove_conversions(checksum)
    if spec.origin == "user":
        unregister(spec.id)
        return removed
    partial = partial_path(spec)
    for path in (weights, partial, *partial.parent.glob(partial.name + "-*")):
        if path.is_file():
            path.unlink()
            removed.append(path)
    return removed

"""The time order of DICOM frames, and the length of the cardiac cycle.

Never the file name or InstanceNumber: archives and anonymisers rewrite both.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..errors import InputError
from .checks import COUNTED, RR_RANGE_MS, TOO_SHORT, check_interval, cycle_from_frames, one_frame
from .dicom_frames import Frame

_log = logging.getLogger(__name__)

#: sources of the order, best first: (attribute, is it a time after the R wave or a time of day in ms?)
_TRIGGER = (
    "TriggerTime",
    "NominalCardiacTriggerDelayTime",
    "ActualCardiacTriggerDelayTime",
    "NominalPercentageOfCardiacPhase",
)
_COUNTED = ("TemporalPositionIdentifier", "TemporalPositionIndex")
_CLOCK = ("FrameReferenceDateTime", "FrameAcquisitionDateTime", "AcquisitionDateTime", "AcquisitionTime")
#: when an image was made orders the frames, but is no time of the heart
_ORDER_ONLY = ("ContentTime",)
SOURCES = _TRIGGER + _COUNTED + _CLOCK + _ORDER_ONLY

_DAY_MS = 86_400_000.0

#: what may tell images of one plane apart, in the order tried; whether also where they share no times (words of a type
#: may differ within a cine)
_SPLITS: tuple[tuple[Callable[[Frame], Hashable], bool], ...] = (
    (lambda frame: frame.image_type, False),
    (lambda frame: frame.echo, True),
    (lambda frame: frame.acquisition, True),
)


@dataclass(frozen=True)
class Ordered:
    """Frames in time order. times_ms is None where the source gives an order only; `source` names the attribute."""

    frames: list[Frame]
    times_ms: np.ndarray | None
    source: str


def apart_from_phase(frames: Sequence[Frame]) -> list[list[Frame]]:
    """The frames of one plane, magnitude apart from phase; all together where there is a single one of a kind."""
    parts = _parted(frames, lambda frame: frame.no_magnitude)
    return parts if all(len(part) > 1 for part in parts) else [list(frames)]


def order_frames(path: str | os.PathLike, frames: Sequence[Frame]) -> list[Ordered]:
    """The frames of one plane and kind in time order: one cine, or several where echoes or repeated acquisitions share
    their times or lie between one another's. InputError where no attribute orders them or two share one time."""
    if len(frames) < 2:
        raise one_frame(path)
    clash = ""
    for source in SOURCES:
        having = [frame for frame in frames if source in frame.times]
        values = {frame.times[source] for frame in having}
        if len(values) < 2:  # absent, or the same everywhere: it says nothing
            continue
        if len(having) < len(frames):
            missing = next(frame for frame in frames if source not in frame.times)
            raise InputError(
                missing.path, f"{source} as in the series' other frames", "none", "Export the series again."
            )
        alike = len(values) < len(frames)
        for key, between in _SPLITS:
            parts = _parted(frames, key)
            times = [{frame.times[source] for frame in part} for part in parts]
            distinct = all(len(own) == len(part) > 1 for own, part in zip(times, parts, strict=True))
            if len(parts) > 1 and distinct and (alike or (between and _overlap(times))):
                return [_ordered(path, part, source) for part in parts]
        if not alike:
            return [_ordered(path, frames, source)]
        clash = clash or f"{len(frames)} images with {len(values)} different values of {source}"
        if source not in _CLOCK:  # one acquisition may state its time in all frames
            break
    if clash:
        raise InputError(
            path,
            "one image a time and slice",
            clash,
            "Two series may have been mixed, or the export is faulty: export each series to a folder of its own.",
        )
    raise InputError(
        path,
        f"an attribute that orders the frames in time ({', '.join(SOURCES)})",
        f"{len(frames)} frames of one slice with none of them",
        "File names and InstanceNumber are not trusted. Export the series again with its trigger times.",
    )


def _parted(frames: Iterable[Frame], key: Callable[[Frame], Hashable]) -> list[list[Frame]]:
    parts: dict[Hashable, list[Frame]] = {}
    for frame in frames:
        parts.setdefault(key(frame), []).append(frame)
    return list(parts.values())


def _overlap(times: Iterable[set[float]]) -> bool:
    """Whether some of these begin before others end: they are no parts of one after the other."""
    spans = sorted((min(part), max(part)) for part in times)
    return any(later[0] <= earlier[1] for earlier, later in pairwise(spans))


def _ordered(path: str | os.PathLike, frames: Sequence[Frame], source: str) -> Ordered:
    if source in _ORDER_ONLY:
        _log.warning("%s: no trigger times; the frames are in the order of %s", path, source)
    times = [frame.times[source] for frame in frames]
    if source in _CLOCK and max(times) - min(times) > _DAY_MS / 2:  # over midnight
        times = [time + _DAY_MS * (time < _DAY_MS / 2) for time in times]
    order = np.argsort(times, kind="stable")
    ordered, values = [frames[index] for index in order], np.array(times)[order]
    first = ordered[0]
    if source == "NominalPercentageOfCardiacPhase":
        rr = stated_cycle(ordered)[0]
        times = None if rr is None else values / 100 * rr
    elif source in _COUNTED:
        times = None if first.temporal_resolution is None else (values - values[0]) * first.temporal_resolution
    elif source in _CLOCK:
        times = values - values[0]
    elif source in _ORDER_ONLY:
        times = None
    else:
        times = values
    return Ordered(ordered, times, source)


def stated_cycle(frames: Sequence[Frame]) -> tuple[float | None, str]:
    """(RR in ms that the files state, the attribute), (None, "") where none is possible."""
    for name in ("NominalInterval", "RRIntervalTimeNominal", "HeartRate"):
        values = [frame.cycle[name] for frame in frames if name in frame.cycle]
        if values:
            rr = float(np.median(values))
            rr = 60000 / rr if name == "HeartRate" else rr
            if RR_RANGE_MS[0] <= rr <= RR_RANGE_MS[1]:
                return rr, name
    return None, ""


def frames_stated(frames: Sequence[Frame]) -> int | None:
    """How many frames a heart beat has by CardiacNumberOfImages; None where that is not stated."""
    stated = frames[0].facts.get("CardiacNumberOfImages")
    return int(stated) if isinstance(stated, float) and stated > 0 else None


def cycle_length(path: str | os.PathLike, ordered: Ordered) -> tuple[float | None, str]:
    """(RR in ms or None, where it comes from). InputError where the frames lie too far apart for a cine."""
    times = ordered.times_ms
    if times is not None:
        check_interval(path, times)
    rr, source = stated_cycle(ordered.frames)
    if rr is not None and (times is None or rr > times[-1] - times[0]):
        return rr, source
    note = f" ({source} of {rr:g} ms {TOO_SHORT})" if rr is not None else ""
    if note:
        _log.warning("%s: the stated cycle is not used%s", path, note)
    whole = frames_stated(ordered.frames)
    if whole is not None and whole > len(ordered.frames):
        return None, f"unknown: {len(ordered.frames)} of {whole} frames" + note
    # frames by the clock may run over several beats: their number says nothing of the cycle
    counted = cycle_from_frames(times) if ordered.source not in _CLOCK else None
    return (counted, COUNTED + note) if counted is not None else (None, "unknown" + note)

"""Checks shared by all readers: is this stack of frames a cine that can be worked on?"""

from __future__ import annotations

import os

import numpy as np

from ..cine import Cine
from ..errors import InputError

#: ms between frames above which a series is no cine (cines have 15-100 ms; perfusion and mapping one frame a heartbeat)
MAX_FRAME_INTERVAL_MS = 250.0
#: ms, bounds of a cardiac cycle (400 to 20 beats a minute: animals are scanned as well)
RR_RANGE_MS = (150.0, 3000.0)
#: an interval between frames this much longer than the median is a gap: a frame is missing
GAP = 1.6
#: from this share of intervals unlike the median on, it is no single frame that is missing
_UNEVEN = 0.25
#: names of units of time -> ms
TIME_MS = {
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 1.0),
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1000.0),
    **dict.fromkeys(("us", "usec", "microsecond", "microseconds"), 0.001),
}
#: how `rr_source` begins where the RR follows from the frames (`cycle_from_frames`)
COUNTED = "frames × interval"
#: how `rr_source` ends where a stated cycle was not believed
TOO_SHORT = "is shorter than the time the frames span"
#: frames span this many stated cycles before several beats are looked for
_SEVERAL = 1.5
#: share of the pixels that vary most; frames a cycle apart differ by less than this share of those half a cycle apart
_MOVING, _ALIKE = 0.1, 0.6


def check_one_beat(path: str | os.PathLike, frames: np.ndarray, times_ms: np.ndarray, cycle_ms: float) -> None:
    """InputError where frames (T, H, W) that span more than the stated cycle show the heart beat again: frames a cycle
    apart are alike, those half a cycle apart are not. (Were the cycle stated too short, they would differ most.)
    """
    span = float(times_ms[-1] - times_ms[0])
    if span <= _SEVERAL * cycle_ms:
        return
    spread = frames.std(0)
    moving = frames[:, spread >= np.quantile(spread, 1 - _MOVING)]

    def apart(gap_ms: float) -> float:
        """Mean difference of frames so far apart in time."""
        first = np.flatnonzero(times_ms + gap_ms <= times_ms[-1])
        second = np.abs(times_ms[None] - (times_ms[first] + gap_ms)[:, None]).argmin(1)
        return float(np.abs(moving[first] - moving[second]).mean())

    if apart(cycle_ms) < _ALIKE * apart(cycle_ms / 2):
        raise InputError(
            path,
            "the frames of one heart beat",
            f"{len(frames)} over {span:.0f} ms where a beat of {cycle_ms:.0f} ms is stated, and those a beat apart are "
            f"alike: about {span / cycle_ms:.1f} beats",
            "Give one beat: export it by itself, or take the other frames out of the folder.",
        )


def one_frame(path: str | os.PathLike, found: str = "one frame only") -> InputError:
    """That there is no cine in what was found."""
    return InputError(
        path,
        "a cine (several frames of one slice)",
        found,
        "This is a still image or a localiser; give the folder that holds all frames of the series.",
    )


def check_frames(path: str | os.PathLike, frames: np.ndarray) -> None:
    """InputError unless `frames` (T, H, W) has several finite frames that are neither constant nor all the same."""
    if len(frames) < 2:
        raise one_frame(path)
    bad = np.flatnonzero(~np.isfinite(frames).all((1, 2)))
    if bad.size:
        raise InputError(
            path,
            "finite pixel values",
            f"NaN or infinity in frame {bad[0]} ({bad.size} of {len(frames)} frames)",
            "Export the series again, or repair the file.",
        )
    bad = np.flatnonzero(frames.max((1, 2)) == frames.min((1, 2)))
    if bad.size:
        raise InputError(
            path,
            "images",
            f"the one value {frames[bad[0]].flat[0]:g} all over frame {bad[0]} ({bad.size} of {len(frames)} frames)",
            "Export the series again, or repair the file.",
        )
    if (frames == frames[0]).all():
        raise InputError(path, "a heart that moves", f"the same picture in all {len(frames)} frames")


def check_interval(path: str | os.PathLike, times_ms: np.ndarray) -> None:
    """InputError where the frames lie too far apart in time for a cine."""
    interval = float(np.median(np.diff(times_ms)))
    if interval > MAX_FRAME_INTERVAL_MS:
        raise InputError(
            path,
            f"a cine (frames at most {MAX_FRAME_INTERVAL_MS:g} ms apart)",
            f"{len(times_ms)} frames {interval:.0f} ms apart",
            "This looks like a dynamic (perfusion) or mapping series.",
        )


def gap_doubt(times_ms: np.ndarray | None) -> str:
    """In plain words, where frames seem to be missing or two series mixed; "" where the frames lie evenly."""
    if times_ms is None or len(times_ms) < 3:
        return ""
    steps = np.diff(times_ms)
    usual = float(np.median(steps))
    long, short = steps > GAP * usual, steps < usual / GAP
    if np.mean(long | short) >= _UNEVEN:
        return (
            f"its frames lie {steps.min():.0f} to {steps.max():.0f} ms apart: images of two series may be mixed, or "
            "some are missing"
        )
    if long.any():
        return f"two frames lie {steps.max():.0f} ms apart, the others {usual:.0f} ms: some seem to be missing"
    return ""


def file_doubts(cine: Cine) -> tuple[str, ...]:
    """What is doubtful about a cine's files, as sentences: of the reader, and of the times."""
    gap = gap_doubt(cine.times_ms)
    return (*cine.doubts, f"{gap[0].upper()}{gap[1:]}.") if gap else cine.doubts


def cycle_from_frames(times_ms: np.ndarray | None) -> float | None:
    """Frames × median interval in ms where that is a possible cardiac cycle, else None.

    Retrospective cines spread their frames over the whole RR, the first of the next beat left out.
    """
    if times_ms is None:
        return None
    cycle = len(times_ms) * float(np.median(np.diff(times_ms)))
    return cycle if RR_RANGE_MS[0] <= cycle <= RR_RANGE_MS[1] else None


def is_placeholder(axes: np.ndarray, origin: np.ndarray) -> bool:
    """Whether a volume's matrix, axes (3, 3) in columns and origin (3,), is what a writer puts that knows no position:
    along the patient's axes and exactly at the origin. No scanner's is: its origin is the image's corner, and a
    long-axis plane is oblique."""
    along_axes = np.count_nonzero(np.abs(axes) > 1e-6, axis=0) <= 1
    return not np.any(origin) and bool(along_axes.all())

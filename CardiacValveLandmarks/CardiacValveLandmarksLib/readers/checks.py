"""Checks shared by all readers: is this stack of frames a cine that can be worked on?"""

from __future__ import annotations

import os

import numpy as np

from ..errors import InputError

#: ms between frames above which a series is no cine (cines have 15-100 ms; perfusion and mapping one frame a heartbeat)
MAX_FRAME_INTERVAL_MS = 250.0
#: ms, bounds of a cardiac cycle (400 to 20 beats a minute: animals are scanned as well)
RR_RANGE_MS = (150.0, 3000.0)


def check_frames(path: str | os.PathLike, frames: np.ndarray) -> None:
    """InputError unless `frames` (T, H, W) has several finite frames that are neither constant nor all the same."""
    if len(frames) < 2:
        raise InputError(
            path,
            "a cine (several frames of one slice)",
            "one frame only",
            "This is a still image or a localiser; give the folder that holds all frames of the series.",
        )
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

"""What is doubtful about the times of a study's views: unknown, missing frames, cycles that differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .readers.checks import COUNTED, TOO_SHORT, gap_doubt
from .study import StudyView

#: RR that differ by more than this part of their mean are warned of
_RR_TOLERANCE = 0.2
#: an RR that no file states and that is shorter than this is asked about, ms: more than 150 beats a minute
_SHORT_RR_MS = 400.0


def timing_doubts(views: Sequence[StudyView]) -> list[str]:
    """In plain words; nothing where all is well."""
    doubts = []
    for view in views:
        if view.times_ms is None:
            doubts.append(
                f"{view.view} ({view.name}): no trigger times; frames are taken as evenly spread over the beat."
            )
        elif (span := view.times_ms[-1] - view.times_ms[0]) > view.rr_ms:
            doubts.append(
                f"{view.view} ({view.name}): its frames span {span:.0f} ms, longer than the RR of {view.rr_ms:.0f} ms; "
                "they are laid over one beat. Check the RR."
            )
        elif TOO_SHORT in view.rr_source:
            doubts.append(f"{view.view} ({view.name}): RR of {view.rr_ms:.0f} ms, {view.rr_source}. Check it.")
        elif view.rr_source.startswith(COUNTED) and view.rr_ms < _SHORT_RR_MS:
            doubts.append(
                f"{view.view} ({view.name}): an RR of {view.rr_ms:.0f} ms follows from its frames and their interval "
                f"({60000 / view.rr_ms:.0f} beats a minute): check the interval, velocities hang on it."
            )
        if gap := gap_doubt(view.times_ms):
            doubts.append(f"{view.view} ({view.name}): {gap}.")
        if np.isnan(view.rr_ms):
            spread = ""
            if view.times_ms is not None:
                span = view.times_ms[-1] - view.times_ms[0]
                spread = f"; its {view.n_frames} frames over {span:.0f} ms are taken as one whole beat"
            doubts.append(f"{view.view} ({view.name}): RR unknown{spread}; it has no velocities.")
    first = {view.view: float(view.times_ms[0]) for view in views if view.times_ms is not None}
    steps = [np.diff(view.times_ms).mean() for view in views if view.times_ms is not None and view.n_frames > 1]
    if len(first) > 1 and max(first.values()) - min(first.values()) > 0.5 * min(steps):
        listed = ", ".join(f"{view} {value:.0f} ms" for view, value in first.items())
        doubts.append(
            f"The views' first frames are not at the same time after the trigger ({listed}), and the beat is counted "
            "from each view's first frame: consider alignment on end-diastole and end-systole."
        )
    rr = {view.view: view.rr_ms for view in views if np.isfinite(view.rr_ms)}
    if len(rr) > 1 and max(rr.values()) - min(rr.values()) > _RR_TOLERANCE * np.mean(list(rr.values())):
        listed = ", ".join(f"{view} {value:.0f} ms" for view, value in rr.items())
        doubts.append(
            f"RR differs between the views ({listed}): matching phases may be different moments of the beat; "
            "consider alignment on end-systole."
        )
    return doubts

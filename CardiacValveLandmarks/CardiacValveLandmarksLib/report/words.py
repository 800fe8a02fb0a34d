"""What a reader must know, in plain words: doubts of this study, and what the method assumes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ..landmarks import Provenance
from ..path_draws import STRETCH, WHOLE_BEAT_MM
from ..study import Study
from ..trajectory_fit import ALIKE


def doubts(study: Study, extra: Sequence[str] = ()) -> list[str]:
    """Everything about this study that a reader should doubt. extra: from detection and reading."""
    found = [*extra, *study.warnings]
    for view in study.views:
        if view.geometry_assumed:
            found.append(f"{view.view}: the file states no patient geometry; lengths hold only within its image plane.")
        if view.times_ms is None:
            found.append(f"{view.view}: the file states no times; its frames are taken as evenly spread over the beat.")
    return list(dict.fromkeys(found))


def assumptions(study: Study) -> list[str]:
    """What the numbers of any study like this rest on."""
    found = [
        "The views were taken in different breath-holds. They are brought together by "
        + {
            "phase": "the fraction of their own beat",
            "es": "the first frame of each, and end-systole found from the motion",
            "ed-es": "end-diastole and end-systole found from the motion",
        }.get(study.settings.alignment, study.settings.alignment)
        + ".",
        "± is one standard deviation from the scatter of the points about their fitted paths (rings: and from what "
        f"breath-holds shift, {study.settings.breathhold_sd_mm:g} mm assumed), {ALIKE:g} times as much where points "
        "are automatic: a model errs alike in neighbouring frames. Of these it also holds what the built-in model is "
        f"off all over the beat on synthetic patients ({WHOLE_BEAT_MM:g} mm; excursions {STRETCH:.0%}); on real ones "
        "it may be more.",
    ]
    if study.trajectories:
        orders = {t.view: (t.order, t.order_given) for t in study.trajectories}
        named = "; ".join(f"{v}: {o} ({'given' if g else 'chosen'})" for v, (o, g) in orders.items())
        found.append(f"Paths are periodic series; velocities depend on their number of harmonics ({named}).")
    if any(not ring.assumed for ring in study.annuli):
        found.append(
            "Six points or fewer tell a ring's motion well and its shape poorly: area and perimeter are approximate, "
            "and the height of the saddle is not given at all."
        )
    assumed = [ring.valve for ring in study.annuli if ring.assumed]
    if assumed:
        found.append(
            f"The {' and '.join(assumed)} ring{'s have' if len(assumed) > 1 else ' has'} two points only: a circle on "
            "them is assumed, and what is computed from it is assumed too."
        )
    if study.shifts:
        done = "are applied" if study.shifts_applied else "are reported and not applied"
        found.append(f"Shifts between breath-holds are estimated from the images and landmarks; they {done}.")
    found.append("For research. Not a medical device; nothing here is a diagnosis.")
    return found


def provenance(study: Study) -> str:
    """Where the points come from, e.g. "455 automatic, 10 placed by hand"."""
    names = {Provenance.AUTO: "found by the model", Provenance.MANUAL: "placed by hand"}
    names |= {Provenance.PROPAGATED: "carried over from other frames", Provenance.ABSENT: "absent"}
    counts = Counter(int(value) for t in study.trajectories for value in t.provenance)
    return ", ".join(f"{counts[kind]} {name}" for kind, name in names.items() if counts[kind]) or "none"


def quantity(value: float, uncertainty: float = float("nan")) -> str:
    """ "13.6 ± 0.4"; a dash where there is no value."""
    if not np.isfinite(value):
        return "–"
    value = round(value, 1) + 0.0  # no minus before zero
    return f"{value:.1f} ± {uncertainty:.1f}" if np.isfinite(uncertainty) else f"{value:.1f}"

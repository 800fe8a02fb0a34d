"""npz: one ring a file, for FEniCSx and scripts: reference (N, 3), displacement (T, N, 3), time (T)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...study import Study
from ..motion import no_motion, ring_motions
from ..registry import ExportOptions, Format


def _write(study: Study, folder: Path, options: ExportOptions) -> None:
    for motion in ring_motions(study, options.rr_ms):
        np.savez_compressed(
            folder / f"{motion.valve}.npz",
            reference=motion.reference,
            displacement=motion.displacement,
            time=motion.times,
        )


FORMAT = Format(
    key="npz",
    title="NumPy arrays of each ring's motion",
    write=_write,
    time_unit="s",
    unfit=lambda study, options: no_motion(study, options.rr_ms),
    notes=(
        "reference: nodes at end-diastole; displacement from it; time from 0 to RR, both included; the cycle closes.",
    ),
)

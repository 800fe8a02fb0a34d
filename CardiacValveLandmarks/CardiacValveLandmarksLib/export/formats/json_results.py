"""json: all results of a study in one file for other programs (study.json is the study itself, to be read back)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ...study import Study
from ..about import describe, number
from ..registry import ExportOptions, Format


def _nested(array: np.ndarray) -> Any:
    """Nested lists, None where not finite."""
    values = np.asarray(array, dtype=np.float64)
    if values.ndim == 0:
        return number(float(values))
    return [_nested(part) for part in values]


def _write(study: Study, folder: Path, options: ExportOptions) -> None:
    results = {
        "about": {"units": {"length": "mm", "time": "ms", "velocity": "mm/s"}, **describe(study, options.identify)},
        "phases": _nested(study.phases),
        "trajectories": [
            {
                "view": t.view,
                "landmark": t.landmark.number,
                "key": t.landmark.key,
                "positions_mm": _nested(t.evaluate(study.phases)),
                "velocities_mm_s": _nested(t.velocity(study.phases)),
                "sd_mm": _nested(t.band(study.phases)),
                "frame_phases_own": _nested(t.phases),
                "frame_points_mm": _nested(t.points),
                "frame_residuals_mm": _nested(t.residuals),
            }
            for t in study.trajectories
        ],
        "annuli": [
            {
                "valve": ring.valve,
                "method": ring.method,
                "assumed_shape": ring.assumed,
                "nodes_mm": _nested(ring.nodes),
                "sd_mm": _nested(ring.node_sd_mm),
                "residual_mm": _nested(ring.residual_mm),
            }
            for ring in study.annuli
        ],
        "measures": [
            {
                "key": m.key,
                "name": m.name,
                "value": number(m.value),
                "uncertainty_sd": number(m.uncertainty),
                "unit": m.unit,
                "definition": m.definition,
                "reference": m.reference,
                "landmarks": list(m.landmarks),
                "provenance": m.provenance,
                "approximate": m.approximate,
                "assumed_shape": m.assumed,
                "note": m.note,
            }
            for m in study.measures
        ],
        "curves": [
            {"key": c.key, "name": c.name, "unit": c.unit, "values": _nested(c.values), "sd": _nested(c.sd)}
            for c in study.curves
        ],
        "breath_hold_shifts": [
            {
                "view": s.view,
                "in_plane_mm": _nested(s.shift_mm),
                "patient_mm": _nested(s.vector),
                "interval_95_mm": _nested(s.interval_mm),
                "covariance_mm2": _nested(s.covariance),
                "evidence": s.evidence,
            }
            for s in study.shifts
        ],
    }
    with (folder / "results.json").open("w", encoding="utf-8", newline="\n") as stream:
        json.dump(results, stream, ensure_ascii=False, allow_nan=False)
        stream.write("\n")


FORMAT = Format(
    key="json",
    title="All results in one JSON file",
    write=_write,
    notes=("null: no value.", "Arrays over phases follow `phases`."),
)

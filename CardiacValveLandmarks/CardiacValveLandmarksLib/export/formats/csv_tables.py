"""csv: tables for spreadsheets and statistics. UTF-8, comma, dot; empty cells where there is no value."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ...landmarks import LANDMARKS, Provenance
from ...study import Study
from ..registry import ExportOptions, Format


def _cell(value: object) -> object:
    if isinstance(value, (float, np.floating)):
        # repr of a float is its shortest exact form
        return repr(float(value)) if np.isfinite(value) else ""
    return value


def _table(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows([_cell(value) for value in row] for row in rows)


def _landmarks(study: Study) -> Iterable[tuple]:
    for view in study.views:
        series = view.landmarks
        patient = view.geometry.to_patient(series.positions)
        for frame in range(view.n_frames):
            time = np.nan if view.times_ms is None else view.times_ms[frame]
            for landmark in LANDMARKS:
                i = landmark.index
                if view.view not in landmark.views:
                    continue
                yield (
                    view.view, frame + 1, view.phases[frame], time, landmark.number, landmark.key,
                    *series.positions[frame, i], *patient[frame, i], series.confidence[frame, i],
                    Provenance(int(series.provenance[frame, i])).label,
                )  # fmt: skip


def _trajectories(study: Study) -> Iterable[tuple]:
    for t in study.trajectories:
        points, velocity, band = t.evaluate(study.phases), t.velocity(study.phases), t.band(study.phases)
        for k, phase in enumerate(study.phases):
            yield (t.view, t.landmark.number, t.landmark.key, phase, *points[k], *velocity[k], band[k], t.order)


def _write(study: Study, folder: Path, options: ExportOptions) -> None:
    _table(
        folder / "landmarks.csv",
        ("view", "frame", "phase_own", "trigger_time_ms", "landmark", "key", "row_px", "column_px",
         "x_mm", "y_mm", "z_mm", "confidence", "provenance"),
        _landmarks(study),
    )  # fmt: skip
    _table(
        folder / "trajectories.csv",
        ("view", "landmark", "key", "phase", "x_mm", "y_mm", "z_mm", "vx_mm_s", "vy_mm_s", "vz_mm_s",
         "sd_mm", "harmonics"),
        _trajectories(study),
    )  # fmt: skip
    _table(
        folder / "annuli.csv",
        ("valve", "phase", "node", "x_mm", "y_mm", "z_mm", "sd_mm", "assumed_shape"),
        (
            (ring.valve, phase, n + 1, *ring.nodes[k, n], ring.node_sd_mm[k, n], int(ring.assumed))
            for ring in study.annuli
            for k, phase in enumerate(study.phases)
            for n in range(ring.nodes.shape[1])
        ),
    )
    _table(
        folder / "measures.csv",
        ("key", "name", "value", "uncertainty_sd", "unit", "definition", "reference", "approximate", "assumed_shape",
         "landmarks", "provenance", "note"),
        (
            (m.key, m.name, m.value, m.uncertainty, m.unit, m.definition, m.reference, int(m.approximate),
             int(m.assumed), " ".join(map(str, m.landmarks)),
             " ".join(f"{label}:{count}" for label, count in sorted(m.provenance.items())), m.note)
            for m in study.measures
        ),
    )  # fmt: skip
    _table(
        folder / "curves.csv",
        ("key", "name", "unit", "phase", "value", "uncertainty_sd"),
        (
            (c.key, c.name, c.unit, phase, c.values[k], c.sd[k])
            for c in study.curves
            for k, phase in enumerate(study.phases)
        ),
    )


FORMAT = Format(
    key="csv",
    title="Tables: landmarks, trajectories, annuli, measures, curves",
    write=_write,
    notes=(
        "phase: common phase k/P of the beat, 0 at the views' first frames; phase_own: of the view itself.",
        "landmarks.csv: points where the images show them; the other tables contain the breath-hold shifts where "
        "about.json says that they were applied.",
        "row_px and column_px: array axes 0 and 1, an integer is a pixel centre; frames and nodes count from 1.",
        "vx, vy, vz are derivatives of the fitted paths in the view's own beat.",
        "sd_mm: one standard deviation from the fit's scatter (annuli: with the assumed breath-hold scatter).",
    ),
)

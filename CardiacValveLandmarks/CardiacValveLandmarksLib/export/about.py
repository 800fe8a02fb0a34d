"""`about.json`: what stands beside every export so that its numbers can be read without us."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from ..files import atomic_open
from ..landmarks import VIEWS, Provenance
from ..study import Study

if TYPE_CHECKING:
    from .registry import ExportOptions, Format

ABOUT_FILE = "about.json"

LPS = (
    "LPS: x towards the patient's left, y posterior, z superior; millimetres; origin and axes of the scanner "
    "(DICOM patient coordinates)"
)
IN_PLANE = "millimetres in the plane of each image only: the files state no patient geometry"


def number(value: float) -> float | None:
    """A float for JSON: None where it is not finite."""
    return float(value) if np.isfinite(value) else None


def describe(study: Study, identify: bool, rr_ms: float | None = None) -> dict[str, Any]:
    """The study's frame of reference, timing, rings, provenance, doubts and assumptions as JSON types. rr_ms: that the
    user gave for what is exported."""
    counts = Counter(Provenance(int(value)).label for t in study.trajectories for value in t.provenance)
    orders = {
        t.view: {"harmonics": t.order, "chosen_by": "user" if t.order_given else "number of frames and RR"}
        for t in study.trajectories
    }
    views = []
    for view in study.views:
        entry: dict[str, Any] = {
            "view": view.view,
            "frames": view.n_frames,
            "rr_ms": number(view.rr_ms),
            "rr_source": view.rr_source,
            "ed_phase": number(view.ed_phase),
            "es_phase": number(view.es_phase),
            "trajectory_order": orders.get(view.view),
        }
        if identify:
            entry["name"], entry["source"] = view.name, view.source
            entry["study_uid"], entry["frame_of_reference_uid"] = view.study_uid, view.frame_of_reference_uid
        views.append(entry)
    return {
        "frame_of_reference": IN_PLANE if any(v.geometry_assumed for v in study.views) else LPS,
        "rr_ms": number(study.rr_ms if rr_ms is None else rr_ms),
        "rr_meaning": "median of the views' own RR" if rr_ms is None else "given by the user for this export",
        "phases": "fraction of the RR in [0, 1), common to all views",
        "ed_phase": number(study.ed_phase),
        "es_phase": number(study.es_phase),
        "alignment": study.settings.alignment,
        "views": views,
        "missing_views": [view for view in VIEWS if study.view(view) is None],
        "points_by_provenance": dict(sorted(counts.items())),
        "breath_hold_shifts_applied": study.shifts_applied,
        "rings": [
            {
                "valve": ring.valve,
                "method": ring.method,
                "assumed_shape": ring.assumed,
                "nodes": ring.nodes.shape[1],
                "node_1_at_landmark": ring.node_1,
                "landmarks": list(ring.landmarks),
                "order": "counter-clockwise seen from the atrium (aortic: from the aorta); "
                "the same material node in every phase",
                "residual_mm_rms": number(np.sqrt(np.mean(ring.residual_mm**2))),
                "largest_gap_deg": number(ring.largest_gap_deg),
                "notes": list(ring.notes),
            }
            for ring in study.annuli
        ],
        "rings_refused": [{"valve": r.valve, "reason": r.reason} for r in study.refused],
        "doubts_and_assumptions": list(study.warnings),
    }


def write_about(study: Study, format_: Format, folder: Path, options: ExportOptions) -> None:
    """Write `about.json` for what lies in `folder`."""
    given = options.rr_ms if format_.time_unit == "s" else None  # the others have no times of the common beat
    about = {
        "written_by": f"CardiacValveLandmarks {__version__}",
        "format": format_.key,
        "title": format_.title,
        "units": {"length": format_.length_unit, "time": format_.time_unit},
        "notes": list(format_.notes),
        **describe(study, options.identify, given),
        "files": sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()),
    }
    with atomic_open(folder / ABOUT_FILE) as stream:
        json.dump(about, stream, indent=1, ensure_ascii=False, allow_nan=False)
        stream.write("\n")


def files_written(folder: Path) -> list[str]:
    """The files that an earlier export lists in `folder`; nothing where there was none or it cannot be read."""
    try:
        about = json.loads((folder / ABOUT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    files = about.get("files", []) if isinstance(about, dict) and "written_by" in about else []
    # only names inside the folder: the list is a file anyone can have edited
    return [f for f in files if isinstance(f, str) and not Path(f).is_absolute() and ".." not in Path(f).parts]

"""A ring's motion written into somebody's mesh, with a report of distances: what `cvl mesh-map` runs."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..errors import InputError, UsageError
from ..files import make_folder, remove_leftovers, take_places
from ..study import Study
from ..study_names import without_names
from .about import describe
from .mesh_map import FARTHEST_MM, map_ring
from .meshes import open_mesh
from .motion import ring_motions

#: mesh coordinates -> LPS
SPACES = {"LPS": np.array([1.0, 1.0, 1.0]), "RAS": np.array([-1.0, -1.0, 1.0])}


@dataclass(frozen=True)
class MeshPlace:
    """How a mesh lies: space "LPS" or "RAS", scale: millimetres in one of its units (1000 for a mesh in metres)."""

    space: str = "LPS"
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.space not in SPACES:
            raise UsageError(f"space {self.space!r}: expected one of {', '.join(SPACES)}.")
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise UsageError(f"scale: expected millimetres in one unit of the mesh, found {self.scale}.")


def prescribe(
    study: Study,
    mesh_path: str | os.PathLike,
    set_name: str,
    folder: str | os.PathLike,
    *,
    valve: str = "mitral",
    place: MeshPlace | None = None,
    method: str = "segment",
    within_mm: float | None = None,
    farthest_mm: float = FARTHEST_MM,
    rr_ms: float | None = None,
    overwrite: bool = False,
) -> tuple[dict[str, Any], list[Path]]:
    """Write `mesh_path` with the valve's motion on the nodes of `set_name` into `folder`: the report, the paths.

    STEM_valve.SUFFIX is the mesh, STEM_valve.json the report (distances, units, remarks, doubts of the study).
    InputError where the mesh has no such set, its nodes are not at the ring, or files are there already.
    """
    for name, value in (("within", within_mm), ("farthest", farthest_mm)):
        if value is not None and not 0 < value < np.inf:
            raise UsageError(f"{name}: expected millimetres above 0, found {value:g}.")
    place, mesh_path, folder = place or MeshPlace(), Path(mesh_path), Path(folder)
    motion = next((m for m in ring_motions(study, rr_ms) if m.valve == valve), None)
    if motion is None:
        reason = next((r.reason for r in study.refused if r.valve == valve), "the study has no such ring")
        raise InputError("study", f"a {valve} ring", reason)
    mesh = open_mesh(mesh_path)
    try:
        ids, own = mesh.nodes(set_name)
    except KeyError:
        names = ", ".join(mesh.set_names()) or "no sets at all"
        raise InputError(mesh_path, f"the set {set_name!r}", names, "Give one of these with --set.") from None
    if not len(ids):
        raise InputError(mesh_path, f"nodes in the set {set_name!r}", "none")
    to_lps = SPACES[place.space] * place.scale
    mapped = map_ring(
        motion, ids, own * to_lps, method=method, within_mm=within_mm, farthest_mm=farthest_mm, where=str(mesh_path)
    )
    report = {
        "written_by": f"CardiacValveLandmarks {__version__}",
        "mesh": mesh_path.name,
        "set": set_name,
        "units": {"length": "mm", "time": "s"},
        "mesh_space": place.space,
        "mesh_unit_mm": place.scale,
        "reference": "the mesh as it is, taken to be at end-diastole",
        **mapped.report(),
        "nodes": {
            "id": mapped.ids.tolist(),
            "distance_mm": mapped.distance.tolist(),
            "ring_place": mapped.place.tolist(),
        },
        "nodes_left_free_ids": mapped.left_free.tolist(),
        "study": describe(without_names(study), identify=False, rr_ms=rr_ms),
    }
    stem = f"{mesh_path.stem}_{valve}"
    make_folder(folder)
    remove_leftovers(folder)
    try:
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as name:
            staging = Path(name)
            report["remarks"] = mesh.write(
                staging / (stem + mesh_path.suffix),
                f"CVL_{valve.upper()}",
                mapped.ids,
                mapped.times,
                mapped.displacement / to_lps,
                mapped.distance / place.scale,
            )
            text = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)
            (staging / f"{stem}.json").write_text(text + "\n", encoding="utf-8")
            files = sorted(staging.iterdir())
            existing = [folder / f.name for f in files if (folder / f.name).exists()]
            if existing and not overwrite:
                raise InputError(existing[0], "no such file", "one", "Choose another folder, or give --overwrite.")
            take_places(staging, folder, [Path(file.name) for file in files])
    except OSError as error:
        raise InputError(
            folder, "a folder that can be written", str(error), "Free some space or choose another folder."
        ) from error
    return report, [folder / f.name for f in files]

"""vtkhdf: one ring a file with all its time steps (VTKHDF 2.0 temporal PolyData), for ParaView 5.11 and later."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from ...study import Study
from ..motion import no_motion, ring_motions
from ..registry import ExportOptions, Format

_KINDS = ("Vertices", "Lines", "Polygons", "Strips")


def _write(study: Study, folder: Path, options: ExportOptions) -> None:
    for motion in ring_motions(study, options.rr_ms):
        fields = {"displacement_mm": motion.displacement, "sd_mm": motion.sd}
        _write_polydata(folder / f"{motion.valve}.vtkhdf", motion.positions, motion.times, fields)


def _write_polydata(path: Path, nodes: np.ndarray, times: np.ndarray, fields: dict[str, np.ndarray]) -> None:
    """nodes (T, N, 3), times (T,), fields name -> (T, N[, 3]); a closed line that is stored once for all steps.

    Layout as in VTK's description of the VTKHDF file format, version 2.0.
    """
    import h5py

    steps, count = nodes.shape[:2]
    # in memory: on a full disk HDF5 ends the process
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        root = file.create_group("VTKHDF")
        root.attrs["Version"] = np.array([2, 0], dtype=np.int64)
        root.attrs.create("Type", b"PolyData", dtype=h5py.string_dtype("ascii", len(b"PolyData")))
        root["NumberOfPoints"] = np.full(steps, count, dtype=np.int64)
        root["Points"] = nodes.reshape(-1, 3)
        for kind in _KINDS:
            line = kind == "Lines"
            group = root.create_group(kind)
            connectivity = np.append(np.arange(count), 0) if line else np.empty(0)
            group["NumberOfConnectivityIds"] = np.full(steps, len(connectivity), dtype=np.int64)
            group["NumberOfCells"] = np.full(steps, int(line), dtype=np.int64)
            group["Offsets"] = np.array([0, count + 1] if line else [0], dtype=np.int64)
            group["Connectivity"] = connectivity.astype(np.int64)
        point_data = root.create_group("PointData")
        for name, values in fields.items():
            point_data[name] = values.reshape(steps * count, *values.shape[2:])
        timing = root.create_group("Steps")
        timing.attrs["NSteps"] = np.int64(steps)
        timing["Values"] = times
        timing["PartOffsets"] = np.zeros(steps, dtype=np.int64)
        timing["NumberOfParts"] = np.ones(steps, dtype=np.int64)
        timing["PointOffsets"] = np.arange(steps, dtype=np.int64) * count
        timing["CellOffsets"] = np.zeros((steps, len(_KINDS)), dtype=np.int64)
        timing["ConnectivityIdOffsets"] = np.zeros((steps, len(_KINDS)), dtype=np.int64)
        offsets = timing.create_group("PointDataOffsets")
        for name in fields:
            offsets[name] = np.arange(steps, dtype=np.int64) * count
    path.write_bytes(stream.getvalue())


FORMAT = Format(
    key="vtkhdf",
    title="VTKHDF: one file a ring with all its time steps",
    write=_write,
    time_unit="s",
    notes=("Point data: displacement_mm from end-diastole, sd_mm. The last time step repeats the first.",),
    unfit=lambda study, options: no_motion(study, options.rr_ms),
    modules=("h5py",),
    extra="vtkhdf",
)

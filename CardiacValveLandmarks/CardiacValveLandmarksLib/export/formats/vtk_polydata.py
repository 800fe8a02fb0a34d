"""vtk: `.vtp` files and a `.pvd` collection a ring, for ParaView, PyVista and Slicer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...study import Study
from ..motion import no_motion, ring_motions
from ..registry import ExportOptions, Format
from ..vtk_xml import write_vtk_xml


def _ring_polydata(nodes: np.ndarray, displacement: np.ndarray, sd: np.ndarray):
    """A closed polyline with displacement from end-diastole, node number and uncertainty as point data."""
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData

    count = len(nodes)
    points = vtkPoints()
    points.SetData(numpy_to_vtk(np.ascontiguousarray(nodes, np.float64), deep=True))
    lines = vtkCellArray()
    lines.InsertNextCell(count + 1)
    for node in (*range(count), 0):
        lines.InsertCellPoint(node)
    data = vtkPolyData()
    data.SetPoints(points)
    data.SetLines(lines)
    for name, values in (
        ("displacement_mm", np.asarray(displacement, np.float64)),
        ("node", np.arange(1, count + 1, dtype=np.int32)),
        ("sd_mm", np.asarray(sd, np.float64)),
    ):
        array = numpy_to_vtk(np.ascontiguousarray(values), deep=True)
        array.SetName(name)
        data.GetPointData().AddArray(array)
    return data


def _write(study: Study, folder: Path, options: ExportOptions) -> None:
    from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter

    for motion in ring_motions(study, options.rr_ms):
        lines = ['<?xml version="1.0"?>', '<VTKFile type="Collection" version="1.0" byte_order="LittleEndian">']
        lines.append("  <Collection>")
        for k, time in enumerate(motion.times):
            name = f"{motion.valve}_{k:03d}.vtp"
            writer = vtkXMLPolyDataWriter()
            writer.SetDataModeToBinary()
            writer.SetInputData(_ring_polydata(motion.positions[k], motion.displacement[k], motion.sd[k]))
            write_vtk_xml(writer, folder / name)
            lines.append(f'    <DataSet timestep="{float(time)!r}" group="" part="0" file="{name}"/>')
        lines += ["  </Collection>", "</VTKFile>", ""]
        (folder / f"{motion.valve}.pvd").write_text("\n".join(lines), encoding="utf-8")


FORMAT = Format(
    key="vtk",
    title="VTK: a .vtp a phase and a .pvd collection a ring",
    write=_write,
    time_unit="s",
    notes=(
        "Open the .pvd. Each ring is a closed line; the last time step repeats the first.",
        "Point data: displacement_mm from end-diastole, node (from 1), sd_mm.",
    ),
    unfit=lambda study, options: no_motion(study, options.rr_ms),
    modules=("vtkmodules",),
    extra="vtk",
)

"""VTK meshes (.vtp, .vtu): the motion is added as point data. A set is a point or cell array, or NAME=VALUE of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...errors import InputError
from ..vtk_xml import write_vtk_xml


def read(path: Path) -> VtkMesh:
    from vtkmodules.vtkCommonCore import vtkCommand
    from vtkmodules.vtkIOXML import vtkXMLPolyDataReader, vtkXMLUnstructuredGridReader

    reader = vtkXMLPolyDataReader() if path.suffix.lower() == ".vtp" else vtkXMLUnstructuredGridReader()
    failed = []
    reader.AddObserver(vtkCommand.ErrorEvent, lambda *_: failed.append(True))
    reader.SetFileName(str(path))
    reader.Update()
    if failed or reader.GetErrorCode() or reader.GetOutput().GetNumberOfPoints() == 0:
        raise InputError(path, f"a VTK mesh ({path.suffix})", "a file that VTK cannot read, or one without points")
    return VtkMesh(path, reader.GetOutput())


class VtkMesh:
    """Ids are VTK's point numbers, from 0."""

    def __init__(self, path: Path, data) -> None:
        self._path, self._data = path, data

    def _arrays(self, fields) -> dict[str, np.ndarray]:
        from vtkmodules.util.numpy_support import vtk_to_numpy

        found = {}
        for k in range(fields.GetNumberOfArrays()):
            array = fields.GetArray(k)
            if array is not None and array.GetName() and array.GetNumberOfComponents() == 1:
                found[array.GetName()] = vtk_to_numpy(array)
        return found

    def set_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self._arrays(self._data.GetPointData()), *self._arrays(self._data.GetCellData()))))

    def nodes(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        from vtkmodules.util.numpy_support import vtk_to_numpy
        from vtkmodules.vtkCommonCore import vtkIdList

        array_name, _, value = name.partition("=")
        points, cells = (self._arrays(f) for f in (self._data.GetPointData(), self._data.GetCellData()))
        try:
            wanted = float(value) if value else None
        except ValueError:
            raise InputError(self._path, "NAME or NAME=NUMBER as the set", repr(name)) from None

        def chosen(array: np.ndarray) -> np.ndarray:
            return np.flatnonzero((array != 0) & ~np.isnan(array) if wanted is None else array == wanted)

        if array_name in points:
            ids = chosen(points[array_name])
        else:
            corners, found = vtkIdList(), set()
            for cell in chosen(cells[array_name]).tolist():
                self._data.GetCellPoints(cell, corners)
                found.update(corners.GetId(k) for k in range(corners.GetNumberOfIds()))
            ids = np.array(sorted(found), dtype=int)
        return ids, vtk_to_numpy(self._data.GetPoints().GetData())[ids].astype(np.float64)

    def _displacements(self, prefix: str) -> list[str]:
        fields = self._data.GetPointData()
        names = [fields.GetArrayName(k) or "" for k in range(fields.GetNumberOfArrays())]
        return [name for name in names if name.startswith(f"{prefix}_displacement_")]

    def write(self, path: Path, prefix: str, ids, times, displacement, distance) -> tuple[str, ...]:
        from vtkmodules.util.numpy_support import numpy_to_vtk
        from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter, vtkXMLUnstructuredGridWriter

        # of an earlier mapping, which may have had more steps
        for name in (f"{prefix}_prescribed", f"{prefix}_distance", *self._displacements(prefix)):
            self._data.GetPointData().RemoveArray(name)
        count = self._data.GetNumberOfPoints()
        prescribed = np.zeros(count, np.uint8)
        prescribed[ids] = 1
        apart = np.full(count, np.nan)
        apart[ids] = distance
        arrays = {f"{prefix}_prescribed": prescribed, f"{prefix}_distance": apart}
        for k, moved in enumerate(displacement):
            whole = np.zeros((count, 3))
            whole[ids] = moved
            arrays[f"{prefix}_displacement_{k:03d}"] = whole
        for name, values in arrays.items():
            array = numpy_to_vtk(np.ascontiguousarray(values), deep=True)
            array.SetName(name)
            self._data.GetPointData().AddArray(array)
        moments = numpy_to_vtk(np.ascontiguousarray(times), deep=True)
        moments.SetName(f"{prefix}_time_s")
        self._data.GetFieldData().AddArray(moments)
        writer = vtkXMLPolyDataWriter() if path.suffix.lower() == ".vtp" else vtkXMLUnstructuredGridWriter()
        writer.SetInputData(self._data)
        write_vtk_xml(writer, path)
        return (f"Point arrays {prefix}_displacement_000 … hold the motion, field array {prefix}_time_s its times.",)

"""vtk and vtkhdf read back by VTK itself."""

from xml.etree import ElementTree

import numpy as np
import pytest
from CardiacValveLandmarksLib.export import export_study, format_named
from CardiacValveLandmarksLib.export.motion import ring_motions

pytest.importorskip("vtkmodules", reason="VTK is not installed")


@pytest.fixture(scope="module")
def folder(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vtk")
    export_study(study, folder, [format_named("vtk")])
    return folder


def _arrays(data):
    from vtkmodules.util.numpy_support import vtk_to_numpy

    fields = data.GetPointData()
    arrays = {fields.GetArrayName(i): vtk_to_numpy(fields.GetArray(i)) for i in range(fields.GetNumberOfArrays())}
    return vtk_to_numpy(data.GetPoints().GetData()), arrays


def test_vtp_and_pvd(study, folder):
    from vtkmodules.vtkIOXML import vtkXMLPolyDataReader

    for motion in ring_motions(study):
        sets = ElementTree.parse(folder / "vtk" / f"{motion.valve}.pvd").getroot().findall("Collection/DataSet")
        assert [float(s.get("timestep")) for s in sets] == motion.times.tolist()
        for k, dataset in enumerate(sets):
            reader = vtkXMLPolyDataReader()
            reader.SetFileName(str(folder / "vtk" / dataset.get("file")))
            reader.Update()
            data = reader.GetOutput()
            points, arrays = _arrays(data)
            assert np.array_equal(points, motion.positions[k])
            assert np.array_equal(arrays["displacement_mm"], motion.displacement[k])
            assert arrays["node"].tolist() == list(range(1, len(points) + 1))
            line = data.GetCell(0).GetPointIds()
            assert [line.GetId(i) for i in (0, len(points))] == [0, 0]


def test_vtkhdf_all_steps(study, tmp_path):
    pytest.importorskip("h5py", reason="h5py is not installed")
    from vtkmodules.vtkIOHDF import vtkHDFReader

    export_study(study, tmp_path, [format_named("vtkhdf")])
    motion = next(m for m in ring_motions(study) if m.valve == "mitral")
    reader = vtkHDFReader()
    reader.SetFileName(str(tmp_path / "vtkhdf" / "mitral.vtkhdf"))
    reader.UpdateInformation()
    assert reader.GetNumberOfSteps() == len(motion.times)
    for k in range(len(motion.times)):
        reader.SetStep(k)
        reader.Update()
        data = reader.GetOutputDataObject(0)
        if data.IsA("vtkPartitionedDataSet"):
            data = data.GetPartition(0)
        points, arrays = _arrays(data)
        assert np.array_equal(points, motion.positions[k])
        assert np.array_equal(arrays["displacement_mm"], motion.displacement[k])
        assert data.GetNumberOfLines() == 1
        assert reader.GetTimeValue() == pytest.approx(motion.times[k])

"""A ventricle as a user's mesh, in every format that a ring's motion is written into."""

import numpy as np

#: nodes of the rim, the mesh's first
RIM = 96


def smooth_ring(nodes: np.ndarray, count: int) -> np.ndarray:
    """(..., N, 3) ring nodes -> (..., count, 3) of the closed curve through them, by trigonometric interpolation."""
    n = nodes.shape[-2]
    spectrum = np.fft.rfft(nodes, axis=-2)
    whole = np.zeros((*nodes.shape[:-2], count // 2 + 1, 3), complex)
    whole[..., : spectrum.shape[-2] - 1, :] = spectrum[..., :-1, :]
    return np.fft.irfft(whole * (count / n), count, axis=-2)


class Ventricle:
    """A bag of triangles from a valve rim (first RIM nodes) to a tip, in LPS mm."""

    def __init__(self, rim: np.ndarray, tip: np.ndarray, levels: int = 6) -> None:
        centre = rim.mean(0)
        shrink = np.linspace(0, 0.9, levels)
        rows = [centre + (rim - centre) * np.sqrt(1 - s**2) + s * (tip - centre) for s in shrink]
        self.points = np.concatenate([*rows, tip[None]])
        k = np.arange(RIM)
        after = (k + 1) % RIM
        triangles = []
        for level in range(levels - 1):
            a, b = level * RIM, (level + 1) * RIM
            triangles += [np.stack([a + k, a + after, b + k], 1), np.stack([a + after, b + after, b + k], 1)]
        last = (levels - 1) * RIM
        triangles.append(np.stack([last + k, last + after, np.full(RIM, levels * RIM)], 1))
        self.triangles = np.concatenate(triangles)
        self.rim_cells = np.isin(self.triangles, k).sum(1) == 2


def write_inp(path, mesh, points=None):
    points = mesh.points if points is None else points
    lines = ["** user's deck\n", "*NODE\n"]
    lines += [f"{i + 1001}, {x:.12g}, {y:.12g}, {z:.12g}\n" for i, (x, y, z) in enumerate(points)]
    # springs along the edges, all but the rim held: quick to solve
    edges = np.unique(np.sort(mesh.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)
    lines.append("*ELEMENT, TYPE=SPRINGA, ELSET=WALL\n")
    lines += [f"{k + 1}, {a + 1001}, {b + 1001}\n" for k, (a, b) in enumerate(edges)]
    lines += ["*NSET, NSET=Rim, GENERATE\n", f"1001, {1000 + RIM}\n", "*NSET, NSET=ALL\n"]
    ids = [str(i + 1001) for i in range(len(points))]
    lines += [", ".join(ids[k : k + 12]) + "\n" for k in range(0, len(ids), 12)]
    lines += ["*SPRING, ELSET=WALL\n", "\n", "1.0\n", "*BOUNDARY\n"]
    lines += [f"{i + 1001}, 1, 3\n" for i in range(RIM, len(points))]
    lines += [
        "*STEP, NLGEOM, INC=1000\n",
        "*STATIC, DIRECT\n",
        "0.01848, 0.924\n",
        "*NODE PRINT, NSET=RIM\n",
        "U\n",
        "*END STEP\n",
    ]
    path.write_text("".join(lines))
    return path


def write_feb(path, mesh):
    nodes = "\n".join(
        f'<node id="{i + 1}">{x!r},{y!r},{z!r}</node>' for i, (x, y, z) in enumerate(mesh.points.tolist())
    )
    elements = "\n".join(
        f'<elem id="{k + 1}">{a + 1},{b + 1},{c + 1}</elem>' for k, (a, b, c) in enumerate(mesh.triangles)
    )
    path.write_text(
        '<?xml version="1.0"?>\n<febio_spec version="4.0"><!-- mine --><Module type="solid"/>'
        '<Material><material id="1" name="m" type="neo-Hookean"><E>1</E><v>0.3</v></material></Material>'
        f'<Mesh><Nodes name="all">{nodes}</Nodes><Elements type="tri3" name="wall">{elements}</Elements>'
        f'<NodeSet name="rim">1:{RIM}</NodeSet></Mesh>'
        '<MeshDomains><ShellDomain name="wall" mat="m"/></MeshDomains>'
        '<Boundary><bc name="fix" type="zero displacement" node_set="rim"><x_dof>1</x_dof></bc></Boundary>'
        '<LoadData><load_controller id="7" type="loadcurve"><points><pt>0,0</pt></points></load_controller></LoadData>'
        "</febio_spec>\n"
    )
    return path


def write_msh(path, mesh, version):
    """Nodes numbered from 1001 and listed backwards; physical groups "rim" (curve) and "wall" (surface)."""
    n, rim = len(mesh.points), [(1001 + k, 1001 + (k + 1) % RIM) for k in range(RIM)]
    order = range(n - 1, -1, -1)
    names = '$PhysicalNames\n2\n1 5 "rim"\n2 6 "wall"\n$EndPhysicalNames\n'
    cells = [(1, 5, ends) for ends in rim] + [(2, 6, tuple(t + 1001)) for t in mesh.triangles]
    at = {k: " ".join(map(repr, mesh.points[k].tolist())) for k in order}
    if version == "2.2":
        nodes = f"{n}\n" + "".join(f"{1001 + k} {at[k]}\n" for k in order)
        elements = f"{len(cells)}\n" + "".join(
            f"{i + 1} {kind} 2 {group} {kind} {' '.join(map(str, ends))}\n"
            for i, (kind, group, ends) in enumerate(cells)
        )
        entities = ""
    else:
        box = "-100 -100 -100 100 100 100"
        entities = f"$Entities\n0 1 1 0\n1 {box} 1 5 0\n1 {box} 1 6 0\n$EndEntities\n"
        tags = "".join(f"{1001 + k}\n" for k in order)
        nodes = f"1 {n} 1001 {1000 + n}\n2 1 0 {n}\n{tags}" + "".join(f"{at[k]}\n" for k in order)
        elements = f"2 {len(cells)} 1 {len(cells)}\n"
        for kind in (1, 2):
            own = [(i, ends) for i, (k, _, ends) in enumerate(cells) if k == kind]
            elements += f"{kind} 1 {kind} {len(own)}\n" + "".join(f"{i + 1} {' '.join(map(str, e))}\n" for i, e in own)
    path.write_text(
        f"$MeshFormat\n{version} 0 8\n$EndMeshFormat\n{names}{entities}$Nodes\n{nodes}$EndNodes\n"
        f"$Elements\n{elements}$EndElements\n"
    )
    return path


def write_vtk(path, mesh, rim=None):
    """With a point array "rim" and a cell array "patch", 3 along the rim."""
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonDataModel import VTK_TRIANGLE, vtkCellArray, vtkPolyData, vtkUnstructuredGrid
    from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter, vtkXMLUnstructuredGridWriter

    points, cells = vtkPoints(), vtkCellArray()
    points.SetData(numpy_to_vtk(np.ascontiguousarray(mesh.points), deep=True))
    for triangle in mesh.triangles:
        cells.InsertNextCell(3, triangle.tolist())
    surface = path.suffix == ".vtp"
    data = vtkPolyData() if surface else vtkUnstructuredGrid()
    data.SetPoints(points)
    data.SetPolys(cells) if surface else data.SetCells(VTK_TRIANGLE, cells)
    rim = (np.arange(len(mesh.points)) < RIM).astype(np.int32) if rim is None else rim
    for name, values, fields in (
        ("rim", rim, data.GetPointData()),
        ("patch", np.where(mesh.rim_cells, 3, 1).astype(np.int32), data.GetCellData()),
    ):
        array = numpy_to_vtk(values, deep=True)
        array.SetName(name)
        fields.AddArray(array)
    writer = vtkXMLPolyDataWriter() if surface else vtkXMLUnstructuredGridWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(data)
    writer.Write()
    return path

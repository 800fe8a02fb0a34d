"""Gmsh meshes (.msh) through meshio: a set is a physical group; the motion is added as point data."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...errors import InputError


def read(path: Path) -> GmshMesh:
    import meshio

    try:
        # meshio prints and ends the program where `read` is given a bad file by its suffix alone
        mesh = meshio.gmsh.read(str(path))
    except (meshio.ReadError, OSError, ValueError, IndexError, KeyError, AssertionError, UnicodeDecodeError) as error:
        raise InputError(path, "a Gmsh mesh (.msh)", f"a file that meshio cannot read: {error}") from error
    with path.open("rb") as stream:
        head = stream.read(200).split()
    return GmshMesh(path, mesh, head[1].decode("ascii", "replace") if len(head) > 1 else "")


class GmshMesh:
    """Ids are meshio's point numbers, from 0 (Gmsh counts from 1)."""

    def __init__(self, path: Path, mesh, version: str) -> None:
        self._path, self._mesh, self._version = path, mesh, version

    def set_names(self) -> tuple[str, ...]:
        return tuple(self._mesh.field_data)

    def nodes(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        number, dimension = (int(x) for x in self._mesh.field_data[name])
        groups = self._mesh.cell_data.get("gmsh:physical", [])
        members = [
            block.data[np.asarray(group) == number].ravel()
            for block, group in zip(self._mesh.cells, groups, strict=False)
            if block.dim == dimension
        ]
        ids = np.unique(np.concatenate(members)) if members else np.zeros(0, int)
        return ids.astype(int), np.asarray(self._mesh.points, dtype=np.float64)[ids.astype(int)]

    def write(self, path: Path, prefix: str, ids, times, displacement, distance) -> tuple[str, ...]:
        import meshio

        count = len(self._mesh.points)
        prescribed, apart = np.zeros(count), np.full(count, -1.0)
        prescribed[ids], apart[ids] = 1.0, distance
        data = {f"{prefix}_prescribed": prescribed, f"{prefix}_distance": apart}
        for k, moved in enumerate(displacement):
            whole = np.zeros((count, 3))
            whole[ids] = moved
            data[f"{prefix}_displacement_{k:03d}"] = whole
        self._mesh.point_data.update(data)
        form = "gmsh22" if self._version.startswith("2") else "gmsh"
        meshio.write(path, self._mesh, file_format=form, binary=False)
        listed = ", ".join(f"{t:.6g}" for t in times)
        return (f"Node data {prefix}_displacement_000 … hold the motion at the times {listed} s.",)

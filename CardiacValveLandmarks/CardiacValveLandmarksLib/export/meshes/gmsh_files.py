"""Gmsh meshes (.msh, ASCII, 2.2 and 4.1): a set is a physical group; the file is kept as it is and the motion is
appended as node data over time, which Gmsh plays. Groups are read through meshio, which forgets node numbers."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import numpy as np

from ...errors import InputError

_DATA = re.compile(rb"\$(NodeData|ElementData|ElementNodeData)\s.*?\$End\1[ \t]*\r?\n?", re.DOTALL)
#: the largest node number that is taken: this, and so many times the count of nodes
_MOST_NUMBERS, _SPARSE = 10_000_000, 100


def read(path: Path) -> GmshMesh:
    import meshio

    content = path.read_bytes()
    head = content[:200].split()
    if len(head) > 2 and head[0] == b"$MeshFormat" and head[2] != b"0":
        raise InputError(path, "an ASCII Gmsh mesh", "a binary one", "Save it as ASCII (Mesh.Binary = 0).")
    try:
        tags = _node_tags(content, head[1])
        if len(tags) and tags.max() > _MOST_NUMBERS + _SPARSE * len(tags):  # meshio keeps a table of all numbers
            raise InputError(
                path,
                "node numbers that are not much larger than their count",
                f"{tags.max()} with {len(tags)} nodes",
                "Renumber them in Gmsh (Tools > Global renumbering, or RenumberMeshNodes).",
            )
        mesh = _read_mesh(content)
    except (meshio.ReadError, ValueError, IndexError, KeyError, AssertionError, UnicodeDecodeError) as error:
        if "gmsh:physical" in str(error):  # meshio's words
            raise InputError(
                path,
                "a Gmsh mesh all of whose elements belong to physical groups",
                "elements that belong to none",
                "Give every entity a group, or save without the others (Mesh.SaveAll = 0).",
            ) from error
        raise InputError(path, "a Gmsh mesh (.msh)", f"a file that cannot be read as one: {error!r}") from error
    names = _group_names(content)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(path, "physical groups of different names", f"several called {twice[0]!r}", "Rename them.")
    if len(tags) != len(mesh.points):
        raise InputError(path, f"{len(mesh.points)} node numbers", f"{len(tags)}")
    return GmshMesh(path, content, mesh, tags)


def _read_mesh(content: bytes):
    """The mesh without its data: meshio refuses data of some of the nodes, as this motion is."""
    import meshio

    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "mesh.msh"
        plain.write_bytes(_DATA.sub(b"", content))
        # not meshio.read: that prints, and ends the program on a bad file
        return meshio.gmsh.read(str(plain))


def _group_names(content: bytes) -> list[str]:
    """Names of the physical groups, of all dimensions."""
    section = re.search(rb"\$PhysicalNames(.*?)\$EndPhysicalNames", content, re.DOTALL)
    return re.findall(r'"([^"]*)"', section[1].decode("utf-8", "replace")) if section else []


def _node_tags(content: bytes, version: bytes) -> np.ndarray:
    """(n,) node numbers in the file's order."""
    start = content.index(b"$Nodes") + len(b"$Nodes")
    lines = content[start : content.index(b"$EndNodes")].decode("ascii").split("\n")
    rows = [line.split() for line in lines if line.strip()]
    if version.startswith(b"2"):
        return np.array([int(row[0]) for row in rows[1:]])
    tags: list[int] = []
    blocks, at = int(rows[0][0]), 1
    for _ in range(blocks):
        count = int(rows[at][3])
        # a block: its numbers, then its coordinates
        tags += [int(row[0]) for row in rows[at + 1 : at + 1 + count]]
        at += 1 + 2 * count
    return np.array(tags)


class GmshMesh:
    """Ids are Gmsh's node numbers."""

    def __init__(self, path: Path, content: bytes, mesh, tags: np.ndarray) -> None:
        self._path, self._content, self._mesh, self._tags = path, content, mesh, tags

    def set_names(self) -> tuple[str, ...]:
        return tuple(self._mesh.field_data)

    def nodes(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        number, dimension = (int(x) for x in self._mesh.field_data[name])
        groups = self._mesh.cell_data.get("gmsh:physical", [])
        # the sign of a group's number says how an entity is turned
        members = [
            block.data[np.abs(group) == number].ravel()
            for block, group in zip(self._mesh.cells, groups, strict=False)
            if block.dim == dimension
        ]
        # there is one number an element; of entities in several groups the sets know the others
        for block, chosen in zip(self._mesh.cells, self._mesh.cell_sets.get(name, ()), strict=False):
            members.append(block.data[np.asarray(chosen, int)].ravel())
        chosen = np.unique(np.concatenate([*members, np.zeros(0, int)])).astype(int)
        return self._tags[chosen], np.asarray(self._mesh.points, dtype=np.float64)[chosen]

    def write(self, path: Path, prefix: str, ids, times, displacement, distance) -> tuple[str, ...]:
        if f'"{prefix}_displacement"'.encode("ascii") in self._content:
            advice = "Start from the mesh as it was before."
            raise InputError(self._path, f"a mesh without node data {prefix}_…", "this motion already", advice)
        blocks = [_node_data(f"{prefix}_distance", 0, 0.0, ids, distance[:, None])]
        blocks += [
            _node_data(f"{prefix}_displacement", step, time, ids, moved)
            for step, (time, moved) in enumerate(zip(times, displacement, strict=True))
        ]
        end = b"" if self._content.endswith(b"\n") else b"\n"
        path.write_bytes(self._content + end + "".join(blocks).encode("ascii"))
        return (f"Node data {prefix}_displacement holds the motion, a step a time; the mesh itself is unchanged.",)


def _node_data(name: str, step: int, time: float, ids: np.ndarray, values: np.ndarray) -> str:
    """A $NodeData section: name; time; step, components, nodes; then a line a node."""
    rows = "".join(
        f"{tag} " + " ".join(repr(float(v)) for v in row) + "\n" for tag, row in zip(ids, values, strict=True)
    )
    head = f'1\n"{name}"\n1\n{float(time)!r}\n3\n{step}\n{values.shape[1]}\n{len(ids)}\n'
    return f"$NodeData\n{head}{rows}$EndNodeData\n"

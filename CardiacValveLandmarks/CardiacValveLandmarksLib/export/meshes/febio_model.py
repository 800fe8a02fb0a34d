"""FEBio 4 models (.feb): node sets, boundary conditions and load curves are added, all else stays."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from ...errors import InputError
from ..febio_xml import add_motion, to_bytes

#: sections in the order FEBio writes them, to place one that is missing
_BEFORE = {"Boundary": ("MeshDomains", "MeshData"), "LoadData": ("Step", "Constraints", "Contact", "Loads", "Boundary")}


def read(path: Path) -> FebioModel:
    parser = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))
    try:
        root = ET.parse(path, parser).getroot()
    except (OSError, ET.ParseError) as error:
        raise InputError(path, "a FEBio model (XML)", str(error)) from error
    version = root.get("version")
    if root.tag != "febio_spec" or version != "4.0":
        raise InputError(
            path, 'FEBio input of version 4.0 (<febio_spec version="4.0">)', f"<{root.tag}> of version {version}",
            "Open it in FEBio Studio and export it as version 4.0.",
        )  # fmt: skip
    return FebioModel(path, root)


def _ids(text: str | None) -> list[int]:
    """ "1,2,3" or "1:4" or "1:10:3", as FEBio reads lists of numbers."""
    found: list[int] = []
    for part in (text or "").replace("\n", ",").split(","):
        if part.strip():
            first, *rest = (int(word) for word in part.split(":"))
            last, step = (rest + [first, 1][len(rest) :])[:2] if rest else (first, 1)
            found += range(first, last + 1, step)
    return found


class FebioModel:
    def __init__(self, path: Path, root: ET.Element) -> None:
        self._path, self._root = path, root
        mesh = root.find("Mesh")
        if mesh is None or mesh.get("from") is not None:
            found = "none" if mesh is None else f"one that is read from {mesh.get('from')}"
            raise InputError(path, "a Mesh section", found, "Give the file that holds the mesh itself.")
        self._mesh = mesh
        self._points: dict[int, tuple[float, ...]] = {}
        self._sets: dict[str, list[int]] = {}
        try:
            for nodes in mesh.findall("Nodes"):
                here = []
                for node in nodes.findall("node"):
                    here.append(int(node.get("id")))
                    self._points[here[-1]] = tuple(float(x) for x in node.text.split(","))
                if nodes.get("name"):
                    self._sets[nodes.get("name")] = here
            for one in mesh.findall("NodeSet"):
                # comments may lie between the numbers
                self._sets[one.get("name")] = _ids(",".join([one.text or "", *(child.tail or "" for child in one)]))
            for kind in ("Surface", "Edge"):
                for one in mesh.findall(kind):
                    ids = [i for facet in one if isinstance(facet.tag, str) for i in _ids(facet.text)]
                    self._sets.setdefault(one.get("name"), ids)
        except (TypeError, ValueError, AttributeError) as error:
            raise InputError(path, "nodes and sets as FEBio 4 writes them", str(error)) from error

    def set_names(self) -> tuple[str, ...]:
        return tuple(self._sets)

    def nodes(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        ids = list(dict.fromkeys(self._sets[name]))
        missing = [node for node in ids if node not in self._points]
        if missing:
            raise InputError(self._path, f"the nodes of {name}", f"no node {missing[0]} in the file")
        return np.array(ids, dtype=int), np.array([self._points[node] for node in ids]).reshape(-1, 3)

    def _section(self, tag: str) -> ET.Element:
        found = self._root.find(tag)
        if found is not None:
            if found.get("from") is not None:
                raise InputError(
                    self._path, f"a {tag} section in the file", f"one that is read from {found.get('from')}"
                )
            return found
        places = [k for k, child in enumerate(self._root) if child.tag in ("Mesh", *_BEFORE[tag])]
        section = ET.Element(tag)
        self._root.insert(max(places) + 1, section)
        return section

    def write(self, path: Path, prefix: str, ids, times, displacement, distance) -> tuple[str, ...]:
        if any(name.startswith(f"{prefix.lower()}_") for name in self._sets if name):
            advice = "Start from the model as it was before."
            raise InputError(self._path, f"a model without node sets {prefix.lower()}_…", "this motion already", advice)
        boundary, load_data = self._section("Boundary"), self._section("LoadData")
        chosen = {int(node) for node in ids}
        remarks = [
            f"The boundary condition {bc.get('name')!r} acts on some of the same nodes: in FEBio two conditions on one "
            "degree of freedom overwrite each other."
            for bc in self._root.iter("bc")
            if chosen & set(self._sets.get(bc.get("node_set", "").split(":")[-1], ()))
        ]
        numbers = [lc.get("id", "0") for lc in load_data.findall("load_controller")]
        if wrong := [number for number in numbers if not number.strip().isdigit()]:
            raise InputError(self._path, "load controllers with numbers as ids", repr(wrong[0]))
        used = [int(number) for number in numbers]
        first = max(used, default=0) + 1
        ordered = np.argsort(ids)
        add_motion(
            self._mesh,
            boundary,
            load_data,
            ids[ordered].tolist(),
            times,
            displacement[:, ordered],
            prefix.lower(),
            first,
        )
        path.write_bytes(to_bytes(self._root))
        remarks.append(f"The model's time should reach {times[-1]:g} s; the load curves repeat.")
        return tuple(remarks)

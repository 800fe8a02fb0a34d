"""The parts of a FEBio 4 model that prescribe the motion of nodes, as XML elements.

Names and rules as in FEBio's own reader: a node set's ids are its text, separated by commas; every node has a set of
its own and three boundary conditions, one a direction, each with a load curve; two conditions on one degree of
freedom of a node would overwrite each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

import numpy as np

AXES = "xyz"


def values(numbers: Sequence[float]) -> str:
    """Numbers with commas between, each in the shortest form that reads back the same."""
    return ",".join(repr(float(n)) for n in numbers)


def add_child(parent: ET.Element, tag: str, text: str = "", **attributes: str) -> ET.Element:
    """A new last child of `parent`."""
    element = ET.SubElement(parent, tag, attributes)
    element.text = text or None
    return element


def add_motion(
    mesh: ET.Element,
    boundary: ET.Element,
    load_data: ET.Element,
    ids: Sequence[int],
    times: np.ndarray,
    displacement: np.ndarray,
    prefix: str,
    first_controller: int = 1,
) -> None:
    """Prescribe the motion of nodes `ids`: times (T,) s, displacement (T, n, 3) mm from the reference.

    The cycle must be closed (last = first): the curves are repeated after their end.
    """
    controller = first_controller
    for column, node in enumerate(ids):
        name = f"{prefix}_{node}"
        add_child(mesh, "NodeSet", str(node), name=name)
        for axis, letter in enumerate(AXES):
            condition = add_child(
                boundary, "bc", name=f"{name}_{letter}", type="prescribed displacement", node_set=name
            )
            add_child(condition, "dof", letter)
            add_child(condition, "value", "1", lc=str(controller))
            add_child(condition, "relative", "0")
            curve = add_child(
                load_data, "load_controller", id=str(controller), name=f"{name}_{letter}", type="loadcurve"
            )
            add_child(curve, "interpolate", "SMOOTH")
            add_child(curve, "extend", "REPEAT")
            points = add_child(curve, "points")
            for time, value in zip(times, displacement[:, column, axis], strict=True):
                add_child(points, "pt", values((time, value)))
            controller += 1


def to_bytes(root: ET.Element) -> bytes:
    """The document, indented; ASCII, so that every reader agrees on the encoding."""
    ET.indent(root, " ")
    return b'<?xml version="1.0" encoding="ISO-8859-1"?>\n' + ET.tostring(root, encoding="us-ascii") + b"\n"

"""febio: a FEBio 4 deck a ring that runs by itself, and the same without control and output, to be included."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

from ...study import Study
from ..febio_xml import add_child, add_motion, to_bytes, values
from ..motion import RingMotion, no_motion, ring_motions
from ..registry import ExportOptions, Format

#: the ring carries no load (every node is prescribed): a soft truss, only because FEBio drops nodes without elements
_DENSITY, _STIFFNESS, _AREA = "1e-09", "0.001", "1"


def _ring_sections(root: ET.Element, motion: RingMotion) -> None:
    valve, count = motion.valve, len(motion.reference)
    material = add_child(add_child(root, "Material"), "material", id="1", name=f"{valve}_thread", type="linear truss")
    add_child(material, "density", _DENSITY)
    add_child(material, "E", _STIFFNESS)
    add_child(material, "v", "0")
    mesh = add_child(root, "Mesh")
    nodes = add_child(mesh, "Nodes", name=f"{valve}_nodes")
    for number, point in enumerate(motion.reference, start=1):
        add_child(nodes, "node", values(point), id=str(number))
    elements = add_child(mesh, "Elements", type="line2", name=f"{valve}_ring")
    for number in range(1, count + 1):
        add_child(elements, "elem", f"{number},{number % count + 1}", id=str(number))
    domain = add_child(
        add_child(root, "MeshDomains"), "BeamDomain", name=f"{valve}_ring", mat=f"{valve}_thread", type="linear-truss"
    )
    add_child(domain, "cross_sectional_area", _AREA)
    boundary, load_data = add_child(root, "Boundary"), add_child(root, "LoadData")
    add_motion(mesh, boundary, load_data, range(1, count + 1), motion.times, motion.displacement, f"{valve}_node")


def deck(motion: RingMotion, alone: bool) -> bytes:
    """The `.feb` of one ring. alone: with module, control and output, to be run; else only what is included."""
    root = ET.Element("febio_spec", version="4.0")
    assumed = "The ring's shape is assumed. " if motion.ring.assumed else ""
    root.append(
        ET.Comment(
            f" {motion.valve} ring from CardiacValveLandmarks. {assumed}mm, s, LPS; reference = end-diastole; one "
            "closed cycle. "
        )
    )
    if alone:
        add_child(add_child(root, "Module", type="solid"), "units", "mm-N-s")
        control = add_child(root, "Control")
        add_child(control, "analysis", "STATIC")
        add_child(control, "time_steps", str(len(motion.times) - 1))
        add_child(control, "step_size", repr(motion.step))
        add_child(add_child(control, "solver", type="solid"), "symmetric_stiffness", "symmetric")
    else:
        root.append(
            ET.Comment(
                ' Include a section by its name, for example <Boundary from="this file"/>; Boundary and LoadData '
                "need the NodeSets of Mesh. All ids start at 1: FEBio wants load controllers numbered 1, 2, 3 ... over "
                f"the whole model, so number yours from {3 * len(motion.reference) + 1} on, and move the ids of nodes "
                "and elements of one of the two meshes. For a valve rim that your mesh has: cvl mesh-map. "
            )
        )
    _ring_sections(root, motion)
    if alone:
        output = add_child(root, "Output")
        add_child(add_child(output, "plotfile", type="febio"), "var", type="displacement")
        add_child(
            add_child(output, "logfile"),
            "node_data",
            data="ux;uy;uz",
            delim=",",
            file=f"{motion.valve}_displacement.txt",
            node_set=f"{motion.valve}_nodes",
        )
    return to_bytes(root)


def _write(study: Study, folder: Path, options: ExportOptions) -> None:
    for motion in ring_motions(study, options.rr_ms):
        (folder / f"{motion.valve}.feb").write_bytes(deck(motion, alone=True))
        (folder / f"{motion.valve}_include.feb").write_bytes(deck(motion, alone=False))


FORMAT = Format(
    key="febio",
    title="FEBio 4: a deck a ring, and an include fragment",
    write=_write,
    time_unit="s",
    notes=(
        "Every node of the ring has its own node set, three prescribed displacements (mm from end-diastole) and load "
        "curves over one closed cycle (SMOOTH, REPEAT).",
        "The ring's truss has an arbitrary soft stiffness: all its nodes are prescribed, so no result depends on it.",
        "Ids in VALVE_include.feb start at 1; its comment says what to renumber beside a mesh of your own.",
        "Checked against our own schema of FEBio 4 input (resources/febio.xsd) and the rules of FEBio's reader, not by "
        "a run of FEBio.",
    ),
    unfit=lambda study, options: no_motion(study, options.rr_ms),
)

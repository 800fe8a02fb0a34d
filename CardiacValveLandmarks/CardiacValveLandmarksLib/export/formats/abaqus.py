"""abaqus: a deck a ring that CalculiX and Abaqus solve, and its motion as two files to include in other decks."""

from __future__ import annotations

from pathlib import Path

from ...study import Study
from ..abaqus_text import amplitudes, boundary, id_lines
from ..motion import RingMotion, no_motion, ring_motions
from ..registry import ExportOptions, Format

#: the ring carries no load (every node is prescribed); springs, because T3D2 with NLGEOM fails in CalculiX
_STIFFNESS = "0.001"


def deck(motion: RingMotion) -> str:
    """The `.inp` of one ring: increments end on the ring's phases."""
    name, count = motion.valve.upper(), len(motion.reference)
    ids = range(1, count + 1)
    assumed = "** The ring's shape is assumed.\n" if motion.ring.assumed else ""
    nodes = "".join(
        f"{i}, " + ", ".join(f"{x:.9e}" for x in point) + "\n" for i, point in zip(ids, motion.reference, strict=True)
    )
    elements = "".join(f"{i}, {i}, {i % count + 1}\n" for i in ids)
    steps, total = len(motion.times) - 1, float(motion.times[-1])
    return (
        f"** {motion.valve} ring from CardiacValveLandmarks\n"
        "** mm, s, LPS; reference = end-diastole; one closed cycle\n"
        f"{assumed}"
        f"*NODE, NSET={name}\n{nodes}"
        f"*ELEMENT, TYPE=SPRINGA, ELSET={name}_RING\n{elements}"
        # the empty line stands for the spring's (unused) direction
        f"*SPRING, ELSET={name}_RING\n\n{_STIFFNESS}\n"
        f"{amplitudes(ids, motion.times, motion.displacement, name)}"
        f"*STEP, NLGEOM, INC={steps + 10}\n"
        f"*STATIC, DIRECT\n{motion.step:.12e}, {total:.12e}\n"
        f"{boundary(ids, name)}"
        f"*NODE PRINT, NSET={name}\nU\n"
        "*NODE FILE\nU\n"
        "*END STEP\n"
    )


def _write(study: Study, folder: Path, options: ExportOptions) -> None:
    for motion in ring_motions(study, options.rr_ms):
        name, ids = motion.valve.upper(), range(1, len(motion.reference) + 1)
        (folder / f"{motion.valve}.inp").write_text(deck(motion), encoding="ascii")
        (folder / f"{motion.valve}_amplitudes.inp").write_text(
            f"*NSET, NSET={name}\n{id_lines(ids)}{amplitudes(ids, motion.times, motion.displacement, name)}",
            encoding="ascii",
        )
        (folder / f"{motion.valve}_boundary.inp").write_text(boundary(ids, name), encoding="ascii")


FORMAT = Format(
    key="abaqus",
    title="Abaqus and CalculiX: a deck a ring, and its motion to include",
    write=_write,
    time_unit="s",
    notes=(
        "VALVE.inp runs by itself. VALVE_amplitudes.inp (before the step) and VALVE_boundary.inp (within it) are for "
        "*INCLUDE in a deck whose nodes 1…N are the ring's.",
        "The springs have an arbitrary soft stiffness: all nodes are prescribed, so no result depends on it.",
    ),
    unfit=lambda study, options: no_motion(study, options.rr_ms),
)

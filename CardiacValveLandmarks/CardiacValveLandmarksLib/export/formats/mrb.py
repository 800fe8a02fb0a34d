"""mrb: the study as a Slicer scene, with the cines, landmarks, rings in a browser that plays, tables and plots."""

from __future__ import annotations

from pathlib import Path

from ...study import Study
from ...study_images import find_cines
from ..registry import ExportOptions, Format

FILE = "study.mrb"


def _write(study: Study, folder: Path, options: ExportOptions) -> None:
    # Slicer's MRML, in Slicer itself or from slicer-core: only here
    from ...mrml.bundle import write_bundle

    cines = options.cines or find_cines(study, options.images)
    entries = []
    for view in study.views:
        cine = cines[view.view]
        if not options.identify:
            blank = dict.fromkeys(("source", "study_uid", "frame_of_reference_uid", "patient_key"), "")
            cine = cine.replace(files=(), attributes={}, **blank)
        entries.append((cine.replace(name=view.name), view.landmarks.replace(view=view.view)))
    write_bundle(folder / FILE, entries, study, options.corrections)


def _unfit(study: Study, options: ExportOptions) -> str:
    return "" if options.cines or options.images else "it needs the images; give their folder with --images"


FORMAT = Format(
    key="mrb",
    title="Slicer scene: cines, landmarks, rings that play, tables and plots",
    write=_write,
    notes=(
        "Slicer shows positions in RAS: the first two coordinates have the other sign than in the other formats.",
        "Exported outside Slicer, points carried over from corrected frames are automatic points in the scene.",
    ),
    unfit=_unfit,
    # not `slicer` alone: another package of that name exists
    modules=("slicer.util",),
    extra="slicer",
)

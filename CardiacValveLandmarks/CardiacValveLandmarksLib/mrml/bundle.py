"""A study as a Slicer scene in one file: for the headless run, where there is a scene but nobody to save it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import slicer

from ..cine import Cine
from ..errors import InputError
from ..files import make_folder
from ..landmarks import VIEWS, LandmarkSeries
from ..study import Study
from .cine_nodes import sequence_from_cine
from .jobs import Detected, Job
from .logic import StudyLogic

BUNDLE_FILE = "study.mrb"


class _Known:
    """Landmarks that were detected already, in the form of a detection."""

    def __init__(self, landmarks: LandmarkSeries) -> None:
        self.landmarks, self.view, self.view_confidence = landmarks, landmarks.view, landmarks.view_confidence
        self.warnings = ()


def write_bundle(
    path: str | os.PathLike, entries: Sequence[tuple[Cine, LandmarkSeries]], study: Study | None = None
) -> Path:
    """Put cines, their automatic landmarks and the study's rings and measures into the scene, and save it as `.mrb`.

    entries: as for `build_study`, one a view, with the view in the landmarks. The scene is emptied before: call it
    where the scene is nobody's, as in a headless run. InputError where the file cannot be written.
    """
    slicer.mrmlScene.Clear(0)
    logic = StudyLogic()
    try:
        detected = []
        for cine, landmarks in entries:
            sequence = sequence_from_cine(cine.replace(view=landmarks.view))
            detected.append(Detected(Job(landmarks.view, sequence.GetID(), cine), _Known(landmarks)))
        logic.apply(detected)
        if study is not None:
            logic.showStudy(study)
        _save(Path(path))
    finally:
        logic.cleanup()
    return Path(path)


def bundle_run(options) -> Path:
    """`study.mrb` beside what `cvl study` has just written with these parsed arguments.

    Without `--identify` the scene names no file, UID or patient either. InputError where a study.mrb is there already
    and `--overwrite` was not given.
    """
    from ..study_io import study_from_json
    from ..study_run import STUDY_FILE, read_examination

    folder = Path(options.output)
    path = folder / BUNDLE_FILE
    if path.exists() and not options.overwrite:
        raise InputError(path, "no such file", "one", "Choose another folder, or give --overwrite.")
    study = study_from_json(folder / STUDY_FILE)
    stated = {view: at for view in VIEWS if (at := getattr(options, f"path_{view}")) is not None}
    cines = {cine.name: cine for cine in read_examination(options.folder, stated, options.identify).cines}
    entries = []
    for view in study.views:
        cine = cines[view.name]
        if not options.identify:
            cine = cine.replace(source="", study_uid="", frame_of_reference_uid="", patient_key="", attributes={})
        entries.append((cine, view.landmarks.replace(view=view.view)))
    return write_bundle(path, entries, study)


def _save(path: Path) -> None:
    """Whole or not at all. In a hidden folder first: Slicer saves no bundle whose own name begins with a dot."""
    folder = make_folder(path.parent)
    try:
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as name:
            temporary = Path(name) / path.name
            if not slicer.util.saveScene(str(temporary)):
                raise InputError(path, "a scene that can be written", "Slicer could not save it", "See Slicer's log.")
            temporary.replace(path)
    except OSError as error:
        advice = "Free some space or choose another folder."
        raise InputError(path, "a file that can be written", str(error), advice) from error

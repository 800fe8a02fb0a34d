"""A study as a Slicer scene in one file, made in a scene of its own: in Slicer or outside it, on slicer-core."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..cine import Cine
from ..correction import Correction
from ..errors import InputError
from ..files import make_folder
from ..landmarks import LandmarkSeries, Provenance
from ..study import Study
from .cine_nodes import sequence_from_cine
from .host import own_host
from .jobs import Detected, Job
from .logic import StudyLogic


class _Known:
    """Landmarks that are known already, in the form of a detection."""

    def __init__(self, landmarks: LandmarkSeries) -> None:
        # a prediction has nothing placed by hand in it: that is decided on top of it
        provenance = np.where(landmarks.present, Provenance.AUTO, Provenance.ABSENT)
        self.landmarks = landmarks.replace(provenance=provenance)
        self.view, self.view_confidence, self.warnings = landmarks.view, landmarks.view_confidence, ()


def _placed(correction: Correction, landmarks: LandmarkSeries) -> Correction:
    """`correction` with the points of `landmarks` that were placed by hand."""
    for frame, index in np.argwhere(landmarks.provenance == Provenance.MANUAL):
        correction = correction.place(int(frame), int(index) + 1, landmarks.positions[frame, index], spread=0)
    return correction


def write_bundle(
    path: str | os.PathLike,
    entries: Sequence[tuple[Cine, LandmarkSeries]],
    study: Study | None = None,
    corrections: Mapping[str, Correction] | None = None,
) -> Path:
    """Cines, their landmarks and the study's rings, tables and plots as `.mrb`. Slicer's own scene is not touched.

    entries: as for `build_study`, one a view, with the view in the landmarks. corrections: view -> what they came from;
    without it points placed by hand stay so, and those carried over from them are automatic points there, for what the
    model had said is no longer known.
    InputError where the file cannot be written.
    """
    scene = own_host().scene
    logic, known = StudyLogic(scene=scene), corrections or {}
    try:
        detected = []
        for cine, landmarks in entries:
            if landmarks.view in known:
                landmarks = known[landmarks.view].prediction.replace(view=landmarks.view)
            sequence = sequence_from_cine(cine.replace(view=landmarks.view), scene)
            detected.append(Detected(Job(landmarks.view, sequence.GetID(), cine), _Known(landmarks)))
        logic.apply(detected)
        for _, landmarks in entries:
            if landmarks.view in known:
                logic.correct(landmarks.view, lambda _, whole=known[landmarks.view]: whole)
            elif (landmarks.provenance == Provenance.MANUAL).any():
                logic.correct(landmarks.view, lambda correction, known=landmarks: _placed(correction, known))
        if study is not None:
            logic.showStudy(study)
        _save(scene, Path(path))
    finally:
        logic.cleanup()
        scene.Clear(0)
    return Path(path)


def _save(scene, path: Path) -> None:
    """Whole or not at all. In a hidden folder first: no bundle is saved whose own name begins with a dot."""
    folder = make_folder(path.parent)
    try:
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as name:
            temporary = Path(name) / path.name
            if not scene.WriteToMRB(str(temporary)):
                raise InputError(path, "a scene that can be written", "MRML could not save it", "See the messages.")
            temporary.replace(path)
    except OSError as error:
        advice = "Free some space or choose another folder."
        raise InputError(path, "a file that can be written", str(error), advice) from error

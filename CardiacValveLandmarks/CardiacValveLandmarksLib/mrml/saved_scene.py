"""Landmarks and images of a saved scene (`.mrb`), read into a scene of our own: in Slicer, or on slicer-core."""

from __future__ import annotations

import os
from pathlib import Path

from ..cine import Cine
from ..errors import InputError
from ..landmarks import VIEWS, LandmarkSeries
from .host import own_host
from .logic import StudyLogic


def read_scene(path: str | os.PathLike) -> list[list[tuple[Cine, LandmarkSeries]]]:
    """The studies of a scene, each [(cine, landmarks)] with the landmarks as they stand, after all corrections.

    Slicer's own scene is not touched. InputError: no scene that can be read, or one without landmarks.
    """
    path, scene, folder = Path(path), own_host().scene, Path.cwd()
    logic = StudyLogic(scene=scene)
    try:
        if not path.is_file() or not scene.ReadFromMRB(str(path.resolve()), True):
            raise InputError(path, "a scene saved by Slicer (.mrb)", "a file MRML cannot read", "Save it again.")
        studies = []
        for sequences in logic.studies():
            logic.open(sequences)
            views = [view for view in VIEWS if view in logic.views()]
            studies.append([(logic.cine(view), logic.correction(view).current.replace(view=view)) for view in views])
        if not studies:
            raise InputError(path, "a scene with landmarks of this module", "none in it")
        return studies
    finally:
        os.chdir(folder)  # MRML works in a temporary folder, and stays in it where a file cannot be unpacked
        logic.cleanup()
        scene.Clear(0)

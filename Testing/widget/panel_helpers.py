"""What the widget tests share beside fixtures: a study's facts, a detector that knows it, looks into the scene."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from CardiacValveLandmarksLib.landmarks import LandmarkSeries, Provenance

MODULE = Path(__file__).resolve().parents[2] / "CardiacValveLandmarks" / "CardiacValveLandmarks.py"
ARTEFACTS = MODULE.parents[1] / "artefacts"
FRAMES = {"2CH": 12, "3CH": 6, "4CH": 12}
#: view, frame, landmark number that the detector gets wrong and doubts
WRONG = ("4CH", 9, 5)


class StoppedError(Exception):
    """What the detector raises when it is cancelled."""


@dataclass
class Result:
    landmarks: LandmarkSeries
    view: str | None
    view_confidence: float
    warnings: list[str] = field(default_factory=list)


class PhantomDetector:
    """Truth with a little noise, another at each call, and one point far off. `delay`: seconds a frame."""

    def __init__(self, study) -> None:
        self.study, self.delay, self.calls, self.error = study, 0.0, 0, None

    def __call__(self, cine, *, model="", view="auto", progress=None, cancel=None, **options) -> Result:
        self.calls += 1
        item = next(item for item in self.study if np.array_equal(item.cine.frames, cine.frames))
        for frame in range(cine.n_frames):
            if cancel is not None and cancel():
                raise StoppedError
            if progress is not None:
                progress(frame + 1, cine.n_frames)
            time.sleep(self.delay)
        if self.error is not None:
            raise self.error
        truth = item.truth
        positions = truth.positions + np.random.default_rng(self.calls).normal(0, 0.15, truth.positions.shape)
        confidence = np.where(truth.present, 0.9, np.nan)
        if item.kind == WRONG[0]:
            positions[WRONG[1], WRONG[2] - 1] += [5, 4]
            confidence[WRONG[1], WRONG[2] - 1] = 0.2
        found = LandmarkSeries(positions, confidence, truth.provenance, item.kind)
        return Result(found, item.kind, 0.95 if item.kind != "3CH" else 0.7)


def stored(panel, view: str) -> np.ndarray:
    """(T, 11, 3) RAS mm as the nodes in the scene hold them, NaN where not defined."""
    browser, node = panel.logic.browserNode(view), panel.logic.landmarksNode(view)
    sequence = browser.GetSequenceNode(node)
    found = np.full((sequence.GetNumberOfDataNodes(), 11, 3), np.nan)
    for frame in range(len(found)):
        points = sequence.GetNthDataNode(frame)
        for index in range(11):
            if points.GetNthControlPointPositionStatus(index) == points.PositionDefined:
                found[frame, index] = points.GetNthControlPointPosition(index)
    return found


def provenance(panel, view: str, frame: int, number: int) -> Provenance:
    return Provenance(int(panel.logic.landmarks(view)[2][frame, number - 1]))


def scene_contents() -> dict[str, str]:
    """Node ID -> name, of everything that holds data in the scene."""
    import slicer

    kinds = ("vtkMRMLSequenceNode", "vtkMRMLMarkupsNode", "vtkMRMLVolumeNode", "vtkMRMLSequenceBrowserNode")
    return {node.GetID(): node.GetClassName() for kind in kinds for node in slicer.util.getNodesByClass(kind)}


def column(panel, index: int) -> list[str]:
    table = panel.ui.landmarkTable
    return [table.item(row, index).text() for row in range(table.rowCount)]

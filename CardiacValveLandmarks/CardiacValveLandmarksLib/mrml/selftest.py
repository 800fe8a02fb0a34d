"""The module tested inside Slicer: what its users' scene does, with no network, no window and no model.

`CardiacValveLandmarksTest` runs it ("Reload and Test", CTest); the suite under Testing/ runs it on slicer-core.
"""

from __future__ import annotations

import tempfile
import unittest
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import slicer

from ..cine import Cine
from ..errors import Cancelled, InputError
from ..geometry import SliceGeometry
from ..landmarks import LandmarkSeries, Provenance, in_view
from .cine_nodes import cine_from_sequence, sequence_from_cine
from .logic import StudyLogic

FRAMES = 12


@dataclass
class _Result:
    landmarks: LandmarkSeries
    view: str
    view_confidence: float = float("nan")
    warnings: tuple[str, ...] = ()


def detect_on_circles(cine: Cine, *, view: str, progress=None, cancel=None, **options) -> _Result:
    """A detector whose answer is known: every landmark of the view on a circle of its own."""
    series = LandmarkSeries.empty(cine.n_frames, view)
    positions, confidence = series.positions.copy(), series.confidence.copy()
    angles = 2 * np.pi * cine.phases
    for place, landmark in enumerate(in_view(view)):
        positions[:, landmark.index] = [20 + 10 * place, 30] + 2 * np.column_stack([np.sin(angles), np.cos(angles)])
        confidence[:, landmark.index] = 0.9
    for frame in range(cine.n_frames):
        if cancel is not None and cancel():
            raise Cancelled("stopped")
        if progress is not None:
            progress(frame + 1, cine.n_frames)
    return _Result(LandmarkSeries(positions, confidence, np.isfinite(confidence), view), view)


def small_cine(view: str, offset: float) -> Cine:
    """A cine of a moving bar in an oblique plane."""
    geometry = SliceGeometry([offset, -20.0, 30.0], [0.0, 0.9, -1.2], [1.5, 0.0, 0.0], 8.0)
    frames = np.zeros((FRAMES, 80, 64))
    for frame in range(FRAMES):
        frames[frame, 20 + frame : 40 + frame, 10:50] = 100.0
    return Cine(frames, geometry, None, np.arange(FRAMES) * 70.0, 840.0, "self-test", view, name=f"selftest_{view}")


class SelfTest(unittest.TestCase):
    def setUp(self) -> None:
        slicer.mrmlScene.Clear(0)
        self.logic = StudyLogic(detect_on_circles)
        self.addCleanup(lambda: self.logic.cleanup())
        self.cines = {view: small_cine(view, 10.0 * place) for place, view in enumerate(("2CH", "4CH"))}
        self.sequences = {view: sequence_from_cine(cine) for view, cine in self.cines.items()}

    def test_cine_there_and_back(self) -> None:
        for view, sequence in self.sequences.items():
            cine = cine_from_sequence(sequence)
            np.testing.assert_array_equal(cine.frames, self.cines[view].frames)
            np.testing.assert_allclose(cine.geometry.axis0, self.cines[view].geometry.axis0)
            np.testing.assert_allclose(cine.times_ms, self.cines[view].times_ms)

    def test_points_follow_the_browser_and_a_correction_spreads(self) -> None:
        nodes = self.logic.detect(self.sequences)
        positions = self.logic.landmarks("4CH")[0]
        for frame in (0, 5, 11):
            self.logic.browserNode("4CH").SetSelectedItemNumber(frame)
            shown = nodes["4CH"].GetNthControlPointPosition(4)
            np.testing.assert_allclose(shown, positions[frame, 4], atol=1e-6)
        self.logic.setPosition("4CH", 5, 5, positions[5, 4] + [0, 3, -4], spread=2)
        provenance = self.logic.landmarks("4CH")[2][:, 4]
        self.assertEqual(provenance[3:8].tolist(), [3, 3, 2, 3, 3])
        self.assertTrue(self.logic.undo())
        np.testing.assert_array_equal(self.logic.landmarks("4CH")[0], positions)

    def test_an_edit_of_the_node_is_a_correction(self) -> None:
        node = self.logic.detect(self.sequences)["2CH"]
        self.logic.browserNode("2CH").SetSelectedItemNumber(4)
        node.SetNthControlPointPosition(0, *(np.array(node.GetNthControlPointPosition(0)) + 2.0))
        self.assertEqual(self.logic.landmarks("2CH")[2][4, 0], Provenance.MANUAL)

    def test_cancelling_changes_nothing(self) -> None:
        before = slicer.mrmlScene.GetNumberOfNodes()
        with self.assertRaises(Cancelled):
            self.logic.detect(self.sequences, cancel=lambda: True)
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), before)

    def test_a_saved_scene_goes_on(self) -> None:
        self.logic.detect(self.sequences)
        self.logic.setAbsent("4CH", 3, 6)
        held = self.logic.landmarks("4CH")
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "selftest.mrb")
            self.assertTrue(slicer.util.saveScene(path))
            self.logic.cleanup()
            slicer.mrmlScene.Clear(0)
            slicer.util.loadScene(path)
        self.logic = StudyLogic(detect_on_circles)
        for before, after in zip(held, self.logic.landmarks("4CH"), strict=True):
            np.testing.assert_array_equal(after, before)
        self.logic.reset("4CH", 3, 6)
        self.assertEqual(self.logic.landmarks("4CH")[2][3, 5], Provenance.AUTO)

    def test_what_is_no_cine_is_refused(self) -> None:
        single = sequence_from_cine(self.cines["2CH"].replace(frames=self.cines["2CH"].frames[:1], times_ms=None))
        with self.assertRaises(InputError):
            self.logic.detect({"2CH": single})

"""A thousand random review operations: no manual point is moved by anything but its user, undo returns the scene."""

import numpy as np
import slicer
from CardiacValveLandmarksLib.landmarks import Provenance, in_view
from CardiacValveLandmarksLib.mrml.cine_nodes import sequence_from_cine
from CardiacValveLandmarksLib.mrml.logic import StudyLogic
from snapshot import scene_of, stored_positions
from synthetic import TruthDetector, make_cine

OPERATIONS = 1000
#: operation -> how often
WEIGHTS = {
    "place": 22,
    "drag": 22,
    "absent": 10,
    "reset_point": 10,
    "reset_frame": 4,
    "reset_landmark": 3,
    "undo": 13,
    "redo": 8,
    "browse": 5,
    "redetect": 2,
    "save_and_load": 1,
}


class Reviewer:
    """Does random things to a study and keeps its own book of what a person decided."""

    def __init__(self, logic, folder, seed: int) -> None:
        self.logic, self.folder = logic, folder
        self.random = np.random.default_rng(seed)
        # (view, frame, number) -> RAS position a person put there, None where marked absent
        self.book: dict = {}
        # (scene, book) that undo and redo must bring back
        self.past: list = []
        self.future: list = []

    def operate(self) -> str:
        shares = np.array(list(WEIGHTS.values()), float)
        name = str(self.random.choice(list(WEIGHTS), p=shares / shares.sum()))
        getattr(self, name)()
        return name

    def check(self) -> None:
        """The book and the scene agree: everything a person decided is there, and nothing else claims to be."""
        placed = {key for key, position in self.book.items() if position is not None}
        manual, positions = set(), {view: stored_positions(self.logic, view) for view in self.logic.views()}
        for view in self.logic.views():
            provenance = self.logic.landmarks(view)[2]
            manual |= {(view, int(f), int(n) + 1) for f, n in np.argwhere(provenance == Provenance.MANUAL)}
        assert manual == placed
        for (view, frame, number), position in self.book.items():
            stored = positions[view][frame, number - 1]
            if position is None:
                assert np.isnan(stored).all()
            else:
                assert np.array_equal(stored, position)

    def _point(self):
        view = str(self.random.choice(self.logic.views()))
        frame = int(self.random.integers(self.logic.correction(view).n_frames))
        return view, frame, int(self.random.choice([landmark.number for landmark in in_view(view)]))

    def _somewhere(self, view):
        pixels = self.random.uniform(3, 45, 2)
        return self.logic.cine(view).geometry.to_patient(pixels) * [-1, -1, 1]

    def _step(self, act) -> None:
        history = self.logic._current().history
        state, before = history.state, (scene_of(self.logic), dict(self.book))
        act()
        if history.state is not state:
            self.past.append(before)
            self.future.clear()
        else:
            assert scene_of(self.logic) == before[0]

    def _read_back(self, key) -> None:
        view, frame, number = key
        self.book[key] = stored_positions(self.logic, view)[frame, number - 1]

    def place(self) -> None:
        view, frame, number = self._point()
        position, spread = self._somewhere(view), int(self.random.integers(0, 5))
        self._step(lambda: self.logic.setPosition(view, frame, number, position, spread))
        self._read_back((view, frame, number))
        assert np.linalg.norm(self.book[view, frame, number] - position) < 1e-6

    def drag(self) -> None:
        view, frame, number = self._point()
        self.logic.browserNode(view).SetSelectedItemNumber(frame)
        node, end = self.logic.landmarksNode(view), self._somewhere(view)

        def act() -> None:
            node.InvokeEvent(node.PointStartInteractionEvent)
            for part in (0.3, 0.7, 1.0):
                node.SetNthControlPointPosition(number - 1, *(part * end))
            node.InvokeEvent(node.PointEndInteractionEvent)

        self._step(act)
        self._read_back((view, frame, number))
        assert np.linalg.norm(self.book[view, frame, number] - end) < 1e-6

    def absent(self) -> None:
        view, frame, number = self._point()
        self._step(lambda: self.logic.setAbsent(view, frame, number))
        self.book[view, frame, number] = None

    def _reset(self, view, frame, number) -> None:
        self._step(lambda: self.logic.reset(view, frame, number))
        self.book = {
            key: value
            for key, value in self.book.items()
            if key[0] != view or frame not in (None, key[1]) or number not in (None, key[2])
        }

    def reset_point(self) -> None:
        self._reset(*self._point())

    def reset_frame(self) -> None:
        view, frame, _ = self._point()
        self._reset(view, frame, None)

    def reset_landmark(self) -> None:
        view, _, number = self._point()
        self._reset(view, None, number)

    def undo(self) -> None:
        self._back_or_forth(self.logic.undo, self.past, self.future)

    def redo(self) -> None:
        self._back_or_forth(self.logic.redo, self.future, self.past)

    def _back_or_forth(self, act, source, target) -> None:
        now = (scene_of(self.logic), dict(self.book))
        frames = {view: self.logic.browserNode(view).GetSelectedItemNumber() for view in self.logic.views()}
        assert act() == bool(source)
        if source:
            scene, self.book = source.pop()
            target.append(now)
            held = scene_of(self.logic)
            for view, frame in frames.items():
                # the shown frame is the viewer's business, not a step
                scene[view, "shown"] = scene[view, frame]
            assert held == scene

    def browse(self) -> None:
        view, frame, _ = self._point()
        self.logic.browserNode(view).SetSelectedItemNumber(frame)

    def redetect(self) -> None:
        sequences = self.logic.studies()[0]
        self._step(lambda: self.logic.detect(sequences))
        assert self.logic.kept == len(self.book)

    def save_and_load(self) -> None:
        held, path = scene_of(self.logic), str(self.folder / "review.mrb")
        assert slicer.util.saveScene(path)
        self.logic.cleanup()
        slicer.util.loadScene(path, {"clear": True})
        self.logic = StudyLogic(TruthDetector())
        self.logic.open(self.logic.studies()[0])
        assert self.logic.messages == []
        again = scene_of(self.logic)
        assert again == held
        self.past.clear()
        self.future.clear()


def test_a_thousand_random_operations(app, tmp_path):
    logic = StudyLogic(TruthDetector())
    logic.detect({view: sequence_from_cine(make_cine(view, n)) for view, n in (("2CH", 5), ("3CH", 8), ("4CH", 7))})
    reviewer = Reviewer(logic, tmp_path, seed=20)
    reviewer.past.append((scene_of_nothing(logic), {}))
    done = dict.fromkeys(WEIGHTS, 0)
    for _ in range(OPERATIONS):
        done[reviewer.operate()] += 1
        reviewer.check()
    assert min(done.values()) > 0 and sum(done.values()) == OPERATIONS
    reviewer.logic.cleanup()


def scene_of_nothing(logic) -> dict:
    """What undoing the first detection leaves."""
    logic.undo()
    held = scene_of(logic)
    logic.redo()
    return held

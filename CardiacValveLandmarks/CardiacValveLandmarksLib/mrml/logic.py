"""The console API of the Slicer module: everything the panel does, without a window.

`CardiacValveLandmarksLogic` in the module file is this class under Slicer's name for it. Method names are in Slicer's
style. Views are "2CH", "3CH", "4CH"; landmarks are numbers 1…11 or their keys, or a name that is unique in the view;
frames count from 0; positions are RAS mm, because this is Slicer. Errors are this library's (`errors.CvlError`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import slicer

from ..cine import Cine
from ..correction import DEFAULT_SPREAD, Correction
from ..errors import CvlError, UsageError
from ..landmarks import VIEWS, LandmarkSeries
from .annulus_nodes import rings_in_pieces
from .detection_logic import DetectionLogic
from .jobs import Cancel, Detected, Detector, Progress, chosen_cines
from .landmark_frames import ras_of
from .landmark_nodes import landmark_number, pass_on_study, studies_in
from .look import Look
from .pieces import in_one_go
from .review import Review
from .reviewed_view import Change
from .scene import flip, watch_scene
from .shown_study import ShownStudy, export_entries
from .taking_in import take_in

if TYPE_CHECKING:
    from ..measure_builder import Measure
    from ..study import Study, StudySettings


class StudyLogic(DetectionLogic):
    """Detect, review, measure and export one study at a time; switching keeps each study's history.

    detector: instead of `detection.detect`. scene: instead of the application's.
    `spread`: frames on either side that a drag in the scene spreads over (0: none).
    `messages`: what the last call has to say, in plain words. `kept`: points the last detection kept.
    `news`: what there is to say of things nobody called for; whoever tells them empties it.
    """

    def __init__(self, detector: Detector | None = None, scene=None) -> None:
        DetectionLogic.__init__(self, detector, scene or slicer.mrmlScene)
        self._reviews: dict[tuple[tuple[str, str], ...], Review] = {}
        self._review: Review | None = None
        # the open study's cines, those without landmarks too
        self._sequences: dict[str, object] = {}
        self._callbacks: list[Callable[[Change], None]] = []
        self._spread = DEFAULT_SPREAD
        # a detection is taken in: what there is to say of it is said at its end
        self._taking = False
        self._shown = ShownStudy(self._scene)
        self.kept = 0
        self.news: list[str] = []
        self._end_watch = watch_scene(self._scene, pass_on_study, self._node_removed, self.close)

    def cleanup(self) -> None:
        """Stop observing the scene for good."""
        self.close()
        self._end_watch()

    # --- studies

    def open(self, sequences: Mapping[str, object]) -> None:
        """Make these cines, {view: sequence node}, the study that all other calls work on.

        Landmarks they have in the scene (saved ones too) are taken up with all that is known of them. A study opened
        before keeps its undo history as long as its landmarks stay as they were.
        """
        sequences = chosen_cines(sequences)
        key = tuple(sorted((view, sequence.GetID()) for view, sequence in sequences.items()))
        review = self._reviews.get(key)
        if review is not None and review is self._review:
            return
        if self._review is not None:
            self._review.finish_drag()
        known, review = review is not None, review or Review()
        if not known:
            review.spread = self._spread
            try:
                for view, sequence in sequences.items():
                    review.adopt(view, sequence)
            except CvlError:
                # the study that is open stays open
                review.release()
                raise
            self._reviews[key] = review
        if self._review is not None:
            self._review.release()
        self._shown.release()
        self._review, self._sequences = None, {}
        self.messages = []
        if known:
            review.activate()
            review.complete(sequences)
        self.messages += review.notes
        review.notes = []
        review.on_change = self._changed
        self._review, self._sequences = review, sequences
        if self.views():
            self._shown.resume(self._owner(), {view: self.browserNode(view) for view in self.views()})
        self._changed(Change(None, ()))

    def studies(self) -> list[dict[str, object]]:
        """The studies that have landmarks in the scene, each {view: sequence node} as `open` takes it."""
        return list(studies_in(self._scene).values())

    def close(self) -> None:
        """Let go of all studies; the scene stays as it is."""
        self._shown.release()
        for review in self._reviews.values():
            review.release()
            review.on_change = None
        self._reviews.clear()
        self._review, self._sequences = None, {}
        self._changed(Change(None, ()))

    def views(self) -> list[str]:
        """The views of the open study that have landmarks."""
        return [] if self._review is None else [view for view in VIEWS if view in self._review.views]

    def landmarksNode(self, view: str):
        """The fiducial node that shows a view's landmarks in the current frame."""
        return self._current().view(view).nodes.proxy

    def browserNode(self, view: str):
        """The sequence browser that steps a view's cine and landmarks."""
        return self._current().view(view).nodes.browser

    def cine(self, view: str) -> Cine:
        """The cine of a view, as it was when it was opened or detected in."""
        return self._current().view(view).cine

    # --- detection

    def detect(
        self,
        sequences: Mapping[str, object],
        model: str = "phantom-heatmap",
        progress: Progress | None = None,
        cancel: Cancel | None = None,
        keepManual: bool = True,
        **options,
    ) -> dict[str, object]:
        """Detect in these cines, {view: sequence node}, and open them as the study: {view: fiducial node}.

        Blocks until done. Points placed or marked absent by hand are kept unless `keepManual` is false; `kept` says
        how many. options: engine, device, tta of `detection.detect`. Raises `detection.Cancelled` when `cancel()`
        became true; then, and on any error, the scene is as it was. One step for `undo`.
        """
        jobs = self.prepare(sequences)
        return self.apply(self.compute(jobs, model, progress, cancel, **options), keepManual)

    def apply(self, detected: Sequence[Detected], keepManual: bool = True) -> dict[str, object]:
        """Last third, main thread: the landmarks into the scene, as one step. {view: fiducial node}.

        InputError where a cine has left the scene or changed since `prepare`; nothing is changed then.
        """
        return in_one_go(self.applyInPieces(detected, keepManual))

    def applyInPieces(
        self, detected: Sequence[Detected], keepManual: bool = True
    ) -> Generator[None, None, dict[str, object]]:
        """`apply` with pauses for an event loop. Stopped at any of them, the scene is as it was."""
        self._taking, self.messages = True, []
        try:
            review, kept = yield from take_in(self._scene, detected, keepManual, self._review_of)
        finally:
            self._taking = False
        # beside what opening the study had to say
        self.messages += review.notes
        review.notes = []
        self.messages += [f"{one.job.view}: {warning}" for one in detected for warning in one.result.warnings]
        self.kept = kept
        if kept:
            self.messages.append(f"kept {kept} points decided by hand")
        nodes = {one.job.view: self.landmarksNode(one.job.view) for one in detected}
        for node in nodes.values():
            node.SetDisplayVisibility(True)
        return nodes

    def _review_of(self, sequences: Mapping[str, object]) -> Review:
        """The open study's review where these are some of its cines; else theirs, opened."""
        if self._review is None or not sequences.items() <= self._sequences.items():
            self.open(sequences)
        return self._review

    # --- review

    @property
    def spread(self) -> int:
        return self._spread

    @spread.setter
    def spread(self, frames: int) -> None:
        if frames < 0:
            raise UsageError(f"spread: expected a number of frames >= 0, found {frames}")
        self._spread = int(frames)
        for review in self._reviews.values():
            review.spread = self._spread

    def landmarks(self, view: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """positions (T, 11, 3) RAS mm (NaN: absent), confidence (T, 11), provenance (T, 11) of `Provenance`."""
        review = self._current()
        nodes = review.view(view).nodes
        current = review.state[view].current
        return ras_of(current.positions, nodes.geometry), current.confidence, current.provenance

    def correction(self, view: str) -> Correction:
        """Prediction, decisions and current landmarks of a view, in pixels."""
        review = self._current()
        review.view(view)
        return review.state[view]

    def startManual(self, sequences: Mapping[str, object]) -> dict[str, object]:
        """Open cines for placing points by hand, without a detection: {view: fiducial node}."""
        sequences = chosen_cines(sequences)
        self.open(sequences)
        for view, sequence in sequences.items():
            self._current().start(view, sequence)
        return {view: self.landmarksNode(view) for view in sequences}

    def setPosition(
        self, view: str, frame: int, landmark: int | str, position: Sequence[float], spread: int | None = None
    ) -> None:
        """Place a landmark, or one that was missing: `position` (r, a, s) mm, brought to the image plane.

        spread: frames on either side that follow, 0 none; None: `self.spread`.
        """
        point = np.asarray(position, dtype=np.float64)
        if point.shape != (3,) or not np.isfinite(point).all():
            raise UsageError(f"position: expected three finite numbers (r, a, s) in mm, found {position!r}")
        nodes = self._current().view(view).nodes
        pixels = nodes.geometry.to_pixels(flip(point))
        number = landmark_number(view, landmark)
        spread = self.spread if spread is None else spread
        self._current().change(view, lambda c: c.place(frame, number, pixels, spread))

    def showAgain(self, view: str, frame: int) -> None:
        """Write a frame into the scene as it is known, whatever was left there."""
        self._current().rewrite(view, frame)

    def correct(self, view: str, change: Callable[[Correction], Correction]) -> None:
        """Any change of a view's correction, as one step for `undo`."""
        self._current().change(view, change)

    def setAbsent(self, view: str, frame: int | None, landmark: int | str) -> None:
        """The landmark cannot be seen in this frame (None: in no frame)."""
        number = landmark_number(view, landmark)
        self._current().change(view, lambda c: c.set_absent(frame, number))

    def reset(self, view: str, frame: int | None = None, landmark: int | str | None = None) -> None:
        """Back to the prediction: a point, a whole frame (landmark None), a whole landmark (frame None) or the view."""
        number = None if landmark is None else landmark_number(view, landmark)
        self._current().change(view, lambda c: c.reset(frame, number))

    def undo(self) -> bool:
        """Take back the last step of this study; False where there is none."""
        return self._current().undo()

    def redo(self) -> bool:
        """Repeat what was taken back; False where there is nothing."""
        return self._current().redo()

    def canUndo(self) -> bool:
        return self._review is not None and self._review.history.can_undo

    def canRedo(self) -> bool:
        return self._review is not None and self._review.history.can_redo

    def doubtful(self, view: str | None = None) -> list[tuple[str, int, int, str]]:
        """[(view, frame, landmark number, why)], worst first; of one view or of all."""
        review = self._current()
        views = self.views() if view is None else [view]
        for each in views:
            review.view(each)
        found = [
            (-doubt.score, each, doubt.frame, doubt.landmark, doubt.why)
            for each in views
            for doubt in review.doubts(each)
        ]
        return [entry[1:] for entry in sorted(found)]

    def pathDistances(self, view: str) -> np.ndarray:
        """(T, 11) mm from each point to its landmark's smooth path; NaN where absent."""
        return self.look(view).distances

    def look(self, view: str) -> Look:
        """Smooth paths, distances from them and doubts of a view as it stands."""
        review = self._current()
        review.view(view)
        return review.look(view)

    def addCallback(self, callback: Callable[[Change], None]) -> None:
        """Call `callback(change)` whenever landmarks change, by a call, a drag, undo or a loaded scene."""
        self._callbacks.append(callback)

    def removeCallback(self, callback: Callable[[Change], None]) -> None:
        self._callbacks.remove(callback)

    # --- what comes of it

    def study(self, settings: StudySettings | None = None) -> Study:
        """Trajectories, annuli and measures of the landmarks as they stand (`study_build.build_study`)."""
        from ..study_build import build_study

        return build_study(self.studyInput(), settings)

    def studyInput(self) -> list[tuple[Cine, LandmarkSeries]]:
        """What `study` is built of; immutable, so that a worker thread may build it."""
        review = self._current()
        self._owner()
        return [(review.view(view).cine, review.state[view].current) for view in self.views()]

    def showStudy(self, study: Study | None = None) -> dict[str, object]:
        """Rings, measures and curves of a study (of the open one as it stands) as nodes of the scene.

        "mitral", "tricuspid", "aortic": closed curves that follow the phase of the view stepped last; "measures",
        "curves": tables; "chart": plot chart. What was shown for this study before is replaced.
        """
        return in_one_go(self.showStudyInPieces(self.study() if study is None else study))

    def showStudyInPieces(self, study: Study) -> Generator[None, None, dict[str, object]]:
        """`showStudy` with pauses for an event loop. Stopped at any of them, the scene is as it was."""
        owner = self._owner()
        rings = yield from rings_in_pieces(study)
        if self._owner() != owner:
            raise UsageError("another study was opened meanwhile. Measure again.")
        return self._shown.show(study, rings, owner, {view: self.browserNode(view) for view in self.views()})

    def followDrag(self, view: str) -> dict[str, Measure]:
        """What the study shown last would measure with a view's landmarks as they stand: {key: Measure}.

        Takes milliseconds, and brings the tables and the plot up to date, but not the rings and what rests on them;
        uncertainties are NaN. {} where no study is shown.
        """
        return self._shown.follow(view, self.correction(view).current)

    def _owner(self) -> str:
        review = self._current()
        if not self.views():
            raise UsageError("no landmarks in this study. Run the detection first.")
        return review.view(self.views()[0]).nodes.study

    def export(
        self, folder: str | os.PathLike, formats: Sequence[str], settings: StudySettings | None = None
    ) -> list[Path]:
        """Write the study in these formats (keys of `export.known_formats`): the files written.

        InputError where the folder holds an earlier export: nothing is overwritten.
        """
        entries = self.studyInput()
        return export_entries(
            entries, folder, formats, settings, {view: self.correction(view) for view in self.views()}
        )

    # --- inside

    def _current(self) -> Review:
        if self._review is None:
            studies = self.studies()
            if len(studies) != 1:
                found = "no landmarks" if not studies else f"landmarks of {len(studies)} studies"
                raise UsageError(f"the scene has {found}: call detect() or open() with the cines to work on.")
            self.open(studies[0])
        return self._review

    def _node_removed(self, node) -> None:
        """A cine or landmark sequence was deleted: its view is forgotten, the others go on."""
        for review in self._reviews.values():
            review.forget(node)

    def _changed(self, change: Change) -> None:
        if self._review is not None and self._review.notes and not self._taking:
            self.messages, self._review.notes = self._review.notes, []
            self.news += self.messages
        for callback in list(self._callbacks):
            callback(change)

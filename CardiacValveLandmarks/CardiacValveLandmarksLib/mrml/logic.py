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
from ..doubts import path_distances
from ..errors import CvlError, InputError, UsageError
from ..landmarks import VIEWS, LandmarkSeries
from .cine_nodes import cine_from_sequence, sequence_from_cine
from .jobs import Cancel, Detected, Detector, Job, Progress, assign_views_of, run_jobs
from .landmark_frames import ras_of
from .landmark_nodes import landmark_number, studies_in
from .pieces import in_one_go
from .review import Change, Review, watch_scene
from .scene import flip, in_scene
from .shown_study import ShownStudy, export_entries
from .taking_in import take_in

if TYPE_CHECKING:
    from ..study import Study, StudySettings


class StudyLogic:
    """Detect, review, measure and export one study at a time; switching keeps each study's history.

    detector: instead of `detection.detect`. scene: instead of the application's.
    `spread`: frames on either side that a drag in the scene spreads over (0: none).
    `messages`: what the last call has to say, in plain words. `kept`: points the last detection kept.
    """

    def __init__(self, detector: Detector | None = None, scene=None) -> None:
        self._detector = detector
        self._scene = scene or slicer.mrmlScene
        self._reviews: dict[tuple[tuple[str, str], ...], Review] = {}
        self._review: Review | None = None
        # the open study's cines, those without landmarks too
        self._sequences: dict[str, object] = {}
        self._callbacks: list[Callable[[Change], None]] = []
        self._spread = DEFAULT_SPREAD
        self._shown = ShownStudy(self._scene)
        self.messages: list[str] = []
        self.kept = 0
        self._end_watch = watch_scene(self._scene, self._node_removed, self.close)

    def cleanup(self) -> None:
        """Stop observing the scene for good."""
        self.close()
        self._end_watch()

    @property
    def usesModels(self) -> bool:
        """Whether detection runs a model of the catalogue, and not a detector given by the caller."""
        return self._detector is None

    # --- studies

    def loadFolder(self, path: str | os.PathLike, progress: Progress | None = None, cancel: Cancel | None = None):
        """Read the cines in a folder or file into the scene and recognise their views: {view: sequence node}.

        Cines of which no view could be told, or whose view another shows better, are loaded too; `messages` names
        them and what was skipped. Nothing is added to the scene where an error is raised or it is cancelled.
        """
        from ..readers import scan

        found = scan(path)
        assigned = self._assign(found.cines, progress, cancel)
        self.messages += [f"skipped {s.source}: expected {s.expected}, found {s.found}" for s in found.skipped]
        sequences = {}
        for index, cine in enumerate(found.cines):
            view = next((v for v, chosen in assigned.items() if chosen == index), None)
            sequence = sequence_from_cine(cine.replace(view=view), self._scene)
            if view is not None:
                sequences[view] = sequence
        return {view: sequences[view] for view in VIEWS if view in sequences}

    def findViews(self, sequences: Sequence, progress: Progress | None = None, cancel: Cancel | None = None):
        """Recognise which of these cines in the scene show the long-axis views: {view: sequence node}."""
        cines = [cine_from_sequence(sequence) for sequence in sequences]
        assigned = self._assign(cines, progress, cancel)
        return {view: sequences[assigned[view]] for view in VIEWS if view in assigned}

    def _assign(self, cines: Sequence[Cine], progress: Progress | None, cancel: Cancel | None) -> dict[str, int]:
        """View -> index of the cine that shows it best. The rest is named in `messages`."""
        return self.assignViews(self.recognise([("", cine) for cine in cines], progress=progress, cancel=cancel))

    def recognise(
        self,
        cines: Sequence[tuple[str, Cine]],
        model: str = "phantom-heatmap",
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> list[Detected]:
        """Look which view each (sequence node ID, cine) shows. Touches no node: may run in a worker thread."""
        jobs = [Job("auto", node_id, cine.replace(view=None)) for node_id, cine in cines]
        return self.compute(jobs, model, progress, cancel)

    def assignViews(self, recognised: Sequence[Detected]) -> dict[str, int]:
        """View -> index of what shows it best, of what `recognise` gave. The rest is named in `messages`."""
        chosen, self.messages = assign_views_of(recognised)
        return chosen

    def open(self, sequences: Mapping[str, object]) -> None:
        """Make these cines, {view: sequence node}, the study that all other calls work on.

        Landmarks they have in the scene (saved ones too) are taken up with all that is known of them. A study opened
        before keeps its undo history as long as its landmarks stay as they were.
        """
        sequences = self._checked(sequences)
        key = tuple(sorted((view, sequence.GetID()) for view, sequence in sequences.items()))
        review = self._reviews.get(key)
        if review is not None and review is self._review:
            return
        if self._review is not None:
            self._review.release()
        self._shown.release()
        self._review, self._sequences = None, {}
        self.messages = []
        if review is None:
            review = Review()
            review.spread = self._spread
            try:
                for view, sequence in sequences.items():
                    review.adopt(view, sequence)
            except CvlError:
                review.release()
                raise
            self._reviews[key] = review
        else:
            review.activate()
        self.messages += review.notes
        review.notes = []
        review.on_change = self._changed
        self._review, self._sequences = review, sequences
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

    def prepare(self, sequences: Mapping[str, object]) -> list[Job]:
        """First third of `detect`, main thread: copies of the cines. Changes nothing."""
        return [
            Job(view, sequence.GetID(), cine_from_sequence(sequence, view))
            for view, sequence in self._checked(sequences).items()
        ]

    def compute(
        self,
        jobs: Sequence[Job],
        model: str = "phantom-heatmap",
        progress: Progress | None = None,
        cancel: Cancel | None = None,
        **options,
    ) -> list[Detected]:
        """Second third: the detection itself. Touches no node: may run in a worker thread, as may its callbacks."""
        detector = self._detector
        if detector is None:
            from ..detection import detect as detector
        return run_jobs(detector, jobs, model, progress, cancel, **options)

    def apply(self, detected: Sequence[Detected], keepManual: bool = True) -> dict[str, object]:
        """Last third, main thread: the landmarks into the scene, as one step. {view: fiducial node}.

        InputError where a cine has left the scene or changed since `prepare`; nothing is changed then.
        """
        return in_one_go(self.applyInPieces(detected, keepManual))

    def applyInPieces(
        self, detected: Sequence[Detected], keepManual: bool = True
    ) -> Generator[None, None, dict[str, object]]:
        """`apply` with pauses for an event loop. Stopped at any of them, the scene is as it was."""
        review, kept = yield from take_in(self._scene, detected, keepManual, self._review_of)
        self.messages, review.notes = review.notes, []
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
        sequences = self._checked(sequences)
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
        review = self._current()
        return path_distances(review.state[view].current, review.view(view).cine)

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
        if not self.views():
            raise UsageError("no landmarks in this study. Run the detection first.")
        return [(review.view(view).cine, review.state[view].current) for view in self.views()]

    def showStudy(self, study: Study | None = None) -> dict[str, object]:
        """Rings, measures and curves of a study (of the open one as it stands) as nodes of the scene.

        "mitral", "tricuspid", "aortic": closed curves that follow the phase of the view stepped last; "measures",
        "curves": tables; "chart": plot chart. What was shown for this study before is replaced.
        """
        study = self.study() if study is None else study
        review = self._current()
        owner = next(review.view(view).nodes.study for view in self.views())
        return self._shown.show(study, owner, {view: self.browserNode(view) for view in self.views()})

    def export(
        self, folder: str | os.PathLike, formats: Sequence[str], settings: StudySettings | None = None
    ) -> list[Path]:
        """Write the study in these formats (keys of `export.known_formats`): the files written.

        InputError where the folder holds an earlier export: nothing is overwritten.
        """
        return export_entries(self.studyInput(), folder, formats, settings)

    # --- inside

    def _current(self) -> Review:
        if self._review is None:
            studies = self.studies()
            if len(studies) != 1:
                found = "no landmarks" if not studies else f"landmarks of {len(studies)} studies"
                raise UsageError(f"the scene has {found}: call detect() or open() with the cines to work on.")
            self.open(studies[0])
        return self._review

    def _checked(self, sequences: Mapping[str, object]) -> dict[str, object]:
        chosen = {view: sequence for view, sequence in sequences.items() if sequence is not None}
        if not chosen:
            raise UsageError("no cine given: expected {'4CH': sequence node, …}")
        for view, sequence in chosen.items():
            if view not in VIEWS:
                raise UsageError(f"view {view!r}: expected one of {', '.join(VIEWS)}")
            if not in_scene(sequence) or not sequence.IsA("vtkMRMLSequenceNode"):
                raise InputError(view, "a sequence node of the scene", repr(sequence)[:80], "Select the cine again.")
        if len({sequence.GetID() for sequence in chosen.values()}) < len(chosen):
            raise UsageError("one cine was given for two views. Select a cine of its own for each.")
        return {view: chosen[view] for view in VIEWS if view in chosen}

    def _node_removed(self, node) -> None:
        """A cine or landmark sequence was deleted: its view is forgotten, the others go on."""
        for review in self._reviews.values():
            for view, reviewed in list(review.views.items()):
                nodes = reviewed.nodes
                if node is nodes.image_sequence or node is nodes.sequence or node is nodes.browser:
                    review.drop(view)

    def _changed(self, change: Change) -> None:
        for callback in list(self._callbacks):
            callback(change)

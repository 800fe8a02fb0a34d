"""The part of the console API before there is a study: cines into the scene, their views, the detection itself."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from ..cine import Cine
from ..landmarks import VIEWS
from .cine_nodes import cine_from_sequence, sequence_from_cine
from .jobs import Cancel, Detected, Detector, Job, Progress, assign_views_of, chosen_cines, run_jobs


class DetectionLogic:
    """Base of `StudyLogic`; `messages` as there. detector: instead of `detection.detect`."""

    def __init__(self, detector: Detector | None, scene) -> None:
        self._detector, self._scene = detector, scene
        self.messages: list[str] = []

    @property
    def usesModels(self) -> bool:
        """Whether detection runs a model of the catalogue, and not a detector given by the caller."""
        return self._detector is None

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
        **options,
    ) -> list[Detected]:
        """Look which view each (sequence node ID, cine) shows. Touches no node: may run in a worker thread."""
        jobs = [Job("auto", node_id, cine.replace(view=None)) for node_id, cine in cines]
        return self.compute(jobs, model, progress, cancel, **options)

    def assignViews(self, recognised: Sequence[Detected]) -> dict[str, int]:
        """View -> index of what shows it best, of what `recognise` gave. The rest is named in `messages`."""
        chosen, self.messages = assign_views_of(recognised)
        return chosen

    def prepare(self, sequences: Mapping[str, object]) -> list[Job]:
        """First third of `detect`, main thread: copies of the cines. Changes nothing."""
        return [
            Job(view, sequence.GetID(), cine_from_sequence(sequence, view))
            for view, sequence in chosen_cines(sequences).items()
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

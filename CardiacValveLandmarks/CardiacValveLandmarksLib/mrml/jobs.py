"""Detection as a job: made from nodes, done without them, put back into the scene by whoever asked for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..cine import Cine
from ..errors import InputError, UsageError
from ..landmarks import VIEWS, LandmarkSeries, Provenance, view_mask
from .cine_nodes import pixels_of
from .scene import in_scene

#: progress(fraction done in [0, 1], what is being done in words)
Progress = Callable[[float, str], None]
Cancel = Callable[[], bool]


class DetectionLike(Protocol):
    """What a detector gives: `detection.DetectionResult`."""

    landmarks: LandmarkSeries
    view: str | None
    view_confidence: float
    warnings: Sequence[str]


class Detector(Protocol):
    """`detection.detect`, or what stands in for it."""

    def __call__(self, cine: Cine, *, model: str, view: str, progress, cancel, **options) -> DetectionLike: ...


@dataclass(frozen=True)
class Job:
    """One cine to detect in. Holds no node but an ID, so that a worker thread may have it."""

    view: str
    sequence_id: str
    cine: Cine


@dataclass(frozen=True)
class Detected:
    """What was found in a job."""

    job: Job
    result: DetectionLike


def chosen_cines(sequences: Mapping[str, object]) -> dict[str, object]:
    """{view: sequence node} checked, in the order of `VIEWS`; views with None are left out. UsageError, InputError."""
    if not isinstance(sequences, Mapping):
        raise UsageError("expected {'4CH': sequence node, …}; findViews() makes it of a list of sequence nodes")
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


def run_jobs(
    detector: Detector,
    jobs: Sequence[Job],
    model: str,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    **options,
) -> list[Detected]:
    """Detect in each job, one after the other, with one progress over all their frames. Touches no node."""
    total = max(sum(job.cine.n_frames for job in jobs), 1)
    before, found = 0, []
    for job in jobs:
        label = job.cine.name if job.view == "auto" else job.view

        def report(done: int, of: int, job=job, before=before, label=label) -> None:
            if progress is not None:
                frames = done / max(of, 1) * job.cine.n_frames
                progress((before + frames) / total, f"{label}, frame {round(frames)} of {job.cine.n_frames}")

        report(0, 1)
        result = detector(job.cine, model=model, view=job.view, progress=report, cancel=cancel, **options)
        found.append(Detected(job, result))
        before += job.cine.n_frames
    return found


def assign_views_of(recognised: Sequence[Detected]) -> tuple[dict[str, int], list[str]]:
    """View -> index of the cine that shows it best by the study's own rules, and what is to be said of the others."""
    from ..study_views import assign_views

    said = [f"{o.job.cine.name}: not recognised as a long-axis view" for o in recognised if not o.result.view]
    known = [index for index, one in enumerate(recognised) if one.result.view]
    if not known:
        return {}, said
    try:
        found = assign_views([(recognised[i].job.cine, recognised[i].result.landmarks) for i in known], {})
    except InputError as error:
        return {}, [*said, str(error)]
    said += [f"{c.name}: {c.view}? {c.reason}" for c in found.candidates if c.view and not c.chosen]
    said += found.doubts
    chosen = {one.view: next(i for i in known if recognised[i].job.cine is one.cine) for one in found.views}
    return chosen, said


def unchanged_sequence(scene, job: Job):
    """The sequence node a job was made from. InputError where it is gone or holds something else by now."""
    sequence = scene.GetNodeByID(job.sequence_id)
    if sequence is None:
        raise _lost(job, "it was removed")
    if not np.array_equal(pixels_of(sequence), job.cine.frames):
        raise _lost(job, "other images")
    return sequence


def check_unchanged(scene, job: Job, sequence, time: int) -> None:
    """InputError where the node that was found unchanged at a modification time is gone or was modified since."""
    if scene.GetNodeByID(job.sequence_id) is not sequence:
        raise _lost(job, "it was removed")
    if sequence.GetMTime() != time:
        unchanged_sequence(scene, job)


def _lost(job: Job, found: str) -> InputError:
    return InputError(
        job.cine.name,
        "the cine in the scene as it was when detection began",
        found,
        "Nothing was changed. Load the cine again and repeat the detection.",
    )


def prediction_of(detected: Detected) -> LandmarkSeries:
    """The landmarks the job's view shows; what the model put elsewhere is left out."""
    found, view = detected.result.landmarks, detected.job.view
    shown = view_mask(view)
    return found.replace(
        positions=np.where(shown[None, :, None], found.positions, np.nan),
        confidence=np.where(shown, found.confidence, np.nan),
        provenance=np.where(shown, found.provenance, Provenance.ABSENT),
        view=view,
    )

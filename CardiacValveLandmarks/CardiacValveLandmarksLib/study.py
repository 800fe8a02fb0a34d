"""A study: the long-axis cines of one examination brought together (built by study_build).

LPS millimetres, milliseconds, phases in [0, 1) of the RR.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .annulus import Annulus, Refusal
from .breathhold import ViewShift
from .geometry import SliceGeometry
from .landmarks import LandmarkSeries
from .measure_builder import Curve, Measure
from .motion_check import MotionCheck
from .study_views import Candidate
from .trajectory import Trajectory


@dataclass(frozen=True)
class StudySettings:
    """Everything a study can be told.

    views: view -> cine name, where the user overrides the assignment.
    order: harmonics of the trajectories, None: chosen. alignment: one of alignment.ALIGNMENTS.
    reference_view: whose beat is the common one with alignment "es" or "ed-es"; None: the first of 4CH, 2CH, 3CH.
    excursion: along what excursions are measured, one of measurements.EXCURSION_AXES; "auto": the first there is.
    ring_method: of the mitral ring, one of annulus.RING_METHODS. nodes: of every ring.
    phases: how many phases the rings and curves have, None: the largest frame count.
    apply_shifts: move each view by its estimated breath-hold shift (they are always estimated and reported).
    shift_images: estimate them from the images too; without, from landmarks alone, at once (while a point is dragged).
    breathhold_sd_mm: assumed SD of what is left of breath-hold shifts, in the uncertainty of rings.
    motion_check: track image patches. samples, seed: of the uncertainty's random draws.
    """

    views: dict[str, str] = field(default_factory=dict)
    order: int | None = None
    alignment: str = "phase"
    reference_view: str | None = None
    excursion: str = "auto"
    ring_method: str = "fourier"
    nodes: int = 32
    phases: int | None = None
    apply_shifts: bool = False
    shift_images: bool = True
    breathhold_sd_mm: float = 1.5
    motion_check: bool = True
    samples: int = 100
    seed: int = 0


@dataclass(frozen=True)
class StudyView:
    """One cine's part in the study, without its pixels.

    geometry_assumed: the file states no patient geometry; positions are millimetres in the image plane only.
    times_ms: (T,) or None. rr_ms: NaN where unknown. phases: (T,) own phases, evenly spread without times.
    ed_phase, es_phase: found from this view's own motion, own phase; NaN where not found.
    recognised: the view the landmarks were recognised as, with confidence (NaN: given); stated: by the user.
    source, study_uid, frame_of_reference_uid: kept out of study.json unless asked.
    """

    view: str
    name: str
    geometry: SliceGeometry
    geometry_assumed: bool
    shape: tuple[int, int]
    times_ms: np.ndarray | None
    rr_ms: float
    rr_source: str
    phases: np.ndarray
    landmarks: LandmarkSeries
    recognised: str | None
    recognised_confidence: float
    stated: bool
    ed_phase: float = float("nan")
    es_phase: float = float("nan")
    source: str = ""
    study_uid: str = ""
    frame_of_reference_uid: str = ""

    @property
    def n_frames(self) -> int:
        return len(self.phases)


@dataclass(frozen=True)
class Study:
    """The examination: what was read, what was derived, and every doubt.

    views: in the order 2CH, 3CH, 4CH, those there are. phases: (P,) common phases k/P of rings and curves.
    ed_phase, es_phase: common, NaN where not found. rr_ms: reference RR (median of the views), NaN where unknown.
    shifts: estimated breath-hold shifts; shifts_applied: whether the trajectories contain them.
    warnings: doubts and assumptions in plain words.
    """

    views: tuple[StudyView, ...]
    candidates: tuple[Candidate, ...]
    trajectories: tuple[Trajectory, ...]
    annuli: tuple[Annulus, ...]
    refused: tuple[Refusal, ...]
    measures: tuple[Measure, ...]
    curves: tuple[Curve, ...]
    phases: np.ndarray
    ed_phase: float
    es_phase: float
    rr_ms: float
    shifts: tuple[ViewShift, ...]
    shifts_applied: bool
    motion_checks: tuple[MotionCheck, ...]
    warnings: tuple[str, ...]
    settings: StudySettings

    def view(self, view: str) -> StudyView | None:
        """The study's cine of this view, or None."""
        return next((v for v in self.views if v.view == view), None)

    def trajectory(self, number: int, view: str | None = None) -> Trajectory | None:
        """The path of landmark `number` (the apex has one a view), or None."""
        return next((t for t in self.trajectories if t.landmark.number == number and view in (None, t.view)), None)

    def annulus(self, valve: str) -> Annulus | None:
        """The ring of "mitral", "tricuspid" or "aortic", or None where it was refused."""
        return next((a for a in self.annuli if a.valve == valve), None)

    def measure(self, key: str) -> Measure | None:
        """The measure with this key, or None."""
        return next((m for m in self.measures if m.key == key), None)

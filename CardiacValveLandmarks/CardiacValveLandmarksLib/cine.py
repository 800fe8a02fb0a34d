"""A cine: one 2-D slice of the beating heart over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from .geometry import SliceGeometry
from .landmarks import VIEWS


@dataclass(frozen=True)
class Cine:
    """One 2-D+t series.

    frames: (T, H, W) float32, read-only, in time order; DICOM rows are axis 0, NIfTI keeps its own [i, j].
    geometry: where the slice lies, or None: the file states no patient geometry, only pixels can be given.
    spacing: (2,) mm a pixel along axes 0 and 1, or None where unknown. Comes from `geometry` when there is one;
        a file can state spacing without orientation.
    times_ms: (T,) float64 trigger times, strictly increasing, or None.
    rr_ms: length of the cardiac cycle in ms, or None. rr_source says where it comes from.
    view: a view the user stated, else None (recognised by detection, never from names).
    name: a short name safe for file names. source: what was read (path, and series where needed).
    study_uid, frame_of_reference_uid, patient_key: for grouping, "" where unknown; patient_key is a hash,
        nothing here identifies the patient.
    files: paths of the DICOM files the frames are of; () for other formats.
    attributes: further facts for reports (field strength, sequence name, ...), never needed to compute.
    doubts: what is doubtful about the files (frames that are missing, ...), in plain words.
    """

    frames: np.ndarray
    geometry: SliceGeometry | None = None
    spacing: np.ndarray | None = None
    times_ms: np.ndarray | None = None
    rr_ms: float | None = None
    rr_source: str = ""
    view: str | None = None
    name: str = "cine"
    source: str = ""
    study_uid: str = ""
    frame_of_reference_uid: str = ""
    patient_key: str = ""
    files: tuple[str, ...] = ()
    attributes: Mapping[str, str | float] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        frames = np.asarray(self.frames, dtype=np.float32)
        if frames.ndim != 3 or min(frames.shape) < 1:
            raise ValueError(f"frames: expected (T, H, W), found {frames.shape}")
        if not np.isfinite(frames).all():
            raise ValueError("frames: expected finite values, found NaN or infinity")
        frames = frames.view()
        frames.setflags(write=False)
        object.__setattr__(self, "frames", frames)
        spacing = self.geometry.spacing if self.geometry is not None else self.spacing
        if spacing is not None:
            spacing = np.array(spacing, dtype=np.float64)
            if spacing.shape != (2,) or not (np.isfinite(spacing) & (spacing > 0)).all():
                raise ValueError(f"spacing: expected two positive numbers, found {spacing}")
            spacing.setflags(write=False)
        object.__setattr__(self, "spacing", spacing)
        if self.times_ms is not None:
            times = np.array(self.times_ms, dtype=np.float64)
            if times.shape != (len(frames),) or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
                raise ValueError(f"times_ms: expected {len(frames)} strictly increasing times, found {times}")
            times.setflags(write=False)
            object.__setattr__(self, "times_ms", times)
        if self.rr_ms is not None and not (np.isfinite(self.rr_ms) and self.rr_ms > 0):
            raise ValueError(f"rr_ms: expected a positive number, found {self.rr_ms}")
        if self.view is not None and self.view not in VIEWS:
            raise ValueError(f"view: expected one of {VIEWS} or None, found {self.view!r}")

    @property
    def n_frames(self) -> int:
        return len(self.frames)

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return self.frames.shape[1:]

    @property
    def phases(self) -> np.ndarray:
        """(T,) phase of the RR interval in [0, 1): (time - first) / RR; evenly spread where times are unknown.
        Where the RR is unknown the frames are taken as one whole beat."""
        if self.times_ms is None or self.n_frames < 2:
            return np.arange(self.n_frames) / self.n_frames
        since = self.times_ms - self.times_ms[0]
        rr = self.rr_ms if self.rr_ms is not None else since[-1] * self.n_frames / (self.n_frames - 1)
        return since / rr % 1.0

    def replace(self, **changes) -> Cine:
        """A copy with some fields changed."""
        return replace(self, **changes)

"""Synthetic cines with their truth: a study as a scanner would deliver it, made from nothing but a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..cine import Cine
from ..geometry import SliceGeometry
from ..landmarks import N_LANDMARKS, VIEWS, LandmarkSeries, Provenance
from .contrast import Contrast
from .planes import OTHER_VIEWS, other_plane, plane_geometry, view_plane
from .render import Patient, Slice
from .rings import cut_landmarks, valves


@dataclass(frozen=True)
class SyntheticCine:
    """A cine and its truth. truth: positions exact, provenance AUTO, confidence 1; all absent where kind is no view."""

    kind: str
    cine: Cine
    truth: LandmarkSeries


@dataclass(frozen=True)
class SyntheticStudy:
    """The cines of one synthetic patient. rings(valve, phase) gives the true annuli."""

    patient: Patient
    items: tuple[SyntheticCine, ...]

    def item(self, kind: str) -> SyntheticCine:
        """The cine of this view; KeyError where there is none."""
        return next(item for item in self.items if item.kind == kind)

    def ring(self, valve: str, phase: float) -> np.ndarray:
        """(180, 3) LPS mm: the true ring of "mitral", "aortic" or "tricuspid" at a phase from end-diastole."""
        return self.patient.pose.to_patient(getattr(valves(self.patient.anatomy, phase), valve).nodes)


def synthetic_study(
    seed: int,
    *,
    kinds: tuple[str, ...] = VIEWS,
    frames: int = 25,
    shape: tuple[int, int] = (192, 192),
    spacing: float = 1.5,
    width: float = 1.0,
    contrast_width: float = 0.8,
    mirror: bool | None = None,
    patient: Patient | None = None,
    contrast: Callable[[np.random.Generator], Contrast] | None = None,
) -> SyntheticStudy:
    """A patient's cines. kinds: views, or planes.OTHER_VIEWS; width: spread of anatomy (1 ordinary adults).
    contrast: draws each cine's; None: Contrast.sample with contrast_width.

    The first frame is end-diastole. Each cine has its own RR (as breath-holds do), in-plane rotation and contrast.
    mirror: the handedness of all images; None draws it, as scanners differ.
    """
    unknown = set(kinds) - {*VIEWS, *OTHER_VIEWS}
    if unknown:
        raise ValueError(f"kinds: expected views or {OTHER_VIEWS}, found {sorted(unknown)}")
    rng = np.random.default_rng([seed, 31])
    if patient is None:
        patient = Patient.sample(rng, width)
    rr = rng.uniform(750, 1050)
    items = []
    for kind in kinds:
        own_rr = rr * rng.uniform(0.94, 1.06)
        rotation = rng.uniform(-0.7, 0.7)
        mirrored = bool(rng.random() < 0.3) if mirror is None else mirror
        at_ed = valves(patient.anatomy, 0.0)
        cut = (
            view_plane(at_ed, patient.anatomy, kind, rng)
            if kind in VIEWS
            else other_plane(at_ed, patient.anatomy, kind, rng)
        )
        geometry = plane_geometry(
            patient.pose,
            *cut,
            shape=shape,
            spacing=spacing,
            centre=np.array([-8.0, 0.0, 20.0]) + rng.uniform(-14, 14, 3),
            rotation=rotation,
            mirrored=mirrored,
            thickness=6.0,
        )
        look = Contrast.sample(rng, contrast_width) if contrast is None else contrast(rng)
        phases = np.arange(frames) / frames
        cine = Cine(
            frames=_frames(patient, geometry, shape, look, phases, rng),
            geometry=geometry,
            times_ms=phases * own_rr,
            rr_ms=own_rr,
            rr_source="synthetic",
            name=f"synthetic_{kind}",
            source=f"synthetic heart, seed {seed}",
            frame_of_reference_uid=f"2.25.{seed + 1}",
            study_uid=f"2.25.{seed + 1}.1",
        )
        items.append(SyntheticCine(kind, cine, _truth(patient, geometry, kind, cut[0], cut[2], phases, shape)))
    return SyntheticStudy(patient, tuple(items))


def _frames(patient, geometry, shape, contrast, phases, rng) -> np.ndarray:
    plane = Slice(patient, geometry, shape, contrast)
    frames = np.stack([plane.render(phase, rng) for phase in phases])
    # whole numbers up to 2000, as scanners store
    return np.round(frames / np.percentile(frames, 99.5) * 1000).clip(0, 2000).astype(np.float32)


def _truth(
    patient: Patient,
    geometry: SliceGeometry,
    kind: str,
    point: np.ndarray,
    normal: np.ndarray,
    phases: np.ndarray,
    shape: tuple[int, int],
) -> LandmarkSeries:
    positions = np.full((len(phases), N_LANDMARKS, 2), np.nan)
    if kind in VIEWS:
        for frame, phase in enumerate(phases):
            for number, place in cut_landmarks(valves(patient.anatomy, phase), kind, point, normal).items():
                pixel = geometry.to_pixels(patient.pose.to_patient(place))
                if (pixel >= 0).all() and (pixel <= np.array(shape) - 1).all():
                    positions[frame, number - 1] = pixel
    present = np.isfinite(positions[..., 0])
    return LandmarkSeries(
        positions,
        np.where(present, 1.0, np.nan),
        np.where(present, Provenance.AUTO, Provenance.ABSENT),
        kind if kind in VIEWS else None,
    )

"""Short-axis planes through the synthetic heart, and their true points, read off the heart's own surfaces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..cine import Cine
from ..geometry import SliceGeometry
from ..short_axis import N_SHORT_AXIS
from .anatomy import HeartAnatomy
from .contrast import Contrast
from .heart import LV_CAVITY, MYOCARDIUM, RV_CAVITY, RV_OUTFLOW, Heart
from .planes import plane_geometry
from .render import Patient, Slice
from .rings import direction

#: where a slice lies between the base at end-diastole (0) and the endocardial apex (1)
LEVELS = {"basal": (0.30, 0.43), "mid": (0.43, 0.63)}
#: softness (mm) at which the surfaces are read, and how far outside the LV (mm) the RV cavity must reach to count
_SOFT, _BESIDE = 0.5, 1.0
_FARTHEST, _STEP = 72.0, 0.5
#: a slice this close (mm) to the tricuspid ring, or beyond it, shows atrium in place of the ventricle's corners
_NEAR_VALVE = 6.0


def short_axis_plane(
    anatomy: HeartAnatomy, level: str, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(point, along, normal) of a basal or mid short-axis plane in heart mm, tilted as planning is (SD 4 degrees).

    Canonical handedness: seen from the apex. `along` (axis 0 of an unturned image) points to the inferior wall.
    """
    if level not in LEVELS:
        raise ValueError(f"level: expected one of {tuple(LEVELS)}, found {level!r}")
    point = np.array([0.0, 0.0, rng.uniform(*LEVELS[level]) * anatomy.lv_length])
    normal = np.array([*np.tan(np.deg2rad(rng.normal(0, 4, 2))), 1.0])
    normal /= np.linalg.norm(normal)
    along = direction(-90.0) - (direction(-90.0) @ normal) * normal
    return point, along / np.linalg.norm(along), normal


def short_axis_geometry(
    patient: Patient,
    plane: tuple[np.ndarray, np.ndarray, np.ndarray],
    rng: np.random.Generator,
    *,
    shape: tuple[int, int],
    spacing: float,
    mirrored: bool = False,
) -> SliceGeometry:
    """Where the image of such a plane lies: turned by up to 40 degrees and off centre, as examinations are."""
    centre = np.array([-8.0, 0.0, 20.0]) + rng.uniform(-14, 14, 3)
    return plane_geometry(
        patient.pose,
        *plane,
        shape=shape,
        spacing=spacing,
        centre=centre,
        rotation=rng.uniform(-0.7, 0.7),
        mirrored=mirrored,
        thickness=rng.uniform(6, 10),
    )


def short_axis_points(heart: Heart, point: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """The true points of the plane (3, 3) in heart mm, in the table's order; NaN where the plane does not show them
    (insertions: where the tricuspid ring comes within 6 mm, as it does at end-systole in some basal slices).

    The insertions are the two ends of the RV cavity along the LV's epicardium (where it still lies 1 mm outside);
    the centre is the centroid of the area inside the endocardium. Found on rays about the LV axis, to 0.1 degrees.
    """
    rays = _Rays(heart, point, normal)
    degrees = np.arange(360.0)
    endo, _, right = rays.read(degrees)
    found = np.full((N_SHORT_AXIS, 3), np.nan)
    if not (endo > 0).all():
        return found
    # centroid of the polygon of the endocardium
    outline = rays.place(degrees, endo)
    found[2] = _centroid(outline, rays.origin, normal)
    reached = ((heart.rings.tricuspid.nodes - point) @ normal).max() > -_NEAR_VALVE
    if reached or not right.any() or right.all():
        return found
    # the run of directions, round the circle, that shows the RV; the longest one if there are several
    starts = np.flatnonzero(right & ~np.roll(right, 1))
    lengths = [int(np.argmin(np.roll(right, -start))) for start in starts]
    first = int(starts[np.argmax(lengths)])
    last = first + max(lengths) - 1
    # degrees run from lateral (0) through anterior (90) to the septum (180): the run begins at the anterior end
    found[0] = rays.end(first, -1)
    found[1] = rays.end(last, +1)
    return found


class _Rays:
    """Rays in a plane from where the LV axis meets it; angles in degrees from lateral towards anterior."""

    def __init__(self, heart: Heart, point: np.ndarray, normal: np.ndarray) -> None:
        self.heart = heart
        height = float(point @ normal / normal[2])
        u = np.clip(height / heart.anatomy.lv_length, 0, 1)
        bend = np.array(heart.anatomy.lv_bend) * 4 * u * (1 - u)
        self.origin = np.array([*bend, height - (normal[:2] @ bend) / normal[2]])
        self._lateral = direction(0.0) - normal[0] * normal
        self._lateral /= np.linalg.norm(self._lateral)
        self._anterior = np.cross(normal, self._lateral)
        self._radii = np.arange(0.0, _FARTHEST, _STEP)

    def place(self, degrees: np.ndarray, radii: np.ndarray) -> np.ndarray:
        """(n, 3) heart mm."""
        angle = np.deg2rad(degrees)[:, None]
        across = np.cos(angle) * self._lateral + np.sin(angle) * self._anterior
        return self.origin + across * np.asarray(radii)[:, None]

    def read(self, degrees: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(n,) radius of the endocardium, of the epicardium, and whether the RV cavity lies just outside it."""
        n, k = len(degrees), len(self._radii)
        points = self.place(np.repeat(degrees, k), np.tile(self._radii, n)).astype(np.float32)
        shown: dict[str, np.ndarray] = {}
        for layer in self.heart.layers(points, _SOFT):
            shown |= {layer.structure: layer.opacity}
            if layer.structure == LV_CAVITY:  # the last of them to be painted
                break
        right = np.maximum(shown[RV_CAVITY], shown[RV_OUTFLOW])
        endo, epi = (self._border(layer.reshape(n, k)) for layer in (shown[LV_CAVITY], shown[MYOCARDIUM]))
        at = np.clip(np.round((epi + _BESIDE) / _STEP).astype(int), 0, k - 1)
        return endo, epi, right.reshape(n, k)[np.arange(n), at] >= 0.5

    def _border(self, opacity: np.ndarray) -> np.ndarray:
        """(n,) radius where the layer that fills the centre first falls under one half, between two samples."""
        outside = opacity < 0.5
        index = np.where(outside.any(1), outside.argmax(1), opacity.shape[1] - 1)
        rows = np.arange(len(opacity))
        before, after = opacity[rows, np.maximum(index - 1, 0)], opacity[rows, index]
        share = (before - 0.5) / np.maximum(before - after, 1e-6)
        return np.where(index > 0, self._radii[np.maximum(index - 1, 0)] + np.clip(share, 0, 1) * _STEP, 0.0)

    def end(self, degree: float, outward: int) -> np.ndarray:
        """(3,) the end of the RV between a direction that shows it and the next (1 degree on) that does not."""
        fine = degree + outward * np.linspace(0, 1, 11)
        _, epi, right = self.read(fine)
        last = int(np.argmin(right)) - 1 if not right.all() else len(fine) - 1
        return self.place(fine[last : last + 1], epi[last : last + 1])[0]


def _centroid(outline: np.ndarray, origin: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Centroid of the area of a closed planar polygon (n, 3) that is star-shaped about `origin`."""
    a, b = outline - origin, np.roll(outline, -1, axis=0) - origin
    area = np.cross(a, b) @ normal / 2
    return origin + ((a + b) / 3 * area[:, None]).sum(0) / area.sum()


@dataclass(frozen=True)
class ShortAxisCine:
    """A short-axis cine and its truth (T, 3, 2) pixels in the table's order, NaN where there is none."""

    cine: Cine
    truth: np.ndarray


def short_axis_cine(
    seed: int,
    *,
    level: str = "mid",
    frames: int = 25,
    shape: tuple[int, int] = (192, 192),
    spacing: float = 1.5,
    width: float = 1.0,
    mirror: bool | None = None,
) -> ShortAxisCine:
    """A patient's short-axis cine at a level of LEVELS. Arguments as in phantom.cines.synthetic_study."""
    rng = np.random.default_rng([seed, 37])
    patient = Patient.sample(rng, width)
    mirrored = bool(rng.random() < 0.3) if mirror is None else mirror
    plane = short_axis_plane(patient.anatomy, level, rng)
    geometry = short_axis_geometry(patient, plane, rng, shape=shape, spacing=spacing, mirrored=mirrored)
    image = Slice(patient, geometry, shape, Contrast.sample(rng, 0.8))
    rr = rng.uniform(750, 1050)
    phases = np.arange(frames) / frames
    pixels = np.stack([image.render(phase, rng) for phase in phases])
    points = np.stack([short_axis_points(patient.heart(phase), plane[0], plane[2]) for phase in phases])
    cine = Cine(
        frames=np.round(pixels / np.percentile(pixels, 99.5) * 1000).clip(0, 2000),
        geometry=geometry,
        times_ms=phases * rr,
        rr_ms=rr,
        rr_source="synthetic",
        name=f"synthetic_SAX_{level}",
        source=f"synthetic heart, seed {seed}",
        frame_of_reference_uid=f"2.25.{seed + 1}",
        study_uid=f"2.25.{seed + 1}.1",
    )
    return ShortAxisCine(cine, geometry.to_pixels(patient.pose.to_patient(points)))

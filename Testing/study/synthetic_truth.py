"""A small study with exact truth: a moving D-shaped mitral ring, tricuspid and aortic points and an apex.

Purely geometric; `images=True` adds frames sampled from an analytic heart of blobs, for what looks at pixels.
LPS millimetres, phases in [0, 1) of the RR.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from CardiacValveLandmarksLib.cine import Cine
from CardiacValveLandmarksLib.geometry import SliceGeometry
from CardiacValveLandmarksLib.landmarks import N_LANDMARKS, VIEWS, LandmarkSeries, Provenance
from scipy.interpolate import CubicSpline

APEX_DIRECTION = np.array([0.42, -0.54, -0.73]) / np.linalg.norm([0.42, -0.54, -0.73])
_septal = np.array([-0.85, -0.50, 0.0])
SEPTAL = _septal - _septal @ APEX_DIRECTION * APEX_DIRECTION
SEPTAL /= np.linalg.norm(SEPTAL)
#: SEPTAL, SIDE, APEX_DIRECTION are right-handed: angles grow counter-clockwise seen from the apex
SIDE = np.cross(APEX_DIRECTION, SEPTAL)
CENTRE = np.array([-6.0, 35.0, -25.0])
#: ring angle (radians from the septal point of the 3CH) that each view's first mitral landmark looks to
VIEW_ANGLE = {"2CH": np.deg2rad(-58.0), "3CH": 0.0, "4CH": np.deg2rad(62.0)}
RR = {"2CH": 975.0, "3CH": 924.0, "4CH": 876.0}
FRAMES = {"2CH": 25, "3CH": 50, "4CH": 30}
SHAPE = (180, 160)
SPACING = 1.4
PERIMETER = 111.0


def _spline() -> CubicSpline:
    knots = np.array([0.0, 0.18, 0.36, 0.43, 0.52, 0.60, 0.78, 0.86, 0.93, 1.0])
    values = np.array([0.0, 0.60, 1.0, 0.86, 0.42, 0.29, 0.23, 0.13, 0.03, 0.0])
    return CubicSpline(knots, values, bc_type="periodic")


_SPLINE = _spline()
_FINE = np.arange(20000) / 20000
_LOW, _HIGH = _SPLINE(_FINE).min(), _SPLINE(_FINE).max()
_START = _FINE[np.argmin(_SPLINE(_FINE))]
#: phase of end-systole (end-diastole is at 0)
ES_PHASE = float((_FINE[np.argmax(_SPLINE(_FINE))] - _START) % 1.0)


def beat_curve(phases: np.ndarray) -> np.ndarray:
    """0 at end-diastole (phase 0), 1 at ES_PHASE: descent, early filling, diastasis, atrial kick."""
    return (_SPLINE((np.asarray(phases, dtype=float) + _START) % 1.0) - _LOW) / (_HIGH - _LOW)


# not a multiple of the views' angles, so that no node lies exactly in a plane
_ANGLES = 0.0123 + np.linspace(0, 2 * np.pi, 721)


def ring(phases: np.ndarray, angles: np.ndarray = _ANGLES) -> np.ndarray:
    """(P,) phases, (A,) angles -> (P, A, 3) LPS mm: the mitral ring."""
    motion = beat_curve(phases)[:, None]
    # a D: an ellipse, longer along SIDE, flattened towards the septum; a saddle with its horns there and opposite
    radius = 1.0 / np.sqrt((np.cos(angles) / 0.86) ** 2 + np.sin(angles) ** 2)
    radius = radius * (1 - 0.10 * np.exp(-((np.angle(np.exp(1j * angles)) / 0.6) ** 2)))
    shape = np.stack([radius * np.cos(angles), radius * np.sin(angles)], -1)
    scale = PERIMETER / 5.82
    height = 2.2 * np.cos(2 * angles)
    across = scale * shape[None] * (1 - 0.10 * motion[..., None])
    travel = 14.0 + 2.5 * np.cos(angles - np.pi)[None] * 1.0
    along = -height[None] * (1 + 0.2 * motion) + travel * motion
    return (
        CENTRE
        + across[..., :1] * SEPTAL
        + across[..., 1:] * SIDE
        + along[..., None] * APEX_DIRECTION
        + motion[..., None] * np.array([0.5, 1.0, 0.5])
    )


def apex(phases: np.ndarray) -> np.ndarray:
    """(P,) -> (P, 3) LPS mm: it hardly moves, and stays in all three planes."""
    return CENTRE + (97.0 - 1.5 * beat_curve(phases)[:, None]) * APEX_DIRECTION


def _direction(view: str) -> np.ndarray:
    angle = VIEW_ANGLE[view]
    return np.cos(angle) * SEPTAL + np.sin(angle) * SIDE


def geometry(view: str) -> SliceGeometry:
    """The view's plane: through the axis, `_direction` and the apex in it."""
    axis0, axis1 = APEX_DIRECTION * SPACING, -_direction(view) * SPACING
    origin = CENTRE + 45 * APEX_DIRECTION - (SHAPE[0] - 1) / 2 * axis0 - (SHAPE[1] - 1) / 2 * axis1
    return SliceGeometry(origin, axis0, axis1, 6.0)


def truth(view: str, phases: np.ndarray) -> np.ndarray:
    """(P,) phases -> (P, 11, 3) LPS mm, NaN where the view does not show the landmark."""
    points = np.full((len(phases), N_LANDMARKS, 3), np.nan)
    plane = geometry(view)
    rings = ring(phases)
    distance = plane.distance(rings)
    direction = _direction(view)
    first = {"2CH": 0, "3CH": 2, "4CH": 4}[view]
    for frame in range(len(phases)):
        crossings = np.flatnonzero(np.sign(distance[frame, :-1]) != np.sign(distance[frame, 1:]))
        fraction = distance[frame, crossings] / (distance[frame, crossings] - distance[frame, crossings + 1])
        found = rings[frame, crossings] + fraction[:, None] * (rings[frame, crossings + 1] - rings[frame, crossings])
        side = (found - CENTRE) @ direction
        points[frame, first], points[frame, first + 1] = found[np.argmax(side)], found[np.argmin(side)]
    motion = beat_curve(phases)[:, None]
    if view == "3CH":
        for index, (out, up) in zip((6, 7), ((23.0, 9.0), (45.0, 3.0)), strict=True):
            points[:, index] = (
                CENTRE + (out - motion) * direction + (-up + 8.0 * motion + 2.0 * (index == 7)) * APEX_DIRECTION
            )
    if view == "4CH":
        for index, (out, travel) in zip((8, 9), ((22.0, 11.0), (58.0, 19.0)), strict=True):
            points[:, index] = (
                CENTRE + (out - 2.5 * motion * (index == 9)) * direction + (7.0 + travel * motion) * APEX_DIRECTION
            )
    points[:, 10] = apex(phases)
    # the ring drifts a little sideways; every landmark stays in its plane
    return plane.to_patient(plane.to_pixels(points))


@dataclass(frozen=True)
class Truth:
    """entries: what `build_study` takes. shifts: view -> (2,) mm imposed along the image axes."""

    entries: list[tuple[Cine, LandmarkSeries]]
    shifts: dict[str, np.ndarray] = field(default_factory=dict)

    def entry(self, view: str) -> tuple[Cine, LandmarkSeries]:
        return next(e for e in self.entries if e[0].name == view.lower())


def make(
    seed: int = 0,
    noise_mm: float = 0.0,
    shifts: dict[str, np.ndarray] | None = None,
    views: tuple[str, ...] = VIEWS,
    frames: dict[str, int] | None = None,
    images: bool = False,
    image_noise: float = 0.02,
    with_apex: bool = True,
) -> Truth:
    """The study: landmarks with Gaussian noise of `noise_mm` per image axis, views moved by `shifts`."""
    rng = np.random.default_rng(seed)
    shifts = {view: np.zeros(2) if shifts is None else np.asarray(shifts[view], float) for view in views}
    entries = []
    for view in views:
        n = (frames or FRAMES)[view]
        phases = np.arange(n) / n
        plane = geometry(view)
        pixels = plane.to_pixels(truth(view, phases))
        pixels += (rng.normal(0, noise_mm / SPACING, pixels.shape) if noise_mm else 0.0) + shifts[view] / SPACING
        if not with_apex:
            pixels[:, 10] = np.nan
        present = np.isfinite(pixels[..., 0])
        series = LandmarkSeries(
            pixels,
            np.where(present, 0.9, np.nan),
            np.where(present, Provenance.AUTO, Provenance.ABSENT),
            view,
            0.95,
        )
        stack = np.zeros((n, 8, 8)) if not images else render(view, phases, shifts[view], rng, image_noise)
        cine = Cine(
            stack,
            plane,
            times_ms=phases * RR[view],
            rr_ms=RR[view],
            rr_source="synthetic",
            name=view.lower(),
            source=f"synthetic {view}",
            study_uid="1.2.3",
            frame_of_reference_uid="1.2.3.4",
            patient_key="synthetic",
        )
        entries.append((cine, series))
    return Truth(entries, shifts)


def render(view: str, phases: np.ndarray, shift: np.ndarray, rng: np.random.Generator, noise: float) -> np.ndarray:
    """(P, H, W) in [0, 1.2]: blood pools and muscle as smooth solids, organs around, all sampled on the plane."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    plane = geometry(view)
    points = plane.to_patient(np.stack([rows - shift[0] / SPACING, columns - shift[1] / SPACING], -1))
    offset = points - CENTRE
    along, u, v = offset @ APEX_DIRECTION, offset @ SEPTAL, offset @ SIDE
    soft = np.random.default_rng(7)
    centres, widths, heights = soft.normal(0, 70, (60, 3)), soft.uniform(7, 22, 60), soft.normal(0, 0.25, 60)
    centres += 45 * np.array([1.0, 0, 0])
    background = sum(
        h * np.exp(-(((along - c[0]) ** 2 + (u - c[1]) ** 2 + (v - c[2]) ** 2) / (2 * w**2)))
        for c, w, h in zip(centres, widths, heights, strict=True)
    )
    frames = []
    for motion in beat_curve(phases):
        base, radius = 14.0 * motion, 24.0 * (1 - 0.22 * motion)
        length = 95.0 - base
        inside = np.sqrt(np.clip(((along - base) / length), 0, None) ** 2 + (u**2 + v**2) / radius**2)
        outside = np.sqrt(
            np.clip((along - base) / (length + 6), 0, None) ** 2 + (u**2 + v**2) / (radius + 9 + 3 * motion) ** 2
        )
        below = 1 / (1 + np.exp(-(along - base) / 1.5))
        blood = below / (1 + np.exp((inside - 1) * 14))
        muscle = below / (1 + np.exp((outside - 1) * 16)) - blood
        atrium = (1 - below) / (
            1 + np.exp((np.sqrt(((along + 22 - base / 2) / 26) ** 2 + (u**2 + v**2) / 24**2) - 1) * 12)
        )
        right_u, right_v = u - 38 * np.cos(1.1), v - 38 * np.sin(1.1)
        aside = ((along - 35 - base / 3) / 45) ** 2 + (right_u**2 + (right_v * 0.8) ** 2) / 20**2
        right = 1 / (1 + np.exp((np.sqrt(aside) - 1) * 12))
        frames.append(0.35 + background - 0.25 * muscle + 0.55 * np.maximum(blood, atrium) + 0.5 * right * (1 - muscle))
    stack = np.array(frames)
    return stack + rng.normal(0, noise, stack.shape) if noise else stack

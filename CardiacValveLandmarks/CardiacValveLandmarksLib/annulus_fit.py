"""Building rings from the points where views cut them.

The mitral ring: six points of three views. In the plane an ellipse, x and y each a Fourier series of order 1 over the
ring angle; in height a series of order 2 whose second order (the saddle) is held by a ridge. Point order and angles
are fixed at end-diastole, so that a node is the same material point over the cycle and every phase is the same
linear map of the points. For comparison: a circle (as biv-me does) and a periodic cubic spline.
The tricuspid and aortic rings have two points each: a circle on the chord, normal to the view; assumed.
LPS millimetres throughout.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from .annulus import RING_METHODS

#: weight of the ridge on the saddle: variance of a point over that of a saddle's amplitude, both about (2 mm)²
SADDLE_RIDGE = 1.0
#: a wider angle without a point leaves the ring's far side to chance
LARGEST_GAP_DEG = 150.0
LARGEST_CONDITION = 8.0
#: a valve's ring is never so much longer than wide
_LONGEST_ELLIPSE = 4.0
#: larger than breath-hold shifts explain: points of different hearts, views or valves, mm
LARGEST_RESIDUAL_MM = 8.0


class RingRefused(ValueError):
    """The points do not determine the ring; the message says why, in plain words."""


@dataclass(frozen=True)
class RingModel:
    """How points become ring nodes, fixed at end-diastole.

    origin (3,), frame (3, 3): rows e1, e2 in the plane and e3 towards the atrium, LPS.
    angles: (n,) of the points, counter-clockwise about e3, in the order given. start: angle of node 1.
    condition, largest_gap_deg: how well the points determine the ellipse.
    """

    method: str
    origin: np.ndarray
    frame: np.ndarray
    angles: np.ndarray
    start: float
    condition: float
    largest_gap_deg: float

    def nodes(self, points: np.ndarray, count: int) -> np.ndarray:
        """(..., n, 3) points -> (..., count, 3) LPS mm nodes, equally spaced in ring angle from node 1."""
        return self.at(points, self.start + 2 * np.pi * np.arange(count) / count)

    def residual(self, points: np.ndarray) -> np.ndarray:
        """(..., n, 3) -> (...,) mm, rms distance of the points from their places on the ring."""
        return np.sqrt(((self.at(points, self.angles) - points) ** 2).sum(-1).mean(-1))

    def at(self, points: np.ndarray, angles: np.ndarray) -> np.ndarray:
        """(..., n, 3) points, (m,) ring angles -> (..., m, 3) LPS mm."""
        local = (points - self.origin) @ self.frame.T
        if self.method == "circle":
            ring = _circle(local, self.angles, angles)
        elif self.method == "spline":
            ring = _spline_map(self.angles, angles) @ local
        else:
            plane = _fourier(angles, 1) @ np.linalg.pinv(_fourier(self.angles, 1))
            height = _fourier(angles, 2) @ _ridge_solver(self.angles)
            ring = np.concatenate([plane @ local[..., :2], height @ local[..., 2:]], axis=-1)
        return ring @ self.frame + self.origin


def fit_ring(points: np.ndarray, apex_direction: np.ndarray, node_1: int, method: str = "fourier") -> RingModel:
    """The ring model from the end-diastolic points.

    points: (n, 3) LPS mm. apex_direction: (3,) from the valve to the apex. node_1: which point node 1 belongs to.
    Raises RingRefused where the points do not determine a ring.
    """
    if method not in RING_METHODS:
        raise ValueError(f"ring method: expected one of {', '.join(RING_METHODS)}, found {method!r}")
    if len(points) < 4:
        raise RingRefused(f"only {len(points)} points: a ring needs both mitral points of at least two views")
    centre = points.mean(0)
    _, sizes, axes = np.linalg.svd(points - centre)
    if sizes[0] < 1.0:
        raise RingRefused("the points nearly coincide")
    if sizes[1] < 0.2 * sizes[0]:
        raise RingRefused("the points lie almost on one line: the views' planes coincide or nearly so")
    up = axes[2] * (-1.0 if axes[2] @ apex_direction > 0 else 1.0)
    if abs(up @ apex_direction) < 0.5:
        raise RingRefused("the points' plane is steeper than 60° to the valve's: the points do not belong to one ring")
    e1 = points[node_1] - centre
    e1 = e1 - (e1 @ up) * up
    frame = np.stack([e1 / np.linalg.norm(e1), np.cross(up, e1 / np.linalg.norm(e1)), up])
    local = (points - centre) @ frame.T
    # The points are not evenly spread, so that their mean is not the ring's centre: angles about the fitted one.
    # Then twice those of the circle that the fitted ellipse is the image of; more steps would follow the noise.
    middle, straighten = np.zeros(2), np.eye(2)
    for step in range(7 if method == "fourier" else 5):
        unit = (local[:, :2] - middle) @ straighten
        angles = np.arctan2(unit[:, 1], unit[:, 0])
        design = _fourier(angles, 1)
        condition = float(np.linalg.cond(design))
        if condition > LARGEST_CONDITION:
            raise RingRefused(
                f"the points sit in too few directions around the ring (condition {condition:.1f}, at most "
                f"{LARGEST_CONDITION:.0f}): the views' planes coincide or nearly so"
            )
        fitted = np.linalg.pinv(design) @ local[:, :2]
        middle = fitted[0]
        if step >= 4:
            if np.linalg.cond(fitted[1:]) > _LONGEST_ELLIPSE:
                raise RingRefused("the ellipse through the points is far longer than wide: not a valve's ring")
            straighten = np.linalg.inv(fitted[1:])
    ordered = np.sort(angles)
    gap = float(np.rad2deg(np.diff(ordered, append=ordered[0] + 2 * np.pi).max()))
    if gap > LARGEST_GAP_DEG:
        raise RingRefused(f"{gap:.0f}° of the ring have no point (at most {LARGEST_GAP_DEG:.0f}°)")
    if method == "spline" and np.diff(ordered, append=ordered[0] + 2 * np.pi).min() < np.deg2rad(3.0):
        raise RingRefused("two points share a ring angle: a spline cannot pass both; use the Fourier ring")
    origin = centre + middle @ frame[:2]
    model = RingModel(method, origin, frame, angles, float(angles[node_1]), condition, gap)
    residual = float(model.residual(points))
    if residual > LARGEST_RESIDUAL_MM:
        raise RingRefused(
            f"the points lie {residual:.1f} mm (rms) from any one ring (at most {LARGEST_RESIDUAL_MM:.0f}): "
            "views swapped, landmarks interchanged or large breath-hold shifts"
        )
    return model


def chord_circle(first: np.ndarray, second: np.ndarray, normal: np.ndarray, apex_direction: np.ndarray, count: int):
    """(..., 3) two points -> (..., count, 3) LPS mm: the circle on their chord, normal to the view.

    normal: (3,) of the view. Node 1 is `first`; counter-clockwise seen from the side away from the apex.
    """
    centre, arm = (first + second) / 2, (first - second) / 2
    radius = np.linalg.norm(arm, axis=-1, keepdims=True)
    across = normal - (arm @ normal)[..., None] * arm / radius**2
    across = across / np.linalg.norm(across, axis=-1, keepdims=True)
    # arm × across is the ring's axis; one choice for all phases: the ring must not flip over during the beat
    if np.mean(np.cross(arm, across) @ apex_direction) > 0:
        across = -across
    angles = 2 * np.pi * np.arange(count)[:, None] / count
    return centre[..., None, :] + np.cos(angles) * arm[..., None, :] + np.sin(angles) * (radius * across)[..., None, :]


def _fourier(angles: np.ndarray, order: int) -> np.ndarray:
    """(m,) -> (m, 2 order + 1): 1, cos, sin, cos 2, sin 2, …"""
    k = np.arange(1, order + 1)
    waves = np.stack([np.cos(angles[:, None] * k), np.sin(angles[:, None] * k)], -1)
    return np.concatenate([np.ones((len(angles), 1)), waves.reshape(len(angles), -1)], axis=1)


def _ridge_solver(angles: np.ndarray) -> np.ndarray:
    """(5, n): least squares of the height series, a ridge on its second order only."""
    design = _fourier(angles, 2)
    return np.linalg.solve(design.T @ design + np.diag([0, 0, 0, SADDLE_RIDGE, SADDLE_RIDGE]), design.T)


def _spline_map(knots: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """(m, n): a periodic interpolating cubic spline as a linear map from values at `knots` to `angles`."""
    order = np.argsort(knots)
    start = knots[order[0]]
    x = np.append(knots[order] - start, 2 * np.pi)
    values = np.eye(len(knots))[order]
    spline = CubicSpline(x, np.vstack([values, values[:1]]), bc_type="periodic")
    return spline((angles - start) % (2 * np.pi))


def _circle(local: np.ndarray, knots: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """(..., n, 3) in the ring's frame -> (..., m, 3): plane and circle by least squares, phase by phase."""
    flat = _fourier(angles, 1)
    design = np.concatenate([local[..., :2], np.ones((*local.shape[:-1], 1))], axis=-1)
    tilt = np.linalg.pinv(design) @ local[..., 2:]
    # Kåsa 1976: x² + y² = 2 a x + 2 b y + c
    solved = (np.linalg.pinv(design) @ (local[..., :2] ** 2).sum(-1, keepdims=True))[..., 0]
    centre = solved[..., :2] / 2
    radius = np.sqrt(np.maximum(solved[..., 2] + (centre**2).sum(-1), 0.0))
    # the mean turn of the points about the centre since end-diastole, so that nodes stay with the points
    offset = local[..., :2] - centre[..., None, :]
    turn = np.angle(np.exp(1j * (np.arctan2(offset[..., 1], offset[..., 0]) - knots)).mean(-1))
    cos, sin = np.cos(turn)[..., None], np.sin(turn)[..., None]
    x = centre[..., :1] + radius[..., None] * (flat[:, 1] * cos - flat[:, 2] * sin)
    y = centre[..., 1:] + radius[..., None] * (flat[:, 1] * sin + flat[:, 2] * cos)
    z = np.stack([x, y, np.ones_like(x)], -1) @ tilt
    return np.concatenate([x[..., None], y[..., None], z], axis=-1)

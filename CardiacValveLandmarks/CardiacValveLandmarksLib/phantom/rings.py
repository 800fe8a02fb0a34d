"""The valve rings of the synthetic heart, and the landmarks where a plane cuts them.

Everything in heart coordinates (see anatomy.py), millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .anatomy import HeartAnatomy
from .motion import MotionState, motion_state

RING_NODES = 180
_ANGLES = np.arange(RING_NODES) * (2 * np.pi / RING_NODES)


def direction(degrees: float) -> np.ndarray:
    """(3,) unit vector across the LV axis at an angle from lateral towards anterior."""
    angle = np.deg2rad(degrees)
    return np.array([np.cos(angle), np.sin(angle), 0.0])


def apart(angles: np.ndarray, others: np.ndarray | float) -> np.ndarray:
    """Angles between directions about the axis, radians in [0, pi]."""
    return np.abs(np.angle(np.exp(1j * (np.asarray(angles) - others))))


@dataclass(frozen=True)
class Ring:
    """A closed valve ring. nodes: (180, 3); centre (3,); normal (3,) towards the atrium or along the outflow."""

    nodes: np.ndarray
    centre: np.ndarray
    normal: np.ndarray

    @property
    def plane(self) -> tuple[float, float, float]:
        """(c, gx, gy): height z = c + gx x + gy y of the ring's mean plane."""
        gx, gy = -self.normal[:2] / self.normal[2]
        return float(self.centre[2] - gx * self.centre[0] - gy * self.centre[1]), float(gx), float(gy)


@dataclass(frozen=True)
class Valves:
    """The three rings and the LV apex (3,) at one instant, with the motion state they belong to."""

    mitral: Ring
    aortic: Ring
    tricuspid: Ring
    apex: np.ndarray
    motion: MotionState


def base_descent(anatomy: HeartAnatomy, motion: MotionState, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Displacement towards the apex, mm, of the base at (x, y) on the left side."""
    tilt_x, tilt_y = anatomy.descent_tilt
    scale = anatomy.mitral_radius
    return anatomy.descent * motion.contraction * (1 + tilt_x * x / scale + tilt_y * y / scale)


def base_weight(fraction: np.ndarray | float) -> np.ndarray:
    """How much the outline of the LV follows its base at a fraction of its length below the base."""
    return np.exp(-((np.asarray(fraction) / 0.2) ** 2))


def wall_thickness(anatomy: HeartAnatomy, degrees: np.ndarray | float, contraction: float) -> np.ndarray:
    """Thickness of the LV wall in a direction from its axis, mm, before it tapers to the hinges."""
    extra = np.cos(np.deg2rad(np.asarray(degrees) - anatomy.wall_extra_angle)).clip(0)
    return (anatomy.wall + anatomy.wall_septal_extra * extra) * (1 + anatomy.thickening * contraction)


def septal_surface(anatomy: HeartAnatomy, mitral: np.ndarray, contraction: float) -> float:
    """x of the right side of the septum where the tricuspid valve is hinged on it, mm (negative).

    mitral: (180, 3) nodes of the mitral ring at that instant, which the base of the LV follows.
    """
    x, y = -anatomy.mitral_radius - anatomy.wall, anatomy.tricuspid_y
    weight = float(base_weight(anatomy.tricuspid_offset / anatomy.lv_length))
    for _ in range(3):
        angle = np.arctan2(y, x)
        around = np.arctan2(mitral[:, 1], mitral[:, 0])
        nearest = mitral[np.argmin(apart(around, angle))]
        wall = float(wall_thickness(anatomy, np.rad2deg(angle), contraction))
        at_base = np.hypot(nearest[0], nearest[1]) + wall * (anatomy.basal_taper * weight + 1 - weight)
        at_middle = anatomy.lv_radius + float(wall_thickness(anatomy, np.rad2deg(angle), 0.0))
        radius = at_base * weight + at_middle * (1 - weight)
        x = -np.sqrt(max(radius**2 - y**2, (0.6 * radius) ** 2))
    return float(x)


def valves(anatomy: HeartAnatomy, phase: float) -> Valves:
    """The rings at a phase of the RR interval (0 = end-diastole)."""
    motion = motion_state(anatomy, phase)
    c = motion.contraction
    sway = anatomy.rocking * motion.sway * np.array([0.6, 0.8, 0.0])

    # mitral: a tilted saddle, high (towards the atrium) at the aortic side and opposite
    radius = anatomy.mitral_radius * (1 - anatomy.mitral_contraction * c)
    half = anatomy.mitral_ellipticity / 2
    x = anatomy.mitral_offset[0] + radius * (1 - half) * np.cos(_ANGLES)
    y = anatomy.mitral_offset[1] + radius * (1 + half) * np.sin(_ANGLES)
    relative = _ANGLES - np.deg2rad(anatomy.aortic_angle)
    z = -anatomy.mitral_saddle * np.cos(2 * relative) + anatomy.mitral_tilt[0] * x + anatomy.mitral_tilt[1] * y
    to_aorta = direction(anatomy.aortic_angle)
    z = z + anatomy.mitral_lean * (to_aorta[0] * x + to_aorta[1] * y)
    z = z + base_descent(anatomy, motion, x, y)
    mitral_nodes = np.stack([x, y, z], axis=1) + sway
    mitral = Ring(mitral_nodes, mitral_nodes.mean(0), _normal(mitral_nodes))

    # aortic: beside the mitral ring, across the curtain; its outflow leans away from the mitral valve
    outward = direction(anatomy.aortic_angle)
    tangent = np.array([-outward[1], outward[0], 0.0])
    tilt = np.deg2rad(anatomy.aortic_tilt)
    along = np.cos(tilt) * outward + np.sin(tilt) * np.array([0.0, 0.0, 1.0])
    near = mitral_nodes[round(anatomy.aortic_angle / 360 * RING_NODES) % RING_NODES]
    centre = near + outward * anatomy.aortic_curtain + along * anatomy.aortic_radius
    centre = centre - np.array([0.0, 0.0, anatomy.aortic_height])
    offsets = np.cos(_ANGLES)[:, None] * along + np.sin(_ANGLES)[:, None] * tangent
    aortic_nodes = centre + anatomy.aortic_radius * (1 + 0.05 * motion.aortic_open) * offsets
    outflow = np.sin(tilt) * outward - np.cos(tilt) * np.array([0.0, 0.0, 1.0])
    aortic = Ring(aortic_nodes, centre, outflow)

    # tricuspid: its septal hinge on the right side of the septum, displaced towards the apex
    radius = anatomy.tricuspid_radius * (1 - anatomy.tricuspid_contraction * c)
    half = anatomy.tricuspid_ellipticity / 2
    septum_x = septal_surface(anatomy, mitral_nodes - sway, c)
    septal_z = float(mitral_nodes[RING_NODES // 2, 2]) + anatomy.tricuspid_offset
    x = radius * (1 - half) * np.cos(_ANGLES)
    y = radius * (1 + half) * np.sin(_ANGLES)
    lateral = (radius * (1 - half) - x) / (2 * radius * (1 - half))  # 0 at the septum, 1 at the free wall
    z = septal_z + anatomy.tricuspid_tilt[0] * (radius - x) + anatomy.tricuspid_tilt[1] * y
    septal_descent = float(base_descent(anatomy, motion, -anatomy.mitral_radius, 0.0))
    z = z + lateral * (anatomy.tricuspid_excursion * c - septal_descent)
    nodes = np.stack([x + septum_x - radius * (1 - half), y + anatomy.tricuspid_y, z], axis=1) + sway
    tricuspid = Ring(nodes, nodes.mean(0), _normal(nodes))

    apex = np.array([0.0, 0.0, anatomy.lv_length + anatomy.wall_apex - 1.0 * c])
    return Valves(mitral, aortic, tricuspid, apex, motion)


def _normal(nodes: np.ndarray) -> np.ndarray:
    """Unit normal of the mean plane, pointing to the atrium (-z)."""
    normal = np.cross(nodes, np.roll(nodes, -1, axis=0)).sum(0)
    normal = normal / np.linalg.norm(normal)
    return normal if normal[2] < 0 else -normal


def cut_ring(nodes: np.ndarray, point: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Where a plane cuts a closed ring: (K, 3) points, linear between nodes; K is 0 or 2 for a convex ring."""
    distance = (nodes - point) @ normal
    following = np.roll(distance, -1)
    crossing = np.flatnonzero((distance > 0) != (following > 0))
    weight = (distance[crossing] / (distance[crossing] - following[crossing]))[:, None]
    return nodes[crossing] * (1 - weight) + nodes[(crossing + 1) % len(nodes)] * weight


#: an apex further than this from the image plane is not shown by it, mm
APEX_REACH = 12.0
#: a plane that only grazes a ring (its two points closer than this, mm) does not show the valve's landmarks
MIN_CHORD = 10.0


def cut_landmarks(rings: Valves, view: str, point: np.ndarray, normal: np.ndarray) -> dict[int, np.ndarray]:
    """Landmark number -> (3,) position in heart mm, for a plane of `view` given by a point and a unit normal.

    The points come from the ring curves themselves. The apex is the epicardial one, projected onto the plane.
    """
    ends: dict[int, np.ndarray] = {}

    def pair(ring: Ring, score: np.ndarray, high: int, low: int) -> None:
        points = cut_ring(ring.nodes, point, normal)
        if len(points) == 2 and np.linalg.norm(points[0] - points[1]) >= MIN_CHORD:
            order = np.argsort(points @ score)
            ends[low], ends[high] = points[order[0]], points[order[1]]

    if view == "2CH":
        pair(rings.mitral, np.array([0.0, 1.0, 0.0]), high=1, low=2)
    elif view == "3CH":
        toward_aorta = rings.aortic.centre - rings.mitral.centre
        pair(rings.mitral, toward_aorta, high=3, low=4)
        pair(rings.aortic, toward_aorta, high=7, low=8)
    elif view == "4CH":
        pair(rings.mitral, np.array([1.0, 0.0, 0.0]), high=6, low=5)
        pair(rings.tricuspid, np.array([1.0, 0.0, 0.0]), high=9, low=10)
    else:
        raise ValueError(f"view: expected 2CH, 3CH or 4CH, found {view!r}")
    off_plane = float((rings.apex - point) @ normal)
    if abs(off_plane) <= APEX_REACH:
        ends[11] = rings.apex - off_plane * normal
    return ends

"""Image planes through the synthetic heart: the three long-axis views, and planes that are none of them.

Every plane comes in the canonical handedness: seen so that axis 0 × axis 1 is the direction that turns from
lateral to anterior about the LV axis, reversed (the usual display of a 4CH from below, a 2CH from the left).
"""

from __future__ import annotations

import numpy as np

from ..geometry import SliceGeometry
from .anatomy import HeartAnatomy, Pose
from .rings import Valves, direction

#: angle of each view about the LV axis from lateral towards anterior, degrees: (lowest, highest)
VIEW_ANGLES = {"2CH": (68.0, 104.0), "4CH": (2.0, 28.0)}
OTHER_VIEWS = ("SAX", "RV2CH", "RVOT", "oblique")


def view_plane(
    rings: Valves, anatomy: HeartAnatomy, view: str, rng: np.random.Generator, jitter: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(point, along, normal) of a plane as a technologist would plan it, in heart mm.

    `along` points from base to apex. jitter scales how far the plane misses the LV axis (about 3 mm at 1).
    """
    base = rings.mitral.centre + rng.normal(0, 2.2 * jitter, 3)
    apex = np.array([0.0, 0.0, anatomy.lv_length]) + np.append(rng.normal(0, 3.0 * jitter, 2), 0)
    if view == "3CH":
        aortic = rings.aortic.centre + rng.normal(0, 2.0 * jitter, 3)
        across = aortic - base
    elif view == "4CH":
        low, high = VIEW_ANGLES["4CH"]
        tricuspid = base - rings.tricuspid.centre
        planned = np.rad2deg(np.arctan2(tricuspid[1], tricuspid[0]))
        across = direction(np.clip(planned + rng.normal(0, 6) * jitter, low - 6, high + 6))
    else:
        across = direction(rng.uniform(*VIEW_ANGLES[view]))
    along = apex - base
    along /= np.linalg.norm(along)
    normal = np.cross(along, across)
    return base, along, -normal / np.linalg.norm(normal)


def other_plane(
    rings: Valves, anatomy: HeartAnatomy, kind: str, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(point, along, normal) of a plane that is none of the three views: see OTHER_VIEWS."""
    if kind == "SAX":
        level = rng.uniform(0.02, 1.0) * anatomy.lv_length
        normal = np.array([0, 0, 1.0]) + rng.normal(0, 0.12, 3)
        point = np.array([0.0, 0.0, level])
        along = direction(rng.uniform(0, 360))
    elif kind == "RV2CH":
        centre = rings.tricuspid.centre + rng.normal(0, 4, 3)
        apex = np.array([-0.55 * anatomy.lv_radius - anatomy.wall, -4, 0.85 * anatomy.lv_length]) + rng.normal(0, 5, 3)
        point, along = centre, apex - centre
        normal = np.cross(along, direction(rng.uniform(60, 130)))
    elif kind == "RVOT":
        point = (
            rings.aortic.centre + direction(110) * (anatomy.aortic_radius + anatomy.rvot_radius) + rng.normal(0, 5, 3)
        )
        along = np.array([0, 0, 1.0]) + rng.normal(0, 0.25, 3)
        normal = np.cross(along, direction(rng.uniform(70, 150)))
    elif kind == "oblique":
        # anything that is not close to a plane through the LV axis, which would be a long-axis view after all
        while True:
            point = np.array([0, 0, 30.0]) + rng.normal(0, 30, 3)
            along, normal = rng.normal(size=3), rng.normal(size=3)
            tilt = abs(normal[2]) / np.linalg.norm(normal)
            miss = abs((np.array([0, 0, 40.0]) - point) @ normal) / np.linalg.norm(normal)
            if tilt > 0.5 or miss > 28:
                break
    else:
        raise ValueError(f"kind: expected one of {OTHER_VIEWS}, found {kind!r}")
    normal = normal / np.linalg.norm(normal)
    along = along - (along @ normal) * normal
    return point, along / np.linalg.norm(along), normal


def plane_geometry(
    pose: Pose,
    point: np.ndarray,
    along: np.ndarray,
    normal: np.ndarray,
    *,
    shape: tuple[int, int],
    spacing: float | tuple[float, float],
    centre: np.ndarray,
    rotation: float = 0.0,
    mirrored: bool = False,
    thickness: float = 6.0,
) -> SliceGeometry:
    """LPS geometry of an image on a plane given in heart mm.

    centre: (3,) heart mm, projected onto the plane, lies at the image centre. rotation: radians from `along`
    (at 0, axis 0 points to the apex). mirrored: axis 1 reversed, the other handedness.
    """
    spacing = np.broadcast_to(np.asarray(spacing, dtype=float), (2,))
    side = np.cross(normal, along)
    axis0 = np.cos(rotation) * along + np.sin(rotation) * side
    axis1 = np.cross(normal, axis0) * (-1 if mirrored else 1)
    middle = centre - ((centre - point) @ normal) * normal
    corner = middle - axis0 * spacing[0] * (shape[0] - 1) / 2 - axis1 * spacing[1] * (shape[1] - 1) / 2
    turn = pose.rotation
    return SliceGeometry(pose.to_patient(corner), turn @ axis0 * spacing[0], turn @ axis1 * spacing[1], thickness)

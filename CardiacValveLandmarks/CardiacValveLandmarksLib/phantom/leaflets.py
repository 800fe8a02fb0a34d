"""Valve leaflets of the synthetic heart: signed distances (mm, negative inside) at points (N, 3) of heart coordinates.

is_open: from 0, shut, to 1.
"""

from __future__ import annotations

import numpy as np

from .anatomy import HeartAnatomy
from .rings import Ring, Valves
from .shapes import angle_index, polar_table


def funnel(points: np.ndarray, ring: Ring, is_open: float, length: float, tenting: float) -> np.ndarray:
    """(N,) distance from a two-sided funnel hanging from an atrioventricular ring. length, tenting: mm."""
    c0, gx, gy = ring.plane
    x, y, z = points.T
    depth = z - (np.float32(c0) + np.float32(gx) * x + np.float32(gy) * y)
    radius, _ = polar_table(ring.nodes, ring.centre)
    dx, dy = x - np.float32(ring.centre[0]), y - np.float32(ring.centre[1])
    reach = radius[angle_index(dx, dy)]
    bottom = np.float32(tenting + (length * 0.85 - tenting) * is_open)
    narrowing = np.float32(1 - 0.62 * is_open)
    u = np.clip(depth / bottom, 0, 1)
    outline = reach * (1 - narrowing * u ** np.float32(0.8))
    slant = reach * narrowing / bottom
    distance = np.abs(np.sqrt(dx * dx + dy * dy) - outline) / np.sqrt(1 + slant * slant) - np.float32(0.9)
    return np.maximum(distance, np.maximum(-depth - 0.5, depth - bottom))


def cusps(points: np.ndarray, ring: Ring, anatomy: HeartAnatomy, is_open: float) -> np.ndarray:
    """(N,) distance from the aortic cusps: a shallow cup when shut, along the wall when open.

    A cusp is hinged along a crown, so a plane that misses its lowest point shows it leaving the wall higher up:
    cusp_power above 1 makes it steep there.
    """
    radius = np.float32(anatomy.aortic_radius)
    offset = points - ring.centre.astype(np.float32)
    height = offset @ ring.normal.astype(np.float32)
    across = np.sqrt(np.clip(np.einsum("ij,ij->i", offset, offset) - height * height, 0, None))
    top = np.float32(anatomy.aortic_radius * (anatomy.cusp_height + (0.9 - anatomy.cusp_height) * is_open))
    power = np.float32(anatomy.cusp_power + (1 - anatomy.cusp_power) * is_open)
    inward = np.float32(1 - 0.85 * is_open)
    u = np.clip(height / top, 1e-3, 1)
    slope = radius * inward * power * u ** (power - 1) / top
    distance = np.abs(across - radius * (1 - inward * u**power)) / np.sqrt(1 + slope * slope) - np.float32(0.8)
    return np.maximum(distance, np.maximum(-height - 0.5, height - top))


def curtain(rings: Valves, aortic_angle: float) -> np.ndarray:
    """(K, 3) a zigzag between the mitral and the aortic ring: the sheet that joins them and parts LA from LVOT.
    aortic_angle: of the aortic ring about the long axis, degrees."""
    across = np.arange(-36, 37, 4)
    mitral = rings.mitral.nodes[np.round((aortic_angle + across) / 2).astype(int) % 180]
    aortic = rings.aortic.nodes[np.round((180 - 1.3 * across) / 2).astype(int) % 180]
    return np.stack([mitral, aortic], axis=1).reshape(-1, 3)

"""Shapes the synthetic heart is made of: star-shaped outlines, tubes, chambers. Millimetres, float32.

Signed distances are approximate, negative inside.
"""

from __future__ import annotations

import numpy as np

from .rings import Ring

#: angles of every outline
TABLE = 360


def angle_index(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The outline's entry for a direction: int32 in [0, 360)."""
    return (np.arctan2(y, x) * (TABLE / (2 * np.pi))).astype(np.int32) % TABLE


def polar_table(points: np.ndarray, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Radius and height of a closed curve at 360 angles about a centre: (360,), (360,) float32."""
    offset = points[:, :2] - centre[:2]
    angle = np.arctan2(offset[:, 1], offset[:, 0])
    radius = np.hypot(offset[:, 0], offset[:, 1])
    # outermost point of each of 120 sectors, then interpolated round: the outline of overlapping curves
    sector = np.floor(angle / (2 * np.pi) * 120).astype(int) % 120
    order = np.argsort(radius)
    outer = np.full(120, -1)
    outer[sector[order]] = order
    outer = outer[outer >= 0]
    keys = angle[outer]
    place = np.argsort(keys)
    keys, outer = keys[place], outer[place]
    at = (np.arange(TABLE) + 0.5) * (2 * np.pi / TABLE)
    at = np.where(at > np.pi, at - 2 * np.pi, at)
    table = [np.interp(at, keys, value[outer], period=2 * np.pi) for value in (radius, points[:, 2])]
    return table[0].astype(np.float32), table[1].astype(np.float32)


def roughness(rng: np.random.Generator, amplitude: float, orders: range) -> np.ndarray:
    """(360,) relative radius of an irregular outline."""
    at = (np.arange(TABLE) + 0.5) * (2 * np.pi / TABLE)
    total = np.ones(TABLE)
    for order in orders:
        a, b = rng.normal(0, amplitude / order**0.7, 2)
        total += a * np.cos(order * at) + b * np.sin(order * at)
    return np.clip(total, 0.5, 1.6).astype(np.float32)


def tube(points: np.ndarray, path: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Signed distance of a chain of cones with round joints; path (K, 3), radii (K,)."""
    best = np.full(len(points), np.float32(1e3))
    reach = np.float32(max(radii) + 12)
    low, high = path.min(0) - reach, path.max(0) + reach
    near = np.arange(len(points))
    for axis in np.argsort(high - low):  # the narrowest side of the box leaves the fewest points
        values = points[near, axis]
        near = near[(values >= low[axis]) & (values <= high[axis])]
    if not near.size:
        return best
    local = points[near]
    closest = np.full(len(near), np.float32(1e3))
    for start, end, r0, r1 in zip(path[:-1], path[1:], radii[:-1], radii[1:], strict=True):
        axis = (end - start).astype(np.float32)
        offset = local - start.astype(np.float32)
        along = np.clip(offset @ axis / np.float32(axis @ axis), 0, 1)
        offset -= along[:, None] * axis
        distance = np.sqrt(np.einsum("ij,ij->i", offset, offset)) - (np.float32(r0) + along * np.float32(r1 - r0))
        np.minimum(closest, distance, out=closest)
    best[near] = closest
    return best


class Atrium:
    """A chamber that starts at a valve ring, widens and closes at its roof."""

    def __init__(
        self,
        ring: Ring,
        height: float,
        radius: float,
        flatness: float,
        shift: tuple[float, float],
        stretch: float,
        rough: np.ndarray,
    ) -> None:
        self.ring, self.height, self.radius, self.flatness = ring, height + stretch, radius, flatness
        self.shift, self.rough = shift, rough
        self._ring_radius, _ = polar_table(ring.nodes, ring.centre)

    def axis_point(self, fraction: float) -> np.ndarray:
        """(3,) a point of the chamber's axis, 0 at the ring, 1 at the roof."""
        return self.ring.centre + np.array([*(np.array(self.shift) * fraction), -self.height * fraction])

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Signed distance of points from the chamber's wall."""
        c0, gx, gy = self.ring.plane
        up = np.float32(c0) + np.float32(gx) * x + np.float32(gy) * y - z
        q = np.clip(up / np.float32(self.height), 0, 1)
        dx = x - np.float32(self.ring.centre[0]) - q * np.float32(self.shift[0])
        dy = y - np.float32(self.ring.centre[1]) - q * np.float32(self.shift[1])
        index = angle_index(dx, dy)
        across = np.sqrt(dx * dx + dy * dy)
        angle = (np.arange(TABLE) + 0.5) * (2 * np.pi / TABLE)
        body = self.radius / np.sqrt(np.cos(angle) ** 2 + (np.sin(angle) / self.flatness) ** 2) * self.rough
        widen = np.clip(q / np.float32(0.4), 0, 1)
        widen = widen * widen * (3 - 2 * widen)
        closing = np.sqrt(np.clip(1 - q**3, 0, 1))
        r = closing * (self._ring_radius[index] * (1 - widen) + body.astype(np.float32)[index] * widen)
        slope = np.where(q > 0.5, 1 / np.sqrt(1 + (1.5 * q * q * r / (closing * closing + 0.1) / self.height) ** 2), 1)
        return np.maximum((across - r) * slope.astype(np.float32), np.maximum(-up, up - np.float32(self.height)))

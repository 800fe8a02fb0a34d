"""The chest around the synthetic heart, in LPS millimetres: wall, lungs, diaphragm, liver, spine, great vessels.

Layers of opacity in painting order, as in heart.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .anatomy import Pose


@dataclass(frozen=True)
class Body:
    """Numbers of one chest (LPS mm). dome: (x, y, height, flatness) of each half of the diaphragm, right then left."""

    half_width: float
    half_depth: float
    centre: tuple[float, float]
    skin_fat: float
    muscle: float
    dome_right: tuple[float, float, float, float]
    dome_left: tuple[float, float, float, float]
    liver_reach: float
    stomach: tuple[float, float, float, float]
    spine: tuple[float, float, float]
    aorta: tuple[float, float, float, float]
    mediastinum: tuple[float, float, float]
    arm: float
    lung_vessels: np.ndarray  # (K, 5): position, radius, elongation along z
    bowel: np.ndarray  # (K, 5): position, radius, kind

    @classmethod
    def sample(cls, rng: np.random.Generator, pose: Pose) -> Body:
        """A random chest that holds a heart in this pose."""
        u = rng.uniform
        apex = pose.to_patient(np.array([0.0, 0.0, 95.0]))
        inferior = min(
            float(pose.to_patient(np.array([r * np.cos(a), r * np.sin(a), 35.0]))[2])
            for r in (36.0,)
            for a in np.linspace(0, 2 * np.pi, 12)
        )
        centre = (u(-8, 8), u(-5, 20))
        skin, muscle = u(4, 34), u(6, 16)
        depth = max(u(88, 120), centre[1] - apex[1] + u(2, 16)) + 0.7 * (skin + muscle)
        floor = min(inferior, apex[2] - 10) + u(-6, 8)
        reach = np.array([u(70, 115), u(55, 85), u(50, 80)])
        vessels = np.column_stack([u(-1, 1, (70, 3)) * [130, 85, 110], rng.gamma(2.0, 1.0, 70) + 0.6, u(0.7, 3.0, 70)])
        bowel = np.column_stack([u(-1, 1, (26, 2)) * [110, 80], floor - 25 - u(0, 90, 26), u(7, 30, 26), u(0, 1, 26)])
        return cls(
            half_width=u(135, 180) + skin,
            half_depth=depth,
            centre=centre,
            skin_fat=skin,
            muscle=muscle,
            dome_right=(u(-75, -45), u(0, 25), floor + u(4, 34), u(70, 140)),
            dome_left=(u(55, 85), u(10, 35), floor + u(-14, 22), u(60, 120)),
            liver_reach=u(0, 55),
            stomach=(u(40, 75), u(-25, 40), u(22, 48), u(0, 1)),
            spine=(u(-6, 6), centre[1] + depth * u(0.48, 0.6), u(16, 22)),
            aorta=(u(14, 30), u(-16, -2), u(9, 14.5), u(-0.1, 0.1)),
            mediastinum=(reach[0] * 0.45, reach[1], u(0.6, 1.4)),
            arm=u(0, 1),
            lung_vessels=vessels,
            bowel=bowel,
        )

    def layers(self, points: np.ndarray, softness: float) -> Iterator[tuple[str, np.ndarray]]:
        """Tissue name and opacity (N,). points (N, 3) float32 LPS mm."""
        x, y, z = points.T
        inverse = np.float32(1 / softness)

        def opacity(distance: np.ndarray) -> np.ndarray:
            return np.clip(np.float32(0.5) - distance * inverse, 0, 1).astype(np.float32)

        cx, cy = self.centre
        wide, deep = np.float32(self.half_width), np.float32(self.half_depth)
        # a rounded box reads more like a chest than an ellipse
        ex, ey = np.abs(x - cx) / wide, np.abs(y - cy) / deep
        rim = (ex**2.5 + ey**2.5) ** np.float32(0.4)
        wall = (rim - 1) * min(wide, deep)
        yield "skin_fat", opacity(wall)
        yield "muscle", opacity(wall + self.skin_fat)
        if self.arm > 0.5:
            for side in (-1, 1):
                arm = np.hypot(x - cx - side * (wide + 45), y - cy - 20)
                yield "skin_fat", opacity(arm - 42)
                yield "muscle", opacity(arm - 34)
                yield "bone", opacity(arm - 11)
        inner = wall + self.skin_fat + self.muscle
        ribs = np.maximum(np.abs(inner) - 4.5, np.abs(np.mod(z + 0.55 * y, 26.0) - 13) - 6)
        yield "bone", opacity(ribs)
        dome = np.maximum(self._dome(x, y, self.dome_right), self._dome(x, y, self.dome_left))
        chest = np.maximum(inner + 3, dome - z)
        yield "lung", opacity(chest)
        for vx, vy, vz, radius, stretch in _reached(self.lung_vessels, points, 20.0):
            near = np.flatnonzero((np.abs(x - vx) < 14) & (np.abs(y - vy) < 14) & (np.abs(z - vz) < 20))
            if near.size:
                layer = np.zeros(len(x), np.float32)
                d = np.sqrt((x[near] - vx) ** 2 + (y[near] - vy) ** 2 + ((z[near] - vz) / stretch) ** 2) - radius
                layer[near] = opacity(np.maximum(d, chest[near] + 2))
                yield "lung_vessel", layer
        # mediastinum: fat and soft tissue around the great vessels, and behind the heart
        mx, my, flare = self.mediastinum
        tissue = (np.sqrt(((x - 4) / (mx * (1 + 0.004 * flare * np.abs(z)))) ** 2 + ((y - 15) / my) ** 2) - 1) * mx
        yield "mediastinum", opacity(np.maximum(tissue, chest))
        below = np.maximum(inner + 2, z - dome)
        yield "belly", opacity(below)
        yield "liver", opacity(np.maximum(below + 3, x - np.float32(self.liver_reach) + 0.5 * (dome - z - 30)))
        sx, sy, radius, kind = self.stomach
        sz = self._dome(np.float32(sx), np.float32(sy), self.dome_left) - radius * 0.9 - 4
        stomach = np.sqrt((x - sx) ** 2 + ((y - sy) / 1.2) ** 2 + ((z - sz) / 0.9) ** 2) - np.float32(radius)
        yield "vessel_wall", opacity(np.maximum(stomach - 3, below))
        yield ("stomach" if kind > 0.4 else "gas"), opacity(np.maximum(stomach, below))
        for bx, by, bz, radius, kind in _reached(self.bowel, points, 33.0):
            near = np.flatnonzero(
                (np.abs(x - bx) < radius + 3) & (np.abs(z - bz) < radius + 3) & (np.abs(y - by) < radius + 3)
            )
            if near.size:
                layer = np.zeros(len(x), np.float32)
                d = np.sqrt((x[near] - bx) ** 2 + (y[near] - by) ** 2 + (z[near] - bz) ** 2) - radius
                layer[near] = opacity(np.maximum(d, below[near]))
                yield ("gas", "stomach", "spleen", "fat")[min(int(kind * 4), 3)], layer
        yield from self._spine(x, y, z, opacity)

    @staticmethod
    def _dome(x: np.ndarray, y: np.ndarray, dome: tuple[float, float, float, float]) -> np.ndarray:
        dx, dy, top, flatness = (np.float32(value) for value in dome)
        return top - ((x - dx) ** 2 + (y - dy) ** 2) / (2 * flatness)

    def _spine(self, x, y, z, opacity) -> Iterator[tuple[str, np.ndarray]]:
        sx, sy, radius = (np.float32(value) for value in self.spine)
        yield "muscle", opacity(np.sqrt(((x - sx) / 2.2) ** 2 + (y - sy - 30) ** 2) - radius - 8)
        body = np.sqrt((x - sx) ** 2 + ((y - sy) * 1.2) ** 2) - radius
        yield "bone", opacity(body)
        yield "disc", opacity(np.maximum(body, np.abs(np.mod(z, 28.0) - 14) - 3.5))
        yield "csf", opacity(np.hypot(x - sx, y - sy - radius - 8) - 7.5)
        yield "muscle", opacity(np.hypot(x - sx, y - sy - radius - 8) - 4.0)
        yield (
            "bone",
            opacity(np.maximum(np.hypot((x - sx) / 0.6, y - sy - radius - 26) - 12, np.abs(np.mod(z, 28.0) - 14) - 9)),
        )
        ax, ay, r, lean = (np.float32(value) for value in self.aorta)
        distance = np.hypot(x - sx - ax - lean * z, y - sy - ay) - r
        yield "vessel_wall", opacity(distance - 1.5)
        yield "blood_left", opacity(distance)
        yield "gas", opacity(np.hypot(x - sx - ax * 0.2, y - sy + radius + 8) - 4)


def _reached(blobs: np.ndarray, points: np.ndarray, reach: float) -> np.ndarray:
    """The blobs (K, 5) whose centre is within `reach` mm of the plane all points (N, 3) lie in, as float32."""
    normal = np.cross(points[1] - points[0], points[-1] - points[0])
    normal = normal / max(np.linalg.norm(normal), 1e-9)
    return blobs[np.abs((blobs[:, :3] - points[0]) @ normal) < reach].astype(np.float32)

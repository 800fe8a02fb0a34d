"""A ring's motion on the nodes of somebody's mesh: which displacement each node of a set gets, and how far it was.

A node takes the displacement of the nearest place of the ring at end-diastole: of the point on the nearest segment
(linear between its two nodes), or of the nearest node. The offset between mesh and ring stays as it is.
LPS millimetres, seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError, UsageError
from .motion import RingMotion

METHODS = ("segment", "node")
#: further away than this a node is not of the valve's rim, or the mesh is elsewhere, mm
FARTHEST_MM = 10.0


@dataclass(frozen=True)
class NodeMotion:
    """Prescribed motion of a mesh's nodes.

    ids: (n,) as the mesh names its nodes. points: (n, 3) LPS mm, as in the mesh. distance: (n,) mm from the ring at
    end-diastole. place: (n,) along the ring, in nodes from node 1. times: (T,) s, closed cycle. displacement:
    (T, n, 3) LPS mm. left_free: ids of the set's nodes that were further from the ring than asked for.
    """

    motion: RingMotion
    method: str
    ids: np.ndarray
    points: np.ndarray
    distance: np.ndarray
    place: np.ndarray
    displacement: np.ndarray
    left_free: np.ndarray

    @property
    def times(self) -> np.ndarray:
        return self.motion.times

    def report(self) -> dict[str, Any]:
        """Distances and coverage, as JSON types."""
        count = len(self.motion.reference)
        place = np.sort(self.place)
        gap = np.diff(place, append=place[0] + count).max() if len(place) > 1 else float(count)
        worst = int(np.argmax(self.distance))
        return {
            "valve": self.motion.valve,
            "ring_is_assumed_shape": self.motion.ring.assumed,
            "method": self.method,
            "nodes_prescribed": len(self.ids),
            "nodes_left_free": len(self.left_free),
            "distance_mm": {
                "smallest": float(self.distance.min()),
                "median": float(np.median(self.distance)),
                "mean": float(self.distance.mean()),
                "95_percent": float(np.percentile(self.distance, 95)),
                "largest": float(self.distance[worst]),
            },
            "farthest_node": int(self.ids[worst]),
            "largest_stretch_of_ring_without_node_deg": 360.0 * float(gap) / count,
            "largest_displacement_mm": float(np.linalg.norm(self.displacement, axis=-1).max()),
            "rr_s": float(self.times[-1]),
        }


def map_ring(
    motion: RingMotion,
    ids: np.ndarray,
    points: np.ndarray,
    *,
    method: str = "segment",
    within_mm: float | None = None,
    farthest_mm: float = FARTHEST_MM,
    where: str = "mesh",
) -> NodeMotion:
    """Prescribe `motion` on nodes. ids (n,), points (n, 3) LPS mm at end-diastole.

    within_mm: nodes further from the ring stay free. InputError (naming `where`) where a node that is left is further
    than `farthest_mm`, or none is left.
    """
    if method not in METHODS:
        raise UsageError(f"mapping method {method!r}: expected one of {', '.join(METHODS)}.")
    ids, points = np.asarray(ids), np.asarray(points, dtype=np.float64)
    distance, place = _nearest_place(motion.reference, points)
    near = np.ones(len(ids), bool) if within_mm is None else distance <= within_mm
    if not near.any():
        nearest = f"the nearest is {distance.min():.1f} mm away" if len(ids) else "the set is empty"
        raise InputError(where, f"nodes within {within_mm} mm of the {motion.valve} ring", f"none: {nearest}")
    if distance[near].max() > farthest_mm:
        worst = np.flatnonzero(near)[np.argmax(distance[near])]
        raise InputError(
            where,
            f"nodes within {farthest_mm:g} mm of the {motion.valve} ring at end-diastole",
            f"node {ids[worst]} {distance[worst]:.1f} mm away "
            f"({int((distance[near] > farthest_mm).sum())} of {int(near.sum())} are further)",
            "Is the mesh in mm, LPS, at end-diastole? See --scale, --space, --within and --farthest.",
        )
    count = len(motion.reference)
    if method == "node":
        place = np.round(place) % count
    first = np.floor(place).astype(int) % count
    part = (place - np.floor(place))[:, None]
    moved = motion.displacement
    displacement = (1 - part) * moved[:, first] + part * moved[:, (first + 1) % count]
    return NodeMotion(
        motion, method, ids[near], points[near], distance[near], place[near], displacement[:, near], ids[~near]
    )


def _nearest_place(ring: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) mm distance from the closed polygon, and (n,) where on it, in nodes from node 1."""
    along = np.roll(ring, -1, axis=0) - ring
    distance = np.full(len(points), np.inf)
    place = np.zeros(len(points))
    for k, (start, step) in enumerate(zip(ring, along, strict=True)):
        part = np.clip((points - start) @ step / max(step @ step, 1e-300), 0.0, 1.0)
        apart = np.linalg.norm(points - start - part[:, None] * step, axis=1)
        nearer = apart < distance
        distance[nearer], place[nearer] = apart[nearer], k + part[nearer]
    return distance, place % len(ring)

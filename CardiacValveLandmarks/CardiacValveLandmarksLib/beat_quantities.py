"""What can be computed from paths and rings at every phase, for one set of paths or many draws of them at once.

Leading axes S are draws (the fit's uncertainty), P phases. LPS millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def ring_area(nodes: np.ndarray) -> np.ndarray:
    """(..., N, 3) -> (...,) mm²: ½‖Σ rᵢ × rᵢ₊₁‖, the area seen along the ring's own mean normal."""
    centred = nodes - nodes.mean(-2, keepdims=True)
    return 0.5 * np.linalg.norm(np.cross(centred, np.roll(centred, -1, axis=-2)).sum(-2), axis=-1)


def ring_perimeter(nodes: np.ndarray) -> np.ndarray:
    """(..., N, 3) -> (...,) mm: the sum of the segments, the closing one included."""
    return np.linalg.norm(np.roll(nodes, -1, axis=-2) - nodes, axis=-1).sum(-1)


def swept_volume(start: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """(..., N, 3) ring at ED, (..., N, 3) now -> (...,) mL between their caps; positive towards the apex.

    Both caps are fans about the rings' mean points, the side is made of the nodes' straight paths: a closed
    triangulated surface, its volume by the divergence theorem.
    """
    reference = start.mean(-2, keepdims=True)
    a, b = start - reference, nodes - reference
    a1, b1 = np.roll(a, -1, axis=-2), np.roll(b, -1, axis=-2)
    # six times the signed volume of the tetrahedra from the origin, which is the ED cap's centre: that cap adds
    # nothing. Each side's two triangles are averaged over both diagonals, so that the node order does not matter.
    near, far = np.cross(a, a1), np.cross(b1, b)
    side = (_dots(near, b + b1) + _dots(far, a + a1)) / 2
    cap = -_dots(far, b.mean(-2, keepdims=True))
    # rings run counter-clockwise seen from the atrium: the surface's outside is the other way round
    return -(side + cap) / 6000.0


def _dots(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Σ over nodes of p·q, broadcast."""
    return np.einsum("...ni,...ni->...", *np.broadcast_arrays(p, q))


#: a second diastolic wave of less than this part of the first is none, but the ripple of a plateau. A first one of less
#: than that part of the second may be: or weak early filling, which looks alike
_LEAST_LATE, _WEAK_EARLY = 0.15, 0.25


@dataclass(frozen=True)
class DiastolicPeaks:
    """s, e, a: (S,) mm/s, positive; a is NaN where it does not stand apart from e, which is the one wave then.
    s_at, e_at, a_at: (S,) the phases' indices of the peaks. weak: (S,) bool, e is so small that it may be no wave."""

    s: np.ndarray
    e: np.ndarray
    a: np.ndarray
    s_at: np.ndarray
    e_at: np.ndarray
    a_at: np.ndarray
    weak: np.ndarray


def velocity_peaks(velocity: np.ndarray, es: int, fused: bool = False) -> DiastolicPeaks:
    """Peaks of an excursion's velocity: systole, then the two diastolic in time order.

    velocity: (S, P) mm/s towards the apex, P phases from end-diastole. es: index of end-systole, 2 < es < P - 4.
    fused: in so short a diastole both waves run together, and a first one that is weak beside the second is none.
    The two diastolic waves are divided at the slowest recoil in the middle half of diastole. Where there is one wave
    it is e, whichever side of there it lies on.
    """
    length = velocity.shape[1] - es
    low, high = es + length // 4, es + (3 * length) // 4
    divide = low + np.argmax(velocity[:, low : high + 1], axis=1)
    index = np.arange(velocity.shape[1])
    early_curve = np.where((index >= es) & (index <= divide[:, None]), -velocity, -np.inf)
    early = early_curve.max(1)
    late_curve = np.where(index >= divide[:, None], -velocity, -np.inf)
    late = late_curve.max(1)
    slowest = -np.take_along_axis(velocity, divide[:, None], axis=1)[:, 0]
    # a wave of its own rises above the diastasis before it
    apart = (late > 0) & (late - np.maximum(slowest, 0) > 0.1 * late) & (np.argmax(late_curve, axis=1) > divide)
    # so does the first: what still rises where they are divided is the foot of the second, the only one there is
    apart &= np.argmax(early_curve, axis=1) < divide
    weak = early < _WEAK_EARLY * late
    apart &= late >= _LEAST_LATE * early
    if fused:
        apart &= ~weak
    early_at, late_at = np.argmax(early_curve, axis=1), np.argmax(late_curve, axis=1)
    return DiastolicPeaks(
        velocity[:, :es].max(1),
        np.where(apart, early, np.maximum(early, late)),
        np.where(apart, late, np.nan),
        np.argmax(velocity[:, :es], axis=1),
        np.where(apart | (early >= late), early_at, late_at),
        late_at,
        weak & apart,
    )


def perpendicular_in_view(first: np.ndarray, second: np.ndarray, normal: np.ndarray, toward: np.ndarray) -> np.ndarray:
    """(3,) unit vector in the view's plane, perpendicular to the line through two points, on the side of `toward`."""
    direction = np.cross(normal, second - first)
    direction = direction / np.linalg.norm(direction)
    return direction if direction @ toward >= 0 else -direction

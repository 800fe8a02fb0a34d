"""Landmarks that lie where they do not in a heart: in words, for a person to look at."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from .landmarks import APEX
from .trajectory import Trajectory

#: views show the apex of one heart; breath-holds and foreshortening set it apart by less, mm
_APEXES_APART_MM = 15.0
#: seen from the apex, counter-clockwise: the order of basal segments 1 to 6 of the AHA (Cerqueira et al. 2002)
RING_ORDER = (1, 3, 5, 2, 4, 6)
_ORDER_TOLERANCE_DEG = 25.0


def ring_order_doubt(points: Mapping[int, np.ndarray], apex_direction: np.ndarray) -> str:
    """Plain words where mitral points do not follow each other around the ring as in a heart, else "".

    points: landmark number -> (3,) LPS mm at ED. apex_direction: (3,) unit vector. Neighbours may coincide within 25°,
    as on real patients.
    """
    numbers = [n for n in RING_ORDER if n in points]
    if len(numbers) < 4:
        return ""
    offsets = np.array([points[n] for n in numbers])
    offsets = offsets - offsets.mean(0)
    e1 = offsets[0] - (offsets[0] @ apex_direction) * apex_direction
    e2 = np.cross(apex_direction, e1)
    angles = np.rad2deg(np.arctan2(offsets @ e2, offsets @ e1))
    steps = (np.diff(angles, append=angles[0]) + 180.0) % 360.0 - 180.0
    # one time around, with no step back beyond the tolerance
    if abs(steps.sum() - 360.0) < 1.0 and steps.min() > -_ORDER_TOLERANCE_DEG:
        return ""
    return (
        "The mitral points do not follow each other around the ring as they do in a heart (anterior, anteroseptal, "
        "inferoseptal, inferior, inferolateral, anterolateral, counter-clockwise seen from the apex): views may be "
        "swapped, landmarks interchanged, or the images mirrored."
    )


def apex_doubts(paths: Mapping[str, Sequence[Trajectory]]) -> list[str]:
    """Where two views have the apex in places too far apart to be one. paths: view -> its paths."""
    places = {view: t.coefficients[0] for view, own in paths.items() for t in own if t.landmark == APEX}
    return [
        f"The apex of {one} and that of {other} lie {apart:.0f} mm apart: one of them is wrong, or the views are of "
        "different places; LV length and the direction of excursions depend on it."
        for one, other in itertools.combinations(places, 2)
        if (apart := float(np.linalg.norm(places[one] - places[other]))) > _APEXES_APART_MM
    ]


def septal_order_doubt(points: Mapping[int, np.ndarray]) -> str:
    """Plain words where in the 4CH the septal points of the mitral and the tricuspid valve do not lie between the free
    walls', else "". points: landmark number -> (3,) LPS mm at ED; where not all four are there nothing is said."""
    if any(number not in points for number in (5, 6, 9, 10)):
        return ""
    across = (points[9] + points[10]) - (points[5] + points[6])
    wrong = [
        valve
        for valve, septal, free in (("mitral", points[5], points[6]), ("tricuspid", points[10], points[9]))
        if (septal - free) @ across < 0
    ]
    return "".join(
        f"4CH: the septal point of the {valve} valve lies further from the other valve than its free-wall point: they "
        "may be interchanged. "
        for valve in wrong
    ).strip()

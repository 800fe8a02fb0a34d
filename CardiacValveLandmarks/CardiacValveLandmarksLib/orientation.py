"""Handedness of an image plane: is it seen from the side that models of one handedness were trained on?

The canonical side, for every plane through the LV axis: axis 0 × axis 1 points as it does in a 4CH seen from below
and a 2CH seen from the left, that is, against the turn from lateral to anterior about the axis from base to apex.
"""

from __future__ import annotations

import numpy as np

from .geometry import SliceGeometry

#: LPS: base to apex, and septum to lateral wall, of an average adult heart
_AXIS, _LATERAL = np.array([0.65, -0.55, -0.50]), np.array([0.65, 0.75, 0.0])
#: degrees from lateral towards anterior of each view's plane; without a view, the middle of the whole fan
_PLANE_ANGLES = {"2CH": 86.0, "3CH": 135.0, "4CH": 15.0, None: 77.0}
#: hearts lie differently by about 20 degrees: a plane's normal this close to the border cannot be called
_UNSURE = np.sin(np.deg2rad(20.0))


def canonical_normal(view: str | None) -> np.ndarray:
    """(3,) LPS unit vector that axis 0 × axis 1 of a canonical image of this view points along, on average.

    view: a long-axis view, None for any of them, or "SAX": a short axis seen from the apex, as it is usually shown.
    """
    axis = _AXIS / np.linalg.norm(_AXIS)
    if view == "SAX":
        return axis
    lateral = _LATERAL - (_LATERAL @ axis) * axis
    lateral /= np.linalg.norm(lateral)
    anterior = np.cross(axis, lateral)
    angle = np.deg2rad(_PLANE_ANGLES[view])
    return np.sin(angle) * lateral - np.cos(angle) * anterior


def handedness(geometry: SliceGeometry, view: str | None = None) -> int:
    """1: the image is canonical, -1: it is the mirror image, 0: the orientation does not tell.

    view: the view where it is known; without it planes near the ends of the fan of views cannot be told.
    """
    cosine = float(geometry.normal @ canonical_normal(view))
    return 0 if abs(cosine) < _UNSURE else int(np.sign(cosine))

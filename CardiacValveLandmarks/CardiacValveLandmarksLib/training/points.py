"""The points an evaluation knows: the landmark table and behind it, as numbers 12 to 14, those of the short axis."""

from __future__ import annotations

import numpy as np

from ..landmarks import LANDMARKS, N_LANDMARKS, VIEWS, Landmark
from ..short_axis import SHORT_AXIS_POINTS
from .dataset import views_of

SAX = "SAX"
POINT_VIEWS = (*VIEWS, SAX)
POINTS: tuple[Landmark, ...] = LANDMARKS + tuple(
    Landmark(N_LANDMARKS + point.number, point.key, point.name, point.short, (SAX,), None, None, None)
    for point in SHORT_AXIS_POINTS
)
N_POINTS = len(POINTS)


def points_in(view: str) -> tuple[Landmark, ...]:
    """The points a view shows, in the table's order."""
    return tuple(point for point in POINTS if view in point.views)


def point_mask(view: str) -> np.ndarray:
    """(14,) bool: which points the view can show."""
    return np.array([view in point.views for point in POINTS])


def tell_views(points: np.ndarray) -> tuple[str | None, ...]:
    """The view of each image (n, 14, k), from the points it has; None where they do not say."""
    short_axis = np.isfinite(points[:, N_LANDMARKS:, 0]).any(1)
    long_axis = np.isfinite(points[:, :N_LANDMARKS, 0]).any(1)
    told = views_of(points[:, :N_LANDMARKS])
    return tuple(
        (None if both else SAX) if sax else view for view, sax, both in zip(told, short_axis, long_axis, strict=True)
    )


def long_axis(values: np.ndarray) -> np.ndarray:
    """(n, 11, …) by landmark -> (n, 14, …) by point, NaN for those of the short axis."""
    width = [(0, 0), (0, N_POINTS - N_LANDMARKS)] + [(0, 0)] * (values.ndim - 2)
    return np.pad(np.asarray(values, float), width, constant_values=np.nan)

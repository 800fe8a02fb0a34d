"""The points of a short-axis image, a table of their own beside the landmark table, and the angle they give.

Xue et al. (Radiology: Artificial Intelligence 2021): the anterior and the inferior insertion of the right ventricle
and the centre of the left ventricle. Positions are (row, column) pixels, an integer is a pixel centre; absent is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .geometry import SliceGeometry
from .orientation import canonical_normal


@dataclass(frozen=True)
class ShortAxisPoint:
    """One point of a short-axis image. number: 1…3, the order of every array and model channel. key: stable
    identifier. short: the name drawn beside the point. definition: what exactly is marked."""

    number: int
    key: str
    name: str
    short: str
    definition: str


SHORT_AXIS_POINTS: tuple[ShortAxisPoint, ...] = (
    ShortAxisPoint(
        1, "rv_insertion_anterior", "anterior RV insertion", "RVI ant",
        "the anterior corner of the right ventricular cavity, on the left ventricle's epicardium",
    ),
    ShortAxisPoint(
        2, "rv_insertion_inferior", "inferior RV insertion", "RVI inf",
        "the inferior corner of the right ventricular cavity, on the left ventricle's epicardium",
    ),
    ShortAxisPoint(
        3, "lv_centre", "LV centre", "LV",
        "the centroid of the area inside the left ventricle's endocardium, papillary muscles included",
    ),
)  # fmt: skip
N_SHORT_AXIS = len(SHORT_AXIS_POINTS)
ANTERIOR, INFERIOR, CENTRE = range(N_SHORT_AXIS)

ARVI_DEFINITION = (
    "A-RVI angle: direction of the anterior RV insertion as seen from the LV centre, degrees in [0, 360). In the "
    "image: from the direction of increasing columns, counter-clockwise as displayed (rows run down), in mm. In the "
    "patient: from the patient's left, projected onto the plane, counter-clockwise as seen from the apex (towards "
    "anterior); it does not depend on how the image is turned or mirrored."
)


def arvi_angle(positions: np.ndarray, spacing: np.ndarray | None = None) -> np.ndarray:
    """Angle of the anterior RV insertion about the LV centre in the image: see ARVI_DEFINITION.

    positions (..., 3, 2) pixels; spacing (2,) mm, None for square pixels. Returns (...) degrees, NaN where either
    point is absent or both coincide.
    """
    step = np.ones(2) if spacing is None else np.asarray(spacing, float)
    across = (positions[..., ANTERIOR, :] - positions[..., CENTRE, :]) * step
    return _angle(across[..., 1], -across[..., 0])


def arvi_angle_patient(positions: np.ndarray, geometry: SliceGeometry) -> np.ndarray:
    """Angle of the anterior RV insertion about the LV centre in the patient: see ARVI_DEFINITION.

    positions (..., 3, 2) pixels. Returns (...) degrees, NaN where either point is absent or both coincide. ValueError
    where the plane is sagittal, so that it has no left.
    """
    apexward = geometry.normal * (1 if geometry.normal @ canonical_normal("SAX") >= 0 else -1)
    left = np.array([1.0, 0.0, 0.0])
    left = left - (left @ apexward) * apexward
    if np.linalg.norm(left) < 0.1:
        raise ValueError("the plane is sagittal: the patient's left does not lie in it")
    left /= np.linalg.norm(left)
    across = geometry.to_patient(positions[..., ANTERIOR, :]) - geometry.to_patient(positions[..., CENTRE, :])
    return _angle(across @ left, across @ np.cross(apexward, left))


def _angle(right: np.ndarray, up: np.ndarray) -> np.ndarray:
    angle = np.rad2deg(np.arctan2(up, right)) % 360
    return np.where(np.hypot(right, up) > 1e-9, angle, np.nan)

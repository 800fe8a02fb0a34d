"""Slice geometry: pixels of one image plane <-> patient space.

Patient space is LPS millimetres. Pixels are (axis 0, axis 1), an integer is a pixel centre.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Directions less parallel than this to orthogonal are accepted as scanners write them.
_ORTHOGONALITY_TOLERANCE = 1e-3


@dataclass(frozen=True)
class SliceGeometry:
    """Where an image plane lies in the patient.

    origin: (3,) LPS mm, the centre of pixel (0, 0).
    axis0, axis1: (3,) LPS mm, the step from one pixel to the next along array axis 0 and 1.
    thickness: slice thickness in mm, NaN where not stated.
    """

    origin: np.ndarray
    axis0: np.ndarray
    axis1: np.ndarray
    thickness: float = float("nan")

    def __post_init__(self) -> None:
        for name in ("origin", "axis0", "axis1"):
            vector = np.array(getattr(self, name), dtype=np.float64)
            if vector.shape != (3,) or not np.isfinite(vector).all():
                raise ValueError(f"{name}: expected three finite numbers, found {vector!r}")
            vector.setflags(write=False)
            object.__setattr__(self, name, vector)
        lengths = self.spacing
        if lengths.min() <= 0:
            raise ValueError(f"pixel spacing must be positive, found {lengths}")
        if abs(self.axis0 @ self.axis1) > _ORTHOGONALITY_TOLERANCE * lengths.prod():
            raise ValueError("image axes must be orthogonal")

    @property
    def spacing(self) -> np.ndarray:
        """(2,) mm along axis 0 and axis 1."""
        return np.array([np.linalg.norm(self.axis0), np.linalg.norm(self.axis1)])

    @property
    def directions(self) -> np.ndarray:
        """(2, 3) unit vectors along array axis 0 and 1."""
        return np.stack([self.axis0, self.axis1]) / self.spacing[:, None]

    @property
    def normal(self) -> np.ndarray:
        """(3,) unit vector axis0 × axis1: the opposite of DICOM's row direction × column direction."""
        normal = np.cross(self.axis0, self.axis1)
        return normal / np.linalg.norm(normal)

    def to_patient(self, pixels: np.ndarray) -> np.ndarray:
        """(..., 2) pixels -> (..., 3) LPS mm."""
        pixels = np.asarray(pixels, dtype=np.float64)
        return self.origin + pixels[..., :1] * self.axis0 + pixels[..., 1:] * self.axis1

    def to_pixels(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) LPS mm -> (..., 2) pixels of the orthogonal projection onto the plane."""
        offset = np.asarray(points, dtype=np.float64) - self.origin
        basis = np.stack([self.axis0, self.axis1], axis=1)
        return offset @ np.linalg.pinv(basis).T

    def distance(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) LPS mm -> (...,) signed distance from the plane in mm, positive along `normal`."""
        return (np.asarray(points, dtype=np.float64) - self.origin) @ self.normal

"""In-plane shifts between breath-holds, from the disagreement of views where their planes meet.

LPS millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ViewShift:
    """How far one view's heart lies from where the other views see it.

    shift_mm: (2,) mm along the image's axis 0 and axis 1; adding it to the view's points brings them to the others.
        Relative to the mean of the views: a shift common to all cannot be seen.
    covariance: (2, 2) mm². vector: (3,) LPS mm, the same shift in patient space.
    evidence: what it rests on, e.g. "landmarks and images".
    """

    view: str
    shift_mm: np.ndarray
    covariance: np.ndarray
    vector: np.ndarray
    evidence: str

    @property
    def sd_mm(self) -> float:
        """Standard deviation, mm, root mean square of the two directions."""
        return float(np.sqrt(np.trace(self.covariance) / 2))

"""An independent look at the landmarks: do the image patches around them move as the landmarks do?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: a frame is flagged where landmark and tracked patch are further apart than this, mm
DISAGREEMENT_MM = 3.0


@dataclass(frozen=True)
class MotionCheck:
    """Landmarks against tracked image patches, for one view.

    disagreement_mm: (T, 11) mm, NaN where it could not be judged (absent, too few neighbours, no texture).
    flagged: (T, 11) bool, disagreement above `limit_mm`.
    """

    view: str
    disagreement_mm: np.ndarray
    flagged: np.ndarray
    limit_mm: float = DISAGREEMENT_MM

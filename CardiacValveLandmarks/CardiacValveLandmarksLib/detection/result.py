"""What a detection gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from ..landmarks import VALVE_LANDMARKS, LandmarkSeries
from ..models.spec import ModelSpec

Progress = Callable[[int, int], None]
Cancel = Callable[[], bool]

#: without a calibration, a view with a score under this is not presented as recognised
VIEW_CONFIDENCE = 0.5


@dataclass(frozen=True)
class Found:
    """What a network says of a cine, before the decision what is present.

    positions: (T, 11, 2) pixels of the cine, NaN where the model has no such landmark.
    strength: (T, 11) in [0, 1], evidence that the landmark is there. confidence: (T, 11) in [0, 1].
    view_scores: view -> [0, 1]. present: (T, 11) bool by the model's own rule, for the landmarks of `view` alone.
    raw_points: (T, 10, 2) the published network's own output without an ensemble, else None.
    signs: (T, 11, 3) what confidence is told from, for calibration, or None: strength; RMS distance (mm) of the
    ensemble's heat-map from its maximum, mean over the beat; how far (mm) the image's motion moved the point.
    view_threshold: the score from which a view is recognised.
    facts: settings that were decided on the way, for provenance. warnings: in plain words.
    """

    positions: np.ndarray
    strength: np.ndarray
    confidence: np.ndarray
    view: str | None
    view_scores: Mapping[str, float]
    present: np.ndarray
    raw_points: np.ndarray | None = None
    signs: np.ndarray | None = None
    view_threshold: float = VIEW_CONFIDENCE
    facts: Mapping[str, object] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class DetectionResult:
    """Landmarks of one cine, and how they came about.

    view: stated by the user or recognised; None where it was not recognised (then no landmark is present).
    view_confidence: of the recognition; where the user stated the view, what the network makes of that statement.
    settings: everything needed to repeat or resume. warnings: doubts in plain words.
    """

    landmarks: LandmarkSeries
    view: str | None
    view_confidence: float
    view_scores: Mapping[str, float]
    model: ModelSpec
    engine: str
    settings: Mapping[str, object]
    warnings: tuple[str, ...]
    raw_points: np.ndarray | None = None

    def published_form(self) -> np.ndarray:
        """(T, 2, 10) float32 as the published bundle writes it: pixels of axis 0 and axis 1, absent at (0, 0).

        From the published network run without an ensemble these are its very outputs, near (0, 0) where absent.
        """
        if self.raw_points is not None:
            points = self.raw_points
        else:
            points = np.nan_to_num(self.landmarks.positions[:, : len(VALVE_LANDMARKS)], nan=0.0)
        return points.transpose(0, 2, 1).astype(np.float32)

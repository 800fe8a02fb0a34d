"""Corrected cines as images that the heat-map network takes, with their landmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..landmarks import VIEWS
from ..models.intensity import Curve, bright_level, scale_windows, through_curve
from ..models.sampling import Window
from .corrections import CorrectedCine, label_weights

if TYPE_CHECKING:
    from .recipes.synthetic_heatmap import SyntheticHeatmapSettings


@dataclass(frozen=True)
class Cuts:
    """Images as the network sees them: images (n, S, S) float32, landmarks (n, 11, 2) pixels of them, NaN where
    absent, classes (n,) numbers of views, chances (n,) of each to be drawn, which sum to 1."""

    images: np.ndarray
    landmarks: np.ndarray
    classes: np.ndarray
    chances: np.ndarray

    @classmethod
    def together(cls, parts: Sequence[Cuts], chances: Sequence[float]) -> Cuts:
        """All of them. chances: how much each counts."""
        arrays = [
            np.concatenate([getattr(part, name) for part in parts]) for name in ("images", "landmarks", "classes")
        ]
        drawn = np.concatenate([part.chances * chance for part, chance in zip(parts, chances, strict=True)])
        return cls(*arrays, drawn / drawn.sum())


@dataclass(frozen=True)
class CorrectedCuts:
    """One corrected cine, cut around its landmarks in the model's handedness: as a detection sees it (`seen`), and with
    more around as the training draws it (`drawn`). weight: how much its labels count."""

    seen: Cuts
    drawn: Cuts
    weight: float

    @classmethod
    def of(
        cls, one: CorrectedCine, mirrored: bool, settings: SyntheticHeatmapSettings, propagated: float
    ) -> CorrectedCuts:
        """The frames that count (corrections.label_weights), in the pixels that the settings give network and shards.
        mirrored: the cine is the mirror image of what the model takes."""
        weights = label_weights(one.landmarks, propagated)
        frames = np.flatnonzero(weights.any(1))
        points = one.landmarks.positions
        centre = np.nanmean(points[label_weights(one.landmarks).any(1)], axis=(0, 1))

        def cut(spacing_mm: float, size: int, bright: float | None) -> tuple[Cuts, float]:
            window = Window(one.cine.shape, tuple(centre), tuple(spacing_mm / one.cine.spacing), (size,) * 2, mirrored)
            images = window.images(one.cine.frames[frames])
            bright = bright_level(images) if bright is None else bright
            images = scale_windows(images, "percentile", bright=bright)
            landmarks = inside(points[frames], window).astype(np.float32)
            classes = np.full(len(frames), VIEWS.index(one.view))
            return Cuts(images, landmarks, classes, weights[frames].sum(1) / weights.sum()), bright

        seen, bright = cut(settings.spacing_mm, settings.size, None)
        drawn, _ = cut(settings.shard_spacing_mm, settings.shard_kind.size, bright)
        return cls(seen, drawn, float(weights.sum()))

    def through(self, curve: Curve | None) -> CorrectedCuts:
        """Looked at through an intensity curve."""
        if curve is None:
            return self
        seen, drawn = (replace(part, images=through_curve(part.images, curve)) for part in (self.seen, self.drawn))
        return replace(self, seen=seen, drawn=drawn)


def inside(points: np.ndarray, window: Window) -> np.ndarray:
    """Points (..., 2) in pixels of the window; NaN where it does not show them."""
    places = window.positions(points)
    outside = ((places < 0) | (places > np.array(window.size) - 1)).any(-1, keepdims=True)
    return np.where(outside, np.nan, places)

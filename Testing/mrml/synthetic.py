"""Small cines with known landmarks, and a detector that knows them: for tests of what happens after detection."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from CardiacValveLandmarksLib.cine import Cine
from CardiacValveLandmarksLib.errors import Cancelled
from CardiacValveLandmarksLib.geometry import SliceGeometry
from CardiacValveLandmarksLib.landmarks import VIEWS, LandmarkSeries, Provenance, in_view


def make_cine(view: str, frames: int = 20, shape: tuple[int, int] = (48, 60), name: str | None = None) -> Cine:
    """A bright blob that beats, in an oblique plane of its own for each view."""
    angle = 0.4 + VIEWS.index(view) * np.pi / 3
    down = np.array([np.cos(angle) * 0.6, np.sin(angle) * 0.6, -0.8])
    across = np.array([-np.sin(angle), np.cos(angle), 0.0])
    geometry = SliceGeometry([10.0, -30.0, 40.0 + VIEWS.index(view)], 1.4 * down, 1.4 * across, 6.0)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    phases = np.arange(frames) / frames
    radius = 12 + 3 * np.cos(2 * np.pi * phases)
    distance = np.hypot(rows - shape[0] / 2, columns - shape[1] / 2)
    pixels = 200.0 / (1 + np.exp(distance[None] - radius[:, None, None])) + 10
    return Cine(pixels, geometry, None, phases * 880.0, 880.0, "truth", view, name=name or f"cine_{view}")


def truth(cine: Cine) -> LandmarkSeries:
    """Landmarks on smooth closed paths, wide apart."""
    series = LandmarkSeries.empty(cine.n_frames, cine.view)
    positions, confidence = series.positions.copy(), series.confidence.copy()
    provenance = series.provenance.copy()
    angles = 2 * np.pi * cine.phases
    for place, landmark in enumerate(in_view(cine.view)):
        centre = np.array([12.0 + 8 * (place % 2), 10.0 + 10 * place])
        positions[:, landmark.index] = centre + np.column_stack([3 * np.sin(angles), 1.5 * np.cos(angles)])
        confidence[:, landmark.index] = 0.9
        provenance[:, landmark.index] = Provenance.AUTO
    return LandmarkSeries(positions, confidence, provenance, cine.view, float("nan"))


@dataclass
class Result:
    landmarks: LandmarkSeries
    view: str | None
    view_confidence: float
    warnings: tuple[str, ...] = ()


class TruthDetector:
    """Truth plus noise that is another at each call; recognises a view by what the cine's `source` says."""

    def __init__(self, noise: float = 0.3, views: dict[str, tuple[str | None, float]] | None = None, delay=0.0) -> None:
        self.noise, self.views, self.delay, self.calls = noise, views or {}, delay, 0
        #: (view, frame, landmark number) -> confidence there
        self.unsure: dict[tuple[str, int, int], float] = {}

    def __call__(self, cine, *, model="", view="auto", progress=None, cancel=None, **options) -> Result:
        self.calls += 1
        recognised, sure = self.views.get(cine.name, (view if view != "auto" else None, float("nan")))
        for frame in range(cine.n_frames):
            if cancel is not None and cancel():
                raise Cancelled
            if progress is not None:
                progress(frame + 1, cine.n_frames)
            if self.delay:
                time.sleep(self.delay)
        if recognised is None:
            return Result(LandmarkSeries.empty(cine.n_frames), None, sure)
        exact = truth(cine.replace(view=recognised))
        noise = np.random.default_rng(self.calls).normal(0, self.noise, exact.positions.shape)
        confidence = exact.confidence.copy()
        for (spoiled, frame, number), value in self.unsure.items():
            if spoiled == recognised:
                confidence[frame, number - 1] = value
        return Result(exact.replace(positions=exact.positions + noise, confidence=confidence), recognised, sure)

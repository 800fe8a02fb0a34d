"""Cut the synthetic heart and chest by an image plane."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from ..geometry import SliceGeometry
from .anatomy import HEART_MIDDLE, HEART_REACH, HeartAnatomy, Pose
from .body import Body
from .contrast import Contrast
from .heart import Heart
from .tissue_motion import texture_sampler, tissue_displacement


@dataclass(frozen=True)
class Patient:
    """A synthetic patient: heart, pose and chest."""

    anatomy: HeartAnatomy
    pose: Pose
    body: Body

    @classmethod
    def sample(cls, rng: np.random.Generator, width: float = 1.0) -> Patient:
        pose = Pose.sample(rng, width)
        return cls(HeartAnatomy.sample(rng, width), pose, Body.sample(rng, pose))

    def heart(self, phase: float) -> Heart:
        """The heart at a phase."""
        return Heart(self.anatomy, phase, self.pose.rotation.T @ np.array([0.0, 0.0, 1.0]))


class Slice:
    """One image plane of a patient. The chest, which does not move, is drawn once and kept for all frames."""

    def __init__(
        self,
        patient: Patient,
        geometry: SliceGeometry,
        shape: tuple[int, int],
        contrast: Contrast,
        through_plane: int = 3,
    ) -> None:
        self.patient, self.geometry, self.shape, self.contrast = patient, geometry, shape, contrast
        self.through_plane = through_plane
        self._softness = float(geometry.spacing.mean())
        self._textures = {name: value.ravel() for name, value in contrast.textures(shape).items()}
        grid = np.stack(np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij"), axis=-1)
        self._points = geometry.to_patient(grid.reshape(-1, 2)).astype(np.float32)
        self._background = self._textures["air"].copy()
        for tissue, opacity in patient.body.layers(self._points, 1.5 * self._softness):
            self._background += opacity * (self._textures[tissue] - self._background)
        self._at_rest = patient.heart(0.0)

    def _looks(self, heart: Heart, phase: float, pixels: np.ndarray) -> Callable[[str], np.ndarray]:
        """The look of a tissue at these pixels: (n,). Texture moves with the heart, that of blood changes."""
        blood = self.contrast.textures(self.shape, phase, "blood")

        def moved(points: np.ndarray) -> np.ndarray:
            pose = self.patient.pose
            return tissue_displacement(pose.to_heart(points), self._at_rest, heart) @ pose.rotation.T

        sampler = texture_sampler(self.geometry, self.shape, pixels, moved)

        @cache
        def look(tissue: str) -> np.ndarray:
            return blood[tissue].ravel()[pixels] if tissue in blood else sampler @ self._textures[tissue]

        return look

    def render(self, phase: float, rng: np.random.Generator) -> np.ndarray:
        """(H, W) float32 magnitude image at a phase of the RR interval."""
        heart = self.patient.heart(phase)
        thickness = self.geometry.thickness if np.isfinite(self.geometry.thickness) else 6.0
        offsets = (np.arange(self.through_plane) + 0.5) / self.through_plane - 0.5
        centre = self.patient.pose.to_patient(HEART_MIDDLE).astype(np.float32)
        squared = ((self._points - centre) ** 2).sum(1)
        near = np.flatnonzero(squared < HEART_REACH**2)
        look = self._looks(heart, phase, near)
        mean = np.zeros(len(near), np.float32)
        for offset in offsets:
            shifted = self._points[near] + (offset * thickness * self.geometry.normal).astype(np.float32)
            local = self.patient.pose.to_heart(shifted).astype(np.float32)
            values = self._background[near].copy()
            flow = self.contrast.flow_factor(local, near, self.shape, phase)
            for tissue, opacity, _ in heart.layers(local, self._softness):
                values += opacity * (look(tissue) * (flow if tissue.startswith("blood") else 1) - values)
            mean += values / len(offsets)
        image = self._background.copy()
        image[near] = mean
        return self.contrast.acquire(image.reshape(self.shape), self.geometry.spacing, rng)

"""From tissues to an MR image: bSSFP-like contrast, texture, coil shading, blur, limited k-space, noise.

Intensities are relative to left-heart blood (1.0).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage

#: (lowest, highest) intensity and texture (relative SD) of each tissue, ordinary contrast
TISSUES: dict[str, tuple[float, float, float]] = {
    "air": (0.0, 0.02, 0.0),
    "skin_fat": (0.6, 1.3, 0.10),
    "muscle": (0.15, 0.36, 0.15),
    "bone": (0.12, 0.5, 0.20),
    "disc": (0.1, 0.5, 0.10),
    "csf": (0.7, 1.4, 0.05),
    "lung": (0.02, 0.12, 0.35),
    "lung_vessel": (0.25, 0.9, 0.10),
    "mediastinum": (0.15, 0.9, 0.16),
    "belly": (0.15, 0.8, 0.20),
    "liver": (0.16, 0.5, 0.10),
    "spleen": (0.25, 0.7, 0.08),
    "stomach": (0.15, 1.0, 0.35),
    "gas": (0.0, 0.08, 0.2),
    "fat": (0.25, 1.2, 0.15),
    "crux": (0.1, 0.8, 0.15),
    "pericardium": (0.05, 0.55, 0.10),
    "lv_wall": (0.2, 0.42, 0.08),
    "rv_wall": (0.2, 0.45, 0.10),
    "vessel_wall": (0.15, 0.5, 0.10),
    "leaflet": (0.15, 0.5, 0.10),
    "trabeculae": (0.3, 0.8, 0.30),
    "blood_left": (0.95, 1.05, 0.035),
    "blood_la": (0.8, 1.4, 0.045),
    "blood_aorta": (0.6, 1.2, 0.045),
    "blood_right": (0.6, 1.15, 0.045),
    "blood_ra": (0.7, 1.45, 0.045),
}
#: tissues of the heart keep their range when the levels of the rest are drawn freely
_HEART = ("lv_wall", "rv_wall", "leaflet", "trabeculae", "air")
#: where blood is turbulent, heart mm: aortic root, both atria, both inflows
_JETS = ((-20, 20, -14), (3, -4, -16), (-42, -6, -14), (3, -4, 12), (-42, -6, 12))
_TILE = 512


@lru_cache(maxsize=1)
def _noise_tiles() -> np.ndarray:
    """(4, 512, 512) float32 tiles of smooth noise of unit SD, one a length scale; periodic, always the same."""
    rng = np.random.default_rng(20210)
    tiles = [
        ndimage.gaussian_filter(rng.standard_normal((_TILE, _TILE)), s, mode="wrap") for s in (1.0, 2.5, 6.0, 16.0)
    ]
    return np.stack([tile / tile.std() for tile in tiles]).astype(np.float32)


@dataclass(frozen=True)
class Contrast:
    """One acquisition: what every tissue looks like and what the scanner does to it. Draws are fixed, so that all
    frames of a cine share them; only the thermal noise differs from frame to frame."""

    levels: dict[str, tuple[float, float]]
    seed: int
    coil_strength: float
    coil_centre: tuple[float, float]
    blur: float  # mm
    noise: float  # SD relative to blood
    resolution: tuple[float, float]  # share of k-space kept along each axis
    flow: float  # darker and brighter streaks within blood
    banding: float
    fold: float  # share of the field folded over, 0 for none
    gamma: float
    ghost: float
    jets: tuple[tuple[float, float, float, float], ...]  # turbulent flow: middle in heart coordinates and reach, mm
    jet_speckle: float
    jet_loss: float

    @classmethod
    def sample(cls, rng: np.random.Generator, width: float = 1.0, free: bool = False) -> Contrast:
        """Random contrast; width 1 is ordinary, 1.6 the wide range for training.

        free: everything around the heart has any brightness, as no scanner gives it: for training, where a network
        that knows only plausible surroundings mistakes implausible ones.
        """
        levels = {}
        for name, (low, high, texture) in TISSUES.items():
            if free and name not in _HEART and not name.startswith("blood"):
                low, high = 0.0, 1.3 / width
            centre, half = (low + high) / 2, (high - low) / 2 * width
            levels[name] = (max(0.0, centre + half * rng.uniform(-1, 1)), texture * rng.uniform(0.5, 1.6) * width)
        extra = width > 1.0
        return cls(
            levels=levels,
            seed=int(rng.integers(2**31)),
            coil_strength=rng.uniform(0.0, 0.9) * width,
            coil_centre=(rng.uniform(-0.7, 0.7), rng.uniform(-0.7, 0.7)),
            blur=rng.uniform(0.3, 1.1 if not extra else 1.7),
            noise=rng.uniform(0.005, 0.04 if not extra else 0.09),
            resolution=(rng.uniform(0.7, 1.0), rng.uniform(0.55 if not extra else 0.45, 1.0)),
            flow=rng.uniform(0.0, 0.08 * width),
            banding=rng.uniform(0, 0.8) if rng.random() < 0.15 * width else 0.0,
            fold=rng.uniform(0.02, 0.12) if rng.random() < 0.1 * width else 0.0,
            gamma=float(np.exp(rng.normal(0, 0.12 * width))),
            ghost=rng.uniform(0.02, 0.08) if rng.random() < 0.12 * width else 0.0,
            jets=tuple(
                (*rng.normal(_JETS[rng.integers(len(_JETS))], 8.0), rng.uniform(8, 24))
                for _ in range(rng.integers(1, 4) if rng.random() < 0.55 * width else 0)
            ),
            jet_speckle=rng.uniform(0.1, 0.9),
            jet_loss=rng.uniform(0.0, 0.7),
        )

    def flow_factor(self, points: np.ndarray, pixels: np.ndarray, shape: tuple[int, int], phase: float) -> np.ndarray:
        """What turbulence does to blood: (N,) float32 factors for points (N, 3) heart mm that are the image's
        `pixels` (flat indices), different in every frame and strongest twice a beat, at ejection and filling."""
        if not self.jets:
            return np.ones(len(points), np.float32)
        rng = np.random.default_rng([self.seed, 7, int(phase * 1000)])
        speckle = (self._field(rng, 0, shape) + self._field(rng, 1, shape)).ravel()[pixels]
        near = np.zeros(len(points), np.float32)
        for *middle, reach in self.jets:
            offset = (points - np.array(middle, np.float32)) / np.float32(reach)
            np.maximum(near, np.exp(-np.einsum("ij,ij->i", offset, offset)), out=near)
        near *= np.float32((0.25 + 0.75 * np.sin(2 * np.pi * phase) ** 2) * rng.uniform(0.6, 1.0))
        return np.clip(1 + near * (self.jet_speckle * speckle - self.jet_loss), 0.1, 3).astype(np.float32)

    def _field(self, rng: np.random.Generator, scale: int, shape: tuple[int, int]) -> np.ndarray:
        tile = _noise_tiles()[scale]
        r, c = rng.integers(_TILE, size=2)
        rows, columns = (r + np.arange(shape[0])) % _TILE, (c + np.arange(shape[1])) % _TILE
        return tile[np.ix_(rows, columns)]

    def textures(self, shape: tuple[int, int], phase: float = 0.0, kind: str = "") -> dict[str, np.ndarray]:
        """The look of each tissue whose name begins with `kind` over the image: (H, W) float32. That of blood follows
        no wall: twice a beat one pattern turns into another and back, as strong at every phase. The others are as
        they lie at end-diastole."""
        rng = np.random.default_rng(self.seed)
        fields = self._fields(rng, shape)
        turn = 4 * np.pi * phase
        later = self._fields(np.random.default_rng([self.seed, 11]), shape) if phase else fields
        flowing = [
            np.float32(np.cos(turn)) * a + np.float32(np.sin(turn)) * b for a, b in zip(fields, later, strict=True)
        ]
        streaks = (1 + self.flow * (flowing[2] + 0.7 * flowing[4])).astype(np.float32)
        result = {}
        for name, (level, texture) in self.levels.items():
            a, b, c = rng.permutation(len(fields))[:3]
            if not name.startswith(kind):
                continue
            blood = name.startswith("blood")
            here = flowing if blood else fields
            mix = 0.6 * here[a] + 0.6 * here[b] + 0.5 * here[c]
            look = np.clip(level * (1 + texture * mix), 0, None).astype(np.float32)
            result[name] = look * streaks if blood else look
        return result

    def _fields(self, rng: np.random.Generator, shape: tuple[int, int]) -> list[np.ndarray]:
        """Smooth noise of several length scales."""
        return [self._field(rng, scale, shape) for scale in (0, 1, 2, 3, 1, 2, 3)]

    def acquire(self, image: np.ndarray, spacing: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The scanner: (H, W) tissue image -> (H, W) float32 magnitude image. rng draws the thermal noise only."""
        fixed = np.random.default_rng(self.seed + 1)
        shape = image.shape
        rows, columns = np.meshgrid(
            np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij", sparse=True
        )
        distance = np.sqrt((rows - self.coil_centre[0]) ** 2 + (columns - self.coil_centre[1]) ** 2)
        shading = np.exp(
            self.coil_strength * (0.8 - distance) + 0.15 * self.coil_strength * self._field(fixed, 3, shape)
        )
        image = image * shading
        if self.banding:
            angle, place = fixed.uniform(0, np.pi), fixed.uniform(-0.9, 0.9)
            ramp = (rows * np.cos(angle) + columns * np.sin(angle) - place) * fixed.uniform(3, 7)
            image = image * (1 - self.banding * np.exp(-(ramp**2) * 4))
        if self.fold:
            width = max(1, int(self.fold * shape[1]))
            image = image.copy()
            image[:, :width] += image[:, -width:] * 0.7
        if self.ghost:
            image = image + self.ghost * np.roll(image, shape[0] // 3, axis=0)
        spectrum = np.fft.rfft2(image)
        f0 = np.fft.fftfreq(shape[0])[:, None] * 2
        f1 = np.fft.rfftfreq(shape[1])[None, :] * 2
        # keep the acquired part of k-space, rolled off over the last tenth; blur is a Gaussian on top
        keep = np.clip((self.resolution[0] - np.abs(f0)) * 10 + 0.5, 0, 1) * np.clip(
            (self.resolution[1] - np.abs(f1)) * 10 + 0.5, 0, 1
        )
        sigma = self.blur / np.asarray(spacing)
        keep = keep * np.exp(-0.5 * (np.pi * f0 * sigma[0]) ** 2 - 0.5 * (np.pi * f1 * sigma[1]) ** 2)
        image = np.fft.irfft2(spectrum * keep, s=shape)
        noise = rng.standard_normal((2, *shape)).astype(np.float32) * self.noise
        magnitude = np.sqrt((image + noise[0]) ** 2 + noise[1] ** 2)
        return (magnitude ** np.float32(self.gamma)).astype(np.float32)

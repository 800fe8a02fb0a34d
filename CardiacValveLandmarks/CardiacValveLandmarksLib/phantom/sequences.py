"""Other sequences than cine for the synthetic heart: late gadolinium enhancement (LGE) and T1 maps.

Same anatomy, another contrast (intensities relative to blood, as in contrast.py), and for LGE a scar: a patch of
the LV wall that grows from the endocardium outwards. "T1-map-like": levels follow native T1 at 1.5 T (blood about
1600 ms, myocardium 1000, fat 300), with the speckle that a pixel-wise fit leaves in lung and air.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from .contrast import Contrast
from .heart import MYOCARDIUM, Heart, Layer
from .render import Patient

SEQUENCES = ("cine", "LGE", "T1")

#: (lowest, highest, texture) as in contrast.TISSUES; blood is grey to bright, the myocardium nulled, the scar bright
_LGE: dict[str, tuple[float, float, float]] = {
    "lv_wall": (0.02, 0.22, 0.15),
    "rv_wall": (0.05, 0.35, 0.15),
    "scar": (0.95, 1.6, 0.08),
    "trabeculae": (0.3, 0.8, 0.25),
    "leaflet": (0.2, 0.6, 0.15),
    "vessel_wall": (0.1, 0.5, 0.15),
    "blood_left": (0.6, 1.0, 0.05),
    "blood_la": (0.6, 1.0, 0.05),
    "blood_aorta": (0.55, 1.0, 0.05),
    "blood_right": (0.55, 1.0, 0.05),
    "blood_ra": (0.55, 1.0, 0.05),
    "muscle": (0.1, 0.35, 0.15),
    "liver": (0.2, 0.6, 0.12),
    "spleen": (0.3, 0.9, 0.12),
    "fat": (0.5, 1.5, 0.15),
    "skin_fat": (0.6, 1.8, 0.12),
    "csf": (0.1, 0.8, 0.1),
}
_T1: dict[str, tuple[float, float, float]] = {
    "air": (0.0, 0.35, 1.2),
    "lung": (0.1, 0.6, 1.0),
    "gas": (0.0, 0.4, 1.0),
    "lv_wall": (0.56, 0.68, 0.05),
    "rv_wall": (0.55, 0.72, 0.08),
    "scar": (0.72, 0.85, 0.06),
    "trabeculae": (0.7, 0.9, 0.1),
    "leaflet": (0.6, 0.85, 0.1),
    "vessel_wall": (0.5, 0.8, 0.1),
    "blood_left": (0.95, 1.05, 0.04),
    "blood_la": (0.93, 1.08, 0.05),
    "blood_aorta": (0.9, 1.1, 0.05),
    "blood_right": (0.92, 1.08, 0.05),
    "blood_ra": (0.92, 1.08, 0.05),
    "muscle": (0.5, 0.65, 0.08),
    "mediastinum": (0.2, 0.6, 0.12),
    "liver": (0.32, 0.45, 0.08),
    "spleen": (0.6, 0.75, 0.06),
    "fat": (0.15, 0.28, 0.12),
    "skin_fat": (0.15, 0.25, 0.12),
    "bone": (0.15, 0.4, 0.2),
    "csf": (1.2, 1.9, 0.1),
    "stomach": (0.3, 1.4, 0.3),
}


def sequence_contrast(sequence: str, rng: np.random.Generator, width: float = 1.0) -> Contrast:
    """A random contrast of "cine", "LGE" or "T1". width as in Contrast.sample."""
    if sequence not in SEQUENCES:
        raise ValueError(f"sequence: expected one of {SEQUENCES}, found {sequence!r}")
    contrast = Contrast.sample(rng, width)
    levels = {**contrast.levels, "scar": contrast.levels["lv_wall"]}  # a cine does not show scars
    if sequence == "cine":
        return replace(contrast, levels=levels)
    for name, (low, high, texture) in (_LGE if sequence == "LGE" else _T1).items():
        middle, half = (low + high) / 2, (high - low) / 2 * width
        levels[name] = (max(0.0, middle + half * rng.uniform(-1, 1)), texture * rng.uniform(0.6, 1.4))
    # segmented or single-shot inversion recovery: coarser and noisier than bSSFP cine, no flow streaks, no banding
    changes = {"levels": levels, "flow": 0.0, "banding": 0.0, "gamma": 1.0, "noise": rng.uniform(0.02, 0.09)}
    if sequence == "T1":  # a map has neither coil shading nor folded-over intensities
        changes.update(coil_strength=0.0, fold=0.0, ghost=0.0, noise=rng.uniform(0.01, 0.04))
    return replace(contrast, **changes)


@dataclass(frozen=True)
class Scar:
    """A patch of scar about a place on the endocardium, of which the LV wall shows its part.

    angle: degrees from lateral towards anterior. level: fraction of the LV's length. half: (around, along, across
    the wall) half-axes in mm.
    """

    angle: float
    level: float
    half: tuple[float, float, float]

    @classmethod
    def sample(cls, rng: np.random.Generator, wall: float) -> Scar:
        """A random scar in a wall of this thickness (mm), subendocardial to transmural."""
        across = wall * rng.uniform(0.35, 1.3)
        return cls(rng.uniform(0, 360), rng.uniform(0.2, 0.8), (rng.uniform(8, 26), rng.uniform(8, 26), across))

    def share(self, heart: Heart, points: np.ndarray, softness: float) -> np.ndarray:
        """(N,) in [0, 1]: how much of each point (N, 3) in heart mm is in the patch."""
        anatomy, motion = heart.anatomy, heart.motion
        power, root = anatomy.lv_profile
        # the wall thickens inwards, and the patch stays on its inner face
        inner = anatomy.lv_radius * (1 - self.level**power) ** root - 0.6 * anatomy.thickening * anatomy.wall * (
            motion.contraction
        )
        # in polar coordinates, so that the patch follows the wall round
        x, y, z = points.T
        turned = (np.arctan2(y, x) - np.float32(np.deg2rad(self.angle)) + np.pi) % (2 * np.pi) - np.pi
        around, along, across = self.half
        distance = np.sqrt(
            (turned * np.float32(inner / around)) ** 2
            + ((z - np.float32(self.level * anatomy.lv_length)) / np.float32(along)) ** 2
            + ((np.sqrt(x * x + y * y) - np.float32(inner)) / np.float32(across)) ** 2
        )
        distance = (distance - 1) * np.float32(min(self.half))
        return np.clip(np.float32(0.5) - distance / np.float32(max(softness, 1e-3)), 0, 1)


class _ScarredHeart:
    """A heart whose LV wall has scars; `layers` as Heart's, with the tissue "scar" right after the wall."""

    def __init__(self, heart: Heart, scars: tuple[Scar, ...]) -> None:
        self._heart, self._scars = heart, scars
        self.anatomy, self.rings, self.tissue = heart.anatomy, heart.rings, heart.tissue

    def layers(self, points: np.ndarray, softness: float) -> Iterator[Layer]:
        for layer in self._heart.layers(points, softness):
            yield layer
            if layer.structure == MYOCARDIUM:
                for scar in self._scars:
                    yield Layer("scar", layer.opacity * scar.share(self._heart, points, softness))


@dataclass(frozen=True)
class ScarredPatient(Patient):
    """A patient with scars in the LV wall; to be drawn with a contrast that has a level for "scar"."""

    scars: tuple[Scar, ...] = ()

    def heart(self, phase: float) -> _ScarredHeart:
        return _ScarredHeart(super().heart(phase), self.scars)


def with_scars(patient: Patient, rng: np.random.Generator) -> ScarredPatient:
    """The patient with no, one or two scars, as people sent for LGE have."""
    count = int(rng.choice(3, p=[0.35, 0.45, 0.20]))
    scars = tuple(Scar.sample(rng, patient.anatomy.wall) for _ in range(count))
    return ScarredPatient(patient.anatomy, patient.pose, patient.body, scars)

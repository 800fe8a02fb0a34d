"""The published regression network's augmentation (MONAI model zoo `valve_landmarks`), with landmarks as geometry.

Each step is taken with the same probability, in the published order: axis flip, quarter turns, smooth intensity field,
Gaussian noise, Fourier dropout, smooth deformation, shift. MONAI's transforms do what MONAI has. What differs from the
published configuration, each time because landmarks are kept as positions and not as pixels of an image:

- positions are moved by the transform itself, to fractions of a pixel; none is lost, or rounded at each step;
- the deformation samples the image linearly and on the grid its field is defined on (there: nearest pixel, and a grid
  half a pixel wider at the border);
- the intensity field varies along both axes, as it is described (the published configuration gives its size with the
  channel axis in front, which makes MONAI stretch it into bands along one axis).
"""

from __future__ import annotations

from dataclasses import dataclass

import monai.transforms as mt
import numpy as np
import torch
from monai.data import MetaTensor
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class AugmentationRange:
    """probability: of each step. gamma: range of the field of 5 x 5 nodes that intensities are multiplied by. noise:
    largest standard deviation. keep_inside, drop_beyond: radii in Fourier space (1: the edge) between which more and
    more is dropped. deformation: of a 7 x 7 field, as a share of half the image's side. shift: pixels."""

    probability: float = 0.5
    gamma: tuple[float, ...] = (0.1, 1.0)
    noise: float = 0.05
    keep_inside: float = 0.1
    drop_beyond: float = 0.9
    deformation: float = 0.05
    shift: int = 8


class PublishedAugmentation:
    """Augments one image of a fixed square size at a time; not to be shared between threads."""

    def __init__(self, size: int, amount: AugmentationRange) -> None:
        self._size, self._amount = size, amount
        chance = amount.probability
        smooth = {"spatial_size": (size, size), "align_corners": True}
        self._flip, self._turn = mt.RandAxisFlip(chance), mt.RandRotate90(chance)
        self._intensity = mt.RandSmoothFieldAdjustIntensity(
            rand_size=(5, 5), gamma=amount.gamma, mode="bicubic", prob=chance, **smooth
        )
        self._noise = mt.RandGaussianNoise(chance, std=amount.noise)
        self._deform = mt.RandSmoothDeform(
            rand_size=(7, 7),
            pad=2,
            prob=1,  # decided below, where the points must follow
            def_range=amount.deformation,
            field_mode="bicubic",
            grid_mode="bilinear",
            grid_align_corners=True,
            **smooth,
        )
        frequency = torch.fft.fftfreq(size) * 2  # 1 at the edge
        self._radius = torch.hypot(frequency[:, None], frequency[None])

    def __call__(self, image: Tensor, points: np.ndarray, seed: int) -> tuple[Tensor, np.ndarray]:
        """image (size, size) in [0, 1], points (L, 2) pixels (row, column), NaN absent -> the same, augmented; points
        that left the image are absent. A function of its arguments alone."""
        state = np.random.RandomState(seed)
        for transform in (self._flip, self._turn, self._intensity, self._noise, self._deform):
            transform.set_random_state(state=state)
        # MONAI writes down what a flip or a turn did in the image's affine: new pixel -> old pixel
        turned = self._turn(self._flip(MetaTensor(image[None], affine=torch.eye(4, dtype=torch.float64))))
        old_to_new = np.linalg.inv(turned.affine.numpy())
        points = points @ old_to_new[:2, :2].T + old_to_new[:2, 3]
        image = _plain(self._noise(self._intensity(turned.as_tensor())))
        if state.rand() < self._amount.probability:
            image = self._drop_frequencies(image, state)
        if state.rand() < self._amount.probability:
            image = _plain(self._deform(image))
            points = self._moved(points, self._deform.sfield())
        if state.rand() < self._amount.probability:
            by = state.randint(-self._amount.shift, self._amount.shift + 1, 2)
            image, points = _shifted(image, by), points + by
        outside = ((points < -0.5) | (points >= self._size - 0.5)).any(-1)
        return image[0], np.where(outside[:, None], np.nan, points)

    def _drop_frequencies(self, image: Tensor, state: np.random.RandomState) -> Tensor:
        """Drop each frequency with a chance that grows linearly from keep_inside to drop_beyond."""
        low, high = self._amount.keep_inside, self._amount.drop_beyond
        limit = torch.from_numpy(state.random_sample(self._radius.shape)) * (high - low) + low
        return torch.fft.ifft2(torch.fft.fft2(image) * (limit >= self._radius)).real

    def _moved(self, points: np.ndarray, field: Tensor) -> np.ndarray:
        """Where the deformation puts points. New pixel q shows what was at q + field(q), so q is the fixed point of
        p - field(q), which is reached because the field changes by less than a pixel a pixel."""
        half = (self._size - 1) / 2
        old = torch.from_numpy(points)
        new = old.clone()
        for _ in range(25):
            place = (new / half - 1).flip(-1)[None, None]
            there = functional.grid_sample(
                field[None].double(), place.nan_to_num(), "bilinear", "border", align_corners=True
            )
            new = old - there[0, :, 0].T * half
        return new.numpy()


def _plain(image: Tensor) -> Tensor:
    """Without MONAI's record of what was done, which no one reads and every step would copy."""
    return image.as_tensor() if isinstance(image, MetaTensor) else image


def _shifted(image: Tensor, by: np.ndarray) -> Tensor:
    """(1, H, W) moved by whole pixels (rows, columns); zeros come in."""
    rows, columns = (int(value) for value in by)
    return functional.pad(image, (columns, -columns, rows, -rows))

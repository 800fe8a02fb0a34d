"""The test-time ensemble of a heat-map network: a window seen turned and at other scales, and heat-maps back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .sampling import Window
from .spec import ModelSpec
from .symmetries import IDENTITY, SETS, Symmetry


@dataclass(frozen=True)
class Member:
    """One look: a symmetry of the square, and the pixel spacing in units of the model's (below 1: closer)."""

    symmetry: Symmetry = IDENTITY
    scale: float = 1.0

    def seen(self, window: Window) -> Window:
        """The window this member looks at: about the same centre, of as many pixels."""
        return window.zoomed(self.scale)

    def answer(
        self, images: np.ndarray, run: Callable[[np.ndarray], dict[str, np.ndarray]]
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """What a network says of images (n, S, S) of `seen(window)`, its heat-maps brought to the window's pixels.

        run: images (n, 1, S', S') -> the network's answer. Returns it with "heatmaps" (n, C, S, S), and (S, S) float32
        how much of each pixel of the window this member saw.
        """
        answer = dict(run(self.symmetry.images(images)[:, None]))
        maps = self.symmetry.undo_maps(answer["heatmaps"])
        size = maps.shape[-2:]
        saw = np.ones(size, np.float32)
        if self.scale != 1:
            middle = tuple((side - 1) / 2 for side in size)
            back = Window(size, middle, (1 / self.scale,) * 2, size)
            maps = back.images(maps.reshape(-1, *size)).reshape(maps.shape)
            rows, columns = (weights.any(1).astype(np.float32) for weights in back.weights())
            saw = np.outer(rows, columns)
        return {**answer, "heatmaps": maps}, saw


def members(spec: ModelSpec, tta: bool = True) -> tuple[Member, ...]:
    """The ensemble a model is read with: its symmetries, at its scales by turns. Without tta the image as it is."""
    if not tta:
        return (Member(),)
    symmetries = SETS[spec.symmetries]
    return tuple(Member(symmetry, spec.scales[number % len(spec.scales)]) for number, symmetry in enumerate(symmetries))

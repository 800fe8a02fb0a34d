"""The symmetries of the square, for the test-time ensemble: images there, positions and heat-maps back.

Exact: pixels are only reordered. Positions are (row, column) pixels, an integer is a pixel centre.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Symmetry:
    """A mirror image about the middle column (or not), then quarter turns counter-clockwise.

    The turns are those of `numpy.rot90` over the last two axes.
    """

    turns: int
    mirrored: bool = False

    def shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """(rows, columns) of the transformed image."""
        return shape if self.turns % 2 == 0 else shape[::-1]

    def images(self, images: np.ndarray) -> np.ndarray:
        """(..., H, W) -> the transformed images, contiguous."""
        if self.mirrored:
            images = images[..., ::-1]
        return np.ascontiguousarray(np.rot90(images, self.turns, axes=(-2, -1)))

    def undo_maps(self, maps: np.ndarray) -> np.ndarray:
        """Heat-maps (..., H', W') of the transformed image -> (..., H, W) of the original, contiguous."""
        maps = np.rot90(maps, -self.turns, axes=(-2, -1))
        return np.ascontiguousarray(maps[..., ::-1] if self.mirrored else maps)

    def positions(self, positions: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """Positions (..., 2) in an original of this (H, W) -> in the transformed image."""
        row, column = np.moveaxis(np.asarray(positions), -1, 0)
        height, width = shape
        if self.mirrored:
            column = width - 1 - column
        for _ in range(self.turns % 4):
            row, column = width - 1 - column, row
            height, width = width, height
        return np.stack([row, column], axis=-1)

    def undo_positions(self, positions: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """Positions (..., 2) in the transformed image -> in the original, whose (H, W) is `shape`."""
        row, column = np.moveaxis(np.asarray(positions), -1, 0)
        height, width = self.shape(shape)
        for _ in range(self.turns % 4):
            row, column = column, height - 1 - row
            height, width = width, height
        if self.mirrored:
            column = width - 1 - column
        return np.stack([row, column], axis=-1)


IDENTITY = Symmetry(0)
ROTATIONS = tuple(Symmetry(turns) for turns in range(4))
SQUARE = ROTATIONS + tuple(Symmetry(turns, mirrored=True) for turns in range(4))
#: by the catalogue's names
SETS: dict[str, tuple[Symmetry, ...]] = {"square": SQUARE, "rotations": ROTATIONS, "none": (IDENTITY,)}

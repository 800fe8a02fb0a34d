"""Images at the pixel spacing a network was trained on, and positions back: exact, invertible, along the axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def triangle_weights(given: int, centres: np.ndarray, step: float) -> np.ndarray:
    """(len(centres), given) float32: linear interpolation at `centres` (pixels), widened to a triangle over the new
    pixel when shrinking (step > 1: old pixels a new one). Beyond the image everything is zero."""
    reach = max(1.0, step)
    weights = np.maximum(0, 1 - np.abs(np.arange(given) - np.asarray(centres)[:, None]) / reach)
    inside = (np.asarray(centres) > -0.5 * reach - 0.5) & (np.asarray(centres) < given - 0.5 + 0.5 * reach)
    total = weights.sum(1, keepdims=True)
    return np.where(inside[:, None], weights / np.maximum(total, 1e-9), 0).astype(np.float32)


@dataclass(frozen=True)
class Window:
    """A window of an image at another pixel spacing, perhaps mirrored (columns reversed).

    shape: (H, W) of the image. centre: (2,) pixel of the image at the window's centre. step: (2,) image pixels a
    window pixel along each axis. size: (rows, columns) of the window.
    """

    shape: tuple[int, int]
    centre: tuple[float, float]
    step: tuple[float, float]
    size: tuple[int, int]
    mirrored: bool = False

    def _centres(self, axis: int) -> np.ndarray:
        offsets = (np.arange(self.size[axis]) - (self.size[axis] - 1) / 2) * self.step[axis]
        return self.centre[axis] + (-offsets if axis == 1 and self.mirrored else offsets)

    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """(rows, H), (columns, W) float32: the window of a frame f is rows @ f @ columns.T."""
        return tuple(triangle_weights(self.shape[axis], self._centres(axis), self.step[axis]) for axis in (0, 1))

    def images(self, frames: np.ndarray) -> np.ndarray:
        """(T, H, W) -> (T, *size) float32, zero outside the image."""
        rows, columns = self.weights()
        return np.matmul(np.matmul(rows, np.asarray(frames, np.float32)), columns.T)

    def inverse(self) -> Window:
        """The image as a window of this window: takes maps of the window to the image's pixels."""
        centre = tuple(self.positions((np.array(self.shape) - 1) / 2))
        return Window(self.size, centre, tuple(1 / np.array(self.step)), self.shape, self.mirrored)

    def positions(self, positions: np.ndarray) -> np.ndarray:
        """(..., 2) pixels of the image -> pixels of the window."""
        sign = np.array([1, -1 if self.mirrored else 1])
        offset = (np.asarray(positions, float) - self.centre) * sign / self.step
        return offset + (np.array(self.size) - 1) / 2

    def well_inside(self, positions: np.ndarray) -> np.ndarray:
        """(...) bool of positions (..., 2) in pixels of the image: further than a pixel of the window from the edge of
        the image and of the window. What lies beyond an edge has its maximum squeezed against it."""
        edge = np.abs(np.array(self.step))
        in_image = (positions >= edge) & (positions <= np.array(self.shape) - 1 - edge)
        places = self.positions(positions)
        in_window = (places >= 1) & (places <= np.array(self.size) - 2)
        return (in_image & in_window).all(-1)

    def undo_positions(self, positions: np.ndarray) -> np.ndarray:
        """(..., 2) pixels of the window -> pixels of the image."""
        sign = np.array([1, -1 if self.mirrored else 1])
        return (np.asarray(positions, float) - (np.array(self.size) - 1) / 2) * sign * self.step + self.centre


def centred_window(
    shape: tuple[int, int], spacing: np.ndarray, size: tuple[int, int], spacing_mm: float, mirrored: bool = False
) -> Window:
    """The window about an image's centre at `spacing_mm`: resampled, then padded with zeros or cropped to `size`.

    shape, spacing: (H, W) and (2,) mm of the image. At 1 mm and 400 x 400 the preprocessing of Xue et al. 2021.
    """
    middle = tuple((side - 1) / 2 for side in shape)
    return Window(tuple(shape), middle, tuple(spacing_mm / np.asarray(spacing, float)), tuple(size), mirrored)


def pixel_mm(window: Window, spacing_mm: float | None, spacing: np.ndarray | None) -> float:
    """The size of a window's pixel in mm: the model's where it has one, else by the image's spacing (2,) mm; 1 where
    neither is known, so that what is stated in mm is then pixels."""
    if spacing_mm is not None:
        return spacing_mm
    return 1.0 if spacing is None else float(np.mean(np.asarray(spacing) * window.step))

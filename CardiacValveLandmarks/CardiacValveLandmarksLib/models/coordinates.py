"""Running a network that gives coordinates: the published one, which takes 256 x 256 pixels and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import Cancelled
from .engine import Engine
from .sampling import triangle_weights
from .spec import ModelSpec

#: Measured on two cores: the network waits for memory, so what fits the processor's cache is fastest.
CPU_BATCH = {"onnx": 2, "torch": 1}
GPU_BATCH = 32
#: An image whose longer side is less than this part of the network's is enlarged rather than put on a wide margin.
SMALLEST_PART = 0.5


class Fit:
    """An invertible transform of images to the size a network takes: nothing is cropped.

    An image whose longer side is between half the network's side and the whole stays as it is, centred on a margin
    of zeros: the published network was trained without regard to pixel spacing, on images as they came. A larger or
    smaller one is first scaled, with one factor for both axes, until its longer side fits.
    """

    def __init__(self, shape: tuple[int, int], size: tuple[int, int]) -> None:
        """shape: (H, W) of the images. size: (rows, columns) the network takes."""
        self.shape, self.size = tuple(shape), tuple(size)
        ratio = min(wanted / given for wanted, given in zip(size, shape, strict=True))
        scaled = self.shape
        if ratio < 1 or ratio > 1 / SMALLEST_PART:
            scaled = tuple(min(wanted, max(1, round(given * ratio))) for wanted, given in zip(size, shape, strict=True))
        self._scaled = scaled
        self._offset = tuple((wanted - given) // 2 for wanted, given in zip(size, scaled, strict=True))

    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """(rows, H), (columns, W) float32: the network's image of a frame f is rows @ f @ columns.T."""
        return tuple(
            np.pad(self._scaling(axis), ((before, size - before - scaled), (0, 0)))
            for axis, (before, scaled, size) in enumerate(zip(self._offset, self._scaled, self.size, strict=True))
        )

    def _scaling(self, axis: int) -> np.ndarray:
        given, wanted = self.shape[axis], self._scaled[axis]
        if given == wanted:
            return np.eye(given, dtype=np.float32)
        step = given / wanted
        return triangle_weights(given, (np.arange(wanted) + 0.5) * step - 0.5, step)

    def images(self, frames: np.ndarray) -> np.ndarray:
        """(T, H, W) -> (T, *size) float32, zero outside the image."""
        frames = np.asarray(frames, dtype=np.float32)
        for axis in (0, 1):
            if self._scaled[axis] != self.shape[axis]:
                weights = self._scaling(axis)
                frames = np.moveaxis(np.tensordot(frames, weights, axes=([axis + 1], [1])), -1, axis + 1)
        if self._scaled == self.size:
            return np.ascontiguousarray(frames)
        out = np.zeros((len(frames), *self.size), np.float32)
        (top, left), (height, width) = self._offset, self._scaled
        out[:, top : top + height, left : left + width] = frames
        return out

    def positions(self, positions: np.ndarray) -> np.ndarray:
        """(..., 2) pixels of the image -> pixels of the network's image."""
        factor = np.divide(self._scaled, self.shape)
        return (np.asarray(positions, np.float64) + 0.5) * factor - 0.5 + self._offset

    def undo_positions(self, positions: np.ndarray) -> np.ndarray:
        """(..., 2) pixels of the network's image -> pixels of the image."""
        factor = np.divide(self._scaled, self.shape)
        return (np.asarray(positions, np.float64) - self._offset + 0.5) / factor - 0.5


def scale_intensity(frames: np.ndarray, intensity: str) -> np.ndarray:
    """(T, H, W) -> float32 in [0, 1]: over the whole cine ("file", as the published pipeline does) or each "frame".

    ValueError for constant images, which have no range.
    """
    frames = np.asarray(frames, dtype=np.float32)
    axes = {"file": (0, 1, 2), "frame": (1, 2)}[intensity]
    least, greatest = frames.min(axes, keepdims=True), frames.max(axes, keepdims=True)
    if (greatest <= least).any():
        raise ValueError("constant images have no intensity range")
    return (frames - least) / (greatest - least)


def predict_points(
    engine: Engine,
    images: np.ndarray,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> np.ndarray:
    """(T, rows, columns) float32 images as the network takes them -> (T, 10, 2) float64 pixels of these images.

    The raw values: a landmark the network takes for absent is at or near (0, 0) of the image it was shown.
    progress: called with (frames done, all). cancel: asked between batches; Cancelled when it says yes.
    """
    batch = CPU_BATCH[engine.name] if engine.device == "cpu" else GPU_BATCH
    points = []
    for start in range(0, len(images), batch):
        if cancel is not None and cancel():
            raise Cancelled("the prediction was cancelled")
        points.append(engine.run({"image": images[start : start + batch, None]})["points"])
        if progress is not None:
            progress(min(start + batch, len(images)), len(images))
    return np.concatenate(points).transpose(0, 2, 1).astype(np.float64)


def predict_coordinates(
    engine: Engine,
    frames: np.ndarray,
    spec: ModelSpec,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> np.ndarray:
    """(T, H, W) frames as read -> (T, 10, 2) float64 pixels of the frames, all ten landmarks, present or not.

    The published pipeline for images of 256 x 256; others go through `Fit`. To tell absent landmarks (near (0, 0)
    of the network's image) use `scale_intensity`, `Fit` and `predict_points`.
    """
    fit = Fit(frames.shape[1:], spec.input.size)
    images = fit.images(scale_intensity(frames, spec.input.intensity))
    return fit.undo_positions(predict_points(engine, images, progress, cancel))

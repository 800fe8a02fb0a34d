"""Where a patch of one frame lies in another: normalised cross-correlation, no network, no trajectory."""

from __future__ import annotations

import numpy as np

_PATCH_MM = 12.0
_SEARCH_MM = 9.0
#: finer pixels are thinned to about this (mm): a patch of them takes long and says no more
_PIXEL_MM = 1.2
#: below this the patch was not found again: it left the plane or has no texture
_LOWEST_CORRELATION = 0.6


class PatchTracker:
    """The frames (T, H, W) of a cine, made ready. spacing: (2,) mm."""

    def __init__(self, frames: np.ndarray, spacing: np.ndarray) -> None:
        from scipy.ndimage import gaussian_filter

        every = np.maximum(np.round(_PIXEL_MM / np.asarray(spacing)).astype(int), 1)
        self._every, pixel = every, np.asarray(spacing) * every
        self._half = np.maximum(np.round(_PATCH_MM / pixel).astype(int), 3)
        self._reach = np.maximum(np.round(_SEARCH_MM / pixel).astype(int), 2)
        # beyond the border an image repeats its edge; no patch is lost there
        self._margin = self._half + self._reach + 2
        smooth = gaussian_filter(np.asarray(frames, dtype=np.float64), (0, *(0.7 * every)))
        smooth = smooth[:, :: every[0], :: every[1]]
        self._padded = np.pad(smooth, ((0, 0), (self._margin[0],) * 2, (self._margin[1],) * 2), mode="edge")

    def find(self, source: int, target: int, start: np.ndarray) -> np.ndarray | None:
        """(2,) pixels in frame `target` of what lies at `start`, a place in the image, in frame `source`; None where
        it is not found. Sought about `start`: a guess of where it went must not lead the search."""
        half, reach = self._half, self._reach
        start = np.asarray(start) / self._every
        whole = np.round(start).astype(int)
        fraction = start - whole
        centre = whole + self._margin
        patch = _around(self._padded[source], centre, half)
        field = _around(self._padded[target], centre, half + reach)
        centred = patch - patch.mean()
        energy = (centred**2).sum()
        if energy <= 1e-12 * max(float((patch**2).sum()), 1e-300):
            return None
        windows = np.lib.stride_tricks.sliding_window_view(field, patch.shape)
        places = windows.shape[:2]
        windows = windows.reshape(-1, patch.size)
        variance = np.einsum("ij,ij->i", windows, windows) - windows.sum(1) ** 2 / patch.size
        correlation = windows @ centred.ravel() / np.sqrt(np.maximum(variance, 1e-9 * energy) * energy)
        correlation = correlation.reshape(places)
        row, column = np.unravel_index(np.argmax(correlation), correlation.shape)
        if correlation[row, column] < _LOWEST_CORRELATION:
            return None
        if not (0 < row < correlation.shape[0] - 1 and 0 < column < correlation.shape[1] - 1):
            return None
        refined = np.array([row, column], dtype=float)
        for axis, line in enumerate(
            (correlation[row - 1 : row + 2, column], correlation[row, column - 1 : column + 2])
        ):
            curvature = line[0] - 2 * line[1] + line[2]
            if curvature < 0:
                refined[axis] += 0.5 * (line[0] - line[2]) / curvature
        return (whole + fraction + refined - reach) * self._every


def _around(image: np.ndarray, centre: np.ndarray, half: np.ndarray) -> np.ndarray:
    return image[centre[0] - half[0] : centre[0] + half[0] + 1, centre[1] - half[1] : centre[1] + half[1] + 1]

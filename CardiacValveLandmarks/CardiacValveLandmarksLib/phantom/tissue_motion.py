"""Where the tissue that an image shows was at end-diastole, so that its texture moves as it does.

Texture that stayed in place while walls move would tell whoever follows the image's motion that nothing moves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .anatomy import HEART_MIDDLE, HEART_REACH

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from ..geometry import SliceGeometry
    from .heart import Heart

#: displacements are found at places this far apart, mm, and are linear between them
_STEP_MM = 6.0
#: SD of their weight's core, mm: within it two places of the walls count alike
_CORE_MM = 2.0


def tissue_displacement(points: np.ndarray, rest: Heart, now: Heart) -> np.ndarray:
    """How far the tissue that is now at points (N, 3) has moved, mm, heart coordinates: (N, 3), between the places of
    the walls that are known (`Heart.tissue`) by inverse distance to the fourth power (Shepard 1968)."""
    from scipy.spatial.distance import cdist

    places, before = now.tissue(), rest.tissue()
    around = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3).astype(float)
    around = np.delete(around, 13, axis=0)
    still = HEART_MIDDLE + HEART_REACH * around / np.linalg.norm(around, axis=1, keepdims=True)
    known = np.concatenate([places, still])
    moved = np.concatenate([places - before, np.zeros_like(still)]).astype(np.float32)
    weight = cdist(points, known, "sqeuclidean").astype(np.float32)
    weight += np.float32(_CORE_MM**2)
    np.power(weight, -2, out=weight)
    return weight @ moved / weight.sum(1, keepdims=True)


def texture_sampler(geometry: SliceGeometry, shape: tuple[int, int], pixels: np.ndarray, displacement) -> csr_array:
    """(n, H * W) matrix that takes a flat texture as it lies at end-diastole to where it is now, at these n pixels
    (flat indices), linearly between pixels; through-plane motion is left out.

    displacement: patient mm of points (N, 3) LPS mm -> (N, 3).
    """
    from scipy import ndimage
    from scipy.sparse import csr_array

    step = np.maximum(np.round(_STEP_MM / geometry.spacing), 1)
    count = np.ceil((np.array(shape) - 1) / step).astype(int) + 1
    grid = np.stack(np.meshgrid(*[np.arange(n) * s for n, s in zip(count, step, strict=True)], indexing="ij"), -1)
    moved = displacement(geometry.to_patient(grid.reshape(-1, 2)))
    shifts = (moved @ geometry.directions.T / geometry.spacing).reshape(*count, 2)
    at = np.stack(np.unravel_index(pixels, shape)).astype(float)
    own = np.stack([ndimage.map_coordinates(shifts[..., axis], at / step[:, None], order=1) for axis in (0, 1)])
    last = np.array(shape)[:, None] - 1
    source = np.clip(at - own, 0, last)
    low = np.minimum(source.astype(int), last - 1)
    part = source - low
    rows = np.arange(len(pixels))
    corners = [(i, j) for i in (0, 1) for j in (0, 1)]
    weights = [(part[0] if i else 1 - part[0]) * (part[1] if j else 1 - part[1]) for i, j in corners]
    columns = [(low[0] + i) * shape[1] + low[1] + j for i, j in corners]
    values = np.concatenate(weights).astype(np.float32)
    return csr_array((values, (np.tile(rows, 4), np.concatenate(columns))), shape=(len(pixels), shape[0] * shape[1]))

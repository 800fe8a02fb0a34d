"""Where the heart lies in an image, told from the landmarks a network marked in some frames of it."""

from __future__ import annotations

import itertools

import numpy as np

#: valve points and apex of one heart lie within this (mm) of one another along either axis of an image
HEART_MM = 175.0


def middle_of_heart(places: np.ndarray, weights: np.ndarray, room: np.ndarray) -> np.ndarray | None:
    """The middle (2,) between the outermost of the landmarks that lie together within `room` (2,) pixels: of all such
    sets the one with the most weight, so that a maximum far from the heart does not pull. None where nothing is there.

    places (T, L, 2), weights (T, L), 0 where a landmark is not seen.
    """
    seen = np.flatnonzero(weights.sum(0))
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)  # of frames, for each landmark
    typical = (apart * weights[None]).sum(1)
    typical[weights == 0] = np.inf
    place, weight = places[typical.argmin(0), np.arange(len(typical[0]))], weights.sum(0)
    best, most = None, 0.0
    for count in range(len(seen), 0, -1):
        for chosen in itertools.combinations(seen, count):
            low, high = place[list(chosen)].min(0), place[list(chosen)].max(0)
            total = float(weight[list(chosen)].sum())
            if total > most and (high - low <= room).all():
                best, most = (low + high) / 2, total
    return best

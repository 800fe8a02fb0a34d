"""One path through the beat: of the places a landmark could be in each frame, those that follow one another."""

from __future__ import annotations

import numpy as np

#: a beat has at least so many
MIN_FRAMES = 5
#: maxima that are kept in each frame, and of the mean over the beat, which stands in where a frame shows none
_CANDIDATES, _MEAN_CANDIDATES = 5, 3
#: usual displacement from frame to frame, mm a beat divided by the frames of it: the fastest hinge of the synthetic
#: heart (25 mm in a third of the beat) makes nearly twice that at its peak
SPEED_MM = 80.0
#: a step costs no more than this (log units): within the beat about as much as three frames without any sign of the
#: landmark, since a hinge does not jump; from the last frame to the first less, since a cine may not hold a whole beat
_DEAREST, _DEAREST_CLOSING = 20.0, 6.0
_FLOOR = 1e-3


def _maxima(image: np.ndarray, count: int) -> np.ndarray:
    """(K, 2) pixels of the largest local maxima of an image, K <= count, at least one."""
    from scipy import ndimage

    top = np.flatnonzero((ndimage.maximum_filter(image, 5) == image) & (image > _FLOOR))
    if not top.size:
        top = np.array([image.argmax()])
    best = top[np.argsort(image.ravel()[top])[::-1][:count]]
    return np.stack(np.unravel_index(best, image.shape), axis=1)


def beat_path(maps: np.ndarray, pixel_mm: float) -> np.ndarray:
    """Heat-maps (T, H, W) of one landmark over a beat -> (T, 2) pixels: the likeliest closed path over their maxima.

    Maximises the sum over frames of log(heat-map) - min(step² / 2 s², 20) with s = SPEED_MM / T, the step from the last
    frame to the first included, which costs 6 at most (Viterbi's algorithm, once for every possible start).
    """
    from scipy import ndimage

    frames = len(maps)
    shared = _maxima(maps.mean(0), _MEAN_CANDIDATES)
    widest = ndimage.maximum_filter(maps, (1, 5, 5))
    places, gains = [], []
    for frame, image in enumerate(maps):
        own = _maxima(image, _CANDIDATES)
        both = np.concatenate([own, shared])
        value = np.concatenate([image[tuple(own.T)], np.minimum(widest[frame][tuple(shared.T)], image.max())])
        places.append(both)
        gains.append(np.log(np.maximum(value, _FLOOR)))
    sigma = SPEED_MM / frames / pixel_mm

    def cost(before: np.ndarray, after: np.ndarray, dearest: float) -> np.ndarray:
        step = ((before[:, None] - after[None]) ** 2).sum(-1)
        return np.minimum(step / (2 * sigma**2), dearest)

    best, chosen = -np.inf, None
    steps = [cost(places[-1], places[0], _DEAREST_CLOSING)]
    steps += [cost(places[frame - 1], places[frame], _DEAREST) for frame in range(1, frames)]
    for start in range(len(places[0])):
        score = np.full(len(places[0]), -np.inf)
        score[start] = gains[0][start]
        came = []
        for frame in range(1, frames):
            total = score[:, None] - steps[frame]
            came.append(total.argmax(0))
            score = total.max(0) + gains[frame]
        last = int((score - steps[0][:, start]).argmax())
        value = score[last] - steps[0][last, start]
        if value > best:
            trail = [last]
            for back in reversed(came):
                trail.append(int(back[trail[-1]]))
            best, chosen = value, trail[::-1]
    return np.array([places[frame][index] for frame, index in enumerate(chosen)], dtype=float)

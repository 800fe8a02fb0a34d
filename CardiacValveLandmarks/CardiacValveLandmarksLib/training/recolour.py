"""Images of one heart recoloured like those of another: by the intensity curve that goes from the one to the other
where both show the same place.

A few corrected cines show few hearts. The synthetic heart has any number, in other contrasts; recoloured, each of them
shows what a new contrast looks like in another anatomy.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from ..landmarks import APEX, VALVE_LANDMARKS, VIEWS

#: places of a heart to compare: along the mitral valve from its middle (its width is 1) and from there to the apex (1)
_ACROSS, _ALONG = np.linspace(-0.9, 1.9, 36), np.linspace(-0.7, 1.3, 36)
_PLACES = np.stack(np.meshgrid(_ACROSS, _ALONG, indexing="ij"), -1).reshape(-1, 2)
#: the mitral valve's two points in each view
_MITRAL = {
    view: [point.index for point in VALVE_LANDMARKS if point.valve == "mitral" and view in point.views]
    for view in VIEWS
}
_KNOTS = 6
#: pixels, SD of the blur before: a steep curve would make noise of a little noise
_BLUR = 0.8
_LEAST_PLACES = 200


def heart_intensities(image: np.ndarray, landmarks: np.ndarray, view: str) -> np.ndarray | None:
    """(n,) of an image (H, W) at the places of a heart, NaN beyond its border. landmarks: (11, 2) pixels; None where
    they have no mitral valve or apex."""
    one, other = landmarks[_MITRAL[view]]
    middle, apex = (one + other) / 2, landmarks[APEX.index]
    if not np.isfinite([middle, apex]).all():
        return None
    at = middle + _PLACES[:, :1] * (other - one) + _PLACES[:, 1:] * (apex - middle)
    return map_coordinates(image.astype(np.float32), at.T, order=1, mode="constant", cval=np.nan)


def intensity_curve(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Knots (source intensity, rising; target intensity) of the curve that makes the one look like the other.

    source, target: (n,) intensities at the same places of two hearts (`heart_intensities`). The places fit only
    roughly, which mixes tissues and would take away contrast: the target's medians tell the order in which source
    intensities come, the target's own quantiles how bright each is. None where too little is seen of both.
    """
    seen = np.isfinite(source) & np.isfinite(target)
    if seen.sum() < _LEAST_PLACES:
        return None
    source, target = source[seen], target[seen]
    edges = np.unique(np.quantile(source, np.linspace(0, 1, _KNOTS + 1)))
    part = np.clip(np.searchsorted(edges, source, side="right") - 1, 0, len(edges) - 2)
    parts = [part == index for index in range(len(edges) - 1) if (part == index).any()]
    if len(parts) < 2:
        return None
    medians = np.array([np.median(target[one]) for one in parts])
    shares = np.array([one.mean() for one in parts])
    order = np.argsort(medians, kind="stable")
    ranks = np.empty(len(parts))
    ranks[order] = np.cumsum(shares[order]) - shares[order] / 2
    return np.array([source[one].mean() for one in parts]), np.quantile(target, ranks)


def recolour(image: np.ndarray, curve: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The image (H, W), slightly blurred, through the curve, which goes on level beyond its ends; float32."""
    return np.interp(gaussian_filter(image.astype(np.float32), _BLUR), *curve).astype(np.float32)

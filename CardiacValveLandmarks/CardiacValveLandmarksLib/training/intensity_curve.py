"""Intensity curves from corrected cines to what a model was trained on, by which it sees a contrast it does not know.

Tissues are much the same in all hearts; how bright each is depends on the sequence. Where a corrected image and the
synthetic heart show the same place, a curve is fitted from the one's intensities to the other's; looked at through it,
the image is one of those that the model knows. As the first stage of Karani et al. (Medical Image Analysis 2021) does,
which adapts a small network of intensities and leaves the one behind it alone; here it is a curve of six knots.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import map_coordinates

from ..landmarks import APEX, VALVE_LANDMARKS, VIEWS
from ..models.intensity import Curve

#: places of a heart to compare: along the mitral valve from its middle (its width is 1) and from there to the apex (1)
_ACROSS, _ALONG = np.linspace(-0.9, 1.9, 36), np.linspace(-0.7, 1.3, 36)
_PLACES = np.stack(np.meshgrid(_ACROSS, _ALONG, indexing="ij"), -1).reshape(-1, 2)
#: the mitral valve's two points in each view
_MITRAL = {
    view: [point.index for point in VALVE_LANDMARKS if point.valve == "mitral" and view in point.views]
    for view in VIEWS
}
_KNOTS = 6
_LEAST_PLACES = 200
#: scaled intensities between two knots; less is an even image
_LEAST_STEP = 1e-3


def heart_intensities(image: np.ndarray, landmarks: np.ndarray, view: str) -> np.ndarray | None:
    """(n,) of an image (H, W) at the places of a heart, NaN beyond its border. landmarks: (11, 2) pixels; None where
    they have no mitral valve or apex."""
    one, other = landmarks[_MITRAL[view]]
    middle, apex = (one + other) / 2, landmarks[APEX.index]
    if not np.isfinite([middle, apex]).all():
        return None
    at = middle + _PLACES[:, :1] * (other - one) + _PLACES[:, 1:] * (apex - middle)
    return map_coordinates(image.astype(np.float32), at.T, order=1, mode="constant", cval=np.nan)


def intensity_curve(source: np.ndarray, target: np.ndarray) -> Curve | None:
    """The curve that makes the one look like the other.

    source, target: (n,) intensities at the same places of two hearts (`heart_intensities`). The places fit only
    roughly, which mixes tissues and would take away contrast: the target's medians tell the order in which source
    intensities come, the target's own quantiles how bright each is. None where too little is seen of both, or the
    source is even.
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
    knots = np.array([source[one].mean() for one in parts])
    if (np.diff(knots) < _LEAST_STEP).any():
        return None
    return tuple(zip(knots.tolist(), np.quantile(target, ranks).tolist(), strict=True))


def usual_hearts(images: np.ndarray, landmarks: np.ndarray, views: Sequence[str]) -> dict[str, np.ndarray]:
    """View -> (n,) the median heart of images (N, H, W) with landmarks (N, 11, 2), for `intensity_curve`."""
    seen: dict[str, list[np.ndarray]] = {}
    for image, points, view in zip(images, landmarks, views, strict=True):
        if (heart := heart_intensities(image, points, view)) is not None:
            seen.setdefault(view, []).append(np.nan_to_num(heart))
    return {view: np.median(hearts, axis=0) for view, hearts in seen.items()}


def curves_to_usual(cines: Sequence[tuple[np.ndarray, np.ndarray, str]], usual: dict[str, np.ndarray]) -> list[Curve]:
    """The curves worth trying: of each cine alone, and of all together. cines: images (n, H, W), landmarks (n, 11, 2)
    and view of each; usual: as of `usual_hearts`."""
    pairs = []
    for images, landmarks, view in cines:
        hearts = [heart_intensities(image, points, view) for image, points in zip(images, landmarks, strict=True)]
        hearts = [heart for heart in hearts if heart is not None]
        if hearts and view in usual:
            pairs.append((np.concatenate(hearts), np.tile(usual[view], len(hearts))))
    together = [tuple(np.concatenate(part) for part in zip(*pairs, strict=True))] if len(pairs) > 1 else []
    curves = [intensity_curve(*pair) for pair in (*pairs, *together)]
    return [curve for curve in curves if curve is not None]

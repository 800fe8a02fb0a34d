"""From heat-maps to points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: a landmark is present where its heat-map reaches this, unless a model was calibrated (Xue 2021)
PRESENCE = 0.1
#: a softmax is nowhere 0; less than this is
_FLOOR = 0.002


@dataclass(frozen=True)
class Peaks:
    """positions (..., 2) pixels (row, column); peak (...) the largest probability; mass (...) the heat-map's sum."""

    positions: np.ndarray
    peak: np.ndarray
    mass: np.ndarray


def decode(maps: np.ndarray, reach: int = 6) -> Peaks:
    """Heat-maps (..., H, W) of probabilities -> sub-pixel peaks.

    The position is the mean of the blob around the maximum above half of it, weighted by the excess (Xue 2021 takes
    the blob above half the maximum; the weights make it sub-pixel). The blob is looked for within `reach` pixels, so
    that a second peak elsewhere does not pull.
    """
    height, width = maps.shape[-2:]
    flat = maps.reshape(-1, height, width)
    best = flat.reshape(len(flat), -1).argmax(1)
    rows, columns = np.divmod(best, width)
    peak = flat[np.arange(len(flat)), rows, columns]
    offsets = np.arange(-reach, reach + 1)
    padded = np.pad(flat, ((0, 0), (reach, reach), (reach, reach)))
    r = rows[:, None] + offsets + reach
    c = columns[:, None] + offsets + reach
    patch = padded[np.arange(len(flat))[:, None, None], r[:, :, None], c[:, None, :]]
    weight = np.clip(patch - 0.5 * peak[:, None, None], 0, None)
    total = np.maximum(weight.sum((1, 2)), 1e-12)
    position = np.stack(
        [rows + (weight.sum(2) * offsets).sum(1) / total, columns + (weight.sum(1) * offsets).sum(1) / total], axis=1
    )
    lead = maps.shape[:-2]
    return Peaks(position.reshape(*lead, 2), peak.reshape(lead), flat.sum((1, 2)).reshape(lead))


def spread(maps: np.ndarray, positions: np.ndarray, reach: float) -> np.ndarray:
    """How widely heat-maps (..., H, W) are strewn about positions (..., 2): (...) pixels, RMS distance of their mass,
    what lies further than `reach` counted as there. Second maxima widen it as well as a flat one does."""
    height, width = maps.shape[-2:]
    flat, at = maps.reshape(-1, height, width), np.reshape(positions, (-1, 2)).astype(np.float32)
    rows, columns = np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32)
    result = np.empty(len(flat))
    for index, (image, (row, column)) in enumerate(zip(flat, at, strict=True)):
        squared = (rows - row)[:, None] ** 2 + (columns - column) ** 2
        mass = np.where(image > _FLOOR, image, 0)
        result[index] = np.sqrt((mass * np.minimum(squared, reach**2)).sum() / max(mass.sum(), _FLOOR))
    return result.reshape(maps.shape[:-2])


def decode_blob(maps: np.ndarray) -> Peaks:
    """Heat-maps (..., H, W) -> points by the published rule (Xue 2021): the mean of the pixels, connected with the
    maximum, that are above half of it. Whole pixels count alike, so it is less fine than `decode`."""
    from scipy import ndimage  # a fifth of a second, for models that are read by this rule

    height, width = maps.shape[-2:]
    flat = maps.reshape(-1, height, width)
    best = flat.reshape(len(flat), -1).argmax(1)
    peak = flat.reshape(len(flat), -1)[np.arange(len(flat)), best]
    position = np.empty((len(flat), 2))
    for number, (image, at, half) in enumerate(zip(flat, best, peak / 2, strict=True)):
        blobs, _ = ndimage.label(image > half)
        position[number] = np.argwhere(blobs == blobs.flat[at]).mean(0) if peak[number] > 0 else divmod(at, width)
    lead = maps.shape[:-2]
    return Peaks(position.reshape(*lead, 2), peak.reshape(lead), flat.sum((1, 2)).reshape(lead))


def published_decision(maps: np.ndarray, presence: float = PRESENCE) -> np.ndarray:
    """Heat-maps (..., H, W) -> positions (..., 2) pixels by the published rule: a landmark is there where its map
    reaches `presence`, at `decode_blob`; elsewhere NaN (the publication writes -1)."""
    found = decode_blob(maps)
    return np.where((found.peak >= presence)[..., None], found.positions, np.nan)


def consensus(positions: np.ndarray, weights: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The robust mean of an ensemble: geometric median first, then the weighted mean of the members near it.

    positions (R, ..., 2), weights (R, ...) >= 0; reach in the positions' unit. Returns mean (..., 2), spread (...)
    (weighted RMS distance of all members from the mean) and share (...) of the weight that is near the mean.
    """
    weights = np.maximum(weights, 1e-6)
    centre = np.median(positions, axis=0)
    for _ in range(8):  # Weiszfeld
        distance = np.maximum(np.linalg.norm(positions - centre, axis=-1), 1e-3)
        pull = (weights / distance)[..., None]
        centre = (positions * pull).sum(0) / pull.sum(0)
    near = np.linalg.norm(positions - centre, axis=-1) <= reach
    kept = weights * near
    total = kept.sum(0)
    mean = np.where(
        (total > 0)[..., None], (positions * kept[..., None]).sum(0) / np.maximum(total, 1e-9)[..., None], centre
    )
    distance = np.linalg.norm(positions - mean, axis=-1)
    spread = np.sqrt((weights * distance**2).sum(0) / weights.sum(0))
    return mean, spread, total / weights.sum(0)

"""The intensity scaling of heat-map models, the same in training and detection."""

from __future__ import annotations

import numpy as np

from .shading import even_out, log_shading
from .spec import BRIGHTEST

#: knots (intensity, another intensity) of a curve between scaled intensities, the first rising; level beyond its ends
Curve = tuple[tuple[float, float], ...]


def bright_level(images: np.ndarray) -> float:
    """What "percentile" divides images by: their 99th percentile."""
    return float(np.percentile(images, 99))


def through_curve(images: np.ndarray, curve: Curve) -> np.ndarray:
    """Scaled intensities (...) after the curve; float32."""
    return np.interp(images, *np.transpose(curve)).astype(np.float32)


def scale_windows(
    images: np.ndarray,
    intensity: str,
    spacing_mm: float = 1.0,
    curve: Curve | None = None,
    bright: float | None = None,
) -> np.ndarray:
    """Windows (T, H, W) of one cine -> float32 as the catalogue's `intensity` says (models.spec.InputSpec).

    "percentile": divided by the 99th percentile, clipped to [0, 1.5]. "file", "frame": least to greatest value of all
    or of each window to [0, 1]. "evened": coil shading, estimated on the mean frame, divided out, then as "frame".
    spacing_mm: of the windows' pixels. curve: the scaled intensities go through it and are scaled once more. bright:
    what "percentile" divides by at first, None: the images' own. Without a curve constant windows become 0, and with
    "percentile" those that are not above 0 nearly anywhere.
    """
    if curve is not None:
        scaled = scale_windows(images, intensity, spacing_mm, bright=bright)
        return scale_windows(through_curve(scaled, curve), intensity, spacing_mm)
    if intensity == "percentile":
        bright = bright_level(images) if bright is None else bright
        if bright <= 0:
            return np.zeros(images.shape, np.float32)
        return np.clip(images / bright, 0, BRIGHTEST).astype(np.float32)
    if intensity == "evened":
        images = even_out(images, log_shading(images.mean(0), spacing_mm))
    axes = (0, 1, 2) if intensity == "file" else (1, 2)
    low, high = images.min(axes, keepdims=True), images.max(axes, keepdims=True)
    span = high - low
    return ((images - low) / np.where(span > 0, span, 1)).astype(np.float32)

"""The intensity scaling of heat-map models, the same in training and detection."""

from __future__ import annotations

import numpy as np

from .shading import even_out, log_shading


def scale_windows(images: np.ndarray, intensity: str, spacing_mm: float = 1.0) -> np.ndarray:
    """Windows (T, H, W) of one cine -> float32 as the catalogue's `intensity` says (models.spec.InputSpec).

    "percentile": divided by the 99th percentile, clipped to [0, 1.5]. "file", "frame": least to greatest value of all
    or of each window to [0, 1]. "evened": coil shading, estimated on the mean frame, divided out, then as "frame".
    spacing_mm: of the windows' pixels. Constant windows become 0, and with
    "percentile" those that are not above 0 nearly anywhere.
    """
    if intensity == "percentile":
        bright = float(np.percentile(images, 99))
        if bright <= 0:
            return np.zeros(images.shape, np.float32)
        return np.clip(images / bright, 0, 1.5).astype(np.float32)
    if intensity == "evened":
        images = even_out(images, log_shading(images.mean(0), spacing_mm))
    axes = (0, 1, 2) if intensity == "file" else (1, 2)
    low, high = images.min(axes, keepdims=True), images.max(axes, keepdims=True)
    span = high - low
    return ((images - low) / np.where(span > 0, span, 1)).astype(np.float32)

"""The intensity scaling of heat-map models, the same in training and detection."""

from __future__ import annotations

import numpy as np

from .shading import even_out, log_shading


def scale_windows(images: np.ndarray, intensity: str, spacing_mm: float = 1.0) -> np.ndarray:
    """Windows (T, H, W) of one cine -> float32 as the catalogue's `intensity` says (models.spec.InputSpec).

    "percentile": divided by the 99th percentile, clipped to [0, 1.5]. "file", "frame": least to greatest value of all
    or of each window to [0, 1]. "evened": coil shading, estimated on the mean frame, divided out, then as "frame".
    spacing_mm: of the windows' pixels. Constant windows become 0.
    """
    if intensity == "percentile":
        return np.clip(images / max(float(np.percentile(images, 99)), 1e-6), 0, 1.5).astype(np.float32)
    if intensity == "evened":
        images = even_out(images, log_shading(images.mean(0), spacing_mm))
    axes = (0, 1, 2) if intensity == "file" else (1, 2)
    low, high = images.min(axes, keepdims=True), images.max(axes, keepdims=True)
    return ((images - low) / np.maximum(high - low, 1e-6)).astype(np.float32)

"""What a heat-map network answers, checked: a map of another size or scale would be read as places that are wrong."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..errors import ModelError
from .spec import ModelSpec

#: half-precision weights may leave [0, 1] by this
_ROUNDING = 0.02


def heatmaps_of(spec: ModelSpec, answer: Mapping[str, np.ndarray], images: np.ndarray) -> np.ndarray:
    """(B, L, H, W) probabilities of the model's landmarks for images (B, 1, H, W), without the background.

    ModelError unless the answer is (B, L + 1, H, W), finite, and in [0, 1].
    """
    maps, count = answer["heatmaps"], len(spec.landmarks)
    expected = (len(images), count + 1, *images.shape[2:])
    if maps.shape != expected:
        raise ModelError(spec.path, f"heat-maps of shape {expected} (landmarks and background)", f"{maps.shape}")
    if not np.isfinite(maps).all():
        raise ModelError(spec.path, "finite heat-maps", "NaN or infinity")
    if maps.min() < -_ROUNDING or maps.max() > 1 + _ROUNDING:
        found = f"values from {maps.min():.3g} to {maps.max():.3g}"
        raise ModelError(spec.path, "probabilities, as after a softmax", found, "Export it with its softmax.")
    return maps[:, :count]

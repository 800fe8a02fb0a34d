"""Losses of the heat-map network. torch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def gaussian_targets(landmarks: Tensor, size: tuple[int, int], sigma: float) -> Tensor:
    """(B, L, 2) pixels, NaN absent -> (B, L + 1, H, W): Gaussians and a background that sum to 1 in each pixel."""
    rows = torch.arange(size[0], device=landmarks.device).float()
    columns = torch.arange(size[1], device=landmarks.device).float()
    present = ~landmarks.isnan().any(-1)
    at = torch.nan_to_num(landmarks)
    by_row = torch.exp(-0.5 * ((rows - at[..., :1]) / sigma) ** 2)
    by_column = torch.exp(-0.5 * ((columns - at[..., 1:]) / sigma) ** 2)
    peaks = by_row[..., :, None] * by_column[..., None, :] * present[..., None, None]
    total = peaks.sum(1, keepdim=True)
    return torch.cat([peaks / total.clamp(min=1), (1 - total).clamp(min=0)], 1)


def heatmap_loss(logits: Tensor, targets: Tensor, present: Tensor) -> dict[str, Tensor]:
    """The terms of the loss. logits, targets (B, L + 1, H, W); present (B, L) bool.

    pixels: KL divergence over the channels in each pixel (Xue 2021), landmark pixels weighted up, which are one in
    a hundred. dice: soft Dice (Xue 2021) over the landmarks that are present. place: for each present landmark, KL
    divergence over the pixels between its normalised target and normalised heat-map: it sharpens the position.
    """
    log_p = functional.log_softmax(logits, 1)
    near = 1 - targets[:, -1]
    entropy = torch.special.entr(targets).sum(1)
    divergence = -(targets * log_p).sum(1) - entropy
    weight = 1 + 12 * near
    pixels = (divergence * weight).sum() / weight.sum()
    p = log_p[:, :-1].exp()
    t = targets[:, :-1]
    overlap = (p * t).sum((2, 3))
    dice = 1 - (2 * overlap + 1e-2) / ((p * p).sum((2, 3)) + (t * t).sum((2, 3)) + 1e-2)
    flat_t = t.flatten(2)
    flat_t = flat_t / flat_t.sum(-1, keepdim=True).clamp(min=1e-6)
    log_q = functional.log_softmax(log_p[:, :-1].flatten(2), -1)
    place = -(flat_t * log_q).sum(-1) - torch.special.entr(flat_t).sum(-1)
    count = present.sum().clamp(min=1)
    return {"pixels": pixels, "dice": (dice * present).sum() / count, "place": (place * present).sum() / count}

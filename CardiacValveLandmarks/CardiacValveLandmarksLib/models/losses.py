"""Losses of the heat-map networks. torch."""

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


def pixel_divergence(log_p: Tensor, targets: Tensor, emphasis: float = 0.0) -> Tensor:
    """KL divergence over the channels, mean over the pixels (Xue 2021). log_p, targets (B, L + 1, H, W).

    emphasis: how much more a pixel counts the more it belongs to a landmark; such pixels are one in a hundred.
    """
    divergence = -(targets * log_p).sum(1) - torch.special.entr(targets).sum(1)
    weight = 1 + emphasis * (1 - targets[:, -1])
    return (divergence * weight).sum() / weight.sum()


def soft_dice(p: Tensor, targets: Tensor, present: Tensor) -> Tensor:
    """1 - soft Dice (Xue 2021), mean over the landmarks that are there. p, targets (B, L, H, W); present (B, L)."""
    overlap = (p * targets).sum((2, 3))
    dice = 1 - (2 * overlap + 1e-2) / ((p * p).sum((2, 3)) + (targets * targets).sum((2, 3)) + 1e-2)
    return (dice * present).sum() / present.sum().clamp(min=1)


def heatmap_loss(logits: Tensor, targets: Tensor, present: Tensor) -> dict[str, Tensor]:
    """The terms of the built-in model's loss. logits, targets (B, L + 1, H, W); present (B, L) bool.

    pixels: pixel_divergence, landmark pixels weighted up. dice: soft_dice. place: for each present landmark, KL
    divergence over the pixels between its normalised target and normalised heat-map: it sharpens the position.
    """
    log_p = functional.log_softmax(logits, 1)
    flat_t = targets[:, :-1].flatten(2)
    flat_t = flat_t / flat_t.sum(-1, keepdim=True).clamp(min=1e-6)
    log_q = functional.log_softmax(log_p[:, :-1].flatten(2), -1)
    place = -(flat_t * log_q).sum(-1) - torch.special.entr(flat_t).sum(-1)
    return {
        "pixels": pixel_divergence(log_p, targets, emphasis=12.0),
        "dice": soft_dice(log_p[:, :-1].exp(), targets[:, :-1], present),
        "place": (place * present).sum() / present.sum().clamp(min=1),
    }


def published_loss(logits: Tensor, targets: Tensor, present: Tensor) -> dict[str, Tensor]:
    """The loss of Xue et al. 2021: KL divergence and soft Dice, added. Arguments as in heatmap_loss."""
    log_p = functional.log_softmax(logits, 1)
    return {
        "divergence": pixel_divergence(log_p, targets),
        "dice": soft_dice(log_p[:, :-1].exp(), targets[:, :-1], present),
    }

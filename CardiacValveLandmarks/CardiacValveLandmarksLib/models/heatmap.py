"""The heat-map network: a small U-Net that marks every landmark, and says which view it sees.

After Xue et al. (Radiology: Artificial Intelligence 2021): Gaussian heat-maps with a background channel, softmax over
the channels. Differences, each for a small CPU: the first layer trades resolution for channels, heat-maps are
computed at half the input's resolution and interpolated, blocks are residual, the encoder's early norms half instance
norms; a known view can be told to the network; a second head says which view it is. This module needs torch; running
the exported model does not.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

#: the tensors of an exported model
IMAGE, VIEW, HEATMAPS, VIEW_PROBABILITIES = "image", "view", "heatmaps", "view_probabilities"


class _HalfInstanceNorm(nn.Module):
    """Instance norm of the first half of the channels, batch norm of the rest (IBN-Net, Pan et al., ECCV 2018): half
    of what the early layers see does not depend on an image's contrast, so that unseen contrasts matter less."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.half = channels // 2
        self.instance = nn.InstanceNorm2d(self.half, affine=True)
        self.batch = nn.BatchNorm2d(channels - self.half)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.instance(x[:, : self.half]), self.batch(x[:, self.half :])], 1)


class _Block(nn.Module):
    """Two 3x3 convolutions with a norm (batch, or half instance) and a residual path."""

    def __init__(self, before: int, after: int, stride: int = 1, instance: bool = False) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.norm1 = _HalfInstanceNorm(after) if instance else nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)
        self.skip = nn.Conv2d(before, after, 1, stride, bias=False) if before != after or stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = functional.leaky_relu(self.norm1(self.first(x)), 0.1)
        return functional.leaky_relu(self.norm2(self.second(y)) + self.skip(x), 0.1)


class HeatmapNet(nn.Module):
    """image (B, 1, H, W) scaled as the catalogue says, H and W multiples of 16; view (B, 3) one-hot or zeros for
    unknown -> heat-map logits (B, landmarks + 1, H, W), the last channel background; view logits (B, classes)."""

    def __init__(self, landmarks: int = 11, classes: int = 5, widths: tuple[int, ...] = (24, 56, 96, 160)) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.stem = nn.Conv2d(4, widths[0], 3, 1, 1, bias=False)
        self.stem_norm = _HalfInstanceNorm(widths[0])
        last = len(widths) - 2
        self.down = nn.ModuleList(
            [_Block(widths[0], widths[0], instance=True)]
            + [_Block(a, b, 2, instance=level < last) for level, (a, b) in enumerate(pairwise(widths))]
        )
        self.bottom = _Block(widths[-1], widths[-1])
        self.told = nn.Linear(3, widths[-1])
        self.up = nn.ModuleList(_Block(b + a, a) for a, b in zip(widths[-2::-1], widths[:0:-1], strict=True))
        self.head = nn.Conv2d(widths[0], landmarks + 1, 1)
        self.view_head = nn.Sequential(nn.Linear(2 * widths[-1], 64), nn.LeakyReLU(0.1), nn.Linear(64, classes))

    def coarse(self, image: Tensor, view: Tensor) -> tuple[Tensor, Tensor]:
        """As forward, with heat-map logits at half resolution (B, landmarks + 1, H / 2, W / 2), as they are trained:
        pixel i of theirs is centred on 2 i + 0.5 of the image."""
        x = functional.leaky_relu(self.stem_norm(self.stem(functional.pixel_unshuffle(image, 2))), 0.1)
        kept = []
        for block in self.down:
            x = block(x)
            kept.append(x)
        x = self.bottom(x)
        # the view head does not hear what the user said of the view, so that it can contradict it
        pooled = torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1)
        x = x + self.told(view)[:, :, None, None]
        for block, skip in zip(self.up, kept[-2::-1], strict=True):
            x = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = block(torch.cat([x, skip], dim=1))
        return self.head(x), self.view_head(pooled)

    def forward(self, image: Tensor, view: Tensor) -> tuple[Tensor, Tensor]:
        logits, views = self.coarse(image, view)
        return functional.interpolate(logits, scale_factor=2.0, mode="bilinear", align_corners=False), views


class ExportedHeatmapNet(nn.Module):
    """The network as it is exported: probabilities instead of logits."""

    def __init__(self, net: HeatmapNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor, view: Tensor) -> tuple[Tensor, Tensor]:
        heatmaps, views = self.net(image, view)
        return heatmaps.softmax(1), views.softmax(1)

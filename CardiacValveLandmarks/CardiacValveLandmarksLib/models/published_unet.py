"""The U-Net of Xue et al. (Radiology: Artificial Intelligence 2021) as FORMATS section 2 describes it. Needs torch.

Levels that halve the resolution, blocks of two 3x3 convolutions with batch norm and LeakyReLU at each, connections
across, softmax over landmarks and background. The number of levels, their widths and the blocks a level are settings.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def _block(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [nn.Conv2d(channels, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(0.1)]
    return nn.Sequential(*layers)


def _level(before: int, after: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(_block(before, after), *(_block(after, after) for _ in range(blocks - 1)))


class PublishedUNet(nn.Module):
    """image (B, 1, H, W) in [0, 1], H and W multiples of 2 to the number of levels less one -> logits
    (B, landmarks + 1, H, W), the last channel background."""

    def __init__(self, landmarks: int, widths: tuple[int, ...] = (32, 64, 128, 256), blocks: int = 3) -> None:
        super().__init__()
        before = (1, *widths[:-1])
        self.down = nn.ModuleList(_level(a, b, blocks) for a, b in zip(before, widths, strict=True))
        self.up = nn.ModuleList(
            _level(widths[i + 1] + widths[i], widths[i], blocks) for i in reversed(range(len(widths) - 1))
        )
        self.head = nn.Conv2d(widths[0], landmarks + 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        x, kept = image, []
        for number, level in enumerate(self.down):
            x = level(x if number == 0 else functional.max_pool2d(x, 2))
            kept.append(x)
        for level, across in zip(self.up, kept[-2::-1], strict=True):
            x = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = level(torch.cat([x, across], 1))
        return self.head(x)


class Probabilities(nn.Module):
    """The network as it is exported: probabilities in place of logits."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> Tensor:
        return self.net(image).softmax(1)

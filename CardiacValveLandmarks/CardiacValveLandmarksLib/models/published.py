"""The published valve-landmark network (MONAI model zoo `valve_landmarks` 0.5) in plain torch.

Its tensors have the published names and shapes, so that the published weights load as they are; importing MONAI
would cost three times importing torch. Structure as described in the bundle's own scripts (KCL-BMEIS, MIT): five
levels of a dense block of three dilated residual units, each followed by a strided convolution, then one small
head a landmark. Written here anew.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

#: side of the only image the network takes: its heads are linear in 256 channels of 4 x 4
SIZE = 256
CHANNELS = (8, 16, 32, 64, 128)
DILATIONS = (1, 2, 4)
N_POINTS = 10


def block_channels(channels_in: int, channels_out: int) -> tuple[int, int, int]:
    """Channels each of the three units of a dense block adds; the last takes the remainder."""
    third, rest = divmod(channels_out - channels_in, 3)
    return third, third, third + rest


def _convolution(channels_in: int, channels_out: int, stride: int = 1, dilation: int = 1, bare: bool = False):
    """3 x 3 convolution, instance norm without parameters, PReLU of one slope; `bare` is the convolution alone."""
    parts = OrderedDict(
        conv=nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=dilation, dilation=dilation)
    )
    if not bare:
        parts["adn"] = nn.Sequential(OrderedDict(N=nn.InstanceNorm2d(channels_out), A=nn.PReLU()))
    return nn.Sequential(parts)


class _ResidualUnit(nn.Module):
    def __init__(self, channels_in: int, channels_out: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            OrderedDict(
                unit0=_convolution(channels_in, channels_out, dilation=dilation),
                unit1=_convolution(channels_out, channels_out, dilation=dilation),
            )
        )
        self.residual = nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x) + self.residual(x)


class _DenseBlock(nn.Module):
    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        for number, (added, dilation) in enumerate(
            zip(block_channels(channels_in, channels_out), DILATIONS, strict=True)
        ):
            self.add_module(f"layers{number}", _ResidualUnit(channels_in, added, dilation))
            channels_in += added

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for unit in self.children():
            x = torch.cat([x, unit(x)], 1)
        return x


class _Heads(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        features = 2 * channels * (SIZE // 2 ** (len(CHANNELS) + 1)) ** 2
        for number in range(N_POINTS):
            head = nn.Sequential(
                _convolution(channels, 2 * channels, stride=2, bare=True), nn.Flatten(), nn.Linear(features, 2)
            )
            self.add_module(f"catmodule_{number}", head)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([head(x) for head in self.children()], 1)


class PublishedNetwork(nn.Module):
    """(N, 1, 256, 256) image in [0, 1] -> (N, 2, 10) pixels; row 0 = image axis 0, row 1 = image axis 1."""

    def __init__(self) -> None:
        super().__init__()
        levels = OrderedDict()
        channels_in = 1
        for level, channels in enumerate(CHANNELS):
            last = level == len(CHANNELS) - 1
            levels[f"layer_{level}"] = nn.Sequential(
                _DenseBlock(channels_in, channels), _convolution(channels, channels, stride=2, bare=last)
            )
            channels_in = channels
        self.net = nn.Sequential(levels)
        self.final = nn.Sequential(_Heads(channels_in))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        # the published network lays the heads' 20 numbers end to end and then cuts them into two rows of ten,
        # so a head is not a landmark; kept, because the weights were trained that way
        return self.final(self.net(image)).reshape(-1, 2, N_POINTS)

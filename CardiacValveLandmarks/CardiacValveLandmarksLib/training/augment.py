"""Augmentation of batches on the fly: geometry with landmarks moved exactly, then appearance. torch, on the device the
generator is of, which is that of the images."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from ..models.spec import BRIGHTEST


def _uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=generator, device=generator.device) * (high - low) + low


def _normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, device=generator.device)


def random_affine(
    images: Tensor,
    landmarks: Tensor,
    size: int,
    generator: torch.Generator,
    *,
    shift: float,
    scale: float,
    mirror: Tensor,
    bend: float = 0.0,
    zoom: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Any rotation, a shift of up to `shift` pixels, `zoom` times a log-uniform scale of up to 1 ± `scale`, mirror
    images, and a smooth deformation: up to `bend` pixels SD at the 7 x 7 nodes of a field over the cut.

    images (B, 1, S, S), landmarks (B, L, 2) pixels (row, column), NaN absent; mirror (B,) bool.
    Returns images (B, 1, size, size) cut from the centre, and the landmarks' new positions; NaN outside the cut.
    """
    count, whole = len(images), images.shape[-1]

    uniform = partial(_uniform, generator)
    angle = uniform(0, 2 * math.pi, count)
    larger = torch.exp(uniform(-math.log1p(scale), math.log1p(scale), count, 1)) * torch.exp(
        uniform(-0.06, 0.06, count, 2)
    )
    offset = uniform(-shift, shift, count, 2)
    # output pixel -> input pixel: p_in = A (p_out - centre_out + offset) + centre_in
    cos, sin = torch.cos(angle), torch.sin(angle)
    turn = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    matrix = turn @ torch.diag_embed(1 / (zoom * larger))
    matrix[:, :, 1] *= torch.where(mirror, -1.0, 1.0)[:, None]
    moved = torch.einsum("bij,blj->bli", torch.linalg.inv(matrix), landmarks - (whole - 1) / 2)
    moved = moved - offset[:, None] + (size - 1) / 2
    field = _smooth_field(count, size, bend, generator) if bend else None
    if field is not None:  # an output pixel q shows what lies at q + field(q): solve for the landmark's q
        target = torch.nan_to_num(moved, nan=(size - 1) / 2)
        place = target
        for _ in range(8):
            at = (place.flip(-1)[:, :, None] + 0.5) * (2 / size) - 1
            shift_there = functional.grid_sample(field, at, "bilinear", "border", align_corners=False)
            place = target - shift_there[..., 0].transpose(1, 2)
        moved = torch.where(moved.isnan(), torch.nan, place)
    outside = ((moved < 1) | (moved > size - 2)).any(-1, keepdim=True)
    moved = torch.where(outside | moved.isnan(), torch.nan, moved)

    pixels = torch.arange(size, device=images.device).float()
    grid = torch.stack(torch.meshgrid(pixels, pixels, indexing="ij"), -1)
    bent = grid + field.permute(0, 2, 3, 1) if field is not None else grid.expand(count, -1, -1, -1)
    source = torch.einsum("bij,bhwj->bhwi", matrix, bent - (size - 1) / 2)
    source = source + torch.einsum("bij,bj->bi", matrix, offset)[:, None, None]
    normalised = source.flip(-1) * (2 / whole)  # grid_sample wants (x, y), and [-1, 1] over the pixel edges
    return functional.grid_sample(images, normalised, "bilinear", "zeros", align_corners=False), moved


def _smooth_field(count: int, size: int, bend: float, generator: torch.Generator) -> Tensor:
    """(B, 2, size, size) displacements (row, column) in pixels."""
    strength = _uniform(generator, 0, bend, count, 1, 1, 1)
    coarse = _normal(generator, count, 2, 7, 7) * strength
    return functional.interpolate(coarse, (size, size), mode="bicubic", align_corners=True)


def random_appearance(images: Tensor, generator: torch.Generator, restyle: float = 0.0) -> Tensor:
    """Gamma, smooth shading, blur, patches, noise, and the robust rescaling of inference. images (B, 1, S, S).
    restyle: share of them that goes through `random_style` before."""
    count = len(images)

    uniform = partial(_uniform, generator)
    if restyle:
        images = random_style(images, generator, restyle)
    images = images.clamp(min=0) ** torch.exp(uniform(-0.35, 0.35, count, 1, 1, 1))
    coarse = _normal(generator, count, 1, 4, 4) * uniform(0, 0.25, count, 1, 1, 1)
    images = images * torch.exp(functional.interpolate(coarse, images.shape[-2:], mode="bicubic", align_corners=True))
    soft = functional.avg_pool2d(functional.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    amount = torch.where(uniform(0, 1, count, 1, 1, 1) < 0.35, uniform(-0.5, 0.9, count, 1, 1, 1), 0.0)
    images = (images + amount * (soft - images)).clamp(min=0)
    images = random_patches(rescale(images), generator, 0.4)
    images = images + _normal(generator, *images.shape) * uniform(0, 0.05, count, 1, 1, 1) * (
        uniform(0, 1, count, 1, 1, 1) < 0.5
    )
    return rescale(images)


def random_style(images: Tensor, generator: torch.Generator, share: float) -> Tensor:
    """Give this share of the images (B, 1, S, S) other intensities and textures for the same shapes: mixed with what a
    random network of four convolutions (1 x 1 or 3 x 3, two channels) makes of them, as bright as before, never below 0
    (Ouyang et al., IEEE TMI 2023;42(4):1095, global intensity non-linear augmentation)."""
    count, size = len(images), images.shape[-1]
    uniform = partial(_uniform, generator)
    x = images - images.mean((2, 3), keepdim=True)
    widths = (1, 2, 2, 2, 1)
    for layer, (before, after) in enumerate(pairwise(widths)):
        side = 1 + 2 * int(torch.randint(2, (1,), generator=generator, device=generator.device))
        kernels = _normal(generator, count * after, before, side, side)
        offsets = _normal(generator, count * after) * 0.1
        x = functional.conv2d(x.reshape(1, -1, size, size), kernels, offsets, padding=side // 2, groups=count)
        x = x.reshape(count, after, size, size)
        if layer < len(widths) - 2:
            x = functional.leaky_relu(x, 0.01)
    centred = x - x.mean((2, 3), keepdim=True)
    restyled = centred * (images.std((2, 3), keepdim=True) / centred.std((2, 3), keepdim=True).clamp(min=1e-6))
    mean = images.mean((2, 3), keepdim=True)
    amount = uniform(0, 1, count, 1, 1, 1)
    amount = torch.where(uniform(0, 1, count, 1, 1, 1) < share, amount, 0.0)
    return (images + amount * (restyled + mean - images)).clamp(min=0)


def random_patches(images: Tensor, generator: torch.Generator, share: float) -> Tensor:
    """Hide what is in up to three round patches of this share of the images under speckle, as turbulent blood or an
    artefact does, so that a landmark must be told from its surroundings too. images (B, 1, S, S)."""
    count, size = len(images), images.shape[-1]

    uniform = partial(_uniform, generator)
    middle = uniform(0.2 * size, 0.8 * size, count, 3, 2)
    radius = uniform(2, 0.09 * size, count, 3) * (uniform(0, 1, count, 3) < 0.6) * (uniform(0, 1, count, 1) < share)
    at = torch.arange(size, device=images.device).float()
    squared = (at[:, None] - middle[..., :1, None]) ** 2 + (at - middle[..., 1:, None]) ** 2
    inside = torch.exp(-((squared / radius.clamp(min=1e-3)[..., None, None] ** 2) ** 2))
    cover = (inside * (radius > 0)[..., None, None]).amax(1, keepdim=True) * uniform(0.5, 1.0, count, 1, 1, 1)
    level, contrast = uniform(0.1, 1.2, count, 1, 1, 1), uniform(0, 0.6, count, 1, 1, 1)
    speckle = functional.avg_pool2d(_normal(generator, *images.shape), 3, 1, 1) * 2
    return images + cover * (level * (1 + contrast * speckle).clamp(min=0) - images)


def rescale(images: Tensor) -> Tensor:
    """The intensity scaling of the heat-map network: each image divided by its 99th percentile, clipped to [0, 1.5]."""
    flat = images.flatten(1)
    top = torch.quantile(flat[:, ::3].float(), 0.99, dim=1).clamp(min=1e-6)
    return (images / top[:, None, None, None]).clamp(0, BRIGHTEST)

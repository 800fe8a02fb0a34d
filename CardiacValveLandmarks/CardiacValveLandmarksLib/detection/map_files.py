"""Pictures and files of a model's maps: overlays as PNG, the maps in the cine's own pixels and geometry."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..cine import Cine
from ..files import atomic_open
from ..landmarks import LANDMARKS, VALVE_COLOURS, LandmarkSeries
from ..overlay import draw_frame, region_of_interest

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = ("_saliency.png", "_heatmaps.png", "_maps.npz", "_saliency.nii.gz", "_heatmaps.nii.gz")
#: saliency is drawn in full at this quantile of its frame
_FULL = 0.999
_OPACITY = 0.85


def saliency_tint(saliency: np.ndarray) -> np.ndarray:
    """(H, W) -> (H, W, 4) RGBA: from transparent through red to yellow, full at the frame's 99.9th percentile."""
    full = max(float(np.quantile(saliency, _FULL)), 1e-12)
    value = np.clip(saliency / full, 0, 1)
    # the square root shows what is weak as well: saliency falls off over decades
    return np.stack([np.ones_like(value), value, np.zeros_like(value), _OPACITY * np.sqrt(value)], -1)


def heatmap_tint(heatmaps: np.ndarray) -> np.ndarray:
    """(11, H, W) -> (H, W, 4) RGBA: each landmark in its valve's colour, as opaque as it is probable."""
    colours = np.array([VALVE_COLOURS[landmark.valve] for landmark in LANDMARKS])
    total = np.maximum(heatmaps.sum(0), 1e-6)
    mixed = np.tensordot(heatmaps, colours, axes=(0, 0)) / total[..., None]
    return np.concatenate([mixed, _OPACITY * np.clip(heatmaps.max(0), 0, 1)[..., None]], -1)


def draw_map(cine: Cine, landmarks: LandmarkSeries | None, frame: int, tint: np.ndarray, caption: str = "") -> Image:
    """A frame with a tint over it, around the landmarks; beside it the frame with the landmarks alone."""
    from PIL import Image

    shown = LandmarkSeries.empty(cine.n_frames) if landmarks is None else landmarks
    crop = region_of_interest(cine, shown)
    # points would hide what the map shows of them
    bare = LandmarkSeries.empty(cine.n_frames)
    parts = (
        draw_frame(cine, bare, frame, crop=crop, caption=caption, tint=tint),
        draw_frame(cine, shown, frame, crop=crop),
    )
    sheet = Image.new("RGB", (sum(part.width for part in parts), parts[0].height))
    sheet.paste(parts[0], (0, 0))
    sheet.paste(parts[1], (parts[0].width, 0))
    return sheet


def write_sheet(images: Sequence[Image], path: str | os.PathLike) -> None:
    """Pictures below one another as a PNG, whole or not at all."""
    from PIL import Image

    sheet = Image.new("RGB", (max(image.width for image in images), sum(image.height for image in images)))
    top = 0
    for image in images:
        sheet.paste(image, (0, top))
        top += image.height
    with atomic_open(path, "wb") as stream:
        sheet.save(stream, format="PNG")


def write_maps(
    cine: Cine, frames: Sequence[int], saliency: np.ndarray, heatmaps: np.ndarray | None, folder: Path, name: str
) -> list[Path]:
    """NAME_maps.npz (frames (n,), saliency (n, H, W), heatmaps (n, 11, H, W) where the model has them) and, as NIfTI
    with the cine's geometry, NAME_saliency.nii.gz and NAME_heatmaps.nii.gz (the largest of the landmarks in a pixel).
    """
    from ..nifti_writer import write_nifti

    maps = {"saliency": saliency} | ({} if heatmaps is None else {"heatmaps": heatmaps})
    written = [folder / f"{name}_maps.npz"]
    with atomic_open(written[0], "wb") as stream:
        np.savez_compressed(stream, frames=np.asarray(frames), **maps)
    times = cine.times_ms[list(frames)] if cine.times_ms is not None and len(frames) > 1 else None
    for kind, values in maps.items():
        image = cine.replace(frames=values.max(1) if values.ndim == 4 else values, times_ms=times)
        written.append(folder / f"{name}_{kind}.nii.gz")
        write_nifti(image, written[-1])
    return written

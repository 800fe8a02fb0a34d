"""Pictures of a cine with its landmarks. Needs pillow, imported late."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from .cine import Cine
from .files import atomic_open
from .landmarks import VALVE_COLOURS, LandmarkSeries, Provenance, in_view

if TYPE_CHECKING:
    from PIL.Image import Image

#: a point with less confidence is drawn hollow
DOUBTFUL = 0.5
_TARGET_PIXELS = 420


def grey_levels(image: np.ndarray, cine: np.ndarray) -> np.ndarray:
    """An image as uint8: white at the 99.5th percentile of the cine, black at 0 or, where most of it lies below, at the
    0.5th."""
    top = float(np.percentile(cine, 99.5))
    low = 0.0 if top > 0 else float(np.percentile(cine, 0.5))
    return np.clip((image - low) / ((top - low) or 1.0) * 255, 0, 255).astype(np.uint8)


def _colour(valve: str | None) -> tuple[int, int, int]:
    return tuple(round(255 * value) for value in VALVE_COLOURS[valve])


def draw_frame(
    cine: Cine,
    landmarks: LandmarkSeries,
    frame: int,
    *,
    crop: tuple[slice, slice] | None = None,
    caption: str = "",
    tint: np.ndarray | None = None,
) -> Image:
    """One frame as a PIL RGB image, about 420 pixels high, square pixels in mm where the spacing is known.

    A point is a disc in its valve's colour with its number: hollow where doubtful (confidence under 0.5), with a
    white ring where placed by hand. Array axis 0 runs down, axis 1 to the right. tint: (H, W, 4) RGBA in [0, 1] of the
    whole frame, laid over the image and under the points.
    """
    from PIL import Image, ImageDraw, ImageFont

    rows, columns = crop or (slice(0, cine.shape[0]), slice(0, cine.shape[1]))
    # brightness by what is shown: fat near the coil outside would darken the heart
    grey = grey_levels(cine.frames[frame, rows, columns], cine.frames[:, rows, columns])
    spacing = cine.spacing if cine.spacing is not None else np.ones(2)
    height, width = grey.shape
    factor = _TARGET_PIXELS / (height * spacing[0])
    size = (max(1, round(width * spacing[1] * factor)), _TARGET_PIXELS)
    image = Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC).convert("RGB")
    if tint is not None:
        laid = Image.fromarray(np.round(np.clip(tint[rows, columns], 0, 1) * 255).astype(np.uint8), "RGBA")
        image.paste(laid.convert("RGB").resize(size), mask=laid.getchannel("A").resize(size))
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(14)
    scale = np.array([size[1] / height, size[0] / width])
    shown = in_view(landmarks.view) if landmarks.view else ()
    for landmark in shown:
        if not landmarks.present[frame, landmark.index]:
            continue
        position = landmarks.positions[frame, landmark.index] - [rows.start, columns.start]
        y, x = (position + 0.5) * scale
        colour = _colour(landmark.valve)
        doubtful = landmarks.confidence[frame, landmark.index] < DOUBTFUL
        box = (x - 4, y - 4, x + 4, y + 4)
        draw.ellipse(box, outline=colour, width=2) if doubtful else draw.ellipse(box, fill=colour)
        if landmarks.provenance[frame, landmark.index] == Provenance.MANUAL:
            draw.ellipse((x - 7, y - 7, x + 7, y + 7), outline="white")
        draw.text((x + 7, y - 9), str(landmark.number), fill=colour, font=font, stroke_width=1, stroke_fill="black")
    if caption:
        draw.text((5, 4), caption, fill="white", font=font, stroke_width=1, stroke_fill="black")
    return image


def region_of_interest(cine: Cine, landmarks: LandmarkSeries, margin_mm: float = 45.0) -> tuple[slice, slice]:
    """Rows and columns around all landmarks with a margin; the whole image where there are none."""
    points = landmarks.positions[landmarks.present]
    if not len(points):
        return slice(0, cine.shape[0]), slice(0, cine.shape[1])
    margin = margin_mm / (cine.spacing if cine.spacing is not None else np.full(2, 1.4))
    low = np.maximum(np.floor(points.min(0) - margin), 0).astype(int)
    high = np.minimum(np.ceil(points.max(0) + margin) + 1, cine.shape).astype(int)
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))


def _caption(cine: Cine, landmarks: LandmarkSeries, frame: int) -> str:
    time = f" {cine.times_ms[frame]:.0f} ms" if cine.times_ms is not None else ""
    return f"{landmarks.view or 'view not recognised'}  {frame + 1}/{cine.n_frames}{time}"


def write_picture(cine: Cine, landmarks: LandmarkSeries, path: str | os.PathLike, columns: int = 4) -> None:
    """A PNG of eight frames spread over the cycle, around the landmarks. Whole or not at all."""
    from PIL import Image

    crop = region_of_interest(cine, landmarks)
    frames = np.unique(np.linspace(0, cine.n_frames, 8, endpoint=False).astype(int))
    tiles = [
        draw_frame(cine, landmarks, int(frame), crop=crop, caption=_caption(cine, landmarks, int(frame)))
        for frame in frames
    ]
    width, height = tiles[0].size
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (width * min(columns, len(tiles)), height * rows))
    for index, tile in enumerate(tiles):
        sheet.paste(tile, (index % columns * width, index // columns * height))
    with atomic_open(path, "wb") as stream:
        sheet.save(stream, format="PNG")


def write_animation(cine: Cine, landmarks: LandmarkSeries, path: str | os.PathLike) -> None:
    """A GIF of the whole cycle, at the speed of the heart slowed to half. Whole or not at all."""
    crop = region_of_interest(cine, landmarks)
    images = [
        draw_frame(cine, landmarks, frame, crop=crop, caption=_caption(cine, landmarks, frame)).quantize(128)
        for frame in range(cine.n_frames)
    ]
    cycle = cine.rr_ms or 1000.0
    with atomic_open(path, "wb") as stream:
        images[0].save(
            stream, format="GIF", save_all=True, append_images=images[1:], loop=0,
            duration=max(20, round(2 * cycle / cine.n_frames)),
        )  # fmt: skip

"""The files of a short-axis detection: NAME_sax.csv, .json and .png. Each is written whole or not at all."""

from __future__ import annotations

import csv
import json
import os

import numpy as np

from ..cine import Cine
from ..files import atomic_open
from ..overlay import grey_levels
from ..short_axis import ANTERIOR, ARVI_DEFINITION, CENTRE, SHORT_AXIS_POINTS
from .files import listed, model_facts
from .short_axis import ShortAxisResult

#: major.minor; a reader refuses another major
SCHEMA_VERSION = "1.0"
COLUMNS = (
    "frame", "time_ms", "point", "name", "present", "probability", "row_px", "column_px",
    "x_lps_mm", "y_lps_mm", "z_lps_mm", "arvi_image_deg", "arvi_patient_deg",
)  # fmt: skip
#: of the points as drawn, RGB: Okabe and Ito's palette
_COLOURS = ((230, 159, 0), (86, 180, 233), (240, 228, 66))
_LINE = (0, 158, 115)


def write_csv(cine: Cine, result: ShortAxisResult, path: str | os.PathLike) -> None:
    """A row for each frame and point; absent ones have empty positions, and the A-RVI angles of the frame stand in the
    row of the anterior insertion. Columns: COLUMNS; frames count from 0."""
    angles = (result.arvi_image, result.arvi_patient)
    patient = cine.geometry.to_patient(result.positions) if cine.geometry is not None else None
    with atomic_open(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for frame in range(cine.n_frames):
            time = f"{cine.times_ms[frame]:.3f}" if cine.times_ms is not None else ""
            for index, point in enumerate(SHORT_AXIS_POINTS):
                pixel = result.positions[frame, index]
                present = bool(np.isfinite(pixel).all())
                place = patient[frame, index] if present and patient is not None else None
                turns = [angle[frame] if angle is not None and index == ANTERIOR else np.nan for angle in angles]
                writer.writerow([
                    frame, time, point.number, point.name, int(present), f"{result.probability[frame, index]:.4f}",
                    *((f"{value:.4f}" for value in pixel) if present else ("", "")),
                    *((f"{value:.4f}" for value in place) if place is not None else ("", "", "")),
                    *(f"{turn:.2f}" if np.isfinite(turn) else "" for turn in turns),
                ])  # fmt: skip


def to_json(cine: Cine, result: ShortAxisResult) -> dict:
    """Everything about a short-axis detection as JSON types."""
    geometry = cine.geometry
    return {
        "schema_version": SCHEMA_VERSION,
        "cine": {
            "name": cine.name,
            "frames": cine.n_frames,
            "shape": list(cine.shape),
            "spacing_mm": listed(cine.spacing),
            "times_ms": listed(cine.times_ms),
        },
        "model": model_facts(result.model, result.engine),
        "settings": dict(result.settings),
        "warnings": list(result.warnings),
        "points": [
            {"number": point.number, "key": point.key, "name": point.name, "definition": point.definition}
            for point in SHORT_AXIS_POINTS
        ],
        "positions_px": listed(result.positions),
        "positions_lps_mm": listed(geometry.to_patient(result.positions), 4) if geometry is not None else None,
        "probability": listed(result.probability, 4),
        "arvi": {
            "definition": ARVI_DEFINITION,
            "image_degrees": listed(result.arvi_image, 2),
            "patient_degrees": listed(result.arvi_patient, 2),
        },
    }


def write_json(cine: Cine, result: ShortAxisResult, path: str | os.PathLike) -> None:
    """`to_json` as a file."""
    with atomic_open(path) as stream:
        json.dump(to_json(cine, result), stream, indent=1, ensure_ascii=False, allow_nan=False)
        stream.write("\n")


def write_picture(cine: Cine, result: ShortAxisResult, path: str | os.PathLike) -> None:
    """A PNG of eight frames with the points and the line whose direction is the A-RVI angle. Needs pillow."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(14)
    frames = np.unique(np.linspace(0, cine.n_frames, 8, endpoint=False).astype(int))
    spacing = cine.spacing if cine.spacing is not None else np.ones(2)
    scale = spacing / spacing.min() * max(1.0, 300 / max(cine.shape))
    size = tuple(round(side) for side in (np.array(cine.shape) * scale)[::-1])
    sheet = Image.new("RGB", (size[0] * min(4, len(frames)), size[1] * -(-len(frames) // 4)))
    for number, frame in enumerate(frames):
        tile = (
            Image.fromarray(grey_levels(cine.frames[frame], cine.frames))
            .resize(size, Image.Resampling.BICUBIC)
            .convert("RGB")
        )
        draw = ImageDraw.Draw(tile)
        at = (result.positions[frame] + 0.5) * scale
        if np.isfinite(at[[ANTERIOR, CENTRE]]).all():
            draw.line([tuple(at[CENTRE][::-1]), tuple(at[ANTERIOR][::-1])], fill=_LINE)
        for place, colour in zip(at, _COLOURS, strict=True):
            if np.isfinite(place).all():
                y, x = place
                draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=colour)
        angle = result.arvi_image[frame]
        text = f"A-RVI {angle:.0f}°" if np.isfinite(angle) else "no A-RVI"
        draw.text(
            (4, 4), f"{frame + 1}/{cine.n_frames}  {text}", fill="white", font=font, stroke_width=1, stroke_fill="black"
        )
        sheet.paste(tile, (number % 4 * size[0], number // 4 * size[1]))
    with atomic_open(path, "wb") as stream:
        sheet.save(stream, format="PNG")

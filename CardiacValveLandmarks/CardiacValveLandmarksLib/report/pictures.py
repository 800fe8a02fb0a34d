"""Pictures of a cine for the report: one frame with the landmarks' paths, and the moving beat. Needs pillow."""

from __future__ import annotations

import io

import numpy as np

from ..cine import Cine
from ..landmarks import VALVE_COLOURS
from ..overlay import draw_frame, region_of_interest
from ..study import Study, StudyView

_HEIGHT = 340
_GREYS = 160


def nearest_frame(view: StudyView, own_phase: float) -> int:
    """The frame nearest to a phase of the view's own beat."""
    return int(np.argmin(np.abs((view.phases - own_phase + 0.5) % 1.0 - 0.5)))


def _moment(study: Study, view: StudyView, common: float) -> int:
    paths = [t for t in study.trajectories if t.view == view.view]
    return nearest_frame(view, float(paths[0].warp(common)) % 1.0 if paths else common)


def moments(study: Study, view: StudyView) -> list[tuple[str, int]]:
    """("ED" | "ES", frame index) of the study's common beat in this view; the first frame where neither is known."""
    known = [(name, phase) for name, phase in (("ED", study.ed_phase), ("ES", study.es_phase)) if np.isfinite(phase)]
    return [(name, _moment(study, view, phase)) for name, phase in known] or [("first frame", 0)]


def orientation_letters(view: StudyView) -> tuple[str, str, str, str]:
    """What lies at the picture's left, right, top and bottom: L, R, A, P, H (head), F (feet); two where oblique."""
    letters = []
    for direction in (-view.geometry.axis1, view.geometry.axis1, -view.geometry.axis0, view.geometry.axis0):
        unit = direction / np.linalg.norm(direction)
        named = sorted(
            ((abs(x), (plus if x > 0 else minus)) for x, plus, minus in zip(unit, "LPH", "RAF", strict=True)),
            reverse=True,
        )
        letters.append("".join(letter for size, letter in named[:2] if size > 0.35))
    return tuple(letters)


def still(study: Study, view: StudyView, cine: Cine, frame: int, caption: str) -> bytes:
    """PNG: the frame with its landmarks, the landmarks' paths over the beat, and where the patient's sides lie."""
    from PIL import ImageDraw, ImageFont

    crop = region_of_interest(cine, view.landmarks)
    image = draw_frame(cine, view.landmarks, frame, crop=crop, caption=caption)
    draw = ImageDraw.Draw(image)
    rows, columns = crop
    scale = np.array([image.height / (rows.stop - rows.start), image.width / (columns.stop - columns.start)])
    moved = next((s.vector for s in study.shifts if study.shifts_applied and s.view == view.view), np.zeros(3))
    for path in (t for t in study.trajectories if t.view == view.view):
        # the image and its points lie where they were acquired; paths may have been moved by the breath-hold shift
        pixels = view.geometry.to_pixels(path.evaluate(np.linspace(0, 1, 101)) - moved)
        y, x = ((pixels - [rows.start, columns.start] + 0.5) * scale).T
        colour = tuple(round(255 * c) for c in VALVE_COLOURS[path.landmark.valve])
        draw.line(list(zip(x.tolist(), y.tolist(), strict=True)), fill=colour, width=1)
    if not view.geometry_assumed:
        font = ImageFont.load_default(13)
        w, h = image.size
        places = ((4, h / 2, "lm"), (w - 4, h / 2, "rm"), (w / 2, 22, "mt"), (w / 2, h - 4, "mb"))
        for letters, (x, y, anchor) in zip(orientation_letters(view), places, strict=True):
            draw.text((x, y), letters, fill="white", anchor=anchor, font=font, stroke_width=1, stroke_fill="black")
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def _palette():
    """A palette image: greys, and each valve's colour mixed with black, grey and white as smooth edges have it.

    One fixed palette for all frames: no flicker, and the few coloured pixels keep their colours.
    """
    from PIL import Image

    greys = np.repeat(np.linspace(0, 255, _GREYS)[:, None], 3, axis=1)
    mixed = [
        255 * np.array(colour) * part + base * (1 - part)
        for colour in VALVE_COLOURS.values()
        for base in (0, 128, 255)
        for part in np.linspace(0.2, 1, 6)
    ]
    palette = np.zeros((256, 3), np.uint8)
    colours = np.vstack([greys, mixed]).round().astype(np.uint8)
    palette[: len(colours)] = colours
    image = Image.new("P", (1, 1))
    image.putpalette(palette.ravel().tolist())
    return image


def moving(view: StudyView, cine: Cine) -> bytes:
    """GIF of the whole beat at half its speed, around the landmarks."""
    from PIL import Image

    crop, palette = region_of_interest(cine, view.landmarks), _palette()
    images = []
    for frame in range(cine.n_frames):
        image = draw_frame(cine, view.landmarks, frame, crop=crop, caption=f"{frame + 1}/{cine.n_frames}")
        size = (max(1, round(image.width * _HEIGHT / image.height)), _HEIGHT)
        image = image.resize(size, Image.Resampling.LANCZOS)
        images.append(image.quantize(palette=palette, dither=Image.Dither.NONE))
    beat = view.rr_ms if np.isfinite(view.rr_ms) else 1000.0
    stream = io.BytesIO()
    images[0].save(
        stream,
        format="GIF",
        save_all=True,
        append_images=images[1:],
        loop=0,
        duration=max(20, round(2 * beat / cine.n_frames)),
    )
    return stream.getvalue()

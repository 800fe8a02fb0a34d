"""How landmarks are drawn in the panel: colour by valve, shape by side, rings and hollows by what is known of them."""

from __future__ import annotations

from functools import cache

import qt

from ..landmarks import VALVE_COLOURS, Provenance, by_number
from .controls import on_dark

#: corners of the shapes, in units of the radius; a side that is not here is a circle
_CORNERS = {
    "free wall": ((-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)),
    "anterior": ((0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)),
    "posterior": ((-1.1, -0.9), (1.1, -0.9), (0, 1.1)),
    None: ((0, -1.1), (1.1, 0.9), (-1.1, 0.9)),
}
_GREY = (0.55, 0.55, 0.55)


def colour_of(valve: str | None):
    """The valve's colour."""
    return _colour(VALVE_COLOURS[valve])


def _colour(rgb: tuple[float, float, float]):
    return qt.QColor(*(round(255 * part) for part in rgb))


def _outline(grey: int, dark: bool):
    """A grey for lines on a light table; its counterpart on a dark one."""
    return qt.QColor(*(3 * (255 - grey if dark else grey,)))


def pen_of(colour, width: float = 1.0):
    """A pen; PythonQt has no constructor for a colour and a width."""
    pen = qt.QPen()
    pen.setColor(colour)
    pen.setWidthF(width)
    return pen


def polygon(corners, x: float, y: float, radius: float):
    """A closed path of corners in units of `radius` around (x, y)."""
    path = qt.QPainterPath()
    path.moveTo(x + radius * corners[0][0], y + radius * corners[0][1])
    for across, down in corners[1:]:
        path.lineTo(x + radius * across, y + radius * down)
    path.closeSubpath()
    return path


def _shape(side: str | None, x: float, y: float, radius: float):
    if side in _CORNERS:
        return polygon(_CORNERS[side], x, y, radius)
    path = qt.QPainterPath()
    path.addEllipse(x - radius, y - radius, 2 * radius, 2 * radius)
    return path


def marker_icon(number: int, provenance: int, doubtful: bool):
    """A landmark's sign: hollow where it is doubtful, with a ring where it is manual, a grey outline where absent."""
    return _icon(number, provenance, doubtful, on_dark())


@cache
def _icon(number: int, provenance: int, doubtful: bool, dark: bool):
    landmark = by_number(number)
    size = 20
    pixmap = qt.QPixmap(size, size)
    pixmap.fill(qt.QColor(0, 0, 0, 0))
    painter = qt.QPainter()
    painter.begin(pixmap)
    painter.setRenderHint(qt.QPainter.Antialiasing)
    shape = _shape(landmark.side, size / 2, size / 2, 4.5)
    absent = provenance == Provenance.ABSENT
    colour = _colour(_GREY) if absent else colour_of(landmark.valve)
    if not absent and not doubtful:
        painter.fillPath(shape, qt.QBrush(colour))
    outline = _outline(70, dark) if not (absent or doubtful) else colour
    painter.setPen(pen_of(outline, 0.8 if not doubtful else 2.0))
    painter.drawPath(shape)
    if provenance == Provenance.MANUAL:
        painter.setPen(pen_of(_outline(40, dark), 1.2))
        painter.drawEllipse(1, 1, size - 3, size - 3)
    painter.end()
    return qt.QIcon(pixmap)

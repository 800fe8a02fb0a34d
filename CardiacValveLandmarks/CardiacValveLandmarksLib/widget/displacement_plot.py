"""A landmark's displacement over the beat, drawn into a label; a click goes to that frame.

The curve is painted on a pixmap with a QPainter, and the label's mouse is read through an event filter: PythonQt calls
a Python subclass's eventFilter with the event's own class (Slicer's script repository documents it for closing the
application), whereas overriding a widget's paintEvent from Python is not relied on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import qt

from .markers import colour_of, pen_of, polygon

_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 8, 18, 16
_UP = ((0, -1.1), (1.0, 0.8), (-1.0, 0.8))


@dataclass(frozen=True)
class PlotData:
    """What is drawn. values, path: (T,) displacement of the points and of the smooth path, NaN where absent.

    corrected, doubtful: (T,) bool. frame: the one shown. valve: whose colour. title, unit: words.
    """

    values: np.ndarray
    path: np.ndarray
    corrected: np.ndarray
    doubtful: np.ndarray
    frame: int
    valve: str | None
    title: str
    unit: str


class DisplacementPlot:
    """The plot in `label`. on_frame(frame) is called on a click."""

    def __init__(self, label, on_frame: Callable[[int], None]) -> None:
        self._label, self._on_frame = label, on_frame
        self._data: PlotData | None = None
        self._hint = ""
        self._events = _Events(self._clicked, self.draw)
        label.installEventFilter(self._events)

    def show(self, data: PlotData | None, hint: str = "") -> None:
        """Draw this, or, where there is nothing, the hint."""
        self._data, self._hint = data, hint
        self.draw()

    def release(self) -> None:
        self._label.removeEventFilter(self._events)

    def draw(self) -> None:
        width, height = max(self._label.width, 60), max(self._label.height, 60)
        pixmap = qt.QPixmap(width, height)
        pixmap.fill(qt.QColor(255, 255, 255))
        painter = qt.QPainter()
        painter.begin(pixmap)
        painter.setRenderHint(qt.QPainter.Antialiasing)
        if self._data is None:
            painter.setPen(pen_of(qt.QColor(110, 110, 110)))
            painter.drawText(_LEFT, height // 2, self._hint)
        else:
            _Drawing(painter, self._data, width, height).draw()
        painter.end()
        self._label.setPixmap(pixmap)

    def frame_at(self, x: int) -> int | None:
        """The frame at a column of pixels."""
        if self._data is None:
            return None
        frames = len(self._data.values)
        part = (x - _LEFT) / max(self._label.width - _LEFT - _RIGHT, 1)
        return int(np.clip(round(part * (frames - 1)), 0, frames - 1))

    def _clicked(self, x: int) -> None:
        frame = self.frame_at(x)
        if frame is not None:
            self._on_frame(frame)


class _Drawing:
    def __init__(self, painter, data: PlotData, width: int, height: int) -> None:
        self._painter, self._data = painter, data
        self._width, self._height = width, height
        known = np.concatenate([data.values, data.path])
        known = known[np.isfinite(known)]
        self._top = float(max(known.max() if known.size else 1.0, 1.0)) * 1.08

    def _x(self, frame: float) -> float:
        return _LEFT + frame * (self._width - _LEFT - _RIGHT) / max(len(self._data.values) - 1, 1)

    def _y(self, value: float) -> float:
        return self._height - _BOTTOM - value / self._top * (self._height - _TOP - _BOTTOM)

    def draw(self) -> None:
        data, painter = self._data, self._painter
        black, grey = qt.QColor(60, 60, 60), qt.QColor(215, 215, 215)
        painter.setPen(pen_of(grey))
        step = _round_step(self._top / 3)
        for value in np.arange(0, self._top, step):
            painter.setPen(pen_of(grey))
            painter.drawLine(_LEFT, round(self._y(value)), self._width - _RIGHT, round(self._y(value)))
            painter.setPen(pen_of(black))
            painter.drawText(4, round(self._y(value)) + 4, f"{value:g}")
        painter.drawText(_LEFT, 12, f"{data.title}, {data.unit}")
        painter.drawText(self._width - 62, self._height - 3, f"{data.frame + 1}/{len(data.values)}")
        painter.setPen(pen_of(qt.QColor(90, 90, 90), 1.2))
        painter.drawLine(round(self._x(data.frame)), _TOP, round(self._x(data.frame)), self._height - _BOTTOM)
        self._line(data.path, pen_of(qt.QColor(150, 150, 150), 1.2))
        self._line(data.values, pen_of(colour_of(data.valve).darker(115), 2.0))
        for frame in np.flatnonzero(np.isfinite(data.values)):
            x, y = self._x(frame), self._y(data.values[frame])
            if data.corrected[frame]:
                painter.fillPath(polygon(_UP, x, y, 5.5), qt.QBrush(black))
            if data.doubtful[frame]:
                painter.setPen(pen_of(qt.QColor(200, 40, 40), 1.6))
                painter.drawPath(polygon(_UP, x, y, 6.5))

    def _line(self, values: np.ndarray, pen) -> None:
        """A line that is interrupted where there is no value."""
        path = qt.QPainterPath()
        lifted = True
        for frame, value in enumerate(values):
            if not np.isfinite(value):
                lifted = True
                continue
            x, y = self._x(frame), self._y(float(value))
            if lifted:
                path.moveTo(x, y)
            else:
                path.lineTo(x, y)
            lifted = False
        self._painter.setPen(pen)
        self._painter.drawPath(path)


def _round_step(step: float) -> float:
    """The next larger of 1, 2, 5 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(max(step, 1e-6)))
    return float(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step))


class _Events(qt.QObject):
    """The label's mouse and size."""

    def __init__(self, clicked: Callable[[int], None], resized: Callable[[], None]) -> None:
        qt.QObject.__init__(self)
        self._clicked, self._resized = clicked, resized

    def eventFilter(self, watched, event):
        if event.type() == qt.QEvent.MouseButtonPress:
            # pos() is in Qt 5 and in Qt 6
            self._clicked(event.pos().x())
        elif event.type() == qt.QEvent.Resize:
            self._resized()
        return False

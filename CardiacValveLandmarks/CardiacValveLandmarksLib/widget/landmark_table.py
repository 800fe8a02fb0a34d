"""The table of landmarks: a row each, all views, for the frame shown."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import qt
from slicer.i18n import tr as _

from ..landmarks import LandmarkSeries, Provenance, by_number, in_view
from .controls import read_only_table, set_quietly
from .markers import marker_icon
from .review_data import ViewData

_NAME, _SOURCE, _CONFIDENCE, _DISTANCE, _ACTION = range(5)


class LandmarkTable:
    """Rows for the landmarks of some views. `rows`: (view, number) of each row.

    on_select(view, number): a row was chosen. on_action(view, number, "place" | "reset" | "absent"): its button.
    """

    def __init__(
        self, table, on_select: Callable[[str, int], None], on_action: Callable[[str, int, str], None]
    ) -> None:
        self._table, self._on_select, self._on_action = table, on_select, on_action
        self.rows: list[tuple[str, int]] = []
        self._buttons: list = []
        self._actions: list[str] = []
        self._shown: dict[str, tuple[int, np.ndarray]] = {}
        read_only_table(table, [_("landmark"), _("from"), _("conf."), _("off path"), ""], stretched=_NAME)
        table.itemSelectionChanged.connect(self._selected)

    def fill(self, views: list[str]) -> None:
        """Rows for these views, empty until `show`."""
        rows = [(view, landmark.number) for view in views for landmark in in_view(view)]
        self._shown.clear()
        if rows == self.rows:
            return
        self.rows = rows
        blocked = self._table.blockSignals(True)
        self._table.setRowCount(0)
        self._table.setRowCount(len(rows))
        self._buttons, self._actions = [], ["" for _row in rows]
        for row, (view, number) in enumerate(rows):
            name = _("{view} {landmark}").format(view=view, landmark=by_number(number).name)
            for column in range(_ACTION):
                item = qt.QTableWidgetItem(name if column == _NAME else "")
                self._table.setItem(row, column, item)
            button = qt.QPushButton()
            button.setFlat(True)
            button.clicked.connect(lambda *_, row=row: self._on_action(*self.rows[row], self._actions[row]))
            self._table.setCellWidget(row, _ACTION, button)
            self._buttons.append(button)
        self._table.blockSignals(blocked)

    def select(self, view: str, number: int) -> None:
        set_quietly(self._table, "selectRow", self.rows.index((view, number)))

    def _selected(self) -> None:
        row = self._table.currentRow()
        if 0 <= row < len(self.rows):
            self._on_select(*self.rows[row])

    def changed(self, view: str, series: LandmarkSeries, frame: int) -> tuple[str, int] | None:
        """The row whose point is another one than shown, if it is one."""
        shown_frame, positions = self._shown.get(view, (-1, None))
        if shown_frame != frame:
            return None
        moved = np.flatnonzero(~np.isclose(series.positions[frame], positions, equal_nan=True).all(1))
        return (view, int(moved[0]) + 1) if len(moved) == 1 else None

    def show(self, view: str, data: ViewData, frame: int) -> None:
        """The landmarks of a view in a frame."""
        self._shown[view] = frame, data.series.positions[frame]
        for row, (row_view, number) in enumerate(self.rows):
            if row_view == view:
                self._show_row(row, number, data, frame)

    def _show_row(self, row: int, number: int, data: ViewData, frame: int) -> None:
        column = number - 1
        provenance = Provenance(int(data.series.provenance[frame, column]))
        doubt = data.doubts.get((frame, number))
        confidence, distance = data.series.confidence[frame, column], data.distances[frame, column]
        absent = provenance is Provenance.ABSENT
        self._set(row, _SOURCE, provenance.label)
        self._set(row, _CONFIDENCE, "–" if absent or np.isnan(confidence) else f"{confidence:.2f}")
        self._set(row, _DISTANCE, "–" if np.isnan(distance) else f"{distance:.1f} {data.unit}")
        name = self._table.item(row, _NAME)
        name.setIcon(marker_icon(number, int(provenance), doubt is not None))
        why = "" if doubt is None else _("doubtful: {why}").format(why=doubt.why)
        name.setToolTip(_("landmark {number}. {why}").format(number=number, why=why).strip())
        if absent:
            action, text, tip = "place", _("place"), _("Place it by a click in its image")
        elif provenance is Provenance.AUTO:
            action, text, tip = "absent", _("absent"), _("It cannot be seen in this frame")
        else:
            action, text, tip = "reset", _("reset"), _("Back to the prediction")
        if action != self._actions[row]:
            self._actions[row] = action
            self._buttons[row].setText(text)
            self._buttons[row].setToolTip(tip)

    def _set(self, row: int, column: int, text: str) -> None:
        item = self._table.item(row, column)
        if item.text() != text:
            item.setText(text)

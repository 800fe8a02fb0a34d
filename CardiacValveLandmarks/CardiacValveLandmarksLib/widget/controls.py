"""Small things the sections share."""

from __future__ import annotations

import qt

_TIP = "CardiacValveLandmarksTip"


def allow(widget, why_not: str) -> None:
    """Enable a control when there is no reason against it; else its tooltip says the reason."""
    tip = widget.property(_TIP)
    if tip is None:
        tip = widget.toolTip
        widget.setProperty(_TIP, tip)
    widget.setEnabled(not why_not)
    text = why_not or tip
    if widget.toolTip != text:
        widget.setToolTip(text)


def show_text(label, text: str, colour: str = "") -> None:
    """A label's text; hidden where there is none."""
    style = f"color: {colour};" if colour else ""
    if label.text != text:
        label.setText(text)
    if label.styleSheet != style:
        label.setStyleSheet(style)
    label.setVisible(bool(text))


def set_quietly(widget, setter: str, value) -> None:
    """Call a setter without its signals."""
    blocked = widget.blockSignals(True)
    getattr(widget, setter)(value)
    widget.blockSignals(blocked)


def read_only_table(table, headers: list[str], stretched: int) -> None:
    """A table of whole rows that cannot be edited; the column `stretched` takes the room there is."""
    table.setColumnCount(len(headers))
    table.setHorizontalHeaderLabels(headers)
    table.verticalHeader().setVisible(False)
    table.verticalHeader().setDefaultSectionSize(24)
    table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
    table.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
    table.setSelectionMode(qt.QAbstractItemView.SingleSelection)
    header = table.horizontalHeader()
    header.setHighlightSections(False)
    for column in range(len(headers)):
        mode = qt.QHeaderView.Stretch if column == stretched else qt.QHeaderView.ResizeToContents
        header.setSectionResizeMode(column, mode)

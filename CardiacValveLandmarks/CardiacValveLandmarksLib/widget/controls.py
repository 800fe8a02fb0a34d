"""Small things the sections share."""

from __future__ import annotations

import qt
import slicer

_TIP = "CardiacValveLandmarksTip"
#: what a text is: done, worth a look, failed, said beside; its colour on a light window and on a dark one
_COLOURS = {
    "good": ("#1b6e3c", "#7fd6a0"),
    "doubt": ("#8a5a00", "#e8b45a"),
    "bad": ("#b00020", "#ff9aa2"),
    "aside": ("#555555", "#b5b5b5"),
}


def on_dark() -> bool:
    """Whether Slicer's style is a dark one."""
    return slicer.app.palette().color(qt.QPalette.Window).lightness() < 128


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


def show_text(label, text: str, kind: str = "") -> None:
    """A label's text; hidden where there is none. kind: "good", "doubt", "bad", "aside" or as other labels."""
    style = f"color: {_COLOURS[kind][on_dark()]};" if kind else ""
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

"""Annuli and measures: built when asked, marked as old once a landmark moves."""

from __future__ import annotations

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from .controls import allow, read_only_table, show_text

_WARNINGS_SHOWN = 6
VALVES = ("mitral", "tricuspid", "aortic")


class MeasuresSection:
    """`result`: the Study of the last measurement, None before. `outdated`: landmarks moved since."""

    def __init__(self, panel) -> None:
        self._panel, ui = panel, panel.ui
        self.result = None
        self.outdated = False
        self._shown: tuple = ()
        #: valve -> ID of the closed curve node that shows its ring
        self._rings: dict[str, str] = {}
        self._boxes = {valve: getattr(ui, f"{valve}CheckBox") for valve in VALVES}
        read_only_table(ui.measuresTable, [_("measure"), _("value"), _("reference")], stretched=0)
        # long texts, which the tooltip has in full
        ui.measuresTable.horizontalHeader().setSectionResizeMode(2, qt.QHeaderView.Interactive)
        ui.measuresTable.setHorizontalScrollBarPolicy(qt.Qt.ScrollBarAlwaysOff)
        ui.measureButton.clicked.connect(lambda *_: self.measure())

    def outdate(self) -> None:
        self.outdated = self.result is not None
        if not self._panel.views():
            self.result, self.outdated = None, False

    def measure(self) -> None:
        """Fit paths, build rings, measure: of the landmarks as they stand now."""
        from ..study_build import build_study

        panel = self._panel
        entries = panel.attempt(panel.logic.studyInput)
        if entries is None:
            return

        def done(study) -> None:
            self.result, self.outdated = study, False
            if not panel.views():  # the study was left meanwhile
                self.result = None
                return
            now = panel.logic.studyInput()
            self.outdated = [id(series) for _cine, series in now] != [id(series) for _cine, series in entries]
            nodes = panel.logic.showStudy(study)
            self._rings = {valve: nodes[valve].GetID() for valve in VALVES if valve in nodes}
            more = len(study.warnings) - _WARNINGS_SHOWN
            told = [_("Measured."), *study.warnings[:_WARNINGS_SHOWN]]
            if more > 0:
                told.append(_("… and {count} more; the export has all of them.").format(count=more))
            panel.say("\n".join(told), "doubt" if study.warnings else "good")

        panel.run(_("Measuring"), lambda progress, cancel: build_study(entries), done)

    def refresh(self) -> None:
        panel, ui = self._panel, self._panel.ui
        none = "" if panel.views() else _("There are no landmarks yet. Detect first.")
        allow(ui.measureButton, none or panel.why_not_now())
        for box in self._boxes.values():
            allow(box, none)
        valves = tuple(valve for valve in VALVES if getattr(panel.parameters, valve))
        for valve, node_id in self._rings.items():
            node = slicer.mrmlScene.GetNodeByID(node_id)
            if node is not None and node.GetDisplayNode() is not None:
                node.SetDisplayVisibility(valve in valves)
        shown = (id(self.result), valves)
        if shown != self._shown:
            self._shown = shown
            self._fill(valves)
        if self.result is None:
            text = none or _("Press Measure to build the rings and measure.")
        elif self.outdated:
            text = _("Landmarks have changed since: press Measure again.")
        else:
            text = "; ".join(f"{refusal.valve}: {refusal.reason}" for refusal in self.result.refused)
        show_text(ui.measureLabel, text, "#8a5a00" if self.outdated or self.result is not None else "#555555")
        state = _("not measured")
        if self.result is not None:
            state = _("outdated") if self.outdated else _("{count} measures").format(count=len(self.result.measures))
        ui.measuresSection.text = _("Annuli and measures: {state}").format(state=state)

    def _fill(self, valves: tuple[str, ...]) -> None:
        table = self._panel.ui.measuresTable
        measures = [] if self.result is None else [m for m in self.result.measures if _belongs(m, valves)]
        table.setRowCount(len(measures))
        for row, measure in enumerate(measures):
            marks = [_("approximate")] * measure.approximate + [_("assumed shape")] * measure.assumed
            name = measure.name + (f" ({', '.join(marks)})" if marks else "")
            for column, text in enumerate((name, value_text(measure), measure.reference)):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(
                    "\n".join(part for part in (measure.definition, measure.note, measure.reference) if part)
                )
                table.setItem(row, column, item)


def value_text(measure) -> str:
    """Value, uncertainty and unit; a dash where there is no value."""
    if np.isnan(measure.value):
        return "–"
    spread = "" if np.isnan(measure.uncertainty) else f" ± {measure.uncertainty:.1f}"
    return f"{measure.value:.1f}{spread} {measure.unit}"


def _belongs(measure, valves: tuple[str, ...]) -> bool:
    """Whether a measure is of one of these valves; what rests on no valve's points alone is always shown."""
    from ..landmarks import by_number

    used = {by_number(number).valve for number in measure.landmarks} - {None}
    return not used or bool(used & set(valves))

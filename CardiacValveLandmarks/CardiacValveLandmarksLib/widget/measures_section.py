"""Annuli and measures: built when asked, then kept current: followed while a point is dragged, built anew after."""

from __future__ import annotations

import logging

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from ..landmarks import VALVES
from .controls import allow, read_only_table, show_text
from .worker import Worker

_WARNINGS_SHOWN = 6
#: quiet time after a change before everything is built anew, ms
_PAUSE = 400
_NAME, _VALUE, _REFERENCE = range(3)


class MeasuresSection:
    """`result`: the Study of the last measurement, None before. `outdated`: landmarks moved since."""

    def __init__(self, panel) -> None:
        self._panel, ui = panel, panel.ui
        self.result = None
        self.outdated = False
        #: key -> measure, as it is while a point is dragged; {} else
        self.live: dict = {}
        self._listed: list = []
        self._shown: tuple = (None, ())
        #: valve -> ID of the closed curve node that shows its ring
        self._rings: dict[str, str] = {}
        self._boxes = {valve: getattr(ui, f"{valve}CheckBox") for valve in VALVES}
        #: beside the interface, and beside the panel's tasks: nobody waits for it
        self.worker = Worker(0.003)
        self._soon = qt.QTimer()
        self._soon.setSingleShot(True)
        self._soon.setInterval(_PAUSE)
        self._soon.timeout.connect(self._anew)
        # in a turn of its own after a mouse move: moves that come faster than it are followed together
        self._dragged = ""
        self._following = qt.QTimer()
        self._following.setSingleShot(True)
        self._following.setInterval(0)
        self._following.timeout.connect(lambda *_: self.follow())
        read_only_table(ui.measuresTable, [_("measure"), _("value"), _("reference")], stretched=_NAME)
        # long texts, which the tooltip has in full
        ui.measuresTable.horizontalHeader().setSectionResizeMode(_REFERENCE, qt.QHeaderView.Interactive)
        ui.measuresTable.setHorizontalScrollBarPolicy(qt.Qt.ScrollBarAlwaysOff)
        ui.measureButton.clicked.connect(lambda *_: self.measure())

    # --- what changes

    def landmarks_changed(self, change) -> None:
        """Landmarks moved; `change.dragging`: more will follow at once."""
        if change.dragging:
            self._soon.stop()
            if self.result is not None and self._panel.parameters.liveMeasures:
                self._dragged = change.view
                self._following.start()
        else:
            self.outdate()

    def outdate(self) -> None:
        self._following.stop()
        self.live = {}
        self.outdated = self.result is not None
        if not self._panel.views():
            self.result, self.outdated = None, False
        if self.outdated and self._panel.parameters is not None and self._panel.parameters.liveMeasures:
            self._soon.start()

    def forget(self) -> None:
        """Another study is opened: what was measured is not of it."""
        self.release()
        self.result, self.outdated, self.live, self._rings = None, False, {}, {}

    def release(self) -> None:
        """Nothing is built any more."""
        self._soon.stop()
        self._following.stop()
        self.worker.cancel()

    def follow(self) -> None:
        """What a dragged point changes, into the table and, by the logic, into the scene's tables and plot."""
        self.live = self._panel.attempt(lambda: self._panel.logic.followDrag(self._dragged), {})
        for row, measure in enumerate(self._listed):
            now = self.live.get(measure.key)
            if now is not None:
                self._panel.ui.measuresTable.item(row, _VALUE).setText(value_text(now))

    # --- measuring

    def measure(self) -> None:
        """Fit paths, build rings, measure: of the landmarks as they stand now."""
        from ..study_build import build_study

        panel = self._panel
        entries = panel.attempt(panel.logic.studyInput)
        if entries is None:
            return
        self._soon.stop()

        opened = panel.opened

        def done(study):
            if panel.opened != opened:
                panel.say(_("Another study was chosen meanwhile: what was measured is not shown."), "doubt")
                return
            yield from self._show(study, entries)
            more = len(study.warnings) - _WARNINGS_SHOWN
            told = [_("Measured."), *study.warnings[:_WARNINGS_SHOWN]]
            if more > 0:
                told.append(_("… and {count} more; the export has all of them.").format(count=more))
            panel.say("\n".join(told), "doubt" if study.warnings else "good")

        panel.run(_("Measuring"), lambda progress, cancel: build_study(entries), done)

    def _anew(self) -> None:
        """The same quietly, after landmarks changed; later, while something else runs."""
        from ..errors import CvlError
        from ..study_build import build_study

        panel = self._panel
        if panel.parameters is None or not self.outdated:
            return
        if panel.busy or self.worker.running:
            self._soon.start()
            return
        opened = panel.opened
        try:
            entries = panel.logic.studyInput()
        except CvlError:  # no landmarks any more: there is nothing to keep current, and the section says so
            return

        def ended(outcome: str, error: Exception | None) -> None:
            if outcome == "failed":
                logging.info("the measures were not brought up to date", exc_info=error)
                panel.say(_("The measures could not be brought up to date: {error}").format(error=error), "doubt")
            if panel.parameters is not None:
                self.refresh()

        self.worker.start(
            lambda progress, cancel: build_study(entries),
            lambda study: self._show(study, entries) if panel.opened == opened else None,
            ended,
            lambda part, text: None,
        )

    def _show(self, study, entries):
        """The result into the scene, in pieces; what was measured is forgotten where the study was left meanwhile."""
        panel = self._panel
        if not panel.views():
            self.result = None
            return
        nodes = yield from panel.logic.showStudyInPieces(study)
        self._rings = {valve: nodes[valve].GetID() for valve in VALVES if valve in nodes}
        self.result, self.live = study, {}
        now = panel.logic.studyInput()
        self.outdated = [id(series) for _cine, series in now] != [id(series) for _cine, series in entries]
        if self.outdated and panel.parameters.liveMeasures:
            self._soon.start()

    # --- what is shown

    def refresh(self) -> None:
        panel, ui = self._panel, self._panel.ui
        none = "" if panel.views() else _("There are no landmarks yet. Detect first.")
        allow(ui.measureButton, none or panel.why_not_now())
        for box in (*self._boxes.values(), ui.liveCheckBox):
            allow(box, none)
        valves = tuple(valve for valve in VALVES if getattr(panel.parameters, valve))
        for valve, node_id in self._rings.items():
            node = slicer.mrmlScene.GetNodeByID(node_id)
            if node is not None and node.GetDisplayNode() is not None:
                node.SetDisplayVisibility(valve in valves)
        if self._shown[0] is not self.result or self._shown[1] != valves:
            self._shown = self.result, valves
            self._fill(valves)
        live = panel.parameters.liveMeasures
        if self.result is None:
            text = none or _("Press Measure to build the rings and measure.")
        elif self.outdated:
            text = _("Landmarks have changed since: press Measure again.")
            if live:
                text = _("Landmarks have changed: measured again in a moment.")
        else:
            text = "; ".join(f"{refusal.valve}: {refusal.reason}" for refusal in self.result.refused)
        show_text(ui.measureLabel, text, "doubt" if self.outdated or self.result is not None else "aside")
        state = _("not measured")
        if self.result is not None:
            state = _("{count} measures").format(count=len(self.result.measures))
            if self.outdated:
                state = _("being updated") if live else _("outdated")
        ui.measuresSection.text = _("Annuli and measures: {state}").format(state=state)

    def _fill(self, valves: tuple[str, ...]) -> None:
        table = self._panel.ui.measuresTable
        measures = [] if self.result is None else [m for m in self.result.measures if _belongs(m, valves)]
        self._listed = measures
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

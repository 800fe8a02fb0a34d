"""Detect: one button for all views, which cancels while something runs; progress; what was said last."""

from __future__ import annotations

import time

from slicer.i18n import tr as _

from .controls import allow, show_text
from .packages import read_ahead


class DetectSection:
    def __init__(self, panel) -> None:
        self._panel = panel
        self._began = 0.0
        self._found: list = []
        panel.ui.detectButton.clicked.connect(lambda *_: self._pressed())
        self.idle()

    def _pressed(self) -> None:
        if self._panel.busy:
            self.cancel()
        else:
            self.start()

    def start(self) -> None:
        """Detect in the selected cines, beside the interface."""
        panel = self._panel
        logic, parameters = panel.logic, panel.parameters
        sequences = panel.study.usable()
        jobs = panel.attempt(lambda: logic.prepare(sequences))
        if jobs is None:
            return
        model, keep, device = parameters.model, parameters.keepManual, parameters.device

        def done(detected):
            yield from logic.applyInPieces(detected, keepManual=keep)
            self._found = detected
            panel.show_opened(anew=True)
            told = [
                _("{view}: {count} landmarks in {frames} frames").format(
                    view=one.job.view,
                    count=int(one.result.landmarks.present.any(0).sum()),
                    frames=one.result.landmarks.n_frames,
                )
                for one in detected
            ]
            # what it really ran on
            told += sorted({str(getattr(one.result, "engine", "")) for one in detected} - {""})
            panel.say("\n".join([*told, *logic.messages]), "doubt" if logic.messages else "good")

        def task(progress, cancel):
            read_ahead()
            return logic.compute(jobs, model, progress, cancel, device=device)

        panel.run(_("Detection"), task, done)

    def result_of(self, cine, model: str):
        """What a model found in a cine at the last detection, or None."""
        for one in self._found:
            if one.job.cine is cine and getattr(getattr(one.result, "model", None), "id", None) == model:
                return one.result
        return None

    def cancel(self) -> None:
        """Stop what runs; the scene stays as it was."""
        self._panel.worker.cancel()
        self._panel.ui.progressLabel.setText(_("stopping…"))

    def progress(self, part: float, text: str) -> None:
        """How far it is, in [0, 1], and at what; the time left once it can be told."""
        ui, now = self._panel.ui, time.monotonic()
        if part <= 0 or not self._began:
            self._began = now
        left = (now - self._began) * (1 - part) / part if part > 0.02 else 0.0
        if left >= 0.5:
            text = _("{text} · about {seconds} s").format(text=text, seconds=max(1, round(left)))
        ui.progressBar.setVisible(True)
        # some task cannot say how far it is: then the bar only moves
        ui.progressBar.setMaximum(1000 if part > 0 else 0)
        ui.progressBar.setValue(round(1000 * part))
        show_text(ui.progressLabel, text)

    def idle(self) -> None:
        """Nothing runs."""
        self._began = 0.0
        self._panel.ui.progressBar.setVisible(False)
        show_text(self._panel.ui.progressLabel, "")

    def refresh(self) -> None:
        panel, ui = self._panel, self._panel.ui
        if panel.busy:
            ui.detectButton.setText(_("Cancel"))
            allow(ui.detectButton, "" if panel.cancellable else _("This runs to its end, for it writes files."))
        else:
            ui.detectButton.setText(_("Detect again") if panel.views() else _("Detect"))
            allow(ui.detectButton, self._why_not())
        ui.keepManualCheckBox.setVisible(bool(panel.views()))
        show_text(ui.nextStepLabel, self._next_step(), "aside")

    def _why_not(self) -> str:
        if not self._panel.study.usable():
            return _("Select a cine for at least one view first.")
        return self._panel.model.why_not()

    def _next_step(self) -> str:
        """What to do now."""
        panel = self._panel
        if panel.busy:
            return ""
        if not panel.study.usable():
            return _("Next: load a folder or the synthetic study, or select cines of the scene above.")
        why_not = panel.model.why_not()
        if not panel.views():
            return why_not or _("Next: press Detect.")
        doubts = len(panel.review.doubts)
        if doubts:
            return _(
                "Next: look at the {count} doubtful points (N), drag what is wrong, then Measure and Export."
            ).format(count=doubts)
        return _("Next: play the beat and check the points, then Measure and Export.")

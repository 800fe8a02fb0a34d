"""A model of the user's own, put into the catalogue from the panel."""

from __future__ import annotations

import re
from pathlib import Path

import ctk
import slicer
from slicer.i18n import tr as _

from ..errors import CvlError, UsageError
from .controls import allow


class AddModel:
    """The fields under "Add model file…"."""

    def __init__(self, panel) -> None:
        self._panel, ui = panel, panel.ui
        ui.modelFileSelector.filters = ctk.ctkPathLineEdit.Files | ctk.ctkPathLineEdit.Dirs
        ui.addModelBox.setVisible(False)
        ui.addModelButton.toggled.connect(lambda on: ui.addModelBox.setVisible(on))
        ui.modelFileSelector.currentPathChanged.connect(lambda *_: self._file_chosen())
        ui.registerModelButton.clicked.connect(lambda *_: self.add())

    def refresh(self) -> None:
        ui, busy = self._panel.ui, self._panel.why_not_now()
        allow(ui.addModelButton, busy)
        none = "" if ui.modelFileSelector.currentPath else _("Choose a file first.")
        allow(ui.registerModelButton, busy or none)

    def _file_chosen(self) -> None:
        path = self._panel.ui.modelFileSelector.currentPath
        name = re.sub(r"[^a-z0-9._-]+", "-", Path(path).stem.lower()).strip("-._")
        self._panel.ui.modelNameEdit.setText(name)
        self.refresh()

    def add(self) -> None:
        """Check the file, beside the interface, and put it into the list, selected."""
        from ..models.catalogue import register

        panel, ui = self._panel, self._panel.ui
        path, name = ui.modelFileSelector.currentPath, ui.modelNameEdit.text
        changes = panel.attempt(self._changes)
        if changes is None or not self._trusted(path):
            return

        def done(spec) -> None:
            panel.model.fill()
            if panel.parameters is not None:  # the scene may have been closed meanwhile
                panel.parameters.model = spec.id
            ui.addModelButton.setChecked(False)
            ui.modelFileSelector.setCurrentPath("")
            panel.say(_("Added: {title}, {architecture}.").format(title=spec.title, architecture=spec.architecture))

        def task(progress, cancel):
            return register(path, name, **changes)

        panel.run(_("Checking the model"), task, done, cancellable=False)

    def _changes(self) -> dict:
        """What the fields say of the model beside its file. UsageError where they say it wrongly."""
        ui = self._panel.ui
        changes: dict = {}
        try:
            if ui.modelLandmarksEdit.text.strip():
                changes["landmarks"] = [int(part) for part in ui.modelLandmarksEdit.text.split(",")]
            if ui.modelSpacingEdit.text.strip():
                changes["spacing_mm"] = float(ui.modelSpacingEdit.text)
        except ValueError as error:
            raise UsageError(
                _("landmarks: expected numbers with commas between, spacing: a number of mm ({error}).").format(
                    error=error
                )
            ) from error
        return changes

    def _trusted(self, path: str) -> bool:
        """Whether a file that is a program may be loaded: the user is asked."""
        from ..models.weights import file_kind

        try:
            kind = file_kind(path) if Path(path).is_file() else ""
        except CvlError as error:
            self._panel.say(str(error), "bad")
            return False
        if kind != "torchscript":
            return True
        question = _(
            "This is a TorchScript model: a program by its author that will run on this computer. Add it only if you "
            "trust where it comes from. Add it?"
        )
        return slicer.util.confirmOkCancelDisplay(question, windowTitle=_("Cardiac Valve Landmarks"))

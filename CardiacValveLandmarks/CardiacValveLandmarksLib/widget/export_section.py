"""Export: which formats, where to, what was written."""

from __future__ import annotations

from pathlib import Path

import ctk
from slicer.i18n import tr as _

from ..mrml.shown_study import export_entries
from .controls import allow, set_quietly, show_text


class ExportSection:
    """`boxes`: format key -> check box. A format that cannot be written here is disabled, with the reason."""

    def __init__(self, panel) -> None:
        from ..export import known_formats

        self._panel, ui = panel, panel.ui
        self.boxes, self._why_not, self._formats = {}, {}, {}
        formats = {each.key: each for each in known_formats()}
        for name, box in list(ui.__dict__.items()):
            key = name.removesuffix("CheckBox")
            parameter = box.property("SlicerParameterName")
            if not parameter or not parameter.startswith("export"):
                continue
            self.boxes[key] = box
            if key not in formats:
                self._why_not[key] = _("This version cannot write it.")
                continue
            box.setToolTip(formats[key].title)
            if formats[key].needs:
                text = _(
                    "{title} needs more than the panel asks for. Outside Slicer, on the command line of the Python "
                    "package cardiac-valve-landmarks: cvl export --formats {key}."
                )
                self._why_not[key] = text.format(title=formats[key].title, key=key)
            else:
                self._formats[key] = formats[key]
        ui.exportFolderSelector.filters = ctk.ctkPathLineEdit.Dirs
        ui.exportFolderSelector.currentPathChanged.connect(lambda *_: self._folder_chosen())
        ui.exportButton.clicked.connect(lambda *_: self.export())
        self._look_for_packages()
        self.said("")

    def said(self, text: str) -> None:
        show_text(self._panel.ui.exportLabel, text)

    def _folder_chosen(self) -> None:
        if self._panel.parameters is not None:
            self._panel.parameters.exportFolder = self._panel.ui.exportFolderSelector.currentPath

    def formats(self) -> list[str]:
        """The formats ticked, of those that can be written."""
        return [key for key, box in self.boxes.items() if box.checked and not self._why_not[key]]

    def _look_for_packages(self) -> None:
        """What a format needs may have been installed meanwhile."""
        from ..export import ExportOptions

        for key, format_ in self._formats.items():
            why = format_.missing(ExportOptions())
            self._why_not[key] = why and f"{why[0].upper()}{why[1:].rstrip('.')}."

    def refresh(self) -> None:
        panel, ui = self._panel, self._panel.ui
        self._look_for_packages()
        for key, box in self.boxes.items():
            allow(box, self._why_not[key])
        folder = panel.parameters.exportFolder
        if ui.exportFolderSelector.currentPath != folder:
            set_quietly(ui.exportFolderSelector, "setCurrentPath", folder)
        allow(ui.exportButton, self._why_not_export(folder))
        ui.exportSection.text = _("Export: {formats}").format(formats=", ".join(self.formats()) or _("no format"))

    def _why_not_export(self, folder: str) -> str:
        if not self._panel.views():
            return _("There are no landmarks yet. Detect first.")
        if not self.formats():
            return _("Tick at least one format.")
        if not folder:
            return _("Choose a folder first.")
        return self._panel.why_not_now()

    def export(self) -> None:
        """Write the study as it stands; rings and measures are built anew for it."""
        panel = self._panel
        folder, formats = Path(panel.parameters.exportFolder), self.formats()
        entries = panel.attempt(panel.logic.studyInput)
        if entries is None:
            return
        self.said("")

        def done(files: list[Path]) -> None:
            names = ", ".join(str(path.relative_to(folder)) for path in files[:8])
            more = _(" and {count} more").format(count=len(files) - 8) if len(files) > 8 else ""
            text = _("{count} files written to {folder}: {names}{more}")
            self.said(text.format(count=len(files), folder=folder, names=names, more=more))
            panel.say(_("{count} files written.").format(count=len(files)))

        def task(progress, cancel) -> list[Path]:
            return export_entries(entries, folder, formats)

        panel.run(_("Exporting"), task, done, cancellable=False)

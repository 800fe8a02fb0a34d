"""Model: which network, whether it can run here and on what, where it comes from."""

from __future__ import annotations

import subprocess

from slicer.i18n import tr as _

from ..errors import CvlError
from ..models.catalogue import list_models
from . import devices, packages
from .add_model import AddModel
from .controls import allow, set_quietly, show_text

#: what an installation may fail with, pip's own failures among it, and what was installed and cannot be imported
_INSTALL_ERRORS = (CvlError, ImportError, OSError, RuntimeError, ValueError, subprocess.SubprocessError)


class ModelSection:
    def __init__(self, panel) -> None:
        self._panel = panel
        self._models: list = []
        ui = panel.ui
        ui.modelSelector.currentIndexChanged.connect(lambda *_: self._chosen())
        ui.deviceSelector.currentIndexChanged.connect(lambda *_: self._device_chosen())
        ui.downloadButton.clicked.connect(lambda *_: self.download())
        ui.removeModelButton.clicked.connect(lambda *_: self.remove())
        ui.installButton.clicked.connect(lambda *_: self.install())
        self._adding = AddModel(panel)
        self._devices: list[str] = []
        self.fill()

    def fill(self) -> None:
        """Read the catalogue again: models may have been added elsewhere."""
        try:
            self._models = list_models()
        except CvlError as error:  # a catalogue of the user's own that does not parse
            self._panel.say(str(error), "bad")
            self._models = []
        selector = self._panel.ui.modelSelector
        blocked = selector.blockSignals(True)
        selector.clear()
        for spec in self._models:
            selector.addItem(spec.title, spec.id)
        selector.blockSignals(blocked)

    def _chosen(self) -> None:
        index = self._panel.ui.modelSelector.currentIndex
        if self._panel.parameters is not None and 0 <= index < len(self._models):
            self._panel.parameters.model = self._models[index].id

    def _device_chosen(self) -> None:
        index = self._panel.ui.deviceSelector.currentIndex
        if self._panel.parameters is None or not 0 <= index < len(self._devices):
            return
        device = self._devices[index]
        if device == devices.LOOK:
            self._look_for_devices()
        else:
            self._panel.parameters.device = device

    def _look_for_devices(self) -> None:
        """torch is imported for it, which takes a while: only when asked."""

        def done(found: list[str]) -> None:
            names = ", ".join(devices.label(device) for device in found)
            self._panel.say(_("Found: {names}.").format(names=names) if found else _("torch finds no GPU here."))

        self._panel.run(_("Looking for a GPU"), lambda progress, cancel: devices.look(), done)

    def spec(self):
        """The selected model's entry, or None where the catalogue has none of that id."""
        return next((spec for spec in self._models if spec.id == self._panel.parameters.model), None)

    def why_not(self) -> str:
        """Why the selected model cannot run now, with what to do; "" where it can."""
        if not self._panel.logic.usesModels:
            return ""
        spec, device = self.spec(), self._panel.parameters.device
        if spec is None:
            return _("The model {name} is not in the catalogue here. Choose another.").format(
                name=self._panel.parameters.model
            )
        if not spec.weights_path.is_file():
            if spec.origin == "download":
                return _("The model's weights are not here yet. Press Download.")
            return _("The model's file is missing: {path}. Choose another model.").format(path=spec.weights_path)
        package = packages.missing_for(spec, device)
        if package:
            return _("The model needs {package}, which Slicer's Python has not. Press Install….").format(
                package=package
            )
        if devices.known() and device not in devices.choices():
            return _("The device {device} is not here. Choose another.").format(device=device)
        return ""

    def refresh(self) -> None:
        ui, spec, device = self._panel.ui, self.spec(), self._panel.parameters.device
        why_not, busy = self.why_not(), self._panel.why_not_now()
        index = next((i for i, known in enumerate(self._models) if known is spec), -1)
        set_quietly(ui.modelSelector, "setCurrentIndex", index)
        allow(ui.modelSelector, busy)
        self._show_devices(device)
        allow(ui.deviceSelector, busy)
        here = spec is not None and spec.weights_path.is_file()
        downloadable = spec is not None and spec.origin == "download"
        own = spec is not None and spec.origin == "user"
        missing = packages.missing_for(spec, device) if spec is not None and here else ""
        state = _("ready") if not why_not else (_("needs {package}").format(package=missing) if missing else "")
        show_text(ui.modelStateLabel, state or _("not here"), "good" if not why_not else "doubt")
        ui.modelStateLabel.setToolTip(why_not)
        ui.modelInfoLabel.setText(self._about(spec, device) if spec is not None else why_not)
        ui.modelInfoLabel.setToolTip("" if spec is None else f"{spec.intended_use}\n{spec.citation}")
        ui.downloadButton.setVisible(downloadable and not here)
        ui.removeModelButton.setVisible((downloadable and here) or own)
        ui.installButton.setVisible(bool(missing))
        for button in (ui.downloadButton, ui.removeModelButton, ui.installButton):
            allow(button, busy)
        self._adding.refresh()
        title = "" if spec is None else spec.title
        ui.modelSection.text = _("Model: {title}, {state}").format(title=title, state=state or _("not here"))

    def _show_devices(self, chosen: str) -> None:
        """The list of devices; one that was chosen elsewhere stays in it."""
        there = devices.choices()
        listed = [*there, *([] if chosen in there else [chosen]), *([] if devices.known() else [devices.LOOK])]
        selector = self._panel.ui.deviceSelector
        if listed != self._devices:
            blocked = selector.blockSignals(True)
            selector.clear()
            for device in listed:
                selector.addItem(devices.label(device))
            selector.blockSignals(blocked)
            self._devices = listed
        set_quietly(selector, "setCurrentIndex", listed.index(chosen))

    def _about(self, spec, device: str) -> str:
        """Where it runs, size, terms, in one line."""
        size = spec.size
        if spec.weights_path.is_file():
            size = spec.weights_path.stat().st_size
        engine = packages.engine_for(spec, device)
        parts = [engine, _("{size:.1f} MB").format(size=size / 1e6) if size else "", spec.licence, _("research use")]
        if spec.synthetic_only:
            parts.append(_("trained on a synthetic heart only"))
        return " · ".join(part for part in parts if part)

    # --- actions

    def download(self) -> None:
        """Fetch the selected model's weights; they are verified before they take their place."""
        from ..models.download import download_model

        spec = self.spec()

        def task(progress, cancel):
            def report(have: int, total: int | None) -> None:
                part = have / total if total else 0.0
                of = f" / {total / 1e6:.1f}" if total else ""
                progress(part, f"{have / 1e6:.1f}{of} MB")

            return download_model(spec, report, cancel)

        self._panel.run(
            _("Downloading the model"),
            task,
            lambda path: self._panel.say(_("Downloaded and verified: {path}").format(path=path)),
        )

    def remove(self) -> None:
        """Delete the selected model's downloaded weights; forget a model of the user's own, whose file stays."""
        from ..models.download import remove_model

        spec = self.spec()
        removed = self._panel.attempt(lambda: remove_model(spec))
        if removed is None:
            return
        told = [_("{title} is no longer in the list; its file stays.").format(title=spec.title)]
        if spec.origin != "user":
            told = []
        if removed:
            told.append(_("Deleted: {files}").format(files=", ".join(map(str, removed))))
        self._panel.say("\n".join(told))
        self.fill()
        if self.spec() is None:
            self._panel.parameters.model = self._models[0].id
        self._panel.refresh()

    def install(self) -> None:
        """Install what the selected model needs, after asking."""
        package = packages.missing_for(self.spec(), self._panel.parameters.device)
        try:
            done = bool(package) and packages.install(package)
        except _INSTALL_ERRORS as error:
            self._panel.say(str(error), "bad")
        else:
            text = _("{package} was installed.") if done else _("{package} was not installed.")
            self._panel.say(text.format(package=package), "good" if done else "bad")
        self._panel.refresh()

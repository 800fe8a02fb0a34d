"""The panel: loads the .ui file, ties the sections together, keeps its state in the scene."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from ..errors import CvlError
from ..mrml.scene import in_scene
from .browsing import Browsing
from .controls import show_text
from .detect_section import DetectSection
from .export_section import ExportSection
from .measures_section import MeasuresSection
from .model_section import ModelSection
from .overlay import Overlay
from .parameters import Parameters
from .review_section import ReviewSection
from .study_section import StudySection
from .worker import Task, Worker

#: parameter nodes that were tied to widgets. Slicer's wrapper leaves an observer on its node for good; were the node
#: let go of here while the scene has it, the garbage collector would take the observer's function apart, and VTK, which
#: still calls it, would end Slicer
_tied: list[object] = []


class Panel:
    """The module's panel in a scripted module widget.

    `busy`: what runs in the worker, in words, "" when nothing does; `cancellable`: whether it can be cancelled.
    `entered`: whether the module is open. `parameters`: the choices, None while the scene is closed. The sections read
    these and the logic; `refresh` brings all of them up to date.
    """

    def __init__(self, module_widget, logic) -> None:
        self.logic = logic
        self.worker = Worker()
        self.busy, self.cancellable = "", True
        self.parameters: Parameters | None = None
        self._gui_tag, self._parameters_tags = None, []
        #: view -> node ID of what the logic has open; None: not looked yet
        self._opened: dict[str, str] | None = None
        # what is selected cannot be opened: the logic still has the study before
        self._refused = False
        self.entered, self._held = False, False
        # what is open was not yet put into the slice views; it came with a scene, which may have views of its own
        self._unshown, self._imported, self._importing = False, False, False
        self._next: tuple | None = None
        self.widget = slicer.util.loadUI(module_widget.resourcePath("UI/CardiacValveLandmarks.ui"))
        module_widget.layout.addWidget(self.widget)
        self.widget.setMRMLScene(slicer.mrmlScene)
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.browsing = Browsing(logic, self._frame_shown)
        self.study = StudySection(self)
        self.model = ModelSection(self)
        self.detect = DetectSection(self)
        self.review = ReviewSection(self)
        self.overlay = Overlay(self)
        self.measures = MeasuresSection(self)
        self.export = ExportSection(self)
        self._sections = (self.study, self.model, self.detect, self.review, self.overlay, self.measures, self.export)
        self.say("")
        # nodes come in crowds: once for all of them, when they are complete
        self._soon = qt.QTimer()
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self.choices_changed)
        logic.addCallback(self._landmarks_changed)
        scene = slicer.mrmlScene
        self._scene_tags = [
            scene.AddObserver(scene.StartCloseEvent, lambda *_: self._scene_closes()),
            scene.AddObserver(scene.EndCloseEvent, lambda *_: self._scene_changed()),
            scene.AddObserver(scene.EndImportEvent, lambda *_: self._scene_changed(imported=True)),
            scene.AddObserver(scene.NodeAddedEvent, self._node_came_or_went()),
            scene.AddObserver(scene.NodeRemovedEvent, self._node_came_or_went()),
        ]
        self._tie()

    # --- life

    def enter(self) -> None:
        """The module is opened."""
        self.entered = True
        self.model.fill()
        self._tie()
        self.show_opened()
        self.review.shortcuts.enable()

    def exit(self) -> None:
        """The module is left. A task under way goes on, and its result is taken into the scene."""
        self.entered = False
        self.review.leave()
        self.overlay.look_again()
        self.review.shortcuts.disable()
        self._disconnect()

    def cleanup(self) -> None:
        """The module is unloaded."""
        self.measures.release()
        self.overlay.release()
        for worker in (self.worker, self.measures.worker, self.overlay.worker):
            worker.cancel()
            worker.wait()
        self.exit()
        self._untie()
        self.browsing.release()
        self.review.release()
        self.logic.removeCallback(self._landmarks_changed)
        self._soon.stop()
        for tag in self._scene_tags:
            slicer.mrmlScene.RemoveObserver(tag)

    def _tie(self) -> None:
        """Read the choices from the scene; while the module is open, keep the controls and them in step."""
        node = self.logic.getParameterNode()
        if self.parameters is None or self.parameters.parameterNode is not node:
            self._untie()
            self.parameters = Parameters(node)
            events = ("ModifiedEvent", node.ReferenceModifiedEvent)
            self._parameters_tags = [node.AddObserver(event, lambda *_: self.choices_changed()) for event in events]
        for selector in self.study.selectors.values():
            selector.setMRMLScene(slicer.mrmlScene)
        if self.entered and self._gui_tag is None:
            # not connectGui, which in Slicer gives no tag to disconnect by
            if node not in _tied:
                _tied.append(node)
            self._gui_tag = self.parameters.connectParametersToGui(self._named_widgets())
        self.choices_changed()

    def _named_widgets(self) -> dict[str, object]:
        """Parameter -> the widget of the .ui file that shows it."""
        named = ((widget, widget.property("SlicerParameterName")) for widget in vars(self.ui).values())
        return {name: widget for widget, name in named if name}

    def _disconnect(self) -> None:
        if self.parameters is not None and self._gui_tag is not None:
            self.parameters.disconnectGui(self._gui_tag)
        self._gui_tag = None

    def _untie(self) -> None:
        self._disconnect()
        if self.parameters is not None:
            for tag in self._parameters_tags:
                self.parameters.parameterNode.RemoveObserver(tag)
        self.parameters = None

    def _scene_closes(self) -> None:
        self.worker.cancel()
        self.measures.release()
        self.overlay.release()
        self.review.leave()
        self.browsing.release()
        self._untie()
        self._opened = None
        self._unshown = self._imported = False

    def _scene_changed(self, imported: bool = False) -> None:
        self._imported = self._importing = imported
        self._untie()  # new parameters set what the scene leaves unset
        self._tie()
        self._importing = False
        self._imported &= self._unshown

    def _node_came_or_went(self):
        """An observer that looks again at what can be selected when a sequence was added or removed."""

        @vtk.calldata_type(vtk.VTK_OBJECT)
        def seen(caller, event, node) -> None:
            if node is not None and node.IsA("vtkMRMLSequenceNode"):
                self._soon.start()

        return seen

    # --- what changes

    def choices_changed(self) -> None:
        """A choice in the parameter node is another one now."""
        scene = slicer.mrmlScene
        if self.parameters is None or scene.IsImporting() or scene.IsClosing():  # half of the scene; the end is seen
            return
        self.logic.spread = self.parameters.spread
        self.open_study()
        self.refresh()

    def open_study(self) -> None:
        """Make the selected cines the study that is worked on; landmarks they have in the scene appear."""
        chosen = self.study.usable()
        opened = {view: node.GetID() for view, node in chosen.items()}
        if opened == self._opened:
            return
        self._opened = opened
        self._imported &= self._importing
        self.browsing.release()
        self.measures.forget()
        self._refused = bool(chosen) and not self.attempt(lambda: self._open(chosen), False)
        if chosen and not self._refused:
            if self.logic.messages:
                self.say("\n".join(self.logic.messages), "doubt")
            self.show_opened(anew=True)
        self._views_changed()

    def show_opened(self, anew: bool = False) -> None:
        """The study into the slice views, once, while the module is open: they are not the module's alone.

        anew: there is something new to show; while the module is not open it waits.
        """
        self._unshown |= anew
        if not (self._unshown and self.entered):
            return
        brought = self._imported and self.study.is_in_views()
        self._unshown = self._imported = False
        if not brought:
            self.study.show_in_views()

    def _open(self, chosen: dict[str, object]) -> bool:
        self.logic.open(chosen)
        return True

    @property
    def opened(self) -> dict[str, str]:
        """View -> node ID of the cine that is selected and open."""
        return dict(self._opened or {})

    def views(self) -> list[str]:
        """The views of the selected cines that have landmarks."""
        return self.logic.views() if self._opened and not self._refused else []

    def _landmarks_changed(self, change) -> None:
        if self.parameters is None or self._held:
            return
        news, self.logic.news = self.logic.news, []
        if news:
            self.say("\n".join(news), "doubt")
        if change.view is None:
            self._views_changed()
        else:
            self.review.landmarks_changed(change)
            self.measures.landmarks_changed(change)
        if not change.dragging:
            self.refresh()

    def _views_changed(self) -> None:
        self.browsing.release()
        if self.views():
            self.browsing.attach()
        self.review.views_changed()
        self.measures.outdate()

    def _generation(self) -> dict[str, object]:
        """The landmarks as they stand, to see whether something changed them."""
        return {view: self.logic.correction(view) for view in self.views()}

    def _frame_shown(self, view: str, frame: int) -> None:
        self.review.frame_shown(view, frame)
        self.overlay.look_again()

    def refresh(self) -> None:
        """All sections up to date."""
        if self.parameters is None:
            return
        for section in self._sections:
            section.refresh()

    # --- what is said and done

    def say(self, text: str, kind: str = "good") -> None:
        """The outcome of what was done last, under the Detect button. kind: "good", "doubt" or "bad"."""
        show_text(self.ui.messageLabel, text, kind)

    def attempt(self, action: Callable[[], object], default=None):
        """Do something that may raise one of our errors; then it is shown and `default` comes back."""
        try:
            return action()
        except CvlError as error:
            self.say(str(error), "bad")
            return default

    def run(
        self, title: str, task: Task, done: Callable[[object], Iterator[None] | None], cancellable: bool = True
    ) -> None:
        """Do `task(progress, cancel)` beside the interface, then `done(result)`; nothing else starts meanwhile.

        cancellable: False for what changes something outside the scene: it runs to its end, and that is said.
        A generator `done` is worked off in turns of the event loop. Its last piece alone may change the scene. What
        `done` itself wants to run comes after it.
        """
        if self._held:
            self._next = title, task, done, cancellable
            return
        if self.worker.running:
            self.say(_("{title} is still running.").format(title=self.busy), "bad")
            return
        self.busy = title
        began = self._opened
        self.say("")
        self.detect.progress(0.0, title)
        before = self._generation()

        def ended(outcome: str, error: Exception | None) -> None:
            self.busy = ""
            self.detect.idle()
            if outcome == "cancelled":
                self.say(_("{title}: cancelled, nothing was changed.").format(title=title))
            elif outcome == "failed":
                self._failed(title, error)
            if self.parameters is not None and self._opened != began:
                # another study was chosen meanwhile; what was done may have opened the one before
                self._opened = None
                self.open_study()
            elif self.parameters is not None and self._generation() != before:
                self._views_changed()
            self.refresh()
            if self._next is not None:
                following, self._next = self._next, None
                self.run(*following)

        self.cancellable = cancellable
        self.worker.start(task, lambda result: self._taking(done, result), ended, self.detect.progress, cancellable)
        self.refresh()

    def _taking(self, done: Callable[[object], Iterator[None] | None], result: object) -> Iterator[None]:
        """The pieces of `done`. What they change view by view is shown once, when all of it is in the scene."""
        pieces = None
        while True:
            self._held = True
            try:
                if pieces is None:
                    pieces = iter(done(result) or ())
                next(pieces)
            except StopIteration:
                return
            finally:
                self._held = False
            yield

    def _failed(self, title: str, error: Exception) -> None:
        if isinstance(error, CvlError):
            self.say(str(error), "bad")
            return
        logging.error("%s failed", title, exc_info=error)
        text = _("{title} failed: {error}. The Python console has the details; please report it.")
        self.say(text.format(title=title, error=f"{type(error).__name__}: {error}"), "bad")

    def why_not_now(self) -> str:
        """Why nothing new can be started: "" or a sentence."""
        if self.busy:
            return _("{title} is running. Wait for it, or press Cancel.").format(title=self.busy)
        return ""

    def proxy(self, view: str):
        """The volume that shows the current frame of a view, or None."""
        from ..mrml.cine_nodes import usable_browser

        sequence = self.study.usable().get(view)
        return None if sequence is None or not in_scene(sequence) else usable_browser(sequence).GetProxyNode(sequence)

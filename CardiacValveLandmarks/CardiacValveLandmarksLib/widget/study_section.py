"""Study: which cine is which view."""

from __future__ import annotations

import qt
import slicer
from slicer.i18n import tr as _

from ..cine import Cine
from ..errors import CvlError, InputError, UsageError
from ..landmarks import VIEWS
from ..mrml.cine_nodes import KIND as CINE
from ..mrml.cine_nodes import cine_from_sequence, is_cine, sequence_from_cine, transform_over
from ..mrml.scene import ATTRIBUTE_KIND, PREFIX, in_scene
from .controls import allow
from .packages import read_ahead
from .slice_views import any_shown, show_study

#: on a cine's sequence node: the view it was recognised as and the confidence
_RECOGNISED = PREFIX + "Recognised"
#: from here a recognised view is called sure
_SURE = 0.8


def synthetic_cines() -> list[Cine]:
    """The synthetic study's cines, in the order of `VIEWS`. Takes some seconds."""
    from ..phantom.cines import synthetic_study

    return [item.cine for item in synthetic_study(0).items]


def _may_be_cine(node) -> bool:
    """Whether a sequence is none of this module's results (landmarks, rings), nor one that Slicer keeps for itself, as
    its scene views are."""
    return node.GetAttribute(ATTRIBUTE_KIND) in (None, "", CINE) and not node.GetHideFromEditors()


class StudySection:
    def __init__(self, panel) -> None:
        self._panel = panel
        ui = panel.ui
        self.selectors = {view: getattr(ui, f"viewSelector{view}") for view in VIEWS}
        self._states = {view: getattr(ui, f"viewState{view}") for view in VIEWS}
        self._problems: dict[str, tuple[int, str]] = {}
        ui.loadFolderButton.clicked.connect(lambda *_: self._choose_folder())
        ui.syntheticStudyButton.clicked.connect(lambda *_: self.load_synthetic())
        ui.findViewsButton.clicked.connect(lambda *_: self.find_views())
        ui.showViewsButton.clicked.connect(lambda *_: self.show_in_views())

    # --- what is selected

    def selected(self) -> dict[str, object]:
        """View -> the sequence node chosen for it."""
        nodes = {view: getattr(self._panel.parameters, f"cine{view}") for view in VIEWS}
        return {view: node for view, node in nodes.items() if in_scene(node)}

    def usable(self) -> dict[str, object]:
        """The selected ones that are cines; each for one view only, the first."""
        found: dict[str, object] = {}
        for view, node in self.selected().items():
            if not self._problem(node) and node not in found.values():
                found[view] = node
        return found

    def _problem(self, node) -> str:
        """Why a sequence is no cine, "" where it is one. Read once a change of the node."""
        # a transform put over the cine changes nothing in the node itself
        state = node.GetMTime(), transform_over(node)
        known = self._problems.get(node.GetID())
        if known is None or known[0] != state:
            text = ""
            try:
                cine_from_sequence(node)
            except InputError as error:
                text = str(error)
            self._problems[node.GetID()] = known = (state, text)
        return known[1]

    def refresh(self) -> None:
        panel, ui = self._panel, self._panel.ui
        results = [
            node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLSequenceNode") if not _may_be_cine(node)
        ]
        selected, usable = self.selected(), self.usable()
        why_not = panel.why_not_now()
        for view, selector in self.selectors.items():
            if tuple(selector.sortFilterProxyModel().hiddenNodeIDs) != tuple(results):
                selector.sortFilterProxyModel().hiddenNodeIDs = results
            allow(selector, why_not)
            text, tip = self._state(view, selected.get(view), usable)
            self._states[view].setText(text)
            self._states[view].setToolTip(tip)
        for button in (ui.loadFolderButton, ui.syntheticStudyButton):
            allow(button, why_not)
        none = "" if self._candidates() else _("There is no cine in the scene. Load a folder first.")
        allow(ui.findViewsButton, why_not or none or panel.model.why_not())
        allow(ui.showViewsButton, "" if usable else _("Select a cine first."))
        views = " ".join(usable) or _("no cine selected")
        ui.studySection.text = _("Study: {views}").format(views=views)

    def _state(self, view: str, node, usable: dict[str, object]) -> tuple[str, str]:
        """A view's state in a few words, and what to do about it."""
        if node is None:
            return "○ " + _("none"), _("Select the cine that shows the {view}, or press Find views.").format(view=view)
        problem = self._problem(node)
        if problem:
            return "✕ " + _("not a 2-D cine"), problem
        if view not in usable:
            return "✕ " + _("selected twice"), _("One cine was selected for two views. Choose a cine of its own.")
        recognised, sure = self.recognised(node)
        if recognised is None and sure is None:
            return "○ " + _("not checked"), _("Press Find views to check that this cine shows the {view}.").format(
                view=view
            )
        confidence = _("confidence {sure:.2f}").format(sure=sure)
        if recognised is None:
            return "◐ " + _("not recognised"), _(
                "The model does not take it for one of the three views ({confidence}). Is it the {view}?"
            ).format(confidence=confidence, view=view)
        if recognised != view:
            return "◐ " + _("looks like {recognised}?").format(recognised=recognised), _(
                "The model takes it for a {recognised}, {confidence}. Select it there, or keep it if you know better."
            ).format(recognised=recognised, confidence=confidence)
        if sure < _SURE:
            return "◐ " + _("{view}, unsure").format(view=view), confidence
        return "● " + _("{view}, sure").format(view=view), confidence

    @staticmethod
    def recognised(node) -> tuple[str | None, float | None]:
        """(view or None, confidence) of the last "Find views"; (None, None) before."""
        text = node.GetAttribute(_RECOGNISED)
        if not text:
            return None, None
        view, sure = text.split()
        return (None if view == "-" else view), float(sure)

    # --- actions

    def _choose_folder(self) -> None:
        folder = qt.QFileDialog.getExistingDirectory(self._panel.widget, _("Folder with the study's cines"))
        if folder:
            self.load_folder(folder)

    def load_folder(self, folder: str) -> None:
        """Read all cines in a folder, add them to the scene and find the views among them."""
        from ..readers import scan

        def done(found) -> None:
            nodes = [sequence_from_cine(cine) for cine in found.cines]
            told = [_("Loaded {count} cines.").format(count=len(nodes))]
            told += [
                _("Skipped {source}: {found}.").format(source=item.source, found=item.found)
                for item in found.skipped[:5]
            ]
            why_not = self._panel.model.why_not()
            if why_not:
                told.append(_("Select the views by hand: {reason}").format(reason=why_not))
            self._panel.say("\n".join(told))
            if not why_not:
                self._recognise(nodes)

        self._panel.run(_("Loading"), lambda progress, cancel: scan(folder), done)

    def load_synthetic(self) -> None:
        """The synthetic heart in three views, selected."""

        def done(cines: list[Cine]) -> None:
            self._select({view: sequence_from_cine(cine) for view, cine in zip(VIEWS, cines, strict=True)})
            self._panel.say(_("A synthetic study was made and selected. It is no patient."))

        self._panel.run(_("Making the synthetic study"), lambda progress, cancel: synthetic_cines(), done)

    def find_views(self) -> None:
        """Recognise the views among the scene's cines of one study."""
        self._panel.attempt(lambda: self._recognise(self._candidates()))

    def _candidates(self) -> list:
        return [
            node for node in slicer.util.getNodesByClass("vtkMRMLSequenceNode") if _may_be_cine(node) and is_cine(node)
        ]

    def _recognise(self, nodes: list) -> None:
        cines = []
        for node in nodes:
            try:
                cines.append((node.GetID(), cine_from_sequence(node)))
            except CvlError as error:
                self._panel.say(str(error), "bad")
        cines = self._of_one_study(cines)
        logic, parameters = self._panel.logic, self._panel.parameters
        model, device = parameters.model, parameters.device

        def done(recognised) -> None:
            for one in recognised:
                node = slicer.mrmlScene.GetNodeByID(one.job.sequence_id)
                if node is not None:
                    result = one.result
                    node.SetAttribute(_RECOGNISED, f"{result.view or '-'} {result.view_confidence:.4f}")
            best = logic.assignViews(recognised)
            told = list(logic.messages)
            self._select(
                {view: slicer.mrmlScene.GetNodeByID(recognised[index].job.sequence_id) for view, index in best.items()}
            )
            found = ", ".join(view for view in VIEWS if view in best) or _("none")
            told.insert(0, _("Views found: {views}.").format(views=found))
            if not best:
                told.append(_("Select the cines by hand if you know which they are."))
            self._panel.say("\n".join(told[:8]), "good" if best else "bad")

        def task(progress, cancel):
            read_ahead()
            return logic.recognise(cines, model, progress, cancel, device=device)

        self._panel.run(_("Finding the views"), task, done)

    def _of_one_study(self, cines: list[tuple[str, Cine]]) -> list[tuple[str, Cine]]:
        """The cines of the study that is meant: views of two patients are never put together."""
        keys = {cine.study_uid or cine.patient_key for _id, cine in cines}
        nameless = sum(not (cine.study_uid or cine.patient_key) for _id, cine in cines)
        if nameless > len(VIEWS):
            text = _(
                "The scene has {count} cines that do not say whose they are (DICOM does), so views of two patients "
                "could be put together. Select the views by hand, or leave one patient's cines in the scene."
            )
            raise UsageError(text.format(count=nameless))
        if len(keys) > 1:
            chosen = {node.GetID() for node in self.selected().values()}
            keys = {cine.study_uid or cine.patient_key for node_id, cine in cines if node_id in chosen}
        if len(keys) != 1:
            raise UsageError(
                _("The scene has cines of several studies. Select one cine of the study you mean, then Find views.")
            )
        return [(node_id, cine) for node_id, cine in cines if (cine.study_uid or cine.patient_key) in keys]

    def _select(self, nodes: dict[str, object]) -> None:
        """Select these; views that are not among them are cleared, so that no two studies mix."""
        parameters = self._panel.parameters
        modifying = parameters.StartModify()
        for view in VIEWS:
            setattr(parameters, f"cine{view}", nodes.get(view))
        parameters.EndModify(modifying)
        self._panel.choices_changed()

    def is_in_views(self) -> bool:
        """Whether one of the cines is in a slice view."""
        return any_shown([self._panel.proxy(view) for view in self.usable()])

    def show_in_views(self) -> None:
        """Each cine into its slice view, with its landmarks."""
        panel = self._panel
        markups = {view: panel.logic.landmarksNode(view) for view in panel.views()}
        show_study({view: panel.proxy(view) for view in self.usable()}, markups)

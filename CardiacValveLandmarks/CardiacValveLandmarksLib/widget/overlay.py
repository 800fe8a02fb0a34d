"""What the model makes of the frame shown, over its image: a heat-map or the saliency of the selected landmark."""

from __future__ import annotations

import logging

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from ..errors import CvlError
from ..landmarks import by_number
from ..mrml.overlay_nodes import show_overlay
from .controls import allow, set_quietly
from .slice_views import foreground, show_foreground
from .worker import Worker

#: quiet time after a change of frame before a map is made, ms
_PAUSE = 150
_OPACITY = 0.6
KINDS = ("", "heatmap", "saliency")


def maps_of(cine, model: str, view: str, result, device: str):
    """`detection.saliency.FrameMaps` of a cine; result: what that model found in it, where it is known."""
    from ..detection.saliency import FrameMaps

    return FrameMaps(cine, model, view, result=result, device=device)


class Overlay:
    """`kind`: "", "heatmap" or "saliency". The map is made beside the interface, for the frame that is looked at."""

    def __init__(self, panel) -> None:
        self._panel, selector = panel, panel.ui.overlaySelector
        self.kind = ""
        for text in (_("no overlay"), _("heat-map"), _("saliency")):
            selector.addItem(text)
        selector.currentIndexChanged.connect(lambda *_: self._chosen())
        self.worker = Worker(0.003)
        self._soon = qt.QTimer()
        self._soon.setSingleShot(True)
        self._soon.setInterval(_PAUSE)
        self._soon.timeout.connect(self._make)
        self._maps: tuple = ()
        # what lay over the image before, and how opaque
        self._before: tuple[str | None, float] = None, 0.0
        # the ID of the overlay's node that was shown last
        self._node: str | None = None
        #: what the overlay in the slice view is of, None: there is none
        self.shown: tuple | None = None

    def refresh(self) -> None:
        none = "" if self._panel.review.selected is not None else _("There are no landmarks yet. Detect first.")
        allow(self._panel.ui.overlaySelector, none or self._panel.model.why_not())
        self.look_again()

    def _chosen(self) -> None:
        self.kind = KINDS[max(self._panel.ui.overlaySelector.currentIndex, 0)]
        self.look_again()

    def look_again(self) -> None:
        """Another frame, landmark or kind may be wanted: an overlay of something else disappears at once."""
        wanted = self._wanted()
        if wanted == self.shown:
            return
        if self.shown is not None:
            self._uncover(self.shown[1])
            self.shown = None
        if wanted is None:
            self._soon.stop()
        elif not self._panel.review.playing:
            self._soon.start()

    def _uncover(self, view: str) -> None:
        """What lay over a view's image before, unless the user has put something else there meanwhile."""
        if foreground(view)[0] != self._node:
            return
        before, opacity = self._before
        if before is not None and slicer.mrmlScene.GetNodeByID(before) is None:
            before, opacity = None, 0.0
        show_foreground(view, before, opacity)

    def release(self) -> None:
        """No overlay any more, and none in the making."""
        self.kind, self._maps = "", ()
        set_quietly(self._panel.ui.overlaySelector, "setCurrentIndex", 0)
        self.worker.cancel()
        self.look_again()

    def _wanted(self) -> tuple | None:
        """(kind, view, frame, landmark number, model)."""
        panel = self._panel
        if not (self.kind and panel.entered) or panel.parameters is None or panel.review.selected is None:
            return None
        view, number = panel.review.selected
        if view not in panel.browsing.views:
            return None
        return self.kind, view, panel.browsing.frame(view), number, panel.parameters.model

    def _make(self) -> None:
        panel, wanted = self._panel, self._wanted()
        if wanted is None or wanted == self.shown:
            return
        if panel.busy or self.worker.running:
            self._soon.start()
            return
        kind, view, frame, number, model = wanted
        cine, device = panel.logic.cine(view), panel.parameters.device
        key = (cine, model, device)
        if not self._maps or any(one is not other for one, other in zip(self._maps[0], key, strict=True)):
            self._maps = key, None

        def task(progress, cancel) -> np.ndarray:
            maps = self._maps[1]
            if maps is None:
                maps = maps_of(cine, model, view, panel.detect.result_of(cine, model), device)
                self._maps = key, maps
            return maps.heatmaps(frame)[number - 1] if kind == "heatmap" else maps.saliency(frame, number)

        def take(values: np.ndarray) -> None:
            sequence = panel.study.usable().get(view)
            if self._wanted() != wanted or sequence is None:
                self._soon.start()
                return
            words = {"heatmap": _("heat-map"), "saliency": _("saliency")}[kind]
            name = _("{kind} of {landmark}, {view}").format(kind=words, landmark=by_number(number).name, view=view)
            node = show_overlay(sequence, values, name)
            before = foreground(view)
            self._node = node.GetID()
            if before[0] != self._node:
                self._before = before
            show_foreground(view, self._node, _OPACITY)
            self.shown = wanted

        def ended(outcome: str, error: Exception | None) -> None:
            if outcome == "failed":
                if not isinstance(error, CvlError):
                    logging.error("the overlay failed", exc_info=error)
                self.release()
                panel.say(_("No overlay: {error}").format(error=error), "bad")

        self.worker.start(task, take, ended, lambda part, text: None)

"""Stepping through the beat: one view leads, the others follow at the same phase, whoever moves the browser."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import vtk

from ..mrml.scene import in_scene


class Browsing:
    """The browsers of the open study. on_frame(view, frame): called when a view shows another frame."""

    def __init__(self, logic, on_frame: Callable[[str, int], None]) -> None:
        self._logic, self._on_frame = logic, on_frame
        self._observed: list[tuple[object, int]] = []
        self._browsers: dict[str, object] = {}
        self._shown: dict[str, int] = {}
        self._nearest: dict[tuple[str, str], np.ndarray] = {}
        self._following = False

    def attach(self) -> None:
        """Take up the views the logic has open now."""
        self.release()
        views = self._logic.views()
        phases = {view: self._logic.cine(view).phases for view in views}
        for leader in views:
            for view in views:
                apart = np.abs(phases[leader][:, None] - phases[view][None, :])
                self._nearest[leader, view] = np.minimum(apart, 1 - apart).argmin(1)
        for view in views:
            browser = self._logic.browserNode(view)
            self._browsers[view] = browser
            self._shown[view] = browser.GetSelectedItemNumber()
            tag = browser.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_, view=view: self._modified(view))
            self._observed.append((browser, tag))

    def release(self) -> None:
        """Let go of the browsers, stopping what plays."""
        for browser, tag in self._observed:
            browser.RemoveObserver(tag)
        for browser in self._browsers.values():
            if in_scene(browser):
                browser.SetPlaybackActive(False)
        self._observed.clear()
        self._browsers.clear()
        self._shown.clear()
        self._nearest.clear()

    @property
    def views(self) -> list[str]:
        return list(self._browsers)

    def frame(self, view: str) -> int:
        return self._shown[view]

    def count(self, view: str) -> int:
        return len(self._nearest[view, view])

    def go(self, view: str, frame: int) -> None:
        """Show a frame of a view; the end of the beat is followed by its beginning."""
        self._browsers[view].SetSelectedItemNumber(frame % self.count(view))

    def playing(self, view: str) -> bool:
        return bool(self._browsers[view].GetPlaybackActive())

    def play(self, view: str, on: bool) -> None:
        for other, browser in self._browsers.items():
            browser.SetPlaybackActive(on and other == view)

    def _modified(self, view: str) -> None:
        frame = self._browsers[view].GetSelectedItemNumber()
        # frames may have come into the cine meanwhile
        if frame == self._shown[view] or not 0 <= frame < self.count(view):
            return
        self._shown[view] = frame
        if not self._following:
            self._following = True
            try:
                for other in self._browsers:
                    if other != view:
                        self._browsers[other].SetSelectedItemNumber(int(self._nearest[view, other][frame]))
            finally:
                self._following = False
        self._on_frame(view, frame)

"""The panel's keys, alive only while the module is open.

None of them belongs to Slicer's main window: its menus and toolbars have no undo (qSlicerMainWindow.ui), and other
modules' keys, like the Segment Editor's, live while those are open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import qt
import slicer


class Shortcuts:
    """Keys of the main window (without one: of the panel), so that they work with the mouse in a slice view.

    Fields to type into keep their letters and digits: Qt offers those to the field with the focus first.
    """

    def __init__(self, actions: Mapping[str, Callable[[], None]], panel) -> None:
        self._actions, self._panel = actions, panel
        self._made: list = []

    def enable(self) -> None:
        if self._made:
            return
        parent = slicer.util.mainWindow() or self._panel
        for key, action in self._actions.items():
            shortcut = qt.QShortcut(parent)
            shortcut.setKey(qt.QKeySequence(key))
            shortcut.activated.connect(action)
            # another part of the application may have taken the key as well
            shortcut.activatedAmbiguously.connect(action)
            self._made.append(shortcut)

    def disable(self) -> None:
        for shortcut in self._made:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self._made.clear()

"""Review: the beat frame by frame, the landmarks as a table, doubtful ones in order, corrections, undo, the plot."""

from __future__ import annotations

from collections.abc import Callable

from slicer.i18n import tr as _

from ..landmarks import by_number
from .controls import allow, set_quietly
from .displacement_plot import DisplacementPlot, PlotData
from .landmark_table import LandmarkTable
from .placing import Placing
from .review_data import ViewData
from .shortcuts import Shortcuts
from .slice_views import slice_logic


class ReviewSection:
    """`selected`: (view, landmark number) that keys, buttons and the plot are about, None without a study.

    `doubts`: [(view, frame, number, why)], worst first. `data`: {view: ViewData}.
    """

    def __init__(self, panel) -> None:
        self._panel, ui = panel, panel.ui
        self.selected: tuple[str, int] | None = None
        self.data: dict[str, ViewData] = {}
        self.doubts: list[tuple[str, int, int, str]] = []
        self._last_doubt: tuple[str, int, int] | None = None
        self.placing = Placing(self._placing_ended)
        self._placed_in = "", 0
        self._escape = Shortcuts({"Esc": self.placing.stop}, panel.widget)
        self.table = LandmarkTable(ui.landmarkTable, self.select, self._act)
        self.plot = DisplacementPlot(ui.displacementPlot, self.go)
        self.shortcuts = Shortcuts(self._keys(), panel.widget)
        ui.frameSlider.valueChanged.connect(lambda value: self.go(value))
        ui.previousFrameButton.clicked.connect(lambda *_: self.step(-1))
        ui.nextFrameButton.clicked.connect(lambda *_: self.step(1))
        ui.playButton.clicked.connect(lambda *_: self.play(not self.playing))
        ui.nextDoubtfulButton.clicked.connect(lambda *_: self.next_doubtful())
        for button, action in (
            (ui.absentButton, self.mark_absent),
            (ui.resetPointButton, self.reset_point),
            (ui.resetFrameButton, self.reset_frame),
            (ui.resetLandmarkButton, self.reset_landmark),
            (ui.undoButton, self.undo),
            (ui.redoButton, self.redo),
        ):
            button.clicked.connect(lambda *_, action=action: action())

    def _keys(self) -> dict[str, Callable[[], None]]:
        keys = {
            "N": self.next_doubtful,
            "Left": lambda: self.step(-1),
            "Right": lambda: self.step(1),
            "R": self.reset_point,
            "A": self.mark_absent,
            "Ctrl+Z": self.undo,
            "Ctrl+Y": self.redo,
            "Ctrl+Shift+Z": self.redo,
        }
        keys.update({str(number % 10): lambda number=number: self.select_number(number) for number in range(1, 11)})
        return keys

    def leave(self) -> None:
        """Stop what waits or moves; the module is left or the scene closes."""
        self.placing.stop()
        for view in self._panel.browsing.views:
            if self._panel.browsing.playing(view):
                self._panel.browsing.play(view, False)

    def release(self) -> None:
        self.plot.release()

    # --- what is shown

    @property
    def view(self) -> str | None:
        """The view of the selected landmark: its frames are counted."""
        return None if self.selected is None else self.selected[0]

    @property
    def frame(self) -> int:
        return self._panel.browsing.frame(self.view)

    @property
    def playing(self) -> bool:
        return self.view is not None and self._panel.browsing.playing(self.view)

    def views_changed(self) -> None:
        """Other views have landmarks now."""
        views = self._panel.views()
        self.placing.stop()
        self.data = {view: ViewData.of(self._panel.logic, view) for view in views}
        self.table.fill(views)
        if self.selected is None or self.selected not in self.table.rows:
            self.selected = self.table.rows[0] if self.table.rows else None
        if self.selected is not None:
            self.table.select(*self.selected)
        self._collect_doubts()
        for view in views:
            self._show_view(view)
        self._show_frame()

    def landmarks_changed(self, change) -> None:
        """Landmarks of a view moved; `change.dragging`: more will follow at once."""
        view = change.view
        if view not in self.data:
            return
        known = self.data[view].doubts if change.dragging else None
        self.data[view] = ViewData.of(self._panel.logic, view, known)
        if change.dragging:
            self._take_hold(view)
        else:
            self._collect_doubts()
        self._show_view(view)
        if view == self.view:
            self._draw()

    def _take_hold(self, view: str) -> None:
        """A point that is dragged in a slice view becomes the selected one."""
        frame = self._panel.browsing.frame(view)
        moved = self.table.changed(view, self.data[view].series, frame)
        if moved is not None and moved != self.selected:
            self.selected = moved
            self.table.select(*moved)
            self._show_frame()

    def frame_shown(self, view: str, frame: int) -> None:
        """A view shows another frame."""
        if view not in self.data:
            return
        self.placing.stop()
        self._show_view(view)
        if view == self.view:
            self._show_frame()

    def _collect_doubts(self) -> None:
        found = [
            (-doubt.score, view, frame, number, doubt.why)
            for view, data in self.data.items()
            for (frame, number), doubt in data.doubts.items()
        ]
        self.doubts = [entry[1:] for entry in sorted(found)]

    def _show_view(self, view: str) -> None:
        self.table.show(view, self.data[view], self._panel.browsing.frame(view))

    def _show_frame(self) -> None:
        ui = self._panel.ui
        if self.view is None:
            set_quietly(ui.frameSlider, "setMaximum", 0)
            ui.frameLabel.setText("–")
        else:
            count = self._panel.browsing.count(self.view)
            set_quietly(ui.frameSlider, "setMaximum", count - 1)
            set_quietly(ui.frameSlider, "setValue", self.frame)
            ui.frameLabel.setText(f"{self.view} {self.frame + 1}/{count}")
            set_quietly(ui.playButton, "setChecked", self.playing)
        self._draw()

    def _draw(self) -> None:
        if self.selected is None:
            self.plot.show(None, _("A landmark's displacement, once detected."))
            return
        view, number = self.selected
        data, landmark = self.data[view], by_number(number)
        values, path = data.displacement(landmark.index)
        title = _("{view} {landmark}: displacement").format(view=view, landmark=landmark.name)
        corrected, doubtful = data.corrected(landmark.index), data.doubtful(landmark.index)
        self.plot.show(PlotData(values, path, corrected, doubtful, self.frame, landmark.valve, title, data.unit))

    def refresh(self) -> None:
        panel, ui, logic = self._panel, self._panel.ui, self._panel.logic
        none = "" if self.selected is not None else _("There are no landmarks yet. Detect first.")
        for control in (
            ui.frameSlider,
            ui.previousFrameButton,
            ui.nextFrameButton,
            ui.playButton,
            ui.landmarkTable,
            ui.absentButton,
            ui.resetPointButton,
            ui.resetFrameButton,
            ui.resetLandmarkButton,
            ui.spreadSpinBox,
        ):
            allow(control, none)
        allow(ui.nextDoubtfulButton, none or ("" if self.doubts else _("No point is doubtful.")))
        allow(ui.undoButton, none or ("" if logic.canUndo() else _("There is nothing to take back.")))
        allow(ui.redoButton, none or ("" if logic.canRedo() else _("Nothing was taken back.")))
        frames = len({(view, frame) for view, frame, _number, _why in self.doubts})
        count = _("doubtful points: {points}, in frames: {frames}").format(points=len(self.doubts), frames=frames)
        if not self.doubts:
            count = none or _("no doubtful points")
        at = self._doubt_here()
        ui.doubtLabel.setText(at or count)
        ui.doubtLabel.setToolTip(count)
        manual = sum(logic.correction(view).n_manual for view in panel.views())
        ui.reviewSection.text = (
            _("Review: {doubts}, {manual} decided by hand").format(doubts=count, manual=manual)
            if not none
            else _("Review: no landmarks")
        )
        panel.overlay.look_again()

    def _doubt_here(self) -> str:
        """What is doubtful about the point that was gone to last, while it is still the one looked at."""
        if self._last_doubt is None or self.selected is None:
            return ""
        view, frame, number = self._last_doubt
        if (view, number) != self.selected or frame != self.frame:
            return ""
        doubt = self.data[view].doubts.get((frame, number))
        if doubt is None:
            return _("{landmark}: no longer doubtful").format(landmark=by_number(number).name)
        position = 1 + next(i for i, entry in enumerate(self.doubts) if entry[:3] == self._last_doubt)
        return _("{position} of {count}: {landmark}, {why}").format(
            position=position, count=len(self.doubts), landmark=by_number(number).name, why=doubt.why
        )

    # --- going about

    def go(self, frame: int) -> None:
        """Show a frame of the selected landmark's view."""
        if self.view is not None:
            self._panel.browsing.go(self.view, int(frame))
            self.refresh()

    def step(self, by: int) -> None:
        if self.view is not None:
            self.go(self.frame + by)

    def play(self, on: bool) -> None:
        if self.view is not None:
            self._panel.browsing.play(self.view, on)
            set_quietly(self._panel.ui.playButton, "setChecked", on)

    def select(self, view: str, number: int) -> None:
        """Make a landmark the one that keys, buttons and the plot are about."""
        if (view, number) == self.selected:
            return
        playing = self.playing
        if playing:
            self.play(False)
        self.selected = (view, number)
        self.table.select(view, number)
        self._show_frame()
        if playing:
            self.play(True)
        self.refresh()

    def select_number(self, number: int) -> None:
        """The landmark of a number, in the view that shows it."""
        row = next((row for row in self.table.rows if row[1] == number), None)
        if row is None:
            name = by_number(number)
            text = _("Landmark {number}, {name} ({view}), is in no view of this study.")
            self._panel.say(text.format(number=number, name=name.name, view=name.views[0]), "bad")
            return
        self.select(*row)

    def next_doubtful(self) -> None:
        """The next doubtful point, the worst first; after the last, the first again."""
        if not self.doubts:
            return
        self.play(False)
        places = [entry[:3] for entry in self.doubts]
        index = (places.index(self._last_doubt) + 1) % len(places) if self._last_doubt in places else 0
        view, frame, number = places[index]
        self._last_doubt = places[index]
        self.select(view, number)
        self.go(frame)

    # --- corrections

    def _change(self, action: Callable[[str, int, int], object]) -> None:
        if self.selected is not None:
            view, number = self.selected
            self._panel.attempt(lambda: action(view, self.frame, number))

    def mark_absent(self) -> None:
        self._change(self._panel.logic.setAbsent)

    def reset_point(self) -> None:
        self._change(self._panel.logic.reset)

    def reset_frame(self) -> None:
        self._change(lambda view, frame, number: self._panel.logic.reset(view, frame, None))

    def reset_landmark(self) -> None:
        self._change(lambda view, frame, number: self._panel.logic.reset(view, None, number))

    def place(self) -> None:
        """The next click in the slice view puts the selected landmark there."""

        def start(view: str, frame: int, number: int) -> None:
            if slice_logic(view) is None:
                self._panel.say(_("Placing needs a slice view, and there is none."), "bad")
                return
            self.play(False)
            self._panel.study.show_in_views()
            self._placed_in = view, frame
            self.placing.start(self._panel.logic.landmarksNode(view), number - 1)
            text = _("Click in the {view} image where the {landmark} is. Esc gives up.")
            self._panel.say(text.format(view=view, landmark=by_number(number).name))
            self._escape.enable()

        self._change(start)

    def _placing_ended(self) -> None:
        self._escape.disable()
        view, frame = self._placed_in
        # where the frame was left before the click, the scene has kept the point that hung at the mouse
        if view in self._panel.views() and self._panel.browsing.frame(view) != frame:
            self._panel.attempt(lambda: self._panel.logic.showAgain(view, frame))
        self._panel.say("")
        self._panel.refresh()

    def undo(self) -> None:
        self.placing.stop()
        if self.selected is not None:
            self._panel.attempt(self._panel.logic.undo)

    def redo(self) -> None:
        self.placing.stop()
        if self.selected is not None:
            self._panel.attempt(self._panel.logic.redo)

    def _act(self, view: str, number: int, action: str) -> None:
        """The button of a row."""
        self.select(view, number)
        {"place": self.place, "reset": self.reset_point, "absent": self.mark_absent}[action]()

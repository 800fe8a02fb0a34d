"""One study under review: its corrections, their history, and the nodes that show them.

The corrections are the truth, the scene their picture: every change goes through a `Correction`, is a step that can be
undone, and is then written to the frames it touches. What a person does in the scene itself (drag, place, clear a
point) is seen as a difference between the node and that picture, so a change of frame is never taken for an edit.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager

import numpy as np

from ..cine import Cine
from ..correction import DEFAULT_SPREAD, Correction, History
from ..doubts import Doubt
from ..errors import InputError, UsageError
from .cine_nodes import cine_from_sequence, scene_geometry
from .hands import Hands
from .landmark_frames import Marks
from .landmark_nodes import LandmarkNodes, check_other_view, frames_in_pieces
from .look import Look
from .pieces import in_one_go
from .reviewed_view import Change, Prepared, ReviewedView, marks_of, nothing
from .scene import is_placing

State = Mapping[str, Correction]

#: reviews at work in the scene: what one of them writes is no person's edit to the others
_writing: list[Review] = []
_reviews: weakref.WeakSet[Review] = weakref.WeakSet()


class Review:
    """The corrections of one study in the scene. `views` are those that have landmark nodes."""

    def __init__(self) -> None:
        self.spread = DEFAULT_SPREAD
        self.views: dict[str, ReviewedView] = {}
        self.history: History[State] = History({})
        self.notes: list[str] = []
        self.on_change: Callable[[Change], None] | None = None
        self._live: State | None = None
        self._drag: tuple[str, int] | None = None
        # view -> frame whose points are not the eleven, to be mended
        self._spoiled: dict[str, int] = {}
        # the view whose drag ended because its frame changed; the mouse may still move its point
        self._broken: str | None = None
        self._looks: dict[str, Look] = {}
        # what the scene shows as doubtful
        self._marked: dict[str, Marks] = {}
        self._hands = Hands(self._started, self._modified, self._ended, self._stepped)
        _reviews.add(self)

    @property
    def state(self) -> State:
        """View -> Correction, with a drag under way already in it."""
        return self.history.state if self._live is None else self._live

    def look(self, view: str) -> Look:
        """Smooth paths and doubts of a view as it stands, found once for each state."""
        correction = self.state[view]
        known = self._looks.get(view)
        if known is None or known.correction is not correction:
            known = self._looks[view] = Look(correction, self.views[view].cine)
        return known

    def doubts(self, view: str) -> list[Doubt]:
        """The doubtful points of a view as it stands, worst first."""
        return self.look(view).doubts

    def _marks(self, view: str) -> Marks:
        return marks_of(self.doubts(view))

    # --- views

    def adopt(self, view: str, sequence) -> bool:
        """Take in the landmarks this cine already has in the scene; False where it has none of this view."""
        nodes = LandmarkNodes.find(sequence, view, scene_geometry(sequence))
        if nodes is None:
            return False
        if nodes.stored_view != view:
            name = sequence.GetName()
            self.notes.append(f"{name}: has landmarks as {nodes.stored_view}; a detection as {view} replaces them")
            return False
        correction, notes = nodes.read()
        self.notes += notes
        self._take_in(view, ReviewedView(cine_from_sequence(sequence, view), nodes), correction)
        if notes:
            with self._writes():
                nodes.write(correction, range(correction.n_frames), self._marked[view])
        return True

    def complete(self, sequences: Mapping[str, object]) -> None:
        """Adopt what these cines, {view: sequence}, have in the scene by now; what is spoiled is said and left."""
        for view, sequence in sequences.items():
            if view not in self.views:
                try:
                    self.adopt(view, sequence)
                except InputError as error:
                    self.notes.append(str(error))

    def start(self, view: str, sequence) -> None:
        """Landmark nodes for this cine, all absent, unless it has some of this view."""
        if view in self.views or self.adopt(view, sequence):
            return
        cine = cine_from_sequence(sequence, view)
        self.take({view: in_one_go(self.prepared(view, sequence, cine, lambda correction: correction))})

    def base(self, view: str, sequence) -> Correction | None:
        """What there is of a view now, taken up from the scene if need be; None where there is nothing."""
        if view in self.views and not self.views[view].nodes.alive:
            self.drop(view)
        if view in self.views:
            self.views[view].nodes.check_frames()
        return self.state[view] if view in self.views or self.adopt(view, sequence) else None

    def prepared(
        self,
        view: str,
        sequence,
        cine: Cine,
        change: Callable[[Correction], Correction],
        keep_manual: bool = True,
    ) -> Generator[None, None, Prepared]:
        """`change` made ready for `take`, in pieces. The scene is not touched.

        InputError where this would take the place of points that a person decided in the same cine as another view,
        unless `keep_manual` is false.
        """
        base = self.base(view, sequence)
        if base is None and keep_manual:
            check_other_view(view, sequence, scene_geometry(sequence))
        correction = change(nothing(cine, view) if base is None else base)
        look = Look(correction, cine)
        marks = marks_of(look.doubts)
        yield
        geometry = scene_geometry(sequence)
        frames = yield from frames_in_pieces(sequence, correction, view, geometry, marks)
        return Prepared(sequence, base, look, frames)

    def take(self, prepared: Mapping[str, Prepared]) -> None:
        """One step: what was prepared into the scene. Views that had nothing are all absent in the past."""
        self.finish_drag()
        new = {view: one for view, one in prepared.items() if view not in self.views}
        for view, one in new.items():
            geometry = scene_geometry(one.sequence)
            nodes = LandmarkNodes.find(one.sequence, view, geometry)
            with self._writes():
                if nodes is not None:
                    nodes.replace(one.frames, view)
                else:
                    study = next((other.nodes.study for other in self.views.values()), None)
                    nodes = LandmarkNodes.create(one.sequence, one.frames, view, geometry, study)
            self._take_in(view, ReviewedView(one.look.cine, nodes), nothing(one.look.cine, view))
        for view in prepared:  # detected together they are one study, whatever they were before
            self.views[view].nodes.join(self.views[next(iter(prepared))].nodes.study)
        moved = {view for view, one in prepared.items() if view not in new and self.views[view].renew(one)}
        before = self.history.state
        changes = {view: one.look.correction for view, one in prepared.items() if one.look.correction != before[view]}
        if changes:
            self.history.push({**before, **changes})
        for view in [view for view in prepared if view in moved or view in changes]:
            one = prepared[view]
            self._looks[view], self._marked[view] = one.look, marks_of(one.look.doubts)
            if view not in new:
                with self._writes():
                    self.views[view].nodes.replace(one.frames, view)
            self._notify(Change(view, tuple(range(one.look.correction.n_frames))))

    def _take_in(self, view: str, reviewed: ReviewedView, correction: Correction) -> None:
        self.finish_drag()
        self.views[view] = reviewed
        # no step of its own: in the past, too, this view was as it is now
        self.history.amend(lambda state: {**state, view: correction})
        self._marked[view] = self._marks(view)
        self._hands.observe(view, reviewed.nodes.proxy, reviewed.nodes.browser)
        self._notify(Change(None, ()))

    def drop(self, view: str) -> None:
        """Forget a view (its nodes are gone or belong elsewhere now); the scene stays as it is."""
        self._hands.release(view)
        if self._drag is not None and self._drag[0] == view:
            self._drag = self._live = None
        self.finish_drag()
        for known in (self.views, self._looks, self._marked):
            known.pop(view, None)
        self.history.amend(lambda state: {key: value for key, value in state.items() if key != view})
        self._notify(Change(None, ()))

    def forget(self, node) -> None:
        """Drop the views that a node taken out of the scene was part of."""
        for view, reviewed in list(self.views.items()):
            if node in (reviewed.nodes.image_sequence, reviewed.nodes.sequence, reviewed.nodes.browser):
                self.drop(view)

    def view(self, view: str) -> ReviewedView:
        """A view with living nodes. UsageError where there is none, InputError where its nodes were deleted."""
        if view not in self.views:
            known = ", ".join(self.views) or "none"
            raise UsageError(f"no landmarks for {view!r} in this study (there are: {known}). Run the detection first.")
        reviewed = self.views[view]
        if not reviewed.nodes.alive:
            self.drop(view)
            raise InputError(view, "landmarks in the scene", "deleted nodes", "Select the cine and detect again.")
        self._hands.observe(view, reviewed.nodes.proxy, reviewed.nodes.browser)
        self._mend(view)
        return reviewed

    def activate(self) -> None:
        """Observe the scene again after `release`; what was changed in it meanwhile ends the history."""
        for view in list(self.views):
            nodes = self.views[view].nodes
            if not nodes.alive or nodes.stored_view != view:
                self.drop(view)
                continue
            if self._read_again(view):
                stored = self.history.state[view]
                with self._writes():
                    nodes.write(stored, range(stored.n_frames), self._marked[view])
            if view in self.views:
                self._hands.observe(view, nodes.proxy, nodes.browser)

    def _read_again(self, view: str) -> bool:
        """Take up what the scene has for a view, if it is something else; then the history ends. Says whether it was.
        What somebody else spoiled is said in `notes`, dropped, and left alone."""
        try:
            stored, notes = self.views[view].nodes.read()
        except InputError as error:
            self.notes.append(str(error))
            self.drop(view)
            return False
        if stored == self.history.state[view]:
            return False
        self.history = History({**self.history.state, view: stored})
        self.notes += notes
        self._marked[view] = self._marks(view)
        return True

    def release(self) -> None:
        """Stop observing the scene."""
        self.finish_drag()
        for view in list(self._hands.proxies):
            self._hands.release(view)

    # --- steps

    def commit(self, changes: State) -> None:
        """One step: new corrections for some views, written to the frames they touch."""
        self.finish_drag()
        before = self.history.state
        changes = {view: new for view, new in changes.items() if new != before[view]}
        if changes:
            self.history.push({**before, **changes})
            self._write(before)

    def change(self, view: str, operation: Callable[[Correction], Correction]) -> None:
        """One step on one view. Errors of the operation (frame, landmark, position) become UsageError."""
        self.finish_drag()
        self.view(view).nodes.check_frames()
        try:
            changed = operation(self.history.state[view])
        except (IndexError, ValueError) as error:
            raise UsageError(f"{view}: {error}") from error
        self.commit({view: changed})

    def undo(self) -> bool:
        return self._step(self.history.undo)

    def redo(self) -> bool:
        return self._step(self.history.redo)

    def _step(self, move: Callable[[], bool]) -> bool:
        # the mouse may still hold the point
        self._broken = self._broken if self._drag is None else self._drag[0]
        self.finish_drag()
        for view in list(self.views):
            self.view(view).nodes.check_frames()
        before = self.history.state
        if not move():
            return False
        self._write(before)
        return True

    def _write(self, before: State, also: tuple[str, int] | None = None) -> None:
        """Bring the scene from `before` to the present state; `also`: a frame to write whatever it holds."""
        for view, correction in self.history.state.items():
            if correction is before[view]:
                continue
            frames = {int(f) for f in correction.changed_frames(before[view])}
            marked, self._marked[view] = self._marked[view], self._marks(view)
            frames |= {frame for frame, _ in marked ^ self._marked[view]}
            if also is not None and also[0] == view:
                frames.add(also[1])
            if frames:
                with self._writes():
                    self.views[view].nodes.write(correction, sorted(frames), self._marked[view])
                self._notify(Change(view, tuple(sorted(frames))))

    # --- what a person does in the scene

    def finish_drag(self) -> None:
        """The end of a drag: one step, spread over the neighbouring frames."""
        drag, live = self._drag, self._live
        self._drag = self._live = None
        if live is None:
            return
        before = self.history.state
        self.history.push(live)
        self._write(before, also=drag)

    def rewrite(self, view: str, frame: int) -> None:
        """Write a frame as it is known, whatever the scene holds there: what was left of a placement given up."""
        if view in self.views and self.views[view].nodes.alive:
            with self._writes():
                self.views[view].nodes.write(self.state[view], [frame], self._marked[view])

    def _started(self, view: str) -> None:
        self.finish_drag()
        self._broken = None
        # edits are not kept while playing; taking hold of a point means to stop and look. The views step together
        for reviewed in self.views.values():
            if reviewed.nodes.alive:
                reviewed.nodes.browser.SetPlaybackActive(False)
        self._drag = (view, self.views[view].nodes.frame)

    def _stepped(self, view: str) -> None:
        """The browser shows another frame, or another node shows it: Slicer makes one where it was deleted."""
        reviewed = self.views.get(view)
        if reviewed is not None and reviewed.nodes.alive and not _writing:
            self._mend(view)
            proxy = reviewed.nodes.browser.GetProxyNode(reviewed.nodes.sequence)
            if proxy is not None and proxy is not self._hands.proxies.get(view):
                reviewed.nodes.style()
                self._hands.observe(view, reviewed.nodes.proxy, reviewed.nodes.browser)

    def _mend(self, view: str) -> None:
        """Bring back the points of a frame that somebody added to or deleted from."""
        if (frame := self._spoiled.pop(view, None)) is not None:
            self.rewrite(view, frame)
            name = self.views[view].nodes.sequence.GetName()
            self.notes.append(
                f"{name}, frame {frame}: points cannot be added or deleted; it is as it was. Mark a landmark as absent "
                "instead."
            )
            self._notify(Change(view, (frame,)))

    def _ended(self, view: str) -> None:
        self.finish_drag()
        self._broken = None

    def _modified(self, view: str) -> None:
        nodes = self.views[view].nodes
        if _writing or not nodes.alive or nodes.browser.GetPlaybackActive():
            return
        if not nodes.whole:  # frames came or went in the cine: which is which is not known
            return
        frame = nodes.frame
        if not nodes.complete:
            # not put right here: the node goes on with its own event, and would with points that are gone
            self._spoiled[view] = frame
            return
        if trouble := nodes.trouble():
            self.rewrite(view, frame)
            self.notes.append(trouble)
            self._notify(Change(view, (frame,)))
            return
        if self._drag is not None and self._drag != (view, frame):
            self._broken = self._drag[0]
            self.finish_drag()
        points, preview = nodes.shown()
        if preview.any():
            if is_placing(nodes.proxy.GetScene()):
                return
            points[preview] = np.nan  # left of a placement that was given up: nothing is there
        if self._broken == view:
            # the point that is still held belongs to the frame the drag began in
            if nodes.taken_over(self.state[view], frame, points, 0)[1]:
                self.rewrite(view, frame)
            return
        corrected, changed = nodes.taken_over(self.state[view], frame, points, self.spread)
        if not changed:
            return
        if self._drag is None:
            self.commit({view: corrected})
            return
        self._live = {**self.state, view: corrected}
        with self._writes(whole=False):
            nodes.write_shown_attributes(corrected, self._marked[view])
        self._notify(Change(view, (frame,), dragging=True))

    @contextmanager
    def _writes(self, whole: bool = True):
        """While the scene is written. whole: the others who show these landmarks read them again afterwards."""
        _writing.append(self)
        try:
            yield
        finally:
            _writing.pop()
            if whole and not _writing:
                for other in [other for other in _reviews if other is not self]:
                    other._written_by(self)

    def _written_by(self, writer: Review) -> None:
        """Another review wrote landmarks that this one observes too: that is how they are now."""
        proxies = {id(reviewed.nodes.proxy) for reviewed in writer.views.values() if reviewed.nodes.alive}
        for view, proxy in list(self._hands.proxies.items()):
            if id(proxy) in proxies and view in self.views:
                self._drag = self._live = None
                if self._read_again(view):
                    self._notify(Change(view, tuple(range(self.state[view].n_frames))))

    def _notify(self, change: Change) -> None:
        if self.on_change is not None:
            self.on_change(change)

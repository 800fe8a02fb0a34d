"""What a person does with the points of a view in the scene: takes hold of one, moves it, lets go."""

from __future__ import annotations

from collections.abc import Callable


class Hands:
    """Observes each view's fiducial node; the reactions are called with the view. `proxies`: view -> observed node."""

    def __init__(self, started: Callable[[str], None], moved: Callable[[str], None], ended: Callable[[str], None]):
        self._reactions = started, moved, ended
        self.proxies: dict[str, object] = {}
        self._tags: dict[str, list[int]] = {}

    def observe(self, view: str, proxy) -> None:
        """Observe this node of the view, and no other one."""
        if self.proxies.get(view) is proxy:
            return
        self.release(view)
        events = proxy.PointStartInteractionEvent, proxy.PointModifiedEvent, proxy.PointEndInteractionEvent
        self._tags[view] = [
            proxy.AddObserver(event, lambda caller, name, react=react: react(view))
            for event, react in zip(events, self._reactions, strict=True)
        ]
        self.proxies[view] = proxy

    def release(self, view: str) -> None:
        """Observe the view no more."""
        proxy = self.proxies.pop(view, None)
        for tag in self._tags.pop(view, ()):
            proxy.RemoveObserver(tag)

"""What a person does with the points of a view in the scene: takes hold of one, moves it, lets go."""

from __future__ import annotations

from collections.abc import Callable


class Hands:
    """Observes each view's fiducial node and its browser; the reactions are called with the view.

    `proxies`: view -> observed node."""

    def __init__(
        self,
        started: Callable[[str], None],
        moved: Callable[[str], None],
        ended: Callable[[str], None],
        stepped: Callable[[str], None],
    ) -> None:
        self._started, self._moved, self._ended, self._stepped = started, moved, ended, stepped
        self.proxies: dict[str, object] = {}
        self._tags: dict[str, list[tuple[object, int]]] = {}

    def observe(self, view: str, proxy, browser) -> None:
        """Observe this node of the view and what steps it, and no other ones."""
        if self.proxies.get(view) is proxy and any(node is browser for node, _ in self._tags[view]):
            return
        self.release(view)
        reactions = (
            (proxy, proxy.PointStartInteractionEvent, self._started),
            (proxy, proxy.PointModifiedEvent, self._moved),
            (proxy, proxy.PointAddedEvent, self._moved),
            (proxy, proxy.PointRemovedEvent, self._moved),
            (proxy, proxy.PointEndInteractionEvent, self._ended),
            (browser, "ModifiedEvent", self._stepped),
        )
        self._tags[view] = [
            (node, node.AddObserver(event, lambda caller, name, react=react: react(view)))
            for node, event, react in reactions
        ]
        self.proxies[view] = proxy

    def release(self, view: str) -> None:
        """Observe the view no more."""
        self.proxies.pop(view, None)
        for node, tag in self._tags.pop(view, ()):
            node.RemoveObserver(tag)

"""What comes of a study: its rings, measures and curves as nodes of the scene, and its files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..cine import Cine
from ..landmarks import LandmarkSeries
from .annulus_nodes import PhaseFollower, phase_items, rings_browser, show_rings
from .measure_nodes import show_measures

if TYPE_CHECKING:
    from ..study import Study, StudySettings


class ShownStudy:
    """The study whose nodes follow the views, one at a time."""

    def __init__(self, scene) -> None:
        self._scene = scene
        self._follower: PhaseFollower | None = None

    def show(self, study: Study, owner: str, browsers: Mapping[str, object]) -> dict[str, object]:
        """`StudyLogic.showStudy`. owner: `LandmarkNodes.study`. browsers: view -> the browser its rings follow."""
        self.release()
        nodes = show_rings(study, owner, self._scene)
        rings = rings_browser(owner, self._scene)
        if rings is not None:
            views = [view.view for view in study.views if view.view in browsers]
            followed = {view: browsers[view] for view in views}
            self._follower = PhaseFollower(rings, followed, {view: phase_items(study, view) for view in views})
        return nodes | show_measures(study, owner, self._scene)

    def release(self) -> None:
        """The rings stay where they are."""
        if self._follower is not None:
            self._follower.release()
            self._follower = None


def export_entries(
    entries: Sequence[tuple[Cine, LandmarkSeries]],
    folder: str | os.PathLike,
    formats: Sequence[str],
    settings: StudySettings | None = None,
) -> list[Path]:
    """`StudyLogic.export` of what `studyInput` gave. Touches no node: may run in a worker thread."""
    from ..export import ExportOptions, export_study, parse_formats
    from ..study_build import build_study
    from ..study_images import cines_of

    chosen, _ = parse_formats(",".join(formats), ExportOptions())
    study = build_study(entries, settings)
    return export_study(study, folder, chosen, ExportOptions(cines=cines_of(study, [cine for cine, _ in entries])))

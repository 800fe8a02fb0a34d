"""What comes of a study: its rings, measures and curves as nodes of the scene, and its files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..cine import Cine
from ..correction import Correction
from ..landmarks import LandmarkSeries
from .annulus_nodes import PhaseFollower, keep_items, kept_items, phase_items, rings_browser, show_rings
from .measure_nodes import show_measures, update_measures
from .scene import in_scene

if TYPE_CHECKING:
    from ..measure_builder import Measure
    from ..study import Study, StudySettings
    from ..study_live import LiveStudy


class ShownStudy:
    """The study whose nodes follow the views, and a point that is dragged in one of them; one at a time."""

    def __init__(self, scene) -> None:
        self._scene = scene
        self._follower: PhaseFollower | None = None
        self._live: LiveStudy | None = None
        self._tables: dict[str, object] = {}

    def show(self, study: Study, rings: list, owner: str, browsers: Mapping[str, object]) -> dict[str, object]:
        """`StudyLogic.showStudy`. rings: of `rings_in_pieces`. owner: `LandmarkNodes.study`. browsers: by view."""
        self.release()
        nodes = show_rings(rings, owner, self._scene)
        browser = rings_browser(owner, self._scene)
        if browser is not None:
            followed = {view.view: browsers[view.view] for view in study.views if view.view in browsers}
            items = {view: phase_items(study, view) for view in followed}
            keep_items(browser, items)
            self._follower = PhaseFollower(browser, followed, items)
        from ..study_live import LiveStudy

        self._live, self._tables = LiveStudy(study), show_measures(study, owner, self._scene)
        return nodes | self._tables

    def resume(self, owner: str, browsers: Mapping[str, object]) -> None:
        """Rings that are in the scene already, of a study opened again, follow the views' phase."""
        self.release()
        rings = rings_browser(owner, self._scene)
        if rings is not None:
            items = {view: one for view, one in kept_items(rings).items() if view in browsers}
            self._follower = PhaseFollower(rings, {view: browsers[view] for view in items}, items)

    def follow(self, view: str, series: LandmarkSeries) -> dict[str, Measure]:
        """Measures and curves as they are with these landmarks in `view`, into the tables and by key.

        Those that rest on rings stay as they were. {} where no study is shown or its tables were deleted.
        """
        if self._live is None or not all(map(in_scene, self._tables.values())):
            return {}
        measures, curves = self._live.follow(view, series)
        update_measures(self._tables, measures, curves)
        return {measure.key: measure for measure in measures}

    def release(self) -> None:
        """The nodes stay as they are."""
        if self._follower is not None:
            self._follower.release()
        self._follower = self._live = None
        self._tables = {}


def export_entries(
    entries: Sequence[tuple[Cine, LandmarkSeries]],
    folder: str | os.PathLike,
    formats: Sequence[str],
    settings: StudySettings | None = None,
    corrections: Mapping[str, Correction] | None = None,
) -> list[Path]:
    """`StudyLogic.export` of what `studyInput` gave. Touches no node: may run in a worker thread.

    corrections: of `StudyLogic.correction`, by view. Cines are called by their view in what is written: names of nodes
    and files may name a person.
    """
    from ..export import ExportOptions, export_study, parse_formats
    from ..study_build import build_study
    from ..study_images import cines_of

    chosen, _ = parse_formats(",".join(formats), ExportOptions())
    if settings is not None and settings.views:  # views stated anew: what a person did was done to others
        corrections = None
    names, entries = _nameless(entries)
    if settings is not None:
        settings = replace(settings, views={view: names.get(name, name) for view, name in settings.views.items()})
    study = build_study(entries, settings)
    cines = cines_of(study, [cine for cine, _ in entries])
    return export_study(study, folder, chosen, ExportOptions(cines=cines, corrections=corrections or {}))


def _nameless(
    entries: Sequence[tuple[Cine, LandmarkSeries]],
) -> tuple[dict[str, str], list[tuple[Cine, LandmarkSeries]]]:
    """Old name -> new, and the entries with cines named after their views."""
    names, renamed = {}, []
    for number, (cine, landmarks) in enumerate(entries, start=1):
        name = landmarks.view or f"cine-{number}"
        if name in names.values():
            name = f"{name}-{number}"
        names[cine.name] = name
        renamed.append((cine.replace(name=name), landmarks))
    return names, renamed

"""A study's measures while a point is being dragged: at once, of that view's new points, without uncertainties."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .alignment import BeatPhases
from .landmarks import LandmarkSeries
from .measure_builder import Curve, Measure
from .measurements import build_measures
from .path_draws import PathDraws
from .study import Study
from .study_build import apex_direction_of, excursion_axis, moved_by
from .study_rings import build_rings
from .trajectory import Trajectory
from .trajectory_fit import ViewPoints, fit_views


class LiveStudy:
    """What follows from a study when the landmarks of one view change a little.

    The view's paths are fitted anew; ED, ES, the direction of excursions, warps and shifts are kept from the study,
    and rings are left out: those wait for the study to be built anew.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._geometries = {view.view: view.geometry for view in study.views}
        self._normals = {view: geometry.normal for view, geometry in self._geometries.items()}
        self._moves = {shift.view: shift.vector for shift in study.shifts} if study.shifts_applied else {}
        draws, ignored = self._draws(study.trajectories), []
        paths = {view: tuple(t for t in study.trajectories if t.view == view) for view in self._geometries}
        toward, from_apex = apex_direction_of(study.views, paths, ignored)
        placed = not any(view.geometry_assumed for view in study.views)
        _, _, model = build_rings(
            draws, self._geometries, toward if placed else None, study.ed_phase, study.settings, ignored
        )
        beat = BeatPhases(study.ed_phase, study.es_phase, np.empty(0))
        self._axis = excursion_axis(draws, toward, from_apex, beat, model, study.settings.excursion, ignored)

    def follow(self, view: str, series: LandmarkSeries) -> tuple[tuple[Measure, ...], tuple[Curve, ...]]:
        """Measures and curves with these landmarks in `view`; uncertainties are NaN, rings' measures missing.

        Both are empty where the study does not have the view. ValueError where the points do not carry the fit.
        """
        study, known = self._study, self._study.view(view)
        if known is None:
            return (), ()
        old = next((t for t in study.trajectories if t.view == view), None)
        # the other views tell this one's fit how a beat looks
        points = [
            ViewPoints(v.view, v.geometry, series if v is known else v.landmarks, v.phases, v.rr_ms)
            for v in study.views
        ]
        fits = fit_views(points, study.settings.order)
        new = next(fit.trajectories for v, fit in zip(study.views, fits, strict=True) if v is known)
        if old is not None:
            new = tuple(moved_by(replace(t, warp=old.warp), self._moves.get(view)) for t in new)
        others = tuple(t for t in study.trajectories if t.view != view)
        return build_measures(
            self._draws(others + new), {}, self._axis, self._normals, study.phases, study.ed_phase, study.es_phase
        )

    def _draws(self, trajectories: tuple[Trajectory, ...]) -> PathDraws:
        return PathDraws(trajectories, self._geometries, dict.fromkeys(self._geometries, 0.0), 0, 0)

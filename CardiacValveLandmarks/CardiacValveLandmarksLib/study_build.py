"""From cines and their landmarks to a study: assign, fit, align, build rings, measure, and say every doubt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .alignment import (
    ALIGNMENTS,
    USUAL_APEX_DIRECTION,
    BeatPhases,
    beat_phases,
    grid_phases,
    make_warp,
    phase_difference,
)
from .annulus import RING_METHODS
from .annulus_fit import RingRefused, fit_ring
from .breathhold import ShiftView, ViewShift, estimate_shifts
from .cine import Cine
from .coverage import coverage_doubts, covered
from .errors import UsageError
from .landmarks import APEX, VALVE_LANDMARKS, VIEWS, LandmarkSeries
from .measurements import EXCURSION_AXES, ExcursionAxis, build_measures
from .motion_check import MotionCheck, check_motion, frame_ranges
from .path_draws import PathDraws
from .place_doubts import apex_doubts, septal_order_doubt
from .study import Study, StudySettings, StudyView
from .study_rings import build_rings
from .study_views import Assigned, assign_views
from .timing_doubts import timing_doubts
from .trajectory import Trajectory
from .trajectory_fit import ViewPoints, fit_views

#: end-diastole or end-systole of a view further than this from any other view's, of the beat. Systole is of about the
#: same length in slow and fast beats, so that its end may differ by more
_ED_TOLERANCE, _ES_TOLERANCE = 0.06, 0.09
#: an apex nearer to the mitral valve than this is none, mm
_SHORTEST_VENTRICLE_MM = 30.0


def build_study(entries: Sequence[tuple[Cine, LandmarkSeries]], settings: StudySettings | None = None) -> Study:
    """All steps from cines and their landmarks to measures. Pixels are not kept.

    Raises InputError where the cines belong to different patients or frames of reference or none can be used,
    UsageError where the settings do not fit.
    """
    settings = settings or StudySettings()
    check_settings(settings)
    assignment = assign_views(entries, settings.views)
    doubts = list(assignment.doubts)
    paths = _fit(assignment.views, settings.order, doubts)
    apex_direction, from_apex = apex_direction_of(assignment.views, paths, doubts)
    own = {view: _beat(trajectories, apex_direction) for view, trajectories in paths.items()}
    views = tuple(_study_view(one, own[one.view]) for one in assignment.views)
    doubts += [f"{one.view} ({one.cine.name}): {doubt}" for one in assignment.views for doubt in one.cine.doubts]
    doubts += timing_doubts(views)
    paths = _align(paths, own, settings, doubts)
    geometries = {one.view: one.geometry for one in assignment.views}
    shifts = _shifts(assignment.views, paths, apex_direction, settings)
    if settings.apply_shifts:
        moves = {shift.view: shift.vector for shift in shifts}
        paths = {view: tuple(moved_by(t, moves.get(view)) for t in ts) for view, ts in paths.items()}
    trajectories = tuple(t for view in VIEWS for t in paths.get(view, ()))
    beat = _beat(trajectories, apex_direction)
    if not trajectories:
        doubts.append("No landmark has a path: nothing is measured.")
    elif np.isnan(beat.ed):
        doubts.append("The valves do not move enough to tell end-diastole and end-systole: nothing is measured.")
    elif apex_direction is None:
        doubts.append(
            "Neither an apex point nor a patient's directions: end-diastole was taken as the end of the motion nearer "
            "to the first frame. Where the series does not start at the R wave it may be end-systole: check it."
        )
    elif not from_apex and abs(phase_difference(beat.ed, 0.0)) > abs(phase_difference(beat.es, 0.0)):
        doubts.append(
            "No apex point: systole was told from where the apex usually lies, and then end-systole is nearer to the "
            "trigger than end-diastole. Check both, or place an apex point."
        )
    doubts += apex_doubts(paths)
    if np.isfinite(beat.ed):
        at_ed = {t.landmark.number: t.evaluate(beat.ed) for t in paths.get("4CH", ())}
        doubts += filter(None, [septal_order_doubt(at_ed)])
    doubts += coverage_doubts([t for t in trajectories if t.landmark != APEX])
    _phase_doubts(views, paths, apex_direction, doubts)
    least = 2 * max((t.order for t in trajectories), default=0) + 1
    count = settings.phases or max(least, *(view.n_frames for view in views))
    if count < least:
        raise UsageError(f"phases: expected at least {least} for paths of {least // 2} harmonics, found {count}.")
    phases = np.arange(count) / count
    residual_sd = dict.fromkeys(geometries, settings.breathhold_sd_mm)
    if settings.apply_shifts:
        residual_sd.update({shift.view: shift.sd_mm for shift in shifts})
    draws = PathDraws(trajectories, geometries, residual_sd, settings.samples, settings.seed)
    placed = not any(one.geometry_assumed for one in assignment.views)
    toward = apex_direction if placed else None
    rings, refused, model = build_rings(draws, geometries, toward, beat.ed, settings, doubts)
    annuli = tuple(ring.annulus(phases, settings.nodes) for ring in rings)
    axis = excursion_axis(draws, apex_direction, from_apex, beat, model, settings.excursion, doubts)
    measures, curves = build_measures(
        draws,
        {ring.valve: (ring.draw, ring.points, ring.assumed) for ring in rings},
        axis,
        {view: geometry.normal for view, geometry in geometries.items()},
        phases,
        beat.ed,
        beat.es,
    )
    _shift_doubts(shifts, settings.apply_shifts, doubts)
    checks = _motion(assignment.views, doubts) if settings.motion_check else ()
    rr = [view.rr_ms for view in views if np.isfinite(view.rr_ms)]
    return Study(
        views=views,
        candidates=assignment.candidates,
        trajectories=trajectories,
        annuli=annuli,
        refused=refused,
        measures=measures,
        curves=curves,
        phases=phases,
        ed_phase=beat.ed,
        es_phase=beat.es,
        rr_ms=float(np.median(rr)) if rr else float("nan"),
        shifts=shifts,
        shifts_applied=settings.apply_shifts,
        motion_checks=checks,
        warnings=tuple(doubts),
        settings=settings,
    )


def check_settings(settings: StudySettings) -> None:
    """UsageError for a setting out of range."""
    for value, allowed, what in (
        (settings.alignment, ALIGNMENTS, "alignment"),
        (settings.ring_method, RING_METHODS, "ring method"),
        (settings.reference_view, (None, *VIEWS), "reference view"),
        (settings.excursion, ("auto", *EXCURSION_AXES), "excursion"),
    ):
        if value not in allowed:
            raise UsageError(f"{what} {value!r}: expected one of {', '.join(map(str, allowed))}.")
    for value, low, what in (
        (settings.nodes, 8, "nodes"),
        (settings.phases, 8, "phases"),
        (settings.order, 1, "order"),
        (settings.samples, 10, "samples"),
    ):
        if value is not None and value < low:
            raise UsageError(f"{what}: expected at least {low}, found {value}.")
    if not 0 <= settings.breathhold_sd_mm < np.inf:
        raise UsageError(f"breath-hold SD: expected 0 mm or more, found {settings.breathhold_sd_mm}.")


def _fit(views: Sequence[Assigned], order: int | None, doubts: list[str]) -> dict[str, tuple[Trajectory, ...]]:
    points = []
    for one in views:
        rr = float("nan") if one.cine.rr_ms is None else one.cine.rr_ms
        points.append(ViewPoints(one.view, one.geometry, one.series, one.cine.phases, rr))
    try:
        fits = fit_views(points, order)
    except ValueError as error:
        raise UsageError(f"{error}.") from error
    for fit in fits:
        doubts.extend(fit.doubts)
    return {one.view: fit.trajectories for one, fit in zip(views, fits, strict=True)}


def apex_direction_of(views: Sequence[Assigned], paths: dict[str, tuple[Trajectory, ...]], doubts: list[str]):
    """(3,) unit vector from the valves to the apex or None, and whether an apex landmark told it."""
    apexes, bases = [], []
    for trajectories in paths.values():
        apexes += [t.coefficients[0] for t in trajectories if t.landmark == APEX]
        bases += [t.coefficients[0] for t in trajectories if t.landmark.valve == "mitral"]
    if apexes and bases:
        direction = np.mean(apexes, axis=0) - np.mean(bases, axis=0)
        length = float(np.linalg.norm(direction))
        if length > _SHORTEST_VENTRICLE_MM:
            return direction / length, True
        doubts.append(f"The apex points lie {length:.0f} mm from the mitral valve: they are not used for directions.")
    if any(one.geometry_assumed for one in views):
        return None, False
    return USUAL_APEX_DIRECTION, False


def _beat(trajectories: Sequence[Trajectory], apex_direction: np.ndarray | None) -> BeatPhases:
    grid = grid_phases()
    moving = [t for t in trajectories if t.landmark != APEX]
    paths = np.array([t.evaluate(grid) for t in moving]).reshape(-1, len(grid), 3)
    return beat_phases(paths, apex_direction, covered(moving))


def _study_view(one: Assigned, beat: BeatPhases) -> StudyView:
    cine = one.cine
    return StudyView(
        view=one.view,
        name=cine.name,
        geometry=one.geometry,
        geometry_assumed=one.geometry_assumed,
        shape=cine.shape,
        times_ms=cine.times_ms,
        rr_ms=float("nan") if cine.rr_ms is None else float(cine.rr_ms),
        rr_source=cine.rr_source,
        phases=cine.phases,
        landmarks=one.series,
        recognised=one.series.view,
        recognised_confidence=float(one.series.view_confidence),
        stated=one.stated,
        ed_phase=beat.ed,
        es_phase=beat.es,
        source=cine.source,
        study_uid=cine.study_uid,
        frame_of_reference_uid=cine.frame_of_reference_uid,
    )


def _align(paths, own: dict[str, BeatPhases], settings: StudySettings, doubts: list[str]):
    """The paths with their warps."""
    if settings.alignment == "phase":
        return paths
    told = [view for view in ("4CH", "2CH", "3CH") if view in paths and np.isfinite([own[view].ed, own[view].es]).all()]
    reference = settings.reference_view or next(iter(told), None)
    if reference is not None and reference not in paths:
        raise UsageError(f"reference view {reference}: the study has only {', '.join(paths)}.")
    if reference not in told:
        which = "any view" if reference is None else f"the {reference}, which the others were to be aligned to"
        doubts.append(f"Not aligned on end-systole: end-diastole or end-systole was not found in {which}.")
        return paths
    common, aligned = own[reference], {}
    for view, trajectories in paths.items():
        try:
            warp = make_warp(settings.alignment, common.ed, common.es, own[view].ed, own[view].es)
        except ValueError as error:
            doubts.append(f"{view}: not aligned on end-systole: {error}.")
            aligned[view] = trajectories
            continue
        aligned[view] = tuple(replace(t, warp=warp) for t in trajectories)
    return aligned


def _phase_doubts(views, paths, apex_direction, doubts: list[str]) -> None:
    """Views whose beat, after alignment, does not run with any other's."""
    own = {view.view: _beat(paths[view.view], apex_direction) for view in views}
    for name, tolerance, moments in (
        ("end-diastole", _ED_TOLERANCE, {view: beat.ed for view, beat in own.items()}),
        ("end-systole", _ES_TOLERANCE, {view: beat.es for view, beat in own.items()}),
    ):
        known = {view: moment for view, moment in moments.items() if np.isfinite(moment)}
        for view in views:
            others = [moment for other, moment in known.items() if other != view.view]
            if view.view not in known or not others:
                continue
            nearest = min(others, key=lambda moment, own=known[view.view]: abs(phase_difference(own, moment)))
            if abs(phase_difference(known[view.view], nearest)) > tolerance:
                doubts.append(
                    f"{view.view} ({view.name}): {name} at {100 * known[view.view]:.0f} % of the beat, in the other "
                    f"view nearest to it at {100 * nearest:.0f} %: its series may not start at the R wave, and what "
                    'is measured of it comes out too small; consider alignment "ed-es".'
                )
                if len(known) == 2:  # which of the two it is cannot be told
                    break


def moved_by(trajectory: Trajectory, vector: np.ndarray | None) -> Trajectory:
    if vector is None:
        return trajectory
    coefficients = trajectory.coefficients.copy()
    coefficients[0] += vector
    return replace(trajectory, coefficients=coefficients, points=trajectory.points + vector)


def _mitral(trajectories: Sequence[Trajectory]) -> list[Trajectory]:
    return [t for t in trajectories if t.landmark.valve == "mitral"]


def _shifts(views: Sequence[Assigned], paths, apex_direction, settings: StudySettings) -> tuple[ViewShift, ...]:
    """Breath-hold shifts from landmarks and images; () where there is nothing to compare."""
    if len(views) < 2 or apex_direction is None:
        return ()
    grid = np.arange(20) / 20
    sights = []
    for one in views:
        trajectories = paths[one.view]
        if not trajectories:
            continue
        warp = trajectories[0].warp
        own = np.asarray(one.cine.phases)
        # frames know their own phase; images are compared at common ones
        fine = np.arange(2000) / 2000
        back = np.interp(own, *_increasing(warp(fine), fine))
        apex = next((t for t in trajectories if t.landmark == APEX), None)
        textured = settings.shift_images and float(np.ptp(one.cine.frames)) > 0
        sights.append(
            ShiftView(
                one.view,
                one.geometry,
                {t.landmark.number: t.evaluate(grid) for t in _mitral(trajectories)},
                None if apex is None else apex.evaluate(grid),
                one.cine.frames if textured else None,
                back % 1.0,
            )
        )
    ring = [path for sight in sights for path in sight.ring.values()]
    if len(sights) < 2 or not ring:
        return ()
    points = np.array(ring).mean(1)
    try:
        model = fit_ring(points, apex_direction, 0)
    except RingRefused:
        model = None
    centre = points.mean(0) + 35.0 * apex_direction
    return estimate_shifts(sights, model, centre)


def _increasing(own: np.ndarray, common: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Own and common phases sorted for interpolation over [0, 1)."""
    wrapped = own % 1.0
    order = np.argsort(wrapped)
    unwrapped = common[order]
    unwrapped = np.where(unwrapped - wrapped[order] > 0.5, unwrapped - 1.0, unwrapped)
    return wrapped[order], np.where(unwrapped - wrapped[order] < -0.5, unwrapped + 1.0, unwrapped)


def _shift_doubts(shifts: Sequence[ViewShift], applied: bool, doubts: list[str]) -> None:
    for shift in shifts:
        size = float(np.linalg.norm(shift.shift_mm))
        if size > 3.0 and size > 2 * shift.sd_mm:
            state = "and was corrected" if applied else "and was not corrected (apply_shifts does)"
            doubts.append(
                f"{shift.view}: the heart seems to lie {size:.1f} mm from where the other views show it (breath-hold; "
                f"95 % interval ± {shift.interval_mm.max():.1f} mm), {state}."
            )


def excursion_axis(
    draws: PathDraws, toward, from_apex: bool, beat: BeatPhases, model, asked: str, doubts: list[str]
) -> ExcursionAxis:
    """The direction that excursions are measured along: the one asked for, else the first of EXCURSION_AXES there is.

    A doubt where it is not the one asked for, or with "auto" not the long axis.
    """
    there = {}
    mitral = [key for key, t in draws.trajectories.items() if t.landmark.valve == "mitral"]
    if from_apex and np.isfinite(beat.ed):
        apexes = [t.evaluate(beat.ed) for t in draws.trajectories.values() if t.landmark == APEX]
        bases = {}
        for number, view in mitral:
            bases.setdefault(view, []).append(draws.trajectories[number, view].evaluate(beat.ed))
        base = np.mean([np.mean(points, axis=0) for points in bases.values()], axis=0)
        vector = np.mean(apexes, axis=0) - base
        there["long axis"] = vector / np.linalg.norm(vector)
    if model is not None:
        there["ED plane"] = -model.frame[2]
    if toward is None:
        # no patient space at all: the side the valves move to in systole
        moved = [t.evaluate(beat.es) - t.evaluate(beat.ed) for t in draws.trajectories.values() if t.landmark != APEX]
        toward = np.mean(moved, axis=0) if moved else np.zeros(3)
    there["view line"] = toward
    kind = asked if asked in there else next(iter(there))
    axis = ExcursionAxis(kind, there[kind])
    if kind != (EXCURSION_AXES[0] if asked == "auto" else asked):
        lacking = " and ".join(
            words for name, words in (("long axis", "no apex point"), ("ED plane", "no ring")) if name not in there
        )
        doubts.append(f"{lacking.capitalize()}: excursions are {axis.definition}.")
    return axis


def _motion(views: Sequence[Assigned], doubts: list[str]) -> tuple[MotionCheck, ...]:
    checks = []
    for one in views:
        if float(np.ptp(one.cine.frames)) == 0:
            continue
        check = check_motion(one.view, one.cine.frames, one.geometry.spacing, one.series)
        checks.append(check)
        found = []
        for landmark in (*VALVE_LANDMARKS, APEX):
            frames = np.flatnonzero(check.flagged[:, landmark.index])
            if len(frames):
                which = f"frame{'s' if len(frames) > 1 else ''} {frame_ranges(frames)}"
                most = 2 * len(frames) > one.cine.n_frames
                found.append(f"{landmark.name} in {f'{len(frames)} frames' if most else which}")
        if found:
            doubts.append(
                f"{one.view}: the image moves otherwise than the point (more than {check.limit_mm:.0f} mm) at the "
                f"{'; '.join(found)}: look at these."
            )
    return tuple(checks)

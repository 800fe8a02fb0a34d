"""Which cine is which view: what the landmarks say, checked against how the planes lie.

LPS millimetres.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .cine import Cine
from .errors import InputError, UsageError
from .geometry import SliceGeometry
from .landmarks import VIEWS, LandmarkSeries, in_view

#: planes closer to parallel than this tell nothing apart, degrees
SMALLEST_ANGLE_DEG = 15.0
#: how far a long-axis plane may pass the valve centre of another view before it counts against it, mm
_PLANE_TOLERANCE_MM = 10.0
_MOST_CANDIDATES = 6


@dataclass(frozen=True)
class Candidate:
    """A cine that could have been a view. view: "" where it could be none. score: higher is better, NaN then.
    reason: in plain words."""

    view: str
    name: str
    score: float
    chosen: bool
    reason: str


@dataclass(frozen=True)
class Assigned:
    """A cine with its view. geometry_assumed: made up from the pixel spacing alone."""

    view: str
    cine: Cine
    series: LandmarkSeries
    geometry: SliceGeometry
    geometry_assumed: bool
    stated: bool


@dataclass(frozen=True)
class Assignment:
    """views: in the order of VIEWS. candidates: all that were weighed. doubts: in plain words."""

    views: tuple[Assigned, ...]
    candidates: tuple[Candidate, ...]
    doubts: tuple[str, ...]


def assign_views(entries: Sequence[tuple[Cine, LandmarkSeries]], overrides: Mapping[str, str]) -> Assignment:
    """One cine for each view that there is.

    overrides: view -> cine name, the user's word. Raises InputError where patients or frames of reference are mixed
    or nothing can be used, UsageError where an override names no cine.
    """
    _check(entries, overrides)
    usable, left_out, doubts = _usable(entries, overrides)
    by_view = {
        view: sorted((u for u in usable if u.view == view), key=_own_score, reverse=True)[:_MOST_CANDIDATES]
        for view in VIEWS
    }
    present = [view for view in VIEWS if by_view[view]]
    scored = []
    for combination in itertools.product(*(by_view[view] for view in present)):
        scored.append((sum(map(_own_score, combination)) + _pair_score(combination), combination))
    best_score, best = max(scored, key=lambda item: item[0])
    candidates = list(left_out)
    for view, position in zip(present, range(len(present)), strict=True):
        for option in by_view[view]:
            chosen = option is best[position]
            score = best_score if chosen else max(s for s, c in scored if c[position] is option)
            candidates.append(Candidate(view, option.cine.name, score, chosen, _explain(option, best)))
        if len(by_view[view]) > 1 and by_view[view][0].stated:
            names = ", ".join(option.cine.name for option in by_view[view])
            doubts.append(f"Several cines were stated as {view} ({names}); used: {best[position].cine.name}.")
        elif len(by_view[view]) > 1:
            others = ", ".join(option.cine.name for option in by_view[view] if option is not best[position])
            doubts.append(f"Recognised as {view} as well, and not used unless you state it as that: {others}.")
    doubts += _geometry_doubts(best)
    missing = [view for view in VIEWS if view not in present]
    if missing:
        points = ", ".join(f"{m.name} {view}" for view in missing for m in in_view(view) if m.valve is not None)
        doubts.append(f"No {' and no '.join(missing)}: {points} and what needs them are missing.")
    return Assignment(tuple(best), tuple(candidates), tuple(doubts))


def _check(entries: Sequence[tuple[Cine, LandmarkSeries]], overrides: Mapping[str, str]) -> None:
    if not entries:
        raise UsageError("A study needs at least one cine with landmarks.")
    for attribute, what in (("patient_key", "patient"), ("frame_of_reference_uid", "frame of reference")):
        first: Cine | None = None
        for cine, _ in entries:
            value = getattr(cine, attribute)
            if value and first is None:
                first = cine
            elif value and value != getattr(first, attribute):
                raise InputError(
                    cine.source or cine.name,
                    f"the same {what} as in {first.name}",
                    "another one",
                    f"A study is one examination: give the cines of each {what} apart.",
                )
    for cine, series in entries:
        if series.n_frames != cine.n_frames:
            raise UsageError(f"{cine.name}: {cine.n_frames} frames but landmarks for {series.n_frames}.")
    names = [cine.name for cine, _ in entries]
    for view, name in overrides.items():
        if view not in VIEWS:
            raise UsageError(f"view {view!r}: expected one of {', '.join(VIEWS)}.")
        if names.count(name) != 1:
            found = "none" if name not in names else "several"
            raise UsageError(f"{view}: expected one cine named {name!r}, found {found}; there are {', '.join(names)}.")
    if len(set(overrides.values())) != len(overrides):
        raise UsageError("One cine was given for two views.")


def _usable(entries, overrides) -> tuple[list[Assigned], list[Candidate], list[str]]:
    """Cines that can be placed as a view; the others with the reason; doubts."""
    usable, left_out, doubts = [], [], []

    def leave_out(cine: Cine, reason: str, more: str = "") -> None:
        left_out.append(Candidate("", cine.name, float("nan"), False, reason))
        doubts.append(f"{cine.name}: {reason}{more}")

    forced = {name: view for view, name in overrides.items()}
    placed = sum(cine.geometry is not None for cine, _ in entries)
    for cine, series in entries:
        view = forced.get(cine.name) or cine.view or series.view
        stated = cine.name in forced or cine.view is not None
        if view is None:
            leave_out(cine, "its view was not recognised", "; it is left out. State its view to use it.")
            continue
        if view in overrides and cine.name != overrides[view]:
            continue
        geometry, assumed = cine.geometry, False
        if geometry is None:
            if placed or len(entries) > 1:
                leave_out(
                    cine,
                    "the file states no patient geometry, so its plane cannot be placed among other views",
                    "; it cannot join other views. Give it alone to measure within its own plane.",
                )
                continue
            if cine.spacing is None:
                leave_out(
                    cine,
                    "the file states neither patient geometry nor pixel spacing, so nothing in it can be measured",
                    " in mm. State the spacing with --spacing MM to measure within its plane",
                )
                continue
            geometry = SliceGeometry(np.zeros(3), np.array([cine.spacing[0], 0, 0]), np.array([0, cine.spacing[1], 0]))
            assumed = True
            doubts.append(
                f"{cine.name}: the file states no patient geometry; positions are millimetres in the image plane, "
                "not in the patient."
            )
        if series.view not in (None, view):
            doubts.append(f"{cine.name}: used as {view} as told, though it was recognised as {series.view}.")
        usable.append(Assigned(view, cine, series, geometry, assumed, stated))
    # where the user stated a cine for a view, recognised ones do not compete
    told = {u.view for u in usable if u.stated}
    usable = [u for u in usable if u.stated or u.view not in told]
    if not usable:
        cine = entries[0][0]
        raise InputError(
            cine.source or cine.name,
            "at least one cine with a recognised view, and patient geometry or pixel spacing",
            "; ".join(doubt.rstrip(".") for doubt in doubts),
            "State views with --2ch, --3ch, --4ch; give DICOM, or other files that state where their planes lie.",
        )
    return usable, left_out, doubts


def _own_score(option: Assigned) -> float:
    """Logarithm of view confidence, mean landmark confidence and the part of landmarks that is there."""
    wanted = [landmark.index for landmark in in_view(option.view) if landmark.valve is not None]
    present = option.series.present[:, wanted]
    confidence = option.series.confidence[:, wanted][present]
    known = confidence[np.isfinite(confidence)]
    recognised = option.series.view_confidence if option.series.view == option.view else 1.0
    parts = (1.0 if np.isnan(recognised) else recognised, known.mean() if known.size else 1.0, present.mean())
    return float(np.log(np.maximum(parts, 1e-3)).sum())


def _centre(option: Assigned) -> np.ndarray | None:
    """(3,) LPS mm, the mitral valve's mean place over the beat, or None where it has no points."""
    indices = [landmark.index for landmark in in_view(option.view) if landmark.valve == "mitral"]
    positions = option.series.positions[:, indices].reshape(-1, 2)
    positions = positions[np.isfinite(positions[:, 0])]
    return option.geometry.to_patient(np.median(positions, axis=0)) if len(positions) else None


def plane_angle_deg(a: SliceGeometry, b: SliceGeometry) -> float:
    """Angle between two planes, 0…90 degrees."""
    return float(np.rad2deg(np.arccos(np.clip(abs(a.normal @ b.normal), 0, 1))))


def _misses(option: Assigned, other: Assigned) -> float:
    """mm between the option's plane and the other's mitral centre, and the other way round: the larger one."""
    distances = [0.0]
    for plane, points in ((option, other), (other, option)):
        centre = _centre(points)
        if centre is not None:
            distances.append(abs(float(plane.geometry.distance(centre))))
    return max(distances)


def _pair_score(combination: Sequence[Assigned]) -> float:
    score = 0.0
    for a, b in itertools.combinations(combination, 2):
        score -= (_misses(a, b) / _PLANE_TOLERANCE_MM) ** 2
        if plane_angle_deg(a.geometry, b.geometry) < SMALLEST_ANGLE_DEG:
            score -= 10.0
    return score


def _explain(option: Assigned, best: Sequence[Assigned]) -> str:
    series = option.series
    if option.stated:
        words = ["stated by the user"]
    elif np.isnan(series.view_confidence):
        words = ["the view was given with the landmarks"]
    else:
        words = [f"recognised with confidence {series.view_confidence:.2f}"]
    wanted = [landmark.index for landmark in in_view(option.view) if landmark.valve is not None]
    words.append(f"landmarks present in {100 * series.present[:, wanted].mean():.0f} % of the frames")
    for other in best:
        if other.view != option.view:
            angle = plane_angle_deg(option.geometry, other.geometry)
            words.append(f"{angle:.0f}° to the {other.view}, {_misses(option, other):.0f} mm from its mitral centre")
    return "; ".join(words)


def _geometry_doubts(best: Sequence[Assigned]) -> list[str]:
    doubts = []
    for a, b in itertools.combinations(best, 2):
        angle = plane_angle_deg(a.geometry, b.geometry)
        if angle < SMALLEST_ANGLE_DEG:
            doubts.append(
                f"The planes of {a.view} ({a.cine.name}) and {b.view} ({b.cine.name}) nearly coincide ({angle:.0f}°): "
                "together they tell no more than one view."
            )
        miss = _misses(a, b)
        if miss > 2 * _PLANE_TOLERANCE_MM:
            doubts.append(
                f"The planes of {a.view} ({a.cine.name}) and {b.view} ({b.cine.name}) miss each other's mitral valve "
                f"by {miss:.0f} mm: one may be another view, or the landmarks are wrong."
            )
    uids = {u.cine.study_uid for u in best if u.cine.study_uid}
    if len(uids) > 1:
        doubts.append("The cines carry different study identifiers: check that they are of one examination.")
    return doubts

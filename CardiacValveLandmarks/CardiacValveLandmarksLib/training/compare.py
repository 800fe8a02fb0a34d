"""Two sources of landmarks side by side: which cines belong together, on one grid in mm, point by point."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..cine import Cine
from ..errors import InputError, UsageError
from ..geometry import SliceGeometry
from ..landmarks import APEX
from .landmark_sets import LandmarkSet
from .points import N_POINTS, POINT_VIEWS, POINTS, point_mask

#: a point may lie so far outside the image (pixels); predictions of which more than this share do are of another image
_EDGE, _ELSEWHERE = 1.0, 0.5
#: points further than this from the image plane (mm) are of another cine
OFF_PLANE_MM = 5.0
#: two planes are one where they lie closer than this (mm) and are more parallel than this (cosine)
_SAME_PLANE_MM, _PARALLEL = 1.0, 0.999


@dataclass(frozen=True)
class Row:
    """One landmark in one frame. error_mm: NaN unless it is there and was found. kind: what the cine is."""

    cine: str
    kind: str
    recognised: str | None
    landmark: int
    frame: int
    truth: bool
    found: bool
    error_mm: float
    confidence: float


@dataclass(frozen=True)
class ComparedCine:
    """The frames of one cine that the reference marks.

    reference, found: (n, 14, 2) by point (points.py) in the image plane, in the comparison's unit, NaN absent.
    confidence: (n, 14). assessed: (n, 14) bool, the points that count. views: of the reference, "unknown" where nobody
    says.
    recognised: the view the other source says the cine is of. persons: whose heart, the cine's name where unknown.
    stills: each frame is an image of its own, none of a cine.
    prediction: what the other source calls the cine. geometry: of the pixels, None: unknown. spacing: (2,) or (n, 2)
    mm of a pixel, None where unit is "px".
    """

    cine: str
    prediction: str
    persons: tuple[str, ...]
    frames: np.ndarray
    views: tuple[str, ...]
    recognised: tuple[str | None, ...]
    reference: np.ndarray
    found: np.ndarray
    confidence: np.ndarray
    assessed: np.ndarray
    geometry: SliceGeometry | None = None
    spacing: np.ndarray | None = None
    stills: bool = False

    @property
    def errors(self) -> np.ndarray:
        """(n, 14) distances of what is assessed, NaN unless in both."""
        return np.where(self.assessed, np.linalg.norm(self.found - self.reference, axis=-1), np.nan)


@dataclass(frozen=True)
class Comparison:
    """unit: "mm", or "px" where no file states a pixel spacing. notes: what was left out or assumed, in words."""

    cines: tuple[ComparedCine, ...]
    unit: str
    notes: tuple[str, ...]

    def inform(self, sets: Sequence[LandmarkSet]) -> list[LandmarkSet]:
        """The sets with the geometry and pixel spacing this comparison knows of their cines, where they state none.

        What one file states holds for every reader of that cine: else two comparisons had two units.
        """
        known = {cine.prediction: cine for cine in self.cines} | {cine.cine: cine for cine in self.cines}
        told = []
        for item in sets:
            cine = known.get(item.name)
            if cine is not None and item.geometry is None:
                item = replace(item, geometry=cine.geometry)
            of_frames = cine is not None and cine.spacing is not None and cine.spacing.ndim == 2
            if cine is not None and item.spacing is None and (not of_frames or _same_frames(item, cine)):
                item = replace(item, spacing=cine.spacing)
            told.append(item)
        return told

    def rows(self) -> list[Row]:
        """A row for each assessed landmark of each frame."""
        rows = []
        for cine in self.cines:
            errors = cine.errors
            for k, j in np.argwhere(cine.assessed):
                truth, found = (bool(np.isfinite(points[k, j, 0])) for points in (cine.reference, cine.found))
                rows.append(
                    Row(cine.cine, cine.views[k], cine.recognised[k], int(j) + 1, int(cine.frames[k]), truth, found,
                        float(errors[k, j]), float(cine.confidence[k, j]))
                )  # fmt: skip
        return rows


def compare(
    predictions: Sequence[LandmarkSet],
    reference: Sequence[LandmarkSet],
    *,
    cines: Iterable[Cine] = (),
    spacing: float | None = None,
    landmarks: Sequence[int] | None = None,
    persons: Mapping[str, str] | None = None,
    common_frames: bool = False,
) -> Comparison:
    """Compare what `predictions` say with what `reference` says, in the frames that the reference marks.

    cines: give geometry and spacing where the landmark files have none. spacing: mm a pixel, where nothing has it.
    landmarks: numbers to assess; None: those the reference marks anywhere in a view (a reader who never marks the
    apex says nothing about it). An apex that no prediction has is left out too: many models have none.
    persons: cine (either name) -> whose heart it is, where the user says so. common_frames: compare the frames that
    both have (two readers); without, each frame that the reference marks must be predicted.
    InputError: nothing belongs together, a frame that is missing, points that lie in another plane.
    """
    known = {cine.name: cine for cine in cines}
    pairs, notes = pair_up(predictions, reference)
    placed = []
    for other, truth in pairs:
        if common_frames and not (in_both := np.isin(truth.frames, other.frames)).all():
            notes.append(f"{truth.name!r}: {in_both.sum()} frames are marked by both readers.")
            truth = truth.take(np.flatnonzero(in_both))
            if not len(truth.frames):
                continue
        rows = _matching_frames(other, truth)
        cine = known.get(truth.name) or known.get(other.name)
        _check_inside(other, truth, None if cine is None else cine.shape)
        placed.append((other.take(rows), truth, *_grid(other.take(rows), truth, cine, spacing)))
    if not placed:
        raise InputError(predictions[0].source, f"a frame that {reference[0].source} marks too", "none")
    without = [truth.name for _, truth, _, pixel in placed if pixel is None]
    if without and len(without) < len(placed):
        advice = "State it with --spacing, or give the images with --cines."
        raise InputError(placed[0][1].source, "the pixel spacing of every cine", f"none for {without[0]!r}", advice)
    if without:
        notes.append("No file states a pixel spacing: distances are in pixels.")
    has_apex = any(item.present[:, APEX.index].any() for item in predictions)
    if not has_apex and any(item.present[:, APEX.index].any() for item in reference):
        notes.append("No prediction has the LV apex: it is left out.")
    marked = _marked_by_view(reference)
    for other, truth, *_ in placed:  # what is found in a view that has no such landmark is found wrongly
        for view, its, found in zip(truth.views, other.views, other.present, strict=True):
            if (view or its) in POINT_VIEWS:
                marked[view or its] |= found & ~point_mask(view or its)
    compared = []
    for other, truth, geometry, pixel in placed:
        views = tuple(view or its or "unknown" for view, its in zip(truth.views, other.views, strict=True))
        assessed = np.stack([marked[view] for view in views])
        assessed[:, APEX.index] &= has_apex
        if landmarks is not None:
            assessed &= np.isin(np.arange(N_POINTS) + 1, landmarks)
        scale = np.ones(2) if pixel is None else pixel[:, None] if pixel.ndim == 2 else pixel
        confidence = np.full(assessed.shape, np.nan) if other.confidence is None else other.confidence
        cine = known.get(truth.name) or known.get(other.name)
        nobody = (cine.patient_key if cine is not None else "") or truth.name
        told = persons.get(truth.name) or persons.get(other.name) if persons else None
        mine, others = (item.persons or ("",) * len(item.frames) for item in (truth, other))
        whose = tuple(one or its for one, its in zip(mine, others, strict=True))
        compared.append(
            ComparedCine(
                truth.name, other.name, tuple(told or person or nobody for person in whose), truth.frames, views,
                other.views,
                _pixels(truth, geometry) * scale, _pixels(other, geometry) * scale, confidence, assessed,
                geometry, pixel, truth.stills or other.stills,
            )
        )  # fmt: skip
    for view in POINT_VIEWS:
        unmarked = point_mask(view) & ~marked[view]
        if unmarked.any() and any(view in item.views for item in compared):
            names = ", ".join(f"{POINTS[k].number} {POINTS[k].name}" for k in np.flatnonzero(unmarked))
            notes.append(f"The reference never marks in a {view}, so not assessed there: {names}.")
    if not any(item.assessed.any() for item in compared):
        raise InputError(reference[0].source, "landmarks to assess", "none of those asked for")
    return Comparison(tuple(compared), "px" if without else "mm", tuple(notes))


def pair_up(
    predictions: Sequence[LandmarkSet], reference: Sequence[LandmarkSet]
) -> tuple[list[tuple[LandmarkSet, LandmarkSet]], list[str]]:
    """(prediction, reference) of each cine that both have, and what was left out.

    The same name; else the same plane in patient space and a view that does not contradict; else the only cine of its
    view on either side. InputError where nothing matches or a name is there twice.
    """
    for sets in (predictions, reference):
        names = [item.name for item in sets]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            source = next(item.source for item in sets if item.name == twice)
            raise InputError(source, "each cine once", f"{twice!r} more than once", "Give one file a cine.")
    left, pairs, notes = {item.name: item for item in predictions}, [], []
    rest = []
    for truth in reference:
        if truth.name in left:
            pairs.append((left.pop(truth.name), truth))
        else:
            rest.append(truth)
    for rule, words in ((_same_plane, "its plane"), (_only_of_view(predictions, reference), "its view")):
        for truth in list(rest):
            found = [item for item in left.values() if rule(item, truth)]
            if len(found) == 1:
                pairs.append((left.pop(found[0].name), truth))
                rest.remove(truth)
                notes.append(f"{truth.name!r} is compared with {found[0].name!r}: told by {words}.")
    if not pairs:
        names = [", ".join(sorted(item.name for item in sets)[:8]) for sets in (predictions, reference)]
        advice = "Name them alike, or map image names to cines with --names (docs/evaluation.md)."
        raise InputError(
            reference[0].source if reference else "reference", f"a cine among {names[0]}", names[1], advice
        )
    if rest:
        notes.append("Without a prediction, left out: " + ", ".join(item.name for item in rest) + ".")
    if left:
        notes.append("Without a reference, left out: " + ", ".join(left) + ".")
    return pairs, notes


def _same_plane(one: LandmarkSet, two: LandmarkSet) -> bool:
    if one.geometry is None or two.geometry is None or (one.view and two.view and one.view != two.view):
        return False
    parallel = abs(float(one.geometry.normal @ two.geometry.normal)) >= _PARALLEL
    return parallel and abs(float(one.geometry.distance(two.geometry.origin))) <= _SAME_PLANE_MM


def _only_of_view(predictions: Sequence[LandmarkSet], reference: Sequence[LandmarkSet]):
    def rule(one: LandmarkSet, two: LandmarkSet) -> bool:
        if one.view is None or one.view != two.view:
            return False
        if one.geometry is not None and two.geometry is not None and not _same_plane(one, two):
            return False
        return all(sum(item.view == one.view for item in sets) == 1 for sets in (predictions, reference))

    return rule


def _grid(
    other: LandmarkSet, truth: LandmarkSet, cine: Cine | None, spacing: float | None
) -> tuple[SliceGeometry | None, np.ndarray | None]:
    """The image plane both are compared in (None: pixels of one grid) and its pixel spacing (None: nobody knows).
    Both sets have the same frames."""
    geometry = other.geometry or truth.geometry or (cine.geometry if cine is not None else None)
    stated = [] if geometry is None else [geometry.spacing]
    stated += [item.spacing for item in (other, truth) if item.spacing is not None and item.geometry is None]
    if cine is not None and cine.spacing is not None:
        stated.append(cine.spacing)
    for one in stated[1:]:
        if not np.allclose(one, stated[0], rtol=0.01):
            found = " and ".join(f"{float(np.mean(value)):g} mm" for value in (stated[0], one))
            raise InputError(
                truth.source, f"one pixel spacing of {truth.name!r}", found, f"Compared with {other.source}."
            )
    if geometry is not None:
        return geometry, geometry.spacing
    if spacing is not None:
        if not 0 < spacing < 100:
            raise UsageError(f"--spacing {spacing}: expected millimetres a pixel.")
        stated.append(np.full(2, spacing))
    return None, stated[0] if stated else None


def _check_inside(other: LandmarkSet, truth: LandmarkSet, shape: tuple[int, int] | None) -> None:
    """InputError where the two are of images of different size, or a point lies outside the image, as far as sizes are
    known: pixels of another grid are no distances."""
    if other.shape and truth.shape and other.shape != truth.shape and None in (other.geometry, truth.geometry):
        found = f"{other.shape} and {truth.shape}"
        raise InputError(truth.source, f"one image size of {truth.name!r}", found, f"Compared with {other.source}.")
    for item, others in ((other, truth), (truth, other)):
        size = item.shape or shape or others.shape
        if size is None or item.pixels is None or item.patient is not None:
            continue
        place = item.pixels[np.isfinite(item.pixels[..., 0])]
        outside = ((place < -_EDGE) | (place > np.array(size) - 1 + _EDGE)).any(-1)
        # a network may err wildly in a point; that is an error to count, not another grid
        if outside.any() and (item is truth or outside.mean() > _ELSEWHERE):
            row, column = place[outside][0]
            raise InputError(
                item.source,
                f"points in an image of {size[0]} × {size[1]} pixels ({item.name!r})",
                f"one at row {row:g}, column {column:g}",
                "If the picture was enlarged or cut for marking, say so with --names (docs/evaluation.md).",
            )


def _pixels(item: LandmarkSet, geometry: SliceGeometry | None) -> np.ndarray:
    """(n, 14, 2) pixels of `geometry`'s grid; of the file's own without patient space."""
    if item.patient is not None and geometry is not None:
        off = np.abs(geometry.distance(item.patient))
        if np.nanmax(off, initial=0.0) > OFF_PLANE_MM:
            found = f"points up to {np.nanmax(off):.1f} mm off it"
            raise InputError(item.source, f"landmarks in the image plane of {item.name!r}", found, "Another cine?")
        return geometry.to_pixels(item.patient)
    if item.pixels is None:
        advice = "Give the images with --cines, so that patient space is known."
        raise InputError(item.source, f"landmarks in pixels of {item.name!r}", "patient space alone", advice)
    return item.pixels


def _matching_frames(other: LandmarkSet, truth: LandmarkSet) -> np.ndarray:
    """Rows of `other` for the frames of `truth`."""
    place = {int(frame): row for row, frame in enumerate(other.frames)}
    missing = [int(frame) for frame in truth.frames if int(frame) not in place]
    if missing:
        raise InputError(
            other.source,
            f"landmarks of {truth.name!r} in frames {_span(truth.frames)} (from 0)",
            f"frames {_span(other.frames)}, without {missing[0]}",
            f"The reference is {truth.source}.",
        )
    return np.array([place[int(frame)] for frame in truth.frames], int)


def _same_frames(item: LandmarkSet, cine: ComparedCine) -> bool:
    return len(item.frames) == len(cine.frames) and bool((item.frames == cine.frames).all())


def _span(frames: np.ndarray) -> str:
    return f"{int(frames.min())} to {int(frames.max())}" if len(frames) else "none"


def _marked_by_view(reference: Sequence[LandmarkSet]) -> dict[str, np.ndarray]:
    """view -> (14,) bool: the points the reference marks at least once in a frame of this view."""
    marked = {view: np.zeros(N_POINTS, bool) for view in POINT_VIEWS}
    anywhere = np.zeros(N_POINTS, bool)
    for item in reference:
        for view, present in zip(item.views, item.present, strict=True):
            anywhere |= present
            if view is not None:
                marked[view] |= present
    for view in POINT_VIEWS:  # a reference that does not say the view may still be of it
        unsaid = np.any([item.present.any(0) for item in reference if None in item.views] or [anywhere & False], axis=0)
        marked[view] = (marked[view] | unsaid) & point_mask(view)
    return marked | {"unknown": anywhere}

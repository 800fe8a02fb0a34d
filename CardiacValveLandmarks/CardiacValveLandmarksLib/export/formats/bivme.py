"""bivme: guide points for biv-me. With an existing set, its valve and apex rows are replaced and every other row is
kept byte for byte; without one, a set of valve points only, which is partial: a fit needs contours too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ...errors import InputError
from ...geometry import SliceGeometry
from ...landmarks import VIEWS, in_view
from ...study import Study, StudyView
from ...trajectory import Trajectory, harmonic_basis
from ..bivme_files import (
    APEX_LABEL,
    HEADER,
    SLICE_INFO,
    VALVE_LABELS,
    GuideFrame,
    GuidePointSet,
    GuideRow,
    read_guide_points,
)
from ..registry import ExportOptions, Format

#: planes of the set and of the study are the same slice up to this, mm and degrees
_SAME_PLANE_MM = 2.0
_SAME_PLANE_DEG = 2.0
PARTIAL = "PARTIAL.txt"
_PARTIAL_TEXT = (
    "This set has valve and apex points only. biv-me cannot fit a model to it: a fit needs contours too.\n"
    "To use the points, export again with --guide-points and an existing set.\n"
)


def _labels(study: Study, view: str) -> dict[str, list[Trajectory]]:
    """biv-me label -> the view's paths with that label, in the table's order; only complete valves."""
    found: dict[str, list[Trajectory]] = {}
    for landmark in in_view(view):
        path = study.trajectory(landmark.number, view)
        if path is not None:
            label = APEX_LABEL if landmark.valve is None else VALVE_LABELS[landmark.valve]
            found.setdefault(label, []).append(path)
    return {label: paths for label, paths in found.items() if len(paths) == (1 if label == APEX_LABEL else 2)}


def _own_phases(view: StudyView, frames: int) -> np.ndarray:
    """Where in the view's own beat the set's frames lie: at the images' own phases where each has one."""
    return view.phases if view.n_frames == frames else np.arange(frames) / frames


def _positions(path: Trajectory, own_phases: np.ndarray) -> np.ndarray:
    """(F, 3) LPS mm at phases of the view's own beat: the set's frames are the images' frames, not warped."""
    return harmonic_basis(own_phases, path.order) @ path.coefficients


def _row(point: np.ndarray, label: str, slice_id: int, weight: str, frame: str, end: str) -> GuideRow:
    line = "\t".join((*(f"{x:.5f}" for x in point), label, str(slice_id), weight, frame)) + end
    return GuideRow(line, point, label, slice_id)


def _check_slice(points: GuidePointSet, view: StudyView, slice_id: int) -> None:
    where = points.folder / SLICE_INFO
    if slice_id not in points.slices:
        raise InputError(where, f"slice {slice_id} (it has the {view.view}'s points)", f"{sorted(points.slices)}")
    other: SliceGeometry = points.slices[slice_id].geometry
    angle = np.rad2deg(np.arccos(min(1.0, abs(float(other.normal @ view.geometry.normal)))))
    distance = abs(float(view.geometry.distance(other.origin)))
    if angle > _SAME_PLANE_DEG or distance > _SAME_PLANE_MM:
        raise InputError(
            where,
            f"slice {slice_id} in the plane of the study's {view.view}",
            f"a plane {angle:.1f}° and {distance:.1f} mm away",
            "The guide points belong to other images.",
        )


def _replaced(frame: GuideFrame, new: dict[tuple[int, str], np.ndarray]) -> GuideFrame:
    """The frame with the rows of each (slice, label) replaced by the points given, where the first of them was."""
    weights = {row.slice_id: row.line.rstrip("\r\n").split("\t")[5:7] for row in frame.rows}
    ends = [row.line[len(row.line.rstrip("\r\n")) :] for row in frame.rows]
    end = next((e for e in ends if e), "\n")
    rows: list[GuideRow] = []
    left = dict(new)

    def fresh(key: tuple[int, str]) -> list[GuideRow]:
        slice_id, label = key
        weight, time = weights.get(slice_id, ["1.0", str(frame.number)])
        return [_row(point, label, slice_id, weight, time, end) for point in left.pop(key)]

    for row in frame.rows:
        key = (row.slice_id, row.label)
        if key not in new:
            rows.append(row)
        elif key in left:
            rows += fresh(key)
    if left and rows and not rows[-1].line.endswith("\n"):
        rows[-1] = replace(rows[-1], line=rows[-1].line + end)
    for key in sorted(left):
        rows += fresh(key)
    return replace(frame, rows=tuple(rows))


def replace_points(study: Study, points: GuidePointSet) -> tuple[GuideFrame, ...]:
    """The set's frames with the valve and apex rows of the study's views replaced.

    A valve or apex that the study has not in a view keeps the set's own rows; one that the set has not on a slice is
    not added. InputError where the set does not
    match the study: no slice for a view, a slice in another plane.
    """
    slices = points.find_slices()
    # biv-me judges a slice by the rows it has: an apex on one that had none would change what it keeps
    had = {(row.slice_id, row.label) for frame in points.frames for row in frame.rows}
    count = len(points.frames)
    new: list[dict[tuple[int, str], np.ndarray]] = [{} for _ in range(count)]
    for view in study.views:
        labels = _labels(study, view.view)
        if not labels:
            continue
        if view.view not in slices:
            raise InputError(points.folder, f"a slice with the {view.view}'s valve points", f"only {sorted(slices)}")
        slice_id = slices[view.view]
        _check_slice(points, view, slice_id)
        own = _own_phases(view, count)
        for label, paths in labels.items():
            if (slice_id, label) not in had:
                continue
            positions = np.stack([_positions(path, own) for path in paths], axis=1)
            for k in range(count):
                new[k][slice_id, label] = positions[k]
    return tuple(_replaced(frame, rows) for frame, rows in zip(points.frames, new, strict=True))


def _partial_set(study: Study) -> tuple[tuple[GuideFrame, ...], str]:
    """Frames of valve and apex points only, and the text of their SliceInfoFile."""
    frames: list[list[GuideRow]] = [[] for _ in study.phases]
    slices = []
    for slice_id, view in enumerate(study.views, start=1):
        g = view.geometry
        # DICOM: the direction along a row (columns grow) first; spacing between rows first
        directions = (*g.directions[1], *g.directions[0])
        words = [f"{view.view}.dcm", "sliceID: ", str(slice_id), "ImagePositionPatient", *map(_number, g.origin)]
        words += ["ImageOrientationPatient", *map(_number, directions), "PixelSpacing", *map(_number, g.spacing)]
        slices.append("\t".join(words))
        own = _own_phases(view, len(frames))
        for label, paths in _labels(study, view.view).items():
            for path in paths:
                for k, point in enumerate(_positions(path, own)):
                    frames[k].append(_row(point, label, slice_id, "1.0", str(k), "\n"))
    header = "\t".join(HEADER) + "\n"
    # no blank line at the end: biv-me counts rows
    return tuple(GuideFrame(k, header, tuple(rows)) for k, rows in enumerate(frames)), "\n".join(slices)


def _number(value: float) -> str:
    return f"{value:.9g}"


def _write(study: Study, folder: Path, options: ExportOptions) -> None:
    if options.guide_points:
        points = read_guide_points(options.guide_points)
        frames, slice_text = replace_points(study, points), points.slice_text
    else:
        frames, slice_text = _partial_set(study)
        (folder / PARTIAL).write_text(_PARTIAL_TEXT, encoding="utf-8")
    for frame in frames:
        (folder / f"GPFile_{frame.number:03d}.txt").write_bytes(frame.text().encode("utf-8"))
    (folder / SLICE_INFO).write_bytes(slice_text.encode("utf-8"))


def _unfit(study: Study, options: ExportOptions) -> str:
    if any(view.geometry_assumed for view in study.views):
        return "the images state no patient geometry, so there are no patient coordinates"
    if not any(_labels(study, view) for view in VIEWS):
        return "no valve has both of its points"
    return ""


FORMAT = Format(
    key="bivme",
    title="biv-me guide points",
    write=_write,
    time_unit="frame",
    notes=(
        "Points of the fitted paths at the images' own frames. With --guide-points the set's valve and apex rows of "
        "the study's views are replaced and every other row is kept byte for byte (the set's SliceInfoFile, with its "
        "file names, included); without, the set is partial: valve and apex points only, no contours.",
    ),
    unfit=_unfit,
)

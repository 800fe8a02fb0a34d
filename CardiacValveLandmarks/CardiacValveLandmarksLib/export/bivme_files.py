"""biv-me's guide points: reading a set, row by row, so that untouched rows are written back byte for byte.

A set is a folder of `GPFile_###.txt`, one a frame, and `SliceInfoFile.txt`. Format read in the software's own source
(UOA-Heart-Mechanics-Research/biv-me). Coordinates are LPS millimetres.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..geometry import SliceGeometry
from ..landmarks import APEX, N_LANDMARKS, VIEWS, LandmarkSeries, Provenance, in_view

HEADER = ("x", "y", "z", "contour type", "frameID", "weight", "time frame")
VALVE_LABELS = {"mitral": "MITRAL_VALVE", "tricuspid": "TRICUSPID_VALVE", "aortic": "AORTA_VALVE"}
APEX_LABEL = "APEX_POINT"
SLICE_INFO = "SliceInfoFile.txt"
_FRAME_FILE = re.compile(r"GPFile_(\d+)\.txt")
_ADVICE = "Give a folder of biv-me guide points (GPFile_000.txt … and SliceInfoFile.txt)."


@dataclass(frozen=True)
class GuideRow:
    """One point. line: as in the file, line end included. point: (3,) LPS mm. slice_id: of SliceInfoFile."""

    line: str
    point: np.ndarray
    label: str
    slice_id: int


@dataclass(frozen=True)
class GuideFrame:
    """One GPFile: header and rows with their own line ends, so that joining them gives the file back."""

    number: int
    header: str
    rows: tuple[GuideRow, ...]

    def text(self) -> str:
        """The file's content, byte for byte where no row was replaced."""
        return self.header + "".join(row.line for row in self.rows)

    def points(self, label: str, slice_id: int) -> np.ndarray:
        """(n, 3) LPS mm of a label on a slice, in file order."""
        found = [row.point for row in self.rows if row.label == label and row.slice_id == slice_id]
        return np.array(found).reshape(-1, 3)


@dataclass(frozen=True)
class SliceInfo:
    """One line of SliceInfoFile: the file of the slice's first frame, its id, and where it lies."""

    file: str
    slice_id: int
    geometry: SliceGeometry


@dataclass(frozen=True)
class GuidePointSet:
    """frames: in the order of their numbers. slices: id -> SliceInfo. slice_text: SliceInfoFile as read."""

    folder: Path
    frames: tuple[GuideFrame, ...]
    slices: dict[int, SliceInfo]
    slice_text: str

    def slices_with(self, label: str) -> tuple[int, ...]:
        """Ids of the slices that carry a label in any frame."""
        return tuple(sorted({row.slice_id for frame in self.frames for row in frame.rows if row.label == label}))

    def find_slices(self) -> dict[str, int]:
        """view -> slice id, told from the valves a slice carries: tricuspid 4CH, aortic 3CH, mitral alone 2CH.

        InputError where a view is not told uniquely; a view with no slice is left out.
        """
        mitral = set(self.slices_with(VALVE_LABELS["mitral"]))
        four = mitral & set(self.slices_with(VALVE_LABELS["tricuspid"]))
        three = (mitral & set(self.slices_with(VALVE_LABELS["aortic"]))) - four
        found = dict(zip(VIEWS, (mitral - four - three, three, four), strict=True))
        for view, ids in found.items():
            if len(ids) > 1:
                raise InputError(
                    self.folder, f"one {view} slice", f"slices {sorted(ids)}", "Give a set with one slice a view."
                )
        return {view: next(iter(ids)) for view, ids in found.items() if ids}


def read_guide_points(folder: str | os.PathLike) -> GuidePointSet:
    """The whole set. InputError names the file and row that is not as it should be."""
    folder = Path(folder)
    slices, slice_text = _read_slices(folder / SLICE_INFO)
    paths = sorted(
        (int(match[1]), path) for path in _listing(folder) if (match := _FRAME_FILE.fullmatch(path.name)) is not None
    )
    if not paths:
        raise InputError(folder, "guide-point files GPFile_###.txt", "none", _ADVICE)
    numbers = [number for number, _ in paths]
    if numbers != list(range(len(numbers))):
        raise InputError(folder, f"GPFile_000 to GPFile_{len(numbers) - 1:03d}, none missing", f"numbers {numbers}")
    return GuidePointSet(folder, tuple(_read_frame(number, path) for number, path in paths), slices, slice_text)


def _listing(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise InputError(folder, "a folder", error.strerror or str(error), _ADVICE) from error


def _text(path: Path) -> str:
    try:
        # read as bytes: line ends must survive
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, "a text file", str(error), _ADVICE) from error


def _read_frame(number: int, path: Path) -> GuideFrame:
    lines = _text(path).splitlines(keepends=True)
    if not lines or tuple(lines[0].rstrip("\r\n").split("\t")) != HEADER:
        found = repr(lines[0][:80]) if lines else "an empty file"
        raise InputError(path, f"a first row {' '.join(HEADER)!r} (tabs)", found, _ADVICE)
    rows = []
    for count, line in enumerate(lines[1:], start=2):
        parts = line.rstrip("\r\n").split("\t")
        try:
            if len(parts) != len(HEADER):
                raise ValueError(f"{len(parts)} columns")
            point = np.array([float(part) for part in parts[:3]])
            if not np.isfinite(point).all():
                raise ValueError("a coordinate that is not finite")
            rows.append(GuideRow(line, point, parts[3], int(parts[4])))
        except ValueError as error:
            raise InputError(
                path, f"{len(HEADER)} tab-separated columns in row {count}", str(error), _ADVICE
            ) from error
    return GuideFrame(number, lines[0], tuple(rows))


def _read_slices(path: Path) -> tuple[dict[int, SliceInfo], str]:
    text = _text(path)
    slices = {}
    for count, line in enumerate(text.splitlines(), start=1):
        parts = line.split()
        if not parts:
            continue
        try:
            # file, "sliceID:", id, "ImagePositionPatient", 3, "ImageOrientationPatient", 6, "PixelSpacing", 2
            if len(parts) != 17 or parts[3] != "ImagePositionPatient" or parts[7] != "ImageOrientationPatient":
                raise ValueError(f"{len(parts)} words")
            position, orientation, spacing = (
                np.array([float(word) for word in parts[start:stop]]) for start, stop in ((4, 7), (8, 14), (15, 17))
            )
            # DICOM: the first three cosines go along a row (columns grow), spacing[0] is between rows
            geometry = SliceGeometry(position, orientation[3:] * spacing[0], orientation[:3] * spacing[1])
            slices[int(parts[2])] = SliceInfo(parts[0], int(parts[2]), geometry)
        except ValueError as error:
            raise InputError(path, f"a slice's file, id and geometry in row {count}", str(error), _ADVICE) from error
    return slices, text


def guide_point_landmarks(
    points: GuidePointSet, slice_ids: dict[str, int] | None = None
) -> dict[str, tuple[LandmarkSeries, SliceGeometry]]:
    """view -> the set's valve and apex points as landmarks in the slice's pixels.

    biv-me does not say which of a valve's two points is which, and their order changes from frame to frame: ends are
    told by anatomy (the septal one lies next to the neighbouring valve, the 2CH anterior one above and in front) in
    the frames' mean, and kept by proximity. Points are "auto": a segmentation network's borders.
    slice_ids: view -> slice id, None: `find_slices`.
    """
    slice_ids = points.find_slices() if slice_ids is None else slice_ids
    found = {}
    for view, slice_id in slice_ids.items():
        if slice_id not in points.slices:
            raise InputError(
                points.folder / SLICE_INFO, f"slice {slice_id} ({view})", f"slices {sorted(points.slices)}"
            )
        geometry = points.slices[slice_id].geometry
        positions = np.full((len(points.frames), N_LANDMARKS, 3), np.nan)
        pairs = {
            valve: _pairs([frame.points(label, slice_id) for frame in points.frames])
            for valve, label in VALVE_LABELS.items()
        }
        middles = {valve: np.nanmean(pair, axis=(0, 1)) for valve, pair in pairs.items() if np.isfinite(pair).any()}
        for valve in middles:
            ends = [landmark for landmark in in_view(view) if landmark.valve == valve]
            if len(ends) == 2:
                # the table has the septal (2CH: anterior) end first
                first = _first_end(view, valve, np.nanmean(pairs[valve], axis=0), middles)
                positions[:, [end.index for end in ends]] = pairs[valve][:, [first, 1 - first]]
        for number, frame in enumerate(points.frames):
            apex = frame.points(APEX_LABEL, slice_id)
            if len(apex) == 1:
                positions[number, APEX.index] = apex[0]
        pixels = geometry.to_pixels(positions)
        present = np.isfinite(pixels[..., 0])
        provenance = np.where(present, Provenance.AUTO, Provenance.ABSENT)
        series = LandmarkSeries(pixels, np.full(present.shape, np.nan), provenance, view)
        found[view] = (series, geometry)
    return found


def _pairs(frames: Sequence[np.ndarray]) -> np.ndarray:
    """(T, 2, 3) LPS mm, the two points in one order throughout, NaN where a frame has not exactly two."""
    pairs = np.full((len(frames), 2, 3), np.nan)
    last = None
    for number, points in enumerate(frames):
        if len(points) != 2:
            continue
        if last is not None and np.linalg.norm(points - last) > np.linalg.norm(points[::-1] - last):
            points = points[::-1]
        pairs[number] = last = points
    return pairs


def _first_end(view: str, valve: str, ends: np.ndarray, middles: dict[str, np.ndarray]) -> int:
    """Which of (2, 3) ends is the table's first of this valve in this view."""
    neighbour = {("3CH", "mitral"): "aortic", ("3CH", "aortic"): None, ("4CH", "mitral"): "tricuspid"}
    neighbour[("4CH", "tricuspid")] = "mitral"
    other = neighbour.get((view, valve))
    if other in middles:
        return int(np.argmin(np.linalg.norm(ends - middles[other], axis=1)))
    if (view, valve) == ("3CH", "aortic"):
        # the septal end is the one away from the mitral valve, on the right ventricle's side
        return int(np.argmax(np.linalg.norm(ends - middles["mitral"], axis=1))) if "mitral" in middles else 0
    # 2CH: the anterior end lies in front and above (LPS: y falls, z grows)
    return int(np.argmax(ends @ np.array([0.0, -1.0, 1.0])))

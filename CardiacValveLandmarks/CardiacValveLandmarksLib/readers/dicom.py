"""DICOM files -> cines: grouped by series and slice plane, ordered in time, with geometry and cycle length."""

from __future__ import annotations

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..cine import Cine
from ..errors import InputError
from ..files import safe_name
from ..geometry import SliceGeometry
from .checks import check_frames, check_one_beat, gap_doubt, one_frame
from .dicom_frames import Damaged, Frame, NotCine, read_headers
from .dicom_pixels import read_pixels
from .result import Scan, Skipped
from .timing import Ordered, apart_from_phase, cycle_length, frames_stated, order_frames, stated_cycle

_log = logging.getLogger(__name__)

#: two frames lie in one plane within these: mm of the first pixel, and difference of a direction cosine
_SAME_POSITION_MM, _SAME_DIRECTION = 0.1, 1e-3
#: files with a series of their own each (some anonymisers) are one cine when there are at least so many alike
_MIN_STRAYS = 5
_STRAYS = "folder and sequence: every file has a SeriesInstanceUID of its own"
#: what `_Series.source` adds to a folder
_SERIES_LABEL = re.compile(r" \(series [^()]*\)$")


def place_of(source: str) -> Path:
    """The file or folder that a cine's `source` names."""
    path = Path(source)
    return path if path.exists() else Path(_SERIES_LABEL.sub("", source))


@dataclass(eq=False)
class _Series:
    """Frames that the files say belong together; grouped_by says how that was told."""

    frames: list[Frame]
    grouped_by: str
    duplicates: int = 0

    @property
    def uids(self) -> set[str]:
        return {frame.series_uid for frame in self.frames}

    @property
    def folders(self) -> set[Path]:
        return {frame.path.parent for frame in self.frames}

    @property
    def source(self) -> str:
        """The file, or the folder and the series' number or UID."""
        paths = {frame.path for frame in self.frames}
        if len(paths) == 1:
            return str(next(iter(paths)))
        if len(self.uids) > 1:
            return str(min(self.folders))
        first = self.frames[0]
        number = first.facts.get("SeriesNumber")
        label = f"series {number:g}" if isinstance(number, float) else f"series {first.series_uid or 'without UID'}"
        return f"{min(self.folders)} ({label})"

    @property
    def name(self) -> str:
        first = self.frames[0]
        number = first.facts.get("SeriesNumber")
        parts = [f"{number:g}"] if isinstance(number, float) else []
        parts += [str(first.facts["SeriesDescription"])] if "SeriesDescription" in first.facts else []
        single = len({frame.path for frame in self.frames}) == 1
        return safe_name("_".join(parts) or (first.path.stem if single else first.path.parent.resolve().name))


def read_dicom(paths: Sequence[Path], lost: Sequence[Damaged] = ()) -> Scan:
    """All cines in these DICOM files, and what else they hold. Never raises for a single bad file or series.
    lost: files that must be images of a series and are none."""
    frames: list[Frame] = []
    damaged = list(lost)
    rejected: dict[tuple[str, str, str], list[NotCine]] = {}
    for path in paths:
        try:
            frames += read_headers(path)
        except Damaged as error:
            damaged.append(error)
        except NotCine as error:
            rejected.setdefault((error.series_uid or str(path), error.expected, error.found), []).append(error)
    scan = Scan()
    for errors in rejected.values():
        first, more = errors[0], len(errors) - 1
        found = first.found + (f" (and {more} more files of that series)" if more else "")
        scan.skipped.append(Skipped(first.path, first.expected, found, first.advice))
    series = _group(frames)
    series.sort(key=lambda one: (one.frames[0].facts.get("SeriesNumber", float("inf")), one.source))
    holed: list[_Series] = []
    for error in damaged:
        guilty = _series_of(error, series)
        holed += guilty
        left_out = sum(len(one.frames) for one in guilty)
        found = error.found + (f"; the series' other {left_out} images are left out with it" if guilty else "")
        scan.skipped.append(Skipped(error.path, error.expected, found, error.advice))
    for one in series:
        if one not in holed:
            _read_series(one, scan)
    return scan


def _group(frames: Sequence[Frame]) -> list[_Series]:
    by_series: dict[tuple, _Series] = {}
    seen = set()
    for frame in frames:
        # without a UID the folder and the number are the best there is
        key = (frame.series_uid,) if frame.series_uid else (frame.path.parent, frame.facts.get("SeriesNumber"))
        one = by_series.setdefault(key, _Series([], "SeriesInstanceUID" if frame.series_uid else "folder"))
        identity = (
            *(frame.instance_uid, frame.index, *key, *frame.times.items(), *_listed(frame.position)),
            *(frame.image_type, frame.echo, frame.acquisition),
        )
        if frame.instance_uid and identity in seen:
            one.duplicates += 1
            continue
        seen.add(identity)
        one.frames.append(frame)
    # an anonymiser that gives every file a series of its own leaves the folder and the sequence to go by
    strays: dict[tuple, list[Frame]] = {}
    for one in by_series.values():
        if len(one.frames) == 1:
            strays.setdefault(_likeness(one.frames[0]), []).append(one.frames[0])
    merged = [_Series(part, _STRAYS) for part in strays.values() if len(part) >= _MIN_STRAYS]
    taken = {id(frame) for one in merged for frame in one.frames}
    return merged + [one for one in by_series.values() if id(one.frames[0]) not in taken]


def _likeness(frame: Frame) -> tuple:
    facts = [frame.facts.get(name) for name in ("SeriesNumber", "SeriesDescription", "SequenceName", "Manufacturer")]
    numbers = [frame.facts.get(name) for name in ("RepetitionTime", "EchoTime", "FlipAngle", "MagneticFieldStrength")]
    return (frame.path.parent, frame.shape, frame.image_type, *facts, *numbers, *frame.cycle.items())


def _listed(vector: np.ndarray | None) -> list[float]:
    return [] if vector is None else vector.tolist()


def _series_of(error: Damaged, series: Sequence[_Series]) -> list[_Series]:
    """The series that a damaged file belongs to, which is not read: a cine with a hole is worse than none.

    A file cut off before its series is named belongs to the series of its folder, where there is but one.
    """
    named = [one for one in series if error.series_uid and error.series_uid in one.uids]
    beside = [one for one in series if Path(error.path).parent in one.folders]
    if error.series_uid:
        return named or [one for one in beside if one.grouped_by == _STRAYS]
    return beside if len(beside) == 1 else []


def _read_series(series: _Series, scan: Scan) -> None:
    """Add the cines of one series to the scan, and what is none."""
    planes = _planes(series.frames)
    if all(len(plane) == 1 for plane in planes):
        found = "one frame only" if len(planes) == 1 else f"{len(planes)} slices with one image each"
        scan.skipped.append(Skipped.from_error(one_frame(series.source, found)))
        return
    pixels: dict[Path, np.ndarray] = {}
    for number, plane in enumerate(planes, 1):
        name, source = series.name, series.source
        if len(planes) > 1:
            name, source = f"{name}_slice{number}", f"{source}, slice {number}"
        for images in apart_from_phase(plane):
            try:
                _check_alike(source, images)
                parts = order_frames(source, images)
            except InputError as error:
                scan.skipped.append(Skipped.from_error(error))
                continue
            for ordered in parts:
                try:
                    scan.cines.append(_cine(series, name, source, ordered, pixels))
                except InputError as error:
                    scan.skipped.append(Skipped.from_error(error))


def _planes(frames: Sequence[Frame]) -> list[list[Frame]]:
    """The frames by slice plane, the planes in order along their normal (of SliceLocation without geometry)."""
    clusters: list[tuple[np.ndarray, list[Frame]]] = []
    by_key: dict[tuple, list[Frame]] = {}
    for frame in frames:
        position, orientation = _listed(frame.position), _listed(frame.orientation)
        key = (*position, *orientation) if position and orientation else (frame.facts.get("SliceLocation", 0.0),)
        if key not in by_key:
            place = np.array(key)
            limit = np.full(len(key), _SAME_POSITION_MM)
            limit[3:] = _SAME_DIRECTION
            near = (c for at, c in clusters if at.shape == place.shape and (np.abs(at - place) <= limit).all())
            members = next(near, None)
            if members is None:
                members = []
                clusters.append((place, members))
            by_key[key] = members
        by_key[key].append(frame)

    def along(cluster: tuple[np.ndarray, list[Frame]]) -> float:
        place = cluster[0]
        if len(place) == 1:
            return float(place[0])
        return float(place[:3] @ np.cross(clusters[0][0][3:6], clusters[0][0][6:9])) if len(clusters[0][0]) > 1 else 0.0

    return [members for _, members in sorted(clusters, key=along)]


def _check_alike(source: str, frames: Sequence[Frame]) -> None:
    """InputError where the images of one slice differ in size or pixel spacing."""
    for what, values in (
        ("size (rows × columns)", [" × ".join(map(str, frame.shape)) for frame in frames]),
        ("pixel spacing", [" × ".join(f"{part:g}" for part in _listed(frame.spacing)) or "none" for frame in frames]),
    ):
        counts = Counter(values)
        if len(counts) > 1:
            found = ", ".join(f"{value} in {count} images" for value, count in counts.most_common(4))
            raise InputError(source, f"images of one {what}", found, "Two series may be mixed: separate them.")


def _cine(series: _Series, name: str, source: str, ordered: Ordered, pixels: dict[Path, np.ndarray]) -> Cine:
    frames = ordered.frames
    first = frames[0]
    words = {word for frame in frames for word in frame.no_magnitude}
    if words:
        raise InputError(source, "magnitude images", f"ImageType with {', '.join(sorted(words))} (phase or complex)")
    rr, rr_source = cycle_length(source, ordered)
    stack = np.empty((len(frames), *first.shape), np.float32)
    for target, frame in zip(stack, frames, strict=True):
        if frame.path not in pixels:
            pixels[frame.path] = read_pixels(frame.path)
        stored = pixels[frame.path]
        if stored.shape[1:] != frame.shape or frame.index >= len(stored):
            raise Damaged(frame.path, f"pixels of shape {stored.shape} for images of {frame.shape}")
        target[:] = stored[frame.index] * frame.slope + frame.intercept
    if first.inverted:  # MONOCHROME1: the lowest value is white
        stack = stack.max() + stack.min() - stack
    check_frames(source, stack)
    stated = stated_cycle(frames)[0]
    if stated is not None and ordered.times_ms is not None:
        check_one_beat(source, stack, ordered.times_ms, stated)
    return Cine(
        stack,
        geometry=_geometry(source, first),
        spacing=first.spacing,
        times_ms=ordered.times_ms,
        rr_ms=rr,
        rr_source=rr_source,
        name=name,
        source=source,
        study_uid=_only({frame.study_uid for frame in frames}),
        frame_of_reference_uid=_only({frame.frame_of_reference_uid for frame in frames}),
        patient_key=_patient_key(first.patient),
        files=tuple(dict.fromkeys(str(frame.path) for frame in frames)),
        attributes=_attributes(series, source, ordered),
        doubts=_doubts(frames),
    )


def _doubts(frames: Sequence[Frame]) -> tuple[str, ...]:
    doubts = []
    stated = frames_stated(frames)
    if stated is not None and stated > len(frames):
        doubts.append(f"The files state {stated} frames a heart beat, and {len(frames)} are there: some are missing.")
    types = Counter("\\".join(filter(None, frame.image_type)) for frame in frames)
    if len(types) > 1:
        listed = ", ".join(f"{name} in {count}" for name, count in types.most_common(3))
        doubts.append(f"Its images are of different types ({listed}): they may not belong together.")
    return tuple(doubts)


def _geometry(source: str, frame: Frame) -> SliceGeometry | None:
    if frame.position is None or frame.orientation is None or frame.spacing is None or not frame.orientation.any():
        return None
    row, column = frame.orientation[:3], frame.orientation[3:]
    try:
        if abs(np.linalg.norm(row) - 1) > 1e-3 or abs(np.linalg.norm(column) - 1) > 1e-3:
            raise ValueError("directions are not of length 1")
        # PixelSpacing is between rows, then between columns; going down the rows is moving along a column.
        # Directions are rounded in the file; made unit again, the steps are those stated.
        axis0 = column / np.linalg.norm(column) * frame.spacing[0]
        axis1 = row / np.linalg.norm(row) * frame.spacing[1]
        return SliceGeometry(frame.position, axis0, axis1, frame.thickness)
    except ValueError as error:
        found = f"{frame.orientation.tolist()} and spacing {frame.spacing.tolist()} ({error})"
        raise InputError(source, "two unit directions at a right angle", found, "Export the series again.") from error


def _only(values: set[str]) -> str:
    """The one value, or "" where the frames disagree (an anonymiser's work)."""
    return values.pop() if len(values) == 1 else ""


def _patient_key(patient: tuple[str, str, str]) -> str:
    return hashlib.sha256("\n".join(patient).encode()).hexdigest()[:12] if any(patient) else ""


def _attributes(series: _Series, source: str, ordered: Ordered) -> dict[str, str | float]:
    first, times = ordered.frames[0], ordered.times_ms
    names = {
        "Manufacturer": "manufacturer",
        "ManufacturerModelName": "model",
        "MagneticFieldStrength": "field_strength",
        "SequenceName": "sequence_name",
        "RepetitionTime": "repetition_time_ms",
        "EchoTime": "echo_time_ms",
        "FlipAngle": "flip_angle",
        "SeriesDescription": "series_description",
        "SeriesNumber": "series_number",
    }
    attributes = {key: first.facts[name] for name, key in names.items() if name in first.facts}
    attributes["order_source"] = ordered.source
    attributes["grouped_by"] = series.grouped_by
    if np.isfinite(first.thickness):
        attributes["slice_thickness"] = first.thickness
    if series.duplicates:
        attributes["duplicates_dropped"] = float(series.duplicates)
    if gap := gap_doubt(times):
        attributes["longest_gap_ms"] = float(np.diff(times).max())
        _log.warning("%s: %s", source, gap)
    return attributes

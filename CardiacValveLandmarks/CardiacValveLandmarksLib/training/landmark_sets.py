"""Landmarks of one reader or model, whatever file they come in, as one type: what `compare` takes.

| file | what is read |
|---|---|
| NAME.json of `cvl detect` | pixels, patient space, confidence, view |
| NAME_sax.json of `cvl sax` | pixels of the short-axis points |
| study.json | the same of every view; the examination is one patient |
| .npy (T, 2, 10) | the published form; within 16 pixels of (0, 0) is absent; the view is told from what is present |
| .npz | a training set in the published form: "FILE_train" and "FILE_test", the images as frames |
| folder with SliceInfoFile.txt | biv-me guide points: a cine for each view |
| .json, .csv of VIA | points by name, see `via` |
| .mrk.json | Slicer markups of one frame, by id or label; patient space only |
| other folder | every such file in it |
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..detection.coordinates import ABSENT_PIXELS
from ..detection.files import read_landmarks, stated_geometry
from ..errors import InputError
from ..geometry import SliceGeometry
from ..landmarks import VALVE_LANDMARKS, LandmarkSeries
from ..short_axis import N_SHORT_AXIS
from ..study_io import FORMAT, study_from_json
from .annotation_names import NameMap, image_place, view_in
from .dataset import read_npz
from .points import N_POINTS, POINTS, SAX, long_axis, tell_views
from .via import AnnotatedImage, is_via, read_via_csv, read_via_json

_EXPECTED = (
    "landmarks: .json of cvl detect or VIA, study.json, .npy, .npz, VIA .csv, .mrk.json, or a guide-point folder"
)
_SUFFIXES = (".mrk.json", ".json", ".npy", ".npz", ".csv")


@dataclass(frozen=True)
class LandmarkSet:
    """What one reader or model marked in some frames of one cine.

    name: of the cine. frames: (n,) frame numbers, from 0. views: the view of each of these frames, None unknown.
    pixels: (n, 14, 2) of the cine by point (points.py), or None; patient: (n, 14, 3) LPS mm, or None; NaN absent.
    confidence: (n, 14), NaN where none is stated. geometry: of the cine, where the file states it. spacing: (2,) mm, or
    (n, 2) where each frame is an image of its own. persons: whose heart each frame shows, "" unknown. source: the file.
    stills: each frame is an image of its own, none of a cine. shape: (rows, columns) of the images, where the file
    states it.
    """

    name: str
    frames: np.ndarray
    views: tuple[str | None, ...]
    pixels: np.ndarray | None
    patient: np.ndarray | None = None
    confidence: np.ndarray | None = None
    geometry: SliceGeometry | None = None
    spacing: np.ndarray | None = None
    persons: tuple[str, ...] = ()
    source: str = ""
    stills: bool = False
    shape: tuple[int, int] | None = None

    @property
    def present(self) -> np.ndarray:
        """(n, 14) bool."""
        return np.isfinite((self.pixels if self.pixels is not None else self.patient)[..., 0])

    @property
    def view(self) -> str | None:
        """The view of all frames, or None where it is unknown or differs."""
        return self.views[0] if len(set(self.views)) == 1 else None

    def take(self, rows: np.ndarray) -> LandmarkSet:
        """Some of the frames, by row."""
        arrays = {
            name: value[rows]
            for name in ("frames", "pixels", "patient", "confidence")
            if (value := getattr(self, name)) is not None
        }
        if self.spacing is not None and self.spacing.ndim == 2:
            arrays["spacing"] = self.spacing[rows]
        told = {
            name: tuple(getattr(self, name)[row] for row in rows)
            for name in ("views", "persons")
            if getattr(self, name)
        }
        return replace(self, **arrays, **told)

    @classmethod
    def from_series(
        cls,
        name: str,
        series: LandmarkSeries,
        geometry: SliceGeometry | None = None,
        spacing: np.ndarray | None = None,
        person: str = "",
        source: str = "",
    ) -> LandmarkSet:
        """All frames of a cine's landmarks."""
        return cls(
            name,
            np.arange(series.n_frames),
            (series.view,) * series.n_frames,
            long_axis(series.positions),
            None if geometry is None else geometry.to_patient(long_axis(series.positions)),
            long_axis(series.confidence),
            geometry,
            spacing,
            (person,) * series.n_frames,
            source,
        )


def read_landmark_sets(path: str | os.PathLike, names: NameMap | None = None) -> list[LandmarkSet]:
    """The landmarks in a file or folder, in the order of their names. InputError for anything else."""
    path, names = Path(path), names or NameMap()
    if path.is_dir():
        if (path / "SliceInfoFile.txt").is_file():
            return _read_guide_points(path)
        if (path / "study.json").is_file():
            return _read_study(path / "study.json")
        # a detection writes several files of one name: the fullest of them is read
        files: dict[str, Path] = {}
        for file in sorted(path.iterdir()):
            suffix = next((suffix for suffix in _SUFFIXES if file.name.lower().endswith(suffix)), None)
            if suffix is None or file.name.startswith("."):
                continue
            stem = file.name[: -len(suffix)]
            order = (".json", ".npy", ".npz", ".mrk.json", ".csv")
            other = files.get(stem)
            if other is None or order.index(suffix) < order.index(_suffix(other)):
                files[stem] = file
        if not files:
            raise InputError(path, _EXPECTED, "none in this folder")
        return joined_sets([found for file in files.values() for found in _read_file(file, names)])
    return _read_file(path, names)


def joined_sets(sets: Sequence[LandmarkSet]) -> list[LandmarkSet]:
    """Sets of single frames (markups) of one cine become one set; InputError where two files have the same frame."""
    by_name: dict[str, list[LandmarkSet]] = {}
    for item in sets:
        by_name.setdefault(item.name, []).append(item)
    joined = []
    for name, parts in by_name.items():
        if len(parts) > 1:
            frames = [int(frame) for part in parts for frame in part.frames]
            sources = f"{parts[0].source} and {parts[1].source}"
            if len(set(frames)) < len(frames) or any(part.patient is None for part in parts):
                advice = (
                    "If they are of two patients, their cines must have names of their own: one `cvl detect` of all "
                    "series numbers them; names of annotations are mapped with --names."
                )
                raise InputError(parts[1].source, f"each frame of {name!r} in one file", f"it in {sources}", advice)
            order = np.argsort(frames)
            views = [view for part in parts for view in part.views]
            patient = np.concatenate([part.patient for part in parts])[order]
            parts = [LandmarkSet(name, np.array(frames)[order], tuple(views[i] for i in order), None, patient,
                                 source=sources)]  # fmt: skip
        joined += parts
    return joined


def _suffix(path: Path) -> str:
    return next((suffix for suffix in _SUFFIXES if path.name.lower().endswith(suffix)), path.suffix.lower())


def _read_file(path: Path, names: NameMap) -> list[LandmarkSet]:
    suffix = _suffix(path)
    if not path.is_file():
        raise InputError(path, _EXPECTED, "nothing there", "Check the path.")
    if suffix == ".npy":
        return [_read_npy(path)]
    if suffix == ".npz":
        return _read_npz(path)
    if suffix == ".csv":
        return _annotated(path, read_via_csv(_text(path), path, names))
    if suffix not in (".json", ".mrk.json"):
        raise InputError(path, _EXPECTED, f"a {path.suffix or 'file without suffix'}")
    try:
        content = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise InputError(path, _EXPECTED, f"no JSON: {error}") from error
    if isinstance(content, dict) and "markups" in content:
        return _annotated(path, _markups(content, path, names))
    if isinstance(content, dict) and content.get("format") == FORMAT:
        return _read_study(path)
    if isinstance(content, dict) and "arvi" in content:
        return [_read_short_axis(content, path)]
    if isinstance(content, dict) and "positions_px" in content:
        return [_read_detection(content, path)]
    if is_via(content):
        return _annotated(path, read_via_json(content, path, names))
    advice = (
        "VIA 3 projects are not read: annotate with VIA 2." if isinstance(content, dict) and "file" in content else ""
    )
    raise InputError(path, _EXPECTED, "another kind of JSON", advice)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, "a text file", str(error)) from error


def _read_detection(content: dict, path: Path) -> LandmarkSet:
    series = read_landmarks(path)
    try:
        cine = content["cine"]
        name, geometry, spacing = str(cine["name"]), stated_geometry(cine["geometry"]), cine["spacing_mm"]
        spacing = None if spacing is None else np.array(spacing, float).reshape(2)
        rows, columns = cine["shape"]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(path, "the fields of detection.schema.json", f"{type(error).__name__}: {error}") from error
    found = LandmarkSet.from_series(name, series, geometry, spacing, source=str(path))
    return replace(found, shape=(int(rows), int(columns)))


def _read_short_axis(content: dict, path: Path) -> LandmarkSet:
    try:
        name, spacing = str(content["cine"]["name"]), content["cine"]["spacing_mm"]
        found = np.array(content["positions_px"], float).reshape(-1, N_SHORT_AXIS, 2)
        spacing = None if spacing is None else np.array(spacing, float).reshape(2)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(path, "the short-axis points of cvl sax", f"{type(error).__name__}: {error}") from error
    pixels = np.full((len(found), N_POINTS, 2), np.nan)
    pixels[:, -N_SHORT_AXIS:] = found
    # what the network says of presence is no probability of being near
    return LandmarkSet(name, np.arange(len(found)), (SAX,) * len(found), pixels, spacing=spacing, source=str(path))


def _read_study(path: Path) -> list[LandmarkSet]:
    study = study_from_json(path)
    if not study.views:
        raise InputError(path, "a study with a view", "a study without one")
    person = str(path.resolve().parent)
    sets = []
    for view in study.views:
        # an assumed geometry has the right spacing and lies nowhere
        geometry = None if view.geometry_assumed else view.geometry
        sets.append(
            LandmarkSet.from_series(view.name, view.landmarks, geometry, view.geometry.spacing, person, str(path))
        )
    return sets


def _read_npy(path: Path) -> LandmarkSet:
    try:
        points = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(path, "an array of numbers (.npy)", str(error)) from error
    valves = len(VALVE_LANDMARKS)
    if points.ndim != 3 or points.shape[1:] != (2, valves) or points.dtype.kind not in "fiu":
        raise InputError(path, f"the published form (frames, 2, {valves})", f"{points.dtype} {points.shape}")
    if not np.isfinite(points).all():
        raise InputError(path, "finite pixels, absent landmarks at (0, 0)", "NaN or infinity")
    pixels = np.full((len(points), N_POINTS, 2), np.nan)
    valve = points.transpose(0, 2, 1).astype(float)
    pixels[:, :valves] = np.where(np.linalg.norm(valve, axis=-1, keepdims=True) >= ABSENT_PIXELS, valve, np.nan)
    present = np.isfinite(pixels[..., 0])
    # most frames decide: a single one may have a landmark of another view
    usual = np.where((present.mean(0) > 0.5)[:, None], 0.0, np.full((N_POINTS, 2), np.nan))
    (view,) = tell_views(usual[None])
    return LandmarkSet(path.stem, np.arange(len(points)), (view,) * len(points), pixels, source=str(path))


def _read_npz(path: Path) -> list[LandmarkSet]:
    sets = []
    for half, data in zip(("train", "test"), read_npz(path, size=None), strict=True):
        if not len(data):
            continue
        known = np.isfinite(data.spacing).all(1)
        if known.any() and not known.all():
            found = f"none for image {np.flatnonzero(~known)[0]}"
            raise InputError(path, f"the spacing of every image in {half}Spacing, or of none", found)
        sets.append(
            LandmarkSet(
                f"{path.stem}_{half}",
                np.arange(len(data)),
                data.views,
                long_axis(data.landmarks),
                spacing=data.spacing.astype(float) if known.all() else None,
                persons=data.patients,
                source=str(path),
                stills=True,
            )
        )
    return sets


def _read_guide_points(folder: Path) -> list[LandmarkSet]:
    from ..export.bivme_files import guide_point_landmarks, read_guide_points

    found = guide_point_landmarks(read_guide_points(folder))
    if not found:
        raise InputError(folder, "guide points of a long-axis view", "none")
    return [
        LandmarkSet.from_series(f"{folder.name}_{view}", series, geometry, None, str(folder.resolve()), str(folder))
        for view, (series, geometry) in found.items()
    ]


@dataclass(frozen=True)
class _Marked(AnnotatedImage):
    """As AnnotatedImage, with points in patient space in the place of `pixels`: (14, 3) LPS mm."""


def _markups(content: dict, path: Path, names: NameMap) -> list[_Marked]:
    cine, frame = image_place(path.name[: -len(".mrk.json")] if path.name.endswith(".mrk.json") else path.stem, names)
    view = view_in(cine)
    points = np.full((N_POINTS, 3), np.nan)
    advice = "Label the points with the landmarks' names or numbers, or give a mapping with --names."
    try:
        lists = content["markups"]
        space = {str(entry.get("coordinateSystem", "LPS")) for entry in lists}
        controls = [
            (str(control.get("id", "")), str(control.get("label", "")), control["position"],
             control.get("positionStatus", "defined"))
            for entry in lists for control in entry["controlPoints"]
        ]  # fmt: skip
        if not space <= {"LPS", "RAS", "0", "1"}:
            raise ValueError(f"coordinate system {sorted(space)}")
        if len(space) > 1:
            raise ValueError("lists in different coordinate systems")
        # RAS and LPS differ in the sign of the first two coordinates; 0 is Slicer's number for RAS
        sign = np.array([-1.0, -1.0, 1.0]) if space & {"RAS", "0"} else np.ones(3)
        placed = [(key, label, sign * np.array(place, float).reshape(3)) for key, label, place, status in controls
                  if status == "defined"]  # fmt: skip
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(path, "Slicer markups (.mrk.json)", f"{type(error).__name__}: {error}", advice) from error
    # Slicer numbers the points of any list 1, 2, 3 …: ids are believed only where labels agree with them
    known = {key: POINTS[int(key) - 1] for key, _, _ in placed if key.isdigit() and 1 <= int(key) <= N_POINTS}
    ours = all(key in known and label == known[key].short for key, label, _ in placed)
    shown = [set(known[key].views) for key, _, _ in placed] if ours else []
    if shown and set.intersection(*shown) and any(view not in views for views in shown):
        view = None  # names are often wrong; points that `cvl detect` wrote say themselves what they are
    for key, label, place in placed:
        landmark = known[key] if ours else names.resolve(label, view)
        if landmark is None:
            reason = "" if view else " (no view known)"
            raise InputError(path, "points named after landmarks", f"the label {label!r}{reason}", advice)
        if view is not None and view not in landmark.views:
            found = f"{landmark.number} {landmark.name}, of the {', '.join(landmark.views)}"
            raise InputError(path, f"landmarks of the {view}, which the file's name says", found, advice)
        if np.isfinite(points[landmark.index, 0]):
            raise InputError(path, "one point a landmark", f"two for {landmark.number} {landmark.name}", advice)
        points[landmark.index] = place
    return [_Marked(cine, frame, view or tell_views(points[None])[0], points)]


def _annotated(path: Path, images: Sequence[AnnotatedImage]) -> list[LandmarkSet]:
    """Single images -> a set a cine, frames in order."""
    if not images:
        raise InputError(path, "at least one image with points", "none")
    sets = []
    for cine in sorted({image.cine for image in images}):
        mine = sorted((image for image in images if image.cine == cine), key=lambda image: image.frame)
        frames = [image.frame for image in mine]
        if len(set(frames)) != len(frames):
            raise InputError(path, "each frame once", f"frame {_twice(frames)} of {cine!r} twice", "Rename the images.")
        views = tuple(image.view or tell_views(image.pixels[None])[0] for image in mine)
        points = np.stack([image.pixels for image in mine])
        in_patient = isinstance(mine[0], _Marked)
        sets.append(
            LandmarkSet(
                cine,
                np.array(frames),
                views,
                None if in_patient else points,
                points if in_patient else None,
                source=str(path),
            )
        )
    return sets


def _twice(numbers: Iterable[int]) -> int:
    seen: set[int] = set()
    return next(number for number in numbers if number in seen or seen.add(number))

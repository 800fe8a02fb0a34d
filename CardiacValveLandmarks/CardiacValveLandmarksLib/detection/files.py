"""The files of a detection: NAME.npy, NAME.csv, NAME.json, NAME.mrk.json. Each is written whole or not at all."""

from __future__ import annotations

import csv
import json
import math
import os
from pathlib import Path

import numpy as np

from ..cine import Cine
from ..errors import InputError
from ..files import atomic_open
from ..geometry import SliceGeometry
from ..landmarks import LANDMARKS, N_LANDMARKS, VALVE_COLOURS, LandmarkSeries, Provenance, in_view
from ..models.spec import ModelSpec
from .result import DetectionResult

#: major.minor; a reader refuses another major
SCHEMA_VERSION = "1.0"
COLUMNS = (
    "frame", "time_ms", "landmark", "name", "view", "provenance", "confidence",
    "row_px", "column_px", "x_lps_mm", "y_lps_mm", "z_lps_mm",
)  # fmt: skip


def write_npy(result: DetectionResult, path: str | os.PathLike) -> None:
    """(T, 2, 10) float32 in the published form: see DetectionResult.published_form."""
    with atomic_open(path, "wb") as stream:
        np.save(stream, result.published_form())


def write_csv(cine: Cine, landmarks: LandmarkSeries, path: str | os.PathLike) -> None:
    """A row for each frame and landmark of the view; absent ones have empty positions.

    Columns: COLUMNS; frames count from 0. Without a recognised view every landmark is listed, all absent.
    """
    shown = in_view(landmarks.view) if landmarks.view else LANDMARKS
    with atomic_open(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for frame in range(cine.n_frames):
            for landmark in shown:
                pixel = landmarks.positions[frame, landmark.index]
                present = bool(landmarks.present[frame, landmark.index])
                patient = cine.geometry.to_patient(pixel) if present and cine.geometry is not None else None
                confidence = landmarks.confidence[frame, landmark.index]
                writer.writerow([
                    frame,
                    f"{cine.times_ms[frame]:.3f}" if cine.times_ms is not None else "",
                    landmark.number,
                    landmark.name,
                    landmarks.view or "",
                    Provenance(landmarks.provenance[frame, landmark.index]).label,
                    f"{confidence:.4f}" if math.isfinite(confidence) else "",
                    *((f"{value:.4f}" for value in pixel) if present else ("", "")),
                    *((f"{value:.4f}" for value in patient) if patient is not None else ("", "", "")),
                ])  # fmt: skip


def listed(array: np.ndarray | None, digits: int | None = None):
    """An array as JSON lists with null for NaN."""
    if array is None:
        return None
    array = np.asarray(array, dtype=float)
    if digits is not None:
        array = array.round(digits)
    boxed = array.astype(object)
    boxed[~np.isfinite(array)] = None
    return boxed.tolist()


def model_facts(model: ModelSpec, engine: str) -> dict:
    """What a result's file says of the model it is from."""
    return {
        "id": model.id,
        "title": model.title,
        "sha256": model.checksum,
        "synthetic_only": model.synthetic_only,
        "engine": engine,
    }


def to_json(cine: Cine, result: DetectionResult) -> dict:
    """Everything about a detection as JSON types; the form is resources/detection.schema.json."""
    landmarks, geometry = result.landmarks, cine.geometry
    return {
        "schema_version": SCHEMA_VERSION,
        "cine": {
            "name": cine.name,
            "frames": cine.n_frames,
            "shape": list(cine.shape),
            "spacing_mm": listed(cine.spacing),
            "times_ms": listed(cine.times_ms),
            "rr_ms": cine.rr_ms,
            "rr_source": cine.rr_source,
            "geometry": None
            if geometry is None
            else {
                "origin_lps_mm": listed(geometry.origin),
                "axis0_lps_mm": listed(geometry.axis0),
                "axis1_lps_mm": listed(geometry.axis1),
                "thickness_mm": listed(geometry.thickness),
            },
        },
        "view": result.view,
        "view_confidence": result.view_confidence,
        "view_scores": dict(result.view_scores),
        "model": model_facts(result.model, result.engine),
        "settings": dict(result.settings),
        "warnings": list(result.warnings),
        "landmarks": [
            {"number": landmark.number, "key": landmark.key, "name": landmark.name} for landmark in LANDMARKS
        ],
        "positions_px": listed(landmarks.positions),
        "positions_lps_mm": listed(geometry.to_patient(landmarks.positions), 4) if geometry is not None else None,
        "confidence": listed(landmarks.confidence),
        "provenance": [[Provenance(value).label for value in row] for row in landmarks.provenance],
    }


def write_json(cine: Cine, result: DetectionResult, path: str | os.PathLike) -> None:
    """`to_json` as a file."""
    with atomic_open(path) as stream:
        json.dump(to_json(cine, result), stream, indent=1, ensure_ascii=False, allow_nan=False)
        stream.write("\n")


def read_landmarks(path: str | os.PathLike) -> LandmarkSeries:
    """The landmarks of a NAME.json, exactly as they were written. InputError for anything else."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(path, "a detection written by cvl detect", str(error)) from error
    version = content.get("schema_version", "none") if isinstance(content, dict) else "none"
    if str(version).split(".")[0] != SCHEMA_VERSION.split(".")[0]:
        raise InputError(path, f"schema version {SCHEMA_VERSION}", f"version {version}", "Run the detection again.")
    labels = {provenance.label: provenance for provenance in Provenance}
    try:
        positions = np.array(content["positions_px"], dtype=float).reshape(-1, N_LANDMARKS, 2)
        confidence = np.array(content["confidence"], dtype=float)
        provenance = np.array([[labels[label] for label in row] for row in content["provenance"]])
        sure = content["view_confidence"]
        if isinstance(sure, bool) or not isinstance(sure, (int, float)):
            raise TypeError(f"view_confidence {sure!r}")
        # of a view that was stated the file has the model's own score, which is not why it is this view
        stated = content.get("settings", {}).get("view_stated") is not None
        return LandmarkSeries(positions, confidence, provenance, content["view"], math.nan if stated else float(sure))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(path, "the fields of detection.schema.json", f"{type(error).__name__}: {error}") from error


def stated_geometry(place: dict | None) -> SliceGeometry | None:
    """The geometry a NAME.json states under "cine". KeyError, TypeError or ValueError where it is none."""
    if place is None:
        return None
    thickness = place["thickness_mm"]
    axes = (place[name] for name in ("origin_lps_mm", "axis0_lps_mm", "axis1_lps_mm"))
    return SliceGeometry(*axes, thickness=math.nan if thickness is None else float(thickness))


def write_markups(cine: Cine, landmarks: LandmarkSeries, path: str | os.PathLike, frame: int = 0) -> None:
    """One frame's points as Slicer markups (.mrk.json, LPS); absent points are listed as missing.

    ValueError for a cine without geometry: there is no patient space to place points in.
    """
    if cine.geometry is None:
        raise ValueError(f"{cine.name} has no patient geometry")
    shown = in_view(landmarks.view) if landmarks.view else ()
    points = []
    for landmark in shown:
        present = bool(landmarks.present[frame, landmark.index])
        pixel = landmarks.positions[frame, landmark.index]
        points.append(
            {
                "id": str(landmark.number),
                "label": landmark.short,
                "description": f"{landmark.name}; {Provenance(landmarks.provenance[frame, landmark.index]).label}",
                "position": cine.geometry.to_patient(pixel).tolist() if present else [0.0, 0.0, 0.0],
                "orientation": [-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0],
                "selected": True,
                "locked": False,
                "visibility": True,
                "positionStatus": "defined" if present else "missing",
            }
        )
    colour = list(VALVE_COLOURS["mitral"])
    content = {
        "@schema": "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
        "markups-schema-v1.0.3.json#",
        "markups": [
            {
                "type": "Fiducial",
                "coordinateSystem": "LPS",
                "coordinateUnits": "mm",
                "locked": False,
                "fixedNumberOfControlPoints": True,
                "labelFormat": "%N-%d",
                "controlPoints": points,
                "display": {"visibility": True, "color": colour, "selectedColor": colour, "glyphScale": 2.0},
            }
        ],
    }
    with atomic_open(path) as stream:
        json.dump(content, stream, indent=1)
        stream.write("\n")

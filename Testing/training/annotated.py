"""Annotated cines as files of every form, for the tests of evaluation."""

import csv
import json
from dataclasses import replace

import numpy as np
from CardiacValveLandmarksLib.landmarks import LandmarkSeries, Provenance, in_view
from CardiacValveLandmarksLib.training.landmark_sets import LandmarkSet


def moved(series: LandmarkSeries, step, confidence=0.9) -> LandmarkSeries:
    """All points moved by `step` pixels, with a confidence."""
    stated = np.where(series.present, confidence, 0.1)
    return series.replace(positions=series.positions + np.array(step), confidence=stated)


def without(series: LandmarkSeries, frame: int, number: int) -> LandmarkSeries:
    positions, provenance = series.positions.copy(), series.provenance.copy()
    positions[frame, number - 1], provenance[frame, number - 1] = np.nan, Provenance.ABSENT
    return series.replace(positions=positions, provenance=provenance)


def a_set(item, series, **changes) -> LandmarkSet:
    return replace(LandmarkSet.from_series(item.cine.name, series, item.cine.geometry, item.cine.spacing), **changes)


def detection_file(item, series, path):
    """As cvl detect writes it."""
    from CardiacValveLandmarksLib.detection.files import write_json
    from CardiacValveLandmarksLib.detection.result import DetectionResult
    from CardiacValveLandmarksLib.models.catalogue import resolve_model

    scores = dict.fromkeys(("2CH", "3CH", "4CH"), 0.5)
    result = DetectionResult(
        series.replace(view_confidence=1.0), series.view, 1.0, scores, resolve_model("phantom-heatmap"), "test", {}, ()
    )
    write_json(item.cine, result, path)


def via_images(item, numbers=(0, 3), scale=1):
    """VIA's image entries of some frames, points named as Xue names them where it does."""
    words = {1: "anterior", 2: "inferior", 3: "anteroseptal", 4: "inferolateral", 5: "inferoseptal", 6: "anterolateral",
             11: "apex"}  # fmt: skip
    images = {}
    for frame in numbers:
        name = f"{item.cine.name}_{frame:03d}.png"
        regions = []
        for landmark in in_view(item.kind):
            row, column = (item.truth.positions[frame, landmark.index] + 0.5) * scale - 0.5
            shape = {"name": "point", "cx": round(column), "cy": round(row)}
            label = words.get(landmark.number, landmark.name)
            # every other one as VIA writes a checkbox
            said = label if landmark.number % 2 else {label: True, "nose": False}
            regions.append({"shape_attributes": shape, "region_attributes": {"landmark": said}})
        images[name + "1234"] = {
            "filename": name, "size": 1234, "regions": regions, "file_attributes": {"view": item.kind},
        }  # fmt: skip
    images["other.png99"] = {"filename": "other.png", "size": 99, "regions": [], "file_attributes": {}}
    return images


def via_csv(images, path):
    with path.open("w", newline="") as stream:
        stream.write("#")
        writer = csv.writer(stream)
        writer.writerow(["filename", "file_size", "file_attributes", "region_count", "region_id",
                         "region_shape_attributes", "region_attributes"])  # fmt: skip
        for image in images.values():
            regions = image["regions"] or [{"shape_attributes": {}, "region_attributes": {}}]
            for number, region in enumerate(regions):
                writer.writerow([
                    image["filename"], image["size"], json.dumps(image["file_attributes"]), len(image["regions"]),
                    number, json.dumps(region["shape_attributes"]), json.dumps(region["region_attributes"]),
                ])  # fmt: skip

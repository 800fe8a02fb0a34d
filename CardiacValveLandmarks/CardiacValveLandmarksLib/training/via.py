"""Annotations of the VGG Image Annotator (VIA 2): its project file, its JSON export, its CSV export.

Format read in the tool's own source: an image has `filename`, `file_attributes` and `regions`; a region has
`shape_attributes` ({"name": "point", "cx": column, "cy": row}) and `region_attributes`. The CSV has the columns
filename, file_size, file_attributes, region_count, region_id, region_shape_attributes, region_attributes (a '#' may
precede the first), the attributes as JSON. VIA stores whole pixels of the picture as it was loaded.

An image without a point counts as not annotated: VIA lists every picture that was loaded. `file_attributes` may have
`cine`, `frame` (from 0) and `view`; otherwise they are told by the image's name (annotation_names).
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from ..errors import InputError
from ..landmarks import Landmark
from .annotation_names import NameMap, image_place, view_in
from .points import N_POINTS, POINT_VIEWS

_ADVICE = "Name the points after landmarks, or give a mapping with --names (docs/evaluation.md)."
_COLUMNS = ("filename", "file_attributes", "region_shape_attributes", "region_attributes")


@dataclass(frozen=True)
class AnnotatedImage:
    """One picture's points. pixels: (14, 2) row and column of the cine, NaN absent."""

    cine: str
    frame: int
    view: str | None
    pixels: np.ndarray


@dataclass
class _Image:
    name: str
    attributes: Mapping
    #: (shape_attributes, region_attributes)
    regions: list[tuple[Mapping, Mapping]] = field(default_factory=list)


def is_via(content: object) -> bool:
    """Whether parsed JSON is a VIA 2 project or its exported annotations."""
    if not isinstance(content, dict):
        return False
    images = content.get("_via_img_metadata", content)
    return isinstance(images, dict) and all(
        isinstance(image, dict) and "filename" in image and "regions" in image for image in images.values()
    )


def read_via_json(content: Mapping, path: str | os.PathLike, names: NameMap) -> list[AnnotatedImage]:
    """The annotated images of a parsed project or JSON export. InputError names the image that is wrong."""
    images = []
    for entry in content.get("_via_img_metadata", content).values():
        regions = entry["regions"]
        regions = list(regions.values()) if isinstance(regions, dict) else regions  # VIA 1 numbers them as keys
        try:
            parts = [(region["shape_attributes"], region.get("region_attributes", {})) for region in regions]
        except (TypeError, KeyError, AttributeError) as error:
            found = f"image {entry['filename']!r} with a region that has none ({error!r})"
            raise InputError(path, "regions with shape_attributes", found, _ADVICE) from error
        images.append(_Image(str(entry["filename"]), entry.get("file_attributes", {}), parts))
    return list(_landmarks(images, path, names))


def read_via_csv(text: str, path: str | os.PathLike, names: NameMap) -> list[AnnotatedImage]:
    """The annotated images of a CSV export."""
    try:
        rows = list(csv.DictReader(io.StringIO(text.lstrip("\ufeff").removeprefix("#"))))
    except csv.Error as error:
        raise InputError(path, "VIA's CSV export", str(error), _ADVICE) from error
    header = list(rows[0]) if rows else text.splitlines()[:1]
    if not rows or not set(_COLUMNS) <= set(rows[0]):
        raise InputError(path, f"the columns {', '.join(_COLUMNS)} of VIA's CSV export", str(header)[:120], _ADVICE)
    images: dict[str, _Image] = {}
    for number, row in enumerate(rows, start=2):
        try:
            attributes, shape, region = (json.loads(row[column] or "{}") for column in _COLUMNS[1:])
        except (TypeError, ValueError) as error:
            raise InputError(path, f"attributes as JSON in row {number}", str(error), _ADVICE) from error
        image = images.setdefault(row["filename"], _Image(row["filename"], attributes))
        if shape:
            image.regions.append((shape, region))
    return list(_landmarks(images.values(), path, names))


def _landmarks(images, path: str | os.PathLike, names: NameMap) -> Iterator[AnnotatedImage]:
    for image in images:
        attributes = image.attributes if isinstance(image.attributes, Mapping) else {}
        cine, frame = image_place(image.name, names)
        if image.name not in names.images:
            cine = str(attributes.get("cine") or cine)
            stated = attributes.get("frame", "")
            if str(stated).strip():
                frame = _frame(stated, image.name, path)
        view = attributes.get("view") or view_in(cine)
        if view is not None and view not in POINT_VIEWS:
            raise InputError(path, f"a view among {', '.join(POINT_VIEWS)}", f"{view!r} for {image.name!r}", _ADVICE)
        pixels = np.full((N_POINTS, 2), np.nan)
        for shape, region in image.regions:
            landmark = _named(region, image.name, view, path, names)
            if np.isfinite(pixels[landmark.index, 0]):
                found = f"two points for {landmark.number} {landmark.name} in {image.name!r}"
                raise InputError(path, "one point a landmark and image", found, "Delete the wrong one.")
            pixels[landmark.index] = _place(shape, image.name, path, names)
        if np.isfinite(pixels).any():
            yield AnnotatedImage(cine, frame, view, pixels)


def _frame(stated: object, image: str, path: str | os.PathLike) -> int:
    try:
        frame = int(str(stated))
    except ValueError:
        frame = -1
    if frame < 0:
        raise InputError(path, "a frame number from 0", f"{stated!r} for {image!r}", _ADVICE)
    return frame


def _named(region: object, image: str, view: str | None, path: str | os.PathLike, names: NameMap) -> Landmark:
    values = region if isinstance(region, Mapping) else {}
    if names.attribute is not None:
        values = {names.attribute: values.get(names.attribute, "")}
    # VIA's checkboxes are {option: true}
    said = [
        str(word)
        for value in values.values()
        for word in ([key for key, ticked in value.items() if ticked] if isinstance(value, Mapping) else [value])
    ]
    found = {landmark for word in said if (landmark := names.resolve(word, view)) is not None}
    if len(found) != 1:
        words = ", ".join(f"{key}={value!r}" for key, value in values.items()) or "no attribute"
        reason = "" if view or found else ", and no view known"
        raise InputError(path, "each point to name one landmark", f"{words} in {image!r}{reason}", _ADVICE)
    (landmark,) = found
    if view is not None and view not in landmark.views:
        expected = f"landmarks of the {view} in {image!r}"
        found = f"{landmark.number} {landmark.name}, of the {', '.join(landmark.views)}"
        raise InputError(path, expected, found, "Rename the point, or correct the view.")
    return landmark


def _place(shape: object, image: str, path: str | os.PathLike, names: NameMap) -> np.ndarray:
    kind = shape.get("name") if isinstance(shape, Mapping) else None
    if kind != "point":
        raise InputError(path, "regions that are points", f"a {kind} in {image!r}", "Mark landmarks with points.")
    try:
        place = np.array([float(shape["cy"]), float(shape["cx"])])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(path, "numbers cx and cy", f"{shape} in {image!r}", _ADVICE) from error
    if not np.isfinite(place).all():
        raise InputError(path, "finite numbers cx and cy", f"{shape} in {image!r}", "Mark the point again.")
    # a pixel of an enlarged picture is smaller: pixel centres of both grids are aligned at their common corner
    return (place + 0.5) / names.scale - 0.5 + np.array(names.offset)

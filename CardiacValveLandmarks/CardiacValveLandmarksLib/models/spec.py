"""What is known of a model: one entry of the catalogue as a type, checked."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..errors import ModelError
from .cache import weights_folder

if TYPE_CHECKING:
    from .intensity import Curve

RESOURCES = Path(__file__).resolve().parent.parent / "resources"
KINDS = ("coordinates", "heatmap", "short-axis")
INTENSITIES = ("file", "frame", "percentile", "evened")
SYMMETRIES = ("square", "rotations", "none")
#: what "percentile" clips scaled intensities to (models.intensity)
BRIGHTEST = 1.5


@dataclass(frozen=True)
class InputSpec:
    """What a network takes.

    spacing_mm: pixel spacing images are resampled to, None: pixels as they are. size: (rows, columns) or None: any.
    intensity: "file" (whole cine's range to [0, 1]), "frame" (each frame's range), "percentile" (the cine divided
    by the 99th percentile of the window shown, clipped to [0, 1.5]), "evened" (coil shading divided out, then each
    frame's range).
    one_handed: trained without mirror images. view_input: takes the view as a second input.
    curves: intensity curves learned from corrected cines (training.curve_search), each by its knots; a cine is looked
    at as it is and through each of them. With intensity "percentile" alone.
    """

    spacing_mm: float | None
    size: tuple[int, int] | None
    channels: int
    intensity: str
    one_handed: bool
    view_input: bool
    curves: tuple[Curve, ...] = ()


@dataclass(frozen=True)
class Decision:
    """How a heat-map model's answer is judged, calibrated on synthetic cines.

    presence: the ensemble's heat-map reaches this where the landmark is there. view: a view is recognised from this
    score on. confidence: (a, b, c, d), the logistic of a + b peak + c spread + d shift, the latter in mm (the signs
    of detection.result.Found): the share of such points within 5 mm of the truth. Models calibrated before have no d.
    """

    presence: float
    view: float
    confidence: tuple[float, ...]


@dataclass(frozen=True)
class ModelSpec:
    """One model of the catalogue; the fields of resources/models.schema.json, and

    origin: "built-in", "download", "user" (registered) or "path" (given as a file).
    path: the weights file, and checksum: its sha256, once `resolve_model` has verified it; before, None and "".
    training: what a fine-tuned model was made of (training.finetune), None for others; its "summary" is for people.
    """

    id: str
    title: str
    kind: str
    landmarks: tuple[int, ...]
    architecture: str
    input: InputSpec
    symmetries: str
    licence: str
    citation: str
    source: str | None
    file: str | None
    size: int | None
    sha256: str | None
    md5: str | None
    intended_use: str
    synthetic_only: bool
    decision: Decision | None
    origin: str = "built-in"
    path: Path | None = None
    checksum: str = ""
    training: Mapping | None = None

    @property
    def weights_path(self) -> Path:
        """Where the weights are, or will be after a download or a copy by hand."""
        if self.origin in ("user", "path"):
            return Path(self.file)
        if self.file is not None:
            return RESOURCES / self.file
        return weights_folder() / (self.id + (Path(urlsplit(self.source).path).suffix or ".pt"))

    def entry(self) -> dict:
        """The model as a catalogue entry (JSON types)."""
        entry = asdict(self)
        for name in ("origin", "path", "checksum"):
            del entry[name]
        entry["landmarks"] = list(self.landmarks)
        entry["input"]["size"] = None if self.input.size is None else list(self.input.size)
        del entry["input"]["curves"]
        if self.input.curves:
            entry["input"]["curves"] = [[list(knot) for knot in curve] for curve in self.input.curves]
        if self.decision is not None:
            entry["decision"]["confidence"] = list(self.decision.confidence)
        if self.training is None:
            del entry["training"]
        return entry


#: for people: what `valid_id` takes
ID_FORM = "small letters, digits, dots, dashes and underscores, up to 64"


def valid_id(value: object) -> bool:
    """Whether this can be a model's id."""
    return isinstance(value, str) and re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", value) is not None


def _is_decision(value: object) -> bool:
    if not isinstance(value, Mapping) or set(value) != {"presence", "view", "confidence"}:
        return False
    numbers = value["confidence"]
    return (
        all(isinstance(value[name], (int, float)) and 0 < value[name] < 1 for name in ("presence", "view"))
        and isinstance(numbers, list)
        and len(numbers) in (3, 4)
        and all(isinstance(number, (int, float)) for number in numbers)
    )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def valid_curve(value: object) -> bool:
    """Whether this (JSON types) can be a curve of `InputSpec.curves`."""
    if not (isinstance(value, list) and len(value) >= 2):
        return False
    if not all(isinstance(knot, list) and len(knot) == 2 for knot in value):
        return False
    numbers = [number for knot in value for number in knot]
    if not all(_is_number(number) and 0 <= number <= BRIGHTEST for number in numbers):
        return False
    return all(a[0] < b[0] for a, b in pairwise(value))


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_CHECKS = {
    "id": valid_id,
    "kind": lambda value: value in KINDS,
    "landmarks": lambda value: (
        isinstance(value, list)
        and value
        and all(_is_whole(number) and 1 <= number <= 11 for number in value)
        and len(set(value)) == len(value)
    ),
    **dict.fromkeys(("title", "licence", "citation", "intended_use"), lambda value: isinstance(value, str)),
    "architecture": lambda value: isinstance(value, str),
    "symmetries": lambda value: value in SYMMETRIES,
    "file": lambda value: value is None or isinstance(value, str),
    "source": lambda value: value is None or isinstance(value, str),
    "size": lambda value: value is None or (_is_whole(value) and value > 0),
    "sha256": lambda value: value is None or (isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value)),
    "md5": lambda value: value is None or (isinstance(value, str) and re.fullmatch("[0-9a-f]{32}", value)),
    "synthetic_only": lambda value: isinstance(value, bool),
    "decision": lambda value: value is None or _is_decision(value),
    "training": lambda value: value is None or (isinstance(value, Mapping) and isinstance(value.get("summary"), str)),
    "input.spacing_mm": lambda value: value is None or (isinstance(value, (int, float)) and value > 0),
    "input.size": lambda value: (
        value is None
        or (isinstance(value, list) and len(value) == 2 and all(_is_whole(side) and side >= 8 for side in value))
    ),
    "input.channels": lambda value: _is_whole(value) and value > 0,
    "input.intensity": lambda value: value in INTENSITIES,
    "input.one_handed": lambda value: isinstance(value, bool),
    "input.view_input": lambda value: isinstance(value, bool),
    "input.curves": lambda value: isinstance(value, list) and all(valid_curve(curve) for curve in value),
}


#: what models of a kind have in common: kind -> field -> whether a value can be
_FIXED = {
    # the published form: ten points of 256 x 256 pixels as they are
    "coordinates": {
        "landmarks": lambda value: value == list(range(1, 11)),
        "input.spacing_mm": lambda value: value is None,
        "input.size": lambda value: value == [256, 256],
        "input.intensity": lambda value: value in ("file", "frame"),
    },
    "short-axis": {"landmarks": lambda value: set(value) <= {1, 2, 3}},
}


def spec_from_entry(entry: Mapping, origin: str, where: str | os.PathLike) -> ModelSpec:
    """A catalogue entry as ModelSpec; ModelError naming the file `where` and the field that is wrong.

    The JSON schema says the same; it is not used here, so that no schema package is needed to detect.
    """
    names = {field.name for field in fields(ModelSpec)} - {"origin", "path", "checksum"}
    if isinstance(entry, Mapping):
        entry = {"training": None, **entry}
        if isinstance(entry.get("input"), Mapping):
            entry["input"] = {"curves": [], **entry["input"]}

    def check_names(found: object, expected: set[str], what: str) -> None:
        if not isinstance(found, Mapping) or set(found) != expected:
            keys = set(found) if isinstance(found, Mapping) else set()
            wrong = sorted(expected ^ keys)
            raise ModelError(where, f"{what} with the fields of models.schema.json", f"other fields: {wrong}")

    check_names(entry, names, "a model")
    check_names(entry["input"], {field.name for field in fields(InputSpec)}, "a model's input")
    flat = {**entry, **{f"input.{name}": value for name, value in entry["input"].items()}}
    for name, valid in _CHECKS.items():
        if not valid(flat[name]):
            raise ModelError(where, f"a valid {name!r} (see models.schema.json)", repr(flat[name]))
    if entry["file"] is None and (entry["source"] is None or origin == "user"):
        raise ModelError(where, "a file or a source", f"neither for {entry['id']}")
    for name, expected in _FIXED.get(entry["kind"], {}).items():
        if not expected(flat[name]):
            raise ModelError(where, f"a {name!r} that a model of kind {entry['kind']} can have", repr(flat[name]))
    inputs = entry["input"]
    if inputs["curves"] and (entry["kind"], inputs["intensity"]) != ("heatmap", "percentile"):
        found = f"{entry['kind']}, {inputs['intensity']!r}"
        raise ModelError(where, "kind heatmap and the intensity 'percentile' of a model with curves", found)
    decision = entry["decision"]
    return ModelSpec(
        **{
            **entry,
            "decision": decision and Decision(decision["presence"], decision["view"], tuple(decision["confidence"])),
            "landmarks": tuple(entry["landmarks"]),
            "input": InputSpec(
                **{
                    **inputs,
                    "size": tuple(inputs["size"]) if inputs["size"] else None,
                    "curves": tuple(tuple(map(tuple, curve)) for curve in inputs["curves"]),
                }
            ),
        },
        origin=origin,
    )

"""Names that people give landmarks in annotation tools -> the landmarks of the table.

Understood without being told, in any case and with any of space, '_', '-' between words: the number (1…14), the key
("mitral_anterior_2ch"), and, where the view is known, the table's names ("mitral anterior", "MV ant"), those of Xue
2021 ("anterior", "inferior", "inferolateral", "anteroseptal", "inferoseptal", "anterolateral", "apex") and the valve
with its side. The view may be part of the name ("4CH inferoseptal") or is told by the image. Anything else needs a
mapping file (`NameMap.read`).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError
from ..landmarks import APEX, Landmark
from .points import N_POINTS, POINT_VIEWS, POINTS, points_in

#: Xue 2021 calls the mitral points by the walls they lie on
_WALLS = {
    "2CH": {"anterior": 1, "inferior": 2, "posterior": 2},
    "3CH": {"anteroseptal": 3, "inferolateral": 4},
    "4CH": {"inferoseptal": 5, "anterolateral": 6, "septal": 5, "lateral": 6},
    "SAX": {
        "anterior": 12,
        "inferior": 13,
        "a rvi": 12,
        "i rvi": 13,
        "centre": 14,
        "center": 14,
        "lv center": 14,
    },
}
_VIEW_WORDS = {"2ch": "2CH", "3ch": "3CH", "4ch": "4CH", "ch2": "2CH", "ch3": "3CH", "ch4": "4CH", "sax": "SAX"}
_KEYS = ("landmarks", "attribute", "images", "scale", "offset")


def _words(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def view_in(text: str) -> str | None:
    """The one view that a name states as a word ("patient7_4CH_012", "ch2"), or None."""
    found = {_VIEW_WORDS[word] for word in _words(text).split() if word in _VIEW_WORDS}
    return found.pop() if len(found) == 1 else None


def _known(view: str) -> dict[str, Landmark]:
    names: dict[str, Landmark] = {}
    for landmark in points_in(view):
        spoken = [landmark.name, landmark.short]
        if landmark.valve:
            spoken.append(f"{landmark.valve} valve {landmark.side}")
        names |= {_words(name): landmark for name in spoken}
    names |= {name: POINTS[number - 1] for name, number in _WALLS[view].items()}
    if view != "SAX":
        names |= {f"mitral {name}": POINTS[number - 1] for name, number in _WALLS[view].items()}
    return names


_BY_VIEW = {view: _known(view) for view in POINT_VIEWS}
_ANYWHERE = {str(landmark.number): landmark for landmark in POINTS} | {
    _words(landmark.key): landmark for landmark in POINTS
}


@dataclass(frozen=True)
class NameMap:
    """What a mapping file says; empty: the names above alone.

    landmarks: name in the annotation file -> landmark. attribute: the region attribute that holds the name (VIA),
    None: the only one that names a landmark. images: image file name -> (cine, frame from 0).
    scale: pixels of the annotated picture a pixel of the cine. offset: (row, column) of the picture's pixel (0, 0) in
    the cine, cine pixels.
    """

    landmarks: Mapping[str, Landmark] = field(default_factory=dict)
    attribute: str | None = None
    images: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    scale: float = 1.0
    offset: tuple[float, float] = (0.0, 0.0)

    def resolve(self, name: str, view: str | None) -> Landmark | None:
        """The landmark of this name in this view, or None: no name, or one that needs the view that is not known."""
        if name in self.landmarks:
            return self.landmarks[name]
        words = _words(name)
        if words in _ANYWHERE:
            return _ANYWHERE[words]
        stated = view_in(name)
        rest = " ".join(word for word in words.split() if word not in _VIEW_WORDS) if stated else words
        if stated and view and stated != view:
            return None
        if rest in ("apex", "lv apex"):
            return APEX
        return _BY_VIEW.get(stated or view or "", {}).get(rest)

    @classmethod
    def read(cls, path: str | os.PathLike) -> NameMap:
        """A mapping file: a JSON object with any of the fields above; landmarks by number or key, images as
        [cine, frame]. InputError names what is wrong."""
        advice = "See docs/evaluation.md for its form."
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(path, "a mapping of names (JSON)", str(error), advice) from error
        if not isinstance(content, dict) or not set(content) <= set(_KEYS):
            found = f"fields {sorted(set(content) - set(_KEYS))}" if isinstance(content, dict) else "no object"
            raise InputError(path, f"an object with some of the fields {', '.join(_KEYS)}", found, advice)
        try:
            landmarks = {str(name): _by_id(value) for name, value in content.get("landmarks", {}).items()}
            images = {str(name): (str(cine), int(frame)) for name, (cine, frame) in content.get("images", {}).items()}
            attribute = content.get("attribute")
            if attribute is not None and not isinstance(attribute, str):
                raise ValueError(f"attribute {attribute!r}")
            scale = float(content.get("scale", 1.0))
            row, column = (float(value) for value in content.get("offset", (0.0, 0.0)))
            if not 0 < scale < float("inf"):
                raise ValueError(f"scale {scale}")
            if any(frame < 0 for _, frame in images.values()):
                raise ValueError("a frame below 0")
        except (AttributeError, TypeError, ValueError, KeyError) as error:
            raise InputError(path, "a mapping of names", str(error), advice) from error
        return cls(landmarks, attribute, images, scale, (row, column))


def _by_id(value: object) -> Landmark:
    words = _words(str(value))
    if words not in _ANYWHERE:
        raise ValueError(f"landmark {value!r}: expected a number from 1 to {N_POINTS} or a key of the table")
    return _ANYWHERE[words]


def image_place(image: str, names: NameMap) -> tuple[str, int]:
    """(cine, frame from 0) of an annotated image, by the mapping, else by the number its name ends in
    ("four_chamber_012.png": frame 12 of "four_chamber"); without a number it is frame 0 of its own name."""
    base = re.split(r"[\\/]", image)[-1]
    for name in (image, base):
        if name in names.images:
            return names.images[name]
    stem = base.rsplit(".", 1)[0] if "." in base else base
    match = re.fullmatch(r"(.+?)[_.\- ](?:frame|f|t)?[_.\- ]?(\d+)", stem, re.IGNORECASE)
    if match and match[1]:
        return match[1], int(match[2])
    return stem, 0

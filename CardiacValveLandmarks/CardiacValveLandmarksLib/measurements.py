"""Clinical measures of the annuli and their beat curves (definitions and references: README, Measures)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Measure:
    """One number.

    key: stable identifier, e.g. "mapse_septal". name, unit, definition: as printed.
    value: NaN where it could not be had (`note` says why). uncertainty: one SD from the fit, same unit, or NaN.
    landmarks: numbers of those used. provenance: label -> number of frames' points among these, e.g. {"auto": 50}.
    reference: reference range as text with its source, "" where there is none.
    approximate: the points tell it poorly. assumed: rests on an assumed shape.
    """

    key: str
    name: str
    value: float
    uncertainty: float
    unit: str
    definition: str
    landmarks: tuple[int, ...]
    provenance: dict[str, int]
    reference: str = ""
    approximate: bool = False
    assumed: bool = False
    note: str = ""


@dataclass(frozen=True)
class Curve:
    """One quantity over the beat. values, sd: (P,) at the study's phases; sd is NaN where not known."""

    key: str
    name: str
    unit: str
    values: np.ndarray
    sd: np.ndarray
    landmarks: tuple[int, ...] = ()

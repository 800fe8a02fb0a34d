"""What a measure and a curve are, and collecting them from draws of the paths."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from .coverage import covered
from .landmarks import Provenance, by_number
from .path_draws import PathDraws, spread

#: phases over the beat that measures are looked for in
FINE = 128


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


class MeasureBuilder:
    """Collects measures and curves; `phases` from ED for the measures, the study's own for the curves."""

    def __init__(self, draws: PathDraws, ed: float, es: float, phases: np.ndarray) -> None:
        self.draws, self.ed, self.es, self.phases = draws, ed, es, phases
        self.fine = (ed + np.arange(FINE) / FINE) % 1.0
        self.es_index = round(((es - ed) % 1.0) * FINE) % FINE
        self.measures: list[Measure] = []
        self.curves: list[Curve] = []
        self._covered = {point: covered([t]) for point, t in draws.trajectories.items()}
        # (number, view) -> how many of its points came from where
        self._sources = {
            point: {p.label: count for p in Provenance if p and (count := int((t.provenance == p).sum()))}
            for point, t in draws.trajectories.items()
        }

    def is_covered(self, point: tuple[int, str], index: int) -> bool:
        """Whether a landmark of a view has points near one of the fine phases."""
        known = self._covered[point]
        return bool(known[round(float(self.fine[index]) * len(known)) % len(known)])

    def known_at(self, values: np.ndarray, points, *indices: int) -> tuple[np.ndarray, str]:
        """The values (1 + samples,) read at some of the fine phases, and ""; NaN, and why, where one of the points is
        extrapolated there: between its points a path swings out, and no extreme of that is a measurement."""
        missing = sorted({point for point in points for index in indices if not self.is_covered(point, index)})
        if not missing:
            return values, ""
        names = ", ".join(f"{by_number(number).name} ({view})" for number, view in missing)
        return np.full(len(values), np.nan), f"extrapolated: no points of {names} near the moment it is read at"

    def add(self, key, name, values, unit, definition, points, reference="", *, note="", at=(), **flags) -> None:
        """values: (1 + samples,), the fit's first. points: ((number, view), …). at: fine phases they are read at, for
        `known_at`."""
        if at:
            values, note = self.known_at(values, points, *at)
        counts: Counter[str] = Counter()
        for point in points:
            counts.update(self._sources[point])
        numbers = tuple(dict.fromkeys(number for number, _ in points))
        value, sd = float(values[0]), float(spread(values))
        self.measures.append(
            Measure(key, name, value, sd, unit, definition, numbers, dict(counts), reference, note=note, **flags)
        )

    def curve(self, key, name, unit, values, points) -> None:
        """values: (1 + samples, P)."""
        numbers = tuple(dict.fromkeys(number for number, _ in points))
        self.curves.append(Curve(key, name, unit, values[0], spread(values), numbers))

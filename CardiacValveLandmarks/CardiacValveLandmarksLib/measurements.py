"""Clinical measures of the annuli and their curves over the beat.

Definitions and reference values: each measure carries its own (echo n = 1266 and CMR values as published;
LV length after Xue et al., Radiology: AI 2021). LPS millimetres, cm/s, mL, phases of the common beat.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .beat_quantities import perpendicular_in_view, ring_area, ring_perimeter, swept_volume, velocity_peaks
from .landmarks import APEX, VIEWS, by_number
from .measure_builder import FINE, Curve, Measure, MeasureBuilder
from .path_draws import PathDraws

#: best first: what the long axis gives hardly depends on six noisy points' tilt
EXCURSION_AXES = ("long axis", "ED plane", "view line")


@dataclass(frozen=True)
class ExcursionAxis:
    """The direction `a` that excursions are measured along.

    kind: "long axis" (mitral centre to apex at ED), "ED plane" (its normal) or "view line" (in each view's plane,
    perpendicular to the ED line through the valve's two points). vector: (3,) unit LPS; of "view line" only its side.
    """

    kind: str
    vector: np.ndarray

    @property
    def definition(self) -> str:
        return {
            "long axis": "along the LV long axis at ED (mitral centre to apex)",
            "ED plane": "along the normal of the mitral plane at ED, towards the apex",
            "view line": "perpendicular, in the view, to the ED line through the valve's two points",
        }[self.kind]


#: key part, words, landmark number, view
_MITRAL_POINTS = (
    ("septal", "septal (4CH)", 5, "4CH"),
    ("lateral", "lateral (4CH)", 6, "4CH"),
    ("anterior", "anterior (2CH)", 1, "2CH"),
    ("inferior", "inferior (2CH)", 2, "2CH"),
    ("anteroseptal", "anteroseptal (3CH)", 3, "3CH"),
    ("inferolateral", "inferolateral (3CH)", 4, "3CH"),
)
#: the four walls that are averaged, as echocardiography does
_FOUR_WALLS = ("septal", "lateral", "anterior", "inferior")
_CHORDS = (
    ("mitral_2ch", "mitral diameter 2CH", 1, 2, "2CH", ""),
    (
        "mitral_3ch",
        "mitral diameter 3CH (anteroposterior)",
        3,
        4,
        "3CH",
        "at ED 29 ± 4 mm men, 26 ± 4 mm women",
    ),
    ("mitral_4ch", "mitral diameter 4CH", 5, 6, "4CH", ""),
    ("tricuspid_4ch", "tricuspid diameter 4CH", 9, 10, "4CH", "at ED 32 ± 5 mm men, 29 ± 4 mm women"),
    ("aortic_3ch", "aortic diameter 3CH", 7, 8, "3CH", ""),
)
_MAPSE_REFERENCE = "15.8 ± 2.5 mm (echo, n = 1266); CMR controls about 16 mm"
_TAPSE_REFERENCE = "17.8 ± 2.5 mm; below 16–17 mm abnormal (echo)"
_E_LATERAL_REFERENCE = "below 8–10 cm/s abnormal, by age (echo); frames of 33–40 ms underestimate it"
#: nodes of the rings that are measured, however many are exported: of 32 the area is 0.6 % less than the curve's, of
#: these 0.2 %
_RING_NODES = 64
#: a mitral ring through four points: SD of area and volume, and of the perimeter, about the true ring's, relative. A
#: D-shaped ring of 9.4 cm² comes out at -0.6 (2CH + 3CH), +0.9 (2CH + 4CH) and -0.5 cm² (3CH + 4CH) from exact points
_FOUR_POINT_SHAPE = {"area": 0.08, "perimeter": 0.04, "sweep": 0.08}
#: a fit rounds off waves shorter than a period of its highest harmonic; where that is longer than this, it is said, ms
_SHORTEST_WAVE_MS = 150.0
#: in a shorter diastole early and atrial filling run together, as they do from about 100 beats a minute on, ms
_FUSED_MS = 300.0
#: points nearer to one another than this coincide, mm
_SMALLEST_MM = 1.0


def build_measures(
    draws: PathDraws,
    ring_draws: Mapping[str, tuple],
    axis: ExcursionAxis,
    normals: Mapping[str, np.ndarray],
    phases: np.ndarray,
    ed: float,
    es: float,
) -> tuple[tuple[Measure, ...], tuple[Curve, ...]]:
    """All measures the paths and rings allow.

    ring_draws: valve -> (function of phases and N giving (1 + samples, P, N, 3) mm, ((number, view), …), assumed).
    normals: view -> (3,) unit normal. phases: (P,) of the curves. ed, es: common phases; without them nothing
    can be measured and both tuples are empty.
    """
    if not np.isfinite([ed, es]).all():
        return (), ()
    build = MeasureBuilder(draws, ed, es, phases)
    _excursions(build, axis, normals)
    _chords(build)
    _rings(build, ring_draws)
    _lv_length(build)
    return tuple(build.measures), tuple(build.curves)


def _direction(build: MeasureBuilder, axis: ExcursionAxis, normals: Mapping[str, np.ndarray], number: int, view: str):
    """(3,) the excursion's direction for one landmark, or None where its valve has not two points."""
    if axis.kind != "view line":
        return axis.vector
    valve = by_number(number).valve
    pair = [n for n, v in build.draws.trajectories if v == view and by_number(n).valve == valve]
    if len(pair) != 2:
        return None
    first, second = (build.draws.trajectories[n, view].evaluate(build.ed) for n in pair)
    if np.linalg.norm(second - first) < _SMALLEST_MM:
        return None
    return perpendicular_in_view(first, second, normals[view], axis.vector)


@dataclass(frozen=True)
class _Excursion:
    """Of one landmark, by draw (1 + samples, …): its excursion in mm at the fine phases, the largest of it (NaN: `note`
    says why), its waves (`_peaks`), whose it is, and excursion and velocity (cm/s) at the study's phases."""

    fine: np.ndarray
    largest: np.ndarray
    note: str
    peaks: dict[str, tuple[np.ndarray, str]]
    used: tuple[tuple[int, str], ...]
    coarse: np.ndarray
    coarse_speed: np.ndarray


def _excursions(build: MeasureBuilder, axis: ExcursionAxis, normals: Mapping[str, np.ndarray]) -> None:
    draws = build.draws
    found: dict[str, _Excursion] = {}
    points = [(*p, "mapse", "MAPSE", _MAPSE_REFERENCE) for p in _MITRAL_POINTS]
    points.append(("tricuspid", "tricuspid free wall (4CH)", 10, "4CH", "tapse", "TAPSE", _TAPSE_REFERENCE))
    for part, words, number, view, stem, title, reference in points:
        direction = _direction(build, axis, normals, number, view) if draws.has(number, view) else None
        if direction is None:
            continue
        at_ed = draws.positions(number, view, np.array([build.ed]))
        fine = (draws.positions(number, view, build.fine) - at_ed) @ direction
        speed = draws.velocities(number, view, build.fine) @ direction
        peaks = _peaks(build, speed, number, view)
        coarse = (draws.positions(number, view, build.phases) - at_ed) @ direction
        coarse_speed = draws.velocities(number, view, build.phases) @ direction / 10.0
        used = ((number, view),)
        largest, note = build.known_at(fine.max(1), used, 0, int(fine[0].argmax()))
        found[part] = _Excursion(fine, largest, note, peaks, used, coarse, coarse_speed)
        key = stem if stem == "tapse" else f"mapse_{part}"
        definition = f"largest excursion from ED, {axis.definition}"
        name = f"{title} {words.removeprefix('tricuspid ')}"
        build.add(key, name, largest, "mm", definition, used, reference, note=note)
        curve = f"excursion_{part}"
        build.curve(curve, f"excursion {words}", "mm", coarse, used)
        build.curve(f"velocity_{part}", f"velocity {words}", "cm/s", coarse_speed, used)
        _velocities(build, part, words, [peaks], used)
    for group, words, parts in (
        ("mean", "mean of septal, lateral, anterior, inferior", _FOUR_WALLS),
        ("mean_4ch", "mean of septal and lateral (4CH)", _FOUR_WALLS[:2]),
    ):
        if not all(part in found for part in parts):
            continue
        walls = [found[part] for part in parts]
        used = tuple(point for wall in walls for point in wall.used)
        largest = np.mean([wall.largest for wall in walls], axis=0)
        note = next((wall.note for wall in walls if wall.note), "")
        definition = "mean of the walls' MAPSE"
        build.add(f"mapse_{group}", f"MAPSE {words}", largest, "mm", definition, used, _MAPSE_REFERENCE, note=note)
        _velocities(build, group, words, [wall.peaks for wall in walls], used)
        build.curve(f"excursion_{group}", f"excursion {words}", "mm", np.mean([wall.coarse for wall in walls], 0), used)
        speed = np.mean([wall.coarse_speed for wall in walls], 0)
        build.curve(f"velocity_{group}", f"velocity {words}", "cm/s", speed, used)
    for view, (first, second) in (("2CH", ("anterior", "inferior")), ("3CH", ("anteroseptal", "inferolateral")),
                                  ("4CH", ("septal", "lateral"))):  # fmt: skip
        if first in found and second in found:
            mean, used = (found[first].fine + found[second].fine) / 2, found[first].used + found[second].used
            definition = f"largest excursion from ED of the middle of the two mitral points, {axis.definition}"
            at, key, name = (0, int(mean[0].argmax())), f"excursion_{view.lower()}", f"mitral excursion {view}"
            build.add(key, name, mean.max(1), "mm", definition, used, at=at)


def _peaks(build: MeasureBuilder, speed: np.ndarray, number: int, view: str) -> dict[str, tuple[np.ndarray, str]]:
    """Letter -> peak (1 + samples,) mm/s of one landmark's excursion velocity (1 + samples, fine), and why it is NaN;
    empty where the beat has no room for them."""
    if not 2 < build.es_index < FINE - 4:
        return {}
    path = build.draws.trajectories[number, view]
    none = np.full(len(speed), np.nan)
    if path.order < 2:  # one wave a beat: none of the three
        return dict.fromkeys("sea", (none, "a path of one harmonic has no such waves: too few frames"))
    if not np.isfinite(speed[0]).all():
        return dict.fromkeys("sea", (none, "the RR of the view is unknown"))
    diastole = (1 - build.es_index / FINE) * path.rr_ms
    peaks, found = velocity_peaks(speed, build.es_index, diastole < _FUSED_MS), {}
    for letter, values, at in (("s", peaks.s, peaks.s_at), ("e", peaks.e, peaks.e_at), ("a", peaks.a, peaks.a_at)):
        if np.isnan(values[0]):
            found[letter] = values, "the second diastolic wave does not stand apart from the first"
        elif not build.is_covered((number, view), int(at[0])):
            found[letter] = none, "the landmark has no points where this wave would be"
        elif letter != "s" and peaks.weak[0]:
            found[letter] = values, "the first diastolic wave is weak beside the second; of one wave alone that is e′"
        else:
            found[letter] = values, ""
    return found


def _velocities(build: MeasureBuilder, part: str, words: str, walls: list[dict], used: tuple) -> None:
    """s′, e′, a′ of a wall, or the mean of several walls' ones. walls: of `_peaks`."""
    if not all(walls):
        return
    paths = [build.draws.trajectories[point] for point in used]
    harmonics = "/".join(map(str, sorted({path.order for path in paths})))
    shortest = max(path.rr_ms / path.order for path in paths)
    for letter, what in (
        ("s", "largest velocity towards the apex in systole"),
        ("e", "largest velocity away from the apex, first diastolic wave"),
        ("a", "largest velocity away from the apex, second diastolic wave"),
    ):
        values = np.mean([wall[letter][0] for wall in walls], axis=0)
        note = next((note for wall in walls if (note := wall[letter][1])), "")
        if not note and letter != "s" and shortest > _SHORTEST_WAVE_MS:
            note = f"{harmonics} harmonics round off waves shorter than {shortest:.0f} ms, which come out too small"
        mean = "mean of the walls' " if len(walls) > 1 else ""
        definition = f"{mean}{what}; derivative of a fit with {harmonics} harmonics, on which it depends"
        reference = _E_LATERAL_REFERENCE if (letter, part) == ("e", "lateral") else ""
        build.add(
            f"{letter}_{part}", f"{letter}′ {words}", values / 10.0, "cm/s", definition, used, reference, note=note
        )


def _chords(build: MeasureBuilder) -> None:
    moments = np.array([build.ed, build.es])
    for key, name, first, second, view, reference in _CHORDS:
        if not (build.draws.has(first, view) and build.draws.has(second, view)):
            continue

        def chord(phases: np.ndarray, first=first, second=second, view=view) -> np.ndarray:
            ends = (build.draws.positions(n, view, phases) for n in (first, second))
            return np.linalg.norm(np.subtract(*ends), axis=-1)

        used = ((first, view), (second, view))
        lengths = chord(moments)
        for column, moment in enumerate(("ED", "ES")):
            text = reference if moment == "ED" else ""
            definition = f"distance of the two points at {moment}"
            at, value = (column * build.es_index,), lengths[:, column]
            build.add(f"{key}_{moment.lower()}", f"{name} at {moment}", value, "mm", definition, used, text, at=at)
        if lengths[0].min() < _SMALLEST_MM:
            continue  # points that coincide have no strain
        strain, definition = 100 * (lengths[:, 1] / lengths[:, 0] - 1), "chord at ES / chord at ED − 1"
        build.add(f"{key}_strain", f"{name}: strain at ES", strain, "%", definition, used, at=(0, build.es_index))
        curve = chord(build.phases)
        build.curve(f"{key}_diameter", name, "mm", curve, used)
        build.curve(f"{key}_strain", f"{name}: strain", "%", 100 * (curve / lengths[:, :1] - 1), used)


def _rings(build: MeasureBuilder, ring_draws: Mapping[str, tuple]) -> None:
    numbers = {4: "four", 5: "five", 6: "six"}
    for valve, (nodes, used, assumed) in ring_draws.items():
        flags = {"approximate": True, "assumed": assumed}
        references = ("7.4–9.8 cm²", "102–116 mm") if valve == "mitral" else ("", "")
        if assumed:
            shape = "; a circle on the chord is assumed, and ± knows the chord alone"
        else:
            shape = f"; approximate: {numbers.get(len(used), len(used))} points tell the shape poorly"
        unknown = _FOUR_POINT_SHAPE if len(used) == 4 and not assumed else {}

        moments = nodes(np.array([build.ed, build.es]), _RING_NODES)
        areas = _of_some_shape(ring_area(moments) / 100.0, unknown.get("area"))
        perimeters = _of_some_shape(ring_perimeter(moments), unknown.get("perimeter"))
        for column, moment in enumerate(("ED", "ES")):
            low, at = moment.lower(), (column * build.es_index,)
            build.add(
                f"{valve}_area_{low}", f"{valve} ring area at {moment}", areas[:, column], "cm²",
                f"½‖Σ rᵢ × rᵢ₊₁‖ of the ring's nodes{shape}", used, references[0] if moment == "ED" else "",
                at=at, **flags,
            )  # fmt: skip
            build.add(
                f"{valve}_perimeter_{low}", f"{valve} ring perimeter at {moment}", perimeters[:, column], "mm",
                f"sum of the ring's segments{shape}", used, references[1] if moment == "ED" else "",
                at=at, **flags,
            )  # fmt: skip
        coarse = nodes(build.phases, _RING_NODES)
        curve = _of_some_shape(ring_area(coarse) / 100.0, unknown.get("area"))
        build.curve(f"{valve}_area", f"{valve} ring area", "cm²", curve, used)
        curve = _of_some_shape(ring_perimeter(coarse), unknown.get("perimeter"))
        build.curve(f"{valve}_perimeter", f"{valve} ring perimeter", "mm", curve, used)
        # a quarter of the phases: the volume is largest where it hardly changes
        swept = swept_volume(moments[:, :1], nodes(build.fine[::4], _RING_NODES))
        swept = _of_some_shape(swept, unknown.get("sweep"))
        build.add(
            f"{valve}_sweep", f"{valve} annulus sweep volume", swept.max(1), "mL",
            f"largest volume between the ring's cap at ED and the current one{shape}", used,
            at=(0, 4 * int(swept[0].argmax())), **flags,
        )  # fmt: skip
        curve = _of_some_shape(swept_volume(moments[:, :1], coarse), unknown.get("sweep"))
        build.curve(f"{valve}_sweep", f"{valve} annulus sweep volume", "mL", curve, used)


def _of_some_shape(values: np.ndarray, sd: float | None) -> np.ndarray:
    """Draws (1 + samples, …) of a ring's quantity, each scaled by its share of what is not known of the ring's shape:
    normal, relative SD `sd`, the same over the beat. None: the points tell the shape."""
    if sd is None:
        return values
    factors = 1 + sd * np.random.default_rng(len(values)).normal(size=len(values))
    factors[0] = 1.0  # the fit's
    return values * factors.reshape(-1, *[1] * (values.ndim - 1))


def _lv_length(build: MeasureBuilder) -> None:
    pairs = {"2CH": (1, 2), "3CH": (3, 4), "4CH": (5, 6)}
    bases = {v: p for v, p in pairs.items() if all(build.draws.has(n, v) for n in p)}
    apexes = [view for view in VIEWS if build.draws.has(APEX.number, view)]

    def add(key: str, words: str, base_views: tuple[str, ...], apex_views: tuple[str, ...], definition: str) -> None:
        used = tuple((n, v) for v in base_views for n in bases[v]) + tuple((APEX.number, v) for v in apex_views)

        def length(phases: np.ndarray) -> np.ndarray:
            # common displacements of a view cancel in its own length, not between views
            across = len({*base_views, *apex_views}) > 1
            base = np.mean([build.draws.positions(n, v, phases, across) for v in base_views for n in bases[v]], axis=0)
            apex = np.mean([build.draws.positions(APEX.number, v, phases, across) for v in apex_views], axis=0)
            return np.linalg.norm(apex - base, axis=-1)

        fine = length(build.fine)
        at_ed, at_es, shortest, when = fine[:, 0], fine[:, build.es_index], fine.min(1), int(fine[0].argmin())
        es = build.es_index
        build.add(f"lv_length{key}_ed", f"LV length{words} at ED", at_ed, "mm", definition, used, at=(0,))
        build.add(f"lv_length{key}_es", f"LV length{words} at ES", at_es, "mm", definition, used, at=(es,))
        build.add(f"lv_length{key}_min", f"LV length{words}, shortest", shortest, "mm", definition, used, at=(when,))
        build.add(
            f"longitudinal_shortening{key}", f"longitudinal shortening{words}", 100 * (at_ed - shortest) / at_ed, "%",
            "100·(L at ED − shortest L)/L at ED", used, "17.1 ± 2.3 %", at=(0, when),
        )  # fmt: skip
        build.curve(f"lv_length{key}", f"LV length{words}", "mm", length(build.phases), used)

    if bases and apexes:
        add("", "", tuple(bases), tuple(apexes), "distance of the apex (mean of the views that show it) from the "
            "mitral centre (mean of the views' points)")  # fmt: skip
    for view in apexes:
        if view in bases:
            definition = "distance of the apex from the middle of the view's two mitral points"
            add(f"_{view.lower()}", f" {view}", (view,), (view,), definition)

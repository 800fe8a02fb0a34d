"""The tables of an evaluation as in the papers (Xue 2021; Kerfoot 2020): from comparisons to figures.

Every table is a list of rows (dicts of words and numbers, NaN where a figure cannot be had), as they are written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ..errors import InputError
from ..landmarks import APEX
from ..short_axis import N_SHORT_AXIS, arvi_angle
from .agreement import Calibration, bland_altman, calibrate, describe, paired_test, wrapped
from .compare import ComparedCine, Comparison
from .points import N_POINTS, POINT_VIEWS, POINTS, SAX, points_in

Table = list[dict[str, object]]
#: what is compared with what, as the tables call it
MODEL, MODEL_SECOND, READERS = "prediction - reader 1", "prediction - reader 2", "reader 2 - reader 1"
#: the rows over every view and landmark
ALL = "all"


@dataclass(frozen=True)
class Evaluation:
    """unit: of every distance, "mm" or "px". within: the limit of "near" in that unit.

    landmarks: a row a view and landmark. detection: a row a view. measures: Bland–Altman of lengths and angles.
    strata: a row for each value of each grouping. readers: prediction and second reader against the first, side by
    side (empty without one). calibration: None where no confidence is stated, or the unit is not mm.
    pairs: the comparisons the tables come from, by name.
    """

    unit: str
    within: float
    notes: tuple[str, ...]
    landmarks: Table
    detection: Table
    measures: Table
    strata: Table
    readers: Table
    calibration: Calibration | None
    pairs: Mapping[str, Comparison]


def evaluate(
    model: Comparison,
    second: Comparison | None = None,
    readers: Comparison | None = None,
    *,
    strata: Mapping[str, Mapping[str, str]] | None = None,
    within: float = 5.0,
) -> Evaluation:
    """model: predictions against reader 1. second: predictions against reader 2; readers: reader 2 against reader 1.

    strata: cine (by the reference's name) -> grouping -> value, e.g. {"Se6": {"vendor": "Siemens"}}; the view is a
    grouping of its own. within: error (the comparison's unit) under which a point counts as near; confidence is judged
    by the 5 mm that it is about.
    """
    pairs = {MODEL: model} | {
        name: pair for name, pair in ((MODEL_SECOND, second), (READERS, readers)) if pair is not None
    }
    if len({pair.unit for pair in pairs.values()}) > 1:
        found = ", ".join(f"{name}: {pair.unit}" for name, pair in pairs.items())
        raise InputError("evaluation", "distances in one unit", found, "State the pixel spacing with --spacing.")
    notes = [note for pair in pairs.values() for note in pair.notes]
    told = None
    if model.unit == "mm":
        rows = model.rows()
        confidence, error = np.array([[row.confidence, row.error_mm] for row in rows]).T
        told = calibrate(confidence, error)
        told = told if told.n else None
    if told is None:
        notes.append("No calibration: it needs stated confidence and distances in mm.")
    return Evaluation(
        model.unit,
        within,
        tuple(dict.fromkeys(notes)),
        landmark_table(model, within),
        [detection_row(_images(model, view), view) for view in (*_views(model), ALL)],
        [row for name, pair in pairs.items() for row in measure_table(pair, name)],
        strata_table(model, strata or {}),
        reader_table(model, second, readers) if readers is not None else [],
        told,
        pairs,
    )


def _views(comparison: Comparison) -> tuple[str, ...]:
    there = {view for cine in comparison.cines for view in cine.views}
    return tuple(sorted(there, key=lambda view: (view not in POINT_VIEWS, view)))


def _cells(comparison: Comparison) -> Iterable[tuple[str, int]]:
    """(view, landmark index) that are assessed anywhere, then (view, -1) for a whole view and (ALL, -1)."""
    for view in _views(comparison):
        there = np.any([_of_view(cine, view).any(0) for cine in comparison.cines], axis=0)
        for index in np.flatnonzero(there):
            yield view, int(index)
        yield view, -1
    yield ALL, -1


def _of_view(cine: ComparedCine, view: str) -> np.ndarray:
    """(n, 14) bool: what is assessed in frames of this view."""
    return cine.assessed & np.array([view in (ALL, own) for own in cine.views])[:, None]


def _pick(comparison: Comparison, view: str, index: int, take: Callable[[ComparedCine], np.ndarray]) -> np.ndarray:
    """What `take` gives (n, 14) for the assessed points of a view and landmark (-1: every one), of all cines."""
    columns = slice(None) if index < 0 else slice(index, index + 1)
    parts = [take(cine)[:, columns][_of_view(cine, view)[:, columns]] for cine in comparison.cines]
    return np.concatenate(parts)


def _there(cine: ComparedCine) -> np.ndarray:
    return np.isfinite(cine.reference[..., 0])


def _found(cine: ComparedCine) -> np.ndarray:
    return np.isfinite(cine.found[..., 0])


def _persons(cine: ComparedCine) -> np.ndarray:
    return np.repeat(np.array(cine.persons, object)[:, None], cine.assessed.shape[1], axis=1)


def landmark_table(comparison: Comparison, within: float) -> Table:
    """Presence and distances of each landmark in each view, of each view, and of all."""
    table = []
    for view, index in _cells(comparison):
        there, found = (_pick(comparison, view, index, take) for take in (_there, _found))
        errors = _pick(comparison, view, index, lambda cine: cine.errors)
        known = errors[np.isfinite(errors)]
        table.append(
            {
                **_named(view, index),
                "there": int(there.sum()),
                "false_negative": int((there & ~found).sum()),
                "absent": int((~there).sum()),
                "false_positive": int((~there & found).sum()),
                **describe(errors),
                "within": float((known <= within).mean()) if len(known) else float("nan"),
            }
        )
    return table


def _named(view: str, index: int) -> dict[str, object]:
    if index < 0:
        return {"view": view, "landmark": ALL, "name": ALL}
    return {"view": view, "landmark": POINTS[index].number, "name": POINTS[index].name}


@dataclass(frozen=True)
class _Image:
    cine: str
    view: str
    missed: int
    invented: int
    view_right: bool
    errors: np.ndarray


def _images(comparison: Comparison, view: str = ALL) -> list[_Image]:
    images = []
    for cine in comparison.cines:
        there, found, errors = _there(cine), _found(cine), cine.errors
        for k, own in enumerate(cine.views):
            if view in (ALL, own) and cine.assessed[k].any():
                mine = cine.assessed[k]
                missed, invented = int((there[k] & ~found[k])[mine].sum()), int((~there[k] & found[k])[mine].sum())
                right = cine.recognised[k] == (own if own in POINT_VIEWS else None)
                images.append(_Image(cine.cine, own, missed, invented, right, errors[k]))
    return images


def detection_row(images: Sequence[_Image], view: str) -> dict[str, object]:
    """Detection as Xue 2021 counts it: an image is right where each landmark is found that is there, and no other.

    rate: share of images that are right, with its Wilson 95 % interval; images with a false negative or positive.
    """
    from scipy import stats

    right = sum(image.missed == 0 and image.invented == 0 for image in images)
    n = len(images)
    interval = stats.binomtest(right, n).proportion_ci(method="wilson") if n else None
    return {
        "view": view,
        "images": n,
        "right": right,
        "rate": right / n if n else float("nan"),
        "rate_low": float(interval.low) if interval else float("nan"),
        "rate_high": float(interval.high) if interval else float("nan"),
        "images_false_negative": sum(image.missed > 0 for image in images),
        "images_false_positive": sum(image.invented > 0 for image in images),
        "view_right": sum(image.view_right for image in images) / n if n else float("nan"),
    }


def strata_table(comparison: Comparison, strata: Mapping[str, Mapping[str, str]]) -> Table:
    """Detection and errors for each value of each grouping; cines without a value are under "not stated"."""
    images = _images(comparison)
    groupings = ["view", *sorted({name for values in strata.values() for name in values} - {"view"})]
    table = []
    for grouping in groupings:
        members: dict[str, list[_Image]] = {}
        for image in images:
            told = image.view if grouping == "view" else strata.get(image.cine, {}).get(grouping) or "not stated"
            members.setdefault(told, []).append(image)
        for value in sorted(members):
            mine = members[value]
            row = detection_row(mine, ALL)
            table.append(
                {
                    "grouping": grouping,
                    "value": value,
                    "cines": len({image.cine for image in mine}),
                    **{name: row[name] for name in ("images", "rate", "rate_low", "rate_high")},
                    "false_negative": sum(image.missed for image in mine),
                    "false_positive": sum(image.invented for image in mine),
                    **describe(np.concatenate([image.errors for image in mine])),
                }
            )
    return table


def reader_table(model: Comparison, second: Comparison | None, readers: Comparison) -> Table:
    """Distances of prediction and second reader to the first, over the points that all have, with a paired t-test:
    positive differences mean that the prediction is further from reader 1 than reader 2 is."""
    both = {
        (cine.cine, int(frame)): errors
        for cine in readers.cines
        for frame, errors in zip(cine.frames, cine.errors, strict=True)
    }
    unknown = np.full(N_POINTS, np.nan)

    def between(cine: ComparedCine) -> np.ndarray:
        return np.stack([both.get((cine.cine, int(frame)), unknown) for frame in cine.frames])

    table = []
    for view, index in _cells(model):
        ours = _pick(model, view, index, lambda cine: cine.errors)
        theirs, persons = _pick(model, view, index, between), _pick(model, view, index, _persons)
        common = np.isfinite(ours) & np.isfinite(theirs)
        test = paired_test(ours, theirs, persons)
        row = {**_named(view, index), "n": test.n}
        row |= _mean_sd("prediction_reader1", ours[common]) | _mean_sd("reader2_reader1", theirs[common])
        if second is not None and (view, index) in set(_cells(second)):
            row |= _mean_sd("prediction_reader2", _pick(second, view, index, lambda cine: cine.errors))
        else:
            row |= _mean_sd("prediction_reader2", np.array([]))
        row |= {"difference": test.difference, "t": test.t, "persons": test.groups, "p": test.p}
        table.append(row | {"p_over_images": test.p_images})
    return table


def _mean_sd(name: str, values: np.ndarray) -> dict[str, float]:
    figures = describe(values)
    return {f"{name}_mean": figures["mean"], f"{name}_sd": figures["sd"]}


def measures_of(points: np.ndarray, view: str) -> dict[str, np.ndarray]:
    """(n, 14, 2) in the image plane -> (n,) lengths in the same unit and angles in degrees, NaN without their points.

    lv_length: apex to the midpoint of the two mitral points (Xue 2021). mitral_, aortic_, tricuspid_diameter: between
    the valve's points. lv_axis_angle: direction of the LV axis in the image. mitral_tilt: from the LV axis to the
    mitral line, 90 where it lies square. In the short axis arvi_angle alone: of the anterior RV insertion about the LV
    centre, in the image (Xue 2021; short_axis.ARVI_DEFINITION).
    """
    if view == SAX:
        return {"arvi_angle": arvi_angle(points[:, -N_SHORT_AXIS:])}
    ends: dict[str, list[int]] = {}
    for landmark in points_in(view):
        if landmark.valve is not None:
            ends.setdefault(landmark.valve, []).append(landmark.index)
    lines = {valve: points[:, pair[1]] - points[:, pair[0]] for valve, pair in ends.items() if len(pair) == 2}
    found = {f"{valve}_diameter": np.linalg.norm(line, axis=1) for valve, line in lines.items()}
    if "mitral" in lines:
        axis = points[:, APEX.index] - points[:, ends["mitral"]].mean(1)
        found["lv_length"] = np.linalg.norm(axis, axis=1)
        found["lv_axis_angle"] = np.degrees(np.arctan2(axis[:, 0], axis[:, 1]))
        direction = np.degrees(np.arctan2(lines["mitral"][:, 0], lines["mitral"][:, 1]))
        found["mitral_tilt"] = np.abs(wrapped(direction - found["lv_axis_angle"]))
    return found


def measure_pairs(comparison: Comparison) -> dict[tuple[str, str], tuple[np.ndarray, np.ndarray, list[str]]]:
    """(measure, view) -> its values by prediction and by reference, in the same images, and whose heart each is.

    longitudinal_shortening: 100 (L_max - L_min) / L_max of LV lengths over a cine's images in which both have it (at
    least five), one value a cine; not of single images, nor of several persons' hearts.
    """
    parts: dict[tuple[str, str], list[tuple[np.ndarray, np.ndarray, list[str]]]] = {}
    for cine in comparison.cines:
        for view in dict.fromkeys(cine.views):
            if view not in POINT_VIEWS:
                continue
            mine = np.array([own == view for own in cine.views])
            persons = [person for person, use in zip(cine.persons, mine, strict=True) if use]
            shown = cine.assessed[mine][..., None]
            one, two = (
                measures_of(np.where(shown, points[mine], np.nan), view) for points in (cine.found, cine.reference)
            )
            for name in one:
                a, b = one[name], two[name]
                both = np.isfinite(a) & np.isfinite(b)
                if name.endswith("_angle"):  # the same angle may be written 360 degrees apart
                    a = b + wrapped(a - b)
                if both.any():
                    whose = [person for person, use in zip(persons, both, strict=True) if use]
                    parts.setdefault((name, view), []).append((a[both], b[both], whose))
                if name == "lv_length" and both.sum() >= 5 and not cine.stills and len(set(persons)) == 1:
                    shortened = [np.array([100 * np.ptp(x[both]) / x[both].max()]) for x in (a, b)]
                    parts.setdefault(("longitudinal_shortening", view), []).append((*shortened, persons[:1]))
    return {
        key: (np.concatenate([a for a, _, _ in found]), np.concatenate([b for _, b, _ in found]),
              [person for _, _, whose in found for person in whose])
        for key, found in parts.items()
    }  # fmt: skip


def measure_unit(name: str, unit: str) -> str:
    """The unit of a measure, where distances are in `unit`."""
    return "degrees" if name.endswith(("angle", "tilt")) else "%" if name == "longitudinal_shortening" else unit


def measure_table(comparison: Comparison, pair: str) -> Table:
    """Bland–Altman of every measure in every view."""
    table = []
    for (name, view), (a, b, persons) in sorted(measure_pairs(comparison).items()):
        figures = asdict(bland_altman(a, b, persons))
        figures["persons"] = figures.pop("groups")
        named = {"pair": pair, "measure": name, "view": view, "unit": measure_unit(name, comparison.unit)}
        table.append(named | flat(figures))
    return table


def flat(row: Mapping[str, object]) -> dict[str, object]:
    """A row with each interval in two columns, NAME_low and NAME_high."""
    cells: dict[str, object] = {}
    for key, value in row.items():
        cells |= {f"{key}_low": value[0], f"{key}_high": value[1]} if isinstance(value, tuple) else {key: value}
    return cells

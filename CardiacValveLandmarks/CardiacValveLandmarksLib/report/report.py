"""The page, section by section."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .. import __version__
from ..cine import Cine
from ..files import atomic_open
from ..landmarks import by_number
from ..measure_builder import Measure
from ..study import Study, StudyView
from ..study_names import without_names
from . import charts, pictures, words
from .html import Html, join, page, picture, tag

_SVG = "image/svg+xml"
#: at the top of the page
_HEADLINES = ("mapse_mean", "mapse_mean_4ch", "tapse", "lv_length_ed", "longitudinal_shortening", "mitral_area_ed")
_GROUPS = (
    ("Excursion", ("mapse", "tapse", "excursion")),
    ("Velocities", ("s_", "e_", "a_")),
    ("LV length and shortening", ("lv_length", "longitudinal")),
    ("Diameters", ("mitral_2ch", "mitral_3ch", "mitral_4ch", "tricuspid_4ch", "aortic_3ch")),
    ("Rings", ("mitral_", "tricuspid_", "aortic_")),
)


@dataclass(frozen=True)
class Origin:
    """Where the landmarks come from, as the page says it.

    title: of the model. synthetic_only: it was trained on a synthetic heart only. details: id, checksum, engine, ….
    doubts: what reading and detection had to say, in plain words.
    """

    title: str = ""
    synthetic_only: bool = False
    details: Mapping[str, str] | None = None
    doubts: Sequence[str] = ()


def write_report(
    study: Study,
    path: str | os.PathLike,
    cines: Mapping[str, Cine] | None = None,
    origin: Origin | None = None,
    identify: bool = False,
) -> None:
    """Write the page, whole or not at all; an existing file is replaced. Arguments as `report_html`."""
    content = report_html(study, cines, origin, identify)
    with atomic_open(path) as stream:
        stream.write(content)


def report_html(
    study: Study, cines: Mapping[str, Cine] | None = None, origin: Origin | None = None, identify: bool = False
) -> str:
    """The page as text, everything embedded.

    cines: view -> its images, for the pictures; without them the page has none and says so. identify: names and
    sources of the cines are shown.
    """
    origin = origin or Origin()
    if not identify:
        study = without_names(study)
    body = join(
        (
            _head(study, origin),
            _doubts(study, origin),
            _headlines(study),
            _views(study, cines or {}),
            _curves(study),
            _rings(study),
            _measures(study),
            _fits(study),
            _method(study, origin, identify),
        )
    )
    return page("Valve motion from long-axis cine MR", body)


def _head(study: Study, origin: Origin) -> Html:
    views = ", ".join(v.view for v in study.views) or "no view"
    rr = f"RR {study.rr_ms:.0f} ms" if np.isfinite(study.rr_ms) else "RR unknown"
    parts = [tag("h1", "Valve motion from long-axis cine MR"), tag("p", f"{views} · {rr}", class_="soft")]
    if origin.synthetic_only:
        parts.append(
            tag(
                "p",
                f"Landmarks by “{origin.title}”, which was trained on a synthetic heart only. ",
                "Check every landmark in the pictures before using a number.",
                class_="strong",
            )
        )
    elif origin.title:
        parts.append(tag("p", f"Landmarks by “{origin.title}”."))
    return join(parts)


def _list(items: Sequence[str]) -> Html:
    return tag("ul", *(tag("li", item) for item in items))


def _doubts(study: Study, origin: Origin) -> Html:
    found = words.doubts(study, origin.doubts)
    return tag(
        "section",
        tag("h2", "Doubts and assumptions"),
        tag(
            "div",
            tag("b", "Of this study"),
            _list(found) if found else tag("p", "None was found by the checks; that is no proof."),
            tag("b", "Of the method"),
            _list(words.assumptions(study)),
            class_="doubts",
        ),
    )


def _headlines(study: Study) -> Html:
    shown = [m for key in _HEADLINES if (m := study.measure(key)) is not None and np.isfinite(m.value)]
    if shown and shown[0].key == "mapse_mean":
        shown = [m for m in shown if m.key != "mapse_mean_4ch"]
    cards = [
        tag("div", tag("small", m.name), tag("b", f"{words.quantity(m.value, m.uncertainty)} {m.unit}"), class_="card")
        for m in shown
    ]
    return tag("div", *cards, class_="cards")


def _views(study: Study, cines: Mapping[str, Cine]) -> Html:
    parts: list[Html] = [tag("h2", "Views")]
    for view in study.views:
        parts.append(tag("h3", f"{view.view}: {_told(view)}, {view.n_frames} frames"))
        cine = cines.get(view.view)
        if cine is None:
            parts.append(tag("p", "The images are not at hand, so there are no pictures.", class_="soft"))
            continue
        figures = []
        for name, frame in pictures.moments(study, view):
            caption = f"{view.view} {name}, frame {frame + 1} of {view.n_frames}"
            data = pictures.still(study, view, cine, frame, f"{view.view} {name}")
            figures.append(tag("figure", picture(data, "image/png", caption), tag("figcaption", caption)))
        caption = f"{view.view}, the whole beat at half speed"
        data = pictures.moving(view, cine)
        figures.append(tag("figure", picture(data, "image/gif", caption), tag("figcaption", caption)))
        parts.append(tag("div", *figures, class_="row views"))
    numbers = sorted({t.landmark.number for t in study.trajectories})
    legend = "; ".join(f"{n} {by_number(n).name}" for n in numbers)
    parts.append(
        tag(
            "p",
            f"Points: {legend}. Hollow: the model is not sure; white ring: placed by hand. Thin lines: the fitted path "
            "over the beat. Letters: the patient's left, right, anterior, posterior, head and feet.",
            class_="soft",
        )
    )
    return tag("section", *parts)


def _told(view: StudyView) -> str:
    if view.stated:
        return "the view was stated"
    if view.recognised is None:
        return "the view was not recognised"
    if not np.isfinite(view.recognised_confidence):
        return "the view was given with the landmarks"
    return f"recognised with confidence {view.recognised_confidence:.2f}"


def _chart(data: bytes | None, alt: str, caption: str = "") -> Html:
    if data is None:
        return tag("p", f"No {alt}: the study does not have what they need.", class_="soft")
    return tag("figure", picture(data, _SVG, alt), tag("figcaption", caption) if caption else "")


def _curves(study: Study) -> Html:
    return tag(
        "section",
        tag("h2", "Excursion over the beat"),
        _chart(charts.excursion_chart(study), "excursion curves", "Towards the apex positive; band: ± 1 SD."),
        tag("h2", "Velocity over the beat"),
        _chart(charts.velocity_chart(study), "velocity curves", "Of the fitted paths, in each view's own beat."),
        tag("h2", "Sizes over the beat"),
        _chart(charts.size_chart(study), "size curves"),
    )


def _rings(study: Study) -> Html:
    parts = [tag("h2", "Rings"), _chart(charts.ring_chart(study), "rings", "Thin lines: eight phases of the beat.")]
    if study.annuli:
        rows = [
            tag(
                "tr",
                tag("td", ring.valve),
                tag("td", "circle on two points, assumed" if ring.assumed else ring.method),
                tag("td", ", ".join(map(str, ring.landmarks))),
                tag("td", words.quantity(float(np.sqrt(np.mean(ring.residual_mm**2)))), class_="number"),
                tag("td", "–" if ring.assumed else f"{ring.condition:.1f}", class_="number"),
                tag("td", "–" if ring.assumed else f"{ring.largest_gap_deg:.0f}°", class_="number"),
                tag("td", words.quantity(float(ring.node_sd_mm.mean())), class_="number"),
                tag("td", "; ".join(ring.notes)),
            )
            for ring in study.annuli
        ]
        head = ("ring", "method", "landmarks", "residual, mm", "condition", "largest gap", "SD of nodes, mm", "notes")
        parts.append(_table(head, rows))
    parts += [tag("p", f"No {r.valve} ring: {r.reason.rstrip('.')}.") for r in study.refused]
    return tag("section", *parts)


def _table(head: Sequence[str], rows: Sequence[Html]) -> Html:
    return tag(
        "table",
        tag("thead", tag("tr", *(tag("th", name, scope="col") for name in head))),
        tag("tbody", *rows),
    )


def _group(measure: Measure) -> str:
    return next((name for name, stems in _GROUPS if measure.key.startswith(stems)), "Other")


def _measures(study: Study) -> Html:
    if not study.measures:
        return tag("section", tag("h2", "Measures"), tag("p", "Nothing could be measured; see the doubts above."))
    rows = []
    for group in (*(name for name, _ in _GROUPS), "Other"):
        members = [m for m in study.measures if _group(m) == group]
        if members:
            rows.append(tag("tr", tag("td", group, colspan=5), class_="group"))
            rows += [_measure(m) for m in members]
    head = ("measure", "value ± SD", "unit", "reference", "how it is measured")
    return tag("section", tag("h2", "Measures"), _table(head, rows))


def _measure(m: Measure) -> Html:
    flags = [
        name for name, on in (("assumed shape", m.assumed), ("approximate", m.approximate and not m.assumed)) if on
    ]
    points = ("landmarks " if len(m.landmarks) > 1 else "landmark ") + ", ".join(map(str, m.landmarks))
    by_hand = m.provenance.get("manual", 0)
    if by_hand:
        points += f" ({by_hand} of {sum(m.provenance.values())} points placed by hand)"
    how = "; ".join(part for part in (m.definition, points, m.note) if part)
    return tag(
        "tr",
        tag("td", m.name, *(join((" ", tag("span", flag, class_="flag"))) for flag in flags)),
        tag("td", words.quantity(m.value, m.uncertainty), class_="number"),
        tag("td", m.unit),
        tag("td", m.reference or "–"),
        tag("td", tag("small", how)),
    )


def _fits(study: Study) -> Html:
    parts = [tag("h2", "Trajectories: points and fitted paths")]
    for view in study.views:
        parts.append(tag("h3", view.view))
        parts.append(
            _chart(
                charts.fit_chart(study, view),
                "paths",
                "Dots: points of the frames; red crosses: points the fit trusts little; down and right: in the image.",
            )
        )
    flagged = {
        f"{c.view} {by_number(k + 1).name}": int(c.flagged[:, k].sum())
        for c in study.motion_checks
        for k in np.flatnonzero(c.flagged.any(0))
    }
    if study.motion_checks:
        limit = study.motion_checks[0].limit_mm
        found = "; ".join(f"{name} in {n} frame{'s' if n > 1 else ''}" for name, n in flagged.items()) or "nowhere"
        parts.append(tag("p", f"Points and image motion disagree by more than {limit:g} mm: {found}."))
    return tag("section", *parts)


def _method(study: Study, origin: Origin, identify: bool) -> Html:
    facts: dict[str, str] = dict(origin.details or {})
    facts["Points"] = words.provenance(study)
    known = np.isfinite([study.ed_phase, study.es_phase]).all()
    facts["End-diastole, end-systole"] = (
        f"{100 * study.ed_phase:.0f} % and {100 * study.es_phase:.0f} % of the common beat" if known else "not found"
    )
    for view in study.views:
        rr = f"RR {view.rr_ms:.0f} ms ({view.rr_source})" if np.isfinite(view.rr_ms) else "RR unknown"
        named = f"; {view.name}, {view.source}" if identify else ""
        facts[view.view] = f"{view.n_frames} frames, {rr}{named}"
    for s in study.shifts:
        (down, right), (above, beside) = s.shift_mm, s.interval_mm
        facts[f"Shift of the {s.view}"] = (
            f"{down:+.1f} ± {above:.1f} mm down, {right:+.1f} ± {beside:.1f} mm right (95 % intervals; from "
            f"{s.evidence}); " + ("applied" if study.shifts_applied else "not applied")
        )
    s = study.settings
    facts["Settings"] = (
        f"alignment {s.alignment}, excursions {s.excursion}, ring method {s.ring_method}, {s.nodes} nodes, "
        f"{len(study.phases)} phases, order {'chosen' if s.order is None else s.order}, {s.samples} draws, "
        f"seed {s.seed}"
    )
    facts["Written by"] = f"CardiacValveLandmarks {__version__}"
    listed = tag("dl", *(join((tag("dt", key), tag("dd", value))) for key, value in facts.items()))
    chosen = [
        tag(
            "tr",
            tag("td", c.view or "–"),
            tag("td", c.name),
            tag("td", "chosen" if c.chosen else "not chosen"),
            tag("td", tag("small", c.reason)),
        )
        for c in study.candidates
    ]
    table = _table(("view", "cine", "", "why"), chosen) if chosen else ""
    return tag("section", tag("h2", "How it was made"), listed, tag("h3", "Which cine is which view"), table)

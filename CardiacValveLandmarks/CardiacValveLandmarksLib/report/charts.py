"""Charts of a study as SVG: curves over the beat from end-diastole, fits against points, rings from two sides."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np

from ..annulus import Annulus
from ..landmarks import VALVE_COLOURS
from ..measure_builder import Curve
from ..study import Study, StudyView

#: the lines of one panel are told apart by their dashes as well as by their labels
_DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
_INK, _SOFT, _GRID = "#1c2530", "#5b6773", "#e6eaee"
#: panels: title, [(curve key, label)], valve
_EXCURSIONS = (
    ("Mitral, 4CH", (("septal", "septal"), ("lateral", "lateral")), "mitral"),
    ("Mitral, 2CH", (("anterior", "anterior"), ("inferior", "inferior")), "mitral"),
    ("Mitral, 3CH", (("anteroseptal", "anteroseptal"), ("inferolateral", "inferolateral")), "mitral"),
    ("Tricuspid, 4CH", (("tricuspid", "free wall"),), "tricuspid"),
)
_MITRAL_CHORDS = (("mitral_2ch_diameter", "2CH"), ("mitral_3ch_diameter", "3CH"), ("mitral_4ch_diameter", "4CH"))
_OTHER_CHORDS = (("tricuspid_4ch_diameter", "tricuspid"), ("aortic_3ch_diameter", "aortic"))
_SIZES = (
    ("Mitral diameters", _MITRAL_CHORDS, "mitral"),
    ("Tricuspid and aortic diameter", _OTHER_CHORDS, None),
    ("Mitral ring area (approximate)", (("mitral_area", ""),), "mitral"),
    ("LV length", (("lv_length", ""),), None),
)


def _axes(width: float, height: float, rows: int, columns: int):
    """A figure (inches) and its axes (rows * columns,), with fixed margins: matplotlib's own layout is far slower."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    inner_width, inner_height = (width - 0.75) / columns, (height - 0.3) / rows
    grid = figure.subplots(
        rows,
        columns,
        squeeze=False,
        gridspec_kw={
            "left": 0.6 / width,
            "right": 1 - 0.15 / width,
            "bottom": 0.5 / height,
            "top": 1 - 0.4 / height,
            "wspace": 0.6 / (inner_width - 0.6),
            "hspace": 0.85 / (inner_height - 0.85),
        },
    )
    return figure, grid.ravel()


def _svg(figure) -> bytes:
    import matplotlib as mpl

    # text as text: smaller, searchable, and in the reader's font; no date, so that equal studies give equal pages
    stream = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "cvl"}):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return stream.getvalue()


def _style(axes, title: str, unit: str) -> None:
    axes.set_title(title, fontsize=10, loc="left", color=_INK)
    axes.set_ylabel(unit, fontsize=9, color=_SOFT)
    axes.tick_params(labelsize=8, colors=_SOFT, length=3)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_GRID)


def _from_ed(study: Study, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(P,) at the study's phases -> times from ED to ED and values, closed. Times in ms, or in % of the beat."""
    start = study.ed_phase if np.isfinite(study.ed_phase) else 0.0
    since = (study.phases - start) % 1.0
    order = np.argsort(since)
    # the two ends fall between phases: both take the linear value there
    ends = np.interp([0.0], since[order], values[order], period=1.0)
    x = np.concatenate([[0.0], since[order], [1.0]])
    return x * _span(study), np.concatenate([ends, values[order], ends])


def _span(study: Study) -> float:
    return study.rr_ms if np.isfinite(study.rr_ms) else 100.0


def _mark_ed_es(study: Study, axes, label: bool) -> None:
    span = _span(study)
    axes.set_xlim(0, span)
    axes.set_xlabel("ms from ED" if np.isfinite(study.rr_ms) else "% of the beat from ED", fontsize=9, color=_SOFT)
    if not np.isfinite([study.ed_phase, study.es_phase]).all():
        return
    es = ((study.es_phase - study.ed_phase) % 1.0) * span
    for x, name in ((0.0, "ED"), (es, "ES"), (span, "ED")):
        axes.axvline(x, color=_SOFT, linewidth=1, linestyle=(0, (2, 2)))
        if label:
            axes.annotate(
                name, (x, 1), xycoords=("data", "axes fraction"), fontsize=8, color=_SOFT, ha="center", va="bottom"
            )


def _panel(study: Study, axes, title: str, curves: Sequence[tuple[Curve, str, str]]) -> None:
    """curves: (curve, label, colour)."""
    _style(axes, "", curves[0][0].unit)
    axes.set_title(title, fontsize=10, loc="left", color=_INK, pad=16)
    for k, (curve, label, colour) in enumerate(curves):
        x, y = _from_ed(study, curve.values)
        axes.plot(x, y, color=colour, linestyle=_DASHES[k % len(_DASHES)], linewidth=1.8, label=label or None)
        _, sd = _from_ed(study, curve.sd)
        if np.isfinite(sd).all():
            axes.fill_between(x, y - sd, y + sd, color=colour, alpha=0.16, linewidth=0)
    _mark_ed_es(study, axes, label=True)
    if any(label for _, label, _ in curves):
        axes.legend(fontsize=8, frameon=False, loc="best", handlelength=2.8)


def _curve_panels(study: Study, panels, prefix: str) -> bytes | None:
    by_key = {curve.key: curve for curve in study.curves}
    shown = []
    for title, keys, valve in panels:
        found = []
        for key, label in keys:
            curve = by_key.get(prefix + key)
            if curve is not None and np.isfinite(curve.values).any():
                own = valve if valve else next((v for v in ("tricuspid", "aortic") if v in key), None)
                found.append((curve, label, VALVE_COLOURS[own] if own else _INK))
        if found:
            shown.append((title, found))
    if not shown:
        return None
    rows = (len(shown) + 1) // 2
    figure, grid = _axes(11.2, 3.0 * rows, rows, 2)
    for axes, (title, curves) in zip(grid, shown, strict=False):
        _panel(study, axes, title, curves)
    for axes in grid[len(shown) :]:
        axes.set_visible(False)
    return _svg(figure)


def excursion_chart(study: Study) -> bytes | None:
    """SVG of the excursions with their band; None where there are none."""
    return _curve_panels(study, _EXCURSIONS, "excursion_")


def velocity_chart(study: Study) -> bytes | None:
    """SVG of the excursions' velocities; None where there are none (also where the RR is unknown)."""
    return _curve_panels(study, _EXCURSIONS, "velocity_")


def size_chart(study: Study) -> bytes | None:
    """SVG of diameters, ring area and LV length; None where there are none."""
    return _curve_panels(study, _SIZES, "")


def fit_chart(study: Study, view: StudyView) -> bytes | None:
    """SVG of one view's points against their fitted paths, each image axis apart; None without a path."""
    paths = [t for t in study.trajectories if t.view == view.view]
    if not paths:
        return None
    columns = min(4, len(paths))
    rows = -(-len(paths) // columns)
    figure, grid = _axes(11.2, 2.4 * rows, rows, columns)
    directions = view.geometry.directions
    fine = np.linspace(0, 1, 201)
    for axes, path in zip(grid, paths, strict=False):
        middle = path.evaluate(study.phases).mean(0)
        colour = VALVE_COLOURS[path.landmark.valve] if path.landmark.valve else _INK
        _style(axes, f"{path.landmark.number} {path.landmark.name}", "mm")
        for k, (direction, label) in enumerate(zip(directions, ("down", "right"), strict=True)):
            # points are on the view's own phase: the path is drawn there as well
            own = np.argsort(path.warp(fine) % 1.0)
            line, band = (path.evaluate(fine) - middle) @ direction, path.band(fine)
            x = (path.warp(fine) % 1.0)[own]
            axes.plot(x, line[own], color=colour, linestyle=_DASHES[k], linewidth=1.4, label=label)
            axes.fill_between(x, (line - band)[own], (line + band)[own], color=colour, alpha=0.16, linewidth=0)
            points = (path.points - middle) @ direction
            doubtful = path.weights < 0.3 * np.median(path.weights[path.weights > 0]) if path.weights.any() else []
            axes.plot(path.phases, points, ".", color=_INK, markersize=3)
            axes.plot(path.phases[doubtful], points[doubtful], "x", color="#c0392b", markersize=5)
        axes.set_xlim(0, 1)
        axes.set_xlabel("phase of the view", fontsize=9, color=_SOFT)
    grid[0].legend(fontsize=8, frameon=False, loc="best", handlelength=2.8)
    for axes in grid[len(paths) :]:
        axes.set_visible(False)
    return _svg(figure)


def atrial_view(study: Study) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(3,) unit vectors, LPS: right and up of a picture of the rings seen from the atria, and the direction looked in.

    Looking from behind towards the apex, the patient's right is to the right.
    """
    ring = study.annulus("mitral") or study.annuli[0]
    apexes = [t.evaluate(study.phases).mean(0) for t in study.trajectories if t.landmark.valve is None]
    if apexes:
        towards = np.mean(apexes, axis=0) - ring.nodes.mean((0, 1))
    else:
        centred = ring.nodes[0] - ring.nodes[0].mean(0)
        # counter-clockwise seen from the atrium: the area vector points to the atrium
        towards = -np.cross(centred, np.roll(centred, -1, axis=0)).sum(0)
    towards = towards / np.linalg.norm(towards)
    right = np.array([-1.0, 0.0, 0.0]) + towards[0] * towards
    right = right / np.linalg.norm(right)
    return right, np.cross(right, towards), towards


def _draw_ring(study: Study, axes, ring: Annulus, origin: np.ndarray, right: np.ndarray, up: np.ndarray) -> None:
    """One ring projected on two directions: phases faint, ED solid and ES dashed, node 1, and its landmarks at ED."""
    colour = VALVE_COLOURS[ring.valve]

    def draw(phase: float, **style) -> None:
        nodes = ring.evaluate(phase) - origin
        closed = np.vstack([nodes, nodes[:1]])
        axes.plot(closed @ right, closed @ up, color=colour, **style)

    for phase in np.arange(8) / 8:
        draw(phase, linewidth=0.7, alpha=0.3)
    for phase, dashes in ((study.ed_phase, "-"), (study.es_phase, _DASHES[1])):
        draw(phase, linewidth=2, linestyle=dashes)
    first = ring.evaluate(study.ed_phase)[0] - origin
    axes.plot([first @ right], [first @ up], "o", color=colour, markersize=5)
    for path in study.trajectories:
        if path.landmark.number in ring.landmarks:
            point = path.evaluate(study.ed_phase) - origin
            axes.plot([point @ right], [point @ up], "x", color=_INK, markersize=4)


def ring_chart(study: Study) -> bytes | None:
    """SVG of all rings from the atria and from the side; None where there is none (rings need an end-diastole)."""
    if not study.annuli:
        return None
    right, upwards, towards = atrial_view(study)
    figure, both = _axes(11.2, 5.0, 1, 2)
    views = (("from the atria, towards the apex", upwards), ("from the side, apex down", -towards))
    origin = study.annuli[0].nodes.mean((0, 1))
    for axes, (title, up) in zip(both, views, strict=True):
        _style(axes, f"Seen {title}", "mm")
        for ring in study.annuli:
            _draw_ring(study, axes, ring, origin, right, up)
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_xlabel("mm towards the patient's right", fontsize=9, color=_SOFT)
    for ring in study.annuli:
        label = f"{ring.valve}{' (assumed circle)' if ring.assumed else ''}"
        both[0].plot([], [], color=VALVE_COLOURS[ring.valve], linewidth=2, label=label)
    both[0].plot([], [], color=_SOFT, label="ED")
    both[0].plot([], [], color=_SOFT, linestyle=_DASHES[1], label="ES")
    both[0].plot([], [], "o", color=_SOFT, markersize=5, label="node 1")
    both[0].plot([], [], "x", color=_INK, markersize=4, label="landmark at ED")
    both[0].legend(fontsize=8, frameon=False, loc="best")
    return _svg(figure)

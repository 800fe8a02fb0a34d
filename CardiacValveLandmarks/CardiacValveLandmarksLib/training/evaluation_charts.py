"""Pictures of an evaluation, as PNG: errors by landmark, Bland–Altman, reliability. Needs matplotlib, imported late."""

from __future__ import annotations

import io

import numpy as np

from ..landmarks import VALVE_COLOURS
from .agreement import bland_altman
from .evaluation import MODEL, MODEL_SECOND, READERS, Evaluation, measure_pairs, measure_unit
from .points import POINTS

_INK, _SOFT, _GRID = "#1c2530", "#5b6773", "#e6eaee"
#: a comparison's colour and how it is spoken of
_PAIRS = {
    MODEL: ("#0072b2", "prediction and reader 1"),
    MODEL_SECOND: ("#cc79a7", "prediction and reader 2"),
    READERS: ("#8a8f98", "reader 2 and reader 1"),
}
_COLUMNS = 3
#: more measures than this no page shows; the rest is in measures.csv
_MOST_MEASURES = 12


def _png(figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110, metadata={"Software": None})
    return stream.getvalue()


def _style(axes, title: str = "") -> None:
    axes.set_title(title, fontsize=10, loc="left", color=_INK)
    axes.tick_params(labelsize=8, colors=_SOFT, length=3)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def error_picture(evaluation: Evaluation) -> bytes | None:
    """Box plots of the distances of each landmark, a panel a view, every comparison in its colour: box 25 to 75 %,
    whiskers 5 to 95 %, beyond them single points, a white dot for the mean. None without a distance."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    groups: dict[str, dict[int, dict[str, np.ndarray]]] = {}
    for name, pair in evaluation.pairs.items():
        for cine in pair.cines:
            for errors, view in zip(cine.errors, cine.views, strict=True):
                for index in np.flatnonzero(np.isfinite(errors)):
                    cell = groups.setdefault(view, {}).setdefault(int(index), {})
                    cell.setdefault(name, []).append(errors[index])
    if not groups:
        return None
    views = sorted(groups)
    width = 1.2 + sum(0.55 + 0.75 * len(groups[view]) for view in views)
    figure = Figure(figsize=(max(6.0, width), 4.2), layout="constrained")
    grid = figure.subplots(1, len(views), sharey=True, squeeze=False, width_ratios=[len(groups[v]) for v in views])[0]
    names = list(evaluation.pairs)
    step = 0.8 / len(names)
    for axes, view in zip(grid, views, strict=True):
        order = sorted(groups[view])
        _style(axes, view)
        for k, name in enumerate(names):
            places = [at for at, index in enumerate(order) if name in groups[view][index]]
            values = [groups[view][order[at]][name] for at in places]
            if not values:
                continue
            colour = _PAIRS[name][0]
            drawn = axes.boxplot(
                values, positions=[at + (k - (len(names) - 1) / 2) * step for at in places], widths=step * 0.8,
                whis=(5, 95), showmeans=True, patch_artist=True, manage_ticks=False,
                flierprops={"marker": ".", "markersize": 3, "markerfacecolor": colour, "markeredgecolor": colour},
                meanprops={"marker": "o", "markersize": 4, "markerfacecolor": "white", "markeredgecolor": _INK},
                medianprops={"color": _INK, "linewidth": 1.4},
            )  # fmt: skip
            for box in drawn["boxes"]:
                box.set(facecolor=colour, alpha=0.75, edgecolor=_INK, linewidth=0.8)
        labels = [f"{POINTS[index].number} {POINTS[index].short}" for index in order]
        axes.set_xticks(range(len(order)), labels, rotation=40, ha="right", fontsize=8)
        axes.axhline(evaluation.within, color=_SOFT, linewidth=1, linestyle=(0, (3, 3)))
        axes.set_xlim(-0.6, len(order) - 0.4)
    grid[0].set_ylim(bottom=0)
    grid[0].set_ylabel(f"distance, {evaluation.unit}", fontsize=9, color=_SOFT)
    handles = [Patch(facecolor=_PAIRS[name][0], alpha=0.75, label=_PAIRS[name][1]) for name in names]
    figure.legend(handles=handles, fontsize=8, frameon=False, loc="outside lower center", ncols=len(names))
    return _png(figure)


def bland_altman_picture(evaluation: Evaluation) -> bytes | None:
    """A panel for each measure and view: differences against means, bias and limits of agreement with their 95 %
    confidence bands where there are several persons. None without a measure that has two values."""
    from matplotlib.figure import Figure

    pairs = {name: measure_pairs(pair) for name, pair in evaluation.pairs.items()}
    several = {
        name: {key: values for key, values in found.items() if len(values[0]) > 1} for name, found in pairs.items()
    }
    keys = sorted({key for found in several.values() for key in found}, key=_by_interest)[:_MOST_MEASURES]
    if not keys:
        return None
    # with one comparison the measures fill the rows, with several each measure has a row of its own
    cells = [(key, name, found[key]) if key in found else None for key in keys for name, found in several.items()]
    columns = len(pairs) if len(pairs) > 1 else min(_COLUMNS, len(cells))
    rows = -(-len(cells) // columns)
    width, height = 3.7 * columns, 2.7 * rows
    # fixed margins (inches): matplotlib's own layout takes longer than all the rest
    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(0.65 / width, 0.5 / height, 1 - 0.1 / width, 1 - 0.3 / height, 0.22, 0.38)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, cell in zip(grid, cells + [None] * (len(grid) - len(cells)), strict=True):
        if cell is None:
            axes.set_axis_off()
            continue
        (measure, view), name, (a, b, persons) = cell
        unit, colour = measure_unit(measure, evaluation.unit), _PAIRS[name][0]
        figures = bland_altman(a, b, persons)
        words = measure.replace("_", " ").replace("lv ", "LV ").replace("arvi", "A-RVI")
        _style(axes, f"{words[0].upper()}{words[1:]}, {view}")
        axes.plot((a + b) / 2, a - b, ".", color=colour, markersize=5, alpha=0.7)
        lines = (
            (figures.bias, figures.bias_ci, "-"),
            (figures.lower, figures.lower_ci, (0, (5, 2))),
            (figures.upper, figures.upper_ci, (0, (5, 2))),
        )
        for value, (low, high), dashes in lines:
            axes.axhline(value, color=_INK, linewidth=1.1, linestyle=dashes)
            if np.isfinite([low, high]).all():
                axes.axhspan(low, high, color=_INK, alpha=0.08, linewidth=0)
            axes.annotate(
                f"{value:+.1f}", (1, value), xycoords=("axes fraction", "data"), fontsize=8, color=_INK,
                ha="right", va="bottom", bbox={"facecolor": "white", "alpha": 0.6, "edgecolor": "none", "pad": 0.5},
            )  # fmt: skip
        # room for the upper figure
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + 0.08 * (high - low))
        who = "1 person" if figures.groups == 1 else f"{figures.groups} persons"
        axes.set_xlabel(f"mean, {unit} ({figures.n} of {who})", fontsize=8, color=_SOFT)
        axes.set_ylabel(f"{name}, {unit}", fontsize=7.5, color=_SOFT)
    return _png(figure)


def _by_interest(key: tuple[str, str]) -> tuple[int, str, str]:
    order = ("lv_length", "longitudinal_shortening", "mitral_diameter", "mitral_tilt", "lv_axis_angle")
    return order.index(key[0]) if key[0] in order else len(order), *key


def reliability_picture(evaluation: Evaluation) -> bytes | None:
    """Left: share of points that are near against the confidence they were given, with Wilson 95 % intervals, and how
    many points each bin has; a calibrated model lies on the diagonal. Right: distance against confidence. None
    without a calibration."""
    from matplotlib.figure import Figure

    told = evaluation.calibration
    if told is None:
        return None
    figure = Figure(figsize=(9.0, 4.3), layout="constrained")
    left, right = figure.subplots(1, 2)
    _style(left, f"{told.n} points, expected calibration error {told.ece:.3f}")
    bins = [part for part in told.bins if part.n]
    left.plot([0, 1], [0, 1], color=_SOFT, linewidth=1, linestyle=(0, (3, 3)))
    counts = np.array([part.n for part in bins])
    left.bar(
        [(part.low + part.high) / 2 for part in bins], 0.2 * counts / counts.max(),
        width=[part.high - part.low for part in bins], color=_GRID, edgecolor="white",
    )  # fmt: skip
    observed = np.array([part.observed for part in bins])
    low, high = np.array([part.observed_ci for part in bins]).T
    left.errorbar(
        [part.stated for part in bins], observed, yerr=[observed - low, high - observed], fmt="o-", markersize=5,
        color=_PAIRS[MODEL][0], ecolor=_PAIRS[MODEL][0], elinewidth=1, linewidth=1.2, capsize=2,
    )  # fmt: skip
    for part in bins:
        left.annotate(
            str(part.n), ((part.low + part.high) / 2, 0), fontsize=7, color=_SOFT, ha="center", va="bottom",
            xytext=(0, 1), textcoords="offset points",
        )  # fmt: skip
    left.set(xlim=(0, 1), ylim=(0, 1.02))
    left.set_xlabel("stated confidence", fontsize=9, color=_SOFT)
    left.set_ylabel(f"share within {told.within:g} {evaluation.unit}", fontsize=9, color=_SOFT)

    _style(right, f"rank correlation of distance and doubt {told.spearman:.2f}")
    for valve, colour in VALVE_COLOURS.items():
        indices = [landmark.index for landmark in POINTS if landmark.valve == valve]
        pairs = [
            np.column_stack([cine.confidence[:, indices].ravel(), cine.errors[:, indices].ravel()])
            for cine in evaluation.pairs[MODEL].cines
        ]
        points = np.concatenate(pairs)
        points = points[np.isfinite(points).all(1)]
        if len(points):
            right.plot(
                *points.T, ".", color=colour, markersize=5, alpha=0.8, label=valve or "apex", markeredgecolor="#777",
                markeredgewidth=0.3,
            )  # fmt: skip
    right.axhline(told.within, color=_SOFT, linewidth=1, linestyle=(0, (3, 3)))
    right.set_xlim(0, 1)
    right.set_ylim(bottom=0)
    right.set_xlabel("stated confidence", fontsize=9, color=_SOFT)
    right.set_ylabel(f"distance, {evaluation.unit}", fontsize=9, color=_SOFT)
    right.legend(fontsize=8, frameon=False, loc="upper center", ncols=2)
    return _png(figure)

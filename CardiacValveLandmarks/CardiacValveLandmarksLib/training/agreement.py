"""How well two readings agree: the statistics of the papers, on plain arrays. Needs scipy.

Frames of one cine, and cines of one person, are not independent. Where a group is given, tests and confidence
intervals take the groups as the independent observations; the figures "over images", as the papers print them, stand
beside, and are too sure of themselves when there are several images a person.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_NAN = float("nan")


def describe(values: np.ndarray) -> dict[str, float]:
    """Count, mean, standard deviation (n - 1), quantiles of finite values. NaN where there are too few."""
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    names = ("q25", "median", "q75", "p90", "p95", "max")
    quantiles = np.quantile(values, (0.25, 0.5, 0.75, 0.9, 0.95, 1)) if len(values) else np.full(len(names), _NAN)
    return {
        "n": len(values),
        "mean": float(values.mean()) if len(values) else _NAN,
        "sd": float(values.std(ddof=1)) if len(values) > 1 else _NAN,
        **{name: float(value) for name, value in zip(names, quantiles, strict=True)},
    }


def group_means(values: np.ndarray, groups: Sequence[object]) -> np.ndarray:
    """The mean of each group, in the order of first appearance."""
    members: dict[object, list[float]] = {}
    for value, group in zip(values, groups, strict=True):
        members.setdefault(group, []).append(float(value))
    return np.array([np.mean(group) for group in members.values()])


@dataclass(frozen=True)
class PairedTest:
    """Paired two-sided t-test of a against b, over the means of `groups` independent groups. difference: mean of these
    means of a - b. p_images: over all pairs, as in the papers. NaN with fewer than two, or without any spread."""

    n: int
    groups: int
    difference: float
    t: float
    p: float
    p_images: float


def paired_test(a: np.ndarray, b: np.ndarray, groups: Sequence[object] | None = None) -> PairedTest:
    """Over the pairs in which both are finite. groups: whose each pair is; None: all independent."""
    difference, kept = _differences(a, b, groups)
    means = group_means(difference, kept)
    t, p = _t_test(means)
    mean = float(means.mean()) if len(means) else _NAN
    return PairedTest(len(difference), len(means), mean, t, p, _t_test(difference)[1])


def _differences(a, b, groups) -> tuple[np.ndarray, list]:
    a, b = np.asarray(a, float), np.asarray(b, float)
    finite = np.isfinite(a) & np.isfinite(b)
    groups = range(len(a)) if groups is None else groups
    return (a - b)[finite], [group for group, use in zip(groups, finite, strict=True) if use]


def _t_test(differences: np.ndarray) -> tuple[float, float]:
    from scipy import stats

    # equal pairs have no spread to test against
    if len(differences) < 2 or np.ptp(differences) <= 1e-12 * max(1.0, float(np.abs(differences).max())):
        return _NAN, _NAN
    result = stats.ttest_1samp(differences, 0.0)
    return float(result.statistic), float(result.pvalue)


@dataclass(frozen=True)
class BlandAltman:
    """a against b. bias: of a - b, the mean of the independent groups' means; sd: of a single difference; lower, upper:
    limits of agreement, bias ± 1.96 SD; each with its 95 % confidence interval. p: bias against 0."""

    n: int
    groups: int
    bias: float
    bias_ci: tuple[float, float]
    sd: float
    lower: float
    lower_ci: tuple[float, float]
    upper: float
    upper_ci: tuple[float, float]
    p: float


def bland_altman(a: np.ndarray, b: np.ndarray, groups: Sequence[object] | None = None) -> BlandAltman:
    """Over the pairs in which both are finite.

    With several pairs a group, after Bland and Altman (J Biopharm Stat 2007, 17:571, where the true value varies): each
    group counts alike for the bias, whatever the number of its pairs, and the SD has a part within and one between
    groups. Confidence intervals with Student's t of m groups: SE of the bias s/√m, s the SD of the groups' means, of a
    limit √(s²/m + 1.96² SD² / (2 (m - 1))). With one pair a group that is Bland and Altman 1999.
    """
    from scipy import stats

    difference, kept = _differences(a, b, groups)
    means = group_means(difference, kept)
    n, m = len(difference), len(means)
    bias = float(means.mean()) if m else _NAN
    sd = _total_sd(difference, kept, means)
    half = wide = _NAN
    if m > 1:
        quantile, of_bias = float(stats.t.ppf(0.975, m - 1)), float(means.var(ddof=1)) / m
        half = quantile * math.sqrt(of_bias)
        wide = quantile * math.sqrt(of_bias + 1.96**2 * sd**2 / (2 * (m - 1)))
    lower, upper = bias - 1.96 * sd, bias + 1.96 * sd
    return BlandAltman(
        n, m, bias, (bias - half, bias + half), sd, lower, (lower - wide, lower + wide), upper,
        (upper - wide, upper + wide), _t_test(means)[1],
    )  # fmt: skip


def _total_sd(difference: np.ndarray, groups: Sequence[object], means: np.ndarray) -> float:
    """The SD of a single difference of a new group: from the variances within and between groups (one-way analysis of
    variance, groups of unequal size)."""
    n, m = len(difference), len(means)
    if n < 2:
        return _NAN
    sizes = np.array(list(Counter(groups).values()))  # in the order of the means
    between = float((sizes * (means - difference.mean()) ** 2).sum())
    inside = max(0.0, float(((difference - difference.mean()) ** 2).sum()) - between) / (n - m) if n > m else 0.0
    if m == 1:
        return math.sqrt(inside)
    usual_size = (n - float((sizes**2).sum()) / n) / (m - 1)
    return math.sqrt(inside + max(0.0, between / (m - 1) - inside) / usual_size)


@dataclass(frozen=True)
class Bin:
    """Points whose stated confidence lies in [low, high). stated: their mean; observed: the share that is near, with
    its Wilson 95 % interval. NaN where empty."""

    low: float
    high: float
    n: int
    stated: float
    observed: float
    observed_ci: tuple[float, float]


@dataclass(frozen=True)
class Calibration:
    """Is a point near as often as its confidence says?

    n points that are in both readings and carry a confidence; near: share within the limit. ece: expected
    calibration error, the mean over points of |observed - stated| of their bin. brier: mean of (stated - near)².
    spearman: rank correlation of error with doubt (1 - confidence), and its p over points. sure: share of points with
    confidence of at least 0.5, sure_near: the share of these that is near.
    """

    within: float
    n: int
    near: float
    bins: tuple[Bin, ...]
    ece: float
    brier: float
    spearman: float
    spearman_p: float
    sure: float
    sure_near: float


def calibrate(confidence: np.ndarray, error: np.ndarray, within: float = 5.0, bins: int = 10) -> Calibration:
    """confidence in [0, 1] that the error is at most `within` (the error's unit), against the errors."""
    from scipy import stats

    confidence, error = np.asarray(confidence, float), np.asarray(error, float)
    known = np.isfinite(confidence) & np.isfinite(error)
    confidence, error = confidence[known], error[known]
    near = error <= within
    n = len(error)
    edges = [k / bins for k in range(bins + 1)]
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    table, ece = [], 0.0
    for k in range(bins):
        mine = index == k
        count, hits = int(mine.sum()), int(near[mine].sum())
        if not count:
            table.append(Bin(edges[k], edges[k + 1], 0, _NAN, _NAN, (_NAN, _NAN)))
            continue
        interval = stats.binomtest(hits, count).proportion_ci(method="wilson")
        stated, observed = float(confidence[mine].mean()), hits / count
        ece += count / n * abs(observed - stated)
        table.append(Bin(edges[k], edges[k + 1], count, stated, observed, (float(interval.low), float(interval.high))))
    rho = p = _NAN
    if n > 2 and np.ptp(confidence) > 0 and np.ptp(error) > 0:
        result = stats.spearmanr(1 - confidence, error)
        rho, p = float(result.statistic), float(result.pvalue)
    sure = confidence >= 0.5
    return Calibration(
        within,
        n,
        float(near.mean()) if n else _NAN,
        tuple(table),
        ece if n else _NAN,
        float(((confidence - near) ** 2).mean()) if n else _NAN,
        rho,
        p,
        float(sure.mean()) if n else _NAN,
        float(near[sure].mean()) if sure.any() else _NAN,
    )


def wrapped(degrees: np.ndarray) -> np.ndarray:
    """Differences of angles, in [-180, 180)."""
    return (np.asarray(degrees, float) + 180.0) % 360.0 - 180.0

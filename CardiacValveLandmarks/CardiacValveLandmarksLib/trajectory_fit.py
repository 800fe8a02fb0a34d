"""Fitting the paths of one view's landmarks: robust periodic harmonics that share the beat's shape.

The landmarks of a view move with one heart: their curves over time are alike, whatever their size and direction.
Each path is a harmonic series whose coefficients have a common prior covariance, learned from the view itself
(empirical Bayes: a random-effects model fitted by expectation-maximisation; Laird and Ware, Biometrics 1982).
That suppresses noise without blunting early filling as a lower order or a roughness penalty would. Outliers are
met by Student-t weights (Lange, Little and Taylor, JASA 1989), points placed by hand are near-exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .cine import Cine
from .geometry import SliceGeometry
from .landmarks import LANDMARKS, LandmarkSeries, Provenance
from .trajectory import Trajectory, harmonic_basis

#: a point placed by hand weighs as this many automatic ones: the path passes it at a few per cent of the pull
MANUAL_WEIGHT = 400.0
PROPAGATED_WEIGHT = 0.5
_STUDENT_DOF = 5.0
_ITERATIONS = 30
#: how many landmarks' worth the smooth prior counts against what the view itself says
_SMOOTH_PRIOR_WEIGHT = 1.0
#: the smallest scatter believed, mm: whole-pixel or made-up points must not make a point infinitely trusted
_SMALLEST_NOISE_MM = 0.02
MIN_FRAMES = 6
#: longest stretch without a point that a path is carried over by the view's other landmarks, of the beat
LARGEST_GAP = 0.6
MAX_ORDER = 6


def default_order(frames: int) -> int:
    """Harmonics for so many frames: 6 from 25 on, 5 from 21, fewer where there are fewer.

    More would follow noise; fewer would blunt early filling, even where the points are exact.
    """
    return int(np.clip((frames - 1) // 4, 1, MAX_ORDER))


# For Gaussian scatter in the plane, r²/σ² is chi-squared with two degrees of freedom; these bring the Student-t
# weights to mean one and the scatter to its Gaussian size: E[(ν+2)/(ν+x)] and E[x(ν+2)/(ν+x)]/2 / E[(ν+2)/(ν+x)].
_QUANTILES = -2 * np.log((np.arange(20000) + 0.5) / 20000)
_T_WEIGHT = float(((_STUDENT_DOF + 2) / (_STUDENT_DOF + _QUANTILES)).mean())
_T_SCATTER = float((_QUANTILES * (_STUDENT_DOF + 2) / (_STUDENT_DOF + _QUANTILES)).mean()) / 2 / _T_WEIGHT


@dataclass(frozen=True)
class ViewFit:
    """trajectories: those the view's points determine. doubts: in plain words, why others are missing or weak."""

    trajectories: tuple[Trajectory, ...]
    doubts: tuple[str, ...]


def prior_weights(series: LandmarkSeries) -> np.ndarray:
    """(T, 11): 0 absent, confidence (at least 0.05; 1 where unknown) automatic, fixed values for the others."""
    confidence = np.where(np.isnan(series.confidence), 1.0, np.clip(series.confidence, 0.05, 1.0))
    provenance = series.provenance
    weights = np.where(provenance == Provenance.AUTO, confidence, 0.0)
    weights = np.where(provenance == Provenance.PROPAGATED, PROPAGATED_WEIGHT * confidence, weights)
    return np.where(provenance == Provenance.MANUAL, MANUAL_WEIGHT, weights)


def fit_view(
    view: str,
    geometry: SliceGeometry,
    series: LandmarkSeries,
    phases: np.ndarray,
    rr_ms: float = float("nan"),
    order: int | None = None,
) -> ViewFit:
    """Paths of all landmarks of one cine.

    phases: (T,) own phases. rr_ms: NaN where unknown. order: harmonics, None: `default_order` of the frame count.
    A landmark needs MIN_FRAMES points and no gap beyond LARGEST_GAP; an order the points cannot carry is a ValueError.
    """
    if order is not None and not 1 <= order <= (len(phases) - 1) // 2:
        raise ValueError(f"order: expected 1…{(len(phases) - 1) // 2} for {len(phases)} frames, found {order}")
    chosen = order or default_order(len(phases))
    weights = prior_weights(series)
    doubts = []
    indices = []
    for landmark in LANDMARKS:
        count = int(series.present[:, landmark.index].sum())
        if view not in landmark.views:
            continue
        if count < MIN_FRAMES:
            state = "absent in all frames" if count == 0 else f"present in only {count} of {len(phases)} frames"
            doubts.append(f"{view} {landmark.name}: {state}; it has no path (at least {MIN_FRAMES} frames needed).")
            continue
        gap = _largest_gap(phases[series.present[:, landmark.index]])
        if gap > LARGEST_GAP:
            doubts.append(
                f"{view} {landmark.name}: no points over {100 * gap:.0f} % of the beat; it has no path "
                f"(at most {100 * LARGEST_GAP:.0f} %)."
            )
            continue
        indices.append(landmark.index)
        if gap > 0.2:
            doubts.append(
                f"{view} {landmark.name}: no points over {100 * gap:.0f} % of the beat; "
                "the path there follows the view's other landmarks and its band is wide."
            )
    if not indices:
        return ViewFit((), tuple(doubts))
    plane = np.stack([geometry.axis0, geometry.axis1]) / geometry.spacing[:, None]
    pixels = series.positions[:, indices].transpose(1, 0, 2)
    manual = series.provenance[:, indices].T == Provenance.MANUAL
    fit = _expectation_maximisation(pixels * geometry.spacing, weights[:, indices].T, ~manual, phases, chosen)
    trajectories = []
    points = geometry.to_patient(pixels)
    basis = harmonic_basis(phases, chosen)
    for j, index in enumerate(indices):
        coefficients = fit.coefficients[j] @ plane
        coefficients[0] += geometry.origin
        trajectories.append(
            Trajectory(
                landmark=LANDMARKS[index],
                view=view,
                coefficients=coefficients,
                order=chosen,
                order_given=order is not None,
                rr_ms=float(rr_ms),
                covariance=fit.covariance[j],
                noise_covariance=fit.variance[j] * plane.T @ plane,
                phases=np.array(phases, dtype=np.float64),
                points=points[j],
                residuals=np.linalg.norm(points[j] - basis @ coefficients, axis=-1),
                weights=fit.weights[j],
                provenance=np.array(series.provenance[:, index]),
                effective_parameters=float(fit.effective[j]),
            )
        )
    return ViewFit(tuple(trajectories), tuple(doubts))


@dataclass(frozen=True)
class _Fit:
    """coefficients (L, n, 2) mm; covariance (L, n, n) and variance (L,) mm², which multiplies it; weights (L, T)."""

    coefficients: np.ndarray
    covariance: np.ndarray
    variance: np.ndarray
    weights: np.ndarray
    effective: np.ndarray


def _expectation_maximisation(
    points: np.ndarray, prior: np.ndarray, robust: np.ndarray, phases: np.ndarray, order: int
) -> _Fit:
    """points (L, T, 2) mm in the plane, prior weights (L, T), robust (L, T) bool: may be met as an outlier."""
    landmarks = len(points)
    basis = harmonic_basis(phases, order)
    size = basis.shape[1]
    products = (basis[:, :, None] * basis[:, None, :]).reshape(len(phases), size * size)
    points = np.where(prior[..., None] > 0, points, 0.0)
    #: fall-off of the beat's harmonics the shared prior starts from: a curve with a continuous velocity
    falloff = np.repeat(np.arange(1, order + 1), 2) ** -4.0
    roughness = np.zeros((size, size))
    roughness[1:, 1:] = np.diag(0.05 / falloff)
    # scatter is judged on automatic points; where all were placed by hand, on these
    judged = (prior > 0) & (robust | ~(robust & (prior > 0)).any(1, keepdims=True))

    def solve(weights: np.ndarray, variance: np.ndarray, precision: np.ndarray):
        normal = (weights @ products).reshape(landmarks, size, size)
        scaled = np.linalg.inv(normal + variance[:, None, None] * precision)
        coefficients = scaled @ (basis.T @ (weights[..., None] * points))
        squares = ((points - basis @ coefficients) ** 2).sum(-1)
        return normal, scaled, coefficients, squares

    weights = prior.copy()
    variance = np.ones(landmarks)
    normal, scaled, coefficients, squares = solve(weights, variance, roughness)
    for j in range(landmarks):
        # median of a chi-squared with two degrees of freedom: 1.386
        variance[j] = max(np.median((squares[j] * prior[j])[judged[j]]) / 1.386, _SMALLEST_NOISE_MM**2)
    spread = (coefficients[:, 1:] @ coefficients[:, 1:].swapaxes(1, 2)).sum(0) / (2 * landmarks)
    for _ in range(_ITERATIONS):
        smooth = np.trace(spread) / falloff.sum() * np.diag(falloff)
        shared = (landmarks * spread + _SMOOTH_PRIOR_WEIGHT * smooth) / (landmarks + _SMOOTH_PRIOR_WEIGHT)
        # a little on the diagonal: motionless points have no spread at all
        shared += (1e-9 * np.trace(shared) + 1e-12) * np.eye(size - 1)
        precision = np.zeros((size, size))
        precision[1:, 1:] = np.linalg.inv(shared)
        normal, scaled, coefficients, squares = solve(weights, variance, precision)
        expected = squares + 2 * variance[:, None] * np.einsum("ti,lij,tj->lt", basis, scaled, basis)
        outlying = (_STUDENT_DOF + 2) / (_STUDENT_DOF + expected * prior / variance[:, None]) / _T_WEIGHT
        weights = np.where(robust, prior * outlying, prior)
        correction = np.where((judged & robust).any(1), _T_SCATTER, 1.0)
        scatter = (np.where(judged, weights, 0.0) * expected).sum(1) / (2 * judged.sum(1)) / correction
        before, variance = variance, np.maximum(scatter, _SMALLEST_NOISE_MM**2)
        spread = (
            coefficients[:, 1:] @ coefficients[:, 1:].swapaxes(1, 2) + 2 * variance[:, None, None] * scaled[:, 1:, 1:]
        ).sum(0) / (2 * landmarks)
        if np.all(np.abs(variance - before) < 1e-3 * before):
            break
    return _Fit(coefficients, scaled, variance, weights, np.einsum("lij,lji->l", scaled, normal))


def _largest_gap(phases: np.ndarray) -> float:
    """Largest stretch of the beat without a point, as a fraction of it."""
    ordered = np.sort(np.asarray(phases) % 1.0)
    return float(np.diff(ordered, append=ordered[0] + 1.0).max())


def fit_cine(cine: Cine, series: LandmarkSeries, view: str, order: int | None = None) -> ViewFit:
    """`fit_view` of a cine with a geometry."""
    if cine.geometry is None:
        raise ValueError("cine without geometry: no patient space")
    rr = float("nan") if cine.rr_ms is None else cine.rr_ms
    return fit_view(view, cine.geometry, series, cine.phases, rr, order)


def order_text(trajectories: Sequence[Trajectory]) -> str:
    """The order as it is printed beside every velocity, e.g. "4CH: 5 harmonics (chosen from 25 frames)"."""
    parts = {}
    for t in trajectories:
        how = "given" if t.order_given else f"chosen from {len(t.phases)} frames"
        parts.setdefault(t.view, f"{t.view}: {t.order} harmonics ({how})")
    return "; ".join(parts.values())

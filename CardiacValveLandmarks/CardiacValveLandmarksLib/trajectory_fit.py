"""Fitting the paths of landmarks: robust periodic harmonics that share the beat's shape.

The landmarks of a view move with one heart: their curves over the beat are alike, whatever their size and direction.
Each path is a harmonic series whose coefficients have a prior covariance common to the view, learned from the points
themselves (empirical Bayes: a random-effects model fitted by expectation-maximisation; Laird and Ware, Biometrics
1982). That suppresses noise without blunting early filling as a lower order or a roughness penalty would. Other views
show the same heart in other beats: their landmarks have a part in the prior, a smaller one. Outliers are met by
Student-t weights (Lange, Little and Taylor, JASA 1989), points placed by hand are near-exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .cine import Cine
from .geometry import SliceGeometry
from .landmarks import LANDMARKS, Landmark, LandmarkSeries, Provenance
from .trajectory import Trajectory, harmonic_basis

#: a point placed by hand weighs as this many automatic ones: the path passes it at a few per cent of the pull
MANUAL_WEIGHT = 400.0
PROPAGATED_WEIGHT = 0.5
_STUDENT_DOF = 5.0
_ITERATIONS = 30
#: how many landmarks' worth the smooth prior counts against what the views themselves say
_SMOOTH_PRIOR_WEIGHT = 1.0
#: what a landmark of another view counts in a view's prior. Chosen on synthetic studies whose systole takes another
#: part of each view's beat: more makes paths a little steadier, and blunts those of a view whose beat differs
_OTHER_VIEWS = 0.25
#: how much less is known of a path (SD) through automatic points than of one whose points err independently: a network
#: errs alike in neighbouring frames, and its points are drawn to one another (detection/image_motion.py). Measured with
#: the built-in model on synthetic patients it was not chosen on (bench/image_motion.py): of displacements from
#: end-diastole to end-systole, 93 % (ordinary) and 88 % (hard) are then within 1.96 SD; without it 55 and 38 %
ALIKE = 4.0
#: the smallest scatter believed, mm: whole-pixel or made-up points must not make a point infinitely trusted
_SMALLEST_NOISE_MM = 0.02
MIN_FRAMES = 6
#: longest stretch without a point that a path is carried over by the other landmarks, of the beat
LARGEST_GAP = 0.6
#: a longer stretch than this without a point is said, of the beat
NOTABLE_GAP = 0.2
MAX_ORDER = 6
#: length of the beat that MAX_ORDER is for: a slower heart's waves take a smaller part of it, ms
_USUAL_BEAT_MS = 1000.0
#: paths of fewer harmonics blunt the beat: with exact points in 8 frames (1 harmonic) MAPSE of synthetic patients comes
#: out a fifth to a third too small, e′ with 10 to 12 frames (2 harmonics) a third
_ENOUGH_HARMONICS = 3


def default_order(frames: int, rr_ms: float = float("nan")) -> int:
    """Harmonics for so many frames: 6 from 25 on, 5 from 21, fewer where there are fewer; in beats of more than a
    second as many more as the beat is longer, at most one for three frames. rr_ms: NaN where it is unknown.

    More would follow noise; fewer would blunt early filling, even where the points are exact.
    """
    order = int(np.clip((frames - 1) // 4, 1, MAX_ORDER))
    if order < MAX_ORDER or not rr_ms > _USUAL_BEAT_MS:
        return order
    return max(order, min(round(MAX_ORDER * rr_ms / _USUAL_BEAT_MS), (frames - 1) // 3))


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


@dataclass(frozen=True)
class ViewPoints:
    """One cine's landmarks. phases: (T,) own phases. rr_ms: NaN where unknown."""

    view: str
    geometry: SliceGeometry
    series: LandmarkSeries
    phases: np.ndarray
    rr_ms: float = float("nan")


def fit_views(views: Sequence[ViewPoints], order: int | None = None) -> tuple[ViewFit, ...]:
    """Paths of all landmarks of an examination's views, one ViewFit a view.

    order: harmonics, None: `default_order` of the frames in which a view's landmarks usually are and of the
    median beat. Views of the same order inform one another. A landmark needs MIN_FRAMES points and no gap beyond
    LARGEST_GAP; an order the points cannot carry is a ValueError.
    """
    parts = [_Part.of(view, order) for view in views]
    if order is None:
        _more_for_slow_hearts(parts)
    for chosen in sorted({part.order for part in parts}):
        together = [part for part in parts if part.order == chosen and part.indices]
        if together:
            _fit_together(together, chosen)
    return tuple(part.fit(order is not None) for part in parts)


def fit_view(view: ViewPoints, order: int | None = None) -> ViewFit:
    """`fit_views` of one view alone."""
    return fit_views([view], order)[0]


def fit_cine(cine: Cine, series: LandmarkSeries, view: str, order: int | None = None) -> ViewFit:
    """`fit_view` of a cine with a geometry."""
    if cine.geometry is None:
        raise ValueError("cine without geometry: no patient space")
    return fit_view(ViewPoints(view, cine.geometry, series, cine.phases, _known(cine.rr_ms)), order)


@dataclass
class _Part:
    """One view's share of a fit. indices: of the landmarks that have a path. held: frames in which they usually are.
    result: (first row, the whole fit)."""

    view: ViewPoints
    order: int
    indices: list[int]
    doubts: list[str]
    held: int = 0
    result: tuple[int, _Fit] | None = None

    @classmethod
    def of(cls, view: ViewPoints, order: int | None) -> _Part:
        count = len(view.phases)
        if order is not None and not 1 <= order <= (count - 1) // 2:
            raise ValueError(f"{view.view}: order: expected 1…{(count - 1) // 2} for {count} frames, found {order}")
        part = cls(view, 0, [], [])
        gaps = {
            landmark: part._gap(landmark)
            for landmark in LANDMARKS
            if view.view in landmark.views and part._has_points(landmark)
        }
        part.indices = [landmark.index for landmark, (gap, _) in gaps.items() if gap <= LARGEST_GAP + 1e-9]
        part._say_gaps(gaps)
        # where a person placed a few frames only, these say how much a path can hold
        points = view.series.present[:, part.indices].sum(0)
        held = int(np.median(points)) if points.size else count
        part.held, part.order = held, order or default_order(held)
        if points.size and part.order < _ENOUGH_HARMONICS:
            words = "1 harmonic" if part.order == 1 else f"{part.order} harmonics"
            why = f"{words} only, as stated" if order else f"points in {held} frames and so {words} only"
            part.doubts.append(f"{view.view}: {why}: excursions and velocities come out small.")
        return part

    def _has_points(self, landmark: Landmark) -> bool:
        """Whether the landmark is in enough frames for a path; else a doubt says so."""
        count, frames = int(self.view.series.present[:, landmark.index].sum()), len(self.view.phases)
        if count < MIN_FRAMES:
            state = "absent in all frames" if count == 0 else f"present in only {count} of {frames} frames"
            self.doubts.append(
                f"{self.view.view} {landmark.name}: {state}; it has no path (at least {MIN_FRAMES} frames needed)."
            )
        return count >= MIN_FRAMES

    def _gap(self, landmark: Landmark) -> tuple[float, float]:
        """Length and start of the longest stretch without a point, of the beat."""
        gaps, starts = gaps_between(self.view.phases[self.view.series.present[:, landmark.index]])
        longest = int(np.argmax(gaps))
        return float(gaps[longest]), float(starts[longest])

    def _say_gaps(self, gaps: Mapping[Landmark, tuple[float, float]]) -> None:
        """Doubts about stretches without points; those all landmarks share are said once."""
        long = {landmark: gap for landmark, gap in gaps.items() if gap[0] > NOTABLE_GAP}
        shared = len(gaps) > 1 and len(long) == len(gaps) and len(set(long.values())) == 1
        for landmark, (gap, start) in list(long.items())[: 1 if shared else None]:
            name = self.view.view if shared else f"{self.view.view} {landmark.name}"
            missing = f"{name}: no points over {100 * gap:.0f} % of the beat"
            if gap > LARGEST_GAP + 1e-9:
                none = "none of its landmarks has a path" if shared else "it has no path"
                self.doubts.append(f"{missing}; {none} (at most {100 * LARGEST_GAP:.0f} %).")
            elif shared:
                self.doubts.append(
                    f"{missing} (from {100 * start:.0f} % to {100 * ((start + gap) % 1):.0f} %), of none of its "
                    "landmarks: its paths there are extrapolated, and their bands are wide."
                )
            else:
                self.doubts.append(f"{missing}; the path there follows the other landmarks and its band is wide.")

    def fit(self, order_given: bool) -> ViewFit:
        trajectories, view, geometry = [], self.view, self.view.geometry
        plane = geometry.directions
        basis = harmonic_basis(view.phases, self.order)
        for offset, index in enumerate(self.indices):
            first, fit = self.result
            row = first + offset
            coefficients = fit.coefficients[row] @ plane
            coefficients[0] += geometry.origin
            points = geometry.to_patient(view.series.positions[:, index])
            trajectories.append(
                Trajectory(
                    landmark=LANDMARKS[index],
                    view=view.view,
                    coefficients=coefficients,
                    order=self.order,
                    order_given=order_given,
                    rr_ms=float(view.rr_ms),
                    covariance=fit.covariance[row],
                    noise_covariance=fit.variance[row] * plane.T @ plane,
                    phases=np.array(view.phases, dtype=np.float64),
                    points=points,
                    residuals=np.linalg.norm(points - basis @ coefficients, axis=-1),
                    weights=fit.weights[row, : len(view.phases)],
                    provenance=np.array(view.series.provenance[:, index]),
                    effective_parameters=float(fit.effective[row]),
                )
            )
        return ViewFit(tuple(trajectories), tuple(self.doubts))


def _more_for_slow_hearts(parts: Sequence[_Part]) -> None:
    """The same harmonics for all views that have the most: views of another order do not inform one another."""
    most = [part for part in parts if part.order == MAX_ORDER]
    beats = [part.view.rr_ms for part in parts if np.isfinite(part.view.rr_ms)]
    if most and beats:
        order = default_order(min(part.held for part in most), float(np.median(beats)))
        for part in most:
            part.order = order


@dataclass(frozen=True)
class _Fit:
    """coefficients (L, n, 2) mm; covariance (L, n, n) and variance (L,) mm², which multiplies it; weights (L, T)."""

    coefficients: np.ndarray
    covariance: np.ndarray
    variance: np.ndarray
    weights: np.ndarray
    effective: np.ndarray


def _fit_together(parts: Sequence[_Part], order: int) -> None:
    """One fit of all landmarks of these views; frames that a shorter view does not have weigh nothing."""
    frames = max(len(part.view.phases) for part in parts)
    rows = sum(len(part.indices) for part in parts)
    points, prior = np.zeros((rows, frames, 2)), np.zeros((rows, frames))
    robust, bases = np.ones((rows, frames), bool), np.zeros((rows, frames, 2 * order + 1))
    owner, first = np.zeros(rows, int), 0
    for number, part in enumerate(parts):
        series, indices, count = part.view.series, part.indices, len(part.view.phases)
        at = slice(first, first + len(indices)), slice(count)
        weights = prior_weights(series)[:, indices].T
        places = (series.positions[:, indices] * part.view.geometry.spacing).transpose(1, 0, 2)
        points[at], prior[at] = np.where(weights[..., None] > 0, places, 0.0), weights
        robust[at] = series.provenance[:, indices].T != Provenance.MANUAL
        bases[at] = harmonic_basis(part.view.phases, order)
        owner[at[0]] = number
        first += len(indices)
    share = np.where(owner[:, None] == owner, 1.0, _OTHER_VIEWS)
    fit, first = _expectation_maximisation(points, prior, robust, bases, share), 0
    for part in parts:
        part.result = first, fit
        first += len(part.indices)


def _expectation_maximisation(
    points: np.ndarray, prior: np.ndarray, robust: np.ndarray, bases: np.ndarray, share: np.ndarray
) -> _Fit:
    """points (L, T, 2) mm in the plane, prior weights (L, T), 0 absent, robust (L, T) bool: may be met as an outlier.

    bases: (L, T, n) the harmonics at each landmark's own phases. share: (L, L) what each counts in another's prior.
    """
    landmarks, frames, size = bases.shape
    products = (bases[..., :, None] * bases[..., None, :]).reshape(landmarks, frames, size * size)
    #: fall-off of the beat's harmonics the shared prior starts from: a curve with a continuous velocity
    falloff = np.repeat(np.arange(1, size // 2 + 1), 2) ** -4.0
    roughness = np.zeros((size, size))
    roughness[1:, 1:] = np.diag(0.05 / falloff)
    # scatter is judged on automatic points; where all were placed by hand, on these, which then count as they are
    by_hand = ~(robust & (prior > 0)).any(1, keepdims=True)
    judged = (prior > 0) & (robust | by_hand)
    prior = np.where(by_hand, prior / MANUAL_WEIGHT, prior)

    def solve(weights: np.ndarray, variance: np.ndarray, precision: np.ndarray):
        normal = (weights[:, None] @ products).reshape(landmarks, size, size)
        scaled = np.linalg.inv(normal + variance[:, None, None] * precision)
        coefficients = scaled @ (bases.swapaxes(1, 2) @ (weights[..., None] * points))
        squares = ((points - bases @ coefficients) ** 2).sum(-1)
        return normal, scaled, coefficients, squares

    weights = prior.copy()
    variance = np.ones(landmarks)
    normal, scaled, coefficients, squares = solve(weights, variance, roughness)
    for j in range(landmarks):
        # median of a chi-squared with two degrees of freedom: 1.386
        variance[j] = max(np.median((squares[j] * prior[j])[judged[j]]) / 1.386, _SMALLEST_NOISE_MM**2)
    counted = share.sum(1)[:, None, None]
    second = coefficients[:, 1:] @ coefficients[:, 1:].swapaxes(1, 2) / 2
    for _ in range(_ITERATIONS):
        spread = np.tensordot(share, second, 1) / counted
        smooth = (_trace(spread) / falloff.sum()) * np.diag(falloff)
        shared = (counted * spread + _SMOOTH_PRIOR_WEIGHT * smooth) / (counted + _SMOOTH_PRIOR_WEIGHT)
        # a little on the diagonal: motionless points have no spread at all
        shared += (1e-9 * _trace(shared) + 1e-12) * np.eye(size - 1)
        precision = np.zeros((landmarks, size, size))
        precision[:, 1:, 1:] = np.linalg.inv(shared)
        normal, scaled, coefficients, squares = solve(weights, variance, precision)
        expected = squares + 2 * variance[:, None] * ((bases @ scaled) * bases).sum(-1)
        outlying = (_STUDENT_DOF + 2) / (_STUDENT_DOF + expected * prior / variance[:, None]) / _T_WEIGHT
        weights = np.where(robust, prior * outlying, prior)
        correction = np.where((judged & robust).any(1), _T_SCATTER, 1.0)
        scatter = (np.where(judged, weights, 0.0) * expected).sum(1) / (2 * judged.sum(1)) / correction
        before, variance = variance, np.maximum(scatter, _SMALLEST_NOISE_MM**2)
        second = coefficients[:, 1:] @ coefficients[:, 1:].swapaxes(1, 2) / 2
        second += variance[:, None, None] * scaled[:, 1:, 1:]
        if np.all(np.abs(variance - before) < 1e-3 * before):
            break
    wider = np.where((judged & robust).any(1), ALIKE**2, 1.0)
    covariance = scaled * wider[:, None, None]
    return _Fit(coefficients, covariance, variance, weights, np.einsum("lij,lji->l", scaled, normal))


def _trace(matrices: np.ndarray) -> np.ndarray:
    """(L, n, n) -> (L, 1, 1)."""
    return np.trace(matrices, axis1=1, axis2=2)[:, None, None]


def gaps_between(phases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths of the stretches of the beat between points at these phases, and where they start; parts of it."""
    ordered = np.sort(np.asarray(phases) % 1.0)
    return np.diff(ordered, append=ordered[0] + 1.0), ordered


def _known(rr_ms: float | None) -> float:
    return float("nan") if rr_ms is None else float(rr_ms)


def order_text(trajectories: Sequence[Trajectory]) -> str:
    """The order as it is printed beside every velocity, e.g. "4CH: 5 harmonics (chosen from 25 frames)"."""
    parts = {}
    for t in trajectories:
        how = "given" if t.order_given else f"chosen from {len(t.phases)} frames"
        how += " and the slow beat" if t.order > MAX_ORDER and not t.order_given else ""
        parts.setdefault(t.view, f"{t.view}: {t.order} harmonics ({how})")
    return "; ".join(parts.values())

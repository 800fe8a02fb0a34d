"""In-plane shifts between breath-holds, from the disagreement of views where their planes meet.

Landmarks: mitral points of all views lie on one ring, apexes in one place. Images: along the line where two planes
meet both must show the same. One shift for each view, estimated together by non-linear least squares with a weak
prior of no shift; the covariance is the posterior's. LPS millimetres.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .annulus_fit import RingModel, _fourier, _ridge_solver
from .geometry import SliceGeometry

#: half the width of the interval that is reported, in standard deviations: 95 % of a normal law, fitted to nothing
_INTERVAL_SD = 1.96
#: SD of a shift before anything is known, mm per direction
PRIOR_SD_MM = 4.0
#: how far points of a real ring lie from its Fourier model, and apexes of views from one another, mm
RING_SD_MM = 1.5
APEX_SD_MM = 4.0
#: half the length of the intersection line that is compared, mm: base to apex. Beyond, the chest does not move along
_HALF_LENGTH_MM = 65.0
_STEP_MM = 1.5
#: length over which profiles along a line are alike, mm: neighbouring samples are not independent. Chosen on 14 studies
#: of the synthetic heart (phantom/) with shifts up to 5 mm: with 36, errors are 0.75 of what is stated (rms) and 0.9 mm
#: (median); with 16, 1.8 of it and 1.5 mm, for the images then outweigh the landmarks
_CORRELATION_MM = 36.0
_BLUR_MM = (4.0, 2.0)
_PHASES = 6
#: disagreement of normalised profiles: assumed at first, and within what bounds the solution's own is believed
_FIRST_SCALE = 0.5
_SCALES = (0.2, 1.0)


@dataclass(frozen=True)
class ViewShift:
    """How far one view's heart lies from where the other views see it.

    shift_mm: (2,) mm along the image's axis 0 and axis 1; adding it to the view's points brings them to the others.
        Relative to the mean of the views: a shift common to all cannot be seen.
    covariance: (2, 2) mm². vector: (3,) LPS mm, the same shift in patient space.
    evidence: what it rests on, e.g. "landmarks and images".
    """

    view: str
    shift_mm: np.ndarray
    covariance: np.ndarray
    vector: np.ndarray
    evidence: str

    @property
    def sd_mm(self) -> float:
        """Standard deviation, mm, root mean square of the two directions."""
        return float(np.sqrt(np.trace(self.covariance) / 2))

    @property
    def interval_mm(self) -> np.ndarray:
        """(2,) mm: half the width of the 95 % interval about `shift_mm`, along axis 0 and axis 1."""
        return _INTERVAL_SD * np.sqrt(np.diag(self.covariance))


@dataclass(frozen=True)
class ShiftView:
    """One view's evidence. frames: (T, H, W) with phases (T,) common, or None: landmarks only.

    ring: numbers -> (P, 3) LPS mm mitral paths; apex: (P, 3) or None.
    """

    view: str
    geometry: SliceGeometry
    ring: Mapping[int, np.ndarray]
    apex: np.ndarray | None
    frames: np.ndarray | None = None
    phases: np.ndarray | None = None


def estimate_shifts(views: Sequence[ShiftView], model: RingModel | None, centre: np.ndarray) -> tuple[ViewShift, ...]:
    """A shift for every view; () with fewer than two views.

    model: the ring's, points in the order of the views' `ring` entries; None: no ring. centre: (3,) LPS mm, the
    heart's middle, where intersection lines are compared.
    """
    from scipy.optimize import least_squares

    if len(views) < 2:
        return ()
    planes = [v.geometry.directions for v in views]
    linear = _landmark_equations(views, planes, model)
    evidence = ["landmarks"] if len(linear[0]) else []
    with_images = [i for i, v in enumerate(views) if v.frames is not None]
    lines = [
        (i, j, line)
        for i, j in itertools.combinations(with_images, 2)
        if (line := _intersection(views[i].geometry, views[j].geometry, centre)) is not None
    ]
    if lines:
        evidence.append("images")
    estimate = np.zeros(2 * len(views))
    matrix, offset = linear
    scales = [_FIRST_SCALE] * len(lines)
    for blur in _BLUR_MM if lines else (0.0,):
        sampled = {k: _blurred(views[k], blur) for k in {k for pair in lines for k in pair[:2]}}

        def differences(shifts: np.ndarray, sampled=sampled) -> list[np.ndarray]:
            def seen(index: int, line: np.ndarray) -> np.ndarray:
                moved = line - shifts[2 * index : 2 * index + 2] @ planes[index]
                return _profile(views[index].geometry, sampled[index], moved)

            return [_difference(seen(i, line), seen(j, line)) for i, j, line in lines]

        def residuals(shifts: np.ndarray, differences=differences, scales=tuple(scales)) -> np.ndarray:
            images = [np.ravel(d) / scale for d, scale in zip(differences(shifts), scales, strict=True)]
            return np.concatenate([matrix @ shifts + offset, shifts / PRIOR_SD_MM, *images])

        solved = least_squares(residuals, estimate, diff_step=0.02, x_scale=1.0, max_nfev=40)
        estimate = solved.x
        # what is left at the solution is the images' own disagreement; a perfect match must not become certainty
        scales = [float(np.clip(_root_mean_square(d), *_SCALES)) for d in differences(estimate)]
    covariance = np.linalg.inv(solved.jac.T @ solved.jac)
    keep = without_common([v.geometry for v in views])
    estimate, covariance = keep @ estimate, keep @ covariance @ keep.T
    words = " and ".join(evidence) or "nothing: the prior only"
    return tuple(
        ViewShift(
            v.view,
            estimate[2 * i : 2 * i + 2],
            covariance[2 * i : 2 * i + 2, 2 * i : 2 * i + 2],
            estimate[2 * i : 2 * i + 2] @ planes[i],
            words,
        )
        for i, v in enumerate(views)
    )


def without_common(geometries: Sequence[SliceGeometry]) -> np.ndarray:
    """(2V, 2V) projector for shifts of all views in a row: takes out what cannot be seen.

    That is the same displacement of every view along the direction all planes share (long-axis planes: the long axis).
    """
    _, sizes, directions = np.linalg.svd(np.array([g.normal for g in geometries]))
    size = 2 * len(geometries)
    if len(geometries) > 2 and sizes[2] > 0.3:
        return np.eye(size)
    common = np.concatenate([g.directions @ directions[2] for g in geometries])
    return np.eye(size) - np.outer(common, common) / (common @ common)


def _landmark_equations(views, planes, model: RingModel | None) -> tuple[np.ndarray, np.ndarray]:
    """(m, 2V) matrix and (m,) offset: matrix @ shifts + offset is disagreement over its SD."""
    size = 2 * len(views)
    matrices, offsets = [np.zeros((0, size))], [np.zeros(0)]
    owners = [i for i, v in enumerate(views) for _ in v.ring]
    if model is not None and len(set(owners)) > 1:
        # mean over the beat: a breath-hold shift does not change in it
        points = np.array([path.mean(0) for v in views for path in v.ring.values()])
        moved = np.zeros((3, len(points), size))  # along each of the ring's axes
        for p, i in enumerate(owners):
            moved[:, p, 2 * i : 2 * i + 2] = model.frame @ planes[i].T
        local = (points - model.origin) @ model.frame.T
        # Across the ring: where on it a point lies is told by the point alone, so only its way off the ring counts, and
        # of that what no other ellipse takes up
        ellipse = _fourier(model.angles, 1)
        normals = _ring_normals(model.angles, np.linalg.pinv(ellipse) @ local[:, :2])
        off = np.concatenate([normals[:, :1] * ellipse, normals[:, 1:] * ellipse], axis=1)
        flat = np.eye(len(points)) - off @ np.linalg.pinv(off, rcond=1e-8)
        high = np.eye(len(points)) - _fourier(model.angles, 2) @ _ridge_solver(model.angles)
        for smoother, way, misfit in (
            (flat, np.einsum("pk,kps->ps", normals, moved[:2]), (normals * local[:, :2]).sum(1)),
            (high, moved[2], local[:, 2]),
        ):
            matrices.append(smoother @ way / RING_SD_MM)
            offsets.append(smoother @ misfit / RING_SD_MM)
    apexes = [i for i, v in enumerate(views) if v.apex is not None]
    if len(apexes) > 1:
        means = np.array([views[i].apex.mean(0) for i in apexes])
        centring = np.eye(len(apexes)) - 1 / len(apexes)
        for axis in range(3):
            moved = np.zeros((len(apexes), size))
            for p, i in enumerate(apexes):
                moved[p, 2 * i : 2 * i + 2] = planes[i][:, axis]
            matrices.append(centring @ moved / APEX_SD_MM)
            offsets.append(centring @ means[:, axis] / APEX_SD_MM)
    return np.concatenate(matrices), np.concatenate(offsets)


def _ring_normals(angles: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """(n, 2) unit normals, in the ring's plane, of the ellipse with these Fourier coefficients (3, 2) at its angles."""
    along = -np.sin(angles)[:, None] * coefficients[1] + np.cos(angles)[:, None] * coefficients[2]
    across = np.stack([along[:, 1], -along[:, 0]], axis=1)
    return across / np.linalg.norm(across, axis=1, keepdims=True)


def _intersection(a: SliceGeometry, b: SliceGeometry, centre: np.ndarray) -> np.ndarray | None:
    """(n, 3) LPS mm: samples of the line where two planes meet, nearest to `centre`; None where (nearly) parallel."""
    direction = np.cross(a.normal, b.normal)
    length = np.linalg.norm(direction)
    if length < np.sin(np.deg2rad(15.0)):
        return None
    direction = direction / length
    equations = np.stack([a.normal, b.normal, direction])
    point = np.linalg.solve(equations, [a.normal @ a.origin, b.normal @ b.origin, direction @ centre])
    steps = np.arange(-_HALF_LENGTH_MM, _HALF_LENGTH_MM + _STEP_MM / 2, _STEP_MM)
    return point + steps[:, None] * direction


def _blurred(view: ShiftView, blur_mm: float) -> np.ndarray:
    """(_PHASES, H, W): frames at common phases k/_PHASES (linear between neighbours in time), blurred."""
    from scipy.ndimage import gaussian_filter

    ordered = np.argsort(view.phases)
    phases = view.phases[ordered]
    frames = []
    for wanted in np.arange(_PHASES) / _PHASES:
        after = int(np.searchsorted(phases, wanted, side="right")) % len(phases)
        span = (phases[after] - phases[after - 1]) % 1.0 or 1.0
        part = ((wanted - phases[after - 1]) % 1.0) / span
        frames.append((1 - part) * view.frames[ordered[after - 1]] + part * view.frames[ordered[after]])
    return gaussian_filter(np.array(frames), (0, *(blur_mm / view.geometry.spacing)))


def _profile(geometry: SliceGeometry, frames: np.ndarray, line: np.ndarray) -> np.ndarray:
    """(P, n) intensities of (P, H, W) frames along the (n, 3) line, bilinear; NaN outside the image."""
    pixels = geometry.to_pixels(line)
    last = np.array(frames.shape[1:]) - 1
    inside = ((pixels >= 0) & (pixels <= last)).all(1)
    low = np.clip(np.floor(pixels).astype(int), 0, np.maximum(last - 1, 0))
    high = np.minimum(low + 1, last)
    (down, right) = (pixels - low).T
    upper = frames[:, low[:, 0], low[:, 1]] * (1 - right) + frames[:, low[:, 0], high[:, 1]] * right
    lower = frames[:, high[:, 0], low[:, 1]] * (1 - right) + frames[:, high[:, 0], high[:, 1]] * right
    return np.where(inside, upper * (1 - down) + lower * down, np.nan)


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(P, n) difference of two profiles, weighted so that its squares add up to independent samples only.

    Gain and offset of the images differ: profiles are brought to mean 0 and SD 1 over the line and the beat first.
    0 where either is outside its image.
    """
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < 20:
        return np.zeros_like(a)

    def normalised(p: np.ndarray) -> np.ndarray:
        inside = p[both]
        return (np.where(both, p, 0.0) - inside.mean()) / (inside.std() + 1e-12)

    return np.where(both, normalised(a) - normalised(b), 0.0) * np.sqrt(_STEP_MM / _CORRELATION_MM / len(a))


def _root_mean_square(difference: np.ndarray) -> float:
    """Of the unweighted difference of normalised profiles."""
    return float(np.sqrt((difference**2).mean() * _CORRELATION_MM * len(difference) / _STEP_MM))

"""A landmark's path over the beat: a periodic harmonic series in patient space (fitted by trajectory_fit).

LPS millimetres; phases in [0, 1) of the RR; velocities in mm/s of the view's own beat.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .alignment import PhaseWarp
from .landmarks import Landmark


def harmonic_basis(phases: np.ndarray, order: int, derivative: int = 0) -> np.ndarray:
    """(...,) phases -> (..., 2 order + 1): 1, cos 2πφ, sin 2πφ, cos 4πφ, …, or their derivative by φ."""
    angles = 2 * np.pi * np.arange(1, order + 1)
    turned = np.asarray(phases, dtype=np.float64)[..., None] * angles + derivative * np.pi / 2
    basis = np.empty((*turned.shape[:-1], 2 * order + 1))
    basis[..., 0] = derivative == 0
    basis[..., 1::2] = np.cos(turned) * angles**derivative
    basis[..., 2::2] = np.sin(turned) * angles**derivative
    return basis


@dataclass(frozen=True)
class Trajectory:
    """The smooth periodic path of one landmark in one view.

    landmark, view: whose path, seen where.
    coefficients: (2 order + 1, 3) LPS mm, of `harmonic_basis` over the view's own phase.
    order: number of harmonics. order_given: the user stated the order (else it was chosen from the
        number of frames and the RR).
    rr_ms: the view's own RR, NaN where unknown (velocities are NaN then).
    covariance: (2 order + 1, 2 order + 1), unitless: times `noise_covariance` it is the coefficients' covariance.
    noise_covariance: (3, 3) mm², scatter of one fully trusted automatic point about the path.
    phases: (T,) the frames' own phases. points: (T, 3) LPS mm, NaN where absent.
    residuals: (T,) mm, distance of each frame's point from the path, NaN where absent.
    weights: (T,) weight of each frame in the last iteration, 0 where absent or near 0 for an outlier.
    provenance: (T,) uint8 of landmarks.Provenance.
    effective_parameters: degrees of freedom the fit used, per coordinate.
    warp: from the study's common phase to the view's own.
    """

    landmark: Landmark
    view: str
    coefficients: np.ndarray
    order: int
    order_given: bool
    rr_ms: float
    covariance: np.ndarray
    noise_covariance: np.ndarray
    phases: np.ndarray
    points: np.ndarray
    residuals: np.ndarray
    weights: np.ndarray
    provenance: np.ndarray
    effective_parameters: float
    warp: PhaseWarp = field(default_factory=PhaseWarp)

    def evaluate(self, phases: np.ndarray | float) -> np.ndarray:
        """(...,) common phases -> (..., 3) LPS mm."""
        return harmonic_basis(self.warp(phases), self.order) @ self.coefficients

    def velocity(self, phases: np.ndarray | float) -> np.ndarray:
        """(...,) common phases -> (..., 3) mm/s in the view's own beat; NaN where its RR is unknown."""
        slope = harmonic_basis(self.warp(phases), self.order, 1) @ self.coefficients
        return slope / (self.rr_ms / 1000.0)

    def band(self, phases: np.ndarray | float) -> np.ndarray:
        """(...,) common phases -> (...,) mm: one standard deviation of the path, root mean square over its plane.

        From the scatter about the fit; for automatic points widened, as errors of neighbouring frames are alike
        (trajectory_fit.ALIKE). An error the detector makes in the whole beat is not in it (path_draws.py).
        """
        basis = harmonic_basis(self.warp(phases), self.order)
        leverage = np.einsum("...i,ij,...j->...", basis, self.covariance, basis)
        return np.sqrt(np.maximum(leverage, 0.0) * np.trace(self.noise_covariance) / 2)

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """(n, 2 order + 1, 3) LPS mm: coefficients drawn from the fit's uncertainty."""
        left, right = _root(self.covariance), _root(self.noise_covariance)
        normal = rng.standard_normal((n, *self.coefficients.shape))
        return self.coefficients + left @ normal @ right.T


def _root(covariance: np.ndarray) -> np.ndarray:
    """(n, n) square root of a positive semi-definite matrix (in-plane noise has rank 2, so no Cholesky)."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0.0))

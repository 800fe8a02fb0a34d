"""When is a landmark there, and how sure is its place: a heat-map model's decision, calibrated on synthetic cines.

    python -m CardiacValveLandmarksLib.training.calibrate ID

draws synthetic patients no shard and no evaluation uses and writes the decision into the package's catalogue. The
thresholds come from patients half of whom have unusual anatomy and poor images; the confidence from patients outside
the range of the training, half of them far outside, because that is what a real heart is to a network that has seen
synthetic ones only. For developers, after training new built-in weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
from scipy import optimize

from ..detection.heatmap import HeatmapDetector
from ..landmarks import VIEWS, view_mask
from ..models.catalogue import record_decision, resolve_model
from ..models.engine import available_threads, open_engine
from ..models.spec import Decision
from ..phantom.cines import synthetic_study
from ..phantom.planes import OTHER_VIEWS

#: calibration studies have seeds from here on
FIRST_SEED = 2_000_000
#: "sure" means closer than this
NEAR_MM = 5.0
#: share of the landmarks that are there, and of the views, that must be kept on synthetic cines: a view that is not
#: recognised can be stated, another plane taken for a view cannot be told from one
KEPT, KEPT_VIEWS = 0.999, 0.995


#: frames of a cine. Thresholds must hold for cines that are less than a beat too; confidence is told from a whole one,
#: in which path and motion are known (detection.beat_path)
FEW, WHOLE = 4, 12
#: (width of anatomy, width of contrast): see phantom.cines; training goes up to 1.7
ORDINARY, HARD, OUTSIDE, FAR_OUTSIDE = (1.0, 0.8), (1.6, 1.6), (2.2, 2.2), (2.6, 3.2)


def collect(
    model: str,
    studies: int,
    kinds: tuple[tuple[float, float], ...] = (ORDINARY, HARD),
    first_seed: int = FIRST_SEED,
    frames: int = FEW,
    processes: int = 1,
) -> dict[str, np.ndarray]:
    """signs (n, 3) (detection.result.Found) and error (mm, NaN where the landmark is not there) of every landmark of
    the stated view; and for each cine its best view score and whether it is that view (1, else 0).

    Every fourth cine is a plane that is none of the views, with a view stated wrongly: nothing is there.
    """
    processes = min(processes, studies)
    shares = [range(number, studies, processes) for number in range(processes)]
    if processes == 1:
        parts = [_collect(model, kinds, first_seed, frames, shares[0])]
    else:
        with ProcessPoolExecutor(processes) as pool:
            parts = list(pool.map(partial(_collect, model, kinds, first_seed, frames), shares))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _collect(
    model: str, kinds: tuple[tuple[float, float], ...], first_seed: int, frames: int, indices: Iterable[int]
) -> dict[str, np.ndarray]:
    spec = resolve_model(model)
    engine = open_engine(spec.path, spec.architecture, threads=1, checksum=spec.checksum)
    columns: dict[str, list[np.ndarray]] = {"signs": [], "error": [], "score": [], "is_view": []}
    for index in indices:
        width, contrast_width = kinds[index % len(kinds)]
        study = synthetic_study(
            first_seed + index,
            kinds=(*VIEWS, OTHER_VIEWS[index % len(OTHER_VIEWS)]),
            frames=frames,
            width=width,
            contrast_width=contrast_width,
        )
        for item in study.items:
            view = item.kind if item.kind in VIEWS else VIEWS[index % 3]
            found = HeatmapDetector(item.cine, spec, engine, True, None, None).find(view)
            likeliest = max(found.view_scores, key=found.view_scores.get)
            columns["score"].append(np.array([found.view_scores[likeliest]]))
            columns["is_view"].append(np.array([likeliest == item.kind]))
            shown = view_mask(view)
            gap = np.linalg.norm((found.positions - item.truth.positions) * item.cine.spacing, axis=-1)
            columns["signs"].append(found.signs[:, shown].reshape(-1, found.signs.shape[-1]))
            columns["error"].append(gap[:, shown].ravel())
    return {name: np.concatenate(values) for name, values in columns.items()}


def _threshold(values: np.ndarray, positive: np.ndarray, kept: float) -> float:
    """The highest threshold that keeps this share of the positives. (The one that separates best on synthetic cines is
    higher, and too high elsewhere: every model is less sure of images unlike those it was trained on.)"""
    return float(np.floor(np.quantile(values[positive], 1 - kept, method="lower") * 100) / 100)


def fit_decision(known: dict[str, np.ndarray], outside: dict[str, np.ndarray]) -> Decision:
    """A model's decision from what `collect` gives for patients of the training's range and outside it.

    presence, view: the highest thresholds that keep KEPT of the landmarks and KEPT_VIEWS of the views, in the range.
    confidence: the logistic that best predicts an error under 5 mm outside the range, among the present above the
    threshold (maximum likelihood, light ridge).
    """
    presence = _threshold(known["signs"][:, 0], np.isfinite(known["error"]), KEPT)
    view = _threshold(known["score"], known["is_view"].astype(bool), KEPT_VIEWS)
    signs, error = outside["signs"], outside["error"]
    used = np.isfinite(error) & (signs[:, 0] >= presence)
    features = np.column_stack([np.ones(used.sum()), signs[used]])
    near = error[used] <= NEAR_MM

    def cost(weights: np.ndarray) -> float:
        logit = features @ weights
        return float(np.logaddexp(0, np.where(near, -logit, logit)).sum() + 0.05 * (weights**2).sum())

    fitted = optimize.minimize(cost, np.array([0.0, 2.0, -0.3, -0.2]))
    return Decision(round(presence, 3), round(view, 3), tuple(round(float(value), 4) for value in fitted.x))


def main(arguments: list[str]) -> int:
    for model in arguments:
        cores = available_threads()
        known = collect(model, 120, processes=cores)
        outside = collect(model, 40, (OUTSIDE, FAR_OUTSIDE), FIRST_SEED + 1000, WHOLE, cores)
        decision = fit_decision(known, outside)
        record_decision(model, decision)
        print(
            f"{model}: presence from {decision.presence}, view from {decision.view}, confidence {decision.confidence}"
        )
    return 0


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))

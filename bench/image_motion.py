"""What it is worth that landmarks follow the image's motion (detection/image_motion.py): errors of the network's points
beside those of the paths, on whole synthetic cines nobody trained on, view stated, every landmark that is marked. And
whether paths fitted to them are as certain as they say: how often the truth of a displacement from end-diastole to
end-systole, along each axis of the image, lies within 1.96 of its standard deviation, as stated (trajectory_fit.ALIKE
times the scatter's) and as the scatter alone would have it.

    python bench/image_motion.py [--patients 10] [--frames 20] [--first-seed 5000000]
"""

from __future__ import annotations

import argparse

import numpy as np
from CardiacValveLandmarksLib.detection import detect, heatmap
from CardiacValveLandmarksLib.phantom.cines import synthetic_study
from CardiacValveLandmarksLib.training.calibrate import FAR_OUTSIDE, HARD, ORDINARY, OUTSIDE
from CardiacValveLandmarksLib.trajectory import harmonic_basis
from CardiacValveLandmarksLib.trajectory_fit import ALIKE, fit_cine

#: seeds of patients that no training, calibration or evaluation uses; the numbers of this step were chosen on them
FIRST_SEED = 5_000_000
#: about end-systole, of the beat
SYSTOLE = 0.35
KINDS = {"ordinary": ORDINARY, "hard": HARD, "outside the training": OUTSIDE, "far outside": FAR_OUTSIDE}


def scores(item, landmarks) -> np.ndarray:
    """Errors of displacements from end-diastole to end-systole over their stated standard deviation."""
    geometry = item.cine.geometry
    axes = geometry.directions
    frames = [0, round(SYSTOLE * item.cine.n_frames)]
    found = []
    for path in fit_cine(item.cine, landmarks, item.kind).trajectories:
        basis = harmonic_basis(item.cine.phases[frames], path.order)
        truth = geometry.to_patient(item.truth.positions[frames, path.landmark.index])
        drawn = np.diff(basis @ path.sample(200, np.random.default_rng(1)), axis=1)[:, 0] @ axes.T
        off = (np.diff(basis @ path.coefficients, axis=0) - np.diff(truth, axis=0))[0] @ axes.T
        found.append(np.abs(off) / drawn.std(0))
    found = np.array(found).ravel()
    return found[np.isfinite(found)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=10)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    options = parser.parse_args()
    follow, seen = heatmap.follow_motion, []

    def recorded(frames, spacing, positions, spread_mm):
        seen.append((positions, follow(frames, spacing, positions, spread_mm)))
        return seen[-1][1]

    heatmap.follow_motion = recorded
    print(
        "| mean / median / 95 %, mm | points | as the network marks them | as the image moves "
        "| displacements within 1.96 SD | of the scatter's |\n|---|---|---|---|---|---|"
    )
    for name, (width, contrast_width) in KINDS.items():
        errors, certain = ([], []), []
        for seed in range(options.first_seed, options.first_seed + options.patients):
            study = synthetic_study(seed, frames=options.frames, width=width, contrast_width=contrast_width)
            for item in study.items:
                certain.append(scores(item, detect(item.cine, view=item.kind).landmarks))
                for part, positions in zip(errors, seen[-1], strict=True):
                    gap = np.linalg.norm((positions - item.truth.positions) * item.cine.spacing, axis=-1)
                    part.append(gap[np.isfinite(gap)])
        before, after = (np.concatenate(part) for part in errors)
        cells = [f"{e.mean():.2f} / {np.median(e):.2f} / {np.quantile(e, 0.95):.1f}" for e in (before, after)]
        ratio = np.concatenate(certain)
        cells += [f"{(ratio < limit).mean():.0%}" for limit in (1.96, 1.96 / ALIKE)]
        print(f"| {name} | {len(before)} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

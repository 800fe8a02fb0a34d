"""What it is worth that landmarks follow the image's motion (detection/image_motion.py): errors of the network's points
beside those of the paths, on whole synthetic cines nobody trained on, view stated, every landmark that is marked.

    python bench/image_motion.py [--patients 10] [--frames 20]
"""

from __future__ import annotations

import argparse

import numpy as np
from CardiacValveLandmarksLib.detection import detect, heatmap
from CardiacValveLandmarksLib.phantom.cines import synthetic_study
from CardiacValveLandmarksLib.training.calibrate import FAR_OUTSIDE, HARD, ORDINARY, OUTSIDE

#: seeds of patients nothing else uses
FIRST_SEED = 5_000_000
KINDS = {"ordinary": ORDINARY, "hard": HARD, "outside the training": OUTSIDE, "far outside": FAR_OUTSIDE}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=10)
    parser.add_argument("--frames", type=int, default=20)
    options = parser.parse_args()
    follow, seen = heatmap.follow_motion, []

    def recorded(frames, spacing, positions, spread_mm):
        seen.append((positions, follow(frames, spacing, positions, spread_mm)))
        return seen[-1][1]

    heatmap.follow_motion = recorded
    print("| mean / median / 95 %, mm | points | as the network marks them | as the image moves |\n|---|---|---|---|")
    for name, (width, contrast_width) in KINDS.items():
        errors: tuple[list, list] = ([], [])
        for seed in range(FIRST_SEED, FIRST_SEED + options.patients):
            study = synthetic_study(seed, frames=options.frames, width=width, contrast_width=contrast_width)
            for item in study.items:
                detect(item.cine, view=item.kind)
                for part, positions in zip(errors, seen[-1], strict=True):
                    gap = np.linalg.norm((positions - item.truth.positions) * item.cine.spacing, axis=-1)
                    part.append(gap[np.isfinite(gap)])
        before, after = (np.concatenate(part) for part in errors)
        cells = [f"{e.mean():.2f} / {np.median(e):.2f} / {np.quantile(e, 0.95):.1f}" for e in (before, after)]
        print(f"| {name} | {len(before)} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

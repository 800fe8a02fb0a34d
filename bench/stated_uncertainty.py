"""What ± rests on, and whether it holds: ordinary synthetic patients nobody trained on, view stated, no ensemble.

    python bench/stated_uncertainty.py [--patients 24 20 8]

1. What an automatic landmark is off all over the beat, mm in each direction of the image (path_draws.WHOLE_BEAT_MM).
2. How far it goes of what it should, along the principal direction of the true motion (path_draws.STRETCH).
3. Of how many measures of `cvl study` the truth (the same study of the true landmarks) lies within 1.96 of ±; images
   themselves are not used for shifts and doubts there.
Prints lines for docs/MODEL_CARD.md and docs/panel-measures.md.
"""

from __future__ import annotations

import argparse

import numpy as np
from CardiacValveLandmarksLib.detection import detect
from CardiacValveLandmarksLib.landmarks import in_view
from CardiacValveLandmarksLib.phantom.cines import synthetic_study
from CardiacValveLandmarksLib.study import StudySettings
from CardiacValveLandmarksLib.study_build import build_study

#: seeds of the patients of the three parts, and frames a cine of the first (None: as synthetic studies have)
FIRST_SEEDS, FRAMES = (8_100_000, 8_200_000, 9_400), 16
#: paths with fewer frames that have the landmark say too little
FEWEST = 8
MEASURES = (
    *("mapse_septal", "mapse_lateral", "mapse_anterior", "mapse_inferior", "mapse_mean", "mapse_mean_4ch"),
    *("excursion_4ch", "tapse", "lv_length_ed", "lv_length_4ch_ed", "longitudinal_shortening"),
    *("longitudinal_shortening_4ch", "mitral_4ch_ed", "mitral_area_ed", "mitral_sweep", "s_mean", "e_mean"),
)


def paths(first: int, patients: int, frames: int | None):
    """(view, landmark, found, true) of each landmark, (n, 2) mm in the frames that have it."""
    options = {} if frames is None else {"frames": frames}
    for seed in range(first, first + patients):
        for item in synthetic_study(seed, **options).items:
            found = detect(item.cine, view=item.kind, tta=False).landmarks.positions * item.cine.spacing
            true = item.truth.positions * item.cine.spacing
            for landmark in in_view(item.kind):
                there = np.isfinite(found[:, landmark.index, 0]) & np.isfinite(true[:, landmark.index, 0])
                if there.sum() >= FEWEST:
                    yield item.kind, landmark, found[there, landmark.index], true[there, landmark.index]


def whole_beat(patients: int) -> None:
    """Part 1."""
    off: dict[tuple[str, str], list[np.ndarray]] = {}
    for view, landmark, found, true in paths(FIRST_SEEDS[0], patients, FRAMES):
        off.setdefault((view, landmark.name), []).append((found - true).mean(0))
    for (view, name), values in off.items():
        print(f"{view} {name}: {_rms(values):.2f} mm off all over the beat, in each direction")
    print(f"all: {_rms([value for values in off.values() for value in values]):.2f} mm", flush=True)


def stretch(patients: int) -> None:
    """Part 2, of valve points: the apex hardly moves."""
    ratios: dict[tuple[str, str], list[float]] = {}
    for view, landmark, found, true in paths(FIRST_SEEDS[1], patients, None):
        if landmark.valve:
            moved = true - true.mean(0)
            along = np.linalg.svd(moved, full_matrices=False)[2][0]
            a, b = moved @ along, (found - found.mean(0)) @ along
            ratios.setdefault((view, landmark.name), []).append(float(a @ b / (a @ a)))
    for (view, name), values in ratios.items():
        print(f"{view} {name}: goes {np.mean(values):.3f} of the way")
    every = np.concatenate(list(ratios.values()))
    print(f"all {len(every)} paths: {every.mean():.3f}, rms about 1 {_rms(every - 1):.3f}", flush=True)


def measures(patients: int) -> None:
    """Part 3."""
    settings = StudySettings(motion_check=False, shift_images=False)
    inside, errors = [], {}
    for seed in range(FIRST_SEEDS[2], FIRST_SEEDS[2] + patients):
        items = synthetic_study(seed).items
        looked = [detect(item.cine, view=item.kind, tta=False).landmarks for item in items]
        found = build_study([(item.cine, one) for item, one in zip(items, looked, strict=True)], settings)
        true = build_study([(item.cine, item.truth) for item in items], settings)
        for key in MEASURES:
            ours, theirs = found.measure(key), true.measure(key)
            if ours is not None and theirs is not None and np.isfinite([ours.value, theirs.value]).all():
                error = ours.value - theirs.value
                inside.append(abs(error) <= 1.96 * ours.uncertainty)
                errors.setdefault(key, []).append((error, ours.uncertainty))
    for key, values in errors.items():
        off, stated = np.transpose(values)
        print(f"{key}: error {_rms(off):.2f} rms, ± {stated.mean():.2f}")
    print(f"truth within 1.96 of ± in {sum(inside)} of {len(inside)} measures")


def _rms(values) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, nargs=3, default=(24, 20, 8), metavar="N", help="of each part")
    options = parser.parse_args()
    for part, patients in zip((whole_beat, stretch, measures), options.patients, strict=True):
        part(patients)


if __name__ == "__main__":
    main()

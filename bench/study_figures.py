"""Measures what a study is worth against exact truth: paths, MAPSE, TAPSE, ED and ES, rings, breath-hold shifts.

python bench/study_figures.py [--seeds 100] [--image-seeds 20] [--frames 25] [--biv-me FOLDER] [--phantom 6]
The synthetic study is Testing/study/synthetic_truth.py; its images are smooth solids. --phantom adds the shifts on the
library's own synthetic heart. --biv-me: guide points of a real patient, read as landmarks.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "CardiacValveLandmarks"), str(ROOT / "Testing" / "study")]

import synthetic_truth as synthetic  # noqa: E402
from CardiacValveLandmarksLib.alignment import phase_difference  # noqa: E402
from CardiacValveLandmarksLib.annulus_fit import RING_METHODS, fit_ring  # noqa: E402
from CardiacValveLandmarksLib.beat_quantities import ring_area  # noqa: E402
from CardiacValveLandmarksLib.breathhold import without_common  # noqa: E402
from CardiacValveLandmarksLib.geometry import SliceGeometry  # noqa: E402
from CardiacValveLandmarksLib.landmarks import VIEWS  # noqa: E402
from CardiacValveLandmarksLib.measurements import EXCURSION_AXES  # noqa: E402
from CardiacValveLandmarksLib.study import StudySettings  # noqa: E402
from CardiacValveLandmarksLib.study_build import build_study  # noqa: E402

FINE = np.arange(200) / 200
QUICK = StudySettings(motion_check=False, samples=10)


def row(what: str, value: str, target: str = "") -> None:
    print(f"| {what} | {value} | {target} |", flush=True)


def reference():
    """The study of exact, finely sampled points: its measures are the truth, by the same definitions."""
    exact = synthetic.make(frames=dict.fromkeys(VIEWS, 400))
    return build_study(exact.entries, StudySettings(motion_check=False, samples=10, order=20))


def paths(seeds: int, frames: dict[str, int] | None) -> None:
    truth = reference()
    smallest = min((frames or synthetic.FRAMES).values())
    keys = ("mapse_septal", "mapse_lateral", "mapse_anterior", "mapse_inferior", "mapse_mean", "tapse")
    keys += ("s_lateral", "e_lateral", "e_septal", "lv_length_ed", "longitudinal_shortening", "mitral_area_ed")
    errors, phases, differences, covered = [], [], {key: [] for key in keys}, {key: [] for key in keys}
    exact = {view: synthetic.truth(view, FINE) for view in VIEWS}
    for seed in range(seeds):
        study = build_study(synthetic.make(seed, 1.0, frames=frames).entries, StudySettings(motion_check=False))
        for t in study.trajectories:
            off = t.evaluate(FINE) - exact[t.view][:, t.landmark.index]
            errors.append((off**2).sum(-1).mean() / 2)
        phases.append(
            [abs(phase_difference(study.ed_phase, 0.0)), abs(phase_difference(study.es_phase, synthetic.ES_PHASE))]
        )
        for key in keys:
            measure = study.measure(key)
            differences[key].append(measure.value - truth.measure(key).value)
            covered[key].append(abs(differences[key][-1]) < 2 * measure.uncertainty)
    row("path error, per image axis, of 1 mm noise", f"{np.sqrt(np.mean(errors)):.2f} mm", "≤ 0.6")
    within = (np.array(phases) <= 1 / smallest).mean(0)
    row(f"ED, ES within one frame (1/{smallest} of the beat)", f"{within[0]:.0%}, {within[1]:.0%}", "≥ 95 %")
    for key in keys:
        values = np.array(differences[key])
        unit = truth.measure(key).unit
        target = "bias ≤ 0.3, SD ≤ 0.8" if key.startswith(("mapse", "tapse")) else ""
        text = f"bias {values.mean():+.2f}, SD {values.std():.2f} {unit}; in 2 SD stated {np.mean(covered[key]):.0%}"
        row(f"{key} (truth {truth.measure(key).value:.1f})", text, target)


def rings(seeds: int) -> None:
    """Points at ED with noise and shifts of 1.5 mm, no help from the beat; then whole studies."""
    phase = np.array([0.0])
    true = synthetic.ring(phase)[0]
    area = ring_area(synthetic.ring(phase)[0][:-1])
    numbers = {"2CH": (1, 2), "3CH": (3, 4), "4CH": (5, 6)}
    for noise, shift in ((0.0, 0.0), (1.0, 0.0), (1.5, 1.5)):
        rng = np.random.default_rng(0)
        found = {method: ([], []) for method in RING_METHODS}
        for _ in range(seeds if noise else 1):
            points = []
            for view in VIEWS:
                plane = synthetic.geometry(view)
                axes = plane.directions
                moved = rng.normal(0, 1, 2) * shift
                for number in numbers[view]:
                    exact = synthetic.truth(view, phase)[0, number - 1]
                    points.append(exact + (moved + rng.normal(0, 1, 2) * noise) @ axes)
            for method, (distances, areas) in found.items():
                nodes = fit_ring(np.array(points), synthetic.APEX_DIRECTION, 2, method).nodes(np.array(points), 64)
                apart = np.linalg.norm(nodes[:, None] - true[None], axis=-1).min(1)
                distances.append((apart**2).mean())
                areas.append(ring_area(nodes) / area - 1)
        for method, (distances, areas) in found.items():
            target = "rms ≤ 2.7, area bias ≤ 2 %" if (noise, method) == (1.5, "fourier") else ""
            text = f"rms {np.sqrt(np.mean(distances)):.2f} mm; area bias {np.mean(areas):+.1%}, SD {np.std(areas):.1%}"
            row(f"ring at ED, {method}, noise {noise} mm, shifts {shift} mm", text, target)
    distances, areas = [], []
    for seed in range(max(seeds // 4, 5)):
        rng = np.random.default_rng(seed)
        shifts = {view: rng.normal(0, 1.5, 2) for view in VIEWS}
        study = build_study(synthetic.make(seed, 1.5, shifts).entries, QUICK)
        ring = study.annulus("mitral")
        true_rings = synthetic.ring(ring.phases)
        for nodes, real in zip(ring.nodes, true_rings, strict=True):
            distances.append((np.linalg.norm(nodes[:, None] - real[None], axis=-1).min(1) ** 2).mean())
        areas.append((ring_area(ring.nodes) / ring_area(true_rings[:, :-1]) - 1).mean())
    text = f"rms {np.sqrt(np.mean(distances)):.2f} mm; area bias {np.mean(areas):+.1%}, SD {np.std(areas):.1%}"
    row("ring over the beat from fitted paths, noise and shifts 1.5 mm", text, "rms ≤ 2.7, area bias ≤ 2 %")


def _up_to_5(rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    return rng.uniform(0, 5) * np.array([np.cos(angle), np.sin(angle)])


def _score(what: str, true: list, studies: list, geometries: list) -> None:
    errors, intervals, both = [], [], []
    for imposed, study, planes in zip(true, studies, geometries, strict=True):
        keep = without_common(planes)
        off = keep @ np.concatenate([s.shift_mm for s in study.shifts]) + keep @ np.concatenate(imposed)
        errors.append(off)
        intervals.append(np.concatenate([s.interval_mm for s in study.shifts]))
        both += [(np.abs(e) <= s.interval_mm).all() for e, s in zip(off.reshape(-1, 2), study.shifts, strict=True)]
    errors, intervals = np.array(errors), np.array(intervals)
    median = np.median(np.linalg.norm(errors.reshape(-1, 2), axis=1))
    inside = f"truth in the stated 95 % interval {(np.abs(errors) <= intervals).mean():.0%}, of both directions at once"
    width = f"intervals ± {np.median(intervals):.1f} mm"
    row(what, f"median error {median:.2f} mm; {inside} {np.mean(both):.0%}; {width}", "≤ 1.5 mm, ≥ 80 %")


#: from here on seeds that were not looked at when the constants of breathhold.py were chosen
_UNSEEN = 70_000


def breath_holds(seeds: int, images: bool) -> None:
    true, studies, geometries = [], [], []
    for seed in range(seeds):
        rng = np.random.default_rng(_UNSEEN + seed)
        shifts = {view: _up_to_5(rng) for view in VIEWS}
        studies.append(build_study(synthetic.make(_UNSEEN + seed, 1.0, shifts, images=images).entries, QUICK))
        true.append([shifts[view] for view in VIEWS])
        geometries.append([synthetic.geometry(view) for view in VIEWS])
    kind = "landmarks and smooth solids" if images else "landmarks only"
    _score(f"shifts up to 5 mm, {kind}, {seeds} seeds", true, studies, geometries)


def phantom_shifts(seeds: int) -> None:
    """The library's synthetic heart; a shift is imposed by stating the plane elsewhere."""
    from CardiacValveLandmarksLib.phantom.cines import synthetic_study

    true, studies, geometries = [], [], []
    for seed in range(seeds):
        rng = np.random.default_rng(_UNSEEN + seed)
        entries, imposed, planes = [], [], []
        for item in synthetic_study(_UNSEEN + seed).items:
            g = item.cine.geometry
            shift = _up_to_5(rng)
            moved = g.origin + shift @ g.directions
            cine = item.cine.replace(geometry=SliceGeometry(moved, g.axis0, g.axis1, g.thickness))
            noise = rng.normal(0, 1, item.truth.positions.shape) / g.spacing
            entries.append((cine, item.truth.replace(positions=item.truth.positions + noise)))
            imposed.append(shift)
            planes.append(g)
        studies.append(build_study(entries, QUICK))
        true.append(imposed)
        geometries.append(planes)
    _score(f"shifts up to 5 mm, the library's synthetic heart, {seeds} seeds", true, studies, geometries)


def guide_points(folder: str) -> None:
    from CardiacValveLandmarksLib.cine import Cine
    from CardiacValveLandmarksLib.export.bivme_files import guide_point_landmarks, read_guide_points

    entries = []
    for view, (series, geometry) in guide_point_landmarks(read_guide_points(folder)).items():
        entries.append((Cine(np.zeros((series.n_frames, 8, 8)), geometry, name=view.lower()), series))
    study = build_study(entries, QUICK)
    targets = {
        "excursion_4ch": "18.0 ± 1.2 mm",
        "excursion_2ch": "13.6 ± 1.2 mm",
        "excursion_3ch": "11.0 ± 1.2 mm",
        "lv_length_ed": "100.9 ± 1.5 mm",
        "lv_length_min": "83.9 ± 1.5 mm",
    }
    for key, target in targets.items():
        row(f"biv-me {key}", f"{study.measure(key).value:.1f} mm", target)
    for axis in EXCURSION_AXES[1:]:
        other = build_study(entries, replace(QUICK, excursion=axis))
        values = " / ".join(f"{other.measure(key).value:.1f}" for key in list(targets)[:3])
        row(f"biv-me excursions 4CH / 2CH / 3CH along the {axis}", f"{values} mm")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--image-seeds", type=int, default=20)
    parser.add_argument("--phantom", type=int, default=0, metavar="SEEDS")
    parser.add_argument("--frames", type=int, help="in every view (default: 25, 50 and 30)")
    parser.add_argument("--biv-me", metavar="FOLDER")
    options = parser.parse_args()
    frames = None if options.frames is None else dict.fromkeys(VIEWS, options.frames)
    start = time.perf_counter()
    print(f"{options.seeds} seeds, 1 mm noise, frames {frames or synthetic.FRAMES}\n\n| what | measured | target |")
    print("|---|---|---|")
    paths(options.seeds, frames)
    rings(options.seeds)
    breath_holds(options.seeds, images=False)
    if options.image_seeds:
        breath_holds(options.image_seeds, images=True)
    if options.phantom:
        phantom_shifts(options.phantom)
    if options.biv_me:
        guide_points(options.biv_me)
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()

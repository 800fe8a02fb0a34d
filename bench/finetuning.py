"""Fine-tuning measured: error before and after 2, 5 and 10 corrected cines, on other patients of that kind and on
ordinary ones. `python bench/finetuning.py [KIND ...]`; prints a table for docs/finetuning.md. Synthetic patients only.

The kinds were left out of the built-in model's training: `ebstein`, a septal tricuspid hinge 27 to 37 mm nearer to the
apex than the mitral one (training: at most 22); `dark-blood`, blood dark and tissue bright (training: bright blood), by
turning an ordinary image's intensities round; `black-blood`, blood without signal, as after double inversion recovery,
tissue by tissue, so that no curve leads there from a cine; `dilated`, a left ventricle 84 to 100 mm wide and hardly
moving (training: at most 71 mm).
A person's work is imitated: in each cine every landmark is placed, 1 mm SD from the truth, in five frames of ten, and
follows in those between. Each cine is of another patient; the views take turns
(`ebstein`: 4CH alone, the others look as usual).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from CardiacValveLandmarksLib.correction import Correction
from CardiacValveLandmarksLib.errors import ModelError
from CardiacValveLandmarksLib.landmarks import LandmarkSeries, Provenance
from CardiacValveLandmarksLib.phantom.cines import SyntheticCine, synthetic_study
from CardiacValveLandmarksLib.phantom.contrast import Contrast
from CardiacValveLandmarksLib.phantom.render import Patient
from CardiacValveLandmarksLib.training.corrections import CorrectedCine
from CardiacValveLandmarksLib.training.finetune import Case, Score, finetune, score
from CardiacValveLandmarksLib.training.settings import make_settings

CINES = (2, 5, 10)
#: seeds of patients: corrected ones, others of the kind, ordinary ones
CORRECTED, OTHERS, ORDINARY = 16_000_000, 16_500_000, 17_000_000
#: levels of tissues in a black-blood image; where none is given it is a cine's
BLACK_BLOOD = {
    **dict.fromkeys(("blood_left", "blood_la", "blood_aorta", "blood_right", "blood_ra"), (0.02, 0.12)),
    **dict.fromkeys(("lv_wall", "rv_wall"), (0.45, 0.75)),
    **dict.fromkeys(("leaflet", "vessel_wall", "muscle", "liver"), (0.4, 0.7)),
    "trabeculae": (0.25, 0.6), "spleen": (0.6, 1.0), "fat": (0.9, 1.6), "skin_fat": (1.0, 1.8),
    "lung_vessel": (0.05, 0.2), "csf": (0.05, 0.4),
}  # fmt: skip
#: cines to measure on, and frames of each
MEASURED, FRAMES = 18, 2


def patient(kind: str, seed: int) -> Patient:
    """A patient of the kind."""
    rng = np.random.default_rng([seed, 61])
    drawn = Patient.sample(rng)
    if kind == "dilated":
        drawn = replace(drawn, anatomy=drawn.anatomy.replace(
            lv_radius=rng.uniform(42, 50), lv_length=rng.uniform(108, 125), wall=rng.uniform(4.5, 6.0),
            wall_septal_extra=0.0, thickening=rng.uniform(0.05, 0.12), mitral_radius=rng.uniform(23, 27),
            la_radius=rng.uniform(36, 44), descent=rng.uniform(3, 5),
        ))  # fmt: skip
    if kind == "ebstein":
        drawn = replace(drawn, anatomy=drawn.anatomy.replace(
            tricuspid_offset=rng.uniform(27, 37), tricuspid_radius=rng.uniform(21, 24), ra_radius=rng.uniform(31, 36)
        ))  # fmt: skip
    return drawn


def black_blood(rng: np.random.Generator) -> Contrast:
    """An ordinary acquisition whose tissues have other levels, relative to bright blood as all of them."""
    drawn = Contrast.sample(rng, 0.8)
    levels = {name: (rng.uniform(*BLACK_BLOOD.get(name, (level, level))), texture) for name, (level, texture)
              in drawn.levels.items()}  # fmt: skip
    return replace(drawn, levels=levels, jets=())


def cine(kind: str, seed: int, view: str, frames: int) -> SyntheticCine:
    """One view of one patient of the kind."""
    look = black_blood if kind == "black-blood" else None
    item = synthetic_study(seed, kinds=(view,), frames=frames, patient=patient(kind, seed), contrast=look).items[0]
    if kind == "dark-blood":
        top = np.percentile(item.cine.frames, 99.5)
        level = np.clip(item.cine.frames / top, 0, 1.2)
        dark = np.where(level < 0.1, level, 0.1 + (1.2 - level) * 0.8)  # air stays dark
        item = replace(item, cine=item.cine.replace(frames=np.round(dark * 1000)))
    return item


def corrected(item: SyntheticCine, seed: int) -> CorrectedCine:
    """What a person leaves: placed in every other frame, 1 mm SD from the truth, the rest follows."""
    rng = np.random.default_rng([seed, 62])
    truth = item.truth.positions
    shown = item.truth.present
    # the prediction that corrections start from matters only between the placed frames
    guess = LandmarkSeries(truth + rng.normal(0, 2, (1, *truth.shape[1:])), np.where(shown, 0.8, 0.9),
                           np.where(shown, Provenance.AUTO, Provenance.ABSENT), item.kind)  # fmt: skip
    work = Correction.of(guess)
    for frame in range(0, len(truth), 2):
        for index in np.flatnonzero(shown[frame]):
            place = truth[frame, index] + rng.normal(0, 1, 2) / item.cine.spacing
            work = work.place(frame, int(index) + 1, place, spread=1)
    return CorrectedCine(item.cine, work.current, f"patient-{seed}")


def views(kind: str) -> tuple[str, ...]:
    """The views that look different in this kind, in the order they are corrected."""
    return ("4CH",) if kind == "ebstein" else ("4CH", "2CH", "3CH")


def cases(kind: str, first: int) -> list[Case]:
    """Cines of other patients, the views in turn, for `score`."""
    shown = views(kind)
    items = [cine(kind, first + n, shown[n % len(shown)], FRAMES) for n in range(MEASURED)]
    return [
        Case(item.cine, item.kind, item.truth.positions, np.zeros(item.truth.present.shape, bool)) for item in items
    ]


def row(name: str, kind: Score, ordinary: Score, before: tuple[Score, Score] | None, note: str = "") -> str:
    def change(now: float, then: float) -> str:
        return f" ({(now / then - 1) * 100:+.0f} %)"

    parts = [name]
    for index, now in enumerate((kind, ordinary)):
        there = "" if before is None else change(now.mean_mm, before[index].mean_mm)
        parts.append(f"{now.mean_mm:.2f}{there} / {now.median_mm:.2f} / {now.found:.1%}")
    return "| " + " | ".join([*parts, note]) + " |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", default=["dark-blood", "ebstein"])
    parser.add_argument("--cines", type=int, nargs="+", default=CINES)
    parser.add_argument("--model", default="phantom-heatmap", metavar="ID|FILE", help="to begin from")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings, as of cvl finetune")
    parser.add_argument("--json", metavar="FILE", help="write the figures here too")
    options = parser.parse_args()
    told = {name: json.loads(value) for name, value in (item.split("=") for item in options.set)}
    began, figures = time.perf_counter(), {}
    print(
        "| | that kind: mean / median mm / found | ordinary patients | minutes, what was decided |\n|---|---|---|---|"
    )
    ordinary = cases("ordinary", ORDINARY)
    plain = score(options.model, ordinary)
    with tempfile.TemporaryDirectory() as name:
        shards = Path(name) / "shards"  # the same rehearsal images for all
        for kind in options.kinds:
            others = cases(kind, OTHERS)
            before = score(options.model, others), plain
            figures[kind] = {"0": [asdict(one) for one in before]}
            print(row(f"{kind}, before", *before, None), flush=True)
            shown = views(kind)
            items = [cine(kind, CORRECTED + n, shown[n % len(shown)], 10) for n in range(max(options.cines))]
            given = [corrected(item, CORRECTED + n) for n, item in enumerate(items)]
            for count in options.cines:
                start, folder = time.perf_counter(), Path(name) / f"{kind}-{count}"
                verdict = tune(options.model, given[:count], folder, {**told, "shards_folder": str(shards)})
                minutes = (time.perf_counter() - start) / 60
                after = tuple(score(folder / "model.onnx", part) for part in (others, ordinary))
                figures[kind][str(count)] = [asdict(one) for one in after]
                print(row(f"after {count} cines", *after, before, f"{minutes:.1f}, {verdict}"), flush=True)
    print(f"\n{(time.perf_counter() - began) / 60:.0f} minutes in all")
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=1))
    return 0


def tune(model: str, given: list[CorrectedCine], folder: Path, told: dict) -> str:
    from CardiacValveLandmarksLib.training.finetune_heatmap import HeatmapFinetuneSettings

    try:
        outcome = finetune(given, folder, model, settings=make_settings(HeatmapFinetuneSettings, told, "--set"))
    except ModelError as error:
        return f"refused: {error.found}"
    return "accepted; " + outcome.notes[-1]


if __name__ == "__main__":
    sys.exit(main())

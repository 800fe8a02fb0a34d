"""The recipe xue-heatmap and what it learned: cine, transfer to LGE and T1, short axis.

    python bench/xue_training.py FOLDER [cine] [lge] [lge-alone] [t1] [sax]
    python bench/xue_training.py FOLDER --published [--device cuda] [--workers 8] [cine] ...

trains on the synthetic heart and measures on 15 patients of another seed: at a size for a minute of one core, or at the
published one (400 x 400 pixels of 1 mm, every setting as published but for the number of images and epochs, and
mixed precision), which needs a GPU. A run goes on where it was stopped.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "CardiacValveLandmarks"))

from CardiacValveLandmarksLib.cli.train import say
from CardiacValveLandmarksLib.landmarks import by_number
from CardiacValveLandmarksLib.models.catalogue import resolve_model
from CardiacValveLandmarksLib.models.decoding import published_decision
from CardiacValveLandmarksLib.models.engine import open_engine
from CardiacValveLandmarksLib.models.intensity import scale_windows
from CardiacValveLandmarksLib.short_axis import arvi_angle
from CardiacValveLandmarksLib.training.loop import train
from CardiacValveLandmarksLib.training.point_images import standardise
from CardiacValveLandmarksLib.training.recipes.xue_heatmap import TrainingRecipe, XueSettings, figures
from CardiacValveLandmarksLib.training.synthetic_points import synthetic_points

TEST_SEED, TEST_PATIENTS = 990_000, 15
SMALL = {
    "seed": 4, "size": 64, "spacing_mm": 4.5, "sigma": 1.0, "widths": (16, 32, 64), "blocks": 1, "batch": 8,
    "learning_rate": 2e-3, "bfloat16": None, "coil_correction": 0.0, "images_each": 2, "turn_degrees": 20.0,
    "workers": 0, "checkpoint_every": 100,
}  # fmt: skip
#: all others are the recipe's defaults, which are the published ones
PUBLISHED = {"seed": 4, "bfloat16": None, "images_each": 4, "turn_degrees": 20.0, "checkpoint_every": 500}
#: patients and epochs of each run: (small, published size)
CINE, OTHER = ({"synthetic": 30, "epochs": 25}, {"synthetic": 100, "epochs": 20}), {"synthetic": 10, "epochs": 10}


def run(folder, name, common, settings):
    """The model of a run and the seconds it took (0 where it was there already)."""
    chosen = XueSettings(**{**common, **settings})
    done = folder / name / ("model.onnx" if chosen.export == "onnx" else "model.ts")
    if done.exists():
        return done, 0.0
    began = time.perf_counter()
    model = train(TrainingRecipe(chosen, folder / name), folder / name, progress=say)
    return model, time.perf_counter() - began


def measure(model, sequence, device):
    """Figures of a model on unseen patients; for the short axis also of the A-RVI angle; for the long axis a line for
    each landmark."""
    spec = resolve_model(model)
    long_axis = spec.kind == "heatmap"
    data = synthetic_points(
        spec.landmarks if long_axis else None, sequence, TEST_PATIENTS, 2, TEST_SEED, turn_degrees=SMALL["turn_degrees"]
    )
    data = standardise(data, spec.input.size, spec.input.spacing_mm, "the synthetic heart")
    engine = open_engine(spec.path, spec.architecture, device=device, threads=1)
    images = [scale_windows(image[None].astype(np.float32), spec.input.intensity) for image in data.images]
    maps = np.concatenate([engine.run({"image": image[:, None]})["heatmaps"] for image in images])
    found = published_decision(maps[:, :-1])
    result, lines = figures(found, data, spec.landmarks if long_axis else None), []
    gaps = np.linalg.norm(found - data.points, axis=-1) * spec.input.spacing_mm
    if long_axis:
        for column, number in enumerate(spec.landmarks):
            for view in by_number(number).views:
                here = gaps[np.array(data.groups) == view, column]
                here = here[np.isfinite(here)]
                lines.append(
                    f"  {view} {by_number(number).name}: {here.mean():.1f} ± {here.std():.1f} mm ({len(here)})"
                )
    else:
        turn = (arvi_angle(found) - arvi_angle(data.points) + 180) % 360 - 180
        result["arvi_degrees"] = float(np.nanmedian(np.abs(turn)))
    return result, lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("parts", nargs="*")
    parser.add_argument("--published", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_intermixed_args()
    common, cine = SMALL, CINE[options.published]
    folder = options.folder / ("published" if options.published else "small")
    if options.published:
        export = "onnx" if options.device == "cpu" else "torchscript"
        common = {**PUBLISHED, "device": options.device, "workers": options.workers, "export": export}
    other = {"points": "lax", "sequence": "LGE", **OTHER}
    transfer = {**other, "init": str(folder / "cine" / "weights.pt"), "learning_rate": 5e-4}
    runs = {
        "cine": ({"points": "lax", **cine}, ("cine", "LGE", "T1")),
        "lge": (transfer, ("LGE",)),
        "lge-alone": (other, ("LGE",)),
        "t1": ({**transfer, "sequence": "T1"}, ("T1",)),
        "sax": ({"points": "sax", **cine}, ("cine",)),
    }
    for name, (settings, sequences) in runs.items():
        if options.parts and name not in options.parts:
            continue
        model, seconds = run(folder, name, common, settings)
        for sequence in sequences:
            values, lines = measure(model, sequence, options.device)
            text = ", ".join(f"{key} {value:.3g}" for key, value in values.items())
            print(f"{name} on {sequence} ({seconds:.0f} s): {text}", *lines, sep="\n", flush=True)


if __name__ == "__main__":
    main()

"""The recipe xue-heatmap at a reduced size, and what it learned: cine, transfer to LGE and T1, short axis.

    taskset -c 1 python bench/xue_training.py FOLDER

trains on the synthetic heart and measures on 30 patients of another seed. A run goes on where it was stopped.
"""

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "CardiacValveLandmarks"))

from CardiacValveLandmarksLib.models.catalogue import resolve_model
from CardiacValveLandmarksLib.models.decoding import published_decision
from CardiacValveLandmarksLib.models.engine import open_engine
from CardiacValveLandmarksLib.models.intensity import scale_windows
from CardiacValveLandmarksLib.short_axis import arvi_angle
from CardiacValveLandmarksLib.training.loop import train
from CardiacValveLandmarksLib.training.point_images import standardise
from CardiacValveLandmarksLib.training.recipes.xue_heatmap import TrainingRecipe, XueSettings, figures
from CardiacValveLandmarksLib.training.synthetic_points import synthetic_points

TEST_SEED, TEST_PATIENTS = 990_000, 30
SMALL = {
    "seed": 4, "size": 128, "spacing_mm": 2.5, "sigma": 1.6, "widths": (16, 32, 64, 96), "blocks": 1, "batch": 8,
    "bfloat16": True, "images_each": 2, "turn_degrees": 30.0, "workers": 0, "checkpoint_every": 100,
}  # fmt: skip


def run(folder, name, **settings):
    """The model of a run and the seconds of processor time it took (0 where it was there already)."""
    done = folder / name / "model.onnx"
    if done.exists():
        return done, 0.0
    began = time.process_time()
    recipe = TrainingRecipe(XueSettings(**SMALL, **settings), folder / name)
    model = train(recipe, folder / name, progress=lambda p: print(name, p.step, p.steps, f"{p.loss:.3f}", p.validation))
    return model, time.process_time() - began


def measure(model, sequence):
    """Figures of a model on unseen patients; for the short axis also of the A-RVI angle."""
    spec = resolve_model(model)
    long_axis = spec.kind == "heatmap"
    data = synthetic_points(
        spec.landmarks if long_axis else None, sequence, TEST_PATIENTS, 2, TEST_SEED, turn_degrees=SMALL["turn_degrees"]
    )
    data = standardise(data, spec.input.size, spec.input.spacing_mm, "the synthetic heart")
    engine = open_engine(spec.path, spec.architecture, "onnx", threads=1)
    images = [scale_windows(image[None].astype(np.float32), spec.input.intensity) for image in data.images]
    maps = np.concatenate([engine.run({"image": image[:, None]})["heatmaps"] for image in images])
    found = published_decision(maps[:, :-1])
    result = figures(found, data)
    if not long_axis:
        turn = (arvi_angle(found) - arvi_angle(data.points) + 180) % 360 - 180
        result["arvi_degrees"] = float(np.nanmedian(np.abs(turn)))
    return result


def main(folder):
    lge = {"points": "lax", "sequence": "LGE", "synthetic": 24}
    transfer = {"init": str(folder / "cine" / "weights.pt"), "learning_rate": 5e-4, "epochs": 10}
    runs = {
        "cine": run(folder, "cine", points="lax", synthetic=60, epochs=20),
        "LGE, transferred": run(folder, "lge", **lge, **transfer),
        "LGE, from nothing": run(folder, "lge-alone", **lge, epochs=10),
        "T1, transferred": run(folder, "t1", **{**lge, "sequence": "T1"}, **transfer),
        "short axis": run(folder, "sax", points="sax", synthetic=60, epochs=20),
    }
    tests = [
        ("cine", "cine"), ("cine", "LGE"), ("LGE, transferred", "LGE"), ("LGE, from nothing", "LGE"), ("cine", "T1"),
        ("T1, transferred", "T1"), ("short axis", "cine"),
    ]  # fmt: skip
    for name, (_, seconds) in runs.items():
        print(f"{name}: {seconds:.0f} s of one core")
    for name, sequence in tests:
        values = measure(runs[name][0], sequence)
        print(f"{name} on {sequence}: " + ", ".join(f"{key} {value:.3g}" for key, value in values.items()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

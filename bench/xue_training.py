"""The recipe xue-heatmap at a reduced size, and what it learned: cine, transfer to LGE and T1, short axis.

    python bench/xue_training.py FOLDER [cine] [lge] [lge-alone] [t1] [sax]

trains on the synthetic heart and measures on 15 patients of another seed. A run goes on where it was stopped.
"""

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "CardiacValveLandmarks"))

from CardiacValveLandmarksLib.cli.train import say
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
    "learning_rate": 2e-3, "bfloat16": True, "coil_correction": 0.0, "images_each": 2, "turn_degrees": 20.0,
    "workers": 0, "checkpoint_every": 100,
}  # fmt: skip
LGE = {"points": "lax", "sequence": "LGE", "synthetic": 10, "epochs": 10}


def run(folder, name, **settings):
    """The model of a run and the seconds of processor time it took (0 where it was there already)."""
    done = folder / name / "model.onnx"
    if done.exists():
        return done, 0.0
    began = time.process_time()
    recipe = TrainingRecipe(XueSettings(**{**SMALL, **settings}), folder / name)
    model = train(recipe, folder / name, progress=say)
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
    result = figures(found, data, spec.landmarks if long_axis else None)
    if not long_axis:
        turn = (arvi_angle(found) - arvi_angle(data.points) + 180) % 360 - 180
        result["arvi_degrees"] = float(np.nanmedian(np.abs(turn)))
    return result


def report(name, model, seconds, *sequences):
    """A line for each sequence the model is measured on."""
    for sequence in sequences:
        values = measure(model, sequence)
        text = ", ".join(f"{key} {value:.3g}" for key, value in values.items())
        print(f"{name} on {sequence} ({seconds:.0f} s of one core): {text}", flush=True)


def main(folder, *parts):
    transfer = {**LGE, "init": str(folder / "cine" / "weights.pt"), "learning_rate": 5e-4}
    runs = {
        "cine": ({"points": "lax", "synthetic": 30, "epochs": 25}, ("cine", "LGE", "T1")),
        "lge": (transfer, ("LGE",)),
        "lge-alone": (LGE, ("LGE",)),
        "t1": ({**transfer, "sequence": "T1"}, ("T1",)),
        "sax": ({"points": "sax", "synthetic": 30, "epochs": 25}, ("cine",)),
    }
    for name, (settings, sequences) in runs.items():
        if not parts or name in parts:
            report(name, *run(folder, name, **settings), *sequences)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])

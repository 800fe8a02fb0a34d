"""How long a training step takes beside forward and backward alone: does the network ever wait for its data?

    python bench/training_speed.py [--steps 12] [--rounds 2] [--threads 1]

For each recipe, in one run and in turns: (a) the training loop as `cvl train` runs it, batches made and augmented anew
for every step in another process, the optimiser's step, the log; (b) forward and backward on a batch that is there.
Both with the same number of threads; two cores in all: one thread leaves the other core to the data. Each batch is used
for one step (the published regression training uses each for three, which is easier). The images are made up: time does
not depend on what they show, and no synthetic heart is rendered while the clock runs.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "CardiacValveLandmarks"))

import numpy as np
import torch
from CardiacValveLandmarksLib.training.dataset import LabelledImages, write_npz
from CardiacValveLandmarksLib.training.loop import train
from CardiacValveLandmarksLib.training.recipes import Recipe, recipe_class
from CardiacValveLandmarksLib.training.synthetic import CLASSES, SIZE, shard_path

#: settings that keep a step short enough to take many; per image nothing is left out
SMALL = {
    "synthetic-heatmap": {"seed": 2, "shards": 2, "first_shards": 2},
    "kcl-regression": {"batch": 8, "substeps": 1, "validate_every": 0},
    "xue-heatmap": {
        "batch": 4,
        "epochs": 0,
        "validate_every": 0,
        "assumed_spacing_mm": 1.4,
        "one_handed": False,
        "landmarks": (1, 2, 11),
    },
}


def made_up(folder: Path) -> Path:
    """A training set in the published form, and two shards of the synthetic heart's form."""
    rng = np.random.default_rng(0)
    halves = []
    for half in ("train", "test"):
        count = 24
        landmarks = np.full((count, 11, 2), np.nan)
        landmarks[:, [0, 1, 10]] = rng.uniform(60, 190, (count, 3, 2))
        patients = tuple(f"{half} {i // 4}" for i in range(count))
        images = rng.random((count, 256, 256))
        halves.append(LabelledImages(images, landmarks, ("2CH",) * count, np.full((count, 2), 1.4), patients))
    write_npz(folder / "made-up.npz", *halves)
    for number in range(2):
        with shard_path(folder, 2, number).open("wb") as stream:
            np.savez(
                stream,
                images=rng.random((256, SIZE, SIZE)).astype(np.float16),
                landmarks=rng.uniform(40, 120, (256, 11, 2)).astype(np.float32),
                classes=rng.integers(0, len(CLASSES) - 1, 256),
            )
    return folder / "made-up.npz"


def recipe_for(name: str, folder: Path, data: Path, threads: int, steps: int) -> Recipe:
    cls = recipe_class(name)
    source = {"shards_folder": str(data.parent)} if name == "synthetic-heatmap" else {"datasets": (str(data),)}
    common = {"threads": threads, "workers": 1, "steps": steps, "checkpoint_every": 10**6, "log_every": 1}
    return cls(cls.Settings(**{**SMALL[name], **common, **source}), folder)


def step_times(recipe: Recipe, folder: Path) -> list[float]:
    """Seconds of each step of a run but the first three, in which the worker starts and torch warms up."""
    marks: list[float] = []
    recipe.finish = lambda net, where: where  # files of the trained network are no part of a step
    train(recipe, folder, progress=lambda _: marks.append(time.perf_counter()))
    return [after - before for before, after in itertools.pairwise(marks[2:])]


def data_time(recipe: Recipe, batches: int = 4) -> float:
    """CPU seconds that a batch takes to be made, on one core; unlike the others the same on a busy machine."""
    torch.set_num_threads(1)
    recipe.batch(0)
    began = time.process_time()
    for number in range(1, batches + 1):
        recipe.batch(number)
    return (time.process_time() - began) / batches


def alone_times(recipe: Recipe, steps: int) -> list[tuple[float, float]]:
    """Seconds by the clock, and of CPU, of forward and backward on one and the same batch."""
    torch.set_num_threads(recipe.settings.threads)
    net, batch, times = recipe.network().train(), recipe.batch(0), []
    for _ in range(steps + 2):
        began, worked = time.perf_counter(), time.process_time()
        net.zero_grad(set_to_none=True)
        sum(recipe.losses(net, batch).values()).backward()
        times.append((time.perf_counter() - began, time.process_time() - worked))
    return times[2:]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="*", default=list(SMALL))
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    print(f"{options.threads} thread(s) for the network, one process for the data\n")
    print("by the clock: a step of the loop beside forward and backward alone; in CPU time: these and the data\n")
    print("| recipe | images | step, ms | alone, ms | ratio | alone, CPU ms | data, CPU ms |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        data = made_up(Path(name))
        for recipe_name in options.recipes:
            steps, alone = [], []
            for turn in range(options.rounds):
                folder = Path(name) / f"{recipe_name}-{turn}"
                folder.mkdir()
                recipe = recipe_for(recipe_name, folder, data, options.threads, options.steps)
                alone += alone_times(recipe, options.steps)
                steps += step_times(recipe, folder)
            clock, cpu = (statistics.median(times) for times in zip(*alone, strict=True))
            step = statistics.median(steps)
            row = [f"{x * 1e3:.0f}" for x in (step, clock)] + [f"{step / clock:.2f}"]
            row += [f"{x * 1e3:.0f}" for x in (cpu, data_time(recipe))]
            print(f"| {recipe_name} | {recipe.settings.batch} | {' | '.join(row)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

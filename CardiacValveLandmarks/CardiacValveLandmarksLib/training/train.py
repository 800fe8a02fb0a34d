"""Training of the heat-map network on shards of the synthetic heart."""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from ..files import atomic_open, atomic_path, make_folder
from ..models.heatmap import HeatmapNet
from .augment import random_affine, random_appearance
from .losses import gaussian_targets, heatmap_loss
from .synthetic import MIRRORED, OTHER, read_shard, shard_path, write_shard


@dataclass(frozen=True)
class TrainingSettings:
    """What one training run is made of; kept beside its checkpoint as settings.json."""

    seed: int = 2
    shards: int = 220  # of 256 images
    first_shards: int = 24  # the pool a run starts with; it grows evenly to `shards` over the first 60 %
    steps: int = 5600
    batch: int = 32
    size: int = 128
    sigma: float = 2.4  # pixels of 2 mm
    learning_rate: float = 2e-3
    warm_up: int = 200
    view_told: float = 0.5  # share of images whose view the network is told
    wrongly_told: float = 0.06
    mirrored: float = 0.10
    threads: int = 1
    checkpoint_every: int = 500
    bfloat16: bool = True


class _Pool:
    """The images a run draws from: shards read as the run's schedule asks for them, so that every run with the same
    settings sees the same images in the same order, however fast they are made."""

    def __init__(self, folder: Path, settings: TrainingSettings, wait: bool) -> None:
        self.folder, self.settings, self.wait = folder, settings, wait
        self.images, self.landmarks, self.classes = [], [], []

    def grow(self, step: int) -> None:
        s = self.settings
        wanted = min(s.shards, s.first_shards + int((s.shards - s.first_shards) * step / (0.6 * s.steps)))
        while len(self.images) < wanted:
            path = shard_path(self.folder, s.seed, len(self.images))
            while self.wait and not path.exists():
                time.sleep(2)
            shard = read_shard(write_shard(self.folder, s.seed, len(self.images)))
            self.images.append(shard.images)
            self.landmarks.append(shard.landmarks)
            self.classes.append(shard.classes)

    def draw(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        shard = rng.integers(len(self.images), size=self.settings.batch)
        item = rng.integers(len(self.images[0]), size=self.settings.batch)
        pairs = list(zip(shard, item, strict=True))
        images = np.stack([self.images[i][j] for i, j in pairs]).astype(np.float32)[:, None]
        landmarks = np.stack([self.landmarks[i][j] for i, j in pairs])
        classes = np.array([self.classes[i][j] for i, j in pairs])
        return torch.from_numpy(images), torch.from_numpy(landmarks), torch.from_numpy(classes)


def make_batch(pool: _Pool, settings: TrainingSettings, step: int) -> dict[str, torch.Tensor]:
    """The batch of a step, a function of the settings and the step alone (given the shards)."""
    rng = np.random.default_rng([settings.seed, 77, step])
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    images, landmarks, classes = pool.draw(rng)
    real = classes < OTHER
    mirror = torch.from_numpy(rng.random(settings.batch) < settings.mirrored)
    images, landmarks = random_affine(images, landmarks, settings.size, generator, shift=7.0, scale=0.18, mirror=mirror)
    images = random_appearance(images, generator)
    told = torch.zeros(settings.batch, 3)
    draw = rng.random(settings.batch)
    say = torch.from_numpy(draw < settings.view_told)
    wrong = torch.from_numpy(draw < settings.wrongly_told) | (say & ~real)
    guess = torch.from_numpy(rng.integers(1, 3, settings.batch))
    view = torch.where(wrong, torch.where(real, (classes + guess) % 3, guess), classes)
    rows = torch.nonzero(say).flatten()
    told[rows, view[rows]] = 1
    # a plane that is none of the views, seen in a mirror, or said to be what it is not shows no landmark
    absent = mirror | ~real | (say & wrong)
    landmarks[absent] = torch.nan
    classes = torch.where(mirror & real, MIRRORED, classes)
    return {"images": images, "told": told, "landmarks": landmarks, "classes": classes}


def train(
    folder: Path,
    shards: Path,
    settings: TrainingSettings,
    *,
    wait_for_shards: bool = False,
    progress: Callable[[int, int, float], None] | None = None,
) -> Path:
    """Train, or go on where a run in `folder` stopped. Returns the path of the final weights.

    wait_for_shards: another process makes them. progress(step, steps, loss). Raises FloatingPointError where the
    loss is not finite, naming the step.
    """
    folder = make_folder(folder)
    make_folder(shards)
    torch.set_num_threads(settings.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(settings.seed)
    net = HeatmapNet().to(memory_format=torch.channels_last)
    average = HeatmapNet()
    average.load_state_dict(net.state_dict())
    optimiser = torch.optim.AdamW(net.parameters(), settings.learning_rate, weight_decay=1e-3)
    pool, start = _Pool(shards, settings, wait_for_shards), 0
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        net.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        start = int(state["step"])
    with atomic_open(folder / "settings.json") as stream:
        json.dump(asdict(settings), stream, indent=2)
    log = (folder / "log.csv").open("a", newline="", encoding="utf-8")
    writer, began, totals = csv.writer(log), time.perf_counter(), {}
    with log:
        for step in range(start, settings.steps):
            pool.grow(step)
            batch = make_batch(pool, settings, step)
            warm = min(1.0, (step + 1) / settings.warm_up)
            for group in optimiser.param_groups:
                group["lr"] = (
                    settings.learning_rate * warm * (0.5 + 0.5 * math.cos(math.pi * step / settings.steps)) + 1e-6
                )
            net.train()
            with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
                logits, views = net.coarse(batch["images"].to(memory_format=torch.channels_last), batch["told"])
            targets = gaussian_targets((batch["landmarks"] - 0.5) / 2, logits.shape[-2:], settings.sigma / 2)
            present = ~batch["landmarks"].isnan().any(-1)
            terms = heatmap_loss(logits.float(), targets, present)
            terms["view"] = torch.nn.functional.cross_entropy(views.float(), batch["classes"], label_smoothing=0.02)
            loss = terms["pixels"] * 4 + terms["dice"] + terms["place"] * 0.5 + terms["view"] * 0.3
            if not torch.isfinite(loss):
                raise FloatingPointError(f"loss is {loss.item()} at step {step} ({folder})")
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
            optimiser.step()
            with torch.no_grad():
                keep = min(0.998, (step + 1) / (step + 10))
                for mean, value in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
                    mean.lerp_(value, 1 - keep) if mean.is_floating_point() else mean.copy_(value)
            for name, value in terms.items():
                totals[name] = totals.get(name, 0.0) + value.item() / 50
            if (step + 1) % 50 == 0:
                writer.writerow(
                    [step + 1, *(f"{value:.4f}" for value in totals.values()), f"{time.perf_counter() - began:.0f}"]
                )
                log.flush()
                if progress:
                    progress(step + 1, settings.steps, sum(totals.values()))
                totals = {}
            if (step + 1) % settings.checkpoint_every == 0 or step + 1 == settings.steps:
                state = {
                    "net": net.state_dict(),
                    "average": average.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "step": step + 1,
                }
                with atomic_path(checkpoint) as temporary:
                    torch.save(state, temporary)
    weights = folder / "weights.pt"
    with atomic_path(weights) as temporary:
        torch.save(average.state_dict(), temporary)
    return weights

"""A recipe small enough to run in a blink, with all that a run's state can hold, and a process that trains by it."""

import os
import resource
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from CardiacValveLandmarksLib.errors import CvlError, InputError
from CardiacValveLandmarksLib.training.loop import train
from CardiacValveLandmarksLib.training.recipes import Recipe
from CardiacValveLandmarksLib.training.settings import LoopSettings
from torch import nn


@dataclass(frozen=True)
class TinySettings(LoopSettings):
    steps: int = 24
    substeps: int = 3
    batch: int = 8
    learning_rate: float = 1e-2
    average: float = 0.9
    checkpoint_every: int = 5
    validate_every: int = 4
    log_every: int = 1
    workers: int = 0
    pause: float = 0.0  # seconds a step
    may_change = LoopSettings.may_change | {"pause"}
    spoil: int = -1  # the step whose images are not finite
    steep: bool = False
    lacking: bool = False


class TrainingRecipe(Recipe):
    name = "tiny"
    Settings = TinySettings
    monitor = "error_px"

    def network(self):
        return nn.Sequential(
            nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(), nn.Linear(216, 2)
        ).to(memory_format=torch.channels_last)

    def batch(self, number):
        generator = torch.Generator().manual_seed(number)
        if self.settings.lacking:
            raise InputError("data.npz", "numbers", "none", "Buy some.")
        places = torch.randint(0, 8, (self.settings.batch, 2), generator=generator)
        images = 0.1 * torch.rand(self.settings.batch, 1, 8, 8, generator=generator)
        images[torch.arange(len(images)), 0, places[:, 0], places[:, 1]] += 1
        if number == self.settings.spoil:
            images[3, 0, 2, 2] = torch.inf
        return {"images": images, "places": places.float()}

    def losses(self, net, batch):
        if self.settings.pause:
            time.sleep(self.settings.pause)
        with self.precision():
            found = net(batch["images"])
        error = (found.float() - batch["places"]).abs().mean()
        if self.settings.steep and batch["images"].sum() > 0:
            error = error * torch.tensor(3e38) * 10
        return {"error": error, "size": 1e-3 * sum((p**2).sum() for p in net.parameters())}

    def learning_rate(self, step, history):
        best = min((i for i, _ in enumerate(history)), key=lambda i: history[i]["error_px"], default=0)
        return self.settings.learning_rate * 0.5 ** ((len(history) - best) // 3)

    def validate(self, net):
        device = next(net.parameters()).device
        batch = {name: value.to(device) for name, value in self.batch(10_000).items()}
        return {"error_px": float((net(batch["images"]) - batch["places"]).norm(dim=1).mean())}

    def finish(self, net, folder):
        torch.save(net.state_dict(), folder / "weights.pt")
        return folder / "weights.pt"


def train_in_child(reports, folder, settings, dies_in=0, limit=None):
    """A run in a process of its own. reports: a connection that gets the steps done, then the error or None.
    dies_in: it is killed in that many-th write of a checkpoint. limit: no file can be larger (bytes)."""
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    written = 0

    def fsync(_):
        nonlocal written
        written += 1
        if written == dies_in:
            os.kill(os.getpid(), signal.SIGKILL)

    os.fsync = fsync
    recipe = TrainingRecipe(TinySettings(**settings), Path(folder))
    try:
        train(recipe, Path(folder), progress=lambda p: reports.send(p.step))
        reports.send(None)
    except CvlError as error:
        reports.send(error)

"""The built-in model's training: the heat-map network on shards of the synthetic heart alone."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ...files import atomic_open, make_folder
from ...models.architectures import ARCHITECTURES
from ...models.catalogue import find_model, resolve_model, write_description
from ...models.compact import halve_weights
from ...models.heatmap import HeatmapNet
from ...models.losses import gaussian_targets, heatmap_loss
from ...models.restore import load_network
from ...models.weights import read_state_dict
from ..augment import random_affine, random_appearance
from ..checkpoint import save_tensors
from ..settings import LoopSettings
from ..synthetic import MIRRORED, OTHER, SPACING_MM, ShardKind, read_shard, shard_path, write_shard
from . import Recipe


@dataclass(frozen=True)
class SyntheticHeatmapSettings(LoopSettings):
    """shards: of 256 images. first_shards: the pool a run starts with; it grows evenly to `shards` over the first 60 %.
    size, sigma: in pixels. spacing_mm: the pixel spacing the network is for. shard_spacing_mm: that of the shards, not
    much finer: they are sampled, not averaged.
    warm_up: steps in which the rate rises; then it falls as a cosine. view_told: share of images whose view the network
    is told; wrongly_told: share told a wrong one; mirrored: share of mirror images; bend: pixels, SD at the nodes of
    the smooth deformation.
    strange: share of the images with a contrast from beyond the usual range of the training (training/synthetic.py).
    restyle: share given random intensities and textures (training/augment.py, random_style).
    augment_on_device: images are turned and recoloured where the network is, not by the workers: for a GPU, which
    would wait for them. Other random numbers on each kind of device, so another run.
    init: weights.pt or model.onnx of an earlier run, or a model's id, to begin with; "": from nothing.
    shards_folder: where shards are kept, "": beside the checkpoint. wait_for_shards: another process makes them.
    """

    seed: int = 8
    steps: int = 5600
    batch: int = 32
    learning_rate: float = 2e-3
    average: float = 0.998
    clip_norm: float = 2.0
    bfloat16: bool | None = None
    shards: int = 180
    first_shards: int = 60
    size: int = 128
    spacing_mm: float = 2.0
    shard_spacing_mm: float = SPACING_MM
    sigma: float = 2.4
    warm_up: int = 200
    view_told: float = 0.5
    wrongly_told: float = 0.06
    mirrored: float = 0.10
    bend: float = 1.5
    strange: float = 0.0
    restyle: float = 0.0
    augment_on_device: bool = False
    init: str = ""
    shards_folder: str = ""
    wait_for_shards: bool = False

    may_change = LoopSettings.may_change | {"init", "shards_folder", "wait_for_shards"}

    @property
    def shard_kind(self) -> ShardKind:
        return ShardKind(self.strange, self.shard_spacing_mm)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("first_shards", 1 <= self.first_shards <= self.shards, f"from 1 to {self.shards}, all shards")
        self.require("size", self.size >= 32 and self.size % 16 == 0, "a multiple of 16, at least 32")
        for name in ("spacing_mm", "shard_spacing_mm"):
            self.require(name, 0.5 <= getattr(self, name) <= 5, "from 0.5 to 5")
        self.require("sigma", self.sigma > 0, "more than 0")
        for name in ("warm_up", "bend"):
            self.require(name, getattr(self, name) >= 0, "0 or more")
        for name in ("view_told", "wrongly_told", "mirrored", "strange", "restyle"):
            self.require(name, 0 <= getattr(self, name) <= 1, "from 0 to 1")


class _Pool:
    """The images a run draws from: shards read as the run's schedule asks for them, so that every run with the same
    settings sees the same images in the same order, however fast they are made."""

    def __init__(self, folder: Path, settings: SyntheticHeatmapSettings) -> None:
        self.folder, self.settings = folder, settings
        self.images, self.landmarks, self.classes = [], [], []

    def grow(self, step: int) -> None:
        s = self.settings
        wanted = min(s.shards, s.first_shards + int((s.shards - s.first_shards) * step / (0.6 * s.steps)))
        while len(self.images) < wanted:
            path = shard_path(self.folder, s.seed, len(self.images), s.shard_kind)
            while s.wait_for_shards and not path.exists():
                time.sleep(2)
            shard = read_shard(write_shard(self.folder, s.seed, len(self.images), kind=s.shard_kind))
            self.images.append(shard.images)
            self.landmarks.append(shard.landmarks)
            self.classes.append(shard.classes)

    def draw(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        shard = rng.integers(len(self.images), size=self.settings.batch)
        item = rng.integers(len(self.images[0]), size=self.settings.batch)
        pairs = list(zip(shard, item, strict=True))
        images = np.stack([self.images[i][j] for i, j in pairs])[:, None]
        landmarks = np.stack([self.landmarks[i][j] for i, j in pairs])
        classes = np.array([self.classes[i][j] for i, j in pairs])
        return torch.from_numpy(images), torch.from_numpy(landmarks), torch.from_numpy(classes)


class TrainingRecipe(Recipe):
    """HeatmapNet on the synthetic heart; weights.pt and, for ONNX Runtime, model.onnx, each with its description."""

    name = "synthetic-heatmap"
    Settings = SyntheticHeatmapSettings
    settings: SyntheticHeatmapSettings

    def __init__(self, settings: SyntheticHeatmapSettings, folder: Path) -> None:
        super().__init__(settings, folder)
        self._pool = _Pool(make_folder(settings.shards_folder or Path(folder) / "shards"), settings)
        self._fingerprint, self._synthetic_only = "", True
        if settings.init:
            begun = resolve_model(settings.init)
            self._fingerprint, self._synthetic_only = begun.checksum, begun.synthetic_only

    def fingerprint(self) -> str:
        return self._fingerprint

    def network(self) -> nn.Module:
        if self.settings.init:
            net = load_network(resolve_model(self.settings.init).path, ARCHITECTURES["heatmap-unet"]).net
        else:
            net = HeatmapNet()
        return net.to(memory_format=torch.channels_last)

    def batch(self, number: int) -> dict[str, torch.Tensor]:
        settings = self.settings
        self._pool.grow(number * settings.substeps)
        rng = np.random.default_rng([settings.seed, 77, number])
        seed = int(rng.integers(2**62))
        images, landmarks, classes = self._pool.draw(rng)
        mirror = torch.from_numpy(rng.random(settings.batch) < settings.mirrored)
        draw = rng.random(settings.batch)
        guess = torch.from_numpy(rng.integers(1, 3, settings.batch))
        real = classes < OTHER
        told = torch.zeros(settings.batch, 3)
        say = torch.from_numpy(draw < settings.view_told)
        wrong = torch.from_numpy(draw < settings.wrongly_told) | (say & ~real)
        view = torch.where(wrong, torch.where(real, (classes + guess) % 3, guess), classes)
        rows = torch.nonzero(say).flatten()
        told[rows, view[rows]] = 1
        # a plane that is none of the views, seen in a mirror, or said to be what it is not shows no landmark
        landmarks[mirror | ~real | (say & wrong)] = torch.nan
        classes = torch.where(mirror & real, MIRRORED, classes)
        batch = {"images": images, "told": told, "landmarks": landmarks, "classes": classes}
        raw = {**batch, "mirror": mirror, "seed": torch.tensor(seed)}
        return raw if settings.augment_on_device else self._augmented(raw)

    def on_device(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return self._augmented(batch) if self.settings.augment_on_device else batch

    def _augmented(self, raw: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        settings = self.settings
        batch = {name: value for name, value in raw.items() if name not in ("mirror", "seed")}
        generator = torch.Generator(raw["images"].device).manual_seed(int(raw["seed"]))
        images, landmarks = random_affine(
            raw["images"].float(),
            raw["landmarks"],
            settings.size,
            generator,
            shift=7.0,
            scale=0.18,
            mirror=raw["mirror"],
            bend=settings.bend,
            zoom=settings.shard_spacing_mm / settings.spacing_mm,
        )
        return {**batch, "images": random_appearance(images, generator, settings.restyle), "landmarks": landmarks}

    def optimiser(self, net: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.AdamW(net.parameters(), self.settings.learning_rate, weight_decay=1e-3)

    def learning_rate(self, step: int, history=()) -> float:
        settings = self.settings
        warm = min(1.0, (step + 1) / max(settings.warm_up, 1))
        return settings.learning_rate * warm * (0.5 + 0.5 * math.cos(math.pi * step / settings.steps)) + 1e-6

    def losses(self, net: nn.Module, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        with self.precision():
            logits, views = net.coarse(batch["images"].to(memory_format=torch.channels_last), batch["told"])
        targets = gaussian_targets((batch["landmarks"] - 0.5) / 2, logits.shape[-2:], self.settings.sigma / 2)
        terms = heatmap_loss(logits.float(), targets, ~batch["landmarks"].isnan().any(-1))
        view = nn.functional.cross_entropy(views.float(), batch["classes"], label_smoothing=0.02)
        return {
            "pixels": terms["pixels"] * 4,
            "dice": terms["dice"],
            "place": terms["place"] * 0.5,
            "view": view * 0.3,
        }

    def finish(self, net: nn.Module, folder: Path) -> Path:
        """weights.pt and model.onnx, with their descriptions beside them."""
        weights, model = folder / "weights.pt", folder / "model.onnx"
        save_tensors(weights, net.state_dict())
        graph = ARCHITECTURES["heatmap-unet"].to_onnx(read_state_dict(weights))
        with atomic_open(model, "wb") as stream:
            stream.write(halve_weights(graph))
        for path in (weights, model):
            write_description(path, self.description())
        return model

    def description(self) -> dict:
        """The catalogue entry of what was trained, but for the file."""
        entry = find_model("phantom-heatmap").entry()
        given = {"spacing_mm": self.settings.spacing_mm, "size": [self.settings.size] * 2}
        return {
            **entry,
            "id": self.name,
            "title": "Heat-map network trained on the synthetic heart by the user",
            "input": {**entry["input"], **given},
            "synthetic_only": self._synthetic_only,
            # thresholds are calibrated for one set of weights
            "decision": None,
        }

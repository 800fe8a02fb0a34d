"""Fine-tuning of the heat-map network: corrected cines among images of the synthetic heart, from a model's weights on.

A few corrected cines show few hearts, so part of each batch is of the synthetic heart in their colours (recolour.py).
Three things keep what the model knew: in the rest, images of the synthetic heart as it is, it is to answer as it did
before (Li and Hoiem, Learning without forgetting, ECCV 2016); batch norms keep their statistics; and at the end the
weights are moved from the old towards the new only as far as the error on synthetic images allows (Wortsman et al.,
CVPR 2022: the straight line between the two keeps both).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import ModelError
from ..landmarks import VIEWS
from ..models.decoding import decode
from ..models.restore import torch_network
from ..models.sampling import Window
from ..models.spec import ModelSpec
from .augment import rescale
from .corrections import CorrectedCine, label_weights
from .recipes import waited_enough
from .recipes.synthetic_heatmap import SyntheticHeatmapSettings, TrainingRecipe
from .recolour import heart_intensities, intensity_curve, recolour
from .synthetic import OTHER, ShardKind, read_shard, write_shard

#: synthetic images that say what is forgotten: a shard no training draws from
_CHECK_SEED, _CHECK_IMAGES = 990_001, 128
#: images of either set that validation looks at; with half as many one point gone astray was some 6 % of the error
_MOST_IMAGES = 96
#: no error counts for more, mm: a single point gone astray says little of the rest
_LARGEST_MM = 20.0
#: how far from the old weights (0) to the new (1), tried at the end; and what the error on synthetic images may rise by
_WAYS, _ALLOWED = tuple(n / 10 for n in range(10, 0, -1)), 1.02
#: beyond that, what is lost on synthetic images counts so many times as much as what is gained on those held out
_LOST_COUNTS = 10


@dataclass(frozen=True)
class HeatmapFinetuneSettings(SyntheticHeatmapSettings):
    """corrected: share of each batch that is of corrected cines. recoloured: share that is of the synthetic heart in
    the colours of the corrected cines (training/recolour.py). The rest is of the synthetic heart as it is. rehearsal:
    how much more a difference from the base model's answer on that rest counts than an error on the others. patience:
    after so many validations in a row without a better one the run ends. Frames are drawn as often as their labels
    count (corrections.label_weights). What a run begins with (init), spacing_mm and size are the model's.
    shard_spacing_mm: of the corrected cines' images too, as fine as most are acquired; no finer than the model's."""

    seed: int = 1
    steps: int = 120
    batch: int = 32
    learning_rate: float = 5e-4
    average: float = 0.98
    validate_every: int = 25
    log_every: int = 25
    checkpoint_every: int = 50
    workers: int = 0
    shards: int = 4
    first_shards: int = 4
    shard_spacing_mm: float = 1.5
    warm_up: int = 10
    corrected: float = 0.25
    recoloured: float = 0.25
    rehearsal: float = 15.0
    patience: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("corrected", 0 < self.corrected <= 1, "above 0, to 1")
        most = 1 - self.corrected
        self.require("recoloured", 0 <= self.recoloured <= most, f"from 0 to {most:g}, what `corrected` leaves")
        self.require("rehearsal", self.rehearsal > 0, "more than 0")
        self.require("init", not self.init, "none: fine-tuning begins with its base model")
        self.require("patience", self.patience >= 1, "at least 1")


@dataclass(frozen=True)
class Cuts:
    """Images as the network sees them: images (n, S, S) float32, landmarks (n, 11, 2) pixels of them, NaN where
    absent, classes (n,) numbers of views, chances (n,) of each to be drawn, which sum to 1."""

    images: np.ndarray
    landmarks: np.ndarray
    classes: np.ndarray
    chances: np.ndarray


def cut(
    corrected: Sequence[CorrectedCine], mirrored: Sequence[bool], spacing_mm: float, size: int, propagated: float
) -> Cuts:
    """The frames that count, cut around their landmarks at this pixel spacing and the model's handedness.

    mirrored: whether each cine is the mirror image of what the model takes.
    """
    parts = [], [], [], []
    for one, mirror in zip(corrected, mirrored, strict=True):
        weights = label_weights(one.landmarks, propagated)
        frames = np.flatnonzero(weights.any(1))
        points = one.landmarks.positions
        centre = np.nanmean(points[label_weights(one.landmarks).any(1)], axis=(0, 1))
        window = Window(one.cine.shape, tuple(centre), tuple(spacing_mm / one.cine.spacing), (size,) * 2, mirror)
        images = window.images(one.cine.frames[frames])
        parts[0].append(images / max(float(np.percentile(images, 99.5)), 1e-6))
        parts[1].append(_inside(points[frames], window))
        parts[2].append(np.full(len(frames), VIEWS.index(one.view)))
        parts[3].append(weights[frames].sum(1))
    images, landmarks, classes, chances = (np.concatenate(part) for part in parts)
    return Cuts(images.astype(np.float32), landmarks.astype(np.float32), classes, chances / chances.sum())


def _inside(points: np.ndarray, window: Window) -> np.ndarray:
    """Points (..., 2) in pixels of the window; NaN where it does not show them."""
    places = window.positions(points)
    outside = ((places < 0) | (places > np.array(window.size) - 1)).any(-1, keepdims=True)
    return np.where(outside, np.nan, places)


def _as_the_model(settings: HeatmapFinetuneSettings, spec: ModelSpec) -> HeatmapFinetuneSettings:
    """The settings with the model's pixels. UsageError where they say otherwise; ModelError: scaled in another way."""
    if spec.input.spacing_mm is None or spec.input.intensity != "percentile":
        raise ModelError(
            spec.path,
            "a model with a pixel spacing and intensities by percentile, as the synthetic heart's images have them",
            f"spacing {spec.input.spacing_mm}, intensity {spec.input.intensity!r}",
            "Register the weights as they were trained (`cvl models register`).",
        )
    model = {"spacing_mm": spec.input.spacing_mm, "size": (spec.input.size or (settings.size,))[0]}
    for name, value in model.items():
        given = getattr(settings, name)
        settings.require(name, given in (value, getattr(type(settings), name)), f"{value}, {spec.id}'s")
    return replace(settings, **model, shard_spacing_mm=max(settings.shard_spacing_mm, spec.input.spacing_mm))


class _MixedPool:
    """Draws as the pool of the synthetic heart does, but the first images of each batch from the corrected cines, and
    those after them recoloured like these."""

    def __init__(self, synthetic, cuts: Cuts, corrected: float, recoloured: float) -> None:
        self.synthetic, self.cuts, self.corrected, self.recoloured = synthetic, cuts, corrected, recoloured
        self._seen: dict[int, list[np.ndarray]] = {number: [] for number in range(len(VIEWS))}
        for image, landmarks, number in zip(cuts.images, cuts.landmarks, cuts.classes, strict=True):
            if (seen := heart_intensities(image, landmarks, VIEWS[number])) is not None:
                self._seen[number].append(seen)

    def grow(self, step: int) -> None:
        self.synthetic.grow(step)

    def counts(self, size: int) -> tuple[int, int]:
        """How many of a batch of this size are of corrected cines, and how many after them are recoloured."""
        corrected = max(1, round(self.corrected * size))
        return corrected, min(round(self.recoloured * size), size - corrected)

    def draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        images, landmarks, classes = self.synthetic.draw(rng)
        count, more = self.counts(len(images))
        chosen = rng.choice(len(self.cuts.images), count, p=self.cuts.chances)
        images[:count, 0] = torch.from_numpy(self.cuts.images[chosen])
        landmarks[:count] = torch.from_numpy(self.cuts.landmarks[chosen])
        classes[:count] = torch.from_numpy(self.cuts.classes[chosen])
        for index in range(count, count + more):
            image = self._recoloured(images[index, 0].numpy(), landmarks[index].numpy(), int(classes[index]), rng)
            images[index, 0] = torch.from_numpy(image)
        return images, landmarks, classes

    def _recoloured(
        self, image: np.ndarray, landmarks: np.ndarray, number: int, rng: np.random.Generator
    ) -> np.ndarray:
        """The image (S, S) in the colours of a corrected one of its view; as it is where none can be compared."""
        alike = self._seen.get(number)
        own = heart_intensities(image, landmarks, VIEWS[number]) if alike else None
        if own is None:
            return image
        curve = intensity_curve(own, alike[rng.choice(len(alike))])
        return image if curve is None else recolour(image, curve)


def answer_loss(answers: tuple[Tensor, Tensor], before: tuple[Tensor, Tensor]) -> Tensor:
    """How far a network's answers are from those of the network before: KL divergences weighted like the terms of the
    training (losses.heatmap_loss); 0 where they are the same. Both (B, L + 1, H, W) and (B, classes) logits."""
    (log_p, log_view), (old_p, old_view) = (
        [part.float().log_softmax(1) for part in both] for both in (answers, before)
    )
    weight = 1 + 12 * (1 - old_p[:, -1].exp())  # a pixel counts the more it belongs to a landmark
    pixels = (old_p.exp() * (old_p - log_p)).sum(1)
    sure = old_p[:, :-1].exp().amax((2, 3))
    place, old_place = (part[:, :-1].flatten(2).log_softmax(-1) for part in (log_p, old_p))
    moved = (old_place.exp() * (old_place - place)).sum(-1)
    view = (old_view.exp() * (old_view - log_view)).sum(1).mean()
    return (
        4 * (pixels * weight).sum() / weight.sum() + 0.5 * (moved * sure).sum() / sure.sum().clamp(min=1) + 0.3 * view
    )


class HeatmapFinetune(TrainingRecipe):
    """Made with the model to begin from, the corrected cines to train on and those held out, and whether each is to
    be mirrored. After `finish`, `way` says how far the weights went."""

    name = "finetune-heatmap"
    Settings = HeatmapFinetuneSettings
    settings: HeatmapFinetuneSettings
    monitor = "cost"

    def __init__(
        self,
        settings: HeatmapFinetuneSettings,
        folder: Path,
        spec: ModelSpec,
        training: Sequence[CorrectedCine],
        held_out: Sequence[CorrectedCine],
        mirrored: Mapping[int, bool],
        propagated: float,
    ) -> None:
        settings = _as_the_model(settings, spec)
        super().__init__(settings, folder)
        self.spec, self.way = spec, 1.0
        self._base = self.network().eval()
        sides = [[mirrored[id(one)] for one in part] for part in (training, held_out)]
        cuts = cut(training, sides[0], settings.shard_spacing_mm, settings.shard_kind.size, propagated)
        self._pool = _MixedPool(self._pool, cuts, settings.corrected, settings.recoloured)
        self._held = cut(held_out, sides[1], settings.spacing_mm, settings.size, propagated)
        self._check = self._synthetic_check()
        digest = hashlib.sha256(spec.checksum.encode())
        for part in (cuts, self._held, self._check):
            for array in (part.images, part.landmarks, part.chances):
                digest.update(np.ascontiguousarray(array))
        self._fingerprint = digest.hexdigest()
        self._before = {name: self._error(torch_network(spec), cuts) for name, cuts in self._sets().items()}

    def _synthetic_check(self) -> Cuts:
        kind = ShardKind(spacing_mm=self.settings.shard_spacing_mm)
        shard = read_shard(write_shard(self._pool.synthetic.folder, _CHECK_SEED, 0, _CHECK_IMAGES, kind))
        views, middle = shard.classes < OTHER, ((kind.size - 1) / 2,) * 2
        step = self.settings.spacing_mm / kind.spacing_mm
        window = Window((kind.size, kind.size), middle, (step, step), (self.settings.size,) * 2)
        images, landmarks = window.images(shard.images[views]), _inside(shard.landmarks[views], window)
        return Cuts(images, landmarks, shard.classes[views], np.full(len(images), 1 / len(images)))

    def _sets(self) -> dict[str, Cuts]:
        return {"held_out_mm": self._held, "synthetic_mm": self._check}

    def network(self) -> nn.Module:
        return torch_network(self.spec).to(memory_format=torch.channels_last)

    def description(self) -> dict:
        """As the base's, but calibrated no more (`finetune` adds what it was made of)."""
        return {**super().description(), "input": self.spec.entry()["input"], "synthetic_only": False}

    def batch(self, number: int) -> dict[str, Tensor]:
        batch = super().batch(number)
        size = len(batch["images"])
        return {**batch, "rehearsed": torch.arange(size) >= sum(self._pool.counts(size))}

    def losses(self, net: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):  # a few images of one kind would spoil its statistics
                module.eval()
        old = batch["rehearsed"]
        share = float(old.float().mean())
        parts = {name: value[~old] for name, value in batch.items()}
        terms = {name: (1 - share) * term for name, term in super().losses(net, parts).items()} if share < 1 else {}
        if share > 0 and self.settings.rehearsal:
            images, told = batch["images"][old].to(memory_format=torch.channels_last), batch["told"][old]
            with self.precision():
                answers = net.coarse(images, told)
                with torch.no_grad():
                    before = self._base.to(images.device).coarse(images, told)
            terms["rehearsal"] = share * self.settings.rehearsal * answer_loss(answers, before)
        return terms

    def enough(self, history: Sequence[Mapping[str, float]]) -> bool:
        return waited_enough([entry[self.monitor] for entry in history], self.settings.patience)

    def validate(self, net: nn.Module) -> dict[str, float]:
        """held_out_mm, synthetic_mm: mean errors, each at most 20 mm, of held-out cines and synthetic images; cost, by
        which the best step is told and how far the weights go: the first over the base model's, and what the second
        rises beyond what is allowed."""
        errors = {name: self._error(net, cuts) for name, cuts in self._sets().items()}
        ratios = {name: errors[name] / self._before[name] for name in errors}
        lost = max(0.0, ratios["synthetic_mm"] - _ALLOWED)
        return {**errors, "cost": ratios["held_out_mm"] + _LOST_COUNTS * lost}

    @torch.no_grad()
    def _error(self, net: nn.Module, cuts: Cuts) -> float:
        device = next(net.parameters()).device
        chosen = np.unique(np.linspace(0, len(cuts.images) - 1, _MOST_IMAGES).round().astype(int))
        errors = []
        for rows in np.array_split(chosen, -(-len(chosen) // 16)):
            images = rescale(torch.from_numpy(cuts.images[rows])[:, None])
            told = nn.functional.one_hot(torch.from_numpy(cuts.classes[rows]).long(), len(VIEWS)).float()
            with self.precision():
                logits, _ = net(images.to(device), told.to(device))
            maps = logits.float().softmax(1)[:, : cuts.landmarks.shape[1]].cpu().numpy()
            errors.append(np.linalg.norm(decode(maps).positions - cuts.landmarks[rows], axis=-1))
        errors = np.concatenate(errors) * self.spec.input.spacing_mm
        return float(np.minimum(errors[np.isfinite(errors)], _LARGEST_MM).mean())

    def finish(self, net: nn.Module, folder: Path) -> Path:
        """Go as far towards the new weights as lowers the held-out error while the synthetic one may stay."""
        old = torch_network(self.spec).state_dict()
        new = {name: value.clone() for name, value in net.state_dict().items()}
        best = np.inf
        chosen = new
        for way in _WAYS:
            mixed = {
                name: torch.lerp(old[name], value, way) if value.is_floating_point() else value
                for name, value in new.items()
            }
            net.load_state_dict(mixed)
            cost = self.validate(net)["cost"]
            if cost < best:
                best, self.way, chosen = cost, way, mixed
        net.load_state_dict(chosen)
        return super().finish(net, folder)

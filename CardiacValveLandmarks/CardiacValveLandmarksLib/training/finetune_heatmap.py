"""Fine-tuning of the heat-map network: corrected cines among images of the synthetic heart, from a model's weights on.

Another contrast is learned by an intensity curve where one helps (curve_search.py), the rest by the weights.
Three things keep what the model knew: on images of the synthetic heart it is to answer as it did before (Li and Hoiem,
Learning without forgetting, ECCV 2016); batch norms keep their statistics; and at the end the weights are moved from
the old towards the new only as far as the error on synthetic images allows (Wortsman et al., CVPR 2022: the straight
line between the two keeps both).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InputError, ModelError
from ..files import atomic_open
from ..landmarks import VIEWS
from ..models.decoding import decode
from ..models.intensity import Curve
from ..models.restore import torch_network
from ..models.sampling import Window
from ..models.spec import ModelSpec, valid_curve
from .augment import rescale
from .corrected_cuts import CorrectedCuts, Cuts, inside
from .corrections import CorrectedCine
from .curve_search import CurveSearch
from .loop import prepared
from .recipes import waited_enough
from .recipes.synthetic_heatmap import SyntheticHeatmapSettings, TrainingRecipe
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
#: with a new curve the weights stay unless they lower that cost to this share of what the curve alone has
_WORTH = 0.95


@dataclass(frozen=True)
class HeatmapFinetuneSettings(SyntheticHeatmapSettings):
    """corrected: share of each batch that is of corrected cines; the rest is of the synthetic heart. curve: look for an
    intensity curve by which the model sees the corrected cines better (training/curve_search.py). rehearsal: how
    much more a difference from the base model's answer on that rest counts than an error on the others. patience:
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
    corrected: float = 0.5
    curve: bool = True
    rehearsal: float = 15.0
    patience: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("corrected", 0 < self.corrected <= 1, "above 0, to 1")
        self.require("rehearsal", self.rehearsal > 0, "more than 0")
        self.require("init", not self.init, "none: fine-tuning begins with its base model")
        self.require("patience", self.patience >= 1, "at least 1")


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
    """Draws as the pool of the synthetic heart does, but the first images of each batch from the corrected cines."""

    def __init__(self, synthetic, cuts: Cuts, corrected: float) -> None:
        self.synthetic, self.cuts, self.corrected = synthetic, cuts, corrected

    def grow(self, step: int) -> None:
        self.synthetic.grow(step)

    def count(self, size: int) -> int:
        """How many of a batch of this size are of corrected cines."""
        return max(1, round(self.corrected * size))

    def draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        images, landmarks, classes = self.synthetic.draw(rng)
        count = self.count(len(images))
        chosen = rng.choice(len(self.cuts.images), count, p=self.cuts.chances)
        images[:count, 0] = torch.from_numpy(self.cuts.images[chosen])
        landmarks[:count] = torch.from_numpy(self.cuts.landmarks[chosen])
        classes[:count] = torch.from_numpy(self.cuts.classes[chosen])
        return images, landmarks, classes


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
    be mirrored. `curve` is the intensity curve found for them (None: none); after `finish`, `way` says how far the
    weights went."""

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
        self.spec, self.way, self._curves = spec, 1.0, spec.input.curves
        self._base = self.network().eval()
        cines = [
            [CorrectedCuts.of(one, mirrored[id(one)], settings, propagated) for one in part]
            for part in (training, held_out)
        ]
        self._check = self._synthetic_check()
        found = json.dumps([spec.checksum, self.learned(), settings.seed, settings.sigma, len(training)])
        digest = hashlib.sha256(found.encode())
        for part in (*(cuts for one in (*cines[0], *cines[1]) for cuts in (one.drawn, one.seen)), self._check):
            for array in (part.images, part.landmarks, part.chances):
                digest.update(np.ascontiguousarray(array))
        self.curve = self._new_curve(cines[0], digest.hexdigest()) if settings.curve else None
        digest.update(json.dumps(self.curve).encode())
        self._fingerprint = digest.hexdigest()
        self._curves = spec.input.curves if self.curve is None else (*spec.input.curves, self.curve)
        looks, held = ([self._looked_at(one) for one in part] for part in cines)
        self._through = sum(look is not one for look, one in zip(looks, cines[0], strict=True))
        cuts = Cuts.together([one.drawn for one in looks], [one.weight for one in looks])
        self._pool = _MixedPool(self._pool, cuts, settings.corrected)
        self._held = Cuts.together([one.seen for one in held], [one.weight for one in held])
        self._before = {name: self._error(self._base, cuts) for name, cuts in self._sets().items()}

    def _new_curve(self, cines: Sequence[CorrectedCuts], run: str) -> Curve | None:
        """The curve that the training cines ask for. It is kept under the name of this run, which is told by its data:
        one that goes on elsewhere would find it again only nearly."""
        kept = self.folder / f"curve-{run[:12]}.json"
        if kept.exists():
            try:
                knots = json.loads(kept.read_text(encoding="utf-8"))
            except ValueError:
                knots = ()
            if not (knots is None or valid_curve(knots)):
                advice = "Delete it and the checkpoint beside it: the run begins anew."
                raise InputError(kept, "the intensity curve of this run", "a damaged file", advice)
            return knots and tuple(tuple(knot) for knot in knots)
        search = CurveSearch(
            lambda cuts, most: self._error(self._base, cuts, most),
            lambda parts: sum(TrainingRecipe.losses(self, self._base, parts).values()),
            self.settings.seed,
        )
        with prepared(self.settings.threads, torch.device("cpu")):
            curve = search.find(cines, self._check, self.spec.input.curves)
        with atomic_open(kept) as stream:
            json.dump(curve, stream)
        return curve

    def _looked_at(self, one: CorrectedCuts) -> CorrectedCuts:
        """As it is or through a curve, whichever way the base model is nearest to its landmarks."""
        if not self._curves:
            return one
        looks = [one, *(one.through(curve) for curve in self._curves)]
        return min(looks, key=lambda look: self._error(self._base, look.seen))

    def _synthetic_check(self) -> Cuts:
        kind = ShardKind(spacing_mm=self.settings.shard_spacing_mm)
        shard = read_shard(write_shard(self._pool.folder, _CHECK_SEED, 0, _CHECK_IMAGES, kind))
        views, middle = shard.classes < OTHER, ((kind.size - 1) / 2,) * 2
        step = self.settings.spacing_mm / kind.spacing_mm
        window = Window((kind.size, kind.size), middle, (step, step), (self.settings.size,) * 2)
        images, landmarks = window.images(shard.images[views]), inside(shard.landmarks[views], window)
        return Cuts(images, landmarks, shard.classes[views], np.full(len(images), 1 / len(images)))

    def _sets(self) -> dict[str, Cuts]:
        return {"held_out_mm": self._held, "synthetic_mm": self._check}

    def network(self) -> nn.Module:
        return torch_network(self.spec).to(memory_format=torch.channels_last)

    def description(self) -> dict:
        """As the base's, but calibrated no more (`finetune` adds what it was made of)."""
        return {**super().description(), **self.learned(), "synthetic_only": False}

    def learned(self) -> dict:
        """What the catalogue's entry has otherwise than the base's."""
        given = self.spec.entry()["input"]
        if self._curves:
            given["curves"] = [[list(knot) for knot in curve] for curve in self._curves]
        return {"input": given}

    def notes(self) -> tuple[str, ...]:
        """What was learned, in plain words."""
        new = "a new" if self.curve is not None else "an"
        seen = f"{self._through} of the cines trained on are looked at through {new} intensity curve."
        return (*((seen,) if self._through else ()), f"The weights went {self.way:.0%} of the way.")

    def batch(self, number: int) -> dict[str, Tensor]:
        batch = super().batch(number)
        size = len(batch["images"])
        return {**batch, "rehearsed": torch.arange(size) >= self._pool.count(size)}

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
    def _error(self, net: nn.Module, cuts: Cuts, most: int = _MOST_IMAGES) -> float:
        device = next(net.parameters()).device
        chosen = np.unique(np.linspace(0, len(cuts.images) - 1, most).round().astype(int))
        errors = []
        for rows in np.array_split(chosen, -(-len(chosen) // 16)):
            images = rescale(torch.from_numpy(cuts.images[rows])[:, None])
            told = nn.functional.one_hot(torch.from_numpy(cuts.classes[rows]).long(), len(VIEWS)).float()
            with self.precision():
                logits, _ = net(images.to(device), told.to(device))
            maps = logits.float().softmax(1)[:, : cuts.landmarks.shape[1]].cpu().numpy()
            errors.append(np.linalg.norm(decode(maps).positions - cuts.landmarks[rows], axis=-1))
        errors = np.concatenate(errors) * self.spec.input.spacing_mm
        known = errors[np.isfinite(errors)]
        return float(np.minimum(known, _LARGEST_MM).mean()) if known.size else 0.0

    def finish(self, net: nn.Module, folder: Path) -> Path:
        """Go as far towards the new weights as lowers the held-out error while the synthetic one may stay."""
        self._trained = {name: value.clone() for name, value in net.state_dict().items()}
        costs = {way: self.validate(self._on_the_way(way))["cost"] for way in _WAYS}
        self.way = min(costs, key=costs.get)
        # a new curve has taught the most of it, and no ordinary patient pays for that; the cost without is 1
        if self.curve is not None and costs[self.way] > _WORTH:
            self.way = 0.0
        return super().finish(self._on_the_way(self.way), folder)

    def nearer(self, folder: Path) -> bool:
        """Write the model with the weights half as far from the base model's as they are; False: there is none."""
        way = int(self.way * 10) // 2 / 10
        if self.way == 0 or (way == 0 and self.curve is None):
            return False
        self.way = way
        super().finish(self._on_the_way(way), folder)
        return True

    def _on_the_way(self, way: float) -> nn.Module:
        """The network between the base model's weights (0) and the trained ones (1)."""
        net = self.network().eval()
        between = {
            name: torch.lerp(value, self._trained[name], way) if value.is_floating_point() else self._trained[name]
            for name, value in net.state_dict().items()
        }
        net.load_state_dict(between)
        return net

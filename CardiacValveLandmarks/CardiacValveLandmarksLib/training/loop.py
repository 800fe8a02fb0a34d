"""The one training loop: every recipe runs in it (recipes/__init__.py says what a recipe is).

The result of a run is a function of its settings and data, on one machine with one version of torch: batches depend on
their number, the random generator is seeded at each step, the learning rate depends on the step and the validations.
So a run that was killed at any moment goes on from its last checkpoint to the same weights, bit for bit.
"""

from __future__ import annotations

import contextlib
import copy
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ..errors import CvlError, ModelError, UsageError
from ..files import locked_folder
from ..models.engine import torch_device
from .checkpoint import RunState, load_checkpoint, save_checkpoint
from .recipes import Recipe
from .runlog import RunLog
from .settings import LoopSettings, write_settings


class Progress(NamedTuple):
    """How far a run is. loss: its mean since the last report. seconds_left: from the pace of this run so far."""

    step: int
    steps: int
    loss: float
    seconds_left: float
    validation: Mapping[str, float]


class DivergedError(CvlError):
    """The loss, the weights or the figures on validation are not finite numbers any more."""

    exit_status = UsageError.exit_status  # a smaller learning rate, or better data


def train(recipe: Recipe, folder: Path, *, progress: Callable[[Progress], None] | None = None) -> Path:
    """Train, or go on from the checkpoint in `folder`. Returns the file the recipe writes at the end.

    Writes checkpoint.pt, settings.json, log.csv, validation.csv and the recipe's files into `folder`.
    ModelError: a checkpoint of another run. DivergedError: the loss is not finite; it says where. InputError: a place
    that cannot be written or where another run is at work, or a disk that is full; the last checkpoint is then intact.
    UsageError: no such device.
    """
    settings = recipe.settings
    device = torch.device(torch_device(torch, settings.device))
    with locked_folder(folder) as folder, prepared(settings.threads, device):
        torch.manual_seed(settings.seed)
        net = recipe.network().to(device)
        state = RunState(net, recipe.optimiser(net), copy.deepcopy(net) if settings.average else None)
        load_checkpoint(folder, recipe, state)
        if state.step > settings.steps:
            expected, found = f"a run of {settings.steps} steps or fewer so far", f"{state.step} steps done"
            raise ModelError(folder, expected, found, "A run can be made longer, not shorter; choose another folder.")
        write_settings(folder, recipe.name, settings)
        with RunLog(folder, state.step, settings.tensorboard) as log:
            _run(recipe, state, device, folder, log, progress)
        return recipe.finish(_chosen(recipe, state).cpu().eval(), folder)


@contextlib.contextmanager
def prepared(threads: int, device: torch.device) -> Iterator[None]:
    """torch as training wants it, and as it was afterwards: a run may be one task of a program that does others."""
    cudnn = torch.backends.cudnn
    before = torch.get_num_threads(), _flushes_denormal(), cudnn.benchmark, cudnn.deterministic
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    if device.type == "cuda":
        cudnn.benchmark, cudnn.deterministic = False, True
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        torch.set_num_threads(before[0])
        torch.set_flush_denormal(before[1])
        cudnn.benchmark, cudnn.deterministic = before[2:]


def _flushes_denormal() -> bool:
    """Whether numbers under the least normal one become 0 here; torch does not say."""
    return bool(torch.tensor(1e-310, dtype=torch.float64) * 0.5 == 0)


def _run(
    recipe: Recipe,
    state: RunState,
    device: torch.device,
    folder: Path,
    log: RunLog,
    progress: Callable[[Progress], None] | None,
) -> None:
    settings = recipe.settings
    if recipe.enough(state.history):  # ended early before
        return
    began, first, totals, logged = time.perf_counter(), state.step, {}, 0
    for step, batch in _batches(recipe, state.step, device):
        torch.manual_seed(settings.seed + 1_000_003 * (step + 1))
        rate = recipe.learning_rate(step, state.history)
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        state.net.train()
        state.optimiser.zero_grad(set_to_none=True)
        values: dict[str, float] = {}
        for part, share in _chunks(batch, settings):
            terms = recipe.losses(state.net, part)
            loss = sum(terms.values())
            for name, term in {"loss": loss, **terms}.items():
                values[name] = values.get(name, 0.0) + share * term.item()
            if not math.isfinite(values["loss"]):
                raise DivergedError(_where(values, part, step, rate, state, folder))
            (loss if share == 1 else loss * share).backward()
        if settings.clip_norm:
            nn.utils.clip_grad_norm_(state.net.parameters(), settings.clip_norm)
        state.optimiser.step()
        state.step = done = step + 1
        _average(state, settings.average)
        totals = {name: totals.get(name, 0.0) + value for name, value in values.items()}
        logged += 1
        last = done == settings.steps
        if last or any(every and done % every == 0 for every in (settings.validate_every, settings.checkpoint_every)):
            _check_weights(state, rate, folder)
        if settings.validate_every and (done % settings.validate_every == 0 or last):
            _validate(recipe, state, log, folder)
            last = last or recipe.enough(state.history)
        if done % settings.log_every == 0 or last:
            means = {name: total / logged for name, total in totals.items()}
            log.training(done, {**means, "learning_rate": rate, "seconds": time.perf_counter() - began})
            if progress is not None:
                left = (time.perf_counter() - began) / (done - first) * (settings.steps - done)
                seen = state.history[-1] if state.history else {}
                progress(Progress(done, settings.steps, means["loss"], left, seen))
            totals, logged = {}, 0
        if done % settings.checkpoint_every == 0 or last:
            save_checkpoint(folder, recipe, state)
        if last:
            return


class _Numbered(Dataset):
    """The recipe's batches by number, as the loader wants them."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def __getitem__(self, number: int) -> Mapping[str, Tensor] | CvlError:
        try:
            return self.recipe.batch(number)
        except CvlError as error:  # the loader would make another error of it on its way from the worker
            return error


def _quiet_worker(_: int) -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def _batches(recipe: Recipe, start: int, device: torch.device) -> Iterator[tuple[int, Mapping[str, Tensor]]]:
    """Each step from `start` on with its batch on the device; batches are made ahead in other processes."""
    settings = recipe.settings
    numbers = range(start // settings.substeps, -(-settings.steps // settings.substeps))
    loader = DataLoader(
        _Numbered(recipe),
        batch_size=None,
        sampler=numbers,
        num_workers=settings.workers,
        # forked, as torch expects: workers that a fork server starts outlive a trainer that is killed
        multiprocessing_context="fork" if settings.workers and sys.platform == "linux" else None,
        prefetch_factor=2 if settings.workers else None,
        pin_memory=device.type == "cuda",
        worker_init_fn=_quiet_worker,
        generator=torch.Generator(),
    )
    for number, batch in zip(numbers, loader, strict=True):
        if isinstance(batch, CvlError):
            raise batch
        batch = recipe.on_device({name: value.to(device, non_blocking=True) for name, value in batch.items()})
        for step in range(
            max(start, number * settings.substeps), min((number + 1) * settings.substeps, settings.steps)
        ):
            yield step, batch


def _chunks(batch: Mapping[str, Tensor], settings: LoopSettings) -> Iterator[tuple[Mapping[str, Tensor], float]]:
    """The parts of a batch that go through the network at once, and their shares of it."""
    whole = len(next(iter(batch.values())))  # the last of an epoch may be smaller than the settings say
    size = settings.chunk or whole
    if size >= whole:
        yield batch, 1.0
        return
    for start in range(0, whole, size):
        part = {name: value[start : start + size] for name, value in batch.items()}
        yield part, min(size, whole - start) / whole


def _average(state: RunState, decay: float) -> None:
    """Running mean of the weights; it forgets the first steps faster."""
    if state.average is None:
        return
    keep = min(decay, state.step / (state.step + 9))
    with torch.no_grad():
        for mean, value in zip(state.average.state_dict().values(), state.net.state_dict().values(), strict=True):
            mean.lerp_(value, 1 - keep) if mean.is_floating_point() else mean.copy_(value)


def _check_weights(state: RunState, rate: float, folder: Path) -> None:
    """DivergedError before weights that are no numbers are kept."""
    broken = _not_finite(state.net)
    if broken:
        raise DivergedError(
            f"{folder}: {len(broken)} of the network's weights ({broken[0]}) are not finite after step {state.step}. "
            f"Learning rate {rate:g}: try a smaller one. The last checkpoint is kept."
        )


def _not_finite(net: nn.Module) -> list[str]:
    return [name for name, parameter in net.named_parameters() if not torch.isfinite(parameter).all()]


def _validate(recipe: Recipe, state: RunState, log: RunLog, folder: Path) -> None:
    net = state.net if state.average is None else state.average
    was_training = net.training
    net.eval()
    with torch.no_grad():
        figures = recipe.validate(net)
    net.train(was_training)
    for name in recipe.always_finite:
        if not math.isfinite(figures[name]):
            raise DivergedError(
                f"{folder}: {name} is {figures[name]} on the validation images after step {state.step}. Try a smaller "
                "learning rate in another folder. The last checkpoint is kept."
            )
    state.history.append({"step": state.step, **figures})
    log.validation(state.step, figures)
    if recipe.monitor is not None and figures:
        value = figures[recipe.monitor]
        if math.isfinite(value) and (state.best is None or value < state.best["value"]):
            weights = {name: tensor.detach().cpu().clone() for name, tensor in net.state_dict().items()}
            state.best = {"value": value, "step": state.step, "net": weights}


def _chosen(recipe: Recipe, state: RunState) -> nn.Module:
    """The network to keep: the best on validation where the recipe monitors it, else the (averaged) last."""
    net = state.net if state.average is None else state.average
    if state.best is not None:
        net.load_state_dict(state.best["net"])
    return net


def _where(
    values: Mapping[str, float],
    batch: Mapping[str, Tensor],
    step: int,
    rate: float,
    state: RunState,
    folder: Path,
) -> str:
    terms = [name for name, value in values.items() if name != "loss" and not math.isfinite(value)]
    text = f"{folder}: the loss is {values['loss']} at step {step}"
    text += f" (term {', '.join(terms)})" if terms else ""
    broken = _not_finite(state.net)
    if "images" in batch and not torch.isfinite(batch["images"]).all():
        return f"{text}: its images hold values that are not finite. Check the training data."
    if broken:
        text += f"; the weights {broken[0]} and {len(broken) - 1} more are not finite"
    return f"{text}. Learning rate {rate:g}: try a smaller one. The last checkpoint is kept."

"""The recipes a network can be trained by: what is trained, on which batches, with which loss.

A recipe is a module of this package, named after it (`kcl-regression`: kcl_regression.py), with a class
`TrainingRecipe` derived from `Recipe`; the one loop (training/loop.py) runs them all. What the loop promises in return:
batches are made ahead in another process, a run stopped at any moment goes on to the same result, and a loss that is
not finite stops it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ...errors import UsageError
from ..settings import LoopSettings

if TYPE_CHECKING:
    from torch import Tensor, nn, optim

#: in the order of the help text
RECIPES = ("synthetic-heatmap", "kcl-regression", "xue-heatmap")


class Recipe(ABC):
    """One way of training. It must be picklable, and may keep its data in memory.

    monitor: the validation figure whose least value decides which weights are kept; None: the last.
    always_finite: validation figures that are numbers, unless the network's answers are not.
    """

    name: ClassVar[str]
    Settings: ClassVar[type[LoopSettings]] = LoopSettings
    monitor: ClassVar[str | None] = None
    always_finite: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: LoopSettings, folder: Path) -> None:
        """Read and check the data. folder: of the run; data the recipe makes may be kept there."""
        self.settings, self.folder = settings, folder

    @abstractmethod
    def network(self) -> nn.Module:
        """The network as training begins, on the CPU; the loop has seeded torch."""

    @abstractmethod
    def batch(self, number: int) -> Mapping[str, Tensor]:
        """Batch `number`, on the CPU: a function of the settings, the data and the number alone, so that a stopped run
        can go on. Numbers rise within a process. Called in another process, unless settings.workers is 0."""

    def on_device(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """What is left to do to a batch once it is on the settings' device, a function of the batch alone; nothing."""
        return batch

    @abstractmethod
    def losses(self, net: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weighted terms of the loss, by the names they are logged under; the loop adds them up. net is in training
        mode, the batch (or a chunk of it, where the settings say so) on the settings' device; the forward pass belongs
        into `with self.precision():`."""

    def optimiser(self, net: nn.Module) -> optim.Optimizer:
        """Adam, unless a recipe says otherwise."""
        import torch

        return torch.optim.Adam(net.parameters(), self.settings.learning_rate)

    def learning_rate(self, step: int, history: Sequence[Mapping[str, float]]) -> float:
        """The rate of a step (from 0), a function of it and of the validations so far ({"step": …, figure: …} each),
        so that nothing else needs keeping. Constant, unless a recipe says otherwise."""
        return self.settings.learning_rate

    def validate(self, net: nn.Module) -> dict[str, float]:
        """Figures (pixels and mm in their names) on validation data; net is in evaluation mode on the device."""
        return {}

    def enough(self, history: Sequence[Mapping[str, float]]) -> bool:
        """Whether the run ends before its last step, told from the validations so far."""
        return False

    def fingerprint(self) -> str:
        """What the training data are, so that a run does not go on with others; "" where the settings say it all."""
        return ""

    @abstractmethod
    def finish(self, net: nn.Module, folder: Path) -> Path:
        """Write the trained network (on the CPU, in evaluation mode) to a file that `cvl detect --model` takes."""

    @property
    def mixed(self) -> bool:
        """Whether the forward pass is in mixed precision: as the settings say, else where it is faster."""
        given = self.settings.bfloat16
        return computes_bfloat16(self._device_type) if given is None else given

    @property
    def _device_type(self) -> str:
        return self.settings.device.partition(":")[0]

    def precision(self) -> contextlib.AbstractContextManager:
        """Mixed precision for the forward pass, where `mixed`."""
        import torch

        return torch.autocast(self._device_type, torch.bfloat16, enabled=self.mixed)


@functools.cache
def computes_bfloat16(device_type: str) -> bool:
    """Whether "cuda" supports bfloat16, as torch says, or "cpu" has instructions for it. A processor without them is
    ten times slower with it than with float32 (measured with AVX2 alone). Versions of torch that do not tell of the
    processor: no."""
    import torch

    if device_type == "cuda":
        return torch.cuda.is_bf16_supported()
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def waited_enough(values: Sequence[float], patience: int) -> bool:
    """Whether the last `patience` of these figures (less is better) were all worse than the best before."""
    return len(values) > patience and min(values[-patience:]) > min(values)


def recipe_class(name: str) -> type[Recipe]:
    """The recipe of this name. Needs torch. UsageError listing the names there are."""
    if name not in RECIPES:
        raise UsageError(f"recipe {name!r}: expected one of {', '.join(RECIPES)}.")
    return importlib.import_module(f".{name.replace('-', '_')}", __name__).TrainingRecipe

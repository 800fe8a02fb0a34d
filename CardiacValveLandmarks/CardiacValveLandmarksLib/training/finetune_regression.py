"""Fine-tuning of the published regression network, by its own recipe, on corrected cines among synthetic images.

Its training images are not at hand, so it rehearses its own answers: on synthetic images the landmarks it is to find
are those it found before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ..models.restore import torch_network
from ..models.spec import ModelSpec
from .corrections import CorrectedCine
from .corrections_npz import write_corrections_npz
from .dataset import LabelledImages
from .recipes import waited_enough
from .recipes.kcl_regression import RegressionSettings, TrainingRecipe, scaled

_DATASET = "corrections.npz"
_CHUNK = 16


@dataclass(frozen=True)
class RegressionFinetuneSettings(RegressionSettings):
    """patience: after so many validations in a row without a better one the run ends. datasets is set by the run."""

    seed: int = 1
    steps: int = 240
    substeps: int = 1
    batch: int = 16
    learning_rate: float = 3e-5
    average: float = 0.95
    validate_every: int = 20
    checkpoint_every: int = 40
    workers: int = 0
    threads: int = 1
    datasets: tuple[str, ...] = (_DATASET,)
    synthetic: int = 12
    shares: tuple[float, ...] = (0.5, 0.5)
    absent: str = "left-out"
    keep_best: bool = True
    patience: int = 4


class RegressionFinetune(TrainingRecipe):
    """Made with the model to begin from, the corrected cines to train on and those held out."""

    name = "finetune-regression"
    Settings = RegressionFinetuneSettings
    settings: RegressionFinetuneSettings

    def __init__(
        self,
        settings: RegressionFinetuneSettings,
        folder: Path,
        spec: ModelSpec,
        training: Sequence[CorrectedCine],
        held_out: Sequence[CorrectedCine],
        propagated: float,
    ) -> None:
        write_corrections_npz(folder / _DATASET, training, held_out, propagated)
        super().__init__(replace(settings, datasets=(str(folder / _DATASET),)), folder)
        self.spec = spec
        net = torch_network(spec)
        corrections, synthetic = self._sources.train
        self._sources = self._sources._replace(train=(corrections, _own_answers(net, synthetic)))
        self._fingerprint += spec.checksum

    def network(self) -> nn.Module:
        return torch_network(self.spec)

    def learned(self) -> dict:
        """What the catalogue's entry has otherwise than the base's: nothing."""
        return {}

    def nearer(self, folder: Path) -> bool:
        """Nothing lies between this model and its base."""
        return False

    def notes(self) -> tuple[str, ...]:
        """Nothing to say of what was learned."""
        return ()

    def enough(self, history) -> bool:
        return waited_enough([entry[self.monitor] for entry in history], self.settings.patience)


@torch.no_grad()
def _own_answers(net: nn.Module, data: LabelledImages) -> LabelledImages:
    """`data` with each landmark that is there moved to where the network finds it."""
    found = []
    for start in range(0, len(data), _CHUNK):
        images = torch.stack([scaled(torch.from_numpy(image)) for image in data.images[start : start + _CHUNK]])
        found.append(net(images[:, None]).transpose(1, 2).numpy())
    landmarks = data.landmarks.copy()
    ten = landmarks[:, : found[0].shape[1]]
    np.copyto(ten, np.concatenate(found), where=np.isfinite(ten))
    return replace(data, landmarks=landmarks)

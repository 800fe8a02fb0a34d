"""The log of a run: two CSV files, and TensorBoard's where asked for."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from ..errors import InputError, UsageError
from ..files import atomic_open


class RunLog:
    """log.csv (loss, its terms, learning rate) and validation.csv of a run in `folder`; a context manager.

    A run that goes on from `step` drops the rows after it: they will be written again.
    """

    def __init__(self, folder: Path, step: int, tensorboard: bool) -> None:
        self._folder = folder
        self._board = None
        for name in ("log.csv", "validation.csv"):
            _cut(folder / name, step)
        if tensorboard:
            if find_spec("tensorboard") is None:
                raise UsageError("setting tensorboard: the package tensorboard is not installed; install it or unset.")
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *_: object) -> None:
        if self._board is not None:
            self._board.close()

    def training(self, step: int, figures: Mapping[str, float]) -> None:
        """A row of log.csv."""
        self._row("log.csv", "training", step, figures)

    def validation(self, step: int, figures: Mapping[str, float]) -> None:
        """A row of validation.csv."""
        self._row("validation.csv", "validation", step, figures)

    def _row(self, name: str, group: str, step: int, figures: Mapping[str, float]) -> None:
        path = self._folder / name
        try:
            first = not path.exists()
            with path.open("a", newline="", encoding="utf-8") as stream:
                writer = csv.writer(stream, lineterminator="\n")
                if first:
                    writer.writerow(["step", *figures])
                writer.writerow([step, *(f"{value:.6g}" for value in figures.values())])
        except OSError as error:
            raise InputError(path, "a log that can be written", str(error), "Free some space and go on.") from error
        if self._board is not None:
            for key, value in figures.items():
                self._board.add_scalar(f"{group}/{key}", value, step)


def _cut(path: Path, step: int) -> None:
    """Drop the rows after `step`, and a last row that a kill left unfinished."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = lines[:1] + [
        line
        for line in lines[1:]
        if line.endswith("\n") and line.split(",", 1)[0].isdigit() and int(line.split(",", 1)[0]) <= step
    ]
    if step == 0 or not kept or not kept[0].endswith("\n"):
        path.unlink()
    elif kept != lines:
        with atomic_open(path) as stream:
            stream.writelines(kept)

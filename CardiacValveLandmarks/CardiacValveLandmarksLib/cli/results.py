"""The files that a command writes for one cine: NAME and a suffix each, all of one run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError
from ..files import make_folder, remove_leftovers, take_places


def output_names(cines, suffixes: Sequence[str]) -> list[str]:
    """Each cine's name, numbered where that would write a file of another one; file systems may ignore case."""
    taken: set[str] = set()
    names = []
    for cine in cines:
        name, number = cine.name, 1
        while taken & (files := {(name + suffix).lower() for suffix in suffixes}):
            number += 1
            name = f"{cine.name}_{number}"
        taken |= files
        names.append(name)
    return names


def refuse_existing(paths: Iterable[Path]) -> None:
    """InputError for the first of the files that is there."""
    for path in paths:
        if path.exists():
            raise InputError(path, "no results from before", "a file", "Add --overwrite or choose another folder.")


@contextmanager
def whole_results(folder: Path, name: str, suffixes: Sequence[str]) -> Iterator[Path]:
    """A folder to write NAME with some of the suffixes into. At the end they take their places in `folder`, and what a
    run before wrote under the others goes. The file of the last suffix says that all others are of its run: it is taken
    away first, and comes last. Nothing changes where the block fails. InputError: the folder cannot be written.
    """
    remove_leftovers(make_folder(folder))
    try:
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as made:
            staging = Path(made)
            yield staging
            order = {name + suffix: place for place, suffix in enumerate(suffixes)}
            files = sorted((path.name for path in staging.iterdir()), key=lambda file: order.get(file, -1))
            last, before = folder / (name + suffixes[-1]), staging / ".before"
            if last.is_file():
                last.replace(before)
            try:
                take_places(staging, folder, [Path(file) for file in files])
            except BaseException:
                if before.exists():
                    before.replace(last)
                raise
            for file in order:
                if file not in files:
                    (folder / file).unlink(missing_ok=True)
    except OSError as error:
        advice = "Free some space, close what holds files there, or choose another folder."
        raise InputError(folder, "a folder that can be written", str(error), advice) from error

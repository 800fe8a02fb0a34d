"""Work in pieces: generators that pause often, so that an event loop can turn meanwhile, and end with a result."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

Result = TypeVar("Result")


def in_one_go(pieces: Generator[None, None, Result]) -> Result:
    """The result, with no pause."""
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            return end.value

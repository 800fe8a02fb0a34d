"""A line of progress on a terminal; nothing where the output is a file."""

from __future__ import annotations

import sys
import time


class ProgressBar:
    """`with ProgressBar("what") as bar: bar.update(done, total)`: percent and time left on standard error."""

    def __init__(self, title: str) -> None:
        self._title, self._began, self._shown = title, time.monotonic(), False
        self._live = sys.stderr.isatty()

    def update(self, done: int, total: int | None) -> None:
        if not self._live or not total:
            return
        left = (time.monotonic() - self._began) * (total - done) / max(done, 1)
        print(f"\r{self._title}: {done / total:4.0%}, about {left:.0f} s left ", end="", file=sys.stderr, flush=True)
        self._shown = True

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            print("\r" + " " * (len(self._title) + 30) + "\r", end="", file=sys.stderr, flush=True)

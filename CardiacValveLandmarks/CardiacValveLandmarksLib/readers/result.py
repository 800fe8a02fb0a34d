"""What a scan of files gives: the cines found, and what was there but is no cine."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..cine import Cine
from ..errors import InputError


@dataclass(frozen=True)
class Skipped:
    """Something that was found and not read as a cine: `source` is the file, folder or series."""

    source: str
    expected: str
    found: str
    advice: str = ""

    @classmethod
    def from_error(cls, error: InputError) -> Skipped:
        return cls(error.path, error.expected, error.found, error.advice)

    def to_error(self) -> InputError:
        return InputError(self.source, self.expected, self.found, self.advice)


@dataclass(frozen=True)
class Scan:
    """cines: in the order of their series. skipped: everything that looked like an image and is no cine."""

    cines: list[Cine] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

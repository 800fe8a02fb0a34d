"""Errors a user can act on. Each message names the file, what was expected,
what was found and what to do; each class carries the command line's exit status."""

from __future__ import annotations

import os
from typing import ClassVar


class CvlError(Exception):
    """Base of all errors this library raises on purpose."""

    exit_status: ClassVar[int] = 1


class UsageError(CvlError):
    """The call itself is wrong: an argument out of range, options that exclude each other."""

    exit_status: ClassVar[int] = 2


class InputError(CvlError):
    """Input that cannot be read, is not a cine, or an output place that cannot be written."""

    exit_status: ClassVar[int] = 3

    def __init__(self, path: str | os.PathLike, expected: str, found: str, advice: str = "") -> None:
        self.path = os.fspath(path)
        self.expected, self.found, self.advice = expected, found, advice
        message = f"{self.path}: expected {expected}; found {found.removesuffix('.')}."
        super().__init__(f"{message} {advice}" if advice else message)

    def __reduce__(self) -> tuple:
        """So that it crosses from one process to another."""
        return type(self), (self.path, self.expected, self.found, self.advice)


class ModelError(InputError):
    """A model that is missing, does not verify, or is not what its description says."""

    exit_status: ClassVar[int] = 4


class Cancelled(CvlError):
    """The user stopped it; nothing half-done is left under a final name."""

    exit_status: ClassVar[int] = 130

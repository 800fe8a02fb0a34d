"""Numbers on the command line, as types for argparse: what is out of range is a usage error that names the option."""

from __future__ import annotations

import argparse
import math


def _number(text: str, expected: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected {expected}, found {text!r}") from None


def positive(text: str) -> float:
    """A finite number above 0."""
    value = _number(text, "a number above 0")
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text}")
    return value


def share(text: str) -> float:
    """A number above 0 and below 1."""
    value = _number(text, "a share between 0 and 1")
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a share between 0 and 1, found {text}")
    return value


def share_or_none(text: str) -> float:
    """A number from 0 to below 1."""
    return 0.0 if _number(text, "a share from 0 to below 1") == 0 else share(text)


def natural(text: str) -> int:
    """A whole number from 0."""
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected a whole number from 0, found {text!r}")
    return int(text)

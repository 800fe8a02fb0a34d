"""Packages that one of a command's outputs needs: Slicer's Python has no matplotlib."""

from __future__ import annotations

from ..errors import UsageError
from ..models.weights import has_package
from ..packages import how_to_install


def require(package: str, what: str, instead: str = "") -> None:
    """UsageError where a package is missing, before the long work begins. what: needs it; instead: does without."""
    if not has_package(package):
        way_out = f", or add {instead}" if instead else ""
        raise UsageError(
            f"{what} needs the package {package}, which is not installed: {how_to_install(package)}{way_out}."
        )

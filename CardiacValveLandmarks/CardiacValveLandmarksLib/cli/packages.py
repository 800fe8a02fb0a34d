"""Packages that one of a command's outputs needs: Slicer's Python has no matplotlib."""

from __future__ import annotations

from ..errors import UsageError
from ..models.weights import has_package

#: what to install, where it is called otherwise than what is imported
_DISTRIBUTIONS = {"PIL": "pillow"}


def require(package: str, what: str, instead: str = "") -> None:
    """UsageError where a package is missing, before the long work begins. what: needs it; instead: does without."""
    if not has_package(package):
        name = _DISTRIBUTIONS.get(package, package)
        way_out = f", or add {instead}" if instead else ""
        raise UsageError(
            f"{what} needs the package {name}, which is not installed: pip install {name} (in Slicer's Python console: "
            f'slicer.util.pip_install("{name}")){way_out}.'
        )

"""Python packages that a part of the library needs and that may be missing: how to get them, in words."""

from __future__ import annotations

#: what to install, where it is called otherwise than what is imported
_DISTRIBUTIONS = {"PIL": "pillow"}
#: every Slicer has these
_SLICERS_OWN = {"slicer", "vtkmodules"}


def how_to_install(module: str, extra: str = "") -> str:
    """The commands that bring an importable module, outside Slicer and in it. extra: the optional dependency of this
    package that has it, "": none, it is installed by itself."""
    package = module.partition(".")[0]
    name = _DISTRIBUTIONS.get(package, package)
    outside = f'pip install ".[{extra}]" in this project\'s folder' if extra else f"pip install {name}"
    if package in _SLICERS_OWN:
        return outside
    return f'{outside} (in Slicer\'s Python console: slicer.util.pip_install("{name}"))'

"""On what a model may run. torch, which alone knows the GPUs, is not imported to fill a list."""

from __future__ import annotations

import sys
from functools import cache

from slicer.i18n import tr as _

from . import packages

#: the entry of the list that looks for GPUs
LOOK = "look"


def _torch():
    """torch, if it was imported to its end; another thread may be in the middle of it."""
    torch = sys.modules.get("torch")
    return None if torch is None or getattr(torch.__spec__, "_initializing", False) else torch


def known() -> bool:
    """Whether nothing more can be found out: torch was loaded, or is not here."""
    return _torch() is not None or not packages.installed("torch")


@cache
def look() -> list[str]:
    """The CUDA devices torch finds, ["cuda:0", …]. Imports torch: seconds."""
    import torch

    return [f"cuda:{number}" for number in range(torch.cuda.device_count())] if torch.cuda.is_available() else []


def choices() -> list[str]:
    """What can be chosen, as far as it is known."""
    return ["auto", "cpu", *(look() if _torch() is not None else [])]


def label(device: str) -> str:
    """A device in words."""
    if device.startswith("cuda"):
        number = int(device.partition(":")[2] or 0)
        if device not in choices():
            return _("GPU {number} (not known here)").format(number=number)
        return _("GPU {number}: {name}").format(number=number, name=sys.modules["torch"].cuda.get_device_name(number))
    return {"auto": _("any device"), "cpu": _("CPU"), LOOK: _("look for a GPU…")}[device]

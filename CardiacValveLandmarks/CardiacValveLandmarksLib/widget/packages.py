"""What a model needs that Slicer's Python has not: said, and installed when the user agrees. Never at start-up."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from functools import cache
from pathlib import Path

import slicer
from slicer.i18n import tr as _

ONNXRUNTIME = "onnxruntime>=1.17"


def installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def missing_for(spec, device: str = "auto") -> str:
    """The package to install before this model can run on a device: "onnxruntime", "torch" or ""."""
    if device.startswith("cuda"):
        return "" if installed("torch") else "torch"
    if spec.weights_path.suffix == ".onnx":
        return "" if installed("onnxruntime") else "onnxruntime"
    if installed("torch") or (_converted(spec) and installed("onnxruntime")):
        return ""
    return "torch"


def _converted(spec) -> bool:
    """Whether the model's weights were brought into ONNX form before."""
    from ..models.conversion import known_architecture

    return bool(spec.sha256) and known_architecture(spec.sha256) is not None


def engine_for(spec, device: str) -> str:
    """What will run the model, in words, by the rule of `models.engine.open_engine`."""
    if device.startswith("cuda"):
        return _("{device}, PyTorch").format(device=device.upper())
    from ..models.architectures import OWN_GRAPH

    onnx = spec.weights_path.suffix == ".onnx"
    if not onnx and spec.architecture != OWN_GRAPH and installed("onnxruntime"):
        onnx = _converted(spec) or (installed("onnx") and installed("torch"))
    if onnx:
        return _("CPU, ONNX Runtime")
    return _("CPU, PyTorch") if device == "cpu" else _("PyTorch, on a GPU where there is one")


@cache
def read_ahead() -> None:
    """Read ONNX Runtime's libraries from the disk, once, in a worker thread: loading them holds Python's lock, and from
    a cold disk the interface would stand still meanwhile."""
    spec = importlib.util.find_spec("onnxruntime")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        for path in sorted((Path(folder) / "capi").glob("*")):
            if path.suffix in (".so", ".pyd", ".dll", ".dylib") or ".so." in path.name:
                with contextlib.suppress(OSError), path.open("rb") as stream:  # importing it says what is wrong
                    while stream.read(1 << 20):
                        pass


def install(package: str) -> bool:
    """Ask, then install; whether it is there afterwards. Raises what the installer raises."""
    if package == "torch":
        _install_torch()
    else:
        question = _(
            "ONNX Runtime runs the model on the processor. It is a Python package of about 20 MB that will be "
            "downloaded and installed into Slicer's Python. Install it now?"
        )
        if not slicer.util.confirmOkCancelDisplay(question, windowTitle=_("Cardiac Valve Landmarks")):
            return False
        _pip(ONNXRUNTIME)
    importlib.invalidate_caches()
    return installed(package)


def _pip(requirement: str) -> None:
    """Slicer 5.12 and later have their own module for it."""
    if importlib.util.find_spec("slicer.packaging") is not None:
        importlib.import_module("slicer.packaging").pip_install(requirement)
    else:
        with slicer.util.WaitCursor():  # the window stands still meanwhile
            slicer.util.pip_install(requirement)


def _install_torch() -> None:
    """Through the PyTorch extension, which chooses the build for this computer and asks itself."""
    from ..errors import InputError

    if importlib.util.find_spec("PyTorchUtils") is None:
        raise InputError(
            "PyTorch",
            "the extension PyTorch, which installs it safely",
            "it is not installed",
            "Install the extension PyTorch in the Extensions Manager, restart Slicer, and try again.",
        )
    utilities = importlib.import_module("PyTorchUtils").PyTorchUtilsLogic()
    utilities.installTorch(askConfirmation=True)

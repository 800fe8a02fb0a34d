"""What a model needs that Slicer's Python has not: said, and installed when the user agrees. Never at start-up."""

from __future__ import annotations

import importlib
import importlib.util

import slicer
from slicer.i18n import tr as _

ONNXRUNTIME = "onnxruntime>=1.17"


def installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def missing_for(spec) -> str:
    """The package that has to be installed before this model can run: "onnxruntime", "torch" or ""."""
    from ..models.conversion import known_architecture

    if spec.weights_path.suffix == ".onnx":
        return "" if installed("onnxruntime") else "onnxruntime"
    converted = bool(spec.sha256) and known_architecture(spec.sha256) is not None
    if installed("torch") or (converted and installed("onnxruntime")):
        return ""
    return "torch"


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

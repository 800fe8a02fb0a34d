"""Two engines that run a network, behind one small interface: ONNX Runtime (CPU) and torch (CPU, GPU).

Which one runs is decided once, when the engine is opened, by the rule in `open_engine`; it is stated by `describe`
and never changes afterwards.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import ModelError, UsageError
from .architectures import ARCHITECTURES, OWN_GRAPH, Architecture
from .cache import checksums
from .conversion import can_convert, conversion_path, onnx_form
from .restore import load_network
from .weights import file_kind, has_package

ENGINES = ("auto", "torch", "onnx")


class Engine(Protocol):
    """Runs one network. name: "onnx" or "torch". device: "cpu" or "cuda:n"."""

    name: str
    device: str

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Float32 arrays by the network's input names -> float32 arrays by its output names."""

    def describe(self) -> str:
        """Engine, version and device in words, for provenance."""


def available_threads() -> int:
    """Threads to use when none are asked for: OMP_NUM_THREADS, else the CPUs this process may use, at most 8."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return min(8, len(affinity(0)) if affinity else os.cpu_count() or 1)


@contextlib.contextmanager
def _onnx_errors(path: str | os.PathLike, expected: str) -> Iterator[None]:
    """ONNX Runtime's exceptions, which share no base class but Exception, as ModelError."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith("onnxruntime"):
            raise
        raise ModelError(path, expected, str(error), "The file is damaged or another model.") from error


class OnnxEngine:
    """ONNX Runtime on the CPU.

    own_graph: the model has one input and one output of any name; they are taken as `image` and `heatmaps`.
    """

    name = "onnx"
    device = "cpu"

    def __init__(self, path: str | os.PathLike, threads: int | None = None, own_graph: bool = False) -> None:
        if not has_package("onnxruntime"):
            raise ModelError(path, "the package onnxruntime", "it is not installed", "Install onnxruntime.")
        try:
            import onnxruntime
        except ImportError as error:  # on Windows: another C++ runtime than it was built for
            raise ModelError(
                path,
                "the package onnxruntime, ready to be loaded",
                str(error),
                "Install another version of onnxruntime; in Slicer on Windows an earlier one may fit its C++ runtime.",
            ) from error

        options = onnxruntime.SessionOptions()
        self.threads = threads or available_threads()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 4  # errors come as exceptions
        with _onnx_errors(path, "an ONNX model"):
            self._session = onnxruntime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])
        self._path, self._version = path, onnxruntime.__version__
        self._inputs = {entry.name: entry.name for entry in self._session.get_inputs()}
        self.outputs = tuple(entry.name for entry in self._session.get_outputs())
        if own_graph:
            if len(self._inputs) != 1 or len(self.outputs) != 1:
                found = f"inputs {', '.join(self._inputs)}; outputs {', '.join(self.outputs)}"
                raise ModelError(path, "one input (image) and one output (heat-maps)", found)
            self._inputs, self.outputs = {"image": next(iter(self._inputs))}, ("heatmaps",)
        self.inputs = tuple(self._inputs)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if unknown := set(inputs) - set(self._inputs):
            found = f"one with {', '.join(self._inputs)}"
            raise ModelError(self._path, f"a model with the input {', '.join(sorted(unknown))}", found)
        arrays = {self._inputs[name]: np.ascontiguousarray(array) for name, array in inputs.items()}
        with _onnx_errors(self._path, "a model that takes these images"):
            values = self._session.run(None, arrays)
        return dict(zip(self.outputs, values, strict=True))

    def describe(self) -> str:
        return f"ONNX Runtime {self._version}, CPU, {self.threads} thread{'s' if self.threads > 1 else ''}"


class TorchEngine:
    """torch on the CPU or a CUDA device. A device that is not there is an error, never replaced by another."""

    name = "torch"

    def __init__(
        self,
        path: str | os.PathLike,
        architecture: Architecture | None,
        device: str = "cpu",
        threads: int | None = None,
    ) -> None:
        if not has_package("torch"):
            raise ModelError(path, "the package torch", "it is not installed", "Install torch or use --engine onnx.")
        import torch

        self.device = torch_device(torch, device)
        if self.device == "cpu":
            torch.set_num_threads(threads or available_threads())
        else:
            # cuDNN's shortened mantissa would move landmarks by more than the engines may differ
            torch.backends.cudnn.allow_tf32 = False
            torch.backends.cuda.matmul.allow_tf32 = False
        module = _torchscript(torch, path) if architecture is None else load_network(path, architecture)
        self._torch, self._module = torch, module.to(self.device).eval()
        self._path, self._architecture = path, architecture
        self.inputs = architecture.inputs if architecture else ("image",)
        self.outputs = architecture.outputs if architecture else ("heatmaps",)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        torch = self._torch
        with torch.inference_mode():
            tensors = [torch.from_numpy(np.ascontiguousarray(inputs[name])).to(self.device) for name in self.inputs]
            try:
                values = self._module(*tensors)
            except RuntimeError as error:
                if self._architecture is not None:
                    raise
                raise ModelError(self._path, "a model that takes these images", str(error)) from error
            values = values if isinstance(values, (tuple, list)) else (values,)
            if len(values) != len(self.outputs):
                raise ModelError(self._path, f"{len(self.outputs)} output(s)", f"{len(values)}")
            return {name: value.float().cpu().numpy() for name, value in zip(self.outputs, values, strict=True)}

    def describe(self) -> str:
        if self.device == "cpu":
            return f"torch {self._torch.__version__}, CPU, {self._torch.get_num_threads()} threads"
        return f"torch {self._torch.__version__}, {self.device} ({self._torch.cuda.get_device_name(self.device)})"


def torch_device(torch, device: str) -> str:
    if device == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        return device
    if not torch.cuda.is_available():
        raise UsageError(f"device {device}: torch {torch.__version__} finds no CUDA device here; use --device cpu.")
    number = int(device.partition(":")[2] or 0)
    if number >= torch.cuda.device_count():
        raise UsageError(f"device {device}: there are {torch.cuda.device_count()} CUDA devices, counted from 0.")
    return f"cuda:{number}"


def _torchscript(torch, path):
    try:
        return torch.jit.load(os.fspath(path), map_location="cpu")
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelError(path, "a TorchScript model", str(error).splitlines()[0]) from error


def open_engine(
    model_file: str | os.PathLike,
    architecture: str,
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    checksum: str | None = None,
) -> Engine:
    """Open a model file with an engine.

    The rule of "auto": a CUDA device asked for means torch; TorchScript means torch; else ONNX Runtime on the CPU
    where it is installed and the model is in ONNX form, was converted before or can be converted now; else torch.
    Device "auto" is the CPU with ONNX Runtime, and with torch the first CUDA device where there is one.

    architecture: a name of `ARCHITECTURES` or OWN_GRAPH. checksum: the file's sha256 when it is known already.
    UsageError: options that exclude each other, a device that is not there. ModelError: a missing package, or a
    file that does not fit.
    """
    if engine not in ENGINES:
        raise UsageError(f"engine {engine!r}: expected one of {', '.join(ENGINES)}.")
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise UsageError(f"device {device!r}: expected auto, cpu, cuda or cuda:N.")
    if threads is not None and threads < 1:
        raise UsageError(f"threads: expected 1 or more, found {threads}.")
    on_gpu = device.startswith("cuda")
    if engine == "onnx" and on_gpu:
        raise UsageError(f"--engine onnx runs on the CPU; for --device {device} use --engine torch.")
    path, kind = Path(model_file), file_kind(model_file)
    known = ARCHITECTURES.get(architecture)
    if known is None and architecture != OWN_GRAPH:
        raise ModelError(path, f"an architecture among {', '.join(ARCHITECTURES)}", repr(architecture))
    if known is None and kind == "state-dict":
        raise ModelError(path, "a TorchScript archive or an .onnx file", "weights without a network")
    if kind == "torchscript" and known is not None:
        raise ModelError(path, f"weights of {architecture}", "a TorchScript archive")
    if kind == "torchscript" and engine == "onnx":
        raise UsageError(f"{path.name} is a TorchScript model: it runs with --engine torch only.")
    if kind == "onnx" and known is None and (engine == "torch" or on_gpu):
        raise UsageError(f"{path.name} brings its own ONNX graph: it runs with --engine onnx on the CPU only.")

    if engine == "auto":
        engine = "torch" if on_gpu or kind == "torchscript" else _automatic(path, kind, known, checksum)
    if engine == "torch":
        return TorchEngine(path, known, device, threads)
    if kind == "state-dict":
        path = onnx_form(path, checksum or checksums(path, "sha256")[0], known)
    return OnnxEngine(path, threads, own_graph=known is None)


def _automatic(path: Path, kind: str, architecture: Architecture | None, checksum: str | None) -> str:
    if not has_package("onnxruntime"):  # where neither is there, the one asked for is the smaller
        return "torch" if has_package("torch") or kind != "onnx" else "onnx"
    if kind == "onnx" or can_convert():
        return "onnx"
    checksum = checksum or checksums(path, "sha256")[0]
    return "onnx" if conversion_path(checksum, architecture).is_file() or not has_package("torch") else "torch"

"""The published pipeline against ours, on the same 32 frames and the same weights, in one run.

    python bench/published_network.py [CINE.nii.gz] [--rounds 3]

The published pipeline is stood in for by MONAI's own blocks and transforms, arranged as the bundle describes (needs
monai and nibabel). Weights are drawn at random: time does not depend on them. Without a cine, one is made up.

Measured: the whole process (start to result written) and its peak memory, for the published pipeline, for `cvl
detect --no-tta` and for the library called directly, with both engines; then the network alone, warm. The ways take
turns, the least time of each counts. Run it on an idle machine; on a busy one only the CPU times of one thread
(OMP_NUM_THREADS=1) say something.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "CardiacValveLandmarks"
sys.path.insert(0, str(PACKAGE))
ENGINES = ("onnx", "torch")
# this process stays small and imports nothing: a child's peak memory counts from its parent's


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cine", nargs="?", type=Path, help="4-D NIfTI (256, 256, 1, N)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--library-only", action="store_true", help="leave out `cvl detect`")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)
    if options.child:
        name, *arguments = options.child
        CHILDREN[name](*arguments)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        os.environ["CVL_CACHE"] = str(work / "cache")
        weights, cine = work / "model.pt", options.cine or work / "cine.nii.gz"
        run("setup", weights, "" if options.cine else cine)
        ways = {"published": child("published", cine, weights, work / "published.npy")}
        for engine in ENGINES:
            ways[f"library, {engine}"] = child("library", cine, weights, work / f"library-{engine}.npy", engine)
            if not options.library_only:
                detect = ["detect", cine, "-o", work / f"detect-{engine}", "--model", weights, "--engine", engine]
                ways[f"cvl detect, {engine}"] = [
                    sys.executable,
                    "-m",
                    PACKAGE.name + "Lib",
                    *detect,
                    "--no-tta",
                    "--no-pictures",
                    "--overwrite",
                ]
        run("library", cine, weights, work / "warm.npy", "onnx")  # converts the weights, once
        whole_process(ways, options.rounds)
        run("compare", work / "published.npy", *(work / f"library-{engine}.npy" for engine in ENGINES))
        run("alone", cine, weights, str(options.rounds))
    return 0


def child(name: str, *arguments) -> list:
    return [sys.executable, __file__, "--child", name, *arguments]


def run(name: str, *arguments) -> None:
    subprocess.run([str(part) for part in child(name, *arguments)], check=True)


def whole_process(ways: dict[str, list], rounds: int) -> None:
    """Time and peak memory of each way, taking turns; prints them as ratios to the first."""
    seconds, cpu, megabytes = ({name: [] for name in ways} for _ in range(3))
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    for number in range(rounds + 1):
        for name, command in ways.items():
            start = time.perf_counter()
            process = subprocess.Popen(
                [str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
            )
            message = process.stderr.read()
            _, status, usage = os.wait4(process.pid, 0)
            if status:
                raise SystemExit(f"{name} failed:\n{message.decode()}")
            if number:  # the first round fills the disk's cache
                seconds[name].append(time.perf_counter() - start)
                cpu[name].append(usage.ru_utime + usage.ru_stime)
                megabytes[name].append(usage.ru_maxrss / 1024)
    reference = min(seconds["published"])
    print(f"\nwhole process, least of {rounds}:")
    for name in ways:
        least = min(seconds[name])
        ratio, work = f"published / this {reference / least:5.2f}", min(cpu[name])
        print(f"  {name:20} {least:6.2f} s   {ratio}   CPU {work:6.2f} s   peak {max(megabytes[name]):5.0f} MB")


def child_setup(weights: str, cine: str) -> None:
    """Random weights, and a cine where none was given."""
    import numpy as np
    import torch
    from CardiacValveLandmarksLib.models.published import PublishedNetwork

    torch.manual_seed(0)
    state = PublishedNetwork().state_dict()
    for name, value in state.items():
        if name.endswith("weight") and value.ndim > 1:  # so that points spread over the image, as real ones do
            state[name] = torch.randn_like(value) * (30 if value.ndim == 2 else 1.4) / value[0].numel() ** 0.5
    torch.save(state, weights)
    if cine:
        import nibabel

        rng = np.random.default_rng(0)
        rows, columns = np.mgrid[:256, :256] / 40.0
        frames = [np.sin(rows + 0.1 * t) * np.cos(columns) + 0.1 * rng.random((256, 256)) for t in range(32)]
        volume = (1000 * (2 + np.array(frames))).astype(np.int16).transpose(1, 2, 0)[:, :, None]
        nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), cine)


def monai_network():
    """The published structure from MONAI's blocks."""
    import torch
    from monai.networks.blocks import ConvDenseBlock, Convolution
    from torch import nn

    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for number in range(10):
                convolution = Convolution(2, 128, 256, strides=2, conv_only=True)
                self.add_module(f"catmodule_{number}", nn.Sequential(convolution, nn.Flatten(), nn.Linear(4096, 2)))

        def forward(self, x):
            return torch.cat([head(x) for head in self.children()], 1).reshape(-1, 2, 10)

    levels, before = nn.Sequential(), 1
    for level, after in enumerate((8, 16, 32, 64, 128)):
        third, rest = divmod(after - before, 3)
        dense = ConvDenseBlock(2, before, (third, third, third + rest), (1, 2, 4), num_res_units=2)
        levels.add_module(f"layer_{level}", nn.Sequential(dense, Convolution(2, after, after, 2, conv_only=level == 4)))
        before = after
    network = nn.Sequential()
    network.add_module("net", levels)
    network.add_module("final", nn.Sequential(Heads()))
    return network


def child_published(cine: str, weights: str, output: str) -> None:
    """The bundle's inference: transforms, loader, frame by frame."""
    import monai
    import numpy as np
    import torch
    from monai.data import DataLoader, Dataset
    from monai.engines import SupervisedEvaluator
    from monai.handlers import CheckpointLoader
    from monai.transforms import Compose, EnsureType, LoadImage, ScaleIntensity, Transpose

    # the bundle's inference runs in an evaluator with a checkpoint handler; the loop below does their work, so that
    # only their import counts
    assert monai.__version__ and SupervisedEvaluator and CheckpointLoader
    preprocessing = Compose(
        [LoadImage(image_only=True), EnsureType(), Transpose(indices=(2, 0, 1, 3)), ScaleIntensity()]
    )
    network = monai_network()
    network.load_state_dict(torch.load(weights, weights_only=True))
    network.eval()
    with torch.no_grad():
        for volume in DataLoader(Dataset([cine], preprocessing), batch_size=1):
            points = torch.cat([network(volume[..., frame]) for frame in range(volume.shape[-1])])
    np.save(output, points.numpy())


def child_library(cine: str, weights: str, output: str, engine: str) -> None:
    """The models layer called directly on the frames, read with as little as possible."""
    import numpy as np
    from CardiacValveLandmarksLib.models.catalogue import resolve_model
    from CardiacValveLandmarksLib.models.coordinates import predict_coordinates
    from CardiacValveLandmarksLib.models.engine import open_engine

    spec = resolve_model(weights)
    opened = open_engine(spec.path, spec.architecture, engine, "cpu", checksum=spec.checksum)
    points = predict_coordinates(opened, read_frames(cine), spec)
    np.save(output, points.transpose(0, 2, 1).astype(np.float32))


def read_frames(cine: str):
    import nibabel
    import numpy as np

    return np.moveaxis(np.asarray(nibabel.load(cine).dataobj, np.float32)[:, :, 0], -1, 0)


def child_compare(*files: str) -> None:
    import numpy as np

    first, *others = (np.load(file) for file in files)
    for name, other in zip(ENGINES, others, strict=True):
        print(f"  {name:20} differs from the published pipeline by at most {np.abs(first - other).max():.1e} px")


def child_alone(cine: str, weights: str, rounds: str) -> None:
    """The network alone, warm: the published loop and both engines, taking turns."""
    import torch
    from CardiacValveLandmarksLib.models.coordinates import predict_points, scale_intensity
    from CardiacValveLandmarksLib.models.engine import open_engine

    images = scale_intensity(read_frames(cine), "file")
    tensor = torch.from_numpy(images)[:, None]
    network = monai_network()
    network.load_state_dict(torch.load(weights, weights_only=True))
    network.eval()

    def published() -> None:
        with torch.no_grad():
            for frame in range(len(tensor)):
                network(tensor[frame : frame + 1])

    ways = {"published loop": published}
    for engine in ENGINES:
        opened = open_engine(weights, "published-regressor", engine, "cpu")
        ways[f"{engine}: {opened.describe()}"] = lambda opened=opened: predict_points(opened, images)
    seconds, cpu = {name: [] for name in ways}, {name: [] for name in ways}
    for number in range(2 * int(rounds) + 1):
        for name, way in ways.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            way()
            if number:
                seconds[name].append(time.perf_counter() - start)
                cpu[name].append(time.process_time() - start_cpu)
    reference = min(seconds["published loop"])
    print(f"\nnetwork alone, warm, {len(images)} frames:")
    for name in ways:
        least = min(seconds[name])
        ratio = f"this / published {least / reference:5.2f}"
        print(f"  {name:44} {least:6.3f} s   {ratio}   CPU {min(cpu[name]):6.3f} s")


CHILDREN = {name.removeprefix("child_"): value for name, value in globals().items() if name.startswith("child_")}

if __name__ == "__main__":
    sys.exit(main())

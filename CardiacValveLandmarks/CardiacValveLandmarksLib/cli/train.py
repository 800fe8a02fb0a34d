"""`cvl train`: the heat-map network on the synthetic heart, and its ONNX file. Needs torch and onnx."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from ..errors import UsageError
from ..files import atomic_open


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "train",
        help="train the heat-map network on the synthetic heart",
        description="Train the heat-map network on the synthetic heart alone. A run stopped at any moment goes on "
        "from its last checkpoint when the same command is given again.",
    )
    parser.add_argument(
        "-o", "--output", required=True, metavar="DIR", help="checkpoints, log.csv, weights.pt, model.onnx"
    )
    parser.add_argument("--shards", metavar="DIR", help="where training images are kept (default: DIR/shards)")
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5600)
    parser.add_argument("--images", type=int, default=220, help="shards of 256 training images (default 220)")
    parser.add_argument("--threads", type=int, default=2)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    missing = [name for name in ("torch", "onnx") if find_spec(name) is None]
    if missing:
        raise UsageError(f"training needs {' and '.join(missing)}: pip install 'cardiac-valve-landmarks[torch]'.")
    from ..models.architectures import ARCHITECTURES
    from ..models.compact import halve_weights
    from ..models.weights import read_state_dict
    from ..training.train import TrainingSettings, train

    folder = Path(options.output)
    settings = TrainingSettings(
        seed=options.seed,
        steps=options.steps,
        shards=options.images,
        first_shards=min(24, options.images),
        threads=options.threads,
    )
    weights = train(folder, Path(options.shards or folder / "shards"), settings, progress=_say)
    model = ARCHITECTURES["heatmap-unet"].to_onnx(read_state_dict(weights))
    with atomic_open(folder / "model.onnx", "wb") as stream:
        stream.write(halve_weights(model))
    print(f"Weights: {weights}; for ONNX Runtime: {folder / 'model.onnx'}")
    return 0


def _say(step: int, steps: int, loss: float) -> None:
    print(f"step {step} of {steps}: loss {loss:.4f}", file=sys.stderr)

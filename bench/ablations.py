"""What each part of the built-in model's training is worth: the recipe with one thing changed at a time.

    python bench/ablations.py FOLDER [--device cuda] [--processes 16] [--steps 2000] [--shards 32] [VARIANT ...]
    python bench/ablations.py FOLDER --measure

trains every variant, for the same number of steps on as many images, and measures it frame by frame on
synthetic patients nobody trains on: ordinary, unusual and poorly imaged (hard), and far outside the training (far). No
turns are averaged, no path through the beat is sought: the network alone, told its view, with the heart in the middle
of its window. Where the real scans lie beside the checkout, `--measure` adds biv-me's guide points, for measuring only.
What is there already is not made again. `built-in` is the shipped model, and those named `continued` go on from it; the
weights of all others begin at random. Made for a GPU with many cores; on two cores it takes a day.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "CardiacValveLandmarks"))

import numpy as np
import torch
from CardiacValveLandmarksLib.files import atomic_open, atomic_path
from CardiacValveLandmarksLib.landmarks import VIEWS, view_mask
from CardiacValveLandmarksLib.models import heatmap
from CardiacValveLandmarksLib.models.catalogue import resolve_model
from CardiacValveLandmarksLib.models.decoding import decode
from CardiacValveLandmarksLib.models.intensity import scale_windows
from CardiacValveLandmarksLib.models.restore import torch_network
from CardiacValveLandmarksLib.models.sampling import Window
from CardiacValveLandmarksLib.phantom.cines import synthetic_study
from CardiacValveLandmarksLib.phantom.render import Slice
from CardiacValveLandmarksLib.training import augment, synthetic
from CardiacValveLandmarksLib.training.checkpoint import save_tensors
from CardiacValveLandmarksLib.training.loop import train
from CardiacValveLandmarksLib.training.recipes import synthetic_heatmap
from CardiacValveLandmarksLib.training.recipes.synthetic_heatmap import SyntheticHeatmapSettings, TrainingRecipe
from CardiacValveLandmarksLib.training.synthetic import ShardKind, shard_path, write_shard
from torch import nn

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "biv-me"
SEED = 21
#: (width of anatomy, width of contrast, first seed): see phantom.cines
SETS = {"ordinary": (1.0, 0.8, 8_100_000), "hard": (1.6, 1.6, 8_200_000), "far": (2.6, 3.2, 8_300_000)}
PATIENTS, FRAMES, MEASURED = 24, 25, (2, 8, 14, 20)
#: an error counts as no more than this, mm, so that a few lost points do not make the mean
MOST_MM = 30.0


def _plain(net: nn.Module) -> None:
    pass


def _batch_norms(net: nn.Module) -> None:
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, heatmap._HalfInstanceNorm):
                setattr(parent, name, nn.BatchNorm2d(2 * child.half))


def _three_frames(net: nn.Module) -> None:
    """Begins as the network that sees the middle one alone."""
    one, net.stem = net.stem, nn.Conv2d(12, net.widths[0], 3, 1, 1, bias=False)
    with torch.no_grad():
        net.stem.weight.zero_()
        net.stem.weight[:, 4:8] = one.weight


@dataclass(frozen=True)
class Variant:
    """One change. settings: of the recipe. rebuild: of its network. patches: whether spots are hidden. neighbours:
    whether the frames before and after are seen too. more: times the steps (0: as it begins); images: times the
    shards."""

    what: str
    settings: dict = field(default_factory=dict)
    widths: tuple[int, ...] = (24, 56, 96, 160)
    rebuild: Callable[[nn.Module], None] = _plain
    patches: bool = True
    neighbours: bool = False
    order: int = 0
    more: float = 1.0
    images: float = 1.0

    def network(self) -> nn.Module:
        if begun := self.settings.get("init"):
            net = torch_network(resolve_model(begun))
        else:
            net = heatmap.HeatmapNet(widths=self.widths)
        self.rebuild(net)
        return net.to(memory_format=torch.channels_last)


BASE = {"seed": SEED, "strange": 0.25, "spacing_mm": 1.7, "checkpoint_every": 500, "log_every": 100}
CONTINUED = {"init": "phantom-heatmap", "spacing_mm": 1.45, "learning_rate": 1e-3, "warm_up": 50}
VARIANTS = {
    "base": Variant("as the built-in model's second run"),
    "again": Variant("the same, batches drawn in another order: what chance does", order=1_000_000),
    "batch-norms": Variant("batch norms alone, no instance norms", rebuild=_batch_norms),
    "no-patches": Variant("no hidden patches", patches=False),
    "no-bend": Variant("no smooth deformation", {"bend": 0.0}),
    "usual-contrast": Variant("no contrasts beyond the usual", {"strange": 0.0}),
    "restyled": Variant("random intensities and textures for a third", {"restyle": 0.33}),
    "pixels-2.0": Variant("pixels of 2.0 mm", {"spacing_mm": 2.0}),
    "pixels-1.45": Variant("pixels of 1.45 mm", {"spacing_mm": 1.45}),
    "fine-images": Variant("images made with pixels of 1.5 mm instead of 2", {"shard_spacing_mm": 1.5}),
    "neighbours": Variant("the frames before and after as channels", rebuild=_three_frames, neighbours=True),
    "wide": Variant("a third more channels", widths=(32, 72, 128, 208)),
    "narrow": Variant("a third fewer channels", widths=(16, 36, 64, 104)),
    "quarter-images": Variant("a quarter of the images", images=0.25),
    "half-images": Variant("half as many images", images=0.5),
    "more-images": Variant("three times as many images", images=3.0),
    "shorter": Variant("half as many steps", more=0.5),
    "longer": Variant("three times as many steps", more=3.0),
    "both": Variant("three times as many images and steps", more=3.0, images=3.0),
    "built-in": Variant("the built-in model as it is", CONTINUED, more=0.0),
    "continued": Variant("from the built-in model on", CONTINUED),
    "continued-again": Variant("the same, batches drawn in another order", CONTINUED, order=1_000_000),
    "continued-neighbours": Variant(
        "from the built-in model on, the frames before and after as channels",
        CONTINUED,
        rebuild=_three_frames,
        neighbours=True,
    ),
}


class _Neighbours(Slice):
    """Renders a frame with the ones before and after it, as (3, H, W)."""

    def render(self, phase: float, rng: np.random.Generator) -> np.ndarray:
        gap = rng.uniform(0.025, 0.05)
        return np.stack([super(_Neighbours, self).render((phase + d) % 1, rng) for d in (-gap, 0.0, gap)])


def _neighbour_shard(folder: Path, seed: int, number: int, count: int, kind: ShardKind) -> Path:
    """As write_shard; images (n, 3, S, S)."""
    path = shard_path(folder, seed, number, kind)
    if not path.exists():
        synthetic.Slice = _Neighbours
        rng = np.random.default_rng([seed, number])
        made = []
        for index in range(count):
            if index % 4 == 0:
                patient = synthetic.Patient.sample(rng, rng.uniform(0.7, 1.7))
            views = (*VIEWS, synthetic.OTHER_VIEWS[int(rng.integers(len(synthetic.OTHER_VIEWS)))])
            made.append(synthetic.training_image(patient, views[index % 4], rng, kind))
        synthetic.Slice = Slice
        images, landmarks, classes = zip(*made, strict=True)
        with atomic_path(path) as temporary, temporary.open("wb") as stream:
            images = np.clip(np.stack(images), 0, 8).astype(np.float16)
            np.savez(stream, images=images, landmarks=np.stack(landmarks), classes=np.array(classes))
    return path


class _Recipe(TrainingRecipe):
    """The recipe with a variant's network and order; weights.pt alone at the end."""

    variant: Variant

    def network(self) -> nn.Module:
        return self.variant.network()

    def batch(self, number: int) -> dict[str, torch.Tensor]:
        return super().batch(number + self.variant.order)

    def finish(self, net: nn.Module, folder: Path) -> Path:
        weights = {
            name: value.half() if value.is_floating_point() else value for name, value in net.state_dict().items()
        }
        save_tensors(folder / "weights.pt", weights)
        return folder / "weights.pt"


def settings_of(variant: Variant, options: argparse.Namespace) -> SyntheticHeatmapSettings:
    shards = max(1, round(options.shards * variant.images))
    folder = options.folder / ("shards-neighbours" if variant.neighbours else "shards")
    return SyntheticHeatmapSettings(
        **{
            **BASE, "steps": round(options.steps * variant.more), "shards": shards, "first_shards": shards,
            "shards_folder": str(folder), "wait_for_shards": True, "device": options.device,
            "workers": options.workers, **variant.settings,
        }
    )  # fmt: skip


def train_one(name: str, options: argparse.Namespace) -> None:
    """Train a variant, measure it."""
    variant = VARIANTS[name]
    if not variant.patches:
        augment.random_patches = lambda images, generator, share: images
    if variant.neighbours:
        draw = synthetic_heatmap._Pool.draw
        synthetic_heatmap._Pool.draw = lambda pool, rng: tuple(
            part[:, 0] if part.ndim == 5 else part for part in draw(pool, rng)
        )
    folder = options.folder / name
    if variant.more:
        recipe = _Recipe(settings_of(variant, options), folder)
        recipe.variant = variant
        train(recipe, folder)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        save_tensors(folder / "weights.pt", variant.network().state_dict())
    measure(name, options)


# -- the images to measure on ------------------------------------------------------------------
def _test_patient(task: tuple[str, int]) -> list[tuple]:
    """For each view: the view, its frames to measure with their neighbours, the truth, the spacing."""
    name, index = task
    width, contrast, first = SETS[name]
    study = synthetic_study(first + index, frames=FRAMES, width=width, contrast_width=contrast, mirror=False)
    return [(item.kind, item.cine.frames, item.truth.positions, item.cine.spacing) for item in study.items]


def _real() -> list[tuple]:
    """biv-me's long-axis cines and guide points, seen from the canonical side."""
    from CardiacValveLandmarksLib.export.bivme_files import guide_point_landmarks, read_guide_points
    from CardiacValveLandmarksLib.orientation import handedness
    from CardiacValveLandmarksLib.readers import read_cine

    guide = guide_point_landmarks(read_guide_points(REAL / "guidepoints" / "default" / "patient1"))
    cines = []
    for series, view in (("Se6", "4CH"), ("Se7", "3CH"), ("Se8", "2CH")):
        cine, (reference, geometry) = read_cine(REAL / "dicom" / series), guide[view]
        truth = cine.geometry.to_pixels(geometry.to_patient(reference.positions))[..., :2]
        if handedness(cine.geometry, view) < 0:
            truth = truth * [1, -1] + [0, cine.frames.shape[2] - 1]
            cines.append((view, cine.frames[:, :, ::-1], truth, cine.spacing))
        else:
            cines.append((view, cine.frames, truth, cine.spacing))
    return cines


def test_cines(options: argparse.Namespace) -> Iterator[tuple[str, list[tuple]]]:
    """Each set's name and cines; made once and kept."""
    for name in SETS:
        path = options.folder / f"test-{name}.npz"
        if not path.exists():
            with ProcessPoolExecutor(options.processes, multiprocessing.get_context("fork")) as pool:
                cines = [
                    cine for part in pool.map(_test_patient, [(name, i) for i in range(PATIENTS)]) for cine in part
                ]
            views, frames, truth, spacing = zip(*cines, strict=True)
            with atomic_path(path) as temporary, temporary.open("wb") as stream:
                frames = np.stack(frames).astype(np.float16)
                np.savez(stream, views=views, frames=frames, truth=np.stack(truth), spacing=np.stack(spacing))
        with np.load(path) as data:
            yield name, list(zip(data["views"], data["frames"], data["truth"], data["spacing"], strict=True))
    if REAL.is_dir():
        yield "biv-me", _real()


@torch.no_grad()
def errors_of(net: nn.Module, variant: Variant, cines: list[tuple], device: str, every: bool = False) -> np.ndarray:
    """(points,) mm, at most MOST_MM: of every landmark that is there, by the network alone, in the frames MEASURED or
    in every one."""
    spacing_mm = variant.settings.get("spacing_mm", BASE["spacing_mm"])
    net = net.to(device).eval()
    result = []
    for view, frames, truth, spacing in cines:
        count = len(frames)
        measured = np.arange(count) if every else np.array(MEASURED)
        middle = np.nanmean(truth.reshape(-1, 2), 0)
        window = Window(frames.shape[1:], tuple(middle), tuple(spacing_mm / np.asarray(spacing)), (128, 128))
        images = scale_windows(window.images(frames.astype(np.float32)), "percentile")
        if variant.neighbours:
            images = np.stack(
                [images[measured + d] if d <= 0 else images[(measured + d) % count] for d in (-1, 0, 1)], 1
            )
        else:
            images = images[measured][:, None]
        told = torch.zeros(len(measured), 3, device=device)
        told[:, VIEWS.index(view)] = 1
        heatmaps = net(torch.from_numpy(images).to(device), told)[0].softmax(1)[:, :-1].float().cpu().numpy()
        found = window.undo_positions(decode(heatmaps).positions)
        gaps = np.linalg.norm((found - truth[measured]) * spacing, axis=-1)[:, view_mask(str(view))]
        result.append(gaps[np.isfinite(gaps)])
    return np.minimum(np.concatenate(result), MOST_MM)


def measure(name: str, options: argparse.Namespace) -> None:
    """FOLDER/NAME/figures.json"""
    variant = VARIANTS[name]
    net = variant.network()
    net.load_state_dict(torch.load(options.folder / name / "weights.pt", weights_only=True))
    figures = {}
    for which, cines in test_cines(options):
        errors = errors_of(net, variant, cines, options.device, every=which == "biv-me")
        figures[which] = {"mean": errors.mean(), "median": np.median(errors), "q95": np.quantile(errors, 0.95)}
    with atomic_open(options.folder / name / "figures.json") as stream:
        json.dump({key: {k: round(float(v), 3) for k, v in value.items()} for key, value in figures.items()}, stream)


# -- all of them -------------------------------------------------------------------------------
def _make(task: tuple) -> None:
    write, *arguments = task
    write(*arguments)


def shard_tasks(options: argparse.Namespace, names: list[str]) -> list[tuple]:
    """The shards all these variants need, each once."""
    tasks = {}
    for name in names:
        variant = VARIANTS[name]
        if not variant.more:
            continue
        s = settings_of(variant, options)
        Path(s.shards_folder).mkdir(parents=True, exist_ok=True)
        for number in range(s.shards):
            task = (Path(s.shards_folder), s.seed, number, 256, s.shard_kind)
            tasks[shard_path(task[0], *task[1:3], task[4])] = (
                _neighbour_shard if variant.neighbours else write_shard,
                *task,
            )
    return list(tasks.values())


def run_all(names: list[str], options: argparse.Namespace) -> None:
    for _ in test_cines(options):
        pass
    waiting = [name for name in names if not (options.folder / name / "figures.json").exists()]
    command = [sys.executable, __file__, str(options.folder), "--one"]
    given = [f"--{key}={getattr(options, key)}" for key in ("device", "steps", "shards", "workers", "processes")]
    running: list[subprocess.Popen] = []
    with ProcessPoolExecutor(options.processes, multiprocessing.get_context("fork")) as pool:
        made = [pool.submit(_make, task) for task in shard_tasks(options, waiting)]
        for name in waiting:
            while sum(process.poll() is None for process in running) >= options.at_once:
                time.sleep(0.5)
                _complain(made, running)
            running.append(subprocess.Popen([*command, name, *given]))
        while not all(future.done() for future in made):
            time.sleep(0.5)
            _complain(made, running)
        failed = [process.args for process in running if process.wait()]
    if failed:
        raise SystemExit(f"failed: {failed}")


def _complain(made: list[Future], running: list[subprocess.Popen]) -> None:
    """Raise what went wrong in making images; nobody would wait for them in vain."""
    for future in made:
        if future.done() and (error := future.exception()):
            for process in running:
                process.kill()
            raise error


def table(options: argparse.Namespace) -> None:
    rows = [
        (VARIANTS[name].what, json.loads((options.folder / name / "figures.json").read_text()))
        for name in VARIANTS
        if (options.folder / name / "figures.json").exists()
    ]
    if not rows:
        raise SystemExit(f"{options.folder}: no variant was measured here yet.")
    sets = [name for name in (*SETS, "biv-me") if all(name in figures for _, figures in rows)]
    print("| mean / median / 95 %, mm | " + " | ".join(sets) + " |\n|---" + "|---" * len(sets) + "|")
    for what, figures in rows:
        cells = [f"{figures[s]['mean']:.2f} / {figures[s]['median']:.2f} / {figures[s]['q95']:.1f}" for s in sets]
        print(f"| {what} | " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=", ".join(VARIANTS))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--shards", type=int, default=32)
    parser.add_argument("--processes", type=int, default=2, help="that make images")
    parser.add_argument("--workers", type=int, default=1, help="that draw batches, for each variant")
    parser.add_argument("--at-once", type=int, default=1, help="variants in training at once")
    parser.add_argument("--measure", action="store_true", help="measure what is there anew")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_intermixed_args()
    names = options.variants or list(VARIANTS)
    if unknown := set(names) - set(VARIANTS):
        parser.error(f"no such variant: {', '.join(sorted(unknown))}")
    if options.one:
        train_one(names[0], options)
        return
    if options.measure:
        for name in names:
            if (options.folder / name / "weights.pt").exists():
                measure(name, options)
    else:
        run_all(names, options)
    table(options)


if __name__ == "__main__":
    main()

"""Fine-tuning: a model of the catalogue learns from corrected cines, and takes its place only where it is better.

Validation is by patient. The new model is compared with the old one through the whole detection, on corrected cines
it has not seen and on a fixed set of synthetic ones; where it is not better on the first, or worse on the second, it
is refused. Accepted, it is registered in the user's catalogue with what it was made of.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import numpy as np

from .. import __version__
from ..cine import Cine
from ..detection import detect
from ..detection.heatmap import HeatmapDetector
from ..errors import InputError, ModelError, UsageError
from ..files import atomic_open, make_folder
from ..landmarks import VIEWS
from ..models.catalogue import list_models, register, resolve_model, write_description
from ..models.engine import open_engine
from ..models.spec import ID_FORM, ModelSpec, valid_id
from ..orientation import handedness
from ..phantom.cines import synthetic_study
from .corrections import PROPAGATED, CorrectedCine, label_weights, marked_absent, split
from .settings import LoopSettings

#: a landmark that was missed counts as this far off, mm, and none counts for more
MISSED_MM = 20.0
#: the error on synthetic cines may become this much larger
ALLOWED_LOSS = 0.05
#: the fixed synthetic set: seeds that no training, calibration or evaluation draws from
_FIRST_SEED, _PATIENTS, _FRAMES = 3_000_000, 24, 1
REPORT_FILE = "finetuning.json"


@dataclass(frozen=True)
class Score:
    """How a model does on some cines. mean_mm: a missed landmark counts as MISSED_MM, as does a larger error, and one
    that is found where a person marked it as absent (where it is not, 0). median_mm: of those found that are there,
    None: none is. found: share of the landmarks that are there, None: none is. points: all that count."""

    mean_mm: float
    median_mm: float | None
    found: float | None
    points: int


@dataclass(frozen=True)
class Comparison:
    """The old model and the new one on the corrected cines held out, and on the fixed synthetic cines."""

    held_out: tuple[Score, Score]
    synthetic: tuple[Score, Score]

    @property
    def forgets(self) -> bool:
        """Whether the new model has lost too much of what the old one knew."""
        kept, now = self.synthetic
        return now.mean_mm > kept.mean_mm * (1 + ALLOWED_LOSS)

    def objection(self) -> str:
        """Why the new model does not take the old one's place; "" where it does."""
        (before, after), (kept, now) = self.held_out, self.synthetic
        if not after.mean_mm < before.mean_mm:
            return f"{after.mean_mm:.2f} mm on held-out cines, where the old one has {before.mean_mm:.2f}"
        if self.forgets:
            return f"{now.mean_mm:.2f} mm on synthetic cines, where the old one has {kept.mean_mm:.2f}"
        return ""

    def text(self) -> str:
        """Two lines with the figures of both."""
        lines = []
        for name, (before, after) in (("cines held out", self.held_out), ("synthetic cines", self.synthetic)):
            lines.append(
                f"{name}: mean {before.mean_mm:.2f} -> {after.mean_mm:.2f} mm, median {_said(before.median_mm)} -> "
                f"{_said(after.median_mm)}, found {_said(before.found, '.1%')} -> {_said(after.found, '.1%')} of "
                f"{after.points} points"
            )
        return "\n".join(lines)


def _said(value: float | None, form: str = ".2f") -> str:
    return "none" if value is None else format(value, form)


@dataclass(frozen=True)
class Outcome:
    """file: the new model. comparison: with the old one. registered: its id in the catalogue, None where not.
    notes: what was done, in plain words."""

    file: Path
    comparison: Comparison
    registered: str | None
    notes: tuple[str, ...]


def is_mirrored(one: CorrectedCine, spec: ModelSpec) -> bool:
    """Whether a model of one handedness takes this cine as its mirror image; where the orientation does not tell,
    whichever way its landmarks are clearer to the model, as in a detection."""
    if not spec.input.one_handed:
        return False
    side = 0 if one.cine.geometry is None else handedness(one.cine.geometry, one.view)
    if side:
        return side < 0
    engine = open_engine(spec.path, spec.architecture, checksum=spec.checksum)
    return HeatmapDetector(one.cine, spec, engine, False, None, None).find(one.view).facts["mirrored"]


@dataclass(frozen=True)
class Case:
    """A cine and what is known of it. positions: (T, 11, 2) pixels, NaN where nothing is known or the landmark is
    absent. absent: (T, 11) bool, a person marked it as absent."""

    cine: Cine
    view: str
    positions: np.ndarray
    absent: np.ndarray

    @property
    def points(self) -> int:
        """How many landmarks count."""
        return int(np.isfinite(self.positions[..., 0]).sum() + self.absent.sum())


def score(model: str | os.PathLike, cases: Sequence[Case]) -> Score:
    """Detect in every case without an ensemble. Distances are mm where the cine has a spacing, else pixels."""
    errors, found, counted = [], [], []
    for case in cases:
        result = detect(case.cine, model, view=case.view, tta=False)
        known = np.isfinite(case.positions[..., 0])
        step = (result.landmarks.positions - case.positions)[known]
        far = np.linalg.norm(step * (1.0 if case.cine.spacing is None else case.cine.spacing), axis=-1)
        there = result.landmarks.present[known]
        wrongly = np.where(result.landmarks.present[case.absent], MISSED_MM, 0.0)
        counted.append(np.concatenate([np.where(there, np.minimum(far, MISSED_MM), MISSED_MM), wrongly]))
        errors.append(far)
        found.append(there)
    errors, found, capped = (np.concatenate(parts) for parts in (errors, found, counted))
    median = float(np.median(errors[found])) if found.any() else None
    return Score(float(capped.mean()), median, float(found.mean()) if len(found) else None, len(capped))


def corrected_cases(corrected: Sequence[CorrectedCine], propagated: float = PROPAGATED) -> list[Case]:
    """The frames that count, and in them what a person placed or moved or marked as absent."""
    cases = []
    for one in corrected:
        weights = label_weights(one.landmarks, propagated, untouched=0.0)
        frames = np.flatnonzero(weights.any(1))
        positions = np.where(weights[..., None] > 0, one.landmarks.positions, np.nan)[frames]
        times = None if one.cine.times_ms is None else one.cine.times_ms[frames]
        cine = one.cine.replace(frames=one.cine.frames[frames], times_ms=times)
        cases.append(Case(cine, one.view, positions, marked_absent(one.landmarks)[frames]))
    return cases


def synthetic_cases(landmarks: Sequence[int], patients: int | None = None) -> list[Case]:
    """The fixed synthetic set: ordinary patients, of each view, with the landmarks of these numbers."""
    known = np.isin(np.arange(1, 12), landmarks)
    cases = []
    for seed in range(_FIRST_SEED, _FIRST_SEED + (patients or _PATIENTS)):
        for item in synthetic_study(seed, frames=_FRAMES).items:
            positions = np.where(known[:, None], item.truth.positions, np.nan)
            cases.append(Case(item.cine, item.kind, positions, np.zeros(positions.shape[:2], bool)))
    return cases


def finetune(
    corrected: Sequence[CorrectedCine],
    folder: str | os.PathLike,
    base: str = "phantom-heatmap",
    *,
    settings: LoopSettings | None = None,
    model_id: str | None = None,
    held_out: float = 0.25,
    propagated: float = PROPAGATED,
    progress: Callable | None = None,
) -> Outcome:
    """Train `base` on corrected cines; register the result as `model_id` (None: do not) where it is better.

    folder: checkpoint, logs, the new model with its description, and finetuning.json. settings: of the base's kind
    (finetune_heatmap, finetune_regression), None: their own. held_out: share of the patients. propagated: how much
    points count that followed a correction nearby. progress: as of loop.train.
    ModelError: a base that cannot be trained, or the new model is refused; it is in `folder` then, and its figures are
    in the message. UsageError: the id is taken or none. InputError: as `split`.
    """
    if model_id is not None and not valid_id(model_id):
        raise UsageError(f"model id {model_id!r}: expected {ID_FORM}.")
    if model_id is not None and any(model.id == model_id for model in list_models()):
        raise UsageError(f"model id {model_id!r} is taken: choose another with --id, or remove that model first.")
    from .loop import train

    spec = resolve_model(base)
    settings = settings or settings_class(spec)()
    corrected = _usable(corrected, spec, propagated)
    training, held, how = split(corrected, held_out, settings.seed)
    cases = corrected_cases(held, propagated), synthetic_cases(spec.landmarks)
    folder = make_folder(folder)
    recipe = _recipe(spec, training, held, propagated, settings, folder)
    file = train(recipe, folder, progress=progress)
    entry = _describe(spec, file, corrected, propagated, recipe.settings)
    entry |= recipe.learned()
    entry["training"]["held_out"] = {"cines": len(held), "how": how}
    before = [score(base, part) for part in cases]

    def compared() -> Comparison:
        write_description(file, entry)
        return Comparison(*((old, score(file, part)) for old, part in zip(before, cases, strict=True)))

    comparison = compared()
    # as far as it may go is not told by the images of the training alone
    while comparison.forgets and recipe.nearer(file.parent):
        comparison = compared()
    notes = (
        f"Held out {how}: {len(held)} of {len(corrected)} cines."
        + (" One is little proof: look at what the new model finds in other patients." if len(held) == 1 else ""),
        *recipe.notes(),
    )
    objection = comparison.objection()
    with atomic_open(folder / REPORT_FILE) as stream:
        report = {**entry["training"], "comparison": asdict(comparison), "refused": objection or None}
        json.dump(report, stream, indent=2, ensure_ascii=False, allow_nan=False)
        stream.write("\n")
    if objection:
        raise ModelError(
            file,
            f"a model better than {spec.id}",
            objection,
            "It is not registered. Correct more cines, or more frames of them, and try again.",
        )
    if model_id is not None:
        register(file, model_id)
    return Outcome(file, comparison, model_id, notes)


def _usable(corrected: Sequence[CorrectedCine], spec: ModelSpec, propagated: float) -> list[CorrectedCine]:
    """Those with a frame that counts. InputError where a cine's spacing is needed and unknown."""
    for one in corrected:
        if spec.input.spacing_mm is not None and one.cine.spacing is None:
            advice = "Leave it out, or use the file with its pixel spacing."
            raise InputError(one.cine.source or one.cine.name, "a cine with its pixel spacing", "none stated", advice)
    return [one for one in corrected if label_weights(one.landmarks, propagated).any()]


def settings_class(spec: ModelSpec) -> type:
    """The settings that fine-tuning this model has. ModelError for a model that cannot be trained here."""
    if spec.architecture == "heatmap-unet":
        from .finetune_heatmap import HeatmapFinetuneSettings

        return HeatmapFinetuneSettings
    if spec.architecture == "published-regressor":
        from .finetune_regression import RegressionFinetuneSettings

        return RegressionFinetuneSettings
    raise ModelError(
        spec.path,
        "a model this library can train on: the built-in one, the published one, or one fine-tuned from them",
        f"the architecture {spec.architecture}",
    )


def _recipe(
    spec: ModelSpec,
    training: Sequence[CorrectedCine],
    held: Sequence[CorrectedCine],
    propagated: float,
    settings: LoopSettings,
    folder: Path,
):
    if spec.kind == "heatmap":
        from .finetune_heatmap import HeatmapFinetune

        mirrored = {id(one): is_mirrored(one, spec) for one in (*training, *held)}
        return HeatmapFinetune(settings, folder, spec, training, held, mirrored, propagated)
    from .finetune_regression import RegressionFinetune

    return RegressionFinetune(settings, folder, spec, training, held, propagated)


def _describe(
    spec: ModelSpec, file: Path, corrected: Sequence[CorrectedCine], propagated: float, settings: LoopSettings
) -> dict:
    """The new model's catalogue entry: its base's, with where it comes from."""
    patients = len({one.patient for one in corrected})
    counts = {view: sum(one.view == view for one in corrected) for view in VIEWS}
    frames = sum(int(label_weights(one.landmarks, propagated).any(1).sum()) for one in corrected)
    summary = f"{spec.id} fine-tuned on {len(corrected)} corrected cines of {patients} patient(s), {date.today()}."
    past = f" {spec.training['summary']}" if spec.training else ""
    return {
        **spec.entry(),
        "id": file.stem.lower(),
        "title": f"{spec.title}, fine-tuned ({date.today()})",
        "citation": f"{spec.citation} Fine-tuned by the user.",
        "intended_use": f"{spec.intended_use} Fine-tuned on the user's corrections: for images like those.",
        "synthetic_only": False,
        "training": {
            "summary": summary + past,
            "base": spec.id,
            "base_sha256": spec.checksum,
            "date": str(date.today()),
            "software": __version__,
            "cines": counts,
            "patients": patients,
            "frames": frames,
            "settings": asdict(settings),
        },
    }

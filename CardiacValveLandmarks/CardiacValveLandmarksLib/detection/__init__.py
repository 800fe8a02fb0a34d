"""Detection: a cine in, landmarks out."""

from __future__ import annotations

import os

import numpy as np

from .. import __version__
from ..cine import Cine
from ..errors import Cancelled, ModelError, UsageError
from ..landmarks import N_LANDMARKS, VIEWS, LandmarkSeries, Provenance
from ..models.catalogue import resolve_model
from ..models.engine import open_engine
from ..readers.checks import file_doubts
from .result import VIEW_CONFIDENCE, Cancel, DetectionResult, Found, Progress

__all__ = ["DEFAULT_MODEL", "VIEW_CONFIDENCE", "Cancelled", "DetectionResult", "detect"]

DEFAULT_MODEL = "phantom-heatmap"


def detect(
    cine: Cine,
    model: str | os.PathLike = DEFAULT_MODEL,
    view: str = "auto",
    engine: str = "auto",
    device: str = "auto",
    tta: bool = True,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    threads: int | None = None,
) -> DetectionResult:
    """Find the landmarks in every frame of a cine.

    model: a catalogue id or a file. view: "auto" (recognised), or the view it is. engine, device: see
    `models.engine.open_engine`. tta: the model's test-time ensemble. progress(done, total); cancel() -> bool.
    Raises ModelError, UsageError, and Cancelled where `cancel` said so.
    """
    if view not in ("auto", *VIEWS):
        raise UsageError(f"view {view!r}: expected auto, {', '.join(VIEWS)}.")
    stated = view if view != "auto" else cine.view
    spec = resolve_model(model)
    if spec.kind == "short-axis":
        raise UsageError(f"{spec.id} finds short-axis points: use `cvl sax`.")
    runner = open_engine(spec.path, spec.architecture, engine, device, threads, checksum=spec.checksum)
    if spec.kind == "heatmap":
        from .heatmap import HeatmapDetector

        found = HeatmapDetector(cine, spec, runner, tta, progress, cancel).find(stated)
    elif spec.kind == "coordinates":
        from . import coordinates

        found = coordinates.find(cine, spec, runner, stated, tta, progress, cancel)
    else:
        raise ModelError(spec.path, "a model of kind heatmap or coordinates", repr(spec.kind))
    return _result(cine, found, stated, spec, runner.describe(), tta)


def _result(cine: Cine, found: Found, stated: str | None, spec, engine: str, tta: bool) -> DetectionResult:
    present = found.present
    # nothing is known of the absence of what the model does not look for, or of any where no view was recognised
    asked = np.isin(np.arange(1, N_LANDMARKS + 1), spec.landmarks) & (found.view is not None)
    missing = np.where(asked, 1 - np.clip(found.strength, 0, 1), np.nan)
    landmarks = LandmarkSeries(
        np.where(present[..., None], found.positions, np.nan),
        np.where(present, found.confidence, missing),
        np.where(present, Provenance.AUTO, Provenance.ABSENT),
        found.view,
        float("nan")
        if stated
        else float(found.view_scores[found.view] if found.view else max(found.view_scores.values())),
    )
    warnings = [*file_doubts(cine), *found.warnings]
    likeliest = max(found.view_scores, key=found.view_scores.get)
    if stated and likeliest != stated and found.view_scores[likeliest] >= found.view_threshold:
        warnings.append(
            f"The view was stated as {stated}, but the model takes it for {likeliest} "
            f"({found.view_scores[likeliest]:.2f} against {found.view_scores[stated]:.2f})."
        )
    elif stated and found.view_scores[stated] < found.view_threshold:
        warnings.append(f"The model does not recognise the stated view {stated} ({found.view_scores[stated]:.2f}).")
    if spec.synthetic_only:
        warnings.append("The model was trained on a synthetic heart only: check every landmark.")
    settings = {
        "version": __version__,
        "model": spec.id,
        "model_sha256": spec.checksum,
        "engine": engine,
        "view_stated": stated,
        "tta": tta,
        "view_threshold": found.view_threshold,
        **found.facts,
    }
    shown = found.view or likeliest
    return DetectionResult(
        landmarks,
        found.view,
        float(found.view_scores[shown]),
        dict(found.view_scores),
        spec,
        engine,
        settings,
        tuple(warnings),
        found.raw_points,
    )

"""Detection of the short-axis points, and the A-RVI angle they give."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..cine import Cine
from ..errors import Cancelled, InputError, ModelError
from ..models.answers import heatmaps_of
from ..models.catalogue import resolve_model
from ..models.decoding import PRESENCE, decode_blob
from ..models.engine import open_engine
from ..models.intensity import scale_windows
from ..models.sampling import centred_window
from ..models.spec import ModelSpec
from ..orientation import handedness
from ..short_axis import SHORT_AXIS_POINTS, arvi_angle, arvi_angle_patient
from .result import Cancel, Progress

_BATCH = 8


@dataclass(frozen=True)
class ShortAxisResult:
    """Points of a short-axis cine.

    positions: (T, 3, 2) pixels, NaN where absent. probability: (T, 3) the heat-map's maximum. arvi_image,
    arvi_patient: (T,) degrees (short_axis.ARVI_DEFINITION), the second None without geometry.
    """

    positions: np.ndarray
    probability: np.ndarray
    arvi_image: np.ndarray
    arvi_patient: np.ndarray | None
    model: ModelSpec
    engine: str
    settings: Mapping[str, object]
    warnings: tuple[str, ...]


def detect_short_axis(
    cine: Cine,
    model: str | os.PathLike,
    engine: str = "auto",
    device: str = "auto",
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    threads: int | None = None,
) -> ShortAxisResult:
    """Find the RV insertions and the LV centre in every frame by the published rule (Xue et al. 2021).

    model: a catalogue id or file of kind "short-axis". The image is brought to the model's spacing about its centre,
    and to its handedness by the patient orientation; where that does not tell, the likelier reading is taken and said.
    ModelError: a model of another kind. InputError: a cine without pixel spacing. Cancelled where `cancel` said so.
    """
    spec = resolve_model(model)
    if spec.kind != "short-axis":
        raise ModelError(spec.path, "a model of short-axis points", f"one of kind {spec.kind}", "Use `cvl detect`.")
    if spec.input.spacing_mm is not None and cine.spacing is None:
        raise InputError(cine.source or cine.name, f"a pixel spacing, which {spec.id} needs", "none stated")
    runner = open_engine(spec.path, spec.architecture, engine, device, threads, checksum=spec.checksum)
    side = handedness(cine.geometry, "SAX") if cine.geometry is not None else 0
    readings = [False, True] if spec.input.one_handed and side == 0 else [spec.input.one_handed and side < 0]
    warnings, total, found = [], len(readings) * cine.n_frames, []
    for number, mirrored in enumerate(readings):
        report = None if progress is None else lambda done, n=number: progress(n * cine.n_frames + done, total)
        found.append((mirrored, *_read(cine, spec, runner, mirrored, report, cancel)))
    mirrored, positions, probability = max(found, key=lambda reading: float(reading[2].mean()))
    if len(readings) > 1:
        as_read = "as the mirror image" if mirrored else "as it is"
        warnings.append(
            "The orientation does not say from which side the plane is seen; both were tried and the image was read "
            f"{as_read}: the anterior and inferior insertions may be exchanged."
        )
    positions = np.where((probability >= PRESENCE)[..., None], positions, np.nan)
    arvi_patient = None
    if cine.geometry is not None:
        try:
            arvi_patient = arvi_angle_patient(positions, cine.geometry)
        except ValueError as error:
            warnings.append(f"No A-RVI angle in the patient: {error}.")
    if spec.synthetic_only:
        warnings.append("The model was trained on a synthetic heart only: check every point.")
    settings = {"model": spec.id, "model_sha256": spec.checksum, "presence": PRESENCE, "mirrored": bool(mirrored)}
    return ShortAxisResult(
        positions,
        probability,
        arvi_angle(positions, cine.spacing),
        arvi_patient,
        spec,
        runner.describe(),
        settings,
        tuple(warnings),
    )


def _read(cine, spec, runner, mirrored, report, cancel) -> tuple[np.ndarray, np.ndarray]:
    """(T, 3, 2) pixels of the cine and (T, 3) maxima, read in one handedness."""
    spacing_mm = spec.input.spacing_mm or 1.0
    spacing = np.full(2, spacing_mm) if spec.input.spacing_mm is None else cine.spacing
    extent = np.array(cine.shape) * spacing / spacing_mm
    size = spec.input.size or tuple(int(-(-side // 16) * 16) for side in np.ceil(extent))
    window = centred_window(cine.shape, spacing, size, spacing_mm, mirrored)
    images = scale_windows(window.images(cine.frames), spec.input.intensity, spacing_mm)
    channels = np.array(spec.landmarks) - 1
    positions = np.full((cine.n_frames, len(SHORT_AXIS_POINTS), 2), np.nan)
    probability = np.zeros(positions.shape[:2])
    for start in range(0, len(images), _BATCH):
        if cancel is not None and cancel():
            raise Cancelled("the detection was cancelled")
        part = slice(start, min(start + _BATCH, len(images)))
        given = images[part, None]
        peaks = decode_blob(heatmaps_of(spec, runner.run({"image": given}), given))
        places = window.undo_positions(peaks.positions)
        # a point beyond the edge has its maximum squeezed against it
        positions[part, channels] = np.where(window.well_inside(places)[..., None], places, np.nan)
        probability[part, channels] = peaks.peak
        if report is not None:
            report(part.stop)
    return positions, probability

"""Synthetic cines and their files for the reader tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from CardiacValveLandmarksLib.cine import Cine
from CardiacValveLandmarksLib.geometry import SliceGeometry
from CardiacValveLandmarksLib.phantom.dicom import write_dicom
from scipy.spatial.transform import Rotation


def make_geometry(seed: int = 0, spacing=(1.4, 1.1), thickness: float = 6.0) -> SliceGeometry:
    """An oblique plane with anisotropic pixels somewhere in the patient."""
    rotation = Rotation.random(random_state=seed).as_matrix()
    origin = np.random.default_rng(seed).uniform(-200, 200, 3)
    return SliceGeometry(origin, rotation[0] * spacing[0], rotation[1] * spacing[1], thickness)


def make_cine(frames: int = 8, shape=(20, 14), seed: int = 0, interval: float = 35.0, **changes) -> Cine:
    """Whole-number noise: any transposition, flip or wrong order of frames shows."""
    pixels = np.random.default_rng(seed).integers(0, 1000, (frames, *shape))
    values = {
        "geometry": make_geometry(seed),
        "times_ms": np.arange(frames) * interval,
        "rr_ms": round(frames * interval),
        **changes,
    }
    return Cine(pixels, **values)


def write_series(cine: Cine, folder: Path, number: int = 1, description: str = "cine", **options) -> list[Path]:
    return write_dicom(cine, folder, series_number=number, series_description=description, **options)


def edit(paths: list[Path] | Path, change: Callable[[pydicom.Dataset, int], None]) -> None:
    """Change DICOM files in place: change(dataset, index)."""
    for index, path in enumerate([paths] if isinstance(paths, Path) else paths):
        data = pydicom.dcmread(path)
        change(data, index)
        data.save_as(path)


def assert_same(read: Cine, written: Cine) -> None:
    """Same pixels, same place in the patient, same times."""
    np.testing.assert_array_equal(read.frames, written.frames)
    corners = np.array([[0, 0], [0, written.shape[1] - 1], [written.shape[0] - 1, 0]])
    np.testing.assert_allclose(
        read.geometry.to_patient(corners), written.geometry.to_patient(corners), rtol=0, atol=1e-8
    )
    np.testing.assert_allclose(read.times_ms, written.times_ms, rtol=0, atol=1e-9)

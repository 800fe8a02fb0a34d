"""How far the landmarks of real scans move when the images are stored in another way. For measuring only.

    python bench/invariance.py [--model ID|FILE] [--data ../shared/data]

Each cine is read as it is and as it would be stored otherwise, with its geometry; the distances (mm, in the patient)
between the landmarks found are those of all frames and landmarks found in both. Prints a table for docs/MODEL_CARD.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from CardiacValveLandmarksLib.cine import Cine
from CardiacValveLandmarksLib.detection import detect
from CardiacValveLandmarksLib.geometry import SliceGeometry
from CardiacValveLandmarksLib.models.sampling import centred_window
from CardiacValveLandmarksLib.readers import read_cine

SERIES = ("biv-me/dicom/Se6", "biv-me/dicom/Se7", "biv-me/dicom/Se8", "mvnet/2ch", "mvnet/4ch")


def stored(cine: Cine, frames: np.ndarray, first: tuple[float, float], axis0: np.ndarray, axis1: np.ndarray) -> Cine:
    """The cine with other frames, whose pixel (0, 0) is `first` of the old ones and whose axes are these (mm)."""
    geometry = SliceGeometry(cine.geometry.to_patient(first), axis0, axis1, cine.geometry.thickness)
    return cine.replace(frames=np.ascontiguousarray(frames), geometry=geometry, spacing=geometry.spacing)


def turned(cine: Cine) -> Cine:
    g = cine.geometry
    return stored(cine, np.rot90(cine.frames, axes=(1, 2)), (0, cine.shape[1] - 1), -g.axis1, g.axis0)


def mirrored(cine: Cine) -> Cine:
    return stored(cine, cine.frames[:, ::-1], (cine.shape[0] - 1, 0), -cine.geometry.axis0, cine.geometry.axis1)


def resampled(row_mm: float, column_mm: float) -> Callable[[Cine], Cine]:
    def change(cine: Cine) -> Cine:
        spacing = np.array([row_mm, column_mm])
        size = tuple(np.floor(np.array(cine.shape) * cine.spacing / spacing).astype(int))
        # a window of 1 mm pixels on images whose pixels are called as large as they are beside the new ones
        window = centred_window(cine.shape, cine.spacing / spacing, size, 1.0)
        axes = [
            axis / np.linalg.norm(axis) * mm
            for axis, mm in zip((cine.geometry.axis0, cine.geometry.axis1), spacing, strict=True)
        ]
        return stored(cine, window.images(cine.frames), window.undo_positions([0, 0]), *axes)

    return change


def padded(cine: Cine) -> Cine:
    frames = np.pad(cine.frames, ((0, 0), (40, 10), (70, 10)))
    return stored(cine, frames, (-40, -70), cine.geometry.axis0, cine.geometry.axis1)


def cropped(cine: Cine) -> Cine:
    rows, columns = (side // 8 for side in cine.shape)
    frames = cine.frames[:, rows:-rows, columns:-columns]
    return stored(cine, frames, (rows, columns), cine.geometry.axis0, cine.geometry.axis1)


def intensities(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Cine], Cine]:
    return lambda cine: cine.replace(frames=change(cine.frames).astype(np.float32))


VARIANTS: dict[str, Callable[[Cine], Cine]] = {
    "a quarter turn": turned,
    "half a turn": lambda cine: turned(turned(cine)),
    "mirrored": mirrored,
    "transposed": lambda cine: turned(mirrored(cine)),
    "pixels of 1.0 mm": resampled(1.0, 1.0),
    "pixels of 2.0 mm": resampled(2.0, 2.0),
    "pixels of 1.0 x 1.8 mm": resampled(1.0, 1.8),
    "zeros around": padded,
    "an eighth cut off each side": cropped,
    "values times 1000": intensities(lambda frames: frames * 1000),
    "8 bit": intensities(lambda frames: np.round(255 * (frames - frames.min()) / np.ptp(frames))),
    "10 % of the 99th percentile added": intensities(lambda frames: frames + 0.1 * np.percentile(frames, 99)),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="phantom-heatmap", metavar="ID|FILE")
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    options = parser.parse_args()
    cines = [read_cine(options.data / name) for name in SERIES]
    before = [detect(cine, options.model) for cine in cines]
    heads = [
        f"{Path(name).name} {result.view} ({result.landmarks.present.sum()})"
        for name, result in zip(SERIES, before, strict=True)
    ]
    print("| median / 95 % / most, mm | " + " | ".join(heads) + " |\n|---" + "|---" * len(SERIES) + "|")
    for name, change in VARIANTS.items():
        cells = []
        for cine, first in zip(cines, before, strict=True):
            other = change(cine)
            second = detect(other, options.model)
            places = [
                one.geometry.to_patient(result.landmarks.positions) for one, result in ((cine, first), (other, second))
            ]
            both = first.landmarks.present & second.landmarks.present
            gaps = np.linalg.norm(places[0] - places[1], axis=-1)[both]
            changed = int((first.landmarks.present != second.landmarks.present).sum())
            cell = f"{np.median(gaps):.2f} / {np.quantile(gaps, 0.95):.2f} / {gaps.max():.2f}" if gaps.size else "none"
            cells.append(cell + f", {changed} there or not" * bool(changed))
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()

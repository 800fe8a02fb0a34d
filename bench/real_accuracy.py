"""The built-in model on real scans: errors against biv-me's guide points, views of every series. For measuring only.

    python bench/real_accuracy.py [--model ID|FILE] [--data ../shared/data] [--pictures DIR]

The guide points are another program's prediction (segmentation borders on whole pixels of 1.4 mm), not manual truth.
Which of a valve's two guide points is which is told by anatomy (export.bivme_files), not by the model.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from CardiacValveLandmarksLib.detection import detect
from CardiacValveLandmarksLib.export.bivme_files import guide_point_landmarks, read_guide_points
from CardiacValveLandmarksLib.landmarks import VIEWS, in_view
from CardiacValveLandmarksLib.overlay import write_picture
from CardiacValveLandmarksLib.readers import read_cine, scan
from CardiacValveLandmarksLib.trajectory import harmonic_basis
from CardiacValveLandmarksLib.trajectory_fit import ViewPoints, fit_views

_GUIDE_HARMONICS = 4
#: series -> the view it shows, None for none of the three
SERIES = {
    "biv-me/dicom/Se6": "4CH",
    "biv-me/dicom/Se7": "3CH",
    "biv-me/dicom/Se8": "2CH",
    "biv-me/dicom/Se9": None,
    "biv-me/dicom/Se10": None,
    "biv-me/dicom/Se3": None,
    "mvnet/2ch": "2CH",
    "mvnet/4ch": "4CH",
    "amrg": "4CH",
}


def _after_the_fit(guide, detected) -> None:
    """The same points after the periodic fit of `cvl study`, frame by frame beside it, on the same frames."""
    points = [
        ViewPoints(view, cine.geometry, landmarks, cine.phases, cine.rr_ms)
        for view, (cine, landmarks) in detected.items()
    ]
    before, after, filled = [], [], []
    for view, fit in zip(points, fit_views(points), strict=True):
        reference, geometry = guide[view.view]
        truth = geometry.to_patient(reference.positions)
        for path in fit.trajectories:
            column = path.landmark.index
            errors = np.linalg.norm(path.evaluate(view.phases) - truth[:, column], axis=-1)
            found = np.linalg.norm(path.points - truth[:, column], axis=-1)
            both = np.isfinite(found)
            before.append(found[both])
            after.append(errors[both])
            filled.append(errors[~both & np.isfinite(errors)])
    before, after, filled = (np.concatenate(part) for part in (before, after, filled))
    better = np.mean(after < before)
    print(f"\n| {len(before)} points with a path | mean mm | RMS | median | 90 % | 95 % |\n|---|---|---|---|---|---|")
    for words, values in (("frame by frame", before), ("after the periodic fit", after)):
        figures = (values.mean(), np.sqrt(np.mean(values**2)), *np.quantile(values, (0.5, 0.9, 0.95)))
        print(f"| {words} | " + " | ".join(f"{figure:.2f}" for figure in figures) + " |")
    print(f"After the fit {better:.0%} of the points lie nearer; mean {1 - after.mean() / before.mean():+.1%} better.")
    if len(filled):
        print(f"{len(filled)} points the model called absent are given by the fit: mean {filled.mean():.2f} mm.")


def _own_scatter(guide, detected) -> None:
    """How far each guide point lies from the smooth path through its landmark's others."""
    gaps = []
    for view, (cine, _) in detected.items():
        reference, geometry = guide[view]
        places, basis = geometry.to_patient(reference.positions), harmonic_basis(cine.phases, _GUIDE_HARMONICS)
        for landmark in in_view(view):
            column = places[:, landmark.index]
            known = np.isfinite(column[:, 0])
            if known.sum() > 2 * basis.shape[1]:
                path, points = basis[known], column[known]
                # leaving one out: residuals of the fit with all, over 1 - leverage
                hat = path @ np.linalg.pinv(path)
                gaps.append(np.linalg.norm(points - hat @ points, axis=1) / (1 - np.diag(hat)))
    gaps = np.concatenate(gaps)
    print(
        f"\nThe guide points themselves lie {gaps.mean():.2f} mm (mean; median {np.median(gaps):.2f}, 95 % "
        f"{np.quantile(gaps, 0.95):.1f}) from a path of {_GUIDE_HARMONICS} harmonics through the landmark's others."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="phantom-heatmap")
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--no-tta", action="store_true")
    options = parser.parse_args()
    guide = guide_point_landmarks(read_guide_points(options.data / "biv-me" / "guidepoints" / "default" / "patient1"))
    print("| series | is | recognised as | confidence | landmarks present |\n|---|---|---|---|---|")
    cines = {name: read_cine(options.data / name) for name in SERIES}
    truth = dict(SERIES)
    for number, cine in enumerate(scan(options.data / "ep-dataset").cines, 1):
        cines[f"ep-dataset {number}"], truth[f"ep-dataset {number}"] = cine, "animal"
    results = {}
    for name, cine in cines.items():
        result = results[name] = detect(cine, options.model, tta=not options.no_tta)
        shown = [landmark.index for landmark in in_view(result.view)] if result.view else []
        present = f"{result.landmarks.present[:, shown].mean():.1%}" if shown else "none given"
        cells = (name, truth[name] or "none of them", result.view or "none", f"{result.view_confidence:.2f}", present)
        print("| " + " | ".join(cells) + " |")
        if options.pictures:
            write_picture(cine, result.landmarks, options.pictures / f"{name.replace('/', '_')}.png")
    print("\n| biv-me | landmark | found | mean mm | median | 90 % | worst |\n|---|---|---|---|---|---|---|")
    pooled, confidences, detected = [], [], {}
    for name, view in list(SERIES.items())[:3]:
        assert view in VIEWS
        landmarks = results[name].landmarks
        if results[name].view != view:
            landmarks = detect(cines[name], options.model, view=view, tta=not options.no_tta).landmarks
        detected[view] = cines[name], landmarks
        reference, geometry = guide[view]
        places = geometry.to_patient(reference.positions), cines[name].geometry.to_patient(landmarks.positions)
        errors = np.linalg.norm(places[0] - places[1], axis=-1)
        for landmark in in_view(view):
            column = errors[:, landmark.index]
            known = np.isfinite(column)
            if known.any():
                values = column[known]
                figures = (values.mean(), np.median(values), np.quantile(values, 0.9), values.max())
                cells = (view, f"{landmark.number} {landmark.name}", f"{known.sum()}/{len(column)}")
                print("| " + " | ".join((*cells, *(f"{figure:.1f}" for figure in figures))) + " |")
        known = np.isfinite(errors)
        pooled.append(errors[known])
        confidences.append(landmarks.confidence[known])
    values, sure = np.concatenate(pooled), np.concatenate(confidences)
    print(
        f"\nAll {len(values)} points: mean {values.mean():.2f} mm, median {np.median(values):.2f}, "
        f"90 % {np.quantile(values, 0.9):.1f}, 95 % {np.quantile(values, 0.95):.1f}."
    )
    _after_the_fit(guide, detected)
    _own_scatter(guide, detected)
    ranks = np.corrcoef(values.argsort().argsort(), (-sure).argsort().argsort())[0, 1]
    for limit in (0.5, 0.9):
        confident = values[sure >= limit]
        print(f"Confidence >= {limit}: {len(confident)} points, {np.mean(confident <= 5):.1%} within 5 mm.")
    print(f"Rank correlation of error and doubt {ranks:.2f}.")


if __name__ == "__main__":
    main()

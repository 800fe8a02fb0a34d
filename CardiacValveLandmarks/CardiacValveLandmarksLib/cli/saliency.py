"""`cvl saliency`: what a model looks at: heat-maps and saliency over the frames of a cine."""

from __future__ import annotations

import argparse

from ..errors import UsageError
from ..files import make_folder
from .detect import add_detection_options
from .numbers import natural
from .progress import ProgressBar
from .results import refuse_existing, whole_results

#: a sheet of pictures shows at most so many frames
_SHOWN = 6


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "saliency",
        help="what a model looks at: heat-maps and saliency over a cine's frames",
        description="Write NAME_saliency.png and NAME_heatmaps.png (overlays), NAME_maps.npz, NAME_saliency.nii.gz and "
        "NAME_heatmaps.nii.gz (the maps in the cine's own pixels). Saliency is the size of the derivative of the loss "
        "by the image and needs torch; models that give coordinates have no heat-maps.",
    )
    parser.add_argument("cine", metavar="CINE", help="a DICOM folder, a 4-D NIfTI, or a .seq.nrrd")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder for the results")
    parser.add_argument("--frame", default=0, type=_frame, metavar="N|all", help="frame, from 0 (default 0), or all")
    parser.add_argument("--landmark", type=int, metavar="N", help="saliency of this landmark's loss alone (1 to 11)")
    parser.add_argument("--view", default="auto", choices=("auto", "2CH", "3CH", "4CH"))
    add_detection_options(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace results that are there")
    parser.set_defaults(run=run)


def _frame(text: str) -> int | str:
    return text if text == "all" else natural(text)


def run(options: argparse.Namespace) -> int:
    import numpy as np

    from ..detection import detect
    from ..detection.map_files import SUFFIXES, draw_map, heatmap_tint, saliency_tint, write_maps, write_sheet
    from ..detection.saliency import FrameMaps
    from ..landmarks import N_LANDMARKS
    from ..readers import read_cine

    if options.landmark is not None and not 1 <= options.landmark <= N_LANDMARKS:
        raise UsageError(f"--landmark {options.landmark}: expected 1 to {N_LANDMARKS}.")
    cine = read_cine(options.cine)
    folder = make_folder(options.output)
    if not options.overwrite:
        refuse_existing(folder / (cine.name + suffix) for suffix in SUFFIXES)
    frames = list(range(cine.n_frames)) if options.frame == "all" else [options.frame]
    how = {"engine": options.engine, "device": options.device, "tta": not options.no_tta}
    result = detect(cine, options.model, options.view, **how) if len(frames) > 1 else None
    maps = FrameMaps(cine, options.model, options.view, result=result, **how)
    with_heatmaps = maps.spec.kind == "heatmap"
    saliency, heatmaps = [], []
    with ProgressBar(cine.name) as bar:
        for number, frame in enumerate(frames, start=1):
            saliency.append(maps.saliency(frame, options.landmark))
            if with_heatmaps:
                heatmaps.append(maps.heatmaps(frame))
            bar.update(number, len(frames))
    shown = np.unique(np.linspace(0, len(frames) - 1, min(_SHOWN, len(frames))).round().astype(int))
    sheets = {"_saliency.png": (saliency, saliency_tint)} | (
        {"_heatmaps.png": (heatmaps, heatmap_tint)} if with_heatmaps else {}
    )
    with whole_results(folder, cine.name, SUFFIXES) as staging:
        for suffix, (values, tint) in sheets.items():
            drawn = []
            for k in shown:
                found = maps.landmarks(frames[k])
                caption = f"{found.view or 'view not recognised'}  {frames[k] + 1}/{cine.n_frames}"
                drawn.append(draw_map(cine, found, frames[k], tint(values[k]), caption))
            write_sheet(drawn, staging / (cine.name + suffix))
        write_maps(cine, frames, np.stack(saliency), np.stack(heatmaps) if with_heatmaps else None, staging, cine.name)
    view = maps.landmarks(frames[0]).view
    print(f"{cine.name}: {view or 'view not recognised'}, {len(frames)} of {cine.n_frames} frames, {maps.spec.id}")
    for warning in maps.detection(frames[0])[0].warnings:
        print(f"  {warning}")
    if not with_heatmaps:
        print(f"  {maps.spec.id} gives coordinates: there are no heat-maps")
    print(f"Results are in {folder}.")
    return 0

"""The images of a study, which it does not keep: found again among cines, or in a folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

from .cine import Cine
from .errors import InputError
from .readers import scan
from .study import Study, StudyView


def cines_of(study: Study, cines: Sequence[Cine]) -> Mapping[str, Cine]:
    """View -> its cine: of the cines the study was built of, by name, and by `cine_of` where several have one name.

    InputError: cines of one name that nothing tells apart.
    """
    found = {}
    for view in study.views:
        named = [cine for cine in cines if cine.name == view.name]
        found[view.view] = named[0] if len(named) == 1 else cine_of(view, named, view.name)
    return found


def find_cines(study: Study, folder: str | os.PathLike) -> dict[str, Cine]:
    """View -> its cine among those in a folder or file. InputError as `cine_of`."""
    cines = scan(folder).cines
    return {view.view: cine_of(view, cines, folder) for view in study.views}


def cine_of(view: StudyView, cines: Sequence[Cine], where: str | os.PathLike) -> Cine:
    """The cine that a view of a study is of, told by size, times and place: names may have changed.

    where: the cines were read, for errors. InputError where it is not among them, or where several could be it.
    """
    fitting = [cine for cine in cines if _is_of(cine, view)]
    if len(fitting) != 1:
        raise InputError(
            where,
            f"the images of the study's {view.view} ({view.n_frames} frames of {view.shape[0]} x {view.shape[1]})",
            "none that fit" if not fitting else f"{len(fitting)} cines that could be they",
            "Give the folder the study was made of.",
        )
    return fitting[0]


def _is_of(cine: Cine, view: StudyView) -> bool:
    if cine.shape != view.shape or cine.n_frames != view.n_frames:
        return False
    if (cine.geometry is None) != view.geometry_assumed or (cine.times_ms is None) != (view.times_ms is None):
        return False
    if cine.geometry is not None:
        pairs = ((getattr(cine.geometry, part), getattr(view.geometry, part)) for part in ("origin", "axis0", "axis1"))
        if not all(np.allclose(a, b, atol=1e-3) for a, b in pairs):
            return False
    return cine.times_ms is None or np.allclose(cine.times_ms, view.times_ms, atol=0.5)

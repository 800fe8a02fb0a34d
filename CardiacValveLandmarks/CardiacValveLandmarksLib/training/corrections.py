"""What people corrected, as training data: studies, detections and saved scenes with the images they are of.

A study's file holds no images; they are found among cines by place, size and times (study_images.py). A frame counts
once a person decided something in it; its other points count for less (`label_weights`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..cine import Cine
from ..detection.files import read_landmarks, stated_geometry
from ..errors import InputError, UsageError
from ..geometry import SliceGeometry
from ..landmarks import N_LANDMARKS, LandmarkSeries, Provenance, view_mask
from ..models.weights import has_package
from ..packages import how_to_install
from ..readers import place_of, scan
from ..study import StudyView
from ..study_images import cine_of
from ..study_io import study_from_json
from .annotation_names import NameMap
from .landmark_sets import read_landmark_sets

#: how much points count that follow from a correction nearby, and those a person left as they were
PROPAGATED, UNTOUCHED = 0.5, 0.2
_MARKUPS = ".mrk.json"
#: a point of a markups file this far (mm) from where the detection put it was moved by a person
_MOVED_MM = 1e-2
_EXPECTED = "a corrected study: study.json, NAME.json of cvl detect, .mrb, .npz of corrections, or a folder with them"


@dataclass(frozen=True)
class CorrectedCine:
    """A cine and its landmarks as a person left them.

    landmarks: of `cine`'s frames, with a view; MANUAL or PROPAGATED where a person decided, ABSENT without confidence
    where a person marked the landmark as absent. patient: tells patients apart and names nobody.
    """

    cine: Cine
    landmarks: LandmarkSeries
    patient: str

    def __post_init__(self) -> None:
        if self.landmarks.view is None or self.landmarks.n_frames != self.cine.n_frames:
            raise ValueError("landmarks: expected a view, and as many frames as the cine has")

    @property
    def view(self) -> str:
        return self.landmarks.view


def _model_spoke(landmarks: LandmarkSeries) -> bool:
    """Whether a model looked first: it gives a confidence for what it finds and for what it does not."""
    return bool(np.isfinite(landmarks.confidence).any())


def marked_absent(landmarks: LandmarkSeries) -> np.ndarray:
    """(T, 11) bool: a person says that the landmark cannot be seen, where a model had spoken."""
    silent = ~landmarks.present & np.isnan(landmarks.confidence)
    return silent & view_mask(landmarks.view) & _model_spoke(landmarks)


def label_weights(
    landmarks: LandmarkSeries, propagated: float = PROPAGATED, untouched: float = UNTOUCHED
) -> np.ndarray:
    """(T, 11) in [0, 1]: how much each landmark of each frame counts as a label; a row of zeros: not at all.

    1 where a person placed the point or marked it absent. A frame counts where there is such a point, or where
    `propagated` > 0 and a correction nearby reached it; there the points that were left alone count `untouched`.
    Where all was placed by hand from nothing, a frame counts once the view's landmarks are complete: what is not there
    may be absent or not placed yet.
    """
    shown = view_mask(landmarks.view)
    by_hand = (landmarks.provenance == Provenance.MANUAL) | marked_absent(landmarks)
    reached = landmarks.provenance == Provenance.PROPAGATED
    weights = np.where(by_hand, 1.0, np.where(reached, propagated, untouched))
    counts = by_hand.any(1) | (reached.any(1) & (propagated > 0))
    if not _model_spoke(landmarks):
        counts &= landmarks.present[:, shown].all(1)
    return weights * counts[:, None] * shown


def is_corrected(landmarks: LandmarkSeries) -> bool:
    """Whether a person decided something in a frame that shows a landmark."""
    return landmarks.view is not None and bool(landmarks.present[label_weights(landmarks).any(1)].any())


def split(
    corrected: Sequence[CorrectedCine], share: float, seed: int
) -> tuple[list[CorrectedCine], list[CorrectedCine], str]:
    """(training, held out, how): `share` of the patients, at least one, are held out; of one patient, cines.

    InputError where there is one cine only: nothing could say whether the model became better.
    """
    if len(corrected) < 2:
        raise InputError(
            corrected[0].cine.name if corrected else "corrections",
            "at least two corrected cines: one to learn from, and one to see whether it helped",
            f"{len(corrected)}",
            "Correct another, best of another patient.",
        )
    patients = sorted({one.patient for one in corrected})
    how = "by patient"
    if len(patients) == 1:
        # halves of a dataset share no patient: here the cines stand for patients
        corrected = [replace(one, patient=f"{one.patient}-{n}") for n, one in enumerate(corrected, start=1)]
        patients = [one.patient for one in corrected]
        how = "by cine, for all are of one patient: how well it does on other patients is not known"
    count = min(max(1, round(share * len(patients))), len(patients) - 1)
    held = {patients[i] for i in np.random.default_rng([seed, 91]).permutation(len(patients))[:count]}
    training = [one for one in corrected if one.patient not in held]
    return training, [one for one in corrected if one.patient in held], how


def read_corrections(path: str | os.PathLike, cines: str | os.PathLike | None = None) -> list[CorrectedCine]:
    """The corrected cines of a study file, a detection's file, a saved scene, a dataset of corrections, or a folder.

    cines: folder or file with the images, where the study does not say where they are or they have moved.
    InputError: nothing was corrected, images are missing (it says which), or another kind of file.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path, cines)
    if not path.is_file():
        raise InputError(path, _EXPECTED, "nothing there", "Check the path.")
    if path.suffix == ".npz":
        from .corrections_npz import read_corrections_npz

        return read_corrections_npz(path)
    if path.suffix == ".mrb":
        return _corrected(path, _pairs_of_scene(path))
    if path.suffix != ".json":
        raise InputError(path, _EXPECTED, f"a {path.suffix or 'nameless'} file")
    if path.name.endswith(_MARKUPS):
        path = path.with_name(path.name.removesuffix(_MARKUPS) + ".json")
        if not path.is_file():
            raise InputError(path, "the detection these markups are of, beside them", "nothing there")
    return _corrected(path, _pairs_of_json(path, cines))


def read_all_corrections(
    paths: Sequence[str | os.PathLike], cines: str | os.PathLike | None = None
) -> list[CorrectedCine]:
    """`read_corrections` of several, each cine once.

    InputError where two have the same images: the cine would be trained on and held out at once, and count twice.
    """
    corrected, known = [], {}
    for path in paths:
        for one in read_corrections(path, cines):
            key = hashlib.sha256(np.ascontiguousarray(one.cine.frames)).digest()
            if key in known:
                found = f"the {one.view} {one.cine.name!r} in {known[key]} as well"
                raise InputError(path, "each corrected cine in one of the studies", found, "Give one of the two.")
            known[key] = path
            corrected.append(one)
    return corrected


def _read_folder(folder: Path, cines: str | os.PathLike | None) -> list[CorrectedCine]:
    """The corrections in a folder, in whichever of its files they are; InputError where two have some, or none has."""
    scenes = [*sorted(folder.glob("*.mrb")), *folder.glob("mrb/study.mrb")]
    study, detections = folder / "study.json", sorted(folder.glob("*.json"))
    detections = [path for path in detections if path != study and not path.name.endswith(_MARKUPS)]
    if not (scenes or detections or study.is_file()):
        raise InputError(folder, _EXPECTED, "none of these in it")
    if study.is_file():
        place, pairs = study, _pairs_of_json(study, cines)
    else:
        place, pairs = folder, [pair for path in detections for pair in _pairs_of_json(path, cines)]
    corrected = {place: pairs} if _any_corrected(pairs) else {}
    if scenes and not (corrected and not has_package("slicer.util")):
        read = {path: _pairs_of_scene(path) for path in scenes}
        corrected |= {path: pairs for path, pairs in read.items() if _any_corrected(pairs)}
    if len(corrected) > 1:
        names = " and in ".join(path.name for path in corrected)
        raise InputError(folder, "corrections in one file", f"some in {names}", "Name the one.")
    return _corrected(*next(iter(corrected.items()), (place, [])))


def _any_corrected(pairs: Sequence[tuple[Cine, LandmarkSeries]]) -> bool:
    return any(is_corrected(landmarks) for _, landmarks in pairs)


def _pairs_of_scene(path: Path) -> list[tuple[Cine, LandmarkSeries]]:
    if not has_package("slicer.util"):
        raise UsageError(f"{path}: a scene is read in Slicer, or with {how_to_install('slicer', 'slicer')}.")
    from ..mrml.saved_scene import read_scene

    return [(cine, landmarks) for study in read_scene(path) for cine, landmarks in study]


def _corrected(path: Path, pairs: Sequence[tuple[Cine, LandmarkSeries]]) -> list[CorrectedCine]:
    """Those of the pairs that a person corrected, all of one patient."""
    corrected = [(cine, landmarks) for cine, landmarks in pairs if is_corrected(landmarks)]
    if not corrected:
        raise InputError(
            path,
            "landmarks that a person placed or marked as absent",
            "automatic points only",
            "Correct the landmarks in Slicer, then save the scene (File, Save Data) and give the .mrb.",
        )
    patient = _patient(corrected[0][0], path)
    return [CorrectedCine(cine, landmarks, patient) for cine, landmarks in corrected]


def _patient(cine: Cine, path: Path) -> str:
    """The same for one patient's studies where the images tell, else one a study; it names nobody."""
    if cine.patient_key:
        return cine.patient_key
    told = cine.study_uid or str(path.resolve())
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def _pairs_of_json(path: Path, cines: str | os.PathLike | None) -> list[tuple[Cine, LandmarkSeries]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(path, _EXPECTED, str(error)) from error
    if isinstance(content, dict) and "format" in content:
        views = study_from_json(path).views
    else:
        views = (_view_of_detection(path, content),)
    views = [view for view in views if view.landmarks.view is not None and is_corrected(view.landmarks)]
    return [(_images(path, view, cines), view.landmarks) for view in views]


def _view_of_detection(path: Path, content: object) -> StudyView:
    """What NAME.json of a detection says of its cine, as a study would."""
    landmarks = read_landmarks(path)
    try:
        facts = content["cine"]
        times, geometry = facts["times_ms"], stated_geometry(facts["geometry"])
        if geometry is not None:
            landmarks = _with_markups(path, landmarks, geometry)
        return StudyView(
            view=landmarks.view,
            name=facts["name"],
            geometry=geometry or SliceGeometry([0, 0, 0], [1, 0, 0], [0, 1, 0]),
            geometry_assumed=geometry is None,
            shape=tuple(facts["shape"]),
            times_ms=None if times is None else np.array(times, float),
            rr_ms=np.nan if facts["rr_ms"] is None else facts["rr_ms"],
            rr_source=facts["rr_source"],
            phases=np.arange(facts["frames"]) / facts["frames"],
            landmarks=landmarks,
            recognised=landmarks.view,
            recognised_confidence=landmarks.view_confidence,
            stated=False,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(path, "the fields of detection.schema.json", f"{type(error).__name__}: {error}") from error


def _with_markups(path: Path, landmarks: LandmarkSeries, geometry: SliceGeometry) -> LandmarkSeries:
    """`landmarks` with what a person changed in NAME.mrk.json, which `cvl detect` writes beside NAME.json."""
    markups = path.with_name(path.stem + _MARKUPS)
    if not markups.is_file() or landmarks.view is None:
        return landmarks
    positions, provenance, confidence = (
        np.array(array) for array in (landmarks.positions, landmarks.provenance, landmarks.confidence)
    )
    # they are of the first frame, whatever number the cine's name ends in
    for marked in read_landmark_sets(markups, NameMap(images={path.stem: (path.stem, 0)})):
        # the points of short-axis images come after those of the long axis
        for frame, points in zip(marked.frames, marked.patient[:, :N_LANDMARKS], strict=True):
            if frame >= landmarks.n_frames:
                raise InputError(markups, f"a frame below {landmarks.n_frames}", f"frame {frame}")
            there, before = np.isfinite(points[:, 0]), landmarks.present[frame]
            apart = np.linalg.norm(points - geometry.to_patient(positions[frame]), axis=1) > _MOVED_MM
            moved = there & (apart | ~before) & view_mask(landmarks.view)
            gone = before & ~there
            positions[frame, moved] = geometry.to_pixels(points[moved])
            positions[frame, gone] = np.nan
            confidence[frame, moved | gone] = np.nan
            provenance[frame, moved], provenance[frame, gone] = Provenance.MANUAL, Provenance.ABSENT
    return landmarks.replace(positions=positions, provenance=provenance, confidence=confidence)


def _images(path: Path, view: StudyView, cines: str | os.PathLike | None) -> Cine:
    """The cine a view is of: among `cines`, else where the study says its images were read."""
    what = f"{path}, {view.view} ({view.name})"
    if cines is None and not view.source:
        raise InputError(
            what, "to be told where its images are", "a study that does not say", "Give their folder with --cines."
        )
    where = Path(cines) if cines is not None else place_of(view.source)
    if not where.exists():
        raise InputError(what, f"its images at {where}", "nothing there", "Give their folder with --cines.")
    return cine_of(view, scan(where).cines, where)

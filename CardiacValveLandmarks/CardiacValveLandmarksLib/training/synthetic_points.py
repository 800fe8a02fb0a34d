"""Training images of the synthetic heart as an examination has them: long or short axis, as cine, LGE or T1 map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..landmarks import N_LANDMARKS, VIEWS
from ..phantom.planes import plane_geometry, view_plane
from ..phantom.render import Patient, Slice
from ..phantom.rings import cut_landmarks, valves
from ..phantom.sequences import sequence_contrast, with_scars
from ..phantom.short_axis import LEVELS, short_axis_plane, short_axis_points
from .point_images import PointImages

#: the images, before they are resampled
SHAPE, SPACING_MM = (200, 200), 1.6


def synthetic_points(
    numbers: Sequence[int] | None,
    sequence: str,
    patients: int,
    phases: int,
    seed: int,
    *,
    turn_degrees: float = 40.0,
    width: float = 1.0,
) -> PointImages:
    """Images of `patients` synthetic patients, in canonical handedness, `phases` of each view or level.

    numbers: landmarks of the table, for long-axis views; None: the short-axis points, at a basal and a mid level.
    sequence: "cine" (any phase), "LGE" or "T1" (diastole alone, as they are acquired). turn_degrees: images are turned
    by up to that much. A patient depends on the seed and its number alone.
    """
    long_axis = numbers is not None
    kinds = VIEWS if long_axis else tuple(LEVELS)
    images, points, groups, names = [], [], [], []
    for number in range(patients):
        rng = np.random.default_rng([seed, 83, number])
        patient = Patient.sample(rng, width)
        if sequence == "LGE":
            patient = with_scars(patient, rng)
        for kind in kinds:
            cut = (
                view_plane(valves(patient.anatomy, 0.0), patient.anatomy, kind, rng)
                if long_axis
                else short_axis_plane(patient.anatomy, kind, rng)
            )
            geometry = plane_geometry(
                patient.pose,
                *cut,
                shape=SHAPE,
                spacing=SPACING_MM,
                centre=np.array([-8.0, 0.0, 20.0]) + rng.uniform(-20, 20, 3),
                rotation=np.deg2rad(rng.uniform(-turn_degrees, turn_degrees)),
                thickness=rng.uniform(6, 10),
            )
            plane = Slice(patient, geometry, SHAPE, sequence_contrast(sequence, rng, width), through_plane=2)
            for _ in range(phases):
                phase = rng.uniform() if sequence == "cine" else rng.uniform(0.65, 0.95)
                images.append(plane.render(phase, rng).astype(np.float16))
                if long_axis:
                    place = _long_axis(patient, phase, kind, cut)
                else:
                    place = short_axis_points(patient.heart(phase), cut[0], cut[2])
                points.append(geometry.to_pixels(patient.pose.to_patient(place)))
                groups.append(kind if long_axis else "SAX")
                names.append(f"synthetic-{seed}-{number}")
    found = np.array(points, np.float32)
    if long_axis:
        found = found[:, np.array(numbers) - 1]
    return PointImages(
        np.array(images),
        found,
        np.ones(found.shape[:2], bool),
        tuple(groups),
        np.full((len(images), 2), SPACING_MM, np.float32),
        tuple(names),
    )


def _long_axis(patient: Patient, phase: float, view: str, cut: tuple) -> np.ndarray:
    place = np.full((N_LANDMARKS, 3), np.nan)
    for number, at in cut_landmarks(valves(patient.anatomy, phase), view, cut[0], cut[2]).items():
        place[number - 1] = at
    return place

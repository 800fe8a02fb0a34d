"""Detection with the published regression network: ten points an image, absent ones near (0, 0)."""

from __future__ import annotations

import numpy as np

from ..cine import Cine
from ..landmarks import N_LANDMARKS, VIEWS, in_view
from ..models.coordinates import Fit, predict_points, scale_intensity
from ..models.decoding import consensus
from ..models.engine import Engine
from ..models.spec import ModelSpec
from ..models.symmetries import IDENTITY, SETS
from .result import VIEW_CONFIDENCE, Cancel, Found, Progress

#: a point nearer than this (pixels of the network's image) to (0, 0) says "absent": training had exactly (0, 0)
ABSENT_PIXELS = 16.0
#: members of the ensemble further than this (pixels) from its geometric median do not enter the mean
CONSENSUS_PIXELS = 8.0
#: present where at least this share of the ensemble says so
PRESENT_SHARE = 0.5


def find(
    cine: Cine,
    spec: ModelSpec,
    engine: Engine,
    view: str | None,
    tta: bool,
    progress: Progress | None,
    cancel: Cancel | None,
) -> Found:
    """Run the network in every symmetry, vote on presence, take the robust mean of the members that see the point.

    A view's score is the mean presence of its landmarks minus that of the landmarks it cannot show. Confidence falls
    with the spread of the members; without an ensemble there is no spread and it is 0.5 throughout.
    """
    symmetries = SETS[spec.symmetries] if tta else (IDENTITY,)
    fit = Fit(cine.shape, spec.input.size)
    images = fit.images(scale_intensity(cine.frames, spec.input.intensity))
    total = cine.n_frames * len(symmetries)
    members, seen = [], []
    for index, symmetry in enumerate(symmetries):
        done = index * cine.n_frames
        report = None if progress is None else lambda count, _, done=done: progress(done + count, total)
        points = predict_points(engine, symmetry.images(images), report, cancel)
        seen.append(np.linalg.norm(points, axis=-1) >= ABSENT_PIXELS)
        members.append(symmetry.undo_positions(points, spec.input.size))
    members, seen = np.stack(members), np.stack(seen)
    share = seen.mean(0)
    mean, spread, agreeing = consensus(members, seen.astype(float), CONSENSUS_PIXELS)
    channels = [number - 1 for number in spec.landmarks]
    positions = np.full((cine.n_frames, N_LANDMARKS, 2), np.nan)
    strength, confidence = np.zeros((2, cine.n_frames, N_LANDMARKS))
    positions[:, channels] = fit.undo_positions(mean)
    strength[:, channels] = share
    certainty = share * agreeing * np.exp(-((spread / 10.0) ** 2)) if tta else np.full(share.shape, 0.5)
    confidence[:, channels] = certainty

    scores = {}
    for name in VIEWS:
        mine = np.array([landmark.index for landmark in in_view(name) if landmark.valve])
        others = np.setdiff1d(channels, mine)
        scores[name] = float(np.clip(strength[:, mine].mean() - strength[:, others].mean(), 0, 1))
    warnings, chosen = [], view
    if chosen is None:
        likeliest = max(scores, key=scores.get)
        if scores[likeliest] >= VIEW_CONFIDENCE:
            chosen = likeliest
        else:
            warnings.append(
                f"The model's points do not make out one view (closest: {likeliest}, {scores[likeliest]:.2f}); "
                "no landmark is given as present. State the view if it is one."
            )
    shown = np.zeros(N_LANDMARKS, bool)
    if chosen is not None:
        shown[[landmark.index for landmark in in_view(chosen)]] = True
    inside = ((positions >= -0.5) & (positions <= np.array(cine.shape) - 0.5)).all(-1)
    present = (strength >= PRESENT_SHARE) & shown & inside
    # near (0, 0) where absent, which no other place of the image is to be taken for
    raw = np.where(seen[0][..., None], fit.undo_positions(members[0]), members[0]) if not tta else None
    facts = {"symmetries": len(symmetries), "absent_radius_pixels": ABSENT_PIXELS}
    return Found(
        positions,
        strength,
        confidence,
        chosen,
        scores,
        present,
        raw_points=raw,
        facts=facts,
        warnings=tuple(warnings),
    )

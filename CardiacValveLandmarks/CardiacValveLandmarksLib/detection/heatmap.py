"""Detection with a heat-map network: find the heart, recognise the view, look closely, decide what is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..cine import Cine
from ..errors import Cancelled, InputError, ModelError
from ..landmarks import N_LANDMARKS, VIEWS, in_view
from ..models.answers import heatmaps_of
from ..models.decoding import PRESENCE, decode, decode_blob, spread
from ..models.engine import Engine
from ..models.intensity import Curve, bright_level, scale_windows
from ..models.sampling import Window, pixel_mm
from ..models.spec import ModelSpec
from ..models.symmetries import IDENTITY, SETS
from ..orientation import handedness
from .beat_path import MIN_FRAMES, beat_path
from .heart_window import HEART_MM, middle_of_heart
from .image_motion import follow_motion
from .result import VIEW_CONFIDENCE, Cancel, Found, Progress
from .short_valves import doubt_short_valves

#: pixel spacings (mm) that are tried where a file states none
SPACINGS_TRIED = (1.0, 1.25, 1.5, 1.8)
#: members of the ensemble further than this (mm) from its geometric median do not enter the mean
CONSENSUS_MM = 8.0
#: what a heat-map shows further from the point than this (mm) makes it no more doubtful
SPREAD_REACH_MM = 20.0
#: no landmark is further from its path through the beat (beat_path.py) than this (mm)
REACH_MM = 10.0
_BATCH = 8
_SAMPLED_FRAMES = 6
#: of the whole image no more than this (pixels of the model) is searched for the heart; 464 mm with the built-in one
_LARGEST = 320


@dataclass(frozen=True)
class _Look:
    """The network's answer for some frames of a window: ensemble heat-maps (n, C, S, S) without background, each
    member's decoded positions and peaks (R, n, C, 2), (R, n, C) in window pixels, and view probabilities or None."""

    maps: np.ndarray
    positions: np.ndarray
    peaks: np.ndarray
    views: np.ndarray | None


@dataclass(frozen=True)
class _Reading:
    """An image read at one spacing (mm) and handedness, through one intensity curve or none: its window around the
    heart, the scores of the views it can be of, and the probability of none of them, where the model tells."""

    window: Window
    spacing: np.ndarray
    curve: Curve | None
    scores: Mapping[str, float]
    other: float | None


class HeatmapDetector:
    """One model on one cine."""

    def __init__(
        self, cine: Cine, spec: ModelSpec, engine: Engine, tta: bool, progress: Progress | None, cancel: Cancel | None
    ) -> None:
        self.cine, self.spec, self.engine = cine, spec, engine
        self.symmetries = SETS[spec.symmetries] if tta else (IDENTITY,)
        self.size = spec.input.size or (160, 160)
        self._progress, self._cancel = progress, cancel
        # a model that was not calibrated is read by the published rule
        self._decode = decode if spec.decision else decode_blob
        self._presence = spec.decision.presence if spec.decision else PRESENCE
        self._view_threshold = spec.decision.view if spec.decision else VIEW_CONFIDENCE
        self._channels = np.array([number - 1 for number in spec.landmarks])
        self._done, self._total = 0, cine.n_frames * len(self.symmetries)

    def find(self, view: str | None) -> Found:
        """Look for the landmarks of `view`, or of the view that is recognised (None)."""
        self._check_intensities()
        if view is not None:
            self._check_landmarks(view)
        sampled = np.unique(np.linspace(0, self.cine.n_frames - 1, _SAMPLED_FRAMES).round().astype(int))
        readings = []
        for spacing in self._spacings():
            for mirrored, allowed in self._handednesses().items():
                readings += self._read(sampled, spacing, mirrored, allowed, view)
        scores = {name: max(reading.scores.get(name, 0.0) for reading in readings) for name in VIEWS}
        chosen = view
        if chosen is None:
            likeliest = max(scores, key=scores.get)
            if scores[likeliest] >= self._view_threshold:
                chosen = likeliest
        shown = chosen or max(scores, key=scores.get)
        best = max(readings, key=lambda reading: reading.scores.get(shown, -1.0))
        window = best.window
        facts = {
            "spacing_mm": [float(value) for value in best.spacing],
            "mirrored": window.mirrored,
            "window_centre": [float(value) for value in window.centre],
            "window_size": [int(side) for side in window.size],
            "symmetries": len(self.symmetries),
            "not_a_long_axis_view": best.other,
        }
        if self.spec.input.curves:  # which look it was
            facts["intensity_curve"] = None if best.curve is None else [list(knot) for knot in best.curve]
        warnings = self._assumptions(best.spacing, window, shown)
        if chosen is None:
            return self._nothing(scores, facts, warnings)
        look = self._look(window, np.arange(self.cine.n_frames), chosen, best.curve, report=True)
        return self._decide(look, window, chosen, scores, facts, warnings)

    # -- steps -----------------------------------------------------------------------------------
    def _check_intensities(self) -> None:
        if self.spec.input.intensity == "percentile" and np.percentile(self.cine.frames, 99) <= 0:
            raise InputError(
                self.cine.source or self.cine.name,
                "tissue brighter than 0",
                f"values from {self.cine.frames.min():g} to {self.cine.frames.max():g}, hardly any above 0",
                "The image was shifted or inverted: undo that.",
            )

    def _spacings(self) -> list[np.ndarray]:
        if self.spec.input.spacing_mm is None:
            return [np.ones(2)]
        if self.cine.spacing is not None:
            return [self.cine.spacing]
        return [np.full(2, value) for value in SPACINGS_TRIED]

    def _handednesses(self) -> dict[bool, tuple[str, ...]]:
        """Mirrored or not -> the views the image can be of when it is read so, by its patient orientation."""
        if not self.spec.input.one_handed:
            return {False: VIEWS}
        known = {view: self._handedness(view) for view in VIEWS}
        possible = {
            mirrored: tuple(view for view in VIEWS if known[view] in (0, -1 if mirrored else 1))
            for mirrored in (False, True)
        }
        return {mirrored: views for mirrored, views in possible.items() if views}

    def _handedness(self, view: str) -> int:
        return handedness(self.cine.geometry, view) if self.cine.geometry is not None else 0

    def _read(
        self,
        frames: np.ndarray,
        spacing: np.ndarray,
        mirrored: bool,
        allowed: tuple[str, ...],
        view: str | None,
    ) -> list[_Reading]:
        """How the views an image can be of explain some frames, read at a spacing and handedness: as it is, and through
        each intensity curve that the model has learned."""
        readings = []
        for curve in (None, *self.spec.input.curves):
            window = self._locate(frames, spacing, mirrored, view, curve, readings[0].window if readings else None)
            scores, other = self._view_scores(self._look(window, frames, None, curve))
            readings.append(_Reading(window, spacing, curve, {name: scores[name] for name in allowed}, other))
        return readings

    def _assumptions(self, spacing: np.ndarray, window: Window, view: str) -> list[str]:
        said = []
        if self.spec.input.spacing_mm is not None and self.cine.spacing is None:
            said.append(
                f"The file states no pixel spacing; {spacing[0]:g} mm fitted the model best of {SPACINGS_TRIED} and "
                "was used to look, so distances in mm are not known."
            )
        if self.spec.input.one_handed and self._handedness(view) == 0:
            side = "as the mirror image" if window.mirrored else "as it is"
            said.append(
                "The orientation does not say from which side the plane is seen; both were tried and the image was "
                f"read {side}: left and right (in a 2CH anterior and posterior) may be exchanged."
            )
        return said

    def _window(self, spacing: np.ndarray, centre: np.ndarray, size: tuple[int, int], mirrored: bool) -> Window:
        step = (self.spec.input.spacing_mm or 1.0) / spacing
        return Window(self.cine.shape, tuple(centre), tuple(step), size, mirrored)

    def _pixel_mm(self, window: Window) -> float:
        return pixel_mm(window, self.spec.input.spacing_mm, self.cine.spacing)

    def _locate(
        self,
        frames: np.ndarray,
        spacing: np.ndarray,
        mirrored: bool,
        view: str | None,
        curve: Curve | None,
        near: Window | None,
    ) -> Window:
        """The window of the model's size around the heart, found on the whole image. near: where the image as it is has
        the heart, from which a curve begins; None: in the middle."""
        middle = (np.array(self.cine.shape) - 1) / 2
        extent = np.array(self.cine.shape) * spacing / (self.spec.input.spacing_mm or 1.0)
        whole = tuple(int(max(self.size[axis], -(-extent[axis] // 16) * 16)) for axis in (0, 1))
        if self.spec.input.size is None:
            return self._window(spacing, middle, whole, mirrored)
        near = near or self._window(spacing, middle, self.size, mirrored)
        whole = tuple(max(self.size[axis], min(_LARGEST, whole[axis])) for axis in (0, 1))
        if whole == self.size:
            return near
        wide = self._window(spacing, middle, whole, mirrored)
        # a curve was learned from windows of the heart: what is bright elsewhere must not move tissues along it
        bright = None if curve is None else bright_level(near.images(self.cine.frames[frames]))
        # by the whole ensemble: however an image is stored, the same window is cut and the same points are found
        look = self._look(wide, frames[::2], view, curve, bright=bright)
        scores, _ = self._view_scores(look)
        columns = self._columns(view or max(scores, key=scores.get), apex=True)
        found = self._decode(look.maps[:, columns])
        weight = np.where(found.peak > self._presence, found.peak, 0)
        room = np.minimum(self.size, HEART_MM / self._pixel_mm(wide))
        centre = middle_of_heart(found.positions, weight, room)
        return near if centre is None else self._window(spacing, wide.undo_positions(centre), self.size, mirrored)

    def _look(
        self,
        window: Window,
        frames: np.ndarray,
        view: str | None,
        curve: Curve | None,
        report: bool = False,
        bright: float | None = None,
    ) -> _Look:
        images = window.images(self.cine.frames[frames])
        images = scale_windows(images, self.spec.input.intensity, self._pixel_mm(window), curve, bright)
        told = np.zeros((1, len(VIEWS)), np.float32)
        if view is not None:
            told[0, VIEWS.index(view)] = 1
        all_maps, all_positions, all_peaks, all_views = 0, [], [], []
        for symmetry in self.symmetries:
            maps, views = [], []
            for start in range(0, len(images), _BATCH):
                if self._cancel is not None and self._cancel():
                    raise Cancelled("the detection was cancelled")
                part = symmetry.images(images[start : start + _BATCH])[:, None]
                inputs = {"image": part}
                if self.spec.input.view_input:
                    inputs["view"] = np.repeat(told, len(part), axis=0)
                answer = self.engine.run(inputs)
                maps.append(symmetry.undo_maps(heatmaps_of(self.spec, answer, part)))
                if "view_probabilities" in answer:
                    views.append(answer["view_probabilities"])
                if report and self._progress is not None:
                    self._done += len(part)
                    self._progress(self._done, self._total)
            member = np.concatenate(maps)
            peaks = self._decode(member)
            all_maps = all_maps + member / len(self.symmetries)
            all_positions.append(peaks.positions)
            all_peaks.append(peaks.peak)
            if views:
                all_views.append(np.concatenate(views))
        return _Look(
            all_maps, np.stack(all_positions), np.stack(all_peaks), np.mean(all_views, axis=0) if all_views else None
        )

    def _check_landmarks(self, view: str) -> None:
        if not self._columns(view, apex=True).size:
            raise ModelError(
                self.spec.path,
                f"a model of landmarks of the {view}",
                f"one of {', '.join(map(str, self.spec.landmarks))}",
            )

    def _columns(self, view: str, apex: bool = False) -> np.ndarray:
        """Channels of the valve points of a view, those the model has; with the apex if asked."""
        wanted = [landmark.index for landmark in in_view(view) if landmark.valve or apex]
        return np.flatnonzero(np.isin(self._channels, wanted))

    def _view_scores(self, look: _Look) -> tuple[dict[str, float], float | None]:
        """How well each view explains the frames: the strength of its landmarks (mean over frames and its valve
        points of the ensemble's peak), times the view head's probability where the model has one, else less the
        strength of the next best view: a model that marks the points of several does not tell them apart. And the
        probability of none of the views, None where the model does not tell."""
        peaks = look.maps.max((-2, -1))
        probability = look.views.mean(0) if look.views is not None else None
        strengths, scores = {}, {}
        for view in VIEWS:
            columns = self._columns(view)
            strengths[view] = float(np.clip(peaks[:, columns].mean() / 0.6, 0, 1)) if columns.size else 0.0
        for index, (view, strength) in enumerate(strengths.items()):
            if probability is None:
                rival = max(other for name, other in strengths.items() if name != view)
                # under 0.05 it is no recognition, but still tells readings of the image apart
                scores[view] = max(strength - rival, 0.05 * strength)
            else:
                scores[view] = float(np.sqrt(strength * probability[index]))
        other = float(1 - probability[: len(VIEWS)].sum()) if probability is not None else None
        return scores, other

    def _nothing(self, scores: Mapping[str, float], facts: dict, warnings: list[str]) -> Found:
        frames = self.cine.n_frames
        likeliest = max(scores, key=scores.get)
        warnings.append(
            f"This does not look like a 2CH, 3CH or 4CH to the model (closest: {likeliest}, {scores[likeliest]:.2f}); "
            "no landmark is given. State the view if it is one."
        )
        empty = np.zeros((frames, N_LANDMARKS))
        return Found(
            np.full((frames, N_LANDMARKS, 2), np.nan),
            empty,
            empty,
            None,
            scores,
            empty > 0,
            view_threshold=self._view_threshold,
            facts=facts,
            warnings=tuple(warnings),
        )

    def _decide(
        self, look: _Look, window: Window, view: str, scores: Mapping[str, float], facts: dict, warnings: list[str]
    ) -> Found:
        frames, pixel_mm = self.cine.n_frames, self._pixel_mm(window)
        reach = CONSENSUS_MM / pixel_mm
        mean_maps = self._decode(self._within_reach(look.maps, pixel_mm))
        # the ensemble's own maximum decides where its members split; the place is the mean of those that agree
        near = np.linalg.norm(look.positions - mean_maps.positions, axis=-1) <= reach
        weights = (look.peaks * near)[..., None]
        total = weights.sum(0)
        mean = (look.positions * weights).sum(0) / np.maximum(total, 1e-9)
        place = np.where(total > 0, mean, mean_maps.positions)
        spread_mm = spread(look.maps, place, SPREAD_REACH_MM / pixel_mm) * pixel_mm
        positions, spreads = np.full((frames, N_LANDMARKS, 2), np.nan), np.full((frames, N_LANDMARKS), np.nan)
        strength = np.zeros((frames, N_LANDMARKS))
        positions[:, self._channels] = window.undo_positions(place)
        strength[:, self._channels] = mean_maps.peak
        spreads[:, self._channels] = spread_mm
        shown = np.zeros(N_LANDMARKS, bool)
        shown[[landmark.index for landmark in in_view(view)]] = True
        present = (strength >= self._presence) & shown
        present &= window.well_inside(positions)
        spacing = self._spacing(window)
        marked = np.where(present[..., None], positions, np.nan)
        followed = follow_motion(self.cine.frames, spacing, marked, spreads)
        present &= window.well_inside(followed)
        moved_mm = np.where(present, np.linalg.norm((followed - marked) * spacing, axis=-1), 0.0)
        positions = np.where(present[..., None], followed, positions)
        signs = np.stack([strength, _over_the_beat(spreads, present), moved_mm], axis=-1)
        confidence = np.nan_to_num(self._certainty(signs))
        if self.spec.decision is not None:  # calibrated on images the model recognises
            confidence *= min(1.0, scores[view] / self._view_threshold)
        warnings += doubt_short_valves(view, spacing, positions, present, confidence)
        return Found(
            positions,
            strength,
            confidence,
            view,
            scores,
            present,
            signs=signs,
            view_threshold=self._view_threshold,
            facts=facts,
            warnings=tuple(warnings),
        )

    def _spacing(self, window: Window) -> np.ndarray:
        """(2,) mm of the cine's pixels; where it is not known, as it was assumed for the model."""
        if self.cine.spacing is not None:
            return self.cine.spacing
        return self._pixel_mm(window) / np.array(window.step)

    def _within_reach(self, maps: np.ndarray, pixel_mm: float) -> np.ndarray:
        """Heat-maps (T, C, S, S) with what lies further than REACH_MM from the landmark's path set to zero.

        A landmark does not jump, so a maximum elsewhere is another structure's.
        """
        if len(maps) < MIN_FRAMES:
            return maps
        rows, columns = np.indices(maps.shape[-2:])
        limited = maps.copy()
        for channel in range(maps.shape[1]):
            row, column = beat_path(maps[:, channel], pixel_mm).T[:, :, None, None]
            limited[:, channel][np.hypot(rows - row, columns - column) > REACH_MM / pixel_mm] = 0
        return limited

    def _certainty(self, signs: np.ndarray) -> np.ndarray:
        """Confidence (...) in [0, 1] from the signs (..., 3) of `Found`; NaN where the model has no such landmark."""
        if self.spec.decision is None:
            return np.clip(signs[..., 0] / 0.75, 0, 1)
        constant, *weights = self.spec.decision.confidence
        logit = constant + signs[..., : len(weights)] @ np.array(weights)
        return 1 / (1 + np.exp(-np.clip(logit, -30, 30)))


def _over_the_beat(values: np.ndarray, present: np.ndarray) -> np.ndarray:
    """(T, L): each landmark's mean over the frames that show it; its own value where none does."""
    count = present.sum(0)
    mean = np.where(present, values, 0).sum(0) / np.maximum(count, 1)
    return np.where(count > 0, mean, values)

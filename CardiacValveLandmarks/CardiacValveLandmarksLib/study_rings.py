"""The rings of a study: which points, which node first, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from .annulus import Annulus, Refusal
from .annulus_fit import RingModel, RingRefused, chord_circle, fit_ring
from .geometry import SliceGeometry
from .path_draws import PathDraws, spread
from .place_doubts import ring_order_doubt
from .study import StudySettings

#: node 1 of the mitral ring belongs to the first of these that is there: next to the aorta, where there is a 3CH
_MITRAL_NODE_1 = (3, 5, 1, 4, 6, 2)
#: no valve is so narrow, mm
_SHORTEST_CHORD_MM = 5.0
#: valve -> node 1's landmark, the other one, their view
_CHORD_VALVES = {"tricuspid": (9, 10, "4CH"), "aortic": (7, 8, "3CH")}


@dataclass(frozen=True)
class StudyRing:
    """A ring before phases are chosen. draw: (P,) phases, N nodes -> (1 + samples, P, N, 3) LPS mm."""

    valve: str
    method: str
    assumed: bool
    points: tuple[tuple[int, str], ...]
    node_1: int
    angles: np.ndarray
    condition: float
    largest_gap_deg: float
    notes: tuple[str, ...]
    draw: Callable[[np.ndarray, int], np.ndarray]
    residual: Callable[[np.ndarray], np.ndarray]

    def annulus(self, phases: np.ndarray, nodes: int) -> Annulus:
        drawn = self.draw(phases, nodes)
        return Annulus(
            valve=self.valve,
            method=self.method,
            phases=phases,
            nodes=drawn[0],
            assumed=self.assumed,
            node_1=self.node_1,
            landmarks=tuple(number for number, _ in self.points),
            angles=self.angles,
            residual_mm=self.residual(phases),
            condition=self.condition,
            largest_gap_deg=self.largest_gap_deg,
            node_sd_mm=np.sqrt((spread(drawn) ** 2).sum(-1)),
            notes=self.notes,
        )


def build_rings(
    draws: PathDraws,
    geometries: Mapping[str, SliceGeometry],
    toward: np.ndarray | None,
    ed: float,
    settings: StudySettings,
    doubts: list[str],
) -> tuple[list[StudyRing], tuple[Refusal, ...], RingModel | None]:
    """Rings of the three valves, refusals, and the mitral ring's model (None where refused)."""
    rings, refused, model = [], [], None
    try:
        ring, model = _mitral_ring(draws, toward, ed, settings, doubts)
        rings.append(ring)
    except RingRefused as reason:
        refused.append(Refusal("mitral", f"{reason}."))
    for valve, (first, second, view) in _CHORD_VALVES.items():
        if not (draws.has(first, view) and draws.has(second, view)):
            refused.append(Refusal(valve, f"both its points are needed, in the {view}."))
        elif toward is None:
            refused.append(Refusal(valve, "without patient geometry it has no place."))
        elif _shortest_chord(draws, first, second, view) < _SHORTEST_CHORD_MM:
            refused.append(Refusal(valve, "its two points nearly coincide."))
        else:
            rings.append(_chord_ring(draws, valve, first, second, view, geometries[view].normal, toward))
    doubts.extend(f"No {refusal.valve} ring: {refusal.reason}" for refusal in refused)
    return rings, tuple(refused), model


def _shortest_chord(draws: PathDraws, first: int, second: int, view: str) -> float:
    """mm, over the beat."""
    phases = np.arange(50) / 50
    ends = (draws.positions(n, view, phases)[0] for n in (first, second))
    return float(np.linalg.norm(np.subtract(*ends), axis=-1).min())


def _mitral_ring(draws: PathDraws, toward, ed: float, settings: StudySettings, doubts: list[str]):
    points = tuple((n, v) for (n, v), t in draws.trajectories.items() if t.landmark.valve == "mitral")
    complete = {v for _, v in points if sum(view == v for _, view in points) == 2}
    if len(complete) < 2 or toward is None:
        raise RingRefused(f"{len(points)} of its six points are there; both points of at least two views are needed")
    if np.isnan(ed):
        raise RingRefused("end-diastole was not found, and the points' order is fixed there")

    def stacked(phases: np.ndarray, offset: bool) -> np.ndarray:
        return np.stack([draws.positions(n, v, phases, offset) for n, v in points], axis=2)

    numbers = [number for number, _ in points]
    node_1 = next(number for number in _MITRAL_NODE_1 if number in numbers)
    at_ed = stacked(np.array([ed]), False)[0, 0]
    doubt = ring_order_doubt(dict(zip(numbers, at_ed, strict=True)), toward)
    if doubt:
        doubts.append(doubt)
    model: RingModel = fit_ring(at_ed, toward, numbers.index(node_1), settings.ring_method)
    notes = ["area and perimeter are approximate; the saddle's height cannot be told from these points"]
    if len(points) < 6:
        notes.append(f"built from {len(points)} of six points")
    if doubt:
        notes.append(doubt)
    ring = StudyRing(
        valve="mitral",
        method=settings.ring_method,
        assumed=False,
        points=points,
        node_1=node_1,
        angles=(model.angles - model.start) % (2 * np.pi),
        condition=model.condition,
        largest_gap_deg=model.largest_gap_deg,
        notes=tuple(notes),
        draw=lambda phases, nodes: model.nodes(stacked(phases, True), nodes),
        residual=lambda phases: model.residual(stacked(phases, False)[0]),
    )
    return ring, model


def _chord_ring(draws: PathDraws, valve, first, second, view, normal, toward) -> StudyRing:
    def draw(phases: np.ndarray, nodes: int) -> np.ndarray:
        ends = (draws.positions(n, view, phases, True) for n in (first, second))
        return chord_circle(*ends, normal, toward, nodes)

    return StudyRing(
        valve=valve,
        method="chord circle",
        assumed=True,
        points=((first, view), (second, view)),
        node_1=first,
        angles=np.array([0.0, np.pi]),
        condition=1.0,
        largest_gap_deg=180.0,
        notes=(f"two points only: a circle on their chord, normal to the {view}, is assumed",),
        draw=draw,
        residual=lambda phases: np.zeros(len(phases)),
    )

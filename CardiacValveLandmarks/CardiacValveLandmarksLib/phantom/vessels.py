"""Great vessels, veins, appendages and the vessels of the grooves of the synthetic heart: chains of cones.

Heart coordinates (see anatomy.py), millimetres.
"""

from __future__ import annotations

import numpy as np

from .anatomy import HeartAnatomy
from .rings import Ring, Valves, direction
from .shapes import Atrium


def make_vessels(
    rng: np.random.Generator,
    a: HeartAnatomy,
    rings: Valves,
    up: np.ndarray,
    atria: tuple[Atrium, Atrium],
    outflow: float,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Name -> path (K, 3) and radii (K,) of the vessels and appendages at one instant, heart mm.

    up: (3,) the patient's superior direction. atria: left, right. outflow: how far from the LV axis the RV's outflow
    tract begins.
    """
    aortic, motion = rings.aortic, rings.motion
    left, right_atrium = atria
    r = a.aortic_radius
    n = aortic.normal
    bend = n + rng.uniform(0.1, 0.8) * up
    bend /= np.linalg.norm(bend)
    right = direction(180.0)
    sinus = aortic.centre + n * r * rng.uniform(0.7, 1.0)
    junction = sinus + bend * r * rng.uniform(1.0, 1.4)
    rise = rng.uniform(0.3, 1.0) * up + rng.uniform(0.1, 0.9) * bend + rng.uniform(0.0, 0.3) * right
    ascending = junction + rise / np.linalg.norm(rise) * rng.uniform(35, 55)
    arch = ascending + up * 18 + direction(-60.0) * 25
    aorta = np.array([aortic.centre, sinus, junction, ascending, arch])
    bulge = rng.uniform(1.12, 1.35)
    aorta_r = np.array([r, r * bulge, r * rng.uniform(0.95, 1.15), r * rng.uniform(1.0, 1.3), r * 1.1])

    # outflow tract: from the anterior base of the RV, in front of the aorta, to the pulmonary artery
    front = direction(rng.uniform(95, 125))
    start = direction(rng.uniform(120, 145)) * outflow
    start = start + np.array([0, 0, 0.16 * a.lv_length + 0.5 * a.descent * motion.contraction])
    valve = aortic.centre + front * (r + a.rvot_radius + rng.uniform(2, 6)) - np.array([0, 0, rng.uniform(2, 12)])
    trunk = valve + up * rng.uniform(22, 34) + direction(-80.0) * rng.uniform(4, 14)
    branch = trunk + direction(-90.0) * 25 + up * 4
    pulmonary = np.array([start, (start + valve) / 2 + front * 3, valve, trunk, branch])
    squeeze = 1 - 0.2 * motion.contraction
    pr = a.rvot_radius
    pulmonary_r = np.array([pr * squeeze, pr * 1.05 * squeeze, pr * 0.95, pr * 1.05, pr * 0.8])

    result = {"aorta": (aorta, aorta_r), "pulmonary": (pulmonary, pulmonary_r)}
    la_top = left.axis_point(0.62)
    for index in range(rng.integers(2, 5)):
        side = direction(rng.choice([-30.0, 20.0, 190.0, 240.0]) + rng.uniform(-25, 25))
        side = side - np.array([0, 0, rng.uniform(0.1, 0.6)])
        reach = left.radius * 0.6
        path = np.array([la_top + side * reach * 0.6, la_top + side * (reach + rng.uniform(18, 35))])
        result[f"vein{index}"] = (path, np.array([rng.uniform(5, 8.5), rng.uniform(4, 7)]))
    # left atrial appendage: lateral, anterior, above the mitral ring
    base = left.axis_point(0.35)
    side = direction(rng.uniform(25, 75))
    path = np.array([base + side * left.radius * 0.7, base + side * (left.radius * 0.9 + rng.uniform(10, 24))])
    result["appendage"] = (
        path + np.array([0, 0, rng.uniform(-4, 6)]),
        np.array([rng.uniform(5, 10), rng.uniform(3, 8)]),
    )
    ra_mid = right_atrium.axis_point(0.6)
    result["svc"] = (
        np.array([ra_mid + up * 10, ra_mid + up * 60]),
        np.array([rng.uniform(7, 11), rng.uniform(7, 11)]),
    )
    low = ra_mid - up * 12 + direction(-100.0) * 6
    result["ivc"] = (np.array([low, low - up * 55]), np.array([rng.uniform(9, 14), rng.uniform(9, 14)]))
    # vessels of the grooves: coronary sinus behind the left atrium, circumflex and right coronary artery
    sinus = _beside(rings.mitral, (185, 330), a.coronary_sinus + 3, -rng.uniform(3, 9))
    result["sinus"] = (sinus, np.linspace(1.2, 0.7, len(sinus)) * a.coronary_sinus)
    crux = _beside(rings.mitral, (165, 235), 0.5 * a.wall * a.basal_taper, -1.0 - rng.uniform(0.5, 1.3) * a.crux)
    result["crux"] = (crux, np.linspace(0.4, 1.0, len(crux)) * a.crux)
    circumflex = _beside(rings.mitral, (300, 420), rng.uniform(4, 8), -rng.uniform(0, 5))
    result["artery0"] = (circumflex, np.full(len(circumflex), rng.uniform(1.0, 2.3)))
    right_artery = _beside(rings.tricuspid, (90, 270), rng.uniform(4, 8), -rng.uniform(0, 5))
    result["artery1"] = (right_artery, np.full(len(right_artery), rng.uniform(1.2, 2.6)))
    ra_app = right_atrium.axis_point(0.4) + direction(rng.uniform(100, 150)) * right_atrium.radius * 0.8
    result["ra_appendage"] = (
        np.array([ra_app, ra_app + direction(110.0) * 14]),
        np.array([rng.uniform(7, 12), 6.0]),
    )
    return result


def _beside(ring: Ring, degrees: tuple[float, float], outside: float, height: float) -> np.ndarray:
    """(7, 3) a path beside a ring: `outside` mm from it, `height` mm towards the apex (negative: the atrium)."""
    nodes = ring.nodes[np.round(np.linspace(*degrees, 7) / 2).astype(int) % len(ring.nodes)]
    away = nodes - ring.centre
    away[:, 2] = 0
    path = nodes + outside * away / np.linalg.norm(away, axis=1, keepdims=True)
    return path + np.array([0.0, 0.0, height])

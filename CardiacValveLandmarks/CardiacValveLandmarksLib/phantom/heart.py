"""The tissues of the synthetic heart as layers of opacity at given points.

Shapes are star-shaped about an axis or tubes; each gives an approximate signed distance (mm, negative inside),
turned into opacity over one pixel. Layers are painted in order, later over earlier. float32 throughout: this is
the inner loop of training-image generation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from . import leaflets
from .anatomy import HeartAnatomy
from .rings import Valves, apart, base_weight, direction, valves, wall_thickness
from .shapes import TABLE, Atrium, angle_index, polar_table, roughness, tube
from .vessels import make_vessels

#: structures whose outline others ask for
RV_OUTFLOW, RV_CAVITY, MYOCARDIUM, LV_CAVITY = "RV outflow", "RV cavity", "LV myocardium", "LV cavity"
#: shares of a ventricle's length, from the base
_LEVELS = np.array([0.1, 0.25, 0.45, 0.65, 0.85])


class Layer(NamedTuple):
    """tissue: a name of `contrast.TISSUES`. opacity: (N,) in [0, 1]. structure: whose outline this is, or ""."""

    tissue: str
    opacity: np.ndarray
    structure: str = ""


class Heart:
    """One heart at one phase, ready to be evaluated at points.

    superior: (3,) the patient's superior direction in heart coordinates; vessels follow it.
    """

    def __init__(self, anatomy: HeartAnatomy, phase: float, superior: np.ndarray) -> None:
        self.anatomy = a = anatomy
        self.rings: Valves = valves(anatomy, phase)
        self.motion = self.rings.motion
        self.superior = superior / np.linalg.norm(superior)
        c = self.motion.contraction
        rng = np.random.default_rng(a.shape_seed)

        # left ventricle: outline of the base is the mitral ring and the outflow tract together
        outline = np.concatenate([self.rings.mitral.nodes, self.rings.aortic.nodes])
        self._base_radius, self._base_height = polar_table(outline, np.zeros(3))
        kernel = np.hanning(31) / np.hanning(31).sum()
        smooth = np.convolve(
            np.concatenate([self._base_radius[-15:], self._base_radius, self._base_radius[:15]]), kernel, "valid"
        )
        self._base_radius = np.maximum(smooth, 8).astype(np.float32)
        angles = (np.arange(TABLE) + 0.5) * (2 * np.pi / TABLE)
        self._wall = wall_thickness(a, np.rad2deg(angles), c).astype(np.float32)
        extra = wall_thickness(a, np.rad2deg(angles), 0.0) - a.wall
        self._epi = (
            (a.lv_radius + a.wall + extra - (1.5 + 0.2 * a.wall) * c) * roughness(rng, 0.02, range(2, 5))
        ).astype(np.float32)
        self._rough_endo = roughness(rng, 0.012 * a.trabeculation, range(6, 24)) - 1
        self._epi_end = float(self.rings.apex[2])
        self._endo_end = a.lv_length - a.thickening * a.wall_apex * c
        s = np.linspace(0, 1, 513)
        power, root = a.lv_profile
        self._profile = ((1 - s**power) ** root).astype(np.float32)
        self._slope = np.abs(np.gradient(self._profile, s)).clip(0, 8).astype(np.float32)

        # right ventricle: a crescent on the septal side, as wide at the base as the tricuspid ring
        septum = self._septum = -self.rings.tricuspid.nodes[:, 0].max()
        lateral = -self.rings.tricuspid.nodes[:, 0].min()
        self._rv_base = float(lateral - septum) + 2.0
        turned = np.abs((angles - np.deg2rad(a.rv_angle) + np.pi) % (2 * np.pi) - np.pi) / np.deg2rad(a.rv_span)
        shape = np.where(turned < 1, np.cos(np.clip(turned, 0, 1) * np.pi / 2) ** 0.7, 0)
        self._rv_shape = (shape * roughness(rng, 0.05, range(3, 7))).astype(np.float32)
        # away from the tricuspid ring, towards the outflow tract, the crescent's top is rounded
        self._rv_round = (1 / (1 + np.exp((np.rad2deg(angles) - 152) / 6)) * (np.rad2deg(angles) > 30)).astype(
            np.float32
        )
        self._rv_rough = roughness(rng, 0.02 * (0.5 + a.trabeculation), range(7, 26))

        # atria
        fill = 0.80 + 0.20 * self.motion.atrial_fill
        self._la = Atrium(
            self.rings.mitral,
            a.la_height,
            a.la_radius * fill,
            a.la_flatness,
            a.la_shift,
            a.descent * c,
            roughness(rng, a.atrial_roughness, range(2, 6)),
        )
        self._ra = Atrium(
            self.rings.tricuspid,
            a.ra_height,
            a.ra_radius * fill,
            0.95,
            a.ra_shift,
            0.7 * a.tricuspid_excursion * c,
            roughness(rng, a.atrial_roughness, range(2, 6)),
        )
        self._vessels = make_vessels(
            rng, a, self.rings, self.superior, (self._la, self._ra), septum + 0.45 * self._rv_base
        )
        self._papillary = self._make_papillary(rng)
        self._fat_patch = roughness(rng, 0.25, range(1, 5))
        septal = np.exp(-((np.rad2deg(apart(angles, np.deg2rad(195))) / 38) ** 2))
        outflow = np.exp(-((np.rad2deg(apart(angles, np.deg2rad(a.aortic_angle))) / 28) ** 2))
        crest = a.crest * (1 - 0.8 * septal) * roughness(rng, 0.25, range(1, 5))
        self._crest = (crest * (1 - outflow) + a.outflow_crest * outflow).astype(np.float32)
        # where atrial blood turns into ventricular: (start below the ring, length) mm, right then left
        self._mixing = [(rng.uniform(-16, 12), rng.uniform(12, 45)) for _ in range(2)]

    # -- parts ---------------------------------------------------------------------------------
    def _make_papillary(self, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
        a = self.anatomy
        c = self.motion.contraction
        muscles = []
        for centre_angle in (rng.uniform(20, 70), rng.uniform(225, 280)):
            for _ in range(rng.integers(1, 3)):
                across = direction(centre_angle + rng.uniform(-14, 14))
                inner = (a.lv_radius - a.thickening * a.wall * c) * rng.uniform(0.62, 0.85)
                top = across * inner * 0.85 + [0, 0, rng.uniform(0.34, 0.45) * a.lv_length + 0.4 * a.descent * c]
                foot = across * inner + [0, 0, rng.uniform(0.66, 0.82) * a.lv_length]
                radius = a.papillary_radius * rng.uniform(0.7, 1.1) * (1 + 0.25 * c)
                muscles.append((np.array([top, foot]), np.array([radius * 0.8, radius * 1.2])))
        return muscles

    def _atria(
        self, x: np.ndarray, y: np.ndarray, z: np.ndarray, above: np.ndarray, below: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Distances of the left and right atrium, which share a septum where they come near one another."""
        d_la, d_ra = self._la.distance(x, y, z), self._ra.distance(x, y, z)
        half = np.float32(self.anatomy.atrial_septum / 2)
        middle = (d_la - d_ra) / 2  # negative nearer the left
        between = (d_la + d_ra - np.float32(self.anatomy.atrial_gap)) / 2
        left = np.maximum(np.minimum(d_la, np.maximum(between, above + 1)), middle + half)
        right = np.maximum(np.minimum(d_ra, np.maximum(between, below + 1)), half - middle)
        return left, right

    # -- evaluation ----------------------------------------------------------------------------
    def layers(self, points: np.ndarray, softness: float) -> Iterator[Layer]:
        """The layers in painting order. points (N, 3) float32 heart mm, softness in mm."""
        a = self.anatomy
        x, y, z = points.T
        inverse = np.float32(1 / max(softness, 1e-3))

        def opacity(distance: np.ndarray) -> np.ndarray:
            return np.clip(np.float32(0.5) - distance * inverse, 0, 1)

        # LV in polar coordinates about its (bent) axis
        u = np.clip(z / np.float32(a.lv_length), 0, 1)
        bow = u * (1 - u) * 4
        ax, ay = x - bow * np.float32(a.lv_bend[0]), y - bow * np.float32(a.lv_bend[1])
        rho = np.sqrt(ax * ax + ay * ay)
        index = angle_index(ax, ay)
        height = self._base_height[index]
        above = z - height  # positive towards the apex
        r_epi, base_epi, epi_slope = self._epicardium(index, above)
        d_epi = (rho - r_epi) / np.sqrt(1 + (epi_slope * self._epi[index] / self._epi_end) ** 2)
        past = z - np.float32(self._epi_end)
        d_epi = np.where(past > 0, np.sqrt(rho * rho + past * past), d_epi)

        r_endo, mid, slope = self._endocardium(index, above)
        d_endo = (rho - r_endo) / np.sqrt(1 + (slope * mid / self._endo_end) ** 2)
        past = z - np.float32(self._endo_end)
        d_endo = np.where(past > 0, np.sqrt(rho * rho + past * past), d_endo)

        # RV crescent outside the septum, below (apical of) the tricuspid plane
        c0, gx, gy = self.rings.tricuspid.plane
        below = z - (np.float32(c0) + np.float32(gx) * x + np.float32(gy) * y)
        crescent = self._crescent(index, below)
        d_rv_outer = (rho - (r_epi + crescent)) * np.float32(0.85)
        inner = (rho - (r_epi + crescent * (1 + (self._rv_rough[index] - 1) * np.clip(below / 25, 0, 1)))) * np.float32(
            0.85
        )
        exists = crescent > 0.8
        d_rv = np.where(exists, np.maximum(np.maximum(inner, -d_epi), -below), 99)
        d_rv_wall = np.where(exists, np.maximum(d_rv_outer - np.float32(a.rv_wall), -below - 1), 99)

        d_la, d_ra = self._atria(x, y, z, above, below)
        vessels = {name: tube(points, path, radii) for name, (path, radii) in self._vessels.items()}
        for name, distance in vessels.items():
            if name.startswith("vein") or name == "appendage":
                np.minimum(d_la, distance, out=d_la)
            elif name in ("svc", "ivc", "ra_appendage"):
                np.minimum(d_ra, distance, out=d_ra)
        d_aorta, d_pulmonary = vessels["aorta"], vessels["pulmonary"]
        # the root begins at its ring
        behind = (points - self.rings.aortic.centre.astype(np.float32)) @ self.rings.aortic.normal.astype(np.float32)
        d_aorta = np.maximum(d_aorta, -behind - 1)
        # towards the outside the wall ends below its hinge: a wedge, but for the septum, which carries two valves
        outward = np.clip((rho - self._base_radius[index]) / np.maximum(base_epi - self._base_radius[index], 2), 0, 1.3)
        d_myocardium = np.maximum(d_epi, self._crest[index] * outward - above - 1)

        # fat fills what the wedge of the wall leaves free, so the outline of the heart is that of the whole wall
        outer = np.minimum.reduce(
            [np.maximum(d_epi, -above - 1), d_rv_wall, d_la - 2, d_ra - 2, d_aorta - 2, d_pulmonary - 2]
        )
        groove = np.exp(-(((z - np.float32(self.rings.mitral.centre[2])) / 16) ** 2))
        fat = (np.float32(a.fat) + np.float32(a.groove_fat) * groove) * self._fat_patch[index]
        yield Layer("pericardium", opacity(outer - fat - np.float32(1.6)))
        yield Layer("fat", opacity(outer - fat))
        for name in ("sinus", "artery0", "artery1"):
            yield Layer("vessel_wall", opacity(vessels[name] - 1))
            yield Layer("blood_ra" if name == "sinus" else "blood_aorta", opacity(vessels[name]))
        yield Layer("vessel_wall", opacity(np.minimum(d_ra, d_pulmonary) - np.float32(1.8)))
        yield Layer(
            "rv_wall",
            opacity(np.minimum(d_rv_wall, d_pulmonary - np.float32(a.infundibulum) * np.clip(z / 20 + 1.6, 0, 1))),
        )
        yield Layer("vessel_wall", opacity(d_la - np.float32(1.8)))
        mixed_right, mixed_left = (
            np.clip((depth - np.float32(start)) / np.float32(length), 0, 1)
            for depth, (start, length) in zip((below, above), self._mixing, strict=True)
        )
        atrium = opacity(d_ra)
        yield Layer("blood_ra", atrium)
        yield Layer("blood_right", atrium * mixed_right)
        yield Layer("blood_right", opacity(d_pulmonary), RV_OUTFLOW)
        yield Layer("vessel_wall", opacity(np.maximum(d_la - np.float32(1.6), -d_ra - 3)))
        # blood of atrium and ventricle runs into one another somewhere about the ring, with no seam at the ring that
        # would betray it; cavities overlap a little for the same reason
        right = opacity(np.where(exists, np.maximum(np.maximum(inner, -d_epi), -below - 2), 99))
        yield Layer("blood_ra", right, RV_CAVITY)
        yield Layer("blood_right", right * mixed_right)
        yield Layer("lv_wall", opacity(d_myocardium), MYOCARDIUM)
        atrium = opacity(d_la)
        yield Layer("blood_la", atrium)
        yield Layer("blood_left", atrium * mixed_left)
        yield Layer("crux", opacity(vessels["crux"]))
        yield Layer("vessel_wall", opacity(d_aorta - np.float32(a.aortic_wall)))
        left = opacity(np.maximum(d_endo, -above - 2))
        yield Layer("blood_la", left, LV_CAVITY)
        yield Layer("blood_left", left * mixed_left)
        yield Layer("blood_aorta", opacity(d_aorta) * np.clip((behind + 6) / 10, 0, 1))
        depth = np.float32(1.0 + 3.5 * a.trabeculation * (1 + self.motion.contraction))
        inward = np.clip(1 + d_endo / depth, 0, 1) * np.clip((above - 18) / 25, 0, 1)
        yield Layer("trabeculae", left * inward * np.float32(min(0.85, 0.4 * a.trabeculation)))
        for path, radii in self._papillary:
            yield Layer("lv_wall", opacity(np.maximum(tube(points, path, radii), d_endo - 2)))
        band = self._moderator_band()
        yield Layer("rv_wall", opacity(np.maximum(tube(points, *band), d_rv - 1)))
        for ring, is_open, leaflet in (
            (self.rings.mitral, self.motion.mitral_open, a.mitral_leaflet),
            (self.rings.tricuspid, self.motion.mitral_open, a.mitral_leaflet * 0.95),
        ):
            distance = leaflets.funnel(points, ring, is_open, leaflet, a.tenting)
            yield Layer("leaflet", opacity(distance) * np.float32(a.leaflet_opacity))
        distance = leaflets.cusps(points, self.rings.aortic, a, self.motion.aortic_open)
        yield Layer("leaflet", opacity(distance) * np.float32(a.leaflet_opacity))
        curtain = leaflets.curtain(self.rings, a.aortic_angle)
        yield Layer("leaflet", opacity(tube(points, curtain, np.full(len(curtain), 0.9))))

    # -- outlines ------------------------------------------------------------------------------
    def _profile_at(self, above: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weight of the base outline, profile and its slope at a height below the base."""
        s = np.clip(above / np.maximum(length, 20), 0, 1)
        index = (s * 512).astype(np.int32)
        return base_weight(s), self._profile[index], self._slope[index]

    def _epicardium(self, index: np.ndarray, above: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Radius of the LV's outside at table entries and heights below the base; the base's own; slope."""
        at_base, profile, slope = self._profile_at(above, self._epi_end - self._base_height[index])
        taper = np.float32(self.anatomy.basal_taper) * at_base + (1 - at_base)
        base = self._base_radius[index] + self._wall[index] * taper
        return profile * (self._epi[index] * (1 - at_base) + base * at_base), base, slope

    def _endocardium(self, index: np.ndarray, above: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Radius of the LV's cavity, likewise; that of its middle; slope."""
        at_base, profile, slope = self._profile_at(above, self._endo_end - self._base_height[index])
        middle = (self._epi - self._wall)[index] * (1 + self._rough_endo[index] * np.clip(above / 30, 0, 1))
        return profile * (middle * (1 - at_base) + self._base_radius[index] * at_base), middle, slope

    def _rv_length(self) -> np.float32:
        """Of the RV below the middle of the tricuspid plane."""
        return np.float32(self.anatomy.rv_length * self._epi_end - self.rings.tricuspid.plane[0])

    def _crescent(self, index: np.ndarray, below: np.ndarray) -> np.ndarray:
        """Width of the RV at table entries and heights below the tricuspid plane."""
        along = np.clip(below / self._rv_length(), 0, 1)
        bulge = 1 + np.float32(self.anatomy.rv_bulge - 1) * 4 * along * (1 - along)
        crescent = np.float32(self._rv_base * (1 - 0.12 * self.motion.contraction)) * self._rv_shape[index]
        crescent = crescent * (1 - along ** np.float32(1.7)) * bulge
        crescent = crescent * (1 - np.float32(0.22 * self.motion.contraction) * np.clip(below / 20, 0, 1))
        return crescent * (1 - self._rv_round[index] * (1 - np.sqrt(np.clip(below / 24, 0.02, 1))))

    def tissue(self) -> np.ndarray:
        """(K, 3) heart mm: places in the walls, a row the same place at every phase of one heart.

        Rings and apex; both sides of the LV wall and the outside of the RV's at fixed shares of their length; roofs of
        the atria and the great vessels.
        """
        a = self.anatomy
        rings = [ring.nodes[::5] for ring in (self.rings.mitral, self.rings.aortic, self.rings.tricuspid)]
        index, share = (grid.ravel() for grid in np.meshgrid(np.arange(0, TABLE, 20), _LEVELS, indexing="ij"))
        angle = (index + 0.5) * (2 * np.pi / TABLE)
        sides = np.stack([np.cos(angle), np.sin(angle)], 1)

        def places(radius: np.ndarray, z: np.ndarray) -> np.ndarray:
            u = np.clip(z / a.lv_length, 0, 1)
            return np.column_stack([sides * radius[:, None] + np.outer(u * (1 - u) * 4, a.lv_bend), z])

        walls = []
        for end, outline in ((self._epi_end, self._epicardium), (self._endo_end, self._endocardium)):
            above = share * (end - self._base_height[index])
            walls.append(places(outline(index, above)[0], above + self._base_height[index]))
        below = share * self._rv_length()
        c0, gx, gy = self.rings.tricuspid.plane
        right = np.column_stack([sides * (a.lv_radius + a.wall), below + c0])
        for _ in range(4):  # the plane is tilted: where it is above a place depends on the place
            z = below + c0 + right[:, :2] @ [gx, gy]
            radius = self._epicardium(index, z - self._base_height[index])[0] + self._crescent(index, below)
            right = places(radius, z)
        right = right[self._rv_shape[index] > 0.05]
        roofs = np.stack([self._la.axis_point(1.0), self._ra.axis_point(1.0)])
        vessels = [self._vessels[name][0] for name in ("aorta", "pulmonary")]
        return np.concatenate([*rings, self.rings.apex[None], *walls, right, roofs, *vessels])

    def _moderator_band(self) -> tuple[np.ndarray, np.ndarray]:
        """The moderator band of the RV."""
        a = self.anatomy
        level = 0.6 * a.lv_length
        path = np.array([[0, 0, level - 6], [0, 0, level + 10]])
        path[0] += direction(a.rv_angle - 20) * (a.lv_radius + a.wall)
        path[1] += direction(a.rv_angle + 5) * (a.lv_radius + a.wall + 0.55 * self._rv_base)
        return path, np.array([2.2, 2.6])

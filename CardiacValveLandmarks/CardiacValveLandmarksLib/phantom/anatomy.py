"""The anatomy of a synthetic heart: a set of numbers, drawn at random within anatomical ranges.

Heart frame, millimetres: origin at the centre of the LV base at end-diastole, x from septum to lateral wall,
y to the anterior wall, z along the LV axis to the apex (right-handed). An angle about the axis is measured from
x (lateral) towards y (anterior), so the septum is at 180 degrees.
Ranges: published normal values (../shared FORMATS section 7 lists sources of annulus figures) widened for
training; the wide ranges of wall, annulus and plane angles are those that looked right beside real images.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

#: LPS direction of the LV axis (base to apex) and of septum -> lateral wall in an average adult
MEAN_AXIS = np.array([0.65, -0.55, -0.50])
MEAN_LATERAL = np.array([0.65, 0.75, 0.0])
#: the heart with its vessels lies within this distance (mm) of this point, in heart coordinates
HEART_REACH, HEART_MIDDLE = 120.0, np.array([-12.0, 0.0, 15.0])


@dataclass(frozen=True)
class HeartAnatomy:
    """Static numbers of one heart (mm, degrees, fractions). Field comments give what cannot be read off the name."""

    # left ventricle
    lv_length: float  # base plane to endocardial apex at end-diastole
    lv_radius: float  # endocardial, widest level
    lv_profile: tuple[float, float]  # exponents (a, b) of (1 - s^a)^b, s from base to apex
    lv_bend: tuple[float, float]  # sideways offset of the axis at mid-length (x, y)
    wall: float
    wall_septal_extra: float  # asymmetric thickening, centred on wall_extra_angle
    wall_extra_angle: float
    wall_apex: float
    basal_taper: float  # wall at the hinge as a fraction of the wall
    crest: float  # how far the outer edge of the wall's top lies below its hinge, away from the septum
    thickening: float  # systolic, fraction
    trabeculation: float  # amplitude of endocardial roughness
    papillary_radius: float
    # mitral valve
    mitral_radius: float
    mitral_ellipticity: float
    mitral_offset: tuple[float, float]
    mitral_saddle: float
    mitral_tilt: tuple[float, float]  # height per mm of x, y
    mitral_lean: float  # height per mm towards the aortic valve, negative: that side lies nearer the atria
    mitral_contraction: float  # systolic shrinking of the ring
    mitral_leaflet: float
    tenting: float  # how deep below their ring shut atrioventricular leaflets meet
    leaflet_opacity: float  # thin, moving leaflets fill only part of a slice
    # aortic valve
    aortic_radius: float
    aortic_angle: float  # direction of the aortic root seen from the mitral centre
    aortic_curtain: float
    aortic_tilt: float
    aortic_height: float  # of the ring's centre above the mitral plane (towards the atria)
    cusp_height: float  # of the point where the shut aortic cusps meet, as a share of the ring's radius
    cusp_power: float  # shape of a shut cusp: 1 a cone; above, steep at the wall and flat where the cusps meet
    # tricuspid valve
    tricuspid_radius: float
    tricuspid_ellipticity: float
    tricuspid_offset: float  # apical displacement of the septal hinge from the mitral one
    tricuspid_y: float
    tricuspid_tilt: tuple[float, float]
    tricuspid_contraction: float
    # right ventricle
    rv_span: float  # half-angle of the crescent about the septum, degrees
    rv_length: float  # fraction of the LV length
    rv_bulge: float
    rv_wall: float
    rv_angle: float  # centre of the crescent
    rvot_radius: float
    # atria
    la_height: float
    la_radius: float
    la_flatness: float
    la_shift: tuple[float, float]
    ra_height: float
    ra_radius: float
    ra_shift: tuple[float, float]
    atrial_roughness: float
    atrial_septum: float  # thickness
    atrial_gap: float  # atria nearer to one another than this share a septum
    # motion
    descent: float  # mean mitral plane excursion
    descent_tilt: tuple[float, float]  # relative extra descent laterally, anteriorly
    tricuspid_excursion: float  # of the free wall
    systole: float  # end-systole as a fraction of RR
    atrial_kick: float  # share of the refilling done by the atrium
    rocking: float  # sideways motion of the base
    # around
    fat: float
    groove_fat: float
    coronary_sinus: float  # radius
    crux: float  # radius of the fat and muscle between the atria just above the septum
    shape_seed: int  # for roughness, veins and other details
    infundibulum: float  # muscle around the outflow tract of the RV, which lies against the aortic root
    aortic_wall: float
    outflow_crest: float  # how far the muscle outside the aortic hinge lies below it (negative: above)

    @classmethod
    def sample(cls, rng: np.random.Generator, width: float = 1.0) -> HeartAnatomy:
        """A random heart. width 1 covers ordinary adults; about 1.6 the wide range used for training."""

        def draw(low: float, high: float, floor: float | None = None) -> float:
            centre, half = (low + high) / 2, (high - low) / 2 * width
            value = centre + half * rng.uniform(-1, 1)
            return float(max(value, floor)) if floor is not None else float(value)

        mitral_radius = draw(14.5, 19.5, 13.0)
        return cls(
            lv_length=draw(74, 96, 58),
            lv_radius=draw(22, 32, 18),
            lv_profile=(draw(1.8, 2.6, 1.5), draw(0.5, 0.75, 0.42)),
            lv_bend=(draw(-2.5, 2.5), draw(-2.5, 2.5)),
            wall=draw(6.5, 11.5, 5.0),
            wall_septal_extra=max(0.0, draw(-2.5, 5.0)),
            wall_extra_angle=draw(90, 270),
            wall_apex=draw(4.0, 8.0, 2.5),
            basal_taper=draw(0.4, 0.9, 0.25),
            crest=draw(0.0, 9.0, 0.0),
            thickening=draw(0.3, 0.55, 0.15),
            trabeculation=draw(0.2, 2.2, 0.0),
            papillary_radius=draw(3.0, 6.5, 2.0),
            mitral_radius=mitral_radius,
            mitral_ellipticity=draw(-0.02, 0.10),
            mitral_offset=(draw(1.0, 6.0), draw(-6.5, -1.0)),
            mitral_saddle=draw(1.0, 3.5, 0.0),
            mitral_tilt=(draw(-0.14, 0.14), draw(-0.15, 0.15)),
            mitral_lean=draw(-0.35, 0.05),
            mitral_contraction=draw(0.04, 0.14, 0.0),
            mitral_leaflet=draw(15, 24, 11),
            aortic_radius=draw(10.5, 15.0, 9.0),
            aortic_angle=draw(123, 147),
            aortic_curtain=draw(1.0, 9.0, 0.0),
            aortic_tilt=draw(-4, 42),
            aortic_height=draw(1.0, 8.0),
            tricuspid_radius=draw(15, 22.5, 11.5),
            tricuspid_ellipticity=draw(-0.06, 0.10),
            tricuspid_offset=draw(3.0, 17.0, 1.0),
            tricuspid_y=draw(-18, 2),
            tricuspid_tilt=(draw(-0.35, 0.15), draw(-0.15, 0.15)),
            tricuspid_contraction=draw(0.05, 0.2, 0.0),
            rv_span=draw(66, 94, 54),
            rv_length=draw(0.82, 1.0, 0.7),
            rv_bulge=draw(0.9, 1.6, 0.7),
            rv_wall=draw(2.5, 4.5, 1.8),
            rv_angle=draw(160, 190),
            rvot_radius=draw(12, 17, 9),
            la_height=draw(30, 62, 20),
            la_radius=draw(21, 35, 16),
            la_flatness=draw(0.65, 0.95, 0.5),
            la_shift=(draw(-10, 4), draw(-14, 2)),
            ra_height=draw(32, 60, 22),
            ra_radius=draw(20, 31, 15),
            ra_shift=(draw(-8, 8), draw(-10, 4)),
            atrial_roughness=draw(0.03, 0.10, 0.0),
            atrial_septum=draw(1.5, 4.5, 1.0),
            atrial_gap=draw(4.0, 22.0, 0.0),
            descent=draw(10, 16.5, 5),
            descent_tilt=(draw(0.0, 0.25), draw(-0.12, 0.12)),
            tricuspid_excursion=draw(16, 25, 9),
            systole=draw(0.32, 0.42, 0.26),
            atrial_kick=draw(0.15, 0.4, 0.05),
            rocking=draw(0.0, 2.5, 0.0),
            fat=draw(0.3, 4.0, 0.0),
            groove_fat=draw(1.5, 8.5, 0.0),
            coronary_sinus=draw(1.5, 6.0, 1.0),
            crux=draw(0.5, 5.0, 0.0),
            shape_seed=int(rng.integers(2**31)),
            infundibulum=draw(1.5, 6.5, 1.0),
            aortic_wall=draw(1.0, 3.0, 0.8),
            outflow_crest=draw(-13.0, 4.0),
            tenting=draw(3.5, 8.5, 2.0),
            leaflet_opacity=min(0.95, draw(0.3, 0.9, 0.1)),
            cusp_height=draw(0.4, 0.95, 0.2),
            cusp_power=draw(0.8, 2.8, 0.6),
        )

    def replace(self, **changes) -> HeartAnatomy:
        """A copy with some numbers changed (for patients of a kind: dilated, thick-walled, ...)."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Pose:
    """Where the heart lies in the patient: LPS = origin + rotation @ heart coordinates."""

    rotation: np.ndarray  # (3, 3), columns are the heart's x, y, z in LPS
    origin: np.ndarray  # (3,) LPS mm

    @classmethod
    def sample(cls, rng: np.random.Generator, width: float = 1.0) -> Pose:
        """A random pose: the mean axes turned by up to about 20 degrees times width."""
        z = MEAN_AXIS / np.linalg.norm(MEAN_AXIS)
        x = MEAN_LATERAL - (MEAN_LATERAL @ z) * z
        x /= np.linalg.norm(x)
        mean = np.stack([x, np.cross(z, x), z], axis=1)
        vector = np.deg2rad(9.0) * width * np.clip(rng.standard_normal(3), -2.2, 2.2)
        angle = np.linalg.norm(vector)
        cross = np.cross(np.eye(3), vector / max(angle, 1e-9))
        turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
        origin = np.array([rng.uniform(12, 36), rng.uniform(-30, 0), rng.uniform(-8, 8)])
        return cls(turn @ mean, origin)

    def to_patient(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) heart mm -> LPS mm."""
        return np.asarray(points) @ self.rotation.T + self.origin

    def to_heart(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) LPS mm -> heart mm."""
        return (np.asarray(points) - self.origin) @ self.rotation

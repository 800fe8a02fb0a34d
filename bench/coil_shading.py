"""How much of a known coil shading is found, and what an even image loses.

    python bench/coil_shading.py

Twelve synthetic long-axis images of 256 x 256 pixels, with a strong shading and without any.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "CardiacValveLandmarks"))

from CardiacValveLandmarksLib.landmarks import VIEWS
from CardiacValveLandmarksLib.models.shading import even_out, log_shading
from CardiacValveLandmarksLib.phantom.contrast import Contrast
from CardiacValveLandmarksLib.phantom.planes import plane_geometry, view_plane
from CardiacValveLandmarksLib.phantom.render import Patient, Slice
from CardiacValveLandmarksLib.phantom.rings import valves

SPACING, SHAPE = 1.4, (256, 256)


def pair(seed):
    """(even, shaded) images of one plane, with next to no noise."""
    rng = np.random.default_rng([seed, 9])
    patient = Patient.sample(rng)
    cut = view_plane(valves(patient.anatomy, 0.0), patient.anatomy, VIEWS[seed % 3], rng)
    centre, turn = np.array([-8.0, 0, 20]), rng.uniform(-0.7, 0.7)
    geometry = plane_geometry(patient.pose, *cut, shape=SHAPE, spacing=SPACING, centre=centre, rotation=turn)
    contrast = replace(Contrast.sample(rng, 0.8), gamma=1.0, fold=0.0, ghost=0.0, banding=0.0, noise=0.01)
    return tuple(
        Slice(patient, geometry, SHAPE, replace(contrast, coil_strength=strength)).render(0.0, np.random.default_rng(0))
        for strength in (0.0, 0.9)
    )


def main():
    before, after, harm, seconds = [], [], [], []
    for seed in range(12):
        even, shaded = pair(seed)
        body = even > 0.1 * np.percentile(even, 99)
        began = time.process_time()
        gain = log_shading(shaded, SPACING)
        seconds.append(time.process_time() - began)
        before.append(np.log(shaded[body] / even[body]).std())
        after.append(np.log(even_out(shaded, gain)[body] / even[body]).std())
        harm.append(np.log(even_out(even, log_shading(even, SPACING))[body] / even[body]).std())
    print(f"SD of the logarithm of the shading: {np.mean(before):.3f}, left after correction {np.mean(after):.3f}")
    print(f"put into an even image: {np.mean(harm):.3f}; {np.mean(seconds):.2f} s of one core an image")


if __name__ == "__main__":
    main()

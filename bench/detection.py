"""Speed of the built-in model and of the synthetic heart.

    python bench/detection.py

`cvl detect` as a whole process on 30 synthetic frames (192 x 192, written as DICOM), with and without the test-time
ensemble, pictures included; peak memory of that process; synthetic training images a second on one core.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from CardiacValveLandmarksLib.phantom.cines import synthetic_study
from CardiacValveLandmarksLib.phantom.dicom import write_dicom
from CardiacValveLandmarksLib.training.synthetic import make_shard


def whole_process(series: Path, *options: str) -> tuple[float, float]:
    """(seconds, MB) of a `cvl detect` process."""
    with tempfile.TemporaryDirectory() as out:
        code = (
            "import resource, sys; from CardiacValveLandmarksLib.cli import main; status = main(sys.argv[1:]); "
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr); sys.exit(status)"
        )
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code, "detect", str(series), "-o", out, *options],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        return time.perf_counter() - began, int(done.stderr.split()[-1]) / 1024


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        cine = synthetic_study(77, kinds=("4CH",), frames=30).items[0].cine
        write_dicom(cine, Path(folder) / "series", series_number=1, series_description="bench")
        print("| cvl detect, 30 frames, whole process | seconds (best of 3) | peak MB |\n|---|---|---|")
        for title, options in (
            ("built-in model, 4 rotations, all files", ()),
            ("built-in model, 4 rotations, no pictures", ("--no-pictures",)),
            ("built-in model, no ensemble, no pictures", ("--no-tta", "--no-pictures")),
        ):
            runs = [whole_process(Path(folder) / "series", *options) for _ in range(3)]
            print(f"| {title} | {min(run[0] for run in runs):.1f} | {max(run[1] for run in runs):.0f} |")
    make_shard(9, 0, 4)
    began, cpu = time.perf_counter(), time.process_time()
    make_shard(9, 1, 48)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    print(
        f"\nSynthetic training images (160 x 160): {48 / cpu:.0f} a second of one core ({48 / wall:.0f} by the clock)."
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{os.cpu_count()} cores; peak of this process {peak:.0f} MB.")


if __name__ == "__main__":
    main()

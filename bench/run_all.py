"""All figures, one after another: `make bench`. Options after ARGS= name the parts to run, e.g. ARGS="detection"."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parent / "CardiacValveLandmarks"
REAL = HERE.parents[1] / "shared" / "data"
#: part -> arguments; those that need the real scans are skipped, and say so, where they are not
PARTS = {
    "detection": [],
    "published_network": [str(REAL / "amrg" / "AMRGAtlas_0031.nii.gz")],
    "real_accuracy": ["--data", str(REAL)],
    "invariance": ["--data", str(REAL)],
    "image_motion": [],
    "study_figures": [],
    "stated_uncertainty": [],
    "slicer_interaction": [],
    "widget_gaps": [],
    "training_speed": [],
    "finetuning": [],
}
NEEDS_REAL = ("published_network", "real_accuracy", "invariance")


def main(wanted: list[str]) -> int:
    unknown = set(wanted) - set(PARTS)
    if unknown:
        print(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    failed = []
    for part in wanted or PARTS:
        print(f"\n## {part}\n", flush=True)
        if part in NEEDS_REAL and not REAL.is_dir():
            print("skipped: needs the real scans beside the checkout (../shared/data)")
            continue
        environment = {**os.environ, "PYTHONPATH": str(PACKAGE)}
        done = subprocess.run([sys.executable, str(HERE / f"{part}.py"), *PARTS[part]], env=environment, check=False)
        if done.returncode:
            failed.append(part)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

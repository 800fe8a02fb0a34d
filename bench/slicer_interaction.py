"""How long the work of a hand takes in the scene: python bench/slicer_interaction.py

Measured on slicer-core with a slice view rendered off the screen, three views of 50 frames, 256 x 256. Each figure is
the time in Python and MRML until everything shown is current: the stored point, the distances of the landmark table,
the displacement plot's curve, and after a drop the doubtful frames. Rendering is measured apart: it is Slicer's own,
and done here by a software renderer.
"""

# ruff: noqa: E402 - the paths first: this is a script, not an installed package

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / part) for part in ("Testing", "Testing/mrml", "CardiacValveLandmarks")]

import numpy as np
from CardiacValveLandmarksLib.landmarks import VIEWS
from CardiacValveLandmarksLib.mrml.cine_nodes import sequence_from_cine
from CardiacValveLandmarksLib.mrml.logic import StudyLogic
from host import make_application
from slice_view import SliceView
from synthetic import TruthDetector, make_cine

FRAMES, SHAPE, REPEATS = 50, (256, 256), 60


def timed(act: Callable[[], object]) -> float:
    """Milliseconds of processor time: what passes on an idle machine, and what a busy one does not falsify."""
    start = time.process_time()
    act()
    return (time.process_time() - start) * 1e3


def report(what: str, times: list[float], target: str = "") -> None:
    high = float(np.percentile(times, 95))
    print(f"| {what} | {statistics.median(times):.2f} | {high:.2f} | {target} |")


def main() -> None:
    application = make_application()
    sequences = {view: sequence_from_cine(make_cine(view, FRAMES, SHAPE)) for view in VIEWS}
    browsers = [application.logics["Sequences"].GetFirstBrowserNodeForSequenceNode(s) for s in sequences.values()]

    def step_all(frame: int) -> None:
        for browser in browsers:
            browser.SetSelectedItemNumber(frame)

    step_all(1)
    own = [timed(lambda f=f: step_all(f % FRAMES)) for f in range(REPEATS)]
    logic = StudyLogic(TruthDetector())
    logic.detect(sequences)
    step_all(1)
    ours = [timed(lambda f=f: step_all(f % FRAMES)) for f in range(REPEATS)]

    view = SliceView(application, browsers[2].GetProxyNode(sequences["4CH"]))

    def shown() -> None:
        """What the panel's table and plot take from the logic."""
        logic.landmarks("4CH")
        logic.pathDistances("4CH")

    moves, drops, drawn = [], [], []
    for round_ in range(REPEATS // 6):
        frame = 3 + 4 * round_
        browsers[2].SetSelectedItemNumber(frame)
        start = np.round(view.to_display(logic.landmarks("4CH")[0][frame, 4]))
        view.hover(start)
        view.press(start)
        for step in range(1, 7):
            moves.append(timed(lambda step=step, start=start: (view.move(np.add(start, (3 * step, step))), shown())))
            drawn.append(timed(view.render))
        drops.append(timed(lambda start=start: (view.release(np.add(start, (18, 6))), shown(), logic.doubtful("4CH"))))
    steps = {
        "place (spread 3)": lambda: logic.setPosition("4CH", 20, 5, logic.landmarks("4CH")[0][20, 4] + 1),
        "undo": logic.undo,
        "redo": logic.redo,
    }
    print(f"three views, {FRAMES} frames, {SHAPE[0]} x {SHAPE[1]}; milliseconds of one core")
    print("| what | median | 95 % | target |\n|---|---|---|---|")
    report("drag: one mouse move to stored point, table and plot", moves, "16")
    report("drop: spread, smooth paths, doubtful frames", drops, "50")
    report("frame change, three views, Slicer's own", own)
    report("frame change, three views, with landmarks", ours, "20 over Slicer's own")
    print(f"| frame change, over Slicer's own | {statistics.median(ours) - statistics.median(own):.2f} | | 20 |")
    for name, act in steps.items():
        report(name, [timed(act) for _ in range(10 if name != "undo" else 5)])
    report("(rendering one slice view off the screen, software)", drawn)
    view.close()


if __name__ == "__main__":
    main()

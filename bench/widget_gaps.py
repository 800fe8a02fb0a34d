"""The panel's own cost, on the test host (PySide6, off the screen) with a synthetic study of 50 frames a view.

    python bench/widget_gaps.py [--model phantom-heatmap] [--frames 50]

Prints the longest gap between two handled events from the click on Detect until the landmarks are shown, in three views
(wall time, with the load of the machine: other work on it makes gaps), and the longest turn of the event loop in
processor time of the interface's thread, which that work does not make longer. Then, in that processor time, the median
and worst of: a mouse move of a dragged point until table and plot are current, the study's measures and curves
following it, the drop (spread, smooth path, doubts, plot), and a frame change of three views, with the panel and
without it.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "Testing"), str(ROOT / "CardiacValveLandmarks")]

import slicer_host  # noqa: E402

VIEWS = ("2CH", "3CH", "4CH")


def longest_gap(host, until, seconds: float, act=None) -> tuple[float, float, int]:
    """(longest time between two beats of a 1 ms timer, longest processor time between them, both ms, number of beats)
    from `act()` until `until()`."""
    import qt

    beats = []
    timer = qt.QTimer()
    timer.setInterval(1)
    timer.timeout.connect(lambda: beats.append((time.perf_counter(), time.thread_time())))
    timer.start()
    host.process(0.05)
    if act is not None:
        act()
    host.process(seconds, until=until)
    # what was put off to the next turns
    host.process(0.1)
    timer.stop()
    wall, own = ([1000 * (b[k] - a[k]) for a, b in itertools.pairwise(beats)] for k in (0, 1))
    return max(wall), max(own), len(beats)


def timed(action, count: int) -> str:
    """Median and worst of `action(i)` in ms of processor time."""
    spent = []
    for index in range(count):
        begin = time.thread_time()
        action(index)
        spent.append(1000 * (time.thread_time() - begin))
    return f"median {statistics.median(spent):.1f} ms, worst {max(spent):.1f} ms of {count}"


def detect(host, panel, name: str) -> None:
    """One detection from the click to the landmarks on the screen."""
    begin = time.perf_counter()
    gap, own, beats = longest_gap(host, lambda: not panel.busy, 600, panel.ui.detectButton.click)
    spent = time.perf_counter() - begin
    print(f"{name}: longest gap {gap:.0f} ms of {beats} events in {spent:.1f} s; longest turn {own:.0f} ms of "
          "processor time")  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--model", default="phantom-heatmap")
    options.add_argument("--frames", type=int, default=50)
    given = options.parse_args()
    model = given.model
    host = slicer_host.install(ROOT / "CardiacValveLandmarks" / "CardiacValveLandmarks.py")
    from CardiacValveLandmarksLib.mrml.cine_nodes import sequence_from_cine
    from CardiacValveLandmarksLib.phantom.cines import synthetic_study

    widget = host.make_widget()
    widget.enter()
    panel = widget.panel
    sequences = {}
    for view in VIEWS:
        cine = synthetic_study(1, kinds=(view,), frames=given.frames).items[0].cine
        sequences[view] = sequence_from_cine(cine)
    for view, node in sequences.items():
        getattr(panel.ui, f"viewSelector{view}").setCurrentNode(node)
    panel.parameters.model = model
    host.process(0.5)

    gap, _, beats = longest_gap(host, None, 2.0)
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print(f"at rest: longest gap {gap:.0f} ms, {beats} events in 2 s")
    for name in ("first detection, engine loaded in it", "second detection"):
        detect(host, panel, name)
    print(panel.ui.messageLabel.text)

    logic, node = panel.logic, panel.logic.landmarksNode("4CH")
    panel.review.select("4CH", 5)
    start = node.GetNthControlPointPosition(4)

    def move(index: int) -> None:
        node.SetNthControlPointPosition(4, start[0] + 0.05 * index, start[1], start[2])

    node.InvokeEvent(node.PointStartInteractionEvent)
    print("a mouse move:", timed(move, 100))
    node.InvokeEvent(node.PointEndInteractionEvent)
    logic.undo()
    gap, own, _ = longest_gap(host, lambda: not panel.busy, 600, panel.ui.measureButton.click)
    print(f"measuring: longest gap {gap:.0f} ms, longest turn {own:.0f} ms of processor time")
    node.InvokeEvent(node.PointStartInteractionEvent)
    print("a mouse move, once measured:", timed(move, 100))
    print("the measures following it, in a turn of their own:", timed(lambda _index: panel.measures.follow(), 50))
    print("the drop:", timed(lambda _index: node.InvokeEvent(node.PointEndInteractionEvent), 1))

    def step(index: int) -> None:
        logic.setAbsent("4CH", index % given.frames, 5)
        logic.undo()

    print("a whole step and its undo:", timed(step, 20))
    print("a frame of three views:", timed(lambda index: panel.browsing.go("4CH", index), 100))
    panel.browsing.release()
    browsers = {view: logic.browserNode(view) for view in VIEWS}

    def browse(index: int) -> None:
        for browser in browsers.values():
            browser.SetSelectedItemNumber((index + 1) % given.frames)

    print("the same without the panel:", timed(browse, 100))
    widget.cleanup()


if __name__ == "__main__":
    main()

"""Fixtures of the widget suite: the module's own code on a small host, a synthetic study, a detector that knows it."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core, Python 3.11)")
try:
    import slicer_host
except ImportError as error:
    reason = f"{error} (pip install PySide6-Essentials==6.10.1; Debian: libegl1)"
    pytest.skip(f"Qt cannot be used here: {reason}", allow_module_level=True)

from CardiacValveLandmarksLib.landmarks import VIEWS, LandmarkSeries, Provenance
from CardiacValveLandmarksLib.phantom.cines import synthetic_study

MODULE = Path(__file__).resolve().parents[2] / "CardiacValveLandmarks" / "CardiacValveLandmarks.py"
ARTEFACTS = MODULE.parents[1] / "artefacts"
# real mouse events in a real slice view: the helper of the MRML suite
sys.path.append(str(MODULE.parents[1] / "Testing"))

FRAMES = {"2CH": 12, "3CH": 6, "4CH": 12}
#: view, frame, landmark number that the detector gets wrong and doubts
WRONG = ("4CH", 9, 5)


class StoppedError(Exception):
    """What the detector raises when it is cancelled."""


@dataclass
class Result:
    landmarks: LandmarkSeries
    view: str | None
    view_confidence: float
    warnings: list[str] = field(default_factory=list)


class PhantomDetector:
    """Truth with a little noise, another at each call, and one point far off. `delay`: seconds a frame."""

    def __init__(self, study) -> None:
        self.study, self.delay, self.calls, self.error = study, 0.0, 0, None

    def __call__(self, cine, *, model="", view="auto", progress=None, cancel=None, **options) -> Result:
        self.calls += 1
        item = next(item for item in self.study if np.array_equal(item.cine.frames, cine.frames))
        for frame in range(cine.n_frames):
            if cancel is not None and cancel():
                raise StoppedError
            if progress is not None:
                progress(frame + 1, cine.n_frames)
            time.sleep(self.delay)
        if self.error is not None:
            raise self.error
        truth = item.truth
        positions = truth.positions + np.random.default_rng(self.calls).normal(0, 0.15, truth.positions.shape)
        confidence = np.where(truth.present, 0.9, np.nan)
        if item.kind == WRONG[0]:
            positions[WRONG[1], WRONG[2] - 1] += [5, 4]
            confidence[WRONG[1], WRONG[2] - 1] = 0.2
        found = LandmarkSeries(positions, confidence, truth.provenance, item.kind)
        return Result(found, item.kind, 0.95 if item.kind != "3CH" else 0.7)


@pytest.fixture(scope="session")
def cines():
    """A small synthetic study: one item a view, the 3CH with half the frames. Coarse pixels: nothing looks at them."""
    study = synthetic_study(5, frames=12, shape=(40, 40), spacing=5.0, mirror=False)
    made = []
    for view in VIEWS:
        item, step = study.item(view), 12 // FRAMES[view]
        cine, truth = item.cine, item.truth
        made.append(
            replace(
                item,
                cine=cine.replace(frames=cine.frames[::step], times_ms=cine.times_ms[::step]),
                truth=truth.replace(
                    positions=truth.positions[::step],
                    confidence=truth.confidence[::step],
                    provenance=truth.provenance[::step],
                ),
            )
        )
    return made


@pytest.fixture
def detector(cines):
    return PhantomDetector(cines)


@pytest.fixture
def make_host(detector):
    """A factory of hosts: `make_host(main_window=True, answers=[])`, each a fresh scene."""
    hosts = []

    def make(**options):
        host = slicer_host.install(MODULE, **options)
        logic = host.module.CardiacValveLandmarksLogic
        hosts.append((host, logic))
        host.module.CardiacValveLandmarksLogic = lambda: logic(detector=detector)
        return host

    yield make
    for host, logic in hosts:
        host.module.CardiacValveLandmarksLogic = logic
        host.application.end()


@pytest.fixture
def host(make_host):
    return make_host()


@pytest.fixture
def panel(host):
    """The module's panel, opened, on an empty scene."""
    widget = host.make_widget()
    widget.enter()
    host.process()
    yield widget.panel
    widget.cleanup()


@pytest.fixture
def sequences(panel, cines):
    """The study's cines in the scene: {view: sequence node}."""
    from CardiacValveLandmarksLib.mrml.cine_nodes import sequence_from_cine

    return {item.kind: sequence_from_cine(item.cine) for item in cines}


@pytest.fixture
def selected(panel, sequences, host):
    """The panel with the study selected."""
    for view, node in sequences.items():
        getattr(panel.ui, f"viewSelector{view}").setCurrentNode(node)
    host.process()
    return panel


@pytest.fixture
def study(selected, host):
    """The panel after a detection."""
    selected.ui.detectButton.click()
    assert host.process(60, until=lambda: not selected.busy)
    assert selected.views() == list(VIEWS), selected.ui.messageLabel.text
    return selected


@pytest.fixture
def slice_views(selected, host, sequences):
    """The three slice views Slicer would show: {view: SliceView}."""
    import vtk
    from CardiacValveLandmarksLib.widget.slice_views import PLACES
    from slice_view import SliceView

    views, logics = {}, vtk.vtkCollection()
    try:
        for view, name in PLACES.items():
            views[view] = SliceView(host.application, selected.proxy(view), (360, 360))
            views[view].node.SetLayoutName(name)
            logics.AddItem(views[view].logic)
    except RuntimeError as error:
        pytest.skip(str(error))
    host.application.application_logic.SetSliceLogics(logics)
    yield views
    host.application.application_logic.SetSliceLogics(None)
    for view in views.values():
        view.close()


@pytest.fixture
def shot(panel, host):
    """shot(name): a picture of the panel, kept under artefacts/."""

    def take(name: str) -> None:
        ARTEFACTS.mkdir(exist_ok=True)
        host.process(0.05)
        panel.widget.grab().save(str(ARTEFACTS / f"{name}.png"))

    return take


def stored(panel, view: str) -> np.ndarray:
    """(T, 11, 3) RAS mm as the nodes in the scene hold them, NaN where not defined."""
    browser, node = panel.logic.browserNode(view), panel.logic.landmarksNode(view)
    sequence = browser.GetSequenceNode(node)
    found = np.full((sequence.GetNumberOfDataNodes(), 11, 3), np.nan)
    for frame in range(len(found)):
        points = sequence.GetNthDataNode(frame)
        for index in range(11):
            if points.GetNthControlPointPositionStatus(index) == points.PositionDefined:
                found[frame, index] = points.GetNthControlPointPosition(index)
    return found


def provenance(panel, view: str, frame: int, number: int) -> Provenance:
    return Provenance(int(panel.logic.landmarks(view)[2][frame, number - 1]))


def scene_contents() -> dict[str, str]:
    """Node ID -> name, of everything that holds data in the scene."""
    import slicer

    kinds = ("vtkMRMLSequenceNode", "vtkMRMLMarkupsNode", "vtkMRMLVolumeNode", "vtkMRMLSequenceBrowserNode")
    return {node.GetID(): node.GetClassName() for kind in kinds for node in slicer.util.getNodesByClass(kind)}

"""Fixtures of the widget suite: the module's own code on a small host, a synthetic study, a detector that knows it."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core, Python 3.11)")
try:
    import slicer_host
except ImportError as error:
    reason = f"{error} (pip install PySide6-Essentials==6.10.1; Debian: libegl1)"
    pytest.skip(f"Qt cannot be used here: {reason}", allow_module_level=True)

from CardiacValveLandmarksLib.landmarks import VIEWS
from CardiacValveLandmarksLib.phantom.cines import synthetic_study
from panel_helpers import ARTEFACTS, FRAMES, MODULE, PhantomDetector

# tests import the widget's modules by name
slicer_host.make_modules()
# real mouse events in a real slice view: the helper of the MRML suite
sys.path.append(str(MODULE.parents[1] / "Testing"))


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

"""What the panel does with Slicer's slice views and layout, which are not its alone."""

import slicer
from CardiacValveLandmarksLib.landmarks import VIEWS
from CardiacValveLandmarksLib.mrml.cine_nodes import browser_of, sequence_from_cine
from CardiacValveLandmarksLib.widget import study_section
from slicer_host.application import LayoutManager

FOUR_UP = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
ONE_UP = slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView


def backgrounds(views) -> dict[str, str | None]:
    return {view: each.logic.GetSliceCompositeNode().GetBackgroundVolumeID() for view, each in views.items()}


def count_shows(monkeypatch) -> list:
    shows, real = [], study_section.show_study
    monkeypatch.setattr(study_section, "show_study", lambda *given: (shows.append(given), real(*given)))
    return shows


def test_the_layout_is_changed_once_and_the_views_fitted_afterwards(panel, sequences, host):
    manager = host.application.layout_manager = LayoutManager(ONE_UP)
    panel.ui.viewSelector4CH.setCurrentNode(sequences["4CH"])
    host.process(0.1)  # the fit comes in a later turn
    assert (manager.layout, manager.changes) == (FOUR_UP, 1)
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView)
    panel.ui.viewSelector2CH.setCurrentNode(sequences["2CH"])
    host.process(0.1)
    assert manager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView


def test_a_scene_loaded_while_another_module_is_open_keeps_its_layout(make_host, cines, tmp_path, monkeypatch):
    host = make_host()
    widget = host.make_widget()
    panel = widget.panel
    widget.enter()
    for item in cines:
        getattr(panel.ui, f"viewSelector{item.kind}").setCurrentNode(sequence_from_cine(item.cine))
    host.process()
    panel.ui.detectButton.click()
    assert host.process(60, until=lambda: not panel.busy)
    path = tmp_path / "scene.mrb"
    assert slicer.util.saveScene(str(path))
    widget.exit()
    manager = host.application.layout_manager = LayoutManager(ONE_UP)
    shows = count_shows(monkeypatch)
    slicer.mrmlScene.Clear(0)
    slicer.util.loadScene(str(path))
    host.process(0.1)
    assert panel.views() == list(VIEWS)
    assert shows == [] and manager.changes == 0
    widget.enter()
    assert len(shows) == 1 and manager.layout == FOUR_UP, "the module is opened: nothing shows its study yet"
    widget.exit()
    widget.enter()
    assert len(shows) == 1
    widget.cleanup()


def test_a_scene_with_its_own_views_keeps_them(study, slice_views, tmp_path, monkeypatch, host):
    study.study.show_in_views()
    path = tmp_path / "scene.mrb"
    assert slicer.util.saveScene(str(path))
    shows = count_shows(monkeypatch)
    manager = host.application.layout_manager = LayoutManager(ONE_UP)
    opened = []
    monkeypatch.setattr(study.logic, "open", lambda chosen, real=study.logic.open: (opened.append(1), real(chosen)))
    slicer.util.loadScene(str(path))
    host.process(0.1)
    assert study.views() == list(VIEWS), study.ui.messageLabel.text
    assert len(opened) == 1, "a scene that is half there is not opened"
    assert shows == [] and manager.changes == 0


def test_only_what_was_put_there_is_taken_out(study, slice_views, cines):
    other = sequence_from_cine(cines[0].cine.replace(name="another module's"))
    proxy = browser_of(other).GetProxyNode(other)
    study.study.show_in_views()
    assert backgrounds(slice_views) == {view: study.proxy(view).GetID() for view in VIEWS}
    slice_views["3CH"].logic.GetSliceCompositeNode().SetBackgroundVolumeID(proxy.GetID())
    for view in ("3CH", "2CH"):
        getattr(study.ui, f"viewSelector{view}").setCurrentNode(None)
    study.study.show_in_views()
    assert backgrounds(slice_views) == {"2CH": None, "3CH": proxy.GetID(), "4CH": study.proxy("4CH").GetID()}


def test_a_detection_that_ends_elsewhere_leaves_the_layout_alone(selected, host, detector, monkeypatch):
    manager = host.application.layout_manager = LayoutManager(ONE_UP)
    shows = count_shows(monkeypatch)
    detector.delay = 0.02
    selected.ui.detectButton.click()
    selected.exit()
    assert host.process(60, until=lambda: not selected.busy) and selected.views() == list(VIEWS)
    assert shows == [] and manager.changes == 0
    selected.enter()
    assert len(shows) == 1 and manager.layout == FOUR_UP


def test_nothing_is_shown_of_a_scene_that_was_closed(study, host, tmp_path, monkeypatch):
    path = tmp_path / "scene.mrb"
    assert slicer.util.saveScene(str(path))
    study.exit()
    slicer.util.loadScene(str(path))
    manager = host.application.layout_manager = LayoutManager(ONE_UP)
    slicer.mrmlScene.Clear(0)
    host.process(0.1)
    study.enter()
    assert manager.changes == 0

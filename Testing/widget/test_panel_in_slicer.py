"""What Slicer itself does to a panel: reloads it, leaves and enters it, dresses it dark, keeps scene views beside."""

import gc
import threading

import numpy as np
import pytest
import slicer
from CardiacValveLandmarksLib.landmarks import Provenance
from PySide6 import QtGui, QtWidgets


def test_a_reloaded_panel_works_at_once(host):
    """ "Reload" of developer mode: cleanup and setup, with the module open all the while; nothing enters it.

    What the first panel left on the parameter node must not be collected: VTK would call it, and crash.
    """
    first = host.make_widget()
    first.enter()
    first.cleanup()
    gc.collect()
    # PythonQt: a property, or a function, by how Slicer declares it
    for entered in (True, lambda: True):
        first.parent.isEntered = entered
        second = type(first)(first.parent)
        second.setup()
        second.panel.ui.mitralCheckBox.setChecked(False)
        assert not second.panel.parameters.mitral
        second.panel.ui.mitralCheckBox.setChecked(True)
        second.cleanup()
    first.parent.isEntered = lambda: False
    second = type(first)(first.parent)
    second.setup()
    assert not second.panel.entered
    second.cleanup()


def test_entering_again_and_again_keeps_the_parameters(panel):
    """In Slicer every new wrapper leaves some twenty observers on the node for good."""
    wrapper = panel.parameters
    for _ in range(3):
        panel.exit()
        panel.enter()
    assert panel.parameters is wrapper
    panel.ui.aorticCheckBox.setChecked(True)
    assert panel.parameters.aortic
    slicer.mrmlScene.Clear(0)
    assert panel.parameters is not wrapper and panel.parameters.model == "phantom-heatmap"


def test_scene_views_are_no_cines(selected, sequences):
    """Slicer keeps them as hidden sequences, of screenshots and of whatever nodes it remembers."""
    before = selected.study._candidates()
    hidden = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "Scene view")
    hidden.HideFromEditorsOn()
    for frame in range(6):
        volume = slicer.vtkMRMLScalarVolumeNode()
        slicer.util.updateVolumeFromArray(volume, np.zeros((1, 8, 8), np.int16))
        hidden.SetDataNodeAtValue(volume, str(frame))
    assert selected.study._candidates() == before


def luminance(colour) -> float:
    parts = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in colour.getRgbF()[:3]]
    return float(np.dot(parts, (0.2126, 0.7152, 0.0722)))


@pytest.mark.parametrize("window", ("#efefef", "#323232"))
def test_texts_can_be_read_on_any_window(panel, host, window, shot):
    """Contrast of 4.5 at least (WCAG 2, AA), in Slicer's light style and in its dark one."""
    before = QtWidgets.QApplication.palette()
    palette = QtGui.QPalette(QtGui.QColor(window))
    QtWidgets.QApplication.setPalette(palette)
    try:
        ground = luminance(palette.color(QtGui.QPalette.Window)) + 0.05
        for kind in ("good", "doubt", "bad"):
            panel.say("A text", kind)
            host.process()
            ink = panel.ui.messageLabel.palette.color(QtGui.QPalette.WindowText)
            pair = sorted((luminance(ink) + 0.05, ground))
            assert pair[1] / pair[0] >= 4.5
        panel.refresh()
        shot("panel-dark" if window == "#323232" else "panel-light")
    finally:
        QtWidgets.QApplication.setPalette(before)


def test_a_manual_point_s_ring_shows_on_a_dark_table(panel, monkeypatch):
    from CardiacValveLandmarksLib.widget import markers

    shades = {}
    for dark in (False, True):
        monkeypatch.setattr(markers, "on_dark", lambda dark=dark: dark)
        image = markers.marker_icon(5, int(Provenance.MANUAL), False).pixmap(20, 20).toImage()
        shades[dark] = image.pixelColor(1, 10).lightness()
    assert shades[False] < 100 < 155 < shades[True]


def test_nothing_is_collected_while_a_thread_is_at_work(panel, host):
    """A collection would run in the thread, and end nodes and widgets there."""
    go, seen = threading.Event(), []

    def task(progress, cancel):
        seen.append(gc.isenabled())
        go.wait(20)

    panel.run("Waiting", task, lambda result: None)
    assert not gc.isenabled()
    go.set()
    assert host.process(20, until=lambda: not panel.worker.running)
    assert seen == [False] and gc.isenabled()

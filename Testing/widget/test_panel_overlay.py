"""The overlay: what the model makes of the frame shown, in the slice view's foreground."""

import numpy as np
import pytest
import slicer
import vtk
from CardiacValveLandmarksLib.errors import ModelError
from CardiacValveLandmarksLib.widget import overlay


class KnownMaps:
    """Maps whose values tell what was asked for."""

    asked: list
    error = None

    def __init__(self, cine, model, view, result, device) -> None:
        self.shape = cine.shape

    def heatmaps(self, frame):
        if self.error is not None:
            raise self.error
        self.asked.append(("heatmap", frame))
        return np.arange(1, 12)[:, None, None] * np.ones((1, *self.shape), np.float32)

    def saliency(self, frame, landmark):
        self.asked.append(("saliency", frame, landmark))
        return np.full(self.shape, float(frame), np.float32)


@pytest.fixture
def maps(monkeypatch):
    monkeypatch.setattr(overlay, "maps_of", KnownMaps)
    KnownMaps.asked, KnownMaps.error = [], None
    return KnownMaps


def foreground(view: str):
    from CardiacValveLandmarksLib.widget.slice_views import slice_logic

    composite = slice_logic(view).GetSliceCompositeNode()
    return slicer.mrmlScene.GetNodeByID(composite.GetForegroundVolumeID() or ""), composite.GetForegroundOpacity()


def values(volume) -> float:
    return float(slicer.util.arrayFromVolume(volume).max())


def test_the_overlay_is_of_the_frame_and_landmark_looked_at(study, host, slice_views, maps):
    study.review.select("4CH", 5)
    study.ui.frameSlider.setValue(4)
    assert foreground("4CH")[0] is None
    study.ui.overlaySelector.setCurrentIndex(1)
    assert host.process(30, until=lambda: study.overlay.shown is not None)
    volume, opacity = foreground("4CH")
    assert values(volume) == 5 and opacity > 0.3 and maps.asked == [("heatmap", 4)]
    assert "heat-map of mitral septal, 4CH" in volume.GetName()
    image, matrices = study.proxy("4CH"), []
    for node in (image, volume):
        matrix = vtk.vtkMatrix4x4()
        node.GetIJKToRASMatrix(matrix)
        matrices.append([matrix.GetElement(r, c) for r in range(4) for c in range(4)])
    assert matrices[0] == matrices[1] and not volume.GetSaveWithScene()
    study.ui.nextFrameButton.click()
    assert foreground("4CH")[0] is None, "the map of another frame is not shown"
    assert host.process(30, until=lambda: study.overlay.shown is not None)
    assert maps.asked[-1] == ("heatmap", 5) and foreground("4CH")[0] is volume
    study.ui.overlaySelector.setCurrentIndex(2)
    assert host.process(30, until=lambda: maps.asked[-1] == ("saliency", 5, 5) and study.overlay.shown is not None)
    study.review.select("2CH", 1)
    assert foreground("4CH")[0] is None
    assert host.process(30, until=lambda: study.overlay.shown is not None)
    assert foreground("2CH")[0].GetName() == "saliency of mitral anterior, 2CH"
    study.ui.overlaySelector.setCurrentIndex(0)
    assert foreground("2CH")[0] is None and host.asked == []


def test_a_map_that_cannot_be_made_is_told_and_switched_off(study, host, slice_views, maps):
    maps.error = ModelError("model.pt", "the package torch for saliency", "it is not installed", "Install torch.")
    study.ui.overlaySelector.setCurrentIndex(1)
    assert host.process(30, until=lambda: "No overlay" in study.ui.messageLabel.text)
    assert "Install torch" in study.ui.messageLabel.text and study.ui.overlaySelector.currentIndex == 0
    assert study.overlay.shown is None and foreground("2CH")[0] is None


def test_a_scene_closed_with_an_overlay(study, host, slice_views, maps):
    study.ui.overlaySelector.setCurrentIndex(1)
    assert host.process(30, until=lambda: study.overlay.shown is not None)
    slicer.mrmlScene.Clear(0)
    host.process(0.3)
    assert study.overlay.shown is None and study.ui.overlaySelector.currentIndex == 0
    assert "load a folder" in study.ui.nextStepLabel.text


def test_what_lay_over_the_image_before_comes_back(study, host, slice_views, maps):
    own = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "own")
    composite = slice_views["4CH"].logic.GetSliceCompositeNode()
    composite.SetForegroundVolumeID(own.GetID())
    composite.SetForegroundOpacity(0.25)
    study.review.select("4CH", 5)
    study.ui.overlaySelector.setCurrentIndex(1)
    assert host.process(30, until=lambda: study.overlay.shown is not None)
    study.ui.nextFrameButton.click()
    assert host.process(30, until=lambda: study.overlay.shown is not None)
    assert foreground("4CH")[0] is not own
    study.ui.overlaySelector.setCurrentIndex(0)
    assert foreground("4CH") == (own, 0.25)


def test_what_the_user_puts_over_the_image_meanwhile_stays(study, host, slice_views, maps):
    own = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "own")
    composite = slice_views["4CH"].logic.GetSliceCompositeNode()
    study.review.select("4CH", 5)
    study.ui.overlaySelector.setCurrentIndex(1)
    assert host.process(30, until=lambda: study.overlay.shown is not None)
    composite.SetForegroundVolumeID(own.GetID())
    composite.SetForegroundOpacity(0.4)
    study.ui.overlaySelector.setCurrentIndex(0)
    assert foreground("4CH") == (own, 0.4)


def test_no_overlay_while_the_module_is_left(study, host, slice_views, maps):
    study.review.select("4CH", 5)
    study.ui.overlaySelector.setCurrentIndex(1)
    assert host.process(30, until=lambda: study.overlay.shown is not None)
    study.exit()
    assert foreground("4CH")[0] is None
    study.proxy("4CH")
    host.process(0.4)
    assert study.overlay.shown is None and foreground("4CH")[0] is None
    study.enter()
    assert host.process(30, until=lambda: study.overlay.shown is not None)

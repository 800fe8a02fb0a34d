"""The panel's review: frames, corrections, keys, plot."""

import numpy as np
import pytest
import slicer
from CardiacValveLandmarksLib.landmarks import VIEWS, Provenance
from panel_helpers import ARTEFACTS, FRAMES, WRONG, column, provenance, stored
from PySide6 import QtCore, QtTest


def press(panel, host, key, modifier=QtCore.Qt.NoModifier):
    window = slicer.util.mainWindow()
    window.activateWindow()
    host.process()
    QtTest.QTest.keyClick(window, key, modifier)
    host.process()


def test_the_frame_slider_moves_all_views_to_the_same_phase(study, host):
    study.review.select("4CH", 5)
    study.ui.frameSlider.setValue(8)
    host.process()
    frames = {view: study.logic.browserNode(view).GetSelectedItemNumber() for view in VIEWS}
    phases = {view: study.logic.cine(view).phases[frame] for view, frame in frames.items()}
    assert frames["4CH"] == 8 and study.ui.frameLabel.text == f"4CH 9/{FRAMES['4CH']}"
    assert max(phases.values()) - min(phases.values()) <= 0.5 / min(FRAMES.values()) + 0.01
    study.ui.nextFrameButton.click()
    assert study.ui.frameSlider.value == 9
    for _ in range(FRAMES["4CH"] - 9):
        study.ui.nextFrameButton.click()
    assert study.ui.frameSlider.value == 0, "after the last frame comes the first"


def test_slicers_own_browser_moves_the_panel_too(study, host):
    study.review.select("2CH", 1)
    study.logic.browserNode("3CH").SetSelectedItemNumber(3)
    host.process()
    assert study.ui.frameSlider.value == study.logic.browserNode("2CH").GetSelectedItemNumber() == 6
    position = stored(study, "2CH")[6, 0]
    assert np.allclose(study.logic.landmarksNode("2CH").GetNthControlPointPosition(0), position)


def test_playing_moves_images_and_markups_of_all_views(study, host):
    seen = set()
    study.ui.playButton.click()
    node = study.logic.landmarksNode("4CH")
    assert host.process(10, until=lambda: seen.add(tuple(node.GetNthControlPointPosition(4))) or len(seen) > 4), (
        "the points move"
    )
    assert study.logic.browserNode("4CH").GetSelectedItemNumber() == study.browsing.frame("4CH")
    study.ui.playButton.click()
    frame = study.ui.frameSlider.value
    host.process(0.3)
    assert study.ui.frameSlider.value == frame and not study.ui.playButton.checked


def test_next_doubtful_goes_to_the_worst_first_and_says_why(study, host, shot):
    worst = study.logic.doubtful()[0]
    assert worst[:3] == WRONG
    study.ui.nextDoubtfulButton.click()
    host.process()
    assert study.review.selected == (WRONG[0], WRONG[2]) and study.ui.frameSlider.value == WRONG[1]
    assert study.ui.doubtLabel.text.startswith(f"1 of {len(study.review.doubts)}: mitral septal")
    shot("panel-doubtful")
    count = len(study.review.doubts)
    for _ in range(count):
        study.ui.nextDoubtfulButton.click()
    assert study.ui.frameSlider.value == WRONG[1], "after the last comes the first again"
    study.ui.absentButton.click()
    host.process()
    assert len(study.review.doubts) < count and "no longer doubtful" in study.ui.doubtLabel.text


def test_a_point_dragged_in_its_slice_view(study, host, slice_views, shot):
    study.review.select("2CH", 1)
    study.ui.frameSlider.setValue(5)
    study.ui.showViewsButton.click()
    host.process()
    view, frame, number = "4CH", study.logic.browserNode("4CH").GetSelectedItemNumber(), 5
    before = {name: stored(study, name) for name in VIEWS}
    image = slice_views[view]
    start = np.round(image.to_display(before[view][frame, number - 1]))
    image.hover(start)
    image.press(start)
    for step in (8, 16, 24):
        image.move(start + step)
        host.process()
        now = stored(study, view)
        assert now[frame, number - 1] == pytest.approx(image.to_ras(start + step), abs=1.5), "stored while it moves"
        others = np.delete(np.arange(len(now)), frame)
        assert np.array_equal(now[others], before[view][others], equal_nan=True)
        row = study.review.table.rows.index((view, number))
        assert column(study, 1)[row] == "manual" and study.review.selected == (view, number)
    image.release(start + 24)
    host.process()
    after = stored(study, view)
    moved = np.linalg.norm(np.nan_to_num(after - before[view]), axis=2)
    spread = [(frame + k) % FRAMES[view] for k in range(-3, 4)]
    assert (moved[spread, number - 1] > 0).all() and moved.sum() == pytest.approx(moved[spread, number - 1].sum())
    for other in ("2CH", "3CH"):
        assert np.array_equal(stored(study, other), before[other], equal_nan=True)
    assert provenance(study, view, frame, number) == Provenance.MANUAL
    assert provenance(study, view, (frame + 1) % FRAMES[view], number) == Provenance.PROPAGATED
    shot("panel-dragged")
    for name, each in slice_views.items():
        each.screenshot(ARTEFACTS / f"view-{name}.png")
    study.ui.undoButton.click()
    assert np.array_equal(stored(study, view), before[view], equal_nan=True)
    study.ui.redoButton.click()
    assert np.array_equal(stored(study, view), after, equal_nan=True)


def test_the_spread_can_be_changed_and_switched_off(study, host):
    study.ui.spreadSpinBox.setValue(0)
    host.process()
    assert study.logic.spread == 0 and study.parameters.spread == 0
    before = stored(study, "2CH")
    node = study.logic.landmarksNode("2CH")
    frame = study.logic.browserNode("2CH").GetSelectedItemNumber()
    node.SetNthControlPointPosition(0, *(before[frame, 0] + [1.0, 0, 0]))
    host.process()
    changed = np.argwhere(np.abs(np.nan_to_num(stored(study, "2CH") - before)).max(2) > 1e-6)
    assert changed.tolist() == [[frame, 0]]


def test_an_absent_point_is_placed_by_a_click_in_its_image(study, host, slice_views):
    study.review.select("3CH", 7)
    study.ui.frameSlider.setValue(2)
    before = stored(study, "3CH")
    study.ui.absentButton.click()
    row = study.review.table.rows.index(("3CH", 7))
    assert column(study, 1)[row] == "absent" and np.isnan(stored(study, "3CH")[2, 6]).all()
    button = study.ui.landmarkTable.cellWidget(row, 4)
    assert button.text == "place"
    button.click()
    assert study.review.placing.active and "Click in the 3CH image" in study.ui.messageLabel.text
    image = slice_views["3CH"]
    at = np.round(image.to_display(before[2, 6])) + np.array([10, 6])
    image.render()
    image.hover(at)
    image.press(at)
    image.release(at)
    host.process()
    assert not study.review.placing.active
    assert stored(study, "3CH")[2, 6] == pytest.approx(image.to_ras(at), abs=0.5)
    assert provenance(study, "3CH", 2, 7) == Provenance.MANUAL
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    assert interaction.GetCurrentInteractionMode() == interaction.ViewTransform


def test_giving_up_a_placement_leaves_the_point_absent(study, host, slice_views):
    study.review.select("3CH", 7)
    study.ui.absentButton.click()
    whole = stored(study, "3CH")
    study.review.place()
    press(study, host, QtCore.Qt.Key_Escape)
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    assert interaction.GetCurrentInteractionMode() == interaction.ViewTransform
    node = study.logic.landmarksNode("3CH")
    assert not study.review.placing.active and node.GetNthControlPointPositionStatus(6) == node.PositionMissing
    assert np.array_equal(stored(study, "3CH"), whole, equal_nan=True)
    study.review.place()
    interaction.SetCurrentInteractionMode(interaction.ViewTransform)
    assert not study.review.placing.active and not study.ui.messageLabel.text
    study.review.place()
    study.ui.nextFrameButton.click()
    assert not study.review.placing.active and np.array_equal(stored(study, "3CH"), whole, equal_nan=True)


def test_a_point_that_hung_at_the_mouse_is_not_left_in_the_frame(study, host, slice_views):
    """Placing was begun in one frame, the mouse moved over the image, and another frame was shown."""
    study.review.select("3CH", 7)
    study.ui.frameSlider.setValue(2)
    study.ui.absentButton.click()
    node, whole = study.logic.landmarksNode("3CH"), stored(study, "3CH")
    study.review.place()
    image = slice_views["3CH"]
    image.render()
    image.hover(np.array([150.0, 170.0]))
    study.ui.nextFrameButton.click()
    study.ui.frameSlider.setValue(2)
    host.process()
    assert node.GetNthControlPointPositionStatus(6) == node.PositionMissing
    assert np.array_equal(stored(study, "3CH"), whole, equal_nan=True)
    moved = whole[2, 7] + [1.0, 1.0, 0.0]
    node.SetNthControlPointPosition(7, moved)
    assert provenance(study, "3CH", 2, 8) == Provenance.MANUAL


def test_placing_keeps_the_zoom(study, slice_views):
    view = slice_views["4CH"]
    study.study.show_in_views()
    view.node.SetFieldOfView(40, 40, 1)
    study.review.select("4CH", 6)
    study.ui.absentButton.click()
    study.review.place()
    assert view.node.GetFieldOfView()[0] == pytest.approx(40)
    study.review.placing.stop()


def test_a_volume_of_the_users_own_stays_in_its_view(selected, slice_views):
    own = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "own")
    composite = slice_views["2CH"].logic.GetSliceCompositeNode()
    composite.SetBackgroundVolumeID(own.GetID())
    selected.ui.viewSelector2CH.setCurrentNode(None)
    selected.study.show_in_views()
    assert composite.GetBackgroundVolumeID() == own.GetID()


def test_leaving_the_module_leaves_no_control_tied(study, host):
    """As often as it is opened, a click writes the scene once, and none after it was left."""
    for _ in range(3):
        study.exit()
        study.enter()
    study.ui.aorticCheckBox.click()
    assert study.parameters.aortic
    study.exit()
    study.ui.aorticCheckBox.click()
    assert study.parameters.aortic
    assert not study.parameters._guis
    study.enter()


def test_reset_of_a_point_a_frame_a_landmark(study, host):
    predicted = stored(study, "4CH")
    study.review.select("4CH", 6)
    study.ui.frameSlider.setValue(4)

    def correct():
        for frame, number in ((4, 6), (4, 9), (10, 6)):
            study.logic.setPosition("4CH", frame, number, predicted[frame, number - 1] + 2.0, spread=0)

    def manual():
        return {tuple(int(i) for i in at) for at in np.argwhere(study.logic.landmarks("4CH")[2] == Provenance.MANUAL)}

    for button, left in (
        (study.ui.resetPointButton, {(4, 8), (10, 5)}),
        (study.ui.resetFrameButton, {(10, 5)}),
        (study.ui.resetLandmarkButton, {(4, 8)}),
    ):
        correct()
        assert manual() == {(4, 5), (4, 8), (10, 5)}
        button.click()
        assert manual() == left
    study.logic.reset("4CH")
    assert np.array_equal(stored(study, "4CH"), predicted, equal_nan=True)


def test_the_keys_work_while_the_module_is_open_and_only_then(study, host):
    press(study, host, QtCore.Qt.Key_6)
    assert study.review.selected == ("4CH", 6)
    press(study, host, QtCore.Qt.Key_0)
    assert study.review.selected == ("4CH", 10)
    frame = study.ui.frameSlider.value
    press(study, host, QtCore.Qt.Key_Right)
    assert study.ui.frameSlider.value == frame + 1
    press(study, host, QtCore.Qt.Key_Left)
    assert study.ui.frameSlider.value == frame
    press(study, host, QtCore.Qt.Key_A)
    assert provenance(study, "4CH", frame, 10) == Provenance.ABSENT
    press(study, host, QtCore.Qt.Key_Z, QtCore.Qt.ControlModifier)
    assert provenance(study, "4CH", frame, 10) == Provenance.AUTO
    press(study, host, QtCore.Qt.Key_Y, QtCore.Qt.ControlModifier)
    press(study, host, QtCore.Qt.Key_R)
    assert provenance(study, "4CH", frame, 10) == Provenance.AUTO
    press(study, host, QtCore.Qt.Key_N)
    assert study.review.selected == (WRONG[0], WRONG[2]) and study.ui.frameSlider.value == WRONG[1]
    study.exit()
    press(study, host, QtCore.Qt.Key_A)
    assert provenance(study, WRONG[0], WRONG[1], WRONG[2]) == Provenance.AUTO
    study.enter()
    press(study, host, QtCore.Qt.Key_A)
    assert provenance(study, WRONG[0], WRONG[1], WRONG[2]) == Provenance.ABSENT


def test_digits_typed_into_a_field_stay_there(study, host):
    study.review.select("2CH", 1)
    window = slicer.util.mainWindow()
    window.activateWindow()
    study.ui.spreadSpinBox.setFocus()
    study.ui.spreadSpinBox.selectAll()
    host.process()
    if not study.ui.spreadSpinBox.hasFocus():
        pytest.skip("no focus on this platform")
    QtTest.QTest.keyClick(study.ui.spreadSpinBox, QtCore.Qt.Key_7)
    assert study.ui.spreadSpinBox.value == 7 and study.review.selected == ("2CH", 1)


def test_a_click_in_the_plot_goes_to_that_frame(study, host):
    study.review.select("4CH", 5)
    label = study.ui.displacementPlot
    for frame in (0, 7, FRAMES["4CH"] - 1):
        x = next(x for x in range(label.width) if study.review.plot.frame_at(x) == frame)
        QtTest.QTest.mouseClick(label, QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, QtCore.QPoint(x + 1, 40))
        host.process()
        assert study.ui.frameSlider.value == frame
    data = study.review.data["4CH"]
    assert data.doubtful(4)[WRONG[1]] and not data.corrected(4).any()
    assert data.displacement(4)[0][WRONG[1]] > data.displacement(4)[0][WRONG[1] - 1] + 5


def test_the_plot_shows_what_is_drawn(study, host):
    """Pixels change where the curve is when the point moves."""
    study.review.select("2CH", 1)
    label = study.ui.displacementPlot
    host.process()

    def picture():
        image = label.pixmap.toImage() if not callable(label.pixmap) else label.pixmap().toImage()
        return np.array([[image.pixelColor(x, y).lightness() for x in range(image.width())] for y in range(20, 110)])

    before = picture()
    assert (before < 200).sum() > 100
    study.logic.setPosition("2CH", 4, 1, stored(study, "2CH")[4, 0] + [6.0, 6.0, 6.0], spread=0)
    host.process()
    assert (np.abs(before - picture()) > 40).sum() > 50

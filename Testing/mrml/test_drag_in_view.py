"""A real slice view off the screen, a real mouse: what a drag stores, and where."""

import numpy as np
import pytest
from CardiacValveLandmarksLib.correction import window
from CardiacValveLandmarksLib.landmarks import Provenance
from snapshot import scene_of, stored_positions

VIEW, NUMBER, FRAME = "4CH", 5, 6


@pytest.fixture
def view(app, study, sequences):
    from slice_view import SliceView

    browser = study.browserNode(VIEW)
    try:
        view = SliceView(app, browser.GetProxyNode(sequences[VIEW]))
    except RuntimeError as error:
        pytest.skip(str(error))
    browser.SetSelectedItemNumber(FRAME)
    yield view
    view.close()


def test_the_points_are_seen_where_they_are(view, study):
    """Rendered with a landmark and without: pixels change at the landmark and only there."""
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkRenderingCore import vtkWindowToImageFilter

    def picture():
        view.render()
        grab = vtkWindowToImageFilter()
        grab.SetInput(view.window)
        grab.ReadFrontBufferOff()
        grab.Update()
        image = grab.GetOutput()
        width, height, _ = image.GetDimensions()
        return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1).astype(int)

    at = view.to_display(study.landmarks(VIEW)[0][FRAME, NUMBER - 1])
    shown = picture()
    study.setAbsent(VIEW, FRAME, NUMBER)
    changed = np.argwhere(np.abs(shown - picture()).sum(2) > 30)
    x, y = np.round(at).astype(int)
    assert len(changed) and np.abs(changed - [y, x]).max(1).min() <= 1
    assert len(changed) < 0.03 * 400 * 400  # the point and its name


def test_a_drag_moves_its_own_frame_and_by_spreading_its_neighbours(view, study):
    before, whole = stored_positions(study, VIEW), scene_of(study)
    start = np.round(view.to_display(before[FRAME, NUMBER - 1]))
    end = np.add(start, (40, 25))
    view.drag(start, end)
    after = stored_positions(study, VIEW)
    moved = np.linalg.norm(np.nan_to_num(after - before), axis=2)
    assert after[FRAME, NUMBER - 1] == pytest.approx(view.to_ras(end), abs=0.7)  # taken hold of within a pixel
    others = np.delete(np.arange(11), NUMBER - 1)
    assert not moved[:, others].any()
    column = moved[:, NUMBER - 1]
    reach = np.arange(FRAME - 3, FRAME + 4)
    assert not np.delete(column, reach).any()
    assert column[FRAME : FRAME + 4] == pytest.approx(column[FRAME] * window(3), rel=1e-6)
    provenance = study.landmarks(VIEW)[2][:, NUMBER - 1]
    assert provenance[FRAME] == Provenance.MANUAL
    assert (provenance[np.delete(reach, 3)] == Provenance.PROPAGATED).all()
    assert study.undo(), "a drag is one step"
    assert scene_of(study) == whole


def test_while_dragging_the_frame_is_stored_at_once_and_no_other(view, study):
    before = stored_positions(study, VIEW)
    start = np.round(view.to_display(before[FRAME, NUMBER - 1]))
    view.hover(start)
    view.press(start)
    for step in (10, 20, 30):
        view.move(np.add(start, (step, 0)))
        now = stored_positions(study, VIEW)
        assert now[FRAME, NUMBER - 1] == pytest.approx(view.to_ras(np.add(start, (step, 0))), abs=0.7)
        assert np.array_equal(np.delete(now, FRAME, 0), np.delete(before, FRAME, 0), equal_nan=True)
        assert study.landmarks(VIEW)[2][FRAME, NUMBER - 1] == Provenance.MANUAL
        node = study._current().view(VIEW).nodes.sequence.GetNthDataNode(FRAME)
        assert "manual" in node.GetNthControlPointDescription(NUMBER - 1)
    view.release(np.add(start, (30, 0)))
    assert study.landmarks(VIEW)[2][FRAME + 1, NUMBER - 1] == Provenance.PROPAGATED


def test_spreading_switched_off(view, study):
    study.spread = 0
    before = stored_positions(study, VIEW)
    start = np.round(view.to_display(before[FRAME, NUMBER - 1]))
    view.drag(start, np.add(start, (20, 0)))
    moved = np.linalg.norm(np.nan_to_num(stored_positions(study, VIEW) - before), axis=2)
    assert np.argwhere(moved).tolist() == [[FRAME, NUMBER - 1]]


def test_a_point_placed_by_hand_elsewhere_does_not_move(view, study):
    neighbour = study.landmarks(VIEW)[0][FRAME + 2, NUMBER - 1] + [0, 0, 3]
    study.setPosition(VIEW, FRAME + 2, NUMBER, neighbour, spread=2)
    placed = stored_positions(study, VIEW)
    start = np.round(view.to_display(placed[FRAME, NUMBER - 1]))
    view.drag(start, np.add(start, (30, 10)))
    after = stored_positions(study, VIEW)
    assert np.array_equal(after[FRAME + 2, NUMBER - 1], placed[FRAME + 2, NUMBER - 1])
    assert study.landmarks(VIEW)[2][FRAME + 1, NUMBER - 1] == Provenance.PROPAGATED


def test_a_press_and_release_without_a_move_is_no_step(view, study):
    before = scene_of(study)
    start = np.round(view.to_display(stored_positions(study, VIEW)[FRAME, NUMBER - 1]))
    view.hover(start)
    view.press(start)
    view.release(start)
    assert scene_of(study) == before


def test_the_frame_changes_under_a_drag(view, study):
    """The frame left keeps what was done in it; the new one is not touched."""
    before = stored_positions(study, VIEW)
    study.spread = 0
    start = np.round(view.to_display(before[FRAME, NUMBER - 1]))
    view.hover(start)
    view.press(start)
    view.move(np.add(start, (25, 0)))
    study.browserNode(VIEW).SetSelectedItemNumber(FRAME + 5)
    after = stored_positions(study, VIEW)
    assert study.landmarks(VIEW)[2][FRAME, NUMBER - 1] == Provenance.MANUAL
    assert np.array_equal(np.delete(after, FRAME, 0), np.delete(before, FRAME, 0), equal_nan=True)
    # the mouse still holds the point: what it does now is of no frame
    for further in (30, 40, 50):
        view.move(np.add(start, (further, 0)))
        assert np.array_equal(stored_positions(study, VIEW), after, equal_nan=True)
    study.browserNode(VIEW).SetSelectedItemNumber(FRAME + 6)
    view.move(np.add(start, (60, 0)))
    view.release(np.add(start, (60, 0)))
    assert np.array_equal(stored_positions(study, VIEW), after, equal_nan=True)
    # and the next drag counts again
    study.setPosition(VIEW, FRAME + 6, NUMBER, before[FRAME, NUMBER - 1], spread=0)
    assert study.landmarks(VIEW)[2][FRAME + 6, NUMBER - 1] == Provenance.MANUAL


def test_taking_hold_of_a_point_stops_every_view(view, study):
    """They step together: another view that plays would change the frame under the drag."""
    other = next(name for name in study.views() if name != VIEW)
    study.browserNode(other).SetPlaybackActive(True)
    start = np.round(view.to_display(stored_positions(study, VIEW)[FRAME, NUMBER - 1]))
    view.hover(start)
    view.press(start)
    assert not study.browserNode(other).GetPlaybackActive()
    view.release(start)


def test_a_missing_point_is_placed_by_a_click_in_place_mode(view, study, app):
    """Slicer's own place mode: nothing is decided while the point is only previewed under the mouse."""
    study.setAbsent(VIEW, FRAME, NUMBER)
    study.spread = 0
    node = study.landmarksNode(VIEW)
    node.UnsetNthControlPointPosition(NUMBER - 1)
    node.SetControlPointPlacementStartIndex(NUMBER - 1)
    selection = app.applicationLogic().GetSelectionNode()
    interaction = app.applicationLogic().GetInteractionNode()
    selection.SetReferenceActivePlaceNodeClassName(node.GetClassName())
    selection.SetActivePlaceNodeID(node.GetID())
    interaction.SetPlaceModePersistence(0)
    interaction.SetCurrentInteractionMode(interaction.Place)
    before, at = stored_positions(study, VIEW), np.array([220.0, 260.0])
    view.hover(at)
    assert node.GetNthControlPointPositionStatus(NUMBER - 1) == node.PositionPreview
    assert study.landmarks(VIEW)[2][FRAME, NUMBER - 1] == Provenance.ABSENT
    view.press(at)
    view.release(at)
    assert study.landmarks(VIEW)[2][FRAME, NUMBER - 1] == Provenance.MANUAL
    assert study.landmarks(VIEW)[0][FRAME, NUMBER - 1] == pytest.approx(view.to_ras(at), abs=1e-6)
    moved = np.argwhere(np.abs(np.nan_to_num(stored_positions(study, VIEW)) - np.nan_to_num(before)).max(2) > 0)
    assert moved.tolist() == [[FRAME, NUMBER - 1]]
    assert study.undo() and study.landmarks(VIEW)[2][FRAME, NUMBER - 1] == Provenance.ABSENT

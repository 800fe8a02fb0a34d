"""Cine <-> sequence nodes, as Slicer loads cines and as we do."""

import numpy as np
import pytest
import slicer
import vtk
from CardiacValveLandmarksLib.cine import Cine
from CardiacValveLandmarksLib.errors import InputError
from CardiacValveLandmarksLib.mrml.cine_nodes import (
    browser_of,
    cine_from_sequence,
    is_cine,
    scene_geometry,
    sequence_from_cine,
    usable_browser,
)
from synthetic import TruthDetector, make_cine


def assert_same_cine(a: Cine, b: Cine):
    assert np.array_equal(a.frames, b.frames)
    for name in ("origin", "axis0", "axis1"):
        assert getattr(a.geometry, name) == pytest.approx(getattr(b.geometry, name), abs=1e-9)
    assert a.times_ms == pytest.approx(b.times_ms, abs=1e-9) and a.rr_ms == b.rr_ms
    assert (a.view, a.name, a.rr_source) == (b.view, b.name, b.rr_source)


def bare_sequence(frames, index_unit="", labels=None, matrix=None, tag="TriggerTime"):
    """A sequence as MultiVolumeImporter leaves it: index 0…N-1 without unit, trigger times in attributes."""
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "imported")
    sequence.SetIndexName("")
    sequence.SetIndexUnit(index_unit)
    for index, pixels in enumerate(frames):
        volume = slicer.vtkMRMLScalarVolumeNode()
        volume.SetName(f"frame {index}")
        image = vtk.vtkImageData()
        pixels = np.atleast_3d(pixels.T).T
        image.SetDimensions(pixels.shape[2], pixels.shape[1], pixels.shape[0])
        image.AllocateScalars(vtk.VTK_SHORT, 1)
        image.GetPointData().SetScalars(vtk.util.numpy_support.numpy_to_vtk(pixels.astype(np.int16).ravel(), deep=True))
        volume.SetAndObserveImageData(image)
        if matrix is not None:
            volume.SetIJKToRASMatrix(matrix if not isinstance(matrix, list) else matrix[index])
        sequence.SetDataNodeAtValue(volume, str(index))
    if labels is not None:
        sequence.SetAttribute("MultiVolume.FrameLabels", ",".join(labels))
        sequence.SetAttribute("MultiVolume.FrameIdentifyingDICOMTagUnits", "ms")
        sequence.SetAttribute("MultiVolume.FrameIdentifyingDICOMTagName", tag)
    return sequence


def oblique(shift=0.0):
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy([0.9, 0.3, 0, -20, 0.3, -0.9, 0, 30 + shift, 0, 0, -8, 5, 0, 0, 0, 1])
    return matrix


@pytest.mark.parametrize("view", ["2CH", "3CH", "4CH"])
def test_there_and_back(app, view):
    cine = make_cine(view)
    sequence = sequence_from_cine(cine)
    assert_same_cine(cine_from_sequence(sequence), cine)
    assert is_cine(sequence)


def test_a_pixel_is_where_slicer_shows_it(app):
    cine = make_cine("3CH")
    sequence = sequence_from_cine(cine)
    volume = browser_of(sequence).GetProxyNode(sequence)
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    row, column = 7, 19
    ras = matrix.MultiplyPoint([column, row, 0, 1])[:3]
    assert np.array(ras) * [-1, -1, 1] == pytest.approx(cine.geometry.to_patient(np.array([row, column])))
    assert slicer.util.arrayFromVolume(volume)[0, row, column] == cine.frames[0, row, column]
    assert matrix.Determinant() > 0


def test_a_cine_without_geometry_stays_without(app):
    cine = Cine(np.random.default_rng(0).random((5, 6, 7)), spacing=np.array([1.2, 1.5]), name="flat")
    back = cine_from_sequence(sequence_from_cine(cine))
    assert back.geometry is None and back.times_ms is None and back.rr_ms is None
    assert back.spacing == pytest.approx([1.2, 1.5])


def test_trigger_times_from_the_dicom_import(app):
    frames = np.random.default_rng(0).integers(0, 99, (20, 6, 7))
    labels = [f"{12.5 + 43 * i:g}" for i in range(20)]
    cine = cine_from_sequence(bare_sequence(frames, labels=labels, matrix=oblique()))
    assert cine.times_ms == pytest.approx([12.5 + 43 * i for i in range(20)])
    assert cine.rr_ms == pytest.approx(860) and "frames" in cine.rr_source
    assert cine.geometry.origin == pytest.approx([20, -30, 5])
    assert np.array_equal(cine.frames, frames)


def test_landmarks_on_an_imported_cine_step_with_it(app):
    """Index 0…N-1 without name or unit, as text: frame 10 comes after 9, not after 1."""
    from CardiacValveLandmarksLib.mrml.logic import StudyLogic

    frames = np.random.default_rng(0).integers(0, 99, (23, 40, 50))
    sequence = bare_sequence(frames, labels=[str(40 * i) for i in range(23)], matrix=oblique())
    logic = StudyLogic(TruthDetector())
    node = logic.detect({"4CH": sequence})["4CH"]
    positions, browser = logic.landmarks("4CH")[0], logic.browserNode("4CH")
    for frame in (0, 1, 2, 9, 10, 11, 22):
        browser.SetSelectedItemNumber(frame)
        assert node.GetNthControlPointPosition(4) == pytest.approx(positions[frame, 4])
        assert np.array_equal(slicer.util.arrayFromVolume(browser.GetProxyNode(sequence))[0], frames[frame])
    logic.cleanup()


def test_frames_told_apart_by_echo_time_have_no_times(app):
    labels = [str(2 + i) for i in range(20)]
    cine = cine_from_sequence(
        bare_sequence(np.arange(20)[:, None, None] + np.zeros((20, 6, 7)), labels=labels, tag="EchoTime")
    )
    assert cine.times_ms is None and cine.rr_ms is None


def test_the_importers_files_give_what_the_node_does_not(app, real_data):
    from CardiacValveLandmarksLib.readers import read_cine

    folder = next(p for p in sorted((real_data / "biv-me" / "dicom").iterdir()) if "6" in p.name or p.is_dir())
    known = read_cine(folder)
    sequence = sequence_from_cine(known)
    for name in list(sequence.GetAttributeNames()):
        sequence.RemoveAttribute(name)
    files = [str(p) for p in sorted(folder.rglob("*")) if p.is_file()]
    sequence.SetAttribute("MultiVolume.FrameFileList", ",".join(files))
    cine = cine_from_sequence(sequence)
    assert cine.rr_ms == known.rr_ms and cine.frame_of_reference_uid == known.frame_of_reference_uid != ""
    assert cine.patient_key == known.patient_key and cine.study_uid == known.study_uid


def test_a_seq_nrrd_file(app, tmp_path):
    cine = make_cine("2CH")
    path = str(tmp_path / "cine é.seq.nrrd")
    assert slicer.util.saveNode(sequence_from_cine(cine), path)
    loaded = cine_from_sequence(slicer.util.loadSequence(path))
    assert np.array_equal(loaded.frames, cine.frames)
    assert loaded.times_ms == pytest.approx(cine.times_ms, abs=1e-3)
    assert loaded.geometry.axis0 == pytest.approx(cine.geometry.axis0, abs=1e-6)


def test_a_deleted_proxy_is_mended(app):
    sequence = sequence_from_cine(make_cine("2CH"))
    browser = browser_of(sequence)
    slicer.mrmlScene.RemoveNode(browser.GetProxyNode(sequence))
    assert usable_browser(sequence) is browser
    assert browser.GetProxyNode(sequence).GetImageData() is not None


def test_scene_geometry_is_that_of_the_volume(app):
    cine = make_cine("4CH")
    assert scene_geometry(sequence_from_cine(cine)).origin == pytest.approx(cine.geometry.origin)


STILL = np.ones((6, 7))


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda: bare_sequence([STILL]), "1 frame"),
        (lambda: bare_sequence([]), "0 frames"),
        (lambda: bare_sequence([np.ones((4, 6, 7))] * 3), "3-D volumes"),
        (lambda: bare_sequence([STILL, np.ones((6, 8))]), r"\(6, 8\) in frame 1"),
        (lambda: bare_sequence([STILL] * 2, matrix=[oblique(), oblique(5)]), "another place"),
        (lambda: with_model(), "frame 0"),
    ],
    ids=["one frame", "none", "3-D", "sizes", "moves", "models"],
)
def test_what_is_no_cine_is_refused_with_what_was_found(app, make, found):
    sequence = make()
    nodes = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(InputError, match=found) as caught:
        cine_from_sequence(sequence)
    assert caught.value.path == sequence.GetName() and caught.value.exit_status == 3
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes


def with_model():
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "models")
    for index in range(3):
        sequence.SetDataNodeAtValue(slicer.vtkMRMLModelNode(), str(index))
    return sequence


def test_colour_and_transform_are_refused(app):
    sequence = sequence_from_cine(make_cine("2CH"))
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    browser_of(sequence).GetProxyNode(sequence).SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(InputError, match=r"moved.*Take the cine out"):
        cine_from_sequence(sequence)

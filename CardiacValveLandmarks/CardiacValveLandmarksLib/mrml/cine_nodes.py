"""Cine <-> sequence and browser nodes.

A sequence's frames may come from Slicer's DICOM import (index 0…N-1, trigger times in attributes), from a
`.seq.nrrd`, or from this library's own readers. A Cine's axis 0 is the volume's j, axis 1 its i.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from ..cine import Cine
from ..errors import InputError
from ..files import safe_name
from ..geometry import SliceGeometry
from ..readers.checks import COUNTED, TIME_MS, cycle_from_frames, is_placeholder
from .scene import ATTRIBUTE_KIND, ATTRIBUTE_VIEW, PREFIX, flip, in_scene, sequences_logic

#: facts of a Cine that a sequence node has no place for
_ATTRIBUTE_FACTS = PREFIX + "Cine"
KIND = "cine"
#: what Slicer's MultiVolumeImporter leaves on the sequence
_LABELS = "MultiVolume.FrameLabels"
_UNITS = "MultiVolume.FrameIdentifyingDICOMTagUnits"
_TAG = "MultiVolume.FrameIdentifyingDICOMTagName"
_FILES = "MultiVolume.FrameFileList"
#: tags that are times; the importer also orders frames by echo time, flip angle, …
_TIME_TAGS = ("TriggerTime", "AcquisitionTime", "ContentTime", "SeriesTime")
#: frames of one cine may differ by this, mm, in where they lie
_SAME_PLACE_MM = 1e-2


def transform_over(sequence) -> str:
    """The name of the transform over the volume that shows a sequence, "" where there is none."""
    browser = browser_of(sequence)
    proxy = browser.GetProxyNode(sequence) if browser is not None else None
    node = None if proxy is None else proxy.GetParentTransformNode()
    return "" if node is None else node.GetName()


def cine_from_sequence(sequence, view: str | None = None) -> Cine:
    """The cine a volume sequence holds. Voxels are copied, so that work on them survives changes of the scene.

    view: what the user says it is, else what a cine of ours stated. InputError, naming the node, where the sequence
    is gone, not a 2-D cine of one place, or moved by a transform.
    """
    if not in_scene(sequence):
        raise InputError("cine", "a sequence in the scene", "a node that was removed", "Select the cine again.")
    name = sequence.GetName()
    frames, matrix = _frames(sequence)
    transform = transform_over(sequence)
    if transform:
        # hardening would move the frame that is shown, and not the sequence
        advice = "Take the cine out of the transform."
        raise InputError(name, "a cine that is not under a transform", transform, advice)
    times, gated = _times_ms(sequence)
    facts = json.loads(sequence.GetAttribute(_ATTRIBUTE_FACTS) or "{}")
    if facts:
        thickness, placed, spacing = (facts.pop(key) for key in ("thickness", "geometry", "spacing"))
        geometry = _geometry(matrix, thickness) if placed else None
        facts["doubts"] = tuple(facts.get("doubts", ()))  # earlier versions wrote none
    else:
        axes = flip(matrix[:3, [1, 0, 2]].T).T
        geometry, spacing = _geometry(matrix, np.linalg.norm(matrix[:3, 2])), None
        if is_placeholder(axes, flip(matrix[:3, 3])):
            # read from a file without patient space: Slicer then puts it along the axes, at the origin
            geometry, spacing = None, None if (geometry.spacing == 1).all() else geometry.spacing
        rr = cycle_from_frames(times) if gated else None
        facts = {"name": safe_name(name), "rr_ms": rr, "rr_source": "unknown" if rr is None else COUNTED}
        facts |= _dicom_facts(sequence, frames.shape, times)
    view = view or sequence.GetAttribute(ATTRIBUTE_VIEW) or None
    return Cine(frames, geometry, spacing, times, view=view, **facts)


def sequence_from_cine(cine: Cine, scene=None):
    """A sequence node for `cine`, with a browser and a proxy volume, in `scene` (the application's by default).

    A cine without geometry lies at the origin, one pixel `spacing` (or 1 mm) wide, and says so to
    `cine_from_sequence`; without times the index is the frame number.
    """
    scene = scene or slicer.mrmlScene
    geometry = cine.geometry
    if geometry is None:
        spacing = np.ones(2) if cine.spacing is None else cine.spacing
        geometry = SliceGeometry(np.zeros(3), [0, spacing[0], 0], [spacing[1], 0, 0])
    name = scene.GenerateUniqueName(cine.name)
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
    timed = cine.times_ms is not None
    sequence.SetIndexName("time" if timed else "frame")
    sequence.SetIndexUnit("ms" if timed else "")
    sequence.SetIndexType(sequence.NumericIndex)
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(_matrix(geometry).ravel())
    low, high = (float(v) for v in np.percentile(cine.frames, (1, 99)))
    for frame in range(cine.n_frames):
        volume = slicer.vtkMRMLScalarVolumeNode()
        volume.SetName(name)
        volume.SetAndObserveImageData(image_of(cine.frames[frame]))
        volume.SetIJKToRASMatrix(matrix)
        sequence.SetDataNodeAtValue(volume, repr(float(cine.times_ms[frame])) if timed else str(frame))
    facts = {
        "geometry": cine.geometry is not None,
        "spacing": None if cine.spacing is None else list(cine.spacing),
        "thickness": geometry.thickness if np.isfinite(geometry.thickness) else None,
        "rr_ms": cine.rr_ms,
        "rr_source": cine.rr_source,
        "name": cine.name,
        "source": cine.source,
        "study_uid": cine.study_uid,
        "frame_of_reference_uid": cine.frame_of_reference_uid,
        "patient_key": cine.patient_key,
        "attributes": dict(cine.attributes),
        "doubts": cine.doubts,
    }
    sequence.SetAttribute(_ATTRIBUTE_FACTS, json.dumps(facts, default=float))
    sequence.SetAttribute(ATTRIBUTE_KIND, KIND)
    if cine.view is not None:
        sequence.SetAttribute(ATTRIBUTE_VIEW, cine.view)
    browser = make_browser(sequence)
    display = browser.GetProxyNode(sequence).GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(low, max(high, low + 1e-6))
    return sequence


def pixels_of(sequence) -> np.ndarray:
    """(T, H, W) float32: the sequence's images alone. InputError as `cine_from_sequence`."""
    return _frames(sequence)[0]


def scene_geometry(sequence) -> SliceGeometry:
    """Where the sequence lies in the scene, also where its file states no patient geometry. InputError: no images."""
    if not sequence.GetNumberOfDataNodes() or not sequence.GetNthDataNode(0).IsA("vtkMRMLVolumeNode"):
        _frames(sequence)  # raises what is to be said of it
    matrix = vtk.vtkMatrix4x4()
    sequence.GetNthDataNode(0).GetIJKToRASMatrix(matrix)
    return _geometry(np.array([matrix.GetElement(r, c) for r in range(4) for c in range(4)]).reshape(4, 4), None)


def browser_of(sequence):
    """The browser that has this sequence as master, or None: in one where it follows, frames have other numbers."""
    found = vtk.vtkCollection()
    sequences_logic(sequence.GetScene()).GetBrowserNodesForSequenceNode(sequence, found)
    browsers = [found.GetItemAsObject(i) for i in range(found.GetNumberOfItems())]
    return next((browser for browser in browsers if browser.GetMasterSequenceNode() is sequence), None)


def make_browser(sequence):
    """A browser of its own for a sequence that has none, with the proxy volume."""
    browser = sequence.GetScene().AddNewNodeByClass("vtkMRMLSequenceBrowserNode", sequence.GetName() + " browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    sequences_logic(browser.GetScene()).UpdateProxyNodesFromSequences(browser)
    return browser


def make_proxy(sequence, browser):
    """The node that shows a sequence's current frame in `browser`, made where it is missing, with its display.

    The sequence's index must have the browser's name and unit: nothing checks it here, and a mismatch would show wrong
    frames. A proxy of our own is not handed over: the browser makes one as soon as it hears of the sequence.
    """
    if not browser.IsSynchronizedSequenceNode(sequence, True):
        browser.AddSynchronizedSequenceNode(sequence)
    if browser.GetProxyNode(sequence) is None:
        # deleted by hand
        browser.AddProxyNode(sequence.GetNthDataNode(0), sequence, True)
    sequences_logic(browser.GetScene()).UpdateProxyNodesFromSequences(browser)
    proxy = browser.GetProxyNode(sequence)
    if proxy.GetDisplayNode() is None:
        proxy.CreateDefaultDisplayNodes()
    return proxy


def usable_browser(sequence):
    """The sequence's browser with an existing proxy volume: made or mended where it is missing."""
    browser = browser_of(sequence) or make_browser(sequence)
    make_proxy(sequence, browser)
    return browser


def is_cine(sequence) -> bool:
    """Whether the node looks like a 2-D cine, without reading its voxels: for selectors and lists."""
    if sequence.GetNumberOfDataNodes() < 2:
        return False
    image = getattr(sequence.GetNthDataNode(0), "GetImageData", lambda: None)()
    return image is not None and image.GetDimensions()[2] == 1


def _frames(sequence) -> tuple[np.ndarray, np.ndarray]:
    """(T, H, W) float32 and the (4, 4) IJK-to-RAS matrix that all frames share."""
    name, count = sequence.GetName(), sequence.GetNumberOfDataNodes()
    expected = "a 2-D cine: two or more frames of one slice"
    if count < 2:
        raise InputError(name, expected, f"{count} frame" + "s" * (count != 1), "Select a cine, not a single image.")
    frames, first = [], None
    matrix = vtk.vtkMatrix4x4()
    for index in range(count):
        node = sequence.GetNthDataNode(index)
        image = node.GetImageData() if node is not None and node.IsA("vtkMRMLVolumeNode") else None
        if image is None or image.GetPointData().GetScalars() is None:
            kind = "an empty frame" if node is None else f"a {node.GetNodeTagName()}"
            raise InputError(name, expected, f"{kind} at frame {index}", "Select a sequence of images.")
        width, height, depth = image.GetDimensions()
        if depth != 1:
            raise InputError(
                name, expected, f"3-D volumes ({width} x {height} x {depth})", "Split the series into slices."
            )
        if image.GetNumberOfScalarComponents() != 1:
            raise InputError(name, expected, "colour images", "Select the grey-level cine.")
        pixels = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width)
        node.GetIJKToRASMatrix(matrix)
        place = np.array([matrix.GetElement(r, c) for r in range(4) for c in range(4)]).reshape(4, 4)
        if first is None:
            first = (pixels.shape, place)
        if pixels.shape != first[0]:
            found = f"{first[0]} pixels in frame 0 and {pixels.shape} in frame {index}"
            raise InputError(name, expected, found, "Load each series on its own.")
        if np.abs(place - first[1]).max() > _SAME_PLACE_MM:
            raise InputError(
                name, expected, f"frame {index} at another place than frame 0", "Load each slice on its own."
            )
        frames.append(pixels.astype(np.float32))
    stack = np.stack(frames)
    if not np.isfinite(stack).all():
        raise InputError(name, "finite pixel values", "NaN or infinity", "Load the series again.")
    return stack, first[1]


def _geometry(matrix: np.ndarray, thickness: float | None) -> SliceGeometry:
    thickness = float("nan") if thickness is None else float(thickness)
    return SliceGeometry(flip(matrix[:3, 3]), flip(matrix[:3, 1]), flip(matrix[:3, 0]), thickness)


def _matrix(geometry: SliceGeometry) -> np.ndarray:
    """(4, 4) IJK to RAS. The third axis makes the system right-handed; its length is the slice thickness."""
    i, j = flip(geometry.axis1), flip(geometry.axis0)
    k = np.cross(i, j)
    thickness = geometry.thickness if np.isfinite(geometry.thickness) and geometry.thickness > 0 else 1.0
    matrix = np.eye(4)
    matrix[:3] = np.column_stack([i, j, k / np.linalg.norm(k) * thickness, flip(geometry.origin)])
    return matrix


def image_of(pixels: np.ndarray):
    """(H, W) -> one-slice vtkImageData that owns its voxels."""
    image = vtk.vtkImageData()
    image.SetDimensions(pixels.shape[1], pixels.shape[0], 1)
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(pixels.ravel(), deep=True))
    return image


def _times_ms(sequence) -> tuple[np.ndarray | None, bool]:
    """(T,) ms or None where the sequence states none, and whether they count from the R wave."""
    count = sequence.GetNumberOfDataNodes()
    labels, tag = sequence.GetAttribute(_LABELS), sequence.GetAttribute(_TAG)
    if labels:
        if tag not in (None, "", *_TIME_TAGS):
            return None, False
        texts, unit = labels.split(","), sequence.GetAttribute(_UNITS) or ""
        gated = tag in (None, "", "TriggerTime")
    else:
        texts, unit = [sequence.GetNthIndexValue(i) for i in range(count)], sequence.GetIndexUnit() or ""
        gated = True
    factor = TIME_MS.get(unit.strip().lower())
    if factor is None or len(texts) != count:
        return None, False
    try:
        times = np.array([float(text) for text in texts]) * factor
    except ValueError:
        return None, False
    usable = np.isfinite(times).all() and (np.diff(times) > 0).all()
    return (times, gated) if usable else (None, False)


def _dicom_facts(sequence, shape: tuple[int, ...], times: np.ndarray | None) -> dict:
    """What the DICOM files behind an imported sequence say of it, read by this library's own reader.

    Empty where the files have moved, or do not hold the very frames of the sequence.
    """
    files = [Path(text.strip()) for text in (sequence.GetAttribute(_FILES) or "").split(",") if text.strip()]
    if not files or not all(file.is_file() for file in files):
        return {}
    from ..readers.dicom import read_dicom

    cines = [cine for cine in read_dicom(files).cines if cine.frames.shape == shape]
    if len(cines) != 1 or times is None or cines[0].times_ms is None:
        return {}
    cine = cines[0]
    if not np.allclose(cine.times_ms - cine.times_ms[0], times - times[0], atol=1.0):
        return {}
    names = (
        *("rr_ms", "rr_source", "name", "source", "study_uid", "frame_of_reference_uid", "patient_key"),
        *("attributes", "doubts"),
    )
    return {name: getattr(cine, name) for name in names}

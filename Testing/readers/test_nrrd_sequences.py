"""NRRD sequences -> cine, written by Slicer's own code where slicer-core is installed."""

import bz2
import gzip

import numpy as np
import pytest
from CardiacValveLandmarksLib.errors import InputError
from CardiacValveLandmarksLib.readers import read_cine
from cine_files import make_geometry

SIGNS = {
    "left-posterior-superior": [1, 1, 1],
    "LPS": [1, 1, 1],
    "right-anterior-superior": [-1, -1, 1],
    "RAS": [-1, -1, 1],
    "left-anterior-superior": [1, -1, 1],
}


def vector(values) -> str:
    return "(" + ",".join(repr(float(value)) for value in values) + ")"


def write_nrrd(path, frames, *, space="left-posterior-superior", first=False, place=None, body=None, **fields):
    """A sequence as Slicer writes it; fields replace header lines, None removes one (names with _ for a space)."""
    place = place or make_geometry()
    signs = np.array(SIGNS.get(space, [1, 1, 1]))
    steps = [vector(v * signs) for v in (place.axis1, place.axis0, 6 * place.normal)]
    count, rows, columns = frames.shape
    data = frames[:, None].astype("<i2")  # (t, k, j, i): i fastest
    sizes, kinds, labels = [columns, rows, 1], ["domain"] * 3, ['""'] * 3
    axis = 0 if first else 3
    for values, new in ((sizes, count), (kinds, "list"), (labels, '"time"'), (steps, "none")):
        values.insert(axis, new)
    if first:
        data = np.moveaxis(data, 0, -1)
    units = ['""'] * 4
    units[axis] = '"ms"'
    header = {
        "type": "short",
        "dimension": "4",
        "space": space,
        "sizes": " ".join(map(str, sizes)),
        "space directions": " ".join(steps),
        "kinds": " ".join(kinds),
        "labels": " ".join(labels),
        "units": " ".join(units),
        "endian": "little",
        "encoding": "raw",
        "space origin": vector(place.origin * signs),
    }
    keys = {
        "DataNodeClassName": "vtkMRMLScalarVolumeNode",
        f"axis {axis} index type": "numeric",
        f"axis {axis} index values": " ".join(str(40.5 * number) for number in range(count)),
        f"axis {axis} item 0000 note": "a: b := c",
    }
    for name, value in fields.items():
        name = name.replace("_", " ")
        (keys if name in keys else header)[name] = value
    lines = ["NRRD0005", "# a comment: with a colon"]
    lines += [f"{name}: {value}" for name, value in header.items() if value is not None]
    lines += [f"{name}:={value}" for name, value in keys.items() if value is not None]
    raw = data.tobytes() if body is None else body(data)
    path.write_bytes("\n".join(lines).encode() + b"\n\n" + raw)
    return place


def noise(frames=6, shape=(9, 7), seed=0):
    return np.random.default_rng(seed).integers(-500, 500, (frames, *shape))


def check(read, frames, place):
    np.testing.assert_array_equal(read.frames, frames)
    pixels = np.array([[0, 0], [8, 0], [0, 6]])
    np.testing.assert_allclose(read.geometry.to_patient(pixels), place.to_patient(pixels), atol=1e-9)


@pytest.mark.parametrize("space", SIGNS)
@pytest.mark.parametrize("first", [False, True])
def test_spaces_and_place_of_the_list_axis(tmp_path, space, first):
    frames = noise()
    place = write_nrrd(tmp_path / "my cine.seq.nrrd", frames, space=space, first=first)
    read = read_cine(tmp_path / "my cine.seq.nrrd")
    check(read, frames, place)
    np.testing.assert_array_equal(read.times_ms, 40.5 * np.arange(6))
    assert read.rr_ms == 243 and read.name == "my_cine" and read.geometry.thickness == pytest.approx(6)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", lambda data: gzip.compress(data.tobytes())),
        ("bzip2", lambda data: bz2.compress(data.tobytes())),
        ("ascii", lambda data: " ".join(map(str, data.ravel())).encode()),
    ],
)
def test_encodings(tmp_path, encoding, body):
    frames = noise()
    place = write_nrrd(tmp_path / "a.nrrd", frames, encoding=encoding, body=body)
    check(read_cine(tmp_path / "a.nrrd"), frames, place)


def test_big_endian_and_skips(tmp_path):
    frames = noise()
    place = write_nrrd(tmp_path / "a.nrrd", frames, endian="big", body=lambda data: data.astype(">i2").tobytes())
    check(read_cine(tmp_path / "a.nrrd"), frames, place)
    write_nrrd(
        tmp_path / "a.nrrd",
        frames,
        line_skip="2",
        byte_skip="3",
        body=lambda data: b"one\ntwo\nxyz" + data.tobytes(),
    )
    check(read_cine(tmp_path / "a.nrrd"), frames, place)
    write_nrrd(tmp_path / "a.nrrd", frames, byte_skip="-1", body=lambda data: b"junk" + data.tobytes())
    check(read_cine(tmp_path / "a.nrrd"), frames, place)


def test_detached_header(tmp_path):
    frames = noise()
    stored = {}
    place = write_nrrd(
        tmp_path / "a.nhdr", frames, data_file="a.raw", body=lambda data: stored.update(raw=data.tobytes()) or b""
    )
    with pytest.raises(InputError, match=r"a\.raw"):
        read_cine(tmp_path / "a.nhdr")
    (tmp_path / "a.raw").write_bytes(stored["raw"])
    check(read_cine(tmp_path / "a.nhdr"), frames, place)


def test_frames_are_put_in_order_of_their_times(tmp_path):
    frames = noise()
    write_nrrd(tmp_path / "a.nrrd", frames, axis_3_index_values="200 0 40 80 120 160")
    read = read_cine(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(read.times_ms, [0, 40, 80, 120, 160, 200])
    np.testing.assert_array_equal(read.frames, frames[[1, 2, 3, 4, 5, 0]])


def test_units(tmp_path):
    frames = noise()
    write_nrrd(tmp_path / "a.nrrd", frames, units='"" "" "" "s"', axis_3_index_values="0 0.04 0.08 0.12 0.16 0.2")
    np.testing.assert_allclose(read_cine(tmp_path / "a.nrrd").times_ms, 40 * np.arange(6))
    # Slicer's DICOM import: numbered, no unit
    write_nrrd(tmp_path / "a.nrrd", frames, units='"" "" "" ""', axis_3_index_values="0 1 2 3 4 5")
    read = read_cine(tmp_path / "a.nrrd")
    assert read.times_ms is None and read.attributes["order_source"] == "index values"
    write_nrrd(tmp_path / "a.nrrd", frames, units='"" "" "" ""', axis_3_index_values="a b c d e f")
    read = read_cine(tmp_path / "a.nrrd")
    assert read.times_ms is None and read.attributes["order_source"] == "file"
    np.testing.assert_array_equal(read.frames, frames)


@pytest.mark.parametrize("unit", ["seconds", "", "mm"])
def test_an_index_out_of_order(tmp_path, unit):
    """Frames are put in the order of the index whatever its unit is."""
    frames = noise()
    values = "0.07 0 0.035 0.105 0.175 0.14"
    write_nrrd(tmp_path / "a.nrrd", frames, units=f'"" "" "" "{unit}"', axis_3_index_values=values)
    read = read_cine(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(read.frames, frames[[1, 2, 0, 3, 5, 4]])
    assert (read.times_ms is None) == (unit != "seconds")


def test_no_geometry(tmp_path):
    frames = noise()
    write_nrrd(tmp_path / "a.nrrd", frames, space=None, space_dimension="3")
    read = read_cine(tmp_path / "a.nrrd")
    assert read.geometry is None
    np.testing.assert_allclose(read.spacing, make_geometry().spacing)
    write_nrrd(
        tmp_path / "a.nrrd",
        frames,
        space_directions="(1,0,0) (0,1,0) (0,0,1) none",
        space_origin="(0,0,0)",
    )
    read = read_cine(tmp_path / "a.nrrd")
    assert read.geometry is None and read.spacing is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dimension": "3", "sizes": "7 9 6", "kinds": "domain domain domain"}, "3-D"),
        ({"sizes": "7 3 3 6"}, "3 slices"),
        ({"sizes": "7 9 6 1"}, "6 slices"),
        ({"kinds": "RGB-color domain domain list"}, "several channels"),
        ({"kinds": "domain domain domain domain", "space_directions": None}, "0 axes of time"),
        ({"encoding": "hex"}, "hex"),
        ({"type": "block"}, "type and sizes"),
        ({"sizes": None}, "type and sizes"),
        ({"endian": None}, "byte order"),
        ({"axis_3_index_values": "0 40 40 80 120 160"}, "5 of them different"),
        ({"axis_3_index_values": "0 40"}, "2 values"),
        ({"axis_3_index_values": "a b c d e f"}, "times"),
        ({"axis_3_index_values": "0 900 1800 2700 3600 4500"}, "900 ms apart"),
        ({"space_directions": "(1,0,0) (1,1,0) (0,0,1) none", "space_origin": "(1,2,3)"}, "orthogonal"),
        ({"data_file": "LIST"}, "one data file"),
    ],
)
def test_no_cine(tmp_path, changes, message):
    write_nrrd(tmp_path / "a.seq.nrrd", noise(), **changes)
    with pytest.raises(InputError, match=message):
        read_cine(tmp_path / "a.seq.nrrd")


def test_every_cut_gives_an_input_error(tmp_path):
    for encoding, body in (("raw", None), ("gzip", lambda data: gzip.compress(data.tobytes()))):
        write_nrrd(tmp_path / "a.nrrd", noise(), encoding=encoding, body=body)
        raw = (tmp_path / "a.nrrd").read_bytes()
        for length in [*range(0, len(raw), 11), len(raw) - 1]:
            (tmp_path / "a.nrrd").write_bytes(raw[:length])
            with pytest.raises(InputError, match=r"a\.nrrd"):
                read_cine(tmp_path / "a.nrrd")


@pytest.mark.parametrize("compressed", [0, 1])
@pytest.mark.parametrize("unit", ["ms", ""])
def test_written_by_slicer(tmp_path, compressed, unit):
    slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    frames, place = noise(), make_geometry()
    matrix = np.eye(4)  # Slicer's index -> RAS
    matrix[:3] = np.stack([place.axis1, place.axis0, 6 * place.normal, place.origin], axis=1)
    matrix[:2] *= -1
    ijk_to_ras = vtk.vtkMatrix4x4()
    ijk_to_ras.DeepCopy(matrix.ravel())
    scene = slicer.vtkMRMLScene()
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode")
    sequence.SetIndexName("time")
    sequence.SetIndexUnit(unit)
    for number, frame in enumerate(frames):
        image = vtk.vtkImageData()
        image.SetDimensions(frame.shape[1], frame.shape[0], 1)
        image.AllocateScalars(vtk.VTK_SHORT, 1)
        vtk_to_numpy(image.GetPointData().GetScalars())[:] = frame.ravel()
        volume = slicer.vtkMRMLScalarVolumeNode()
        volume.SetAndObserveImageData(image)
        volume.SetIJKToRASMatrix(ijk_to_ras)
        sequence.SetDataNodeAtValue(volume, str(number * 33.5 if unit else number))
    storage = scene.AddNewNodeByClass("vtkMRMLVolumeSequenceStorageNode")
    storage.SetUseCompression(compressed)
    storage.SetFileName(str(tmp_path / "a.seq.nrrd"))
    assert storage.WriteData(sequence)
    read = read_cine(tmp_path / "a.seq.nrrd")
    check(read, frames, place)
    if unit:
        np.testing.assert_allclose(read.times_ms, 33.5 * np.arange(6))
    else:
        assert read.times_ms is None

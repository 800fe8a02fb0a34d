"""NIfTI -> cine, against nibabel and SimpleITK; cine -> NIfTI."""

import gzip
import os
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from CardiacValveLandmarksLib.errors import InputError
from CardiacValveLandmarksLib.nifti_writer import write_nifti
from CardiacValveLandmarksLib.readers import read_cine, scan
from cine_files import make_cine, make_geometry
from hypothesis import given, settings
from hypothesis import strategies as st

RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def affine(seed=0):
    """(4, 4) index -> RAS mm of an oblique slice."""
    place = make_geometry(seed)
    lps = np.eye(4)
    lps[:3] = np.stack([place.axis0, place.axis1, 6 * place.normal, place.origin], axis=1)
    return RAS @ lps


def noise(shape=(9, 7, 1, 5), dtype=np.int16, seed=0):
    return np.random.default_rng(seed).integers(0, 100, shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "f4", "f8", "i8", "u8"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_types_byte_orders_and_versions(tmp_path, dtype, order, kind):
    data = noise(dtype=np.dtype(dtype))
    header = kind.header_class(endianness=order)
    header.set_data_dtype(dtype)
    image = kind(data, affine(), header)
    image.header.set_xyzt_units("mm", "msec")
    image.header["pixdim"][4] = 40
    path = tmp_path / "a.nii"
    nibabel.save(image, path)
    assert struct.unpack(order + "i", path.read_bytes()[:4])[0] in (348, 540)
    read = read_cine(path)
    np.testing.assert_array_equal(read.frames, np.moveaxis(data[:, :, 0], -1, 0))
    np.testing.assert_array_equal(read.times_ms, np.arange(5) * 40.0)
    assert (read.rr_ms, read.rr_source) == (200, "frames × interval")
    check_place(read, nibabel.load(path).affine)


def check_place(read, matrix):
    for i, j in ((0, 0), (0, 6), (8, 0)):
        expected = (RAS @ matrix @ [i, j, 0, 1])[:3]
        np.testing.assert_allclose(read.geometry.to_patient([i, j]), expected, atol=1e-4)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_qform_alone(tmp_path, seed, mirrored):
    """Also with qfac -1, where the third axis is mirrored."""
    matrix = affine(seed)
    matrix[:3, 2] *= -1 if mirrored else 1
    image = nibabel.Nifti1Image(noise(), matrix)
    image.set_sform(None, 0)
    image.set_qform(matrix, 1)
    nibabel.save(image, tmp_path / "a.nii.gz")
    stored = nibabel.load(tmp_path / "a.nii.gz")
    assert stored.header["pixdim"][0] == (-1 if mirrored else 1)
    read = read_cine(tmp_path / "a.nii.gz")
    assert read.attributes["geometry_source"] == "qform"
    check_place(read, stored.affine)


def test_scaling(tmp_path):
    image = nibabel.Nifti1Image(noise(), affine())
    image.header.set_slope_inter(0.5, -3)
    nibabel.save(image, tmp_path / "a.nii")
    expected = nibabel.load(tmp_path / "a.nii").get_fdata()
    assert expected.min() < 0
    np.testing.assert_allclose(read_cine(tmp_path / "a.nii").frames, np.moveaxis(expected[:, :, 0], -1, 0))


@pytest.mark.parametrize(
    ("matrix", "spacing"),
    [
        (np.eye(4), None),
        (np.diag([-1.0, -1, 1, 1]), None),
        (np.diag([1.5, 1.2, 8, 1]), (1.5, 1.2)),
    ],
)
def test_placeholder_is_no_geometry(tmp_path, matrix, spacing):
    """What nibabel, ITK and converters put when they know no position."""
    nibabel.save(nibabel.Nifti1Image(noise(), matrix), tmp_path / "a.nii")
    read = read_cine(tmp_path / "a.nii")
    assert read.geometry is None and "placeholder" in read.attributes["geometry_source"]
    if spacing is None:
        assert read.spacing is None
    else:
        np.testing.assert_allclose(read.spacing, spacing, rtol=1e-6)


@pytest.mark.parametrize(
    ("step", "unit", "interval"),
    [
        (0.03, "sec", 30),
        (30, "msec", 30),
        (30000, "usec", 30),
        (1, "sec", None),
        (30, "unknown", None),
        (0, "sec", None),
        (0.0052, "sec", None),  # a repetition time
    ],
)
def test_times_need_a_unit_and_a_possible_interval(tmp_path, step, unit, interval):
    image = nibabel.Nifti1Image(noise(), affine())
    image.header.set_xyzt_units("mm", unit)
    image.header["pixdim"][4] = step
    nibabel.save(image, tmp_path / "a.nii")
    read = read_cine(tmp_path / "a.nii")
    if interval is None:
        assert read.times_ms is None and read.rr_ms is None
        assert read.attributes["time_source"].startswith("none")
    else:
        np.testing.assert_allclose(read.times_ms, np.arange(5) * interval, rtol=1e-6)


def test_lengths_in_metres(tmp_path):
    matrix = affine()
    matrix[:3] /= 1000
    image = nibabel.Nifti1Image(noise(), matrix)
    image.header.set_xyzt_units("meter")
    nibabel.save(image, tmp_path / "a.nii")
    matrix[:3] *= 1000
    check_place(read_cine(tmp_path / "a.nii"), matrix)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (noise((9, 7)), "2-D"),
        (noise((9, 7, 5)), "3-D"),
        (noise((9, 7, 5, 1)), "move it to the fourth"),
        (noise((9, 7, 3, 5)), "3 slices"),
        (noise((9, 7, 1, 1)), "one frame only"),
        (noise((9, 7, 1, 5, 3)), "several channels"),
        (noise((9, 7, 1, 5)) * 0 + 4, "the one value 4"),
        (np.full((9, 7, 1, 5), np.nan, np.float32), "NaN or infinity in frame 0"),
        (np.repeat(noise((9, 7, 1, 1)), 5, 3), "the same picture"),
    ],
)
def test_no_cine(tmp_path, data, message):
    nibabel.save(nibabel.Nifti1Image(data, affine()), tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match=message) as caught:
        read_cine(tmp_path / "a.nii.gz")
    assert "a.nii.gz" in str(caught.value) and caught.value.exit_status == 3


def test_colour(tmp_path):
    pixels = np.zeros((9, 7, 1, 5), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.save(nibabel.Nifti1Image(pixels, affine()), tmp_path / "a.nii")
    with pytest.raises(InputError, match="RGB"):
        read_cine(tmp_path / "a.nii")


def test_one_bad_pixel_is_found(tmp_path):
    data = noise(dtype=np.float32)
    data[3, 3, 0, 2] = np.inf
    nibabel.save(nibabel.Nifti1Image(data, affine()), tmp_path / "a.nii")
    with pytest.raises(InputError, match="frame 2"):
        read_cine(tmp_path / "a.nii")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_every_cut_gives_an_input_error(tmp_path, name):
    nibabel.save(nibabel.Nifti1Image(noise(), affine()), tmp_path / name)
    raw = (tmp_path / name).read_bytes()
    for length in [*range(0, len(raw), 13), len(raw) - 1]:
        (tmp_path / name).write_bytes(raw[:length])
        with pytest.raises(InputError, match=r"a\.nii"):
            read_cine(tmp_path / name)


def test_damaged_header(tmp_path):
    nibabel.save(nibabel.Nifti1Image(noise(), affine()), tmp_path / "a.nii")
    raw = (tmp_path / "a.nii").read_bytes()
    for offset, code, value, message in (
        (40, "h", 9, "positive sizes"),
        (44, "h", -7, "positive sizes"),
        (70, "h", 77, "type 77"),
        (280, "f", np.nan, "finite"),
        (344, "i", 0, "magic"),
    ):
        damaged = bytearray(raw)
        struct.pack_into("<" + code, damaged, offset, value)
        (tmp_path / "a.nii").write_bytes(damaged)
        with pytest.raises(InputError, match=message):
            read_cine(tmp_path / "a.nii")


def test_gzip_is_told_by_content_not_name(tmp_path):
    nibabel.save(nibabel.Nifti1Image(noise(), affine()), tmp_path / "a.nii")
    raw = (tmp_path / "a.nii").read_bytes()
    (tmp_path / "b.nii").write_bytes(gzip.compress(raw))
    (tmp_path / "c.nii.gz").write_bytes(raw)
    for name in ("b.nii", "c.nii.gz"):
        assert read_cine(tmp_path / name).name == name[0]


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10_000), spacing=st.tuples(st.floats(0.4, 3), st.floats(0.4, 3)), interval=st.floats(15, 100)
)
def test_written_files_read_back(tmp_path_factory, seed, spacing, interval):
    """By our reader, by nibabel (sform and qform) and by SimpleITK."""
    path = tmp_path_factory.mktemp("nifti") / "a.nii.gz"
    cine = make_cine(6, (11, 8), seed, interval, geometry=make_geometry(seed, spacing))
    write_nifti(cine, path)
    read = read_cine(path)
    np.testing.assert_array_equal(read.frames, cine.frames)
    np.testing.assert_allclose(read.times_ms, cine.times_ms, rtol=1e-6)
    pixels = np.array([[0.0, 0], [10, 0], [0, 7], [10, 7]])
    expected = cine.geometry.to_patient(pixels)
    np.testing.assert_allclose(read.geometry.to_patient(pixels), expected, atol=2e-4)
    image = nibabel.load(path)
    assert image.shape == (11, 8, 1, 6)
    np.testing.assert_array_equal(np.moveaxis(np.asarray(image.dataobj)[:, :, 0], -1, 0), cine.frames)
    for matrix in (image.get_sform(), image.get_qform()):
        points = (RAS @ matrix @ np.column_stack([pixels, np.zeros(4), np.ones(4)]).T)[:3].T
        np.testing.assert_allclose(points, expected, atol=5e-4)
    itk = SimpleITK.ReadImage(str(path))
    np.testing.assert_allclose(itk.TransformIndexToPhysicalPoint((10, 7, 0, 0))[:3], expected[3], atol=5e-4)


def test_written_without_geometry(tmp_path):
    cine = make_cine(geometry=None, times_ms=None, rr_ms=None)
    write_nifti(cine.replace(frames=cine.frames / 3), tmp_path / "a.nii")
    read = read_cine(tmp_path / "a.nii")
    assert read.geometry is None and read.spacing is None and read.times_ms is None
    np.testing.assert_array_equal(read.frames, cine.frames / np.float32(3))
    write_nifti(cine.replace(spacing=(1.5, 1.25)), tmp_path / "a.nii")
    np.testing.assert_array_equal(read_cine(tmp_path / "a.nii").spacing, [1.5, 1.25])


def test_times_that_nifti_cannot_hold(tmp_path, caplog):
    cine = make_cine(4, times_ms=np.array([0, 30, 70, 100.0]))
    write_nifti(cine, tmp_path / "a.nii")
    assert "not evenly spaced" in caplog.text
    assert read_cine(tmp_path / "a.nii").times_ms is None


def test_unwritable(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError):
        write_nifti(make_cine(), tmp_path / "file" / "a.nii")


def test_what_cannot_be_read_does_not_hide_the_rest(tmp_path, monkeypatch):
    """A folder without permission (lost+found on a drive) and a file that gives an I/O error are said, not fatal."""
    write_nifti(make_cine(seed=1), tmp_path / "good.nii.gz")
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "bad.bin").write_bytes(b"x")
    listdir, opened = os.scandir, Path.open

    def refuse_folder(path):
        if str(path).endswith("lost+found"):
            raise PermissionError(13, "Permission denied", str(path))
        return listdir(path)

    def refuse_file(path, *arguments, **options):
        if path.name == "bad.bin":
            raise OSError(5, "Input/output error", str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(os, "scandir", refuse_folder)
    monkeypatch.setattr(Path, "open", refuse_file)
    found = scan(tmp_path)
    assert len(found.cines) == 1
    assert {Path(item.source).name for item in found.skipped} == {"lost+found", "bad.bin"}
    with pytest.raises(InputError, match=r"bad\.bin"):
        scan(tmp_path / "bad.bin")

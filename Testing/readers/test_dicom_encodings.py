"""Compressed and unusual transfer syntaxes read the same pixels; what was written is valid DICOM."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pydicom
import pytest
from CardiacValveLandmarksLib.errors import InputError
from CardiacValveLandmarksLib.readers import read_cine, scan
from cine_files import assert_same, edit, make_cine, write_series
from pydicom.encaps import encapsulate


def smooth_cine():
    """12 bits, as scanners give."""
    return make_cine(5, (64, 48))


@pytest.mark.parametrize(
    "command",
    [
        ["dcmcjpeg"],  # JPEG lossless
        ["dcmcjpls"],  # JPEG-LS lossless
        ["dcmcrle"],
        ["dcmconv", "+ti"],  # implicit VR
        ["dcmconv", "+tb"],  # big endian
        ["dcmconv", "+td"],  # deflated
        ["dcmconv", "-F"],  # without preamble and meta header
    ],
    ids=" ".join,
)
def test_converted_by_dcmtk(tmp_path, command):
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} (Debian package dcmtk) is not installed")
    if command[0] in ("dcmcjpeg", "dcmcjpls"):
        pytest.importorskip("libjpeg", reason="pylibjpeg-libjpeg is not installed")
    cine = smooth_cine()
    (tmp_path / "converted").mkdir()
    for path in write_series(cine, tmp_path / "plain"):
        subprocess.run([*command, path, tmp_path / "converted" / path.name], check=True)
    read = read_cine(tmp_path / "converted")
    assert_same(read, cine)


def test_jpeg_2000(tmp_path):
    pytest.importorskip("openjpeg", reason="pylibjpeg-openjpeg is not installed")
    cine = smooth_cine()
    for path in write_series(cine, tmp_path):
        data = pydicom.dcmread(path)
        if not hasattr(data, "set_pixel_data"):
            pytest.skip("pydicom 2 cannot write JPEG 2000")
        data.compress(pydicom.uid.JPEG2000Lossless, generate_instance_uid=False)
        data.save_as(path)
    assert_same(read_cine(tmp_path), cine)


#: reads the folder argv[1] where pydicom finds no decoder, and saves the frames to argv[2]
WITHOUT_DECODERS = """
import sys
for name in ("pylibjpeg", "libjpeg", "openjpeg", "gdcm", "PIL", "jpeg_ls"):
    sys.modules[name] = None
import numpy
from pydicom.uid import JPEGLosslessSV1
from CardiacValveLandmarksLib.readers import dicom_pixels, read_cine
assert not dicom_pixels._can_decode(JPEGLosslessSV1)
numpy.save(sys.argv[2], read_cine(sys.argv[1]).frames)
"""


@pytest.mark.parametrize("command", ["dcmcjpeg", "dcmcjpls"])
def test_decoding_needs_nothing_else_installed(tmp_path, command):
    """Without pydicom's plug-ins, by what SimpleITK carries; rescaled images too."""
    if shutil.which(command) is None:
        pytest.skip(f"{command} (Debian package dcmtk) is not installed")
    cine = smooth_cine()
    paths = write_series(cine, tmp_path / "a")

    def change(data, index):
        data.RescaleSlope, data.RescaleIntercept = str(1 + index / 10), "-7"

    edit(paths, change)
    for path in paths:
        subprocess.run([command, path, path], check=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    arguments = [sys.executable, "-c", WITHOUT_DECODERS, tmp_path / "a", tmp_path / "frames.npy"]
    subprocess.run(arguments, check=True, env=environment)
    slope = 1 + np.arange(5)[:, None, None] / 10
    np.testing.assert_allclose(np.load(tmp_path / "frames.npy"), cine.frames * slope - 7, rtol=1e-6)


def test_missing_decoder_says_what_to_install(tmp_path):
    """A syntax that no decoder is there for (MPEG-2)."""

    def change(data, _):
        data.file_meta.TransferSyntaxUID = pydicom.uid.MPEG2MPML
        data.PixelData = encapsulate([bytes(100)])
        data["PixelData"].is_undefined_length = True

    edit(write_series(make_cine(), tmp_path), change)
    with pytest.raises(InputError, match=r"MPEG2.*python-gdcm"):
        read_cine(tmp_path)


def test_damaged_compressed_data_names_the_file(tmp_path):
    if shutil.which("dcmcrle") is None:
        pytest.skip("dcmcrle (Debian package dcmtk) is not installed")
    paths = write_series(smooth_cine(), tmp_path)
    for path in paths:
        subprocess.run(["dcmcrle", path, path], check=True)
    raw = paths[2].read_bytes()
    paths[2].write_bytes(raw[:-300])
    with pytest.raises(InputError, match=paths[2].name):
        scan(tmp_path)


@pytest.mark.parametrize("whole", [True, False])
def test_what_is_written_is_valid_dicom(tmp_path, whole):
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (Debian package dicom3tools) is not installed")
    cine = make_cine(3, attributes={"field_strength": 1.5})
    if not whole:
        cine = cine.replace(frames=cine.frames / 7 - 1)
    for path in write_series(cine, tmp_path, 4, "Synthetic 4CH"):
        report = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
        errors = [line for line in report.stderr.splitlines() if line.startswith("Error")]
        assert errors == [] and "MRImage" in report.stderr


def test_uids_follow_from_the_seed(tmp_path):
    cine = make_cine(3)

    def uids(name, **options):
        data = [pydicom.dcmread(path) for path in write_series(cine, tmp_path / name, **options)]
        assert len({one.SOPInstanceUID for one in data}) == len(data)
        return [
            (one.SOPInstanceUID, one.SeriesInstanceUID, one.StudyInstanceUID, one.FrameOfReferenceUID) for one in data
        ]

    first = uids("a", seed=1)
    assert uids("b", seed=1) == first
    other = uids("c", seed=2)
    assert all(set(one).isdisjoint(two) for one, two in zip(first, other, strict=True))
    second_series = uids("d", seed=1, number=2)
    assert second_series[0][2:] == first[0][2:] and second_series[0][1] != first[0][1]


def test_pydicom_reads_the_same(tmp_path):
    """Independent of our reader: geometry as DICOM defines it, PS3.3 C.7.6.2.1.1."""
    cine = make_cine(3)
    data = pydicom.dcmread(write_series(cine, tmp_path)[1])
    np.testing.assert_array_equal(data.pixel_array, cine.frames[1])
    row, column = 7, 3
    along_row, along_column = np.reshape(data.ImageOrientationPatient, (2, 3)).astype(float)
    between_rows, between_columns = map(float, data.PixelSpacing)
    place = np.array(data.ImagePositionPatient, float)
    place = place + along_row * between_columns * column + along_column * between_rows * row
    np.testing.assert_allclose(place, cine.geometry.to_patient([row, column]), atol=1e-9)

"""Enhanced multi-frame MR: one file holds the frames of several slices, in any order."""

import numpy as np
import pydicom
import pytest
from CardiacValveLandmarksLib.errors import InputError
from CardiacValveLandmarksLib.geometry import SliceGeometry
from CardiacValveLandmarksLib.readers import read_cine, scan
from cine_files import assert_same, make_cine, write_series
from pydicom.dataset import Dataset

ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"


def item(**values) -> list[Dataset]:
    data = Dataset()
    for name, value in values.items():
        setattr(data, name, value)
    return [data]


def write_enhanced(cines, path, seed=0, rescale=False, trigger="NominalCardiacTriggerDelayTime"):
    """All cines in one file, frames shuffled; built from a classic file of the first cine."""
    classic = write_series(cines[0], path.parent / "classic")
    data = pydicom.dcmread(classic[0])
    for file in classic:
        file.unlink()
    for name in (
        *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"),
        *("TriggerTime", "NominalInterval", "InstanceNumber", "ImageType", "EchoTime"),
    ):
        del data[name]
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = ENHANCED_MR
    places = [(cine, index) for cine in cines for index in range(cine.n_frames)]
    np.random.default_rng(seed).shuffle(places)
    geometry = cines[0].geometry
    shared = Dataset()
    shared.PixelMeasuresSequence = item(PixelSpacing=geometry.spacing.tolist(), SliceThickness="6")
    directions = np.concatenate([geometry.axis1, geometry.axis0]) / np.repeat(geometry.spacing[::-1], 3)
    shared.PlaneOrientationSequence = item(ImageOrientationPatient=[f"{part:.13f}"[:16] for part in directions])
    shared.MRImageFrameTypeSequence = item(FrameType=["ORIGINAL", "PRIMARY", "CARDIAC", "NONE"])
    shared.MRImageFrameTypeSequence[0].ComplexImageComponent = "MAGNITUDE"
    data.SharedFunctionalGroupsSequence = [shared]
    pixels, groups = [], []
    for number, (cine, index) in enumerate(places):
        slope = 1 + number if rescale else 1
        frame = Dataset()
        origin = [f"{part:.10f}" for part in cine.geometry.origin]
        frame.PlanePositionSequence = item(ImagePositionPatient=origin)
        frame.CardiacSynchronizationSequence = item(RRIntervalTimeNominal=float(cine.rr_ms))
        time = float(cine.times_ms[index])
        if trigger == "TemporalPositionIndex":
            frame.FrameContentSequence = item(TemporalPositionIndex=index + 1)
        elif trigger == "NominalPercentageOfCardiacPhase":
            frame.CardiacSynchronizationSequence[0].NominalPercentageOfCardiacPhase = 100 * time / cine.rr_ms
        else:
            setattr(frame.CardiacSynchronizationSequence[0], trigger, time)
        frame.PixelValueTransformationSequence = item(RescaleSlope=f"{1 / slope:.14f}", RescaleIntercept="0")
        pixels.append((cine.frames[index] * slope).astype("<u2").tobytes())
        groups.append(frame)
    data.PerFrameFunctionalGroupsSequence = groups
    data.NumberOfFrames = len(places)
    data.PixelData = b"".join(pixels)
    data.save_as(path)


def neighbour(cine, distance, seed):
    place = cine.geometry
    return make_cine(
        cine.n_frames,
        cine.shape,
        seed,
        geometry=SliceGeometry(place.origin - distance * place.normal, place.axis0, place.axis1, 6),
    )


def test_one_slice(tmp_path):
    cine = make_cine()
    write_enhanced([cine], tmp_path / "a.dcm")
    read = read_cine(tmp_path / "a.dcm")
    assert_same(read, cine)
    assert (read.rr_ms, read.rr_source) == (cine.rr_ms, "RRIntervalTimeNominal")
    assert read.geometry.thickness == 6


def test_three_slices_shuffled_with_a_rescale_each(tmp_path):
    cine = make_cine(5)
    cines = [cine, neighbour(cine, 8, 1), neighbour(cine, 16, 2)]
    write_enhanced([cines[2], cines[0], cines[1]], tmp_path / "a.dcm", rescale=True)
    found = scan(tmp_path)
    assert [read.name[-7:] for read in found.cines] == ["_slice1", "_slice2", "_slice3"]
    for read, written in zip(found.cines, cines, strict=True):
        np.testing.assert_allclose(read.frames, written.frames, rtol=1e-6)
        np.testing.assert_allclose(read.geometry.origin, written.geometry.origin, atol=1e-9)


def test_a_cine_over_two_files(tmp_path):
    """Concatenated files of one series."""
    cine = make_cine()
    for part in (0, 1):
        half = cine.replace(frames=cine.frames[part::2], times_ms=cine.times_ms[part::2])
        write_enhanced([half], tmp_path / f"{part}.dcm", seed=part)
        data = pydicom.dcmread(tmp_path / f"{part}.dcm")
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"1.2.{part}"
        data.save_as(tmp_path / f"{part}.dcm")
    assert_same(read_cine(tmp_path), cine)


def test_order_by_count_or_percent(tmp_path):
    cine = make_cine()
    write_enhanced([cine], tmp_path / "a.dcm", trigger="TemporalPositionIndex")
    read = read_cine(tmp_path / "a.dcm")
    np.testing.assert_array_equal(read.frames, cine.frames)
    assert read.times_ms is None and read.rr_ms == cine.rr_ms
    write_enhanced([cine], tmp_path / "a.dcm", trigger="NominalPercentageOfCardiacPhase")
    assert_same(read_cine(tmp_path / "a.dcm"), cine)


def test_phase_frames_beside_magnitude(tmp_path):
    cine = make_cine(4)
    write_enhanced([cine, make_cine(4, seed=3, geometry=cine.geometry)], tmp_path / "a.dcm")
    data = pydicom.dcmread(tmp_path / "a.dcm")
    stored = data.pixel_array
    for frame, pixels in zip(data.PerFrameFunctionalGroupsSequence, stored, strict=True):
        phase = not (pixels == cine.frames).all((1, 2)).any()
        frame.MRImageFrameTypeSequence = item(
            FrameType=["ORIGINAL", "PRIMARY", "CARDIAC", "NONE"],
            ComplexImageComponent="PHASE" if phase else "MAGNITUDE",
        )
    data.save_as(tmp_path / "a.dcm")
    found = scan(tmp_path / "a.dcm")
    assert_same(found.cines[0], cine)
    assert len(found.cines) == 1 and "PHASE" in found.skipped[0].found


def test_truncated(tmp_path):
    write_enhanced([make_cine()], tmp_path / "a.dcm")
    raw = (tmp_path / "a.dcm").read_bytes()
    for part in (0.2, 0.5, 0.95):
        (tmp_path / "a.dcm").write_bytes(raw[: int(len(raw) * part)])
        with pytest.raises(InputError, match=r"a\.dcm"):
            read_cine(tmp_path / "a.dcm")

"""DICOM series -> cines: order, grouping, geometry, times."""

import random

import numpy as np
import pytest
from CardiacValveLandmarksLib.errors import InputError
from CardiacValveLandmarksLib.geometry import SliceGeometry
from CardiacValveLandmarksLib.phantom.cines import synthetic_study
from CardiacValveLandmarksLib.phantom.dicom import write_dicom
from CardiacValveLandmarksLib.readers import read_cine, scan
from cine_files import assert_same, edit, make_cine, make_geometry, write_series
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10_000),
    spacing=st.tuples(st.floats(0.4, 3), st.floats(0.4, 3)),
    shape=st.tuples(st.integers(4, 20), st.integers(4, 20)),
    frames=st.integers(2, 9),
)
def test_what_is_written_is_read(tmp_path_factory, seed, spacing, shape, frames):
    folder = tmp_path_factory.mktemp("series")
    cine = make_cine(frames, shape, seed, 100, geometry=make_geometry(seed, spacing))
    write_series(cine, folder)
    read = read_cine(folder)
    assert_same(read, cine)
    assert read.rr_ms == cine.rr_ms and read.rr_source == "NominalInterval"
    assert read.attributes["order_source"] == "TriggerTime"
    assert read.geometry.thickness == cine.geometry.thickness


def test_fractions_are_rescaled(tmp_path):
    cine = make_cine()
    cine = cine.replace(frames=cine.frames * 0.001 - 0.3)
    write_series(cine, tmp_path)
    np.testing.assert_allclose(read_cine(tmp_path).frames, cine.frames, atol=1.0 / 65535)


@pytest.mark.parametrize("missing", ["InstanceNumber", "SeriesDescription", "FrameOfReferenceUID", "all"])
def test_order_and_grouping_without_helpful_attributes(tmp_path, missing):
    """File names say another order than the trigger times, InstanceNumber a third or nothing."""
    cine = make_cine(12)
    paths = write_series(cine, tmp_path, frame_of_reference_uid="1.2.3")
    names = list(paths)
    random.Random(1).shuffle(names)
    moved = [path.rename(tmp_path / f"x{names.index(path):03d}") for path in paths]

    def change(data, index):
        data.InstanceNumber = 100 - index
        if missing in ("InstanceNumber", "all"):
            del data.InstanceNumber
        if missing in ("SeriesDescription", "all"):
            del data.SeriesDescription
        if missing in ("FrameOfReferenceUID", "all"):
            data.FrameOfReferenceUID = ""
        if missing == "all":
            del data.SeriesNumber

    edit(moved, change)
    read = read_cine(tmp_path)
    assert_same(read, cine)
    assert read.frame_of_reference_uid == ("" if missing in ("FrameOfReferenceUID", "all") else "1.2.3")
    if missing == "all":
        assert read.name == tmp_path.name


def test_several_series_and_slices_in_one_folder(tmp_path):
    """Two series side by side; the second has three parallel slices with the same trigger times."""
    one = make_cine(6, seed=1)
    write_series(one, tmp_path / "a", 7, "LAX")
    base = make_cine(6, seed=2)
    slices = []
    for step in (1, 0, 2):
        geometry = base.geometry
        shifted = SliceGeometry(geometry.origin - step * 8 * geometry.normal, geometry.axis0, geometry.axis1, 6)
        cine = make_cine(6, seed=20 + step, geometry=shifted)
        write_series(cine, tmp_path / f"b{step}", 3, "LAX")
        slices.append((step, cine))
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, path in enumerate(sorted(tmp_path.glob("*/*.dcm"), key=lambda p: p.name)):
        path.rename(flat / f"{number}.dcm")

    def new_uid(data, index):
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"1.2.{index}"

    edit(sorted(flat.iterdir()), new_uid)
    found = scan(tmp_path)
    assert [cine.name for cine in found.cines] == ["3_LAX_slice1", "3_LAX_slice2", "3_LAX_slice3", "7_LAX"]
    # slices in order along the direction of DICOM's normal (row × column)
    for read, (_, cine) in zip(found.cines, sorted(slices, key=lambda pair: pair[0]), strict=False):
        assert_same(read, cine)
    assert_same(found.cines[3], one)
    with pytest.raises(InputError, match="found 4: 3_LAX_slice1"):
        read_cine(tmp_path)


def test_a_series_uid_for_each_file(tmp_path):
    """As some anonymisers leave them: study and series differ from file to file."""
    cine = make_cine(9)
    paths = write_series(cine, tmp_path / "2ch")

    def change(data, index):
        data.SeriesInstanceUID = f"1.2.3.{index}"
        data.StudyInstanceUID = f"1.2.4.{index}"
        del data.SeriesNumber, data.SeriesDescription

    edit(paths, change)
    read = read_cine(tmp_path)
    assert_same(read, cine)
    assert read.study_uid == "" and read.name == "2ch"
    assert "of its own" in read.attributes["grouped_by"]


def test_unrelated_stills_are_not_joined(tmp_path):
    """Single images of one plane with different sequences and times are no cine."""
    paths = write_series(make_cine(9), tmp_path)

    def change(data, index):
        data.SeriesInstanceUID = f"1.2.3.{index}"
        data.EchoTime = str(index)

    edit(paths, change)
    with pytest.raises(InputError, match="one frame only"):
        scan(tmp_path)


def test_copies_are_dropped(tmp_path):
    cine = make_cine()
    for path in write_series(cine, tmp_path)[2:4]:
        (tmp_path / f"copy of {path.name}").write_bytes(path.read_bytes())
    read = read_cine(tmp_path)
    assert_same(read, cine)
    assert read.attributes["duplicates_dropped"] == 2


def test_two_images_at_one_time_are_refused(tmp_path):
    paths = write_series(make_cine(), tmp_path)
    edit(paths[3], lambda data, _: setattr(data, "TriggerTime", "35"))
    with pytest.raises(InputError, match="8 images with 7 different values of TriggerTime"):
        read_cine(tmp_path)


@pytest.mark.parametrize("folders", ["ab", "ba"])
def test_magnitude_is_told_from_phase(tmp_path, folders):
    """Both kinds in one series at the same times: the magnitude is the cine, the phase is named and left out."""
    cine = make_cine()
    write_series(cine, tmp_path / folders[0])
    paths = write_series(make_cine(seed=5, geometry=cine.geometry), tmp_path / folders[1])

    def change(data, index):
        data.ImageType = ["ORIGINAL", "PRIMARY", "P"]
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"1.2.{index}"

    edit(paths, change)
    found = scan(tmp_path)
    assert_same(found.cines[0], cine)
    assert len(found.cines) == 1 and "phase" in found.skipped[0].found


def test_monochrome1_is_inverted(tmp_path):
    cine = make_cine()
    edit(write_series(cine, tmp_path), lambda data, _: setattr(data, "PhotometricInterpretation", "MONOCHROME1"))
    np.testing.assert_array_equal(read_cine(tmp_path).frames, cine.frames.max() + cine.frames.min() - cine.frames)


def test_rescale_of_each_image(tmp_path):
    cine = make_cine()

    def change(data, index):
        data.RescaleSlope, data.RescaleIntercept = str(1 + index), str(-index)

    edit(write_series(cine, tmp_path), change)
    index = np.arange(len(cine.frames))[:, None, None]
    np.testing.assert_array_equal(read_cine(tmp_path).frames, cine.frames * (1 + index) - index)


def test_no_geometry_gives_pixels_only(tmp_path):
    cine = make_cine()

    def change(data, _):
        del data.ImagePositionPatient, data.ImageOrientationPatient

    edit(write_series(cine, tmp_path), change)
    read = read_cine(tmp_path)
    assert read.geometry is None
    np.testing.assert_allclose(read.spacing, cine.spacing)
    np.testing.assert_array_equal(read.frames, cine.frames)


def test_directions_that_are_none_are_refused(tmp_path):
    paths = write_series(make_cine(), tmp_path)
    edit(paths, lambda data, _: setattr(data, "ImageOrientationPatient", [1, 0, 0, 0.5, 0.5, 0]))
    with pytest.raises(InputError, match="right angle"):
        read_cine(tmp_path)


@pytest.mark.parametrize(
    ("attribute", "values", "times"),
    [
        ("TemporalPositionIdentifier", lambda index: str(index + 1), None),
        ("AcquisitionTime", lambda index: f"1159{index * 5:02d}.5", None),
        ("AcquisitionTime", lambda index: f"120000.{index * 40:03d}", lambda index: index * 40.0),
        ("ContentTime", lambda index: f"12000{index}", None),
    ],
)
def test_order_without_trigger_times(tmp_path, attribute, values, times):
    cine = make_cine()
    paths = write_series(cine, tmp_path)

    def change(data, index):
        del data.TriggerTime, data.InstanceNumber
        setattr(data, attribute, values(index))

    edit(paths, change)
    for number, path in enumerate(reversed(paths)):
        path.rename(tmp_path / f"z{number}.dcm")
    if attribute == "AcquisitionTime" and times is None:  # seconds apart: a dynamic series
        with pytest.raises(InputError, match="ms apart"):
            read_cine(tmp_path)
        return
    read = read_cine(tmp_path)
    np.testing.assert_array_equal(read.frames, cine.frames)
    assert read.attributes["order_source"] == attribute
    if times is None:
        assert read.times_ms is None
    else:
        np.testing.assert_allclose(read.times_ms, times(np.arange(8)))


def test_no_order_is_refused(tmp_path):
    """InstanceNumber and file names alone are not trusted."""

    def change(data, _):
        del data.TriggerTime

    edit(write_series(make_cine(), tmp_path), change)
    with pytest.raises(InputError, match="InstanceNumber are not trusted"):
        read_cine(tmp_path)


def test_one_missing_trigger_time_is_named(tmp_path):
    paths = write_series(make_cine(), tmp_path)
    edit(paths[4], lambda data, _: setattr(data, "TriggerTime", ""))
    with pytest.raises(InputError, match=paths[4].name):
        read_cine(tmp_path)


def test_cycle_length(tmp_path, caplog):
    paths = write_series(make_cine(20), tmp_path)

    def heart_rate(data, _):
        del data.NominalInterval
        data.HeartRate = 75

    edit(paths, heart_rate)
    read = read_cine(tmp_path)
    assert (read.rr_ms, read.rr_source) == (800, "HeartRate")

    edit(paths, lambda data, _: delattr(data, "HeartRate"))
    read = read_cine(tmp_path)
    assert (read.rr_ms, read.rr_source) == (700, "frames × interval")

    edit(paths, lambda data, _: setattr(data, "NominalInterval", 500))
    read = read_cine(tmp_path)
    # a cycle shorter than its frames cannot be
    assert read.rr_ms == 700 and "500 ms is shorter" in read.rr_source
    assert "the stated cycle is not used" in caplog.text


def test_two_beats_are_not_read_as_one(tmp_path):
    """Where the frames show the beat again; a beat whose stated length is half of what it is stays one."""
    one = synthetic_study(5, kinds=("4CH",), frames=16, shape=(64, 64), spacing=4.0).items[0].cine
    interval = one.rr_ms / one.n_frames
    times = np.arange(2 * one.n_frames) * interval
    two = one.replace(frames=np.concatenate([one.frames, one.frames + 3]), times_ms=times)
    write_dicom(two, tmp_path / "two", series_number=1, series_description="")
    with pytest.raises(InputError, match=r"one heart beat.*about 1\.9 beats"):
        read_cine(tmp_path / "two")
    half = one.replace(rr_ms=one.rr_ms / 2)
    write_dicom(half, tmp_path / "half", series_number=1, series_description="")
    read = read_cine(tmp_path / "half")
    assert read.rr_ms == pytest.approx(one.rr_ms, abs=1) and "shorter" in read.rr_source


def test_a_cine_over_midnight_stays_in_order(tmp_path):
    cine = make_cine(8)

    def clock(data, index):
        del data.TriggerTime
        seconds = (86_399.8 + 0.05 * index) % 86_400
        data.AcquisitionTime = f"{int(seconds // 3600):02d}{int(seconds % 3600 // 60):02d}{seconds % 60:06.3f}"

    edit(write_series(cine, tmp_path), clock)
    read = read_cine(tmp_path)
    np.testing.assert_array_equal(read.frames, cine.frames)
    np.testing.assert_allclose(read.times_ms, np.arange(8) * 50.0, atol=1.1)


def test_a_pixel_spacing_with_a_sign_is_refused(tmp_path):
    """It would mirror the image in the patient."""
    edit(write_series(make_cine(), tmp_path), lambda data, _: setattr(data, "PixelSpacing", [-1.4, 1.4]))
    with pytest.raises(InputError, match="PixelSpacing"):
        read_cine(tmp_path)


def test_linked_folders_are_read_once(tmp_path):
    write_series(make_cine(), tmp_path / "elsewhere" / "a")
    scans = tmp_path / "scans"
    scans.mkdir()
    (scans / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "round").symlink_to(scans)
    assert len(scan(scans).cines) == 1


def test_attributes_that_break_their_rules(tmp_path):
    """Integer strings with a decimal point, times of day that are none: read for what they are worth."""
    cine = make_cine()

    def change(data, _):
        data.FlipAngle = "1"
        for name, value in (("NominalInterval", "280.5"), ("FlipAngle", "?"), ("ContentTime", "999999")):
            data[name]._value = value  # past pydicom's checks

    edit(write_series(cine, tmp_path), change)
    read = read_cine(tmp_path)
    assert_same(read, cine)
    assert read.rr_ms == 280.5 and "flip_angle" not in read.attributes


def test_a_gap_in_time_is_recorded(tmp_path, caplog):
    write_series(make_cine(10), tmp_path)[5].unlink()
    assert read_cine(tmp_path).attributes["longest_gap_ms"] == 70
    assert "two frames lie 70 ms apart, the others 35 ms: some seem to be missing" in caplog.text


def test_patient_key_is_the_same_for_a_patient_and_hides_the_name(tmp_path):
    write_series(make_cine(seed=1), tmp_path / "a", patient_id="P1")
    write_series(make_cine(seed=2), tmp_path / "b", patient_id="P1", seed=1)
    write_series(make_cine(seed=3), tmp_path / "c", patient_id="P2", seed=2)
    keys = [read_cine(tmp_path / name).patient_key for name in "abc"]
    assert keys[0] == keys[1] != keys[2]
    assert "P1" not in keys[0]

    def anonymise(data, _):
        data.PatientID = data.PatientName = data.PatientBirthDate = ""

    edit(sorted((tmp_path / "a").iterdir()), anonymise)
    assert read_cine(tmp_path / "a").patient_key == ""


def test_names_are_unique(tmp_path):
    for number in range(3):
        write_series(make_cine(seed=number), tmp_path / str(number), 5, "Ciné / 4CH", seed=number)
    names = [cine.name for cine in scan(tmp_path).cines]
    assert names == ["5_Cin_4CH", "5_Cin_4CH_2", "5_Cin_4CH_3"]


def test_files_without_preamble(tmp_path):
    """Old exports begin with the data set."""
    cine = make_cine()
    for path in write_series(cine, tmp_path):
        raw = path.read_bytes()
        meta_length = int.from_bytes(raw[140:144], "little")
        path.write_bytes(raw[144 + meta_length :])
        path.rename(path.with_suffix(""))
    assert_same(read_cine(tmp_path), cine)

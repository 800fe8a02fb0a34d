"""Series with images that are lost, and series that hold two sets of images: told, never silently joined or cut."""

import gzip

import numpy as np
import pydicom
import pytest
from CardiacValveLandmarksLib.detection import detect
from CardiacValveLandmarksLib.errors import InputError
from CardiacValveLandmarksLib.readers import read_cine, scan
from cine_files import assert_same, edit, make_cine, write_series
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEGLSLossless, RLELossless
from test_dicom_enhanced import ENHANCED_MR, item, write_enhanced


def without_suffix(paths):
    """As scanners name them."""
    return [path.rename(path.with_suffix("")) for path in paths]


def emptied(path):
    path.write_bytes(b"")


def zeroed(path):
    path.write_bytes(bytes(path.stat().st_size))


def cut(path):
    path.write_bytes(path.read_bytes()[:100])


def linked_to_nothing(path):
    path.unlink()
    path.symlink_to(path.parent / "no such place")


def packed(path):
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()


@pytest.mark.parametrize("suffix", [True, False])
@pytest.mark.parametrize("spoil", [emptied, zeroed, cut, linked_to_nothing, packed])
def test_a_lost_image_spoils_its_series(tmp_path, spoil, suffix):
    """Also without a suffix: what is named like the images beside it is one of them."""
    paths = write_series(make_cine(), tmp_path)
    paths = paths if suffix else without_suffix(paths)
    (tmp_path / "notes").write_text("nothing to do with it")
    spoil(paths[-1])
    with pytest.raises(InputError, match=rf"{paths[-1].name}.*other 7 images are left out"):
        read_cine(tmp_path)


def test_other_files_beside_a_series_spoil_nothing(tmp_path):
    cine = make_cine()
    without_suffix(write_series(cine, tmp_path))
    for name in ("README", "LOCK", "VERSION1"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "old").symlink_to(tmp_path / "gone")
    found = scan(tmp_path)
    assert_same(found.cines[0], cine)
    assert [item.source for item in found.skipped] == [str(tmp_path / "old")]


def test_a_packed_copy_beside_its_original_is_no_loss(tmp_path):
    cine = make_cine()
    path = write_series(cine, tmp_path)[2]
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert_same(read_cine(tmp_path), cine)


def test_words_of_hexadecimal_letters_are_no_numbers(tmp_path):
    cine = make_cine()
    for number, path in enumerate(write_series(cine, tmp_path)):
        path.rename(tmp_path / f"{number:08d}")
    (tmp_path / "face").write_text("a note")
    assert_same(read_cine(tmp_path), cine)


@pytest.mark.parametrize("count", [2, 4])
def test_words_of_a_type_may_differ_within_a_cine(tmp_path, count):
    """As with images derived anew, or a filter in some of them: no phase, no shared times."""
    cine = make_cine()
    edit(
        write_series(cine, tmp_path)[1::2][:count],
        lambda data, _: setattr(data, "ImageType", ["DERIVED", "PRIMARY", "M"]),
    )
    read = read_cine(tmp_path)
    assert_same(read, cine)
    assert "of different types" in read.doubts[0]


def test_two_types_at_the_same_times_are_two_cines(tmp_path):
    cine, other = second_set(tmp_path, 0, lambda data: setattr(data, "ImageType", ["DERIVED", "PRIMARY", "M"]))
    found = scan(tmp_path)
    assert_same(found.cines[0], cine)
    assert_same(found.cines[1], other)


def test_images_that_are_not_there_are_missed(tmp_path):
    """Nothing tells of them but their stated number: no RR is made up from what is left, and it is said."""
    paths = write_series(make_cine(), tmp_path)
    edit(paths, lambda data, _: delattr(data, "NominalInterval"))
    assert (read_cine(tmp_path).rr_ms, read_cine(tmp_path).doubts) == (280, ())
    for path in paths[5:]:
        path.unlink()
    read = read_cine(tmp_path)
    assert read.rr_ms is None and read.rr_source == "unknown: 5 of 8 frames"
    assert read.doubts == ("The files state 8 frames a heart beat, and 5 are there: some are missing.",)


def test_a_detection_tells_of_missing_frames(tmp_path):
    paths = write_series(make_cine(), tmp_path)
    paths[3].unlink()
    warnings = detect(read_cine(tmp_path), view="4CH", tta=False).warnings
    assert any("8 frames a heart beat, and 7 are there" in text for text in warnings)
    assert any(text.startswith("Two frames lie 70 ms apart") for text in warnings)


def second_set(folder, later_ms=1.5, change=lambda data: None):
    """A cine in `folder`, and another in the same plane and series `later_ms` after it."""
    cine = make_cine()
    write_series(cine, folder / "a")
    other = make_cine(seed=5, geometry=cine.geometry)
    paths = write_series(other.replace(times_ms=other.times_ms + later_ms), folder / "b")

    def own(data, index):
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"1.2.{index}"
        change(data)

    edit(paths, own)
    return cine, other


@pytest.mark.parametrize("later_ms", [0, 1.5, 17])
def test_phase_at_other_times_than_magnitude(tmp_path, later_ms):
    cine, _ = second_set(tmp_path, later_ms, lambda data: setattr(data, "ImageType", ["ORIGINAL", "PRIMARY", "P"]))
    found = scan(tmp_path)
    assert_same(found.cines[0], cine)
    assert len(found.cines) == 1 and "phase" in found.skipped[0].found


def test_phase_in_the_order_of_the_clock(tmp_path):
    """Without trigger times, the phase images made after all magnitude ones."""
    cine, _ = second_set(tmp_path, 0, lambda data: setattr(data, "ImageType", ["ORIGINAL", "PRIMARY", "P"]))
    for folder, minute in (("a", 0), ("b", 1)):

        def clock(data, index, minute=minute):
            del data.TriggerTime
            data.ContentTime = f"12{minute:02d}{index:02d}"

        edit(sorted((tmp_path / folder).iterdir()), clock)
    found = scan(tmp_path)
    np.testing.assert_array_equal(found.cines[0].frames, cine.frames)
    assert len(found.cines) == 1 and "phase" in found.skipped[0].found


@pytest.mark.parametrize("attribute", ["EchoNumbers", "AcquisitionNumber"])
@pytest.mark.parametrize("later_ms", [0, 2.3, 17])
def test_two_echoes_or_acquisitions_are_two_cines(tmp_path, attribute, later_ms):
    """At the same times or between one another's."""
    cine, other = second_set(tmp_path, later_ms, lambda data: setattr(data, attribute, 2))
    edit(sorted((tmp_path / "a").iterdir()), lambda data, _: setattr(data, attribute, 1))
    found = scan(tmp_path)
    assert_same(found.cines[0], cine)
    np.testing.assert_array_equal(found.cines[1].frames, other.frames)


def test_an_acquisition_number_for_each_frame_is_one_cine(tmp_path):
    cine = make_cine()
    edit(write_series(cine, tmp_path), lambda data, index: setattr(data, "AcquisitionNumber", index))
    assert_same(read_cine(tmp_path), cine)


def test_a_cine_in_two_parts_one_after_the_other_is_one(tmp_path):
    cine = make_cine()
    edit(write_series(cine, tmp_path), lambda data, index: setattr(data, "AcquisitionNumber", 1 + index // 4))
    assert_same(read_cine(tmp_path), cine)


def test_a_single_phase_image_among_magnitude_is_refused(tmp_path):
    edit(
        write_series(make_cine(), tmp_path)[3], lambda data, _: setattr(data, "ImageType", ["ORIGINAL", "PRIMARY", "P"])
    )
    with pytest.raises(InputError, match="magnitude images"):
        read_cine(tmp_path)


def test_an_image_of_another_type_is_told(tmp_path):
    paths = write_series(make_cine(), tmp_path)
    edit(paths[3], lambda data, _: setattr(data, "ImageType", ["DERIVED", "PRIMARY", "M"]))
    assert "of different types" in read_cine(tmp_path).doubts[0]


def test_the_phase_of_ge_is_no_magnitude(tmp_path):
    """GE states it in an element of its own only."""

    def change(component):
        def change(data, _):
            block = data.private_block(0x43, "GEMS_PARM_01", create=True)
            block.add_new(0x2F, "SS", component)

        return change

    cine = make_cine()
    paths = write_series(cine, tmp_path)
    edit(paths, change(0))
    assert_same(read_cine(tmp_path), cine)
    edit(paths, change(1))
    with pytest.raises(InputError, match="PHASE"):
        read_cine(tmp_path)


def test_series_without_uid_are_told_apart_by_their_number(tmp_path):
    cine, other = second_set(tmp_path, 3, lambda data: setattr(data, "SeriesNumber", 2))
    paths = [path for folder in "ab" for path in (tmp_path / folder).iterdir()]
    edit(paths, lambda data, _: setattr(data, "SeriesInstanceUID", ""))
    for path in paths:
        path.rename(tmp_path / f"{path.parent.name}{path.name}")
    found = scan(tmp_path)
    assert_same(found.cines[0], cine)
    np.testing.assert_array_equal(found.cines[1].frames, other.frames)


def test_images_that_nothing_tells_apart_are_said_to_be_mixed(tmp_path, caplog):
    second_set(tmp_path, 3)
    assert read_cine(tmp_path).n_frames == 16
    assert "3 to 32 ms apart: images of two series may be mixed" in caplog.text


def test_different_images_of_one_name_are_no_copies(tmp_path):
    cine, other = second_set(tmp_path, 0, lambda data: setattr(data, "EchoNumbers", 2))
    for index, path in enumerate(sorted((tmp_path / "a").iterdir())):
        edit(path, lambda data, _, index=index: setattr(data, "SOPInstanceUID", f"1.2.{index}"))
    found = scan(tmp_path)
    assert_same(found.cines[0], cine)
    assert_same(found.cines[1], other)


def test_the_clock_of_one_acquisition_hides_no_other_order(tmp_path):
    """AcquisitionTime of two values says less than ContentTime of eight."""
    cine = make_cine()

    def change(data, index):
        del data.TriggerTime
        data.AcquisitionTime = "120000" if index < 4 else "120001"
        data.ContentTime = f"1200{index:02d}"

    edit(write_series(cine, tmp_path), change)
    read = read_cine(tmp_path)
    np.testing.assert_array_equal(read.frames, cine.frames)
    assert read.times_ms is None


def test_a_frame_in_a_plane_of_its_own_is_called_so(tmp_path):
    def change(data, _):
        data.ImagePositionPatient = [float(data.ImagePositionPatient[0]) + 3, *data.ImagePositionPatient[1:]]

    edit(write_series(make_cine(), tmp_path)[7], change)
    found = scan(tmp_path)
    assert found.cines[0].n_frames == 7 and "7 are there" in found.cines[0].doubts[0]
    assert found.skipped[0].found == "one frame only"


def test_legacy_converted_enhanced(tmp_path):
    """PS3.3 C.7.6.16.2.25: what a converter has no group for lies in sequences of its own."""
    cine = make_cine()
    write_enhanced([cine], tmp_path / "a.dcm")
    data = pydicom.dcmread(tmp_path / "a.dcm")
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = ENHANCED_MR.removesuffix(".1") + ".4"
    for group in data.PerFrameFunctionalGroupsSequence:
        time = group.CardiacSynchronizationSequence[0].NominalCardiacTriggerDelayTime
        del group.CardiacSynchronizationSequence
        group.UnassignedPerFrameConvertedAttributesSequence = item(TriggerTime=str(time))
    shared = data.SharedFunctionalGroupsSequence[0]
    shared.UnassignedSharedConvertedAttributesSequence = item(NominalInterval="300", EchoTime="1.3")
    data.save_as(tmp_path / "a.dcm")
    read = read_cine(tmp_path / "a.dcm")
    assert_same(read, cine)
    assert (read.rr_ms, read.rr_source, read.attributes["echo_time_ms"]) == (300, "NominalInterval", 1.3)


def smooth():
    """What JPEG-LS makes several bytes of, and what a decoder would go on inventing."""
    rows, columns = np.mgrid[:64, :48]
    frames = [500 + 300 * np.sin(columns / 6 + t) + 200 * np.cos(rows / 7 + t / 2) for t in range(8)]
    return make_cine(8, (64, 48)).replace(frames=np.round(frames))


def test_a_compressed_image_that_is_cut_off_is_found(tmp_path):
    paths = write_series(smooth(), tmp_path)
    for path in paths:
        data = pydicom.dcmread(path)
        data.compress(JPEGLSLossless)
        data.save_as(path)
    assert_same(read_cine(tmp_path), smooth())
    data = pydicom.dcmread(paths[2])  # encoders pad in several ways
    for padding in (b"\0\0", b"\xff\0", b"\r\n", b"    "):
        stream = next(generate_frames(pydicom.dcmread(paths[2]).PixelData, number_of_frames=1))
        data.PixelData = encapsulate([stream.rstrip(b"\0") + padding])
        data.save_as(paths[2])
        assert_same(read_cine(tmp_path), smooth())
    data = pydicom.dcmread(paths[3])
    stream = next(generate_frames(data.PixelData, number_of_frames=1))
    data.PixelData = encapsulate([stream[: len(stream) // 4 * 2]])
    data.save_as(paths[3])
    with pytest.raises(InputError, match=rf"{paths[3].name}.*cut off"):
        read_cine(tmp_path)


def test_fewer_compressed_frames_than_stated(tmp_path):
    path = tmp_path / "a.dcm"
    write_enhanced([smooth()], path)
    data = pydicom.dcmread(path)
    data.compress(RLELossless)
    data.PixelData = encapsulate(list(generate_frames(data.PixelData, number_of_frames=8))[:-1])
    data.save_as(path)
    with pytest.raises(InputError, match=r"a\.dcm"):
        read_cine(path)


def test_a_negative_temporal_resolution_gives_no_times(tmp_path):
    def change(data, index):
        del data.TriggerTime
        data.TemporalPositionIdentifier, data.TemporalResolution = index + 1, -35

    edit(write_series(make_cine(), tmp_path), change)
    assert read_cine(tmp_path).times_ms is None


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_nifti_that_does_not_say_where_its_pixels_begin(tmp_path, value):
    nibabel = pytest.importorskip("nibabel")
    path = tmp_path / "a.nii"
    nibabel.save(nibabel.Nifti1Image(np.random.default_rng(0).random((6, 5, 1, 4)), np.eye(4)), path)
    raw = bytearray(path.read_bytes())
    raw[108:112] = np.float32(value).tobytes()
    path.write_bytes(raw)
    with pytest.raises(InputError, match="vox_offset"):
        read_cine(path)

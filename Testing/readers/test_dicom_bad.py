"""Bad DICOM input: an error that names the file, what was expected, what was found."""

import numpy as np
import pydicom
import pytest
from CardiacValveLandmarksLib.errors import InputError
from CardiacValveLandmarksLib.readers import read_cine, scan
from cine_files import assert_same, edit, make_cine, make_geometry, write_series


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match="nothing there") as caught:
        scan(tmp_path / "no such folder")
    assert caught.value.exit_status == 3


def test_empty_folder(tmp_path):
    with pytest.raises(InputError, match="an empty folder"):
        scan(tmp_path)


def test_text_files(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text("hello")
    with pytest.raises(InputError, match=r"3 file\(s\) that are no images \(3 × .txt\)"):
        scan(tmp_path)


def test_pictures_are_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    with pytest.raises(InputError, match=r"1 .png file\(s\)"):
        scan(tmp_path)


def test_text_with_a_dicom_name(tmp_path):
    (tmp_path / "a.dcm").write_text("hello")
    with pytest.raises(InputError, match=r"a\.dcm.*5 bytes"):
        scan(tmp_path)


@pytest.mark.parametrize("part", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999])
def test_truncated_file_spoils_its_series_only(tmp_path, part):
    """Wherever a file is cut, its series is not read with a hole, and another series still is."""
    good = make_cine(seed=1)
    write_series(good, tmp_path / "good", 1)
    bad = write_series(make_cine(seed=2), tmp_path / "bad", 2)[3]
    raw = bad.read_bytes()
    bad.write_bytes(raw[: int(len(raw) * part)])
    found = scan(tmp_path)
    assert len(found.cines) == 1
    assert_same(found.cines[0], good)
    assert any(item.source == str(bad) for item in found.skipped)
    with pytest.raises(InputError, match=bad.name) as caught:
        scan(tmp_path / "bad")
    assert caught.value.exit_status == 3


@pytest.mark.parametrize("cuts", [(0.1, 0.9), (0.1, 0.1), (0.9, 0.1), (0.9, 0.9)])
def test_truncated_files_spoil_no_other_series_of_their_folder(tmp_path, cuts):
    """Two series in one flat folder: only the one that a damaged file surely belongs to is left out."""
    good = make_cine(seed=1)
    for path in write_series(good, tmp_path / "good", 1):
        path.rename(tmp_path / f"good{path.name}")
    for path in write_series(make_cine(seed=2), tmp_path / "bad", 2):
        path.rename(tmp_path / f"bad{path.name}")
    for number, cut in enumerate(cuts, 3):
        path = tmp_path / f"badIM000{number}.dcm"
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * cut)])
    found = scan(tmp_path)
    assert_same(found.cines[0], good)
    assert len(found.cines) == (2 if max(cuts) == 0.1 else 1)
    assert len([item for item in found.skipped if "badIM" in item.source]) == 2


def test_a_truncated_still_spoils_no_series_beside_it(tmp_path):
    cine = make_cine(seed=1)
    write_series(cine, tmp_path)
    still = write_series(make_cine(seed=2), tmp_path / "still", 2)[0].rename(tmp_path / "still.dcm")
    still.write_bytes(still.read_bytes()[:-100])
    found = scan(tmp_path / ".")
    assert_same(found.cines[0], cine)


@pytest.mark.parametrize("part", [0.0, 0.2, 0.6, 0.99])
def test_truncated_file_alone(tmp_path, part):
    path = write_series(make_cine(), tmp_path)[0]
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with pytest.raises(InputError, match=path.name):
        read_cine(path)


def test_cut_in_the_pixels(tmp_path):
    """Also of a single image: that it is cut off comes before that it is one frame only."""
    path = write_series(make_cine(), tmp_path)[0]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="559 bytes of pixel data instead of 560"):
        read_cine(path)


def test_several_reasons_are_listed(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.dcm").write_bytes(b"")
    write_series(make_cine(2), tmp_path / "still", 5)[0].unlink()
    with pytest.raises(InputError, match=r"none in 4 files: an empty file \(0.dcm and 2 more\); one frame only"):
        scan(tmp_path)


def test_every_cut_gives_an_input_error(tmp_path):
    """No cut of a file makes another exception."""
    path = write_series(make_cine(2, (4, 4)), tmp_path)[0]
    raw = path.read_bytes()
    for length in range(0, len(raw), 17):
        path.write_bytes(raw[:length])
        with pytest.raises(InputError):
            scan(tmp_path)


def test_noise_after_the_preamble(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(30):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(bytes(128) + b"DICM" + rng.integers(0, 256, 400, dtype=np.uint8).tobytes())
        with pytest.raises(InputError):
            scan(path)


def test_damaged_attributes_name_the_file(tmp_path):
    path = write_series(make_cine(), tmp_path)[2]
    raw = path.read_bytes()
    at = raw.index(b"70", raw.index(b"\x18\x00\x60\x10"))  # TriggerTime of the third frame
    path.write_bytes(raw[:at] + b"7x" + raw[at + 2 :])
    with pytest.raises(InputError, match=path.name):
        scan(tmp_path)


def test_not_mr(tmp_path):
    def change(data, _):
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
        data.Modality = "CT"

    edit(write_series(make_cine(), tmp_path), change)
    with pytest.raises(InputError, match=r"CT Image Storage, modality CT \(and 7 more files"):
        scan(tmp_path)


def test_no_pixels(tmp_path):
    edit(write_series(make_cine(), tmp_path), lambda data, _: delattr(data, "PixelData"))
    with pytest.raises(InputError, match="no pixel data"):
        scan(tmp_path)


def test_colour(tmp_path):
    def change(data, _):
        data.SamplesPerPixel, data.PhotometricInterpretation, data.PlanarConfiguration = 3, "RGB", 0
        data.PixelData = data.PixelData * 3

    edit(write_series(make_cine(), tmp_path), change)
    with pytest.raises(InputError, match="3 samples a pixel"):
        scan(tmp_path)


def test_one_frame(tmp_path):
    path = write_series(make_cine(), tmp_path)[0]
    with pytest.raises(InputError, match=r"one frame only.*give the folder"):
        read_cine(path)


def test_localiser(tmp_path):
    def change(data, index):
        geometry = make_geometry(index)
        data.ImagePositionPatient = geometry.origin.round(6).tolist()
        directions = np.concatenate([geometry.axis1 / 1.1, geometry.axis0 / 1.4])
        data.ImageOrientationPatient = directions.round(6).tolist()

    edit(write_series(make_cine(3), tmp_path), change)
    with pytest.raises(InputError, match="3 slices with one image each"):
        scan(tmp_path)


def test_mixed_sizes(tmp_path):
    paths = write_series(make_cine(), tmp_path)

    def change(data, _):
        data.Rows -= 2
        data.PixelData = data.PixelData[: data.Rows * data.Columns * 2]

    edit(paths[3], change)
    with pytest.raises(InputError, match="20 × 14 in 7 images, 18 × 14 in 1"):
        scan(tmp_path)


def test_mixed_spacing(tmp_path):
    paths = write_series(make_cine(), tmp_path)
    edit(paths[3], lambda data, _: setattr(data, "PixelSpacing", [2, 2]))
    with pytest.raises(InputError, match="one pixel spacing"):
        scan(tmp_path)


def test_constant_frames(tmp_path):
    paths = write_series(make_cine(), tmp_path)
    edit(paths[5], lambda data, _: setattr(data, "PixelData", bytes(len(data.PixelData))))
    with pytest.raises(InputError, match="the one value 0 all over frame 5"):
        scan(tmp_path)


def test_the_same_picture_in_all_frames(tmp_path):
    paths = write_series(make_cine(), tmp_path)
    pixels = pydicom.dcmread(paths[0]).PixelData
    edit(paths, lambda data, _: setattr(data, "PixelData", pixels))
    with pytest.raises(InputError, match="the same picture in all 8 frames"):
        scan(tmp_path)


def test_a_dynamic_series_is_no_cine(tmp_path):
    write_series(make_cine(interval=900), tmp_path)
    with pytest.raises(InputError, match="8 frames 900 ms apart"):
        scan(tmp_path)


def test_what_is_skipped_is_said(tmp_path):
    write_series(make_cine(), tmp_path / "good", 1)
    write_series(make_cine(seed=3), tmp_path / "still", 2)
    for path in sorted((tmp_path / "still").iterdir())[1:]:
        path.unlink()
    (tmp_path / "notes.txt").write_text("passed by in silence")
    found = scan(tmp_path)
    assert [item.found for item in found.skipped] == ["one frame only"]
    assert "still" in found.skipped[0].source


def test_writing_refuses_to_overwrite_and_leaves_nothing(tmp_path):
    cine = make_cine()
    first = write_series(cine, tmp_path / "a")[0].read_bytes()
    with pytest.raises(InputError, match="a file of that name"):
        write_series(make_cine(seed=9), tmp_path / "a")
    assert (tmp_path / "a" / "IM0001.dcm").read_bytes() == first
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError):
        write_series(cine, tmp_path / "file" / "b")
    with pytest.raises(ValueError, match="geometry and times"):
        write_series(cine.replace(geometry=None), tmp_path / "c")
    assert not (tmp_path / "c").exists()

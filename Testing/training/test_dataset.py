"""The published NPZ form: written and read without loss, and refused with a reason where it is wrong."""

import io
import warnings
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from CardiacValveLandmarksLib.errors import InputError
from CardiacValveLandmarksLib.training.dataset import LabelledImages, join, read_npz, split_by_patient, write_npz

VALUES = (10, 15, 20, 25, 30, 35, 100, 150, 200, 250)


def published(folder, count=4, size=256, **changes):
    """A file as others make it: the four published arrays alone."""
    rng = np.random.default_rng(1)
    arrays = {}
    for half in ("train", "test"):
        arrays[f"{half}Imgs"] = rng.random((count, size, size)).astype(np.float32)
        marked = np.zeros((count, size, size), np.int32)
        for number in range(count):
            marked[number, 40 + number, 60] = VALUES[2 * (number % 3)]
            marked[number, 90, 70 + number] = VALUES[2 * (number % 3) + 1]
        arrays[f"{half}LMImgs"] = marked
    path = folder / "valvelandmarks.npz"
    np.savez(path, **{key: value for key, value in {**arrays, **changes}.items() if value is not None})
    return path


def some(count=5, size=(256, 256), patients=None):
    rng = np.random.default_rng(2)
    landmarks = np.full((count, 11, 2), np.nan)
    landmarks[:, 4:6] = rng.uniform(20, 200, (count, 2, 2))
    landmarks[:, 10] = rng.uniform(20, 200, (count, 2))
    return LabelledImages(
        rng.random((count, *size)),
        landmarks,
        ("4CH",) * (count - 1) + (None,),
        np.full((count, 2), 1.25),
        patients or tuple(f"patient {i % 3}" for i in range(count)),
    )


def test_the_published_form_is_read(tmp_path):
    train, test = read_npz(published(tmp_path))
    assert len(train) == len(test) == 4 and train.images.dtype == np.float32
    np.testing.assert_array_equal(train.landmarks[1, 2], (41, 60))  # the pixel value 20 is landmark 3
    np.testing.assert_array_equal(train.landmarks[1, 3], (90, 71))
    assert train.present.sum() == 8
    assert train.views == ("2CH", "3CH", "4CH", "2CH")
    assert np.isnan(train.spacing).all() and set(train.patients) == {""}


def test_writing_and_reading_lose_nothing(tmp_path):
    train, test = some(), some(3, patients=("x", "y", "y"))
    write_npz(tmp_path / "a.npz", train, test)
    for before, after in zip((train, test), read_npz(tmp_path / "a.npz"), strict=True):
        assert before.fingerprint() == after.fingerprint()
        np.testing.assert_array_equal(before.landmarks, after.landmarks)
        assert (before.views, before.patients) == (after.views, after.patients)
    write_npz(tmp_path / "a.npz", train)  # without a test half
    assert len(read_npz(tmp_path / "a.npz")[1]) == 0


def test_other_readers_find_the_published_arrays(tmp_path):
    write_npz(tmp_path / "a.npz", some(), some(2, patients=("x", "y")))
    with np.load(tmp_path / "a.npz") as archive:
        assert archive["trainLMImgs"].shape == archive["trainImgs"].shape == (5, 256, 256)
        values, counts = np.unique(archive["trainLMImgs"], return_counts=True)
    assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == {0: 5 * 256 * 256 - 10, 30: 5, 35: 5}


def one(value, at=((5, 5),)):
    marked = np.zeros((4, 256, 256), np.int32)
    marked[:, 1, 1] = 10
    for row, column in at:
        marked[2, row, column] = value
    return marked


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"testLMImgs": None}, "no testLMImgs"),
        ({"trainImgs": np.zeros((4, 192, 192))}, r"trainImgs of shape \(n, 256, 256\); found \(4, 192, 192\)"),
        ({"trainImgs": np.zeros((4, 256, 256, 1))}, r"\(4, 256, 256, 1\)"),
        ({"testLMImgs": np.zeros((3, 256, 256), np.int32)}, r"testLMImgs of shape \(4, 256, 256\)"),
        ({"trainLMImgs": one(40)}, "40 in image 2 of trainLMImgs"),
        ({"trainLMImgs": one(12.5).astype(float) + 0.5 * (one(12) == 12)}, "12.5 in image 2"),
        ({"trainLMImgs": one(25, [(5, 5), (6, 5)])}, r"two of the value 25 \(landmark 4\) in image 2"),
        ({"trainLMImgs": one(10) * (np.arange(4) != 3)[:, None, None]}, "two of the value 10"),
        ({"trainLMImgs": np.where(one(10) == 10, np.nan, 0)}, "nan in image 0 of trainLMImgs"),
        ({"trainLMImgs": one(0) * (np.arange(4) != 3)[:, None, None]}, "none in image 3 of trainLMImgs"),
        ({"trainImgs": np.full((4, 256, 256), np.nan)}, "NaN or infinity in image 0"),
        ({"trainImgs": np.pad([[[1e300]]], ((2, 1), (0, 255), (0, 255)))}, "beyond float32 in image 2"),
        ({"testImgs": np.full((4, 256, 256), 1j)}, "numbers in testImgs; found complex128"),
        ({"trainImgs": np.zeros((0, 256, 256)), "trainLMImgs": np.zeros((0, 256, 256))}, "none in trainImgs"),
        ({"trainImgs": np.full((4, 256, 256), "a")}, "numbers in trainImgs"),
        ({"trainPatients": np.array(["a"] * 4), "testPatients": np.array(["b", "c", "a", "d"])}, "'a' in both"),
        ({"trainPatients": np.array(["a"])}, r"trainPatients of shape \(4,\)"),
        ({"trainViews": np.array(["2CH", "SAX", "", ""])}, "in trainViews"),
        ({"trainLandmarks": np.full((4, 11, 2), np.nan)}, "that agree"),
        ({"trainLandmarks": np.full((4, 10, 2), np.nan)}, r"trainLandmarks of shape \(4, 11, 2\)"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, changes, message):
    with pytest.raises(InputError, match=message) as error, warnings.catch_warnings():
        warnings.simplefilter("error")
        read_npz(published(tmp_path, **changes))
    assert "valvelandmarks.npz" in str(error.value)


def changed(folder, key, place, value):
    """A file of this library's own with one value changed in one array."""
    write_npz(folder / "own.npz", some(), some(2, patients=("x", "y")))
    with np.load(folder / "own.npz") as archive:
        arrays = dict(archive)
    arrays[key] = arrays[key].astype(float) if key.endswith("Landmarks") else arrays[key]
    arrays[key][place] = value
    np.savez(folder / "own.npz", **arrays)
    return folder / "own.npz"


@pytest.mark.parametrize("spacing", [0, -1.25, np.inf, -np.inf, (1.25, np.nan), (1.25, 0)])
@pytest.mark.parametrize("half", ["train", "test"])
def test_spacing_is_above_zero_or_unknown(tmp_path, half, spacing):
    path = changed(tmp_path, f"{half}Spacing", 1, spacing)
    with pytest.raises(InputError, match=rf"own.npz: expected .* above 0 .*{half}Spacing.*for image 1\."):
        read_npz(path)


@pytest.mark.parametrize("spacing", [np.full((5, 2), "1.25"), np.full((5, 2), 1.25 + 1j)])
def test_spacing_is_in_numbers(tmp_path, spacing):
    write_npz(tmp_path / "own.npz", some())
    with np.load(tmp_path / "own.npz") as archive:
        np.savez(tmp_path / "other.npz", **{**archive, "trainSpacing": spacing})
    with pytest.raises(InputError, match="numbers in trainSpacing"):
        read_npz(tmp_path / "other.npz")


def test_unknown_spacing_is_read(tmp_path):
    assert np.isnan(read_npz(changed(tmp_path, "trainSpacing", 1, np.nan))[0].spacing[1]).all()


@pytest.mark.parametrize(
    "point", [(1e6, -5), (np.inf, np.inf), (50, np.nan), (np.nan, 50), (255.5, 9), (9, -0.6), (1e300, 9)]
)
def test_the_apex_is_inside_its_image_or_absent(tmp_path, point):
    path = changed(tmp_path, "trainLandmarks", (3, 10), point)
    with pytest.raises(InputError, match=r"landmark 11 of image 3 at .* in trainLandmarks"), warnings.catch_warnings():
        warnings.simplefilter("error")
        read_npz(path)


def test_points_on_the_border_and_absent_ones_are_read(tmp_path):
    path = changed(tmp_path, "trainLandmarks", (3, 10), (-0.5, 255.4))
    assert read_npz(path)[0].present[3, 10]
    path = changed(tmp_path, "trainLandmarks", (3, 10), np.nan)
    assert not read_npz(path)[0].present[3, 10]


def test_a_view_that_does_not_show_the_landmarks_is_refused(tmp_path):
    path = changed(tmp_path, "trainViews", 2, "2CH")
    with pytest.raises(InputError, match=r"trainViews shows; found landmark 5 \(4CH\) in image 2, stated to be 2CH"):
        read_npz(path)
    assert read_npz(changed(tmp_path, "trainViews", 2, ""))[0].views[2] is None


def spoilt(field, place, value):
    data = some()
    array = np.array(getattr(data, field), object if field == "views" else None)
    array[place] = value
    return replace(data, **{field: array})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (spoilt("landmarks", (1, 10), (300, 9)), "landmark 11 of image 1"),
        (spoilt("landmarks", (1, 5, 0), np.nan), "landmark 6 of image 1"),
        (spoilt("views", 1, "3CH"), r"landmark 5 \(4CH\) in image 1, stated to be 3CH"),
        (spoilt("spacing", 1, 0), "for image 1"),
        (spoilt("images", (1, 5, 5), np.nan), "NaN or infinity in image 1"),
    ],
)
def test_what_is_not_read_is_not_written(tmp_path, data, message):
    with pytest.raises(InputError, match=message):
        write_npz(tmp_path / "a.npz", data)
    assert not list(tmp_path.iterdir())


def header_of(shape):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("trainImgs.npy", header_of((10**9, 256, 256)) + bytes(100), "too large for it"),
        ("trainImgs.npy", header_of((2,)).replace(b"<f8", b",f8"), "published form"),
        ("trainImgs.npy", b"junk", "no array in trainImgs"),
        ("trainImgs", b"junk", "no array in trainImgs"),
    ],
)
def test_entries_that_are_no_arrays_are_refused(tmp_path, name, content, message):
    path = published(tmp_path, trainImgs=None)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, content)
    with pytest.raises(InputError, match=message):
        read_npz(path)


def test_a_damaged_stream_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    write_npz(path, some())
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("trainImgs.npy").header_offset + 100
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for _ in range(20):  # whatever zlib and zipfile make of it
        damaged = content.copy()
        damaged[start + int(rng.integers(2000))] ^= 0xFF
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="published form"):
            read_npz(path)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 broken", None])
def test_what_is_no_npz_is_named(tmp_path, content):
    path = tmp_path / "a.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="published form"):
        read_npz(path)
    np.save(tmp_path / "b.npy", np.zeros((2, 256, 256)))
    with pytest.raises(InputError, match="published form"):
        read_npz(tmp_path / "b.npy")


def test_objects_in_a_file_are_refused(tmp_path):
    path = published(tmp_path, trainImgs=np.array([{"code": 1}] * 4, dtype=object))
    with pytest.raises(InputError):
        read_npz(path)


def test_a_cut_file_is_refused(tmp_path):
    path = published(tmp_path)
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(InputError):
        read_npz(path)


def test_landmarks_that_share_a_pixel_are_both_kept(tmp_path):
    data = replace(some(), views=(None,) * 5)  # no view shows the three
    data.landmarks[1, 4] = data.landmarks[1, 6] = data.landmarks[1, 7] = (80.2, 90.4)
    write_npz(tmp_path / "a.npz", data)
    np.testing.assert_array_equal(read_npz(tmp_path / "a.npz")[0].landmarks, data.landmarks)
    with np.load(tmp_path / "a.npz") as archive:
        pixels = [np.argwhere(archive["trainLMImgs"][1] == value) for value in (30, 100, 150)]
    assert [len(pixel) for pixel in pixels] == [1, 1, 1]
    assert np.concatenate(pixels).tolist() == [[80, 90], [80, 91], [81, 90]]


def test_landmarks_outside_their_image_are_not_written(tmp_path):
    data = some()
    data.landmarks[1, 5] = (-4, 10)
    with pytest.raises(InputError, match="landmark 6 of image 1 at"):
        write_npz(tmp_path / "a.npz", data)
    assert not list(tmp_path.iterdir())


def test_a_patient_is_in_one_half():
    data = some(9)
    train, held = split_by_patient(data, 0.1, 3, "a.npz")
    assert set(train.patients).isdisjoint(held.patients)
    assert len(set(held.patients)) == 1 and len(train) + len(held) == 9
    assert split_by_patient(data, 0.1, 3, "a.npz")[1].patients == held.patients
    assert {split_by_patient(data, 0.1, seed, "")[1].patients for seed in range(20)} > {held.patients}


@pytest.mark.parametrize(("patients", "message"), [(("a",) * 5, "1 patient"), (("",) * 5, "not known")])
def test_one_patient_cannot_be_split(patients, message):
    with pytest.raises(InputError, match=message):
        split_by_patient(some(patients=patients), 0.1, 0, "a.npz")


def test_sets_of_one_size_are_joined():
    both = join([some(2), some(3)])
    assert len(both) == 5 and both.views[1] is None
    with pytest.raises(ValueError, match="one size"):
        join([some(2), some(2, (64, 64))])

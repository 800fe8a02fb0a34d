"""Landmark files: every form is read, and what is wrong with one is named."""

import json

import numpy as np
import pytest

pytest.importorskip("scipy")

from annotated import a_set, detection_file, via_csv, via_images
from CardiacValveLandmarksLib.detection.files import write_markups
from CardiacValveLandmarksLib.errors import InputError
from CardiacValveLandmarksLib.landmarks import in_view
from CardiacValveLandmarksLib.phantom.cines import synthetic_study
from CardiacValveLandmarksLib.study import StudySettings
from CardiacValveLandmarksLib.study_build import build_study
from CardiacValveLandmarksLib.study_io import study_to_json
from CardiacValveLandmarksLib.training.annotation_names import NameMap, image_place, view_in
from CardiacValveLandmarksLib.training.compare import compare
from CardiacValveLandmarksLib.training.dataset import LabelledImages, write_npz
from CardiacValveLandmarksLib.training.landmark_sets import joined_sets, read_landmark_sets
from CardiacValveLandmarksLib.training.points import long_axis


@pytest.fixture(scope="module")
def items():
    return synthetic_study(77, frames=6, shape=(64, 64), spacing=4.5).items


def test_every_form_of_the_same_landmarks_reads_alike(items, tmp_path):
    item = items[2]
    truth, view = item.truth, item.kind
    detection_file(item, truth, tmp_path / "one.json")
    points = np.nan_to_num(truth.positions[:, :10]).transpose(0, 2, 1).astype(np.float32)
    np.save(tmp_path / "two.npy", points)
    images = via_images(item)
    (tmp_path / "three.json").write_text(json.dumps({"_via_settings": {}, "_via_img_metadata": images}))
    (tmp_path / "four.json").write_text(json.dumps(images))
    via_csv(images, tmp_path / "five.csv")
    write_markups(item.cine, truth, tmp_path / f"{item.cine.name}_003.mrk.json", frame=3)
    data = LabelledImages(
        item.cine.frames, truth.positions, (view,) * 6, np.full((6, 2), 4.5), ("p", "p", "q", "q", "r", "r")
    )
    write_npz(tmp_path / "six.npz", data)

    def read(name):
        (found,) = read_landmark_sets(tmp_path / name)
        assert found.view == view
        return found

    np.testing.assert_array_equal(read("one.json").pixels, long_axis(truth.positions))
    np.testing.assert_allclose(read("two.npy").pixels[:, :10], truth.positions[:, :10], atol=1e-4)
    for name in ("three.json", "four.json", "five.csv"):
        found = read(name)
        assert found.name == item.cine.name and found.frames.tolist() == [0, 3]
        np.testing.assert_allclose(found.pixels[:, :11], truth.positions[[0, 3]], atol=0.5001)
    markups = read(f"{item.cine.name}_003.mrk.json")
    assert markups.name == item.cine.name and markups.frames.tolist() == [3]
    np.testing.assert_allclose(item.cine.geometry.to_pixels(markups.patient[0, :11]), truth.positions[3], atol=1e-6)
    npz = read("six.npz")
    np.testing.assert_allclose(npz.pixels[:, :11], truth.positions, atol=1e-4)
    assert npz.persons == ("p", "p", "q", "q", "r", "r")


def test_a_study_is_one_person_and_its_views_are_cines(items, tmp_path):
    study = build_study(
        [(item.cine, item.truth) for item in items[:2]],
        StudySettings(samples=10, shift_images=False, motion_check=False, nodes=8, order=1),
    )
    study_to_json(study, tmp_path / "study.json")
    sets = read_landmark_sets(tmp_path)
    assert {item.view for item in sets} == {"2CH", "3CH"} and len({item.persons for item in sets}) == 1
    whole = compare(sets, [a_set(item, item.truth) for item in items])
    assert len(whole.cines) == 2 and max(np.nanmax(cine.errors) for cine in whole.cines) < 1e-6
    assert len({person for cine in whole.cines for person in cine.persons}) == 1


def test_markups_of_one_cine_are_joined_whatever_their_coordinate_system(items, tmp_path):
    item = items[0]
    for frame in (0, 4):
        path = tmp_path / f"{item.cine.name}_{frame}.mrk.json"
        write_markups(item.cine, item.truth, path, frame=frame)
        if frame:
            content = json.loads(path.read_text())
            content["markups"][0]["coordinateSystem"] = "RAS"
            for number, point in enumerate(content["markups"][0]["controlPoints"], start=1):
                point["position"] = [-point["position"][0], -point["position"][1], point["position"][2]]
                # as Slicer saves a list of a user's own: ids count, labels say what it is
                point["id"], point["label"] = str(number), f"2CH {point['label']}"
            path.write_text(json.dumps(content))
    (found,) = read_landmark_sets(tmp_path)
    assert found.frames.tolist() == [0, 4]
    expected = item.cine.geometry.to_patient(item.truth.positions[[0, 4]])
    np.testing.assert_allclose(found.patient[:, :11], expected, atol=1e-6)
    # as a folder, or named one by one
    (named,) = joined_sets([one for path in sorted(tmp_path.glob("*.mrk.json")) for one in read_landmark_sets(path)])
    np.testing.assert_array_equal(named.patient, found.patient)


@pytest.mark.parametrize(
    ("name", "view", "number"),
    [("7", None, 7), ("mitral_free_wall_4ch", None, 6), ("Mitral Septal", "3CH", 3), ("MV sept", "4CH", 5),
     ("anterior", "2CH", 1), ("4CH inferoseptal", None, 5), ("apex", None, 11), ("LV apex", "3CH", 11),
     ("inferoseptal", "3CH", None), ("mitral septal", None, None), ("2CH anterior", "4CH", None),
     ("tricuspid free wall", "4CH", 10), ("", "4CH", None), ("12", None, 12),
     ("anterior", "SAX", 12), ("LV centre", "SAX", 14), ("15", None, None)],
)  # fmt: skip
def test_names(name, view, number):
    found = NameMap().resolve(name, view)
    assert (found.number if found else None) == number


def test_image_names():
    names = NameMap(images={"x.png": ("cine", 4)})
    assert image_place("dir/four_chamber_012.png", names) == ("four_chamber", 12)
    assert image_place("a-frame7.jpg", names) == ("a", 7)
    assert image_place("Se6.png", names) == ("Se6", 0)
    assert image_place("dir\\x.png", names) == ("cine", 4)
    assert view_in("patient_4CH_1") == "4CH" and view_in("2ch_4ch") is None


def test_a_mapping_names_landmarks_pictures_and_pixels(items, tmp_path):
    item = items[1]
    (image,) = (image for name, image in via_images(item, (2,), scale=4).items() if "other" not in name)
    image["filename"] = "shot.png"
    for region, word in zip(image["regions"], "abcde", strict=False):
        region["region_attributes"] = {"id": word, "remark": "7"}
    (tmp_path / "via.json").write_text(json.dumps({"shot.png": image}))
    mapping = {
        "landmarks": {word: landmark.key for word, landmark in zip("abcde", in_view("3CH"), strict=False)},
        "attribute": "id", "images": {"shot.png": [item.cine.name, 2]}, "scale": 4, "offset": [0, 0],
    }  # fmt: skip
    (tmp_path / "names.json").write_text(json.dumps(mapping))
    (found,) = read_landmark_sets(tmp_path / "via.json", NameMap.read(tmp_path / "names.json"))
    assert (found.name, found.frames.tolist()) == (item.cine.name, [2])
    np.testing.assert_allclose(found.pixels[0, :11], item.truth.positions[2], atol=0.126)


def bad_files(tmp_path, item):
    image = next(iter(via_images(item, (0,)).values()))

    def via(change):
        content = json.loads(json.dumps(image))
        change(content)
        return json.dumps({"a.png1": content})

    def twice(content):
        content["regions"].append(content["regions"][0])

    return {
        "not json.json": ("{", "no JSON"),
        "other.json": ('{"a": 1}', "another kind"),
        "via3.json": ('{"project": {}, "config": {}, "attribute": {}, "file": {}, "metadata": {}}', "VIA 3"),
        "twice.json": (via(twice), "two points for"),
        "name.json": (via(lambda c: c["regions"][0].update(region_attributes={"name": "nose"})), "nose"),
        "none.json": (via(lambda c: c["regions"][0].update(region_attributes={})), "no attribute"),
        "rect.json": (via(lambda c: c["regions"][0].update(shape_attributes={"name": "rect"})), "a rect"),
        "view.json": (via(lambda c: c["file_attributes"].update(view="5CH")), "5CH"),
        "frame.json": (via(lambda c: c["file_attributes"].update(frame="first")), "first"),
        "nan.json": (via(lambda c: c["regions"][0]["shape_attributes"].update(cx=None)), "None"),
        "infinite.json": (via(lambda c: c["regions"][0]["shape_attributes"].update(cx=float("nan"))), "finite"),
        "wrong_view.json": (
            via(lambda c: c["regions"][0].update(region_attributes={"name": "9" if item.kind != "4CH" else "1"})),
            f"landmarks of the {item.kind}",
        ),
        "1_2CH_000.mrk.json": (
            '{"markups": [{"controlPoints": [{"label": "5", "position": [1, 2, 3]}]}]}',
            "landmarks of the 2CH",
        ),
        "empty.json": ('{"_via_img_metadata": {}}', "none"),
        "list.csv": ("a,b\n1,2\n", "VIA's CSV"),
        "shape.npy": (np.zeros((3, 10, 2)), "(3, 10, 2)"),
        "nan.npy": (np.full((3, 2, 10), np.nan), "NaN"),
        "missing.json": (None, "nothing there"),
        "pages.txt": ("hello", "a .txt"),
        "bad.mrk.json": ('{"markups": [{"controlPoints": [{"id": "1", "position": [1, 2]}]}]}', "reshape"),
        "label.mrk.json": ('{"markups": [{"controlPoints": [{"label": "F-1", "position": [1, 2, 3]}]}]}', "F-1"),
    }


def test_bad_files_are_named_with_what_is_wrong(items, tmp_path):
    for name, (content, expected) in bad_files(tmp_path, items[0]).items():
        path = tmp_path / name
        if isinstance(content, np.ndarray):
            np.save(path, content)
        elif content is not None:
            path.write_text(content)
        with pytest.raises(InputError) as error:
            read_landmark_sets(path)
        assert str(path) in str(error.value) and expected in str(error.value), name
    (tmp_path / "names.json").write_text('{"landmark": {}}')
    with pytest.raises(InputError, match="landmark"):
        NameMap.read(tmp_path / "names.json")
    with pytest.raises(InputError, match="landmark 'nose'"):
        (tmp_path / "names.json").write_text('{"landmarks": {"x": "nose"}}')
        NameMap.read(tmp_path / "names.json")

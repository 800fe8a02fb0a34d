"""Evaluation of landmark files: every form is read, what belongs together is compared, figures are right."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("scipy")

from CardiacValveLandmarksLib.cli import main
from CardiacValveLandmarksLib.detection.files import write_markups
from CardiacValveLandmarksLib.errors import InputError
from CardiacValveLandmarksLib.landmarks import LandmarkSeries, Provenance, in_view
from CardiacValveLandmarksLib.phantom.cines import synthetic_study
from CardiacValveLandmarksLib.study import StudySettings
from CardiacValveLandmarksLib.study_build import build_study
from CardiacValveLandmarksLib.study_io import study_to_json
from CardiacValveLandmarksLib.training.annotation_names import NameMap, image_place, view_in
from CardiacValveLandmarksLib.training.compare import compare
from CardiacValveLandmarksLib.training.dataset import LabelledImages, write_npz
from CardiacValveLandmarksLib.training.evaluation import MODEL, READERS, evaluate, measures_of
from CardiacValveLandmarksLib.training.landmark_sets import LandmarkSet, read_landmark_sets
from CardiacValveLandmarksLib.training.points import N_POINTS, POINTS, long_axis, point_mask, tell_views


@pytest.fixture(scope="module")
def items():
    return synthetic_study(77, frames=6, shape=(64, 64), spacing=4.5).items


def moved(series: LandmarkSeries, step, confidence=0.9) -> LandmarkSeries:
    """All points moved by `step` pixels, with a confidence."""
    stated = np.where(series.present, confidence, 0.1)
    return series.replace(positions=series.positions + np.array(step), confidence=stated)


def without(series: LandmarkSeries, frame: int, number: int) -> LandmarkSeries:
    positions, provenance = series.positions.copy(), series.provenance.copy()
    positions[frame, number - 1], provenance[frame, number - 1] = np.nan, Provenance.ABSENT
    return series.replace(positions=positions, provenance=provenance)


def a_set(item, series, **changes) -> LandmarkSet:
    return replace(LandmarkSet.from_series(item.cine.name, series, item.cine.geometry, item.cine.spacing), **changes)


def detection_file(item, series, path):
    """As cvl detect writes it."""
    from CardiacValveLandmarksLib.detection.files import write_json
    from CardiacValveLandmarksLib.detection.result import DetectionResult
    from CardiacValveLandmarksLib.models.catalogue import resolve_model

    scores = dict.fromkeys(("2CH", "3CH", "4CH"), 0.5)
    result = DetectionResult(
        series.replace(view_confidence=1.0), series.view, 1.0, scores, resolve_model("phantom-heatmap"), "test", {}, ()
    )
    write_json(item.cine, result, path)


def via_images(item, numbers=(0, 3), scale=1):
    """VIA's image entries of some frames, points named as Xue names them where it does."""
    words = {1: "anterior", 2: "inferior", 3: "anteroseptal", 4: "inferolateral", 5: "inferoseptal", 6: "anterolateral",
             11: "apex"}  # fmt: skip
    images = {}
    for frame in numbers:
        name = f"{item.cine.name}_{frame:03d}.png"
        regions = []
        for landmark in in_view(item.kind):
            row, column = (item.truth.positions[frame, landmark.index] + 0.5) * scale - 0.5
            shape = {"name": "point", "cx": round(column), "cy": round(row)}
            label = words.get(landmark.number, landmark.name)
            # every other one as VIA writes a checkbox
            said = label if landmark.number % 2 else {label: True, "nose": False}
            regions.append({"shape_attributes": shape, "region_attributes": {"landmark": said}})
        images[name + "1234"] = {
            "filename": name, "size": 1234, "regions": regions, "file_attributes": {"view": item.kind},
        }  # fmt: skip
    images["other.png99"] = {"filename": "other.png", "size": 99, "regions": [], "file_attributes": {}}
    return images


def via_csv(images, path):
    with path.open("w", newline="") as stream:
        stream.write("#")
        writer = csv.writer(stream)
        writer.writerow(["filename", "file_size", "file_attributes", "region_count", "region_id",
                         "region_shape_attributes", "region_attributes"])  # fmt: skip
        for image in images.values():
            regions = image["regions"] or [{"shape_attributes": {}, "region_attributes": {}}]
            for number, region in enumerate(regions):
                writer.writerow([
                    image["filename"], image["size"], json.dumps(image["file_attributes"]), len(image["regions"]),
                    number, json.dumps(region["shape_attributes"]), json.dumps(region["region_attributes"]),
                ])  # fmt: skip


# -- reading --------------------------------------------------------------------------------------


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


# -- comparing ------------------------------------------------------------------------------------


def test_errors_are_millimetres_and_presence_is_counted(items):
    reference = [a_set(item, item.truth) for item in items]
    found = [without(moved(item.truth, (3, 4)), 2, in_view(item.kind)[0].number) for item in items]
    result = evaluate(compare([a_set(*pair) for pair in zip(items, found, strict=True)], reference))
    everything = result.landmarks[-1]
    # 3 and 4 pixels of 4.5 mm
    assert everything["mean"] == pytest.approx(22.5) and everything["sd"] == pytest.approx(0, abs=1e-9)
    assert everything["false_negative"] == 3 and everything["false_positive"] == 0 and everything["within"] == 0
    assert [row["rate"] for row in result.detection] == [pytest.approx(5 / 6)] * 3 + [pytest.approx(15 / 18)]
    assert result.calibration.near == 0 and result.calibration.ece == pytest.approx(0.9)
    # a shift of all points leaves lengths and angles as they are
    for row in result.measures:
        assert row["bias"] == pytest.approx(0, abs=1e-6), row
    # the other way round, what was missing is what is too much
    back = evaluate(compare(reference, [a_set(*pair) for pair in zip(items, found, strict=True)]))
    assert back.landmarks[-1]["false_positive"] == 3 and back.landmarks[-1]["false_negative"] == 0


def test_the_reference_decides_what_is_assessed(items):
    """A reader who marks two frames and never the apex says nothing of the rest."""
    item = items[0]
    positions = long_axis(item.truth.positions[[1, 4]])
    positions[:, 10] = np.nan
    reader = LandmarkSet(item.cine.name, np.array([1, 4]), ("2CH", "2CH"), positions)
    pair = compare([a_set(item, item.truth)], [reader])
    assert {(row.frame, row.landmark) for row in pair.rows()} == {(1, 1), (1, 2), (4, 1), (4, 2)}
    assert any("11 LV apex" in note for note in pair.notes)
    late = replace(reader, frames=np.array([1, 9]))
    with pytest.raises(InputError, match="without 9"):
        compare([a_set(item, item.truth)], [late])
    assert {row.landmark for row in compare([a_set(item, item.truth)], [reader], landmarks=[2]).rows()} == {2}


def test_a_wrongly_recognised_view_is_a_miss(items):
    item = items[2]
    wrong = LandmarkSeries.empty(6, "2CH")
    (row, *_) = evaluate(compare([a_set(item, wrong)], [a_set(item, item.truth)])).detection
    assert row["rate"] == 0 and row["view_right"] == 0 and row["images_false_negative"] == 6


def test_cines_are_told_by_plane_or_view_where_names_differ(items):
    reference = [a_set(item, item.truth, name=f"r{k}") for k, item in enumerate(items)]
    predictions = [a_set(item, item.truth, name=f"p{2 - k}") for k, item in enumerate(items)][::-1]
    by_plane = compare(predictions, reference)
    assert len(by_plane.cines) == 3 and max(np.nanmax(cine.errors) for cine in by_plane.cines) < 1e-9
    bare = [replace(item, geometry=None, patient=None) for item in predictions]
    by_view = compare(bare, reference)
    assert len(by_view.cines) == 3 and all("its view" in note for note in by_view.notes[:3])
    unknown = [replace(item, views=(None,) * 6) for item in bare]
    with pytest.raises(InputError, match="Name them alike"):
        compare(unknown, reference)
    with pytest.raises(InputError, match="more than once"):
        compare([*predictions, predictions[0]], reference)
    other = synthetic_study(78, frames=6, shape=(64, 64), spacing=4.5).items[0]
    elsewhere = a_set(other, other.truth, name="r0")
    with pytest.raises(InputError, match="off it"):
        compare([elsewhere], reference[:1])


def test_spacing_must_be_known_for_all_or_none(items):
    def bare(item, name):
        return LandmarkSet(name, np.arange(6), (item.kind,) * 6, long_axis(item.truth.positions))

    one = bare(items[0], "a")
    pixels = compare([replace(one, pixels=one.pixels + 3)], [one])
    assert pixels.unit == "px" and pixels.rows()[0].error_mm == pytest.approx(3 * np.sqrt(2))
    assert evaluate(pixels).calibration is None
    assert compare([one], [one], spacing=2.0).unit == "mm"
    known = replace(bare(items[1], "b"), spacing=np.full(2, 4.5))
    with pytest.raises(InputError, match="--spacing"):
        compare([one, known], [one, known])


def test_lengths_and_angles_by_hand():
    points = np.full((2, N_POINTS, 2), np.nan)
    # 4CH: mitral points at rows 0, columns 0 and 40; apex 90 below their middle, then moved so that the axis tilts
    points[:, 4], points[:, 5], points[0, 10], points[1, 10] = (0, 0), (0, 40), (90, 20), (90, 110)
    found = measures_of(points, "4CH")
    np.testing.assert_allclose(found["mitral_diameter"], 40)
    np.testing.assert_allclose(found["lv_length"], [90, np.hypot(90, 90)])
    np.testing.assert_allclose(found["lv_axis_angle"], [90, 45])
    np.testing.assert_allclose(found["mitral_tilt"], [90, 45])
    assert np.isnan(found["tricuspid_diameter"]).all()
    turned = measures_of(points[..., ::-1] * [1, -1], "4CH")
    for name in ("mitral_diameter", "lv_length", "mitral_tilt"):
        np.testing.assert_allclose(turned[name], found[name])


def test_short_axis_points_and_the_arvi_angle(tmp_path):
    """cvl sax against VIA: the angle of the anterior insertion about the LV centre, its difference through 0."""
    places = np.array([[[50.0, 80.0], [90.0, 40.0], [60.0, 60.0]], [[60.0, 90.0], [90.0, 40.0], [60.0, 60.0]]])
    turned = places.copy()
    turned[1, 0] = 61.0, 90.0
    record = {
        "cine": {"name": "base", "spacing_mm": [2.0, 2.0]}, "positions_px": turned.tolist(), "arvi": {},
    }  # fmt: skip
    (tmp_path / "base_sax.json").write_text(json.dumps(record))
    images = {}
    for frame, points in enumerate(places):
        regions = [
            {"shape_attributes": {"name": "point", "cx": column, "cy": row}, "region_attributes": {"point": name}}
            for (row, column), name in zip(points, ("anterior", "inferior", "LV centre"), strict=True)
        ]
        name = f"base_{frame}.png"
        images[name] = {"filename": name, "regions": regions, "file_attributes": {"view": "SAX"}}
    (tmp_path / "via.json").write_text(json.dumps(images))
    pair = compare(read_landmark_sets(tmp_path / "base_sax.json"), read_landmark_sets(tmp_path / "via.json"))
    assert {row.landmark for row in pair.rows()} == {12, 13, 14} and pair.unit == "mm"
    result = evaluate(pair)
    assert result.landmarks[-1]["max"] == pytest.approx(2)
    (angle,) = result.measures
    # the second frame's angle falls from 0 to just below 360
    assert angle["measure"] == "arvi_angle" and angle["bias"] == pytest.approx(-np.degrees(np.arctan2(1, 30)) / 2)
    assert tell_views(long_axis(np.zeros((1, 11, 2)))) == (None,) and point_mask("SAX").sum() == 3
    assert [point.number for point in POINTS] == list(range(1, N_POINTS + 1))


def test_a_second_reader_is_compared_over_the_same_points(items):
    persons = {item.cine.name: f"person {k}" for k, item in enumerate(items)}
    first = [a_set(item, item.truth) for item in items]
    second = [a_set(item, moved(item.truth, (0, 2 + k / 8))) for k, item in enumerate(items)]
    predictions = [a_set(item, moved(item.truth, (1, 0))) for item in items]
    pairs = [compare(*pair, persons=persons) for pair in ((predictions, first), (predictions, second), (second, first))]
    result = evaluate(*pairs)
    row = result.readers[-1]
    assert row["prediction_reader1_mean"] == pytest.approx(4.5) and row["persons"] == 3
    assert 9 < row["reader2_reader1_mean"] < 10.2 and row["difference"] < -4.5 and row["p"] < 0.01
    assert {entry["pair"] for entry in result.measures} >= {MODEL, READERS}


def test_a_second_reader_may_mark_some_frames(items):
    first = [a_set(item, item.truth) for item in items]
    second = [a_set(item, moved(item.truth, (0, 2))).take([1, 4]) for item in items[:2]]
    predictions = [a_set(item, moved(item.truth, (1, 0))) for item in items]
    pairs = compare(predictions, first), compare(predictions, second), compare(second, first, common_frames=True)
    result = evaluate(*pairs)
    counts = [sum(item.truth.present[[1, 4]].sum() for item in items[:2]), sum(i.truth.present.sum() for i in items)]
    assert [result.readers[-1]["n"], result.landmarks[-1]["n"]] == counts
    assert result.readers[-1]["reader2_reader1_mean"] == pytest.approx(9)
    with pytest.raises(InputError, match="without 0"):
        compare(second, first)
    late = [item.take([0]) for item in second]
    with pytest.raises(InputError, match="marks too"):
        compare(late, [item.take([3]) for item in first], common_frames=True)


# -- the command ----------------------------------------------------------------------------------


def test_the_command_writes_everything_or_nothing(items, tmp_path, capsys, monkeypatch):
    for folder, step, confidence in (("truth", (0, 0), 1.0), ("reader2", (0.5, -0.5), np.nan), ("found", (1, 1), 0.8)):
        (tmp_path / folder).mkdir()
        for item in items:
            detection_file(item, moved(item.truth, step, confidence), tmp_path / folder / f"{item.cine.name}.json")
    (tmp_path / "strata.csv").write_text(
        "cine,vendor,person\n" + "".join(f"{item.cine.name},{'AB'[k % 2]},{k}\n" for k, item in enumerate(items))
    )
    arguments = ["evaluate", "--predictions", str(tmp_path / "found"), "--reference", str(tmp_path / "truth"),
                 "--reader2", str(tmp_path / "reader2"), "--strata", str(tmp_path / "strata.csv"),
                 "--landmarks", "1,2,3,4,5,6", "-o", str(tmp_path / "out")]  # fmt: skip
    assert main(arguments) == 0
    assert "second reader" in capsys.readouterr().out
    names = {path.name for path in (tmp_path / "out").iterdir()}
    from CardiacValveLandmarksLib.training.evaluation_files import FILES

    assert names == set(FILES)
    from PIL import Image

    for name in names:
        if name.endswith(".png"):
            assert min(Image.open(tmp_path / "out" / name).size) > 200
    record = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert record["unit"] == "mm" and record["landmarks"][-1]["mean"] == pytest.approx(4.5 * np.sqrt(2), abs=1e-3)
    vendors = {row["value"]: row["cines"] for row in record["strata"] if row["grouping"] == "vendor"}
    assert vendors == {"A": 2, "B": 1}
    with (tmp_path / "out" / "points.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == sum(item.truth.present[:, :6].sum() for item in items)
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert main(arguments) == 3 and "--overwrite" in capsys.readouterr().err

    import CardiacValveLandmarksLib.training.evaluation_files as module

    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.Path, "write_bytes", full)
    assert main([*arguments, "--overwrite", "--no-pictures"]) == 3 and "No space left" in capsys.readouterr().err
    monkeypatch.undo()
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert main([*arguments, "--overwrite", "--no-pictures"]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {n for n in FILES if not n.endswith(".png")}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--reference", "x", "--studies", "3"], "--studies"), (["--predictions", "x"], "--predictions"),
     (["--reference", "nowhere.json", "--predictions", "x"], "nowhere.json"), (["--within", "0"], "--within"),
     (["--reference", "x", "--predictions", "x", "--model", "y"], "--model"), (["--studies", "0"], "--studies")],
)  # fmt: skip
def test_wrong_calls_are_said(arguments, words, capsys):
    assert main(["evaluate", *arguments]) in (2, 3)
    assert words in capsys.readouterr().err


def test_bivme_guide_points_against_themselves(real_data):
    folder = real_data / "biv-me" / "guidepoints" / "default" / "patient1"
    sets = read_landmark_sets(folder)
    assert {item.view for item in sets} == {"2CH", "3CH", "4CH"}
    result = evaluate(compare(sets, sets))
    assert result.landmarks[-1]["n"] == 275 and result.landmarks[-1]["max"] < 1e-9
    lengths = {row["view"]: row for row in result.measures if row["measure"] == "lv_length"}
    assert lengths["4CH"]["n"] == 25 and lengths["4CH"]["bias"] == 0


def test_a_model_is_measured_on_a_training_set_in_the_published_form(tmp_path, capsys):
    item = synthetic_study(77, kinds=("4CH",), frames=2, shape=(128, 128), spacing=2.0, mirror=False).items[0]
    data = LabelledImages(item.cine.frames, item.truth.positions, ("4CH",) * 2, np.full((2, 2), 2.0), ("p", "q"))
    write_npz(tmp_path / "set.npz", data)
    assert main(["evaluate", "--reference", str(tmp_path / "set.npz"), "-o", str(tmp_path), "--no-pictures"]) == 0
    record = json.loads((tmp_path / "evaluation.json").read_text())
    row = record["landmarks"][-1]
    assert row["there"] == 10 and row["n"] >= 8 and row["median"] < 5
    assert record["measures"][0]["persons"] == 2 and "4CH" in capsys.readouterr().out
    write_npz(tmp_path / "flat.npz", replace(data, images=np.zeros_like(data.images)))
    assert main(["evaluate", "--reference", str(tmp_path / "flat.npz")]) == 3
    assert "constant" in capsys.readouterr().err

"""Evaluation of landmark files: what belongs together is compared, figures are right."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("scipy")

from annotated import a_set, detection_file, moved, without
from CardiacValveLandmarksLib.cli import main
from CardiacValveLandmarksLib.errors import InputError
from CardiacValveLandmarksLib.landmarks import LandmarkSeries, in_view
from CardiacValveLandmarksLib.phantom.cines import synthetic_study
from CardiacValveLandmarksLib.training.compare import compare
from CardiacValveLandmarksLib.training.dataset import LabelledImages, write_npz
from CardiacValveLandmarksLib.training.evaluation import MODEL, READERS, evaluate, measures_of
from CardiacValveLandmarksLib.training.landmark_sets import LandmarkSet, read_landmark_sets
from CardiacValveLandmarksLib.training.points import N_POINTS, POINTS, long_axis, point_mask, tell_views


@pytest.fixture(scope="module")
def items():
    return synthetic_study(77, frames=6, shape=(64, 64), spacing=4.5).items


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


def test_readers_have_the_unit_of_the_predictions(items):
    """Two annotations of pixels alone, whose spacing the predictions know: in mm against them, and one another."""
    first, second = [], []
    for k, item in enumerate(items):
        bare = {"name": f"reader's {k}", "geometry": None, "patient": None, "spacing": None}
        first.append(a_set(item, item.truth, **bare))
        second.append(a_set(item, moved(item.truth, (0, 2)), **bare))
    predictions = [a_set(item, moved(item.truth, (1, 0))) for item in items]
    model = compare(predictions, first)
    bare = compare(second, first, common_frames=True)
    assert (model.unit, bare.unit) == ("mm", "px")
    with pytest.raises(InputError, match="one unit"):
        evaluate(model, None, bare)
    between = compare(second, model.inform(first), common_frames=True)
    row = evaluate(model, compare(model.inform(predictions), second), between).readers[-1]
    assert row["prediction_reader1_mean"] == pytest.approx(4.5) and row["reader2_reader1_mean"] == pytest.approx(9)
    assert row["prediction_reader2_mean"] == pytest.approx(4.5 * np.sqrt(5))


def test_spacings_of_single_images_reach_the_second_reader(items):
    """A training set has a spacing for each image; the other reader may mark some of them."""
    item = items[0]
    spacing = np.tile([[1.5, 2.0]], (item.cine.n_frames, 1)) * np.arange(1, item.cine.n_frames + 1)[:, None]
    first = [a_set(item, item.truth, geometry=None, patient=None, spacing=None)]
    second = [a_set(item, moved(item.truth, (0, 1)), geometry=None, patient=None, spacing=None).take([1, 4])]
    predictions = [a_set(item, moved(item.truth, (1, 0)), geometry=None, patient=None, spacing=spacing)]
    model = compare(predictions, first)
    between = compare(second, model.inform(first), common_frames=True)
    row = evaluate(model, None, between).readers[-1]
    assert row["reader2_reader1_mean"] == pytest.approx(np.mean([2.0 * 2, 2.0 * 5]))
    assert row["prediction_reader1_mean"] == pytest.approx(np.mean([1.5 * 2, 1.5 * 5]))


def test_two_spacings_of_one_cine_are_refused(items):
    item = items[0]
    bare = {"geometry": None, "patient": None}
    with pytest.raises(InputError, match=r"one pixel spacing.*4\.5 mm and 3 mm"):
        compare([a_set(item, item.truth)], [a_set(item, item.truth, **bare, spacing=np.full(2, 3.0))])


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
    strata = (tmp_path / "strata.csv").read_text()
    (tmp_path / "misspelt.csv").write_text(strata.replace(items[0].cine.name, "misspelt"))
    other = [str(tmp_path / "misspelt.csv") if word.endswith("strata.csv") else word for word in arguments]
    assert main([*other[:-1], str(tmp_path / "other")]) == 0
    assert "passed over: misspelt" in capsys.readouterr().err
    (tmp_path / "misspelt.csv").write_text(strata.replace("vendor", "view"))
    assert main([*other, "--overwrite"]) == 3 and "by itself" in capsys.readouterr().err
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

"""Evaluation that could mislead: other patients, other grids, points of another view, several images a person."""

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("scipy")

from annotated import a_set, detection_file, moved, via_images
from CardiacValveLandmarksLib.cli import main
from CardiacValveLandmarksLib.errors import InputError
from CardiacValveLandmarksLib.phantom.cines import synthetic_study
from CardiacValveLandmarksLib.training.agreement import bland_altman, paired_test
from CardiacValveLandmarksLib.training.compare import compare
from CardiacValveLandmarksLib.training.evaluation import evaluate, measure_pairs
from CardiacValveLandmarksLib.training.landmark_sets import joined_sets, read_landmark_sets
from CardiacValveLandmarksLib.training.points import long_axis


@pytest.fixture(scope="module")
def items():
    return synthetic_study(77, frames=6, shape=(64, 64), spacing=4.5).items


def bare(item, name, **changes):
    """Without patient space: told by name or view alone."""
    return a_set(item, item.truth, name=name, geometry=None, patient=None, **changes)


def test_what_names_leave_over_is_not_paired_by_its_view(items):
    """Of three patients two have their counterpart; the third of each side is another's."""
    item = items[2]
    reference = [bare(item, f"p0{n}") for n in (1, 2, 3)]
    predictions = [bare(item, f"p0{n}") for n in (1, 2, 4)]
    found = compare(predictions, reference)
    assert [cine.cine for cine in found.cines] == ["p01", "p02"]
    assert (
        "Without a prediction, left out: p03." in found.notes and "Without a reference, left out: p04." in found.notes
    )


@pytest.mark.parametrize("sizes", [[10] * 6, [60, 5, 5, 5, 5, 5], [100, 2, 2, 2]])
def test_intervals_over_persons_cover_however_many_images_each_has(sizes):
    """A person with many images counts no more than one with few."""
    rng, groups = np.random.default_rng(0), np.repeat(np.arange(len(sizes)), sizes)
    covered = []
    for _ in range(600):
        difference = rng.normal(0, 1, len(sizes))[groups] + rng.normal(0, 0.3, len(groups))
        found, test = (of(difference, 0 * difference, groups) for of in (bland_altman, paired_test))
        covered.append(found.bias_ci[0] <= 0 <= found.bias_ci[1])
        assert np.sign(test.t) == np.sign(test.difference) and found.bias == pytest.approx(test.difference)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.03)


def test_limits_have_a_part_within_and_one_between_persons():
    """Bland and Altman 2007: of many persons with a few images each, the SD is that of a single difference."""
    rng, groups = np.random.default_rng(1), np.repeat(np.arange(4000), rng_sizes := [1, 2, 6, 3] * 1000)
    difference = rng.normal(1, 2, 4000)[groups] + rng.normal(0, 1, sum(rng_sizes))
    found = bland_altman(difference, 0 * difference, groups)
    assert found.sd == pytest.approx(np.sqrt(5), rel=0.03) and found.bias == pytest.approx(1, abs=0.1)
    one = bland_altman(difference[:3], np.zeros(3), ["a"] * 3)
    assert (
        one.sd == pytest.approx(difference[:3].std(ddof=1)) and np.isnan(one.bias_ci[0]) and np.isnan(one.upper_ci[1])
    )


def test_no_shortening_of_single_images_or_several_hearts(items):
    item = items[2]
    one = a_set(item, item.truth)
    assert ("longitudinal_shortening", "4CH") in measure_pairs(compare([one], [one]))
    others = replace(one, persons=tuple(f"p{n}" for n in range(6)))
    stills = replace(one, stills=True)
    for given in (others, stills):
        assert ("longitudinal_shortening", "4CH") not in measure_pairs(compare([given], [given]))


def test_landmarks_that_the_view_does_not_have_are_false_positives(items):
    """As a network may invent them that predicts all ten at once."""
    item = items[0]
    points = long_axis(item.truth.positions)
    points[:2, 4] = 30.0  # 5 mitral septal in two frames of a 2CH
    found = a_set(item, item.truth, pixels=points, patient=None)
    for landmarks in (None, [1, 2, 5]):
        result = evaluate(compare([found], [a_set(item, item.truth)], landmarks=landmarks))
        (septal,) = (row for row in result.landmarks if row["landmark"] == 5)
        assert (septal["absent"], septal["false_positive"], septal["there"]) == (6, 2, 0)
        assert result.detection[-1]["images_false_positive"] == 2 and result.detection[-1]["right"] == 4
    other = evaluate(compare([found], [a_set(item, item.truth)], landmarks=[1, 2]))
    assert other.detection[-1]["right"] == 6


def test_points_outside_the_image_are_no_distances(items, tmp_path):
    item = items[2]
    detection_file(item, moved(item.truth, (0, 0)), tmp_path / "4CH.json")
    found = read_landmark_sets(tmp_path / "4CH.json")
    assert found[0].shape == (64, 64)
    (tmp_path / "via.json").write_text(json.dumps(via_images(item, scale=4)))
    enlarged = [replace(one, name=found[0].name) for one in read_landmark_sets(tmp_path / "via.json")]
    with pytest.raises(InputError, match=r"64 × 64 pixels.*--names"):
        compare(found, enlarged)
    with pytest.raises(InputError, match="64 × 64 pixels"):
        compare([replace(found[0], shape=None)], enlarged, cines=[item.cine.replace(name=found[0].name)])
    half = replace(found[0], shape=(32, 32), geometry=None, patient=None, spacing=None)
    with pytest.raises(InputError, match="one image size"):
        compare([half], found)


def test_one_wild_prediction_is_an_error_and_no_other_image(items):
    item = items[2]
    points = long_axis(item.truth.positions)
    points[1, 4] = [70.0, 10.0]
    wild = a_set(item, item.truth, pixels=points, patient=None, shape=(64, 64))
    assert np.nanmax(compare([wild], [a_set(item, item.truth)]).cines[0].errors) > 100


def test_confidence_is_judged_by_the_5_mm_it_is_about(items):
    item = items[2]
    near = a_set(item, moved(item.truth, (3 / 4.5, 0), confidence=0.97))
    for within in (1.0, 5.0):
        told = evaluate(compare([near], [a_set(item, item.truth)]), within=within).calibration
        assert told.within == 5 and told.ece == pytest.approx(0.03)


def test_cines_of_one_name_say_what_to_do(items):
    one = bare(items[0], "2CH")
    with pytest.raises(InputError, match="names of their own"):
        joined_sets([replace(one, source="a/2CH.json"), replace(one, source="b/2CH.json")])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cine, person, vendor\nA, p1, X\nB, p1, Y\n", None),
        ("Cine;Person;vendor\nA;p1;X\nB;p1;Y\n\n;;\n", None),
        ("cine,vendor,vendor\nA,X,Y\n", "each column once"),
        ("cine,vendor\nA,X\nA,Y\n", "a cine twice"),
        ("cine,vendor\nA\n", "more or fewer columns"),
    ],
)
def test_tables_of_strata_as_spreadsheets_write_them(tmp_path, text, said):
    from CardiacValveLandmarksLib.cli.evaluate import _strata

    path = tmp_path / "strata.csv"
    path.write_text("\ufeff" + text)
    if said:
        with pytest.raises(InputError, match=said):
            _strata(path)
    else:
        assert _strata(path) == {"A": {"person": "p1", "vendor": "X"}, "B": {"person": "p1", "vendor": "Y"}}


@pytest.mark.parametrize("content", ["[" * 100_000, "filename,x\n" + '"' + "a" * 200_000 + '",1\n'])
def test_files_that_break_their_parsers_are_named(tmp_path, content, capsys):
    path = tmp_path / ("a.json" if content.startswith("[") else "a.csv")
    path.write_text(content)
    assert main(["evaluate", "--reference", str(path), "--predictions", str(path)]) == 3
    assert str(path) in capsys.readouterr().err

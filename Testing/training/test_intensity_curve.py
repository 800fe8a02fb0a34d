"""Intensity curves: how they are fitted, when they are taken, and what a model does that has one."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from CardiacValveLandmarksLib.detection import detect  # noqa: E402
from CardiacValveLandmarksLib.detection.saliency import FrameMaps  # noqa: E402
from CardiacValveLandmarksLib.errors import InputError, ModelError, UsageError  # noqa: E402
from CardiacValveLandmarksLib.landmarks import VIEWS, LandmarkSeries, Provenance  # noqa: E402
from CardiacValveLandmarksLib.models.catalogue import find_model, resolve_model  # noqa: E402
from CardiacValveLandmarksLib.models.intensity import scale_windows, through_curve  # noqa: E402
from CardiacValveLandmarksLib.models.spec import spec_from_entry  # noqa: E402
from CardiacValveLandmarksLib.phantom.cines import synthetic_study  # noqa: E402
from CardiacValveLandmarksLib.training import curve_search  # noqa: E402
from CardiacValveLandmarksLib.training import finetune as finetune_module  # noqa: E402
from CardiacValveLandmarksLib.training.corrected_cuts import CorrectedCuts, Cuts  # noqa: E402
from CardiacValveLandmarksLib.training.corrections import CorrectedCine  # noqa: E402
from CardiacValveLandmarksLib.training.curve_search import _through  # noqa: E402
from CardiacValveLandmarksLib.training.finetune import finetune  # noqa: E402
from CardiacValveLandmarksLib.training.finetune_heatmap import HeatmapFinetuneSettings, _MixedPool  # noqa: E402
from CardiacValveLandmarksLib.training.intensity_curve import (  # noqa: E402
    curves_to_usual,
    heart_intensities,
    intensity_curve,
    usual_hearts,
)
from CardiacValveLandmarksLib.training.synthetic import OTHER, make_shard, write_shard  # noqa: E402
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402


@pytest.fixture(scope="module")
def shard():
    return make_shard(77, 0, 12)


def _landmarks(one, other, apex) -> np.ndarray:
    points = np.full((11, 2), np.nan)
    points[[4, 5, 10]] = one, other, apex
    return points


@given(st.floats(-np.pi, np.pi), st.floats(0.7, 1.4), st.floats(-5, 5), st.floats(-5, 5))
def test_the_same_places_of_a_heart_wherever_it_lies(angle, larger, down, right):
    """Intensities that are a linear function of the place in the heart, in a heart turned, grown and moved."""
    turn = larger * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array([64 + down, 64 + right])
    points = np.array([[-10, -8], [-10, 8], [15, 0]]) @ turn.T + middle
    grid = np.stack(np.meshgrid(np.arange(128.0), np.arange(128.0), indexing="ij"), -1)
    image = ((grid - middle) @ np.linalg.inv(turn).T) @ [1.0, 3.0]
    seen = heart_intensities(image, _landmarks(*points), "4CH")
    assert np.isfinite(seen).all()
    # a place (a, b): the valve's middle (-10, 0), a times its width (0, 16), b times the way to the apex (25, 0)
    a, b = np.meshgrid(np.linspace(-0.9, 1.9, 36), np.linspace(-0.7, 1.3, 36), indexing="ij")
    np.testing.assert_allclose(seen, ((-10 + 25 * b) + 3 * 16 * a).ravel(), atol=1e-3)


def test_a_heart_without_valve_or_apex_has_no_places():
    image, points = np.zeros((64, 64)), [[20, 20], [20, 40], [50, 30]]
    assert heart_intensities(image, _landmarks(*points), "4CH") is not None
    assert heart_intensities(image, _landmarks(*points), "2CH") is None
    for missing in range(3):
        fewer = [[np.nan] * 2 if index == missing else point for index, point in enumerate(points)]
        assert heart_intensities(image, _landmarks(*fewer), "4CH") is None


@pytest.mark.parametrize("misplaced", [0.0, 0.3])
def test_the_curve_keeps_the_contrast_of_the_other_image(misplaced):
    """Blood bright and wall dark becomes blood dark and wall bright, also where a third of the places do not fit."""
    rng = np.random.default_rng(3)
    tissue = rng.choice(3, 1200, p=[0.5, 0.3, 0.2])
    source = np.array([0.9, 0.3, 0.6])[tissue] + rng.normal(0, 0.02, 1200)
    elsewhere = np.where(rng.random(1200) < misplaced, rng.permutation(tissue), tissue)
    target = np.array([0.2, 1.0, 0.5])[elsewhere] + rng.normal(0, 0.02, 1200)
    image = np.kron(np.array([[0.9, 0.3, 0.6]]), np.ones((20, 20)))
    seen = through_curve(image, intensity_curve(source, target))[10, [10, 30, 50]]
    np.testing.assert_allclose(seen, [0.2, 1.0, 0.5], atol=0.12)


def test_too_little_seen_gives_no_curve():
    rng = np.random.default_rng(4)
    assert intensity_curve(np.full(1200, np.nan), rng.random(1200)) is None
    assert intensity_curve(rng.random(100), rng.random(100)) is None
    assert intensity_curve(np.full(1200, 0.5), rng.random(1200)) is None


class _Synthetic:
    """A pool that gives the same images every time."""

    def __init__(self, shard, rows) -> None:
        self.parts = shard.images[rows][:, None], shard.landmarks[rows], shard.classes[rows]

    def draw(self, rng):
        return tuple(torch.from_numpy(part.copy()) for part in self.parts)


def dark(images: np.ndarray) -> np.ndarray:
    """Blood dark and tissue bright; air stays dark."""
    level = np.clip(images / np.percentile(images, 99.5), 0, 1.2)
    return np.where(level < 0.1, level, 0.1 + (1.2 - level) * 0.8).astype(np.float32)


def test_curves_of_dark_hearts_lead_to_the_usual_ones(shard):
    rows = np.flatnonzero(shard.classes < OTHER)
    views = [VIEWS[number] for number in shard.classes[rows]]
    usual = usual_hearts(shard.images[rows], shard.landmarks[rows], views)
    assert set(usual) == set(VIEWS)
    cines = [
        (dark(shard.images[[row]]), shard.landmarks[[row]], view) for row, view in zip(rows[:4], views, strict=False)
    ]
    curves = curves_to_usual(cines, usual)
    assert len(curves) == 5  # of each cine, and of all together
    assert all((np.diff(np.transpose(curve)[0]) > 0).all() for curve in curves)
    given, wanted = np.transpose(curves[-1])
    assert np.corrcoef(given[given > 0.2], wanted[given > 0.2])[0, 1] < -0.8
    assert curves_to_usual(cines, {}) == []


@given(st.lists(st.floats(0, 1.5), min_size=3, max_size=9), st.lists(st.floats(0, 1.5), min_size=1, max_size=20))
def test_the_curve_that_is_searched_is_the_one_that_is_used(levels, intensities):
    knots = tuple(zip(np.linspace(0, 1.2, len(levels)), levels, strict=True))
    searched = _through(torch.tensor(intensities), torch.tensor(levels))
    np.testing.assert_allclose(searched, through_curve(np.array(intensities), knots), atol=1e-5)


def test_a_batch_has_corrected_and_rehearsed_images(shard):
    views = np.flatnonzero(shard.classes < OTHER)
    cuts = Cuts(dark(shard.images[views[:3]]), shard.landmarks[views[:3]], shard.classes[views[:3]], np.full(3, 1 / 3))
    rows = np.array([*views[3:9], *np.flatnonzero(shard.classes == OTHER)[:2]])
    pool = _MixedPool(_Synthetic(shard, rows), cuts, corrected=0.25)
    assert pool.count(8) == 2 and pool.count(2) == 1
    images, landmarks, classes = (part.numpy() for part in pool.draw(np.random.default_rng(0)))
    for index in range(2):
        assert any(np.allclose(images[index, 0], one, atol=1e-3) for one in cuts.images)
    np.testing.assert_array_equal(images[2:, 0], shard.images[rows[2:]])
    np.testing.assert_array_equal(landmarks[2:], shard.landmarks[rows[2:]])
    np.testing.assert_array_equal(classes[2:], shard.classes[rows[2:]])
    for share in (0.0, 1.2):
        with pytest.raises(UsageError, match="corrected"):
            HeatmapFinetuneSettings(corrected=share)


def test_scaled_once_more_after_the_curve():
    images = np.linspace(0, 400, 4000).reshape(1, 40, 100)
    plain, turned = (scale_windows(images, "percentile", curve=curve) for curve in (None, ((0.0, 0.4), (1.0, 0.1))))
    assert np.percentile(turned, 99) == pytest.approx(1, abs=0.01)
    np.testing.assert_allclose(
        np.clip(turned[turned < 0.99], 0, 1.5), (1 - 0.75 * plain[turned < 0.99]) / (1 - 0.0075), atol=0.01
    )


def _with_curves(curves) -> dict:
    entry = find_model("phantom-heatmap").entry()
    assert "curves" not in entry["input"]
    return {**entry, "input": {**entry["input"], "curves": curves}}


def test_a_catalogue_entry_may_have_curves():
    knots = [[0.1, 0.1], [0.5, 1.0], [1.0, 0.2]]
    spec = spec_from_entry(_with_curves([knots]), "built-in", "models.json")
    assert spec.input.curves == (((0.1, 0.1), (0.5, 1.0), (1.0, 0.2)),) and spec.entry()["input"]["curves"] == [knots]
    assert spec_from_entry(_with_curves([]), "built-in", "models.json") == find_model("phantom-heatmap")
    for wrong in (
        [],
        [[0.1, 0.1]],
        [[0.5, 0.1], [0.5, 1.0]],
        [[0.1, 0.1], [0.5, 2.0]],
        [[0, 1, 2], [1, 2, 3]],
        [[False, 0.1], [True, 1.0]],
        3,
    ):
        with pytest.raises(ModelError, match=r"input\.curves"):
            spec_from_entry(_with_curves([knots, wrong]), "built-in", "models.json")
    framed, other = _with_curves([knots]), {**_with_curves([knots]), "kind": "short-axis", "landmarks": [1, 2, 3]}
    framed["input"]["intensity"] = "frame"
    for entry in (framed, other):
        with pytest.raises(ModelError, match="kind heatmap and the intensity 'percentile'"):
            spec_from_entry(entry, "built-in", "models.json")


def _cuts(name: str, count: int = 2) -> Cuts:
    """Cuts that a stubbed error knows by the level of their images."""
    images = np.full((count, 8, 8), {"usual": 0.2, "dark": 0.8}[name], np.float32)
    return Cuts(images, np.zeros((count, 11, 2)), np.zeros(count, int), np.full(count, 1 / count))


def test_the_curve_that_helps_most_of_those_that_lead_away(monkeypatch):
    """One cine of three is dark. A curve that leaves the usual look as it is, is not taken however little it costs; one
    that suits the dark cine alone is moved by that cine alone."""
    near, away = ((0.0, 0.0), (1.0, 0.99)), ((0.0, 1.0), (1.0, 0.0))
    monkeypatch.setattr(curve_search, "curves_to_usual", lambda *_: [near, away])
    monkeypatch.setattr(curve_search, "usual_hearts", lambda *_: {})
    moved_by = []

    def moved(self, curve, cines):
        moved_by.append(cines)
        return near

    monkeypatch.setattr(curve_search.CurveSearch, "_moved", moved)

    def error(cuts, most) -> float:  # least where images are as usual; a little less through the curve near by
        return 1 + 10 * abs(float(cuts.images.mean()) - 0.195)

    cines = [CorrectedCuts(_cuts(name), _cuts(name), 1.0) for name in ("usual", "usual", "dark")]
    search = curve_search.CurveSearch(error, None, 0)
    assert search.find(cines, _cuts("usual", 6), ()) == away
    assert [len(part) for part in moved_by] == [1] and moved_by[0][0] is cines[2]
    assert search.find(cines[:2], _cuts("usual", 6), ()) is None
    # a model that looks through it already needs no other
    assert search.find(cines, _cuts("usual", 6), (away,)) is None


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A model tuned on three dark cines, hardly trained, and the folder it is in."""
    folder = tmp_path_factory.mktemp("tuned")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CVL_CACHE", str(folder / "cache"))
        patch.setattr(finetune_module, "_PATIENTS", 1)
        patch.setattr(curve_search, "_STEPS", 6)
        shards, kind = folder / "shards", HeatmapFinetuneSettings().shard_kind
        shards.mkdir()
        for seed, index in ((990_001, 0), *((1, index) for index in range(HeatmapFinetuneSettings().shards))):
            write_shard(shards, seed, index, 12, kind)
        given = []
        for number, view in enumerate(("4CH", "2CH", "4CH")):
            item = synthetic_study(700 + number, kinds=(view,), frames=3).items[0]
            there = item.truth.present
            by_hand = np.where(there, Provenance.MANUAL, Provenance.ABSENT)
            marks = LandmarkSeries(item.truth.positions, np.where(there, np.nan, 0.5), by_hand, view)
            cine = item.cine.replace(frames=np.round(dark(item.cine.frames) * 1000))
            given.append(CorrectedCine(cine, marks, f"patient-{number}"))
        settings = HeatmapFinetuneSettings(steps=2, batch=4, validate_every=2, warm_up=1, shards_folder=str(shards))
        outcome = finetune(given, folder / "out", settings=settings)
        # a run that goes on has the curve it began with
        patch.setattr(curve_search.CurveSearch, "find", lambda *_: pytest.fail("the curve was looked for again"))
        again = finetune(given, folder / "out", settings=settings)
        assert again.file.read_bytes() == outcome.file.read_bytes()
        (kept,) = (folder / "out").glob("curve-*.json")
        kept.write_text("[]")
        with pytest.raises(InputError, match=r"curve-.*damaged"):
            finetune(given, folder / "out", settings=settings)
        return outcome


def test_another_contrast_is_learned_by_a_curve(tuned):
    before, after = tuned.comparison.held_out
    assert after.mean_mm < 0.9 * before.mean_mm and tuned.notes[1].startswith(
        "2 of the cines trained on are looked at through a new"
    )
    assert len(resolve_model(tuned.file).input.curves) == 1
    kept, now = tuned.comparison.synthetic
    assert now.mean_mm < 1.05 * kept.mean_mm


def test_a_cine_is_looked_at_as_the_model_sees_it_better(tuned):
    """Of a dark cine the landmarks come from the look through the curve, its heat-maps too; of a usual one not."""
    item = synthetic_study(720, kinds=("4CH",), frames=2).items[0]
    other = item.cine.replace(frames=np.round(dark(item.cine.frames) * 1000))
    usual, dim = (detect(cine, tuned.file, tta=False) for cine in (item.cine, other))
    assert usual.settings["intensity_curve"] is None and dim.settings["intensity_curve"] is not None
    assert "intensity_curve" not in detect(item.cine, tta=False).settings
    far = [
        np.nanmean(np.linalg.norm(found.landmarks.positions - item.truth.positions, axis=-1)) * item.cine.spacing[0]
        for found in (usual, dim, detect(other, tta=False))
    ]
    assert far[1] < far[2] and far[1] < far[0] + 1.5, far
    maps = FrameMaps(other, tuned.file, tta=False, result=dim)
    for index in np.flatnonzero(dim.landmarks.present[0]):
        peak = np.unravel_index(maps.heatmaps(0)[index].argmax(), other.shape)
        assert np.linalg.norm(peak - dim.landmarks.positions[0, index]) * other.spacing[0] < 6
    assert np.isfinite(maps.saliency(0)).all() and maps.saliency(0).max() > 0


def test_what_is_bright_far_from_the_heart_moves_no_tissue_along_the_curve(tuned):
    item = synthetic_study(720, kinds=("4CH",), frames=2).items[0]
    frames = np.round(dark(item.cine.frames) * 1000)
    flared = frames.copy()
    flared[:, :14] = 3 * frames.max()
    plain, beside = (detect(item.cine.replace(frames=part), tuned.file, tta=False) for part in (frames, flared))
    assert beside.settings["intensity_curve"] == plain.settings["intensity_curve"] is not None
    moved = np.subtract(beside.settings["window_centre"], plain.settings["window_centre"])
    assert np.linalg.norm(moved * item.cine.spacing) < 0.7

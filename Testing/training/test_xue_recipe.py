"""Heat-map training as published: preprocessing, batches, augmentation, schedule, files, detection with the result."""

import copy
import csv
import dataclasses
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("onnx", reason="onnx is not installed")

from CardiacValveLandmarksLib.cine import Cine  # noqa: E402
from CardiacValveLandmarksLib.cli import main  # noqa: E402
from CardiacValveLandmarksLib.detection import detect  # noqa: E402
from CardiacValveLandmarksLib.detection.files import write_json  # noqa: E402
from CardiacValveLandmarksLib.detection.heatmap import HeatmapDetector  # noqa: E402
from CardiacValveLandmarksLib.detection.short_axis import detect_short_axis  # noqa: E402
from CardiacValveLandmarksLib.errors import InputError, ModelError, UsageError  # noqa: E402
from CardiacValveLandmarksLib.models.catalogue import resolve_model  # noqa: E402
from CardiacValveLandmarksLib.models.engine import open_engine  # noqa: E402
from CardiacValveLandmarksLib.models.losses import gaussian_targets  # noqa: E402
from CardiacValveLandmarksLib.models.sampling import centred_window  # noqa: E402
from CardiacValveLandmarksLib.phantom.cines import synthetic_study  # noqa: E402
from CardiacValveLandmarksLib.phantom.dicom import write_dicom  # noqa: E402
from CardiacValveLandmarksLib.phantom.short_axis import short_axis_cine  # noqa: E402
from CardiacValveLandmarksLib.short_axis import ANTERIOR, CENTRE  # noqa: E402
from CardiacValveLandmarksLib.training.dataset import LabelledImages, write_npz  # noqa: E402
from CardiacValveLandmarksLib.training.loop import train  # noqa: E402
from CardiacValveLandmarksLib.training.point_images import (  # noqa: E402
    PointImages,
    from_labelled,
    standardise,
)
from CardiacValveLandmarksLib.training.recipes.xue_heatmap import TrainingRecipe, XueSettings  # noqa: E402

TINY = {
    "synthetic": 2, "images_each": 1, "size": 64, "spacing_mm": 5.0, "sigma": 1.0, "widths": (8, 16), "blocks": 1,
    "epochs": 2, "batch": 2, "workers": 0, "coil_correction": 0.0, "validation_share": 0.34,
}  # fmt: skip


@pytest.fixture(scope="module")
def long_axis(tmp_path_factory):
    """A run of a blink: (folder, model)."""
    folder = tmp_path_factory.mktemp("lax")
    return folder, train(TrainingRecipe(XueSettings(**TINY), folder), folder)


@pytest.fixture(scope="module")
def short_axis(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sax")
    chosen = XueSettings(**{**TINY, "points": "sax", "synthetic": 3, "epochs": 40, "learning_rate": 5e-3})
    return folder, train(TrainingRecipe(chosen, folder), folder)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    chosen = XueSettings(**{**TINY, "synthetic": 4, "validation_share": 0.25})
    return TrainingRecipe(chosen, tmp_path_factory.mktemp("recipe"))


def changed(recipe, **changes):
    """The recipe with other settings and the same images."""
    other = copy.copy(recipe)
    other.settings = replace(recipe.settings, **changes)
    return other


def images_with_spots(shape, points, sigma=5.0):
    grid = np.moveaxis(np.mgrid[: shape[0], : shape[1]], 0, -1)
    return np.exp(-((grid - points[:, None, None]) ** 2).sum(-1) / (2 * sigma**2)).astype(np.float32)


# -- preprocessing ---------------------------------------------------------------------------------


@given(st.integers(60, 300), st.integers(60, 300), st.floats(0.7, 2.2), st.floats(0.7, 2.2), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_points_follow_the_image_to_one_millimetre_and_back(height, width, step0, step1, seed):
    spacing = np.array([[step0, step1]])
    place = np.array([height, width]) * np.random.default_rng(seed).uniform(0.4, 0.6, 2)
    image = images_with_spots((height, width), place[None], 4.0)
    data = PointImages(image, place[None, None], np.ones((1, 1), bool), ("2CH",), spacing, ("a",))
    done = standardise(data, (200, 200), 1.0, "test")
    assert done.images.shape == (1, 200, 200) and (done.spacing == 1).all()
    grid = np.mgrid[:200, :200]
    weight = done.images[0].astype(float)
    np.testing.assert_allclose((grid * weight).sum((1, 2)) / weight.sum(), done.points[0, 0], atol=0.1)
    window = centred_window((height, width), spacing[0], (200, 200), 1.0)
    np.testing.assert_allclose(window.undo_positions(window.positions(place)), place, atol=1e-9)
    # the middle of the image stays in the middle, and distances become millimetres
    middle = (np.array([height, width]) - 1) / 2
    np.testing.assert_allclose(window.positions(middle), 99.5, atol=1e-9)
    np.testing.assert_allclose((done.points[0, 0] - 99.5), (place - middle) * spacing[0], atol=1e-3)


def test_a_point_that_is_cropped_away_is_absent_and_padding_is_black():
    points = np.array([[[10.0, 150.0], [150.0, 150.0]]])
    image = np.ones((1, 300, 300), np.float32)
    data = PointImages(image, points, np.ones((1, 2), bool), ("2CH",), np.ones((1, 2)), ("a",))
    cropped = standardise(data, (200, 200), 1.0, "test")
    assert np.isnan(cropped.points[0, 0]).all() and np.isfinite(cropped.points[0, 1]).all()
    padded = standardise(data, (400, 400), 1.0, "test")
    assert not padded.images[0, :49].any() and not padded.images[0, :, -49:].any()
    np.testing.assert_allclose(padded.points[0], points[0] + 50)


def labelled(apex=True, spacing=1.5):
    rng = np.random.default_rng(0)
    landmarks = np.full((6, 11, 2), np.nan)
    for number in range(6):
        landmarks[number, [0, 1] if number < 3 else [4, 5]] = rng.uniform(20, 60, (2, 2))
        if apex:
            landmarks[number, 10] = rng.uniform(60, 70, 2)
    patients = tuple(f"p{number // 2}" for number in range(6))
    views = ("2CH",) * 3 + ("4CH",) * 3
    return LabelledImages(rng.random((6, 80, 90)), landmarks, views, np.full((6, 2), spacing), patients)


def test_what_nobody_looked_for_is_not_absent():
    known = from_labelled(labelled(apex=False), (1, 2, 5, 6, 11)).known
    np.testing.assert_array_equal(known[0], [True, True, True, True, False])
    assert from_labelled(labelled(), (1, 2, 5, 6, 11)).known.all()


def test_an_unknown_point_takes_no_part_in_the_loss(recipe):
    batch = recipe.batch(0)
    batch["known"] = batch["known"].clone()
    batch["known"][:, -1] = False
    logits = torch.randn(len(batch["points"]), 8, 64, 64, requires_grad=True)
    terms = recipe._terms(logits, {**batch, "points": batch["points"].index_fill(1, torch.tensor(6), torch.nan)})
    sum(terms.values()).backward()
    assert not logits.grad[:, 6].any() and logits.grad[:, 7].abs().max() > 0


def test_a_dataset_without_spacing_is_refused_or_taken_at_the_word(tmp_path):
    path = tmp_path / "set.npz"
    write_npz(path, labelled(spacing=np.nan))
    values = {**TINY, "synthetic": 0, "datasets": (str(path),), "landmarks": (1, 2, 5, 6, 11)}
    with pytest.raises(InputError, match="pixel spacing"):
        TrainingRecipe(XueSettings(**values), tmp_path)
    recipe = TrainingRecipe(XueSettings(**values, assumed_spacing_mm=2.0), tmp_path)
    assert len(recipe.training) + len(recipe.validation) == 6
    assert not set(recipe.training.patients) & set(recipe.validation.patients)
    with pytest.raises(InputError, match="number 3, 4"):
        TrainingRecipe(XueSettings(**{**values, "landmarks": (1, 2, 3, 4)}, assumed_spacing_mm=2.0), tmp_path)


def test_datasets_and_the_synthetic_heart_mix(tmp_path):
    path = tmp_path / "set.npz"
    write_npz(path, labelled(apex=False))
    recipe = TrainingRecipe(XueSettings(**{**TINY, "datasets": (str(path),)}), tmp_path)
    real = np.array([not name.startswith("synthetic") for name in recipe.training.patients])
    assert real.any() and not real.all()
    assert not recipe.training.known[real, -1].any() and recipe.training.known[~real].all()
    assert recipe.fingerprint()


# -- batches, augmentation, schedule ---------------------------------------------------------------


def test_each_batch_is_of_one_view_and_each_image_comes_once_an_epoch(recipe):
    per_epoch = recipe._per_epoch
    groups = np.array(recipe.training.groups)
    for epoch in (0, 3):
        order = recipe._order(epoch)
        assert len(order) == per_epoch
        assert all(len(set(groups[index])) == 1 and len(index) <= 2 for index in order)
        np.testing.assert_array_equal(np.sort(np.concatenate(order)), np.arange(len(groups)))
    assert recipe.settings.steps == 2 * per_epoch and recipe.settings.validate_every == per_epoch
    first, again = recipe.batch(5), recipe.batch(5)
    assert torch.equal(first["images"], again["images"]) and first["images"].max() == 1


@pytest.mark.parametrize("points", ["lax", "sax"])
def test_targets_sum_to_one_at_any_sigma(points, recipe):
    place = recipe.training.points[:3] if points == "lax" else np.array([[[9, 9], [10, 9], [40, 9]]])
    place = torch.from_numpy(place.astype(np.float32))
    for sigma in (1.0, 2.0, 4.0, 6.0):
        targets = gaussian_targets(place, (64, 64), sigma)
        assert torch.allclose(targets.sum(1), torch.ones(len(place), 64, 64), atol=1e-5) and targets.min() >= 0


def test_noise_and_blur_are_as_strong_as_published(recipe):
    rng = np.random.default_rng(0)
    flat = rng.normal(1.0, 0.02, (1, 64, 64)).astype(np.float32)
    made = {}
    for name in ("noise", "blur"):
        made[name] = changed(recipe, noise=float(name == "noise"), blur=float(name == "blur"))
        made[name].training = replace(recipe.training, images=np.repeat(flat, len(recipe.training), 0))
    import CardiacValveLandmarksLib.training.recipes.xue_heatmap as module

    kept, module.scale_windows = module.scale_windows, lambda images, *_: images
    try:
        noisy = [made["noise"]._augmented(0, np.random.default_rng(i)) - flat[0] for i in range(40)]
        soft = [made["blur"]._augmented(0, np.random.default_rng(i)).std() for i in range(12)]
    finally:
        module.scale_windows = kept
    strengths = np.array([image.std() for image in noisy])
    assert 0.09 < strengths.min() < 0.14 and 0.26 < strengths.max() < 0.31
    assert max(soft) < flat.std() and len({round(float(value), 4) for value in soft}) == 3


def test_the_rate_is_halved_on_a_plateau(recipe):
    history = [{"step": i, "loss": loss} for i, loss in enumerate([3, 2, 2.5, 2.1, 2, 1.9, 2, 2, 2, 2, 2, 2])]
    rates = [recipe.learning_rate(0, history[:n]) / 1e-3 for n in range(len(history) + 1)]
    assert rates == [1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]


@pytest.mark.parametrize(
    "wrong",
    [{"points": "rv"}, {"size": 65}, {"sequence": "CT"}, {"landmarks": (1, 1)}, {"shares": (1.0,)}, {"noise": 1.5}],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        XueSettings(**{**TINY, **wrong})


def test_steps_that_contradict_the_epochs_are_refused(tmp_path):
    path = tmp_path / "set.npz"
    write_npz(path, labelled())
    values = {**TINY, "synthetic": 0, "datasets": (str(path),), "landmarks": (1, 2, 5, 6, 11)}
    with pytest.raises(UsageError, match="epochs=0"):
        TrainingRecipe(XueSettings(**values, steps=7), tmp_path)
    assert TrainingRecipe(XueSettings(**{**values, "epochs": 0}, steps=7), tmp_path).settings.steps == 7


def test_batches_may_mix_views(tmp_path):
    path = tmp_path / "set.npz"
    write_npz(path, labelled())
    values = {**TINY, "synthetic": 0, "datasets": (str(path),), "landmarks": (1, 2, 5, 6, 11), "batch": 4}
    recipe = TrainingRecipe(XueSettings(**values, view_batches=False), tmp_path)
    groups = np.array(recipe.training.groups)
    assert len(set(groups)) == 2 and set(groups[recipe._order(0)[0]]) == set(groups)


# -- results ---------------------------------------------------------------------------------------


def test_the_trained_model_detects(long_axis, tmp_path):
    """It has learned nothing to speak of, but goes the whole way: description, engines, presence, all frames."""
    _, model = long_axis
    spec = resolve_model(model)
    assert spec.landmarks == (1, 2, 3, 4, 5, 6, 11) and spec.input.size == (64, 64) and spec.synthetic_only
    cine = synthetic_study(3, kinds=("4CH",), frames=3, shape=(96, 96), spacing=3.0).items[0].cine
    result = detect(cine, model, view="4CH", threads=1)
    assert result.landmarks.positions.shape == (3, 11, 2) and result.engine.startswith("ONNX")
    # such a model does not say how likely none of the views is, and its result can be written
    write_json(cine, result, tmp_path / "4CH.json")
    assert json.loads((tmp_path / "4CH.json").read_text())["settings"]["not_a_long_axis_view"] is None
    with pytest.raises(ModelError, match="short-axis"):
        detect_short_axis(cine, model)


class _Spots:
    """Marks every bright pixel as every landmark."""

    def run(self, inputs):
        bright = (inputs["image"] > 0.9).astype(np.float32)
        return {"heatmaps": np.repeat(bright, 8, 1)}


def _unsized(spec):
    return dataclasses.replace(spec, input=dataclasses.replace(spec.input, spacing_mm=None, size=None))


@pytest.mark.parametrize(("spacing", "close"), [(2.0, False), (0.5, True)])
def test_distances_are_mm_for_models_of_any_spacing_too(long_axis, spacing, close):
    """Two mitral points nine pixels apart are a valve at 2 mm, and too close at 0.5 mm."""

    class Valve:
        def run(self, inputs):
            maps = np.zeros((len(inputs["image"]), 8, *inputs["image"].shape[2:]), np.float32)
            maps[:, 4, 80, 60], maps[:, 5, 80, 69] = 0.9, 0.9
            return {"heatmaps": maps}

    cine = Cine(np.random.default_rng(0).random((2, 160, 160)), spacing=np.full(2, spacing))
    found = HeatmapDetector(cine, _unsized(resolve_model(long_axis[1])), Valve(), False, None, None).find("4CH")
    assert any("closer than 10 mm" in warning for warning in found.warnings) == close


def test_a_model_of_any_size_sees_the_whole_image(long_axis):
    frames = np.zeros((1, 400, 352))
    frames[0, 30, 300] = 1
    detector = HeatmapDetector(Cine(frames), _unsized(resolve_model(long_axis[1])), _Spots(), False, None, None)
    found = detector.find("4CH")
    assert found.facts["window_size"] == [400, 352]
    np.testing.assert_allclose(found.positions[0, 4], [30, 300], atol=0.6)


@pytest.mark.parametrize(("second", "recognised"), [(0.05, "2CH"), (0.5, None)])
def test_a_view_is_recognised_only_where_the_others_are_not_marked(long_axis, second, recognised):
    spec = resolve_model(long_axis[1])

    class Marks:
        """Marks the points of the 2CH, and more or less those of the 4CH."""

        def run(self, inputs):
            maps = np.zeros((len(inputs["image"]), 8, *inputs["image"].shape[2:]), np.float32)
            maps[:, :2, 30, 30], maps[:, 4:6, 40, 30], maps[:, 6, 50, 30] = 0.6, second, 0.6
            return {"heatmaps": maps}

    cine = Cine(np.random.default_rng(0).random((2, 64, 64)), spacing=np.full(2, 5.0))
    assert HeatmapDetector(cine, spec, Marks(), False, None, None).find(None).view == recognised


def test_torchscript_and_onnx_give_the_same(long_axis, tmp_path):
    folder, model = long_axis
    from CardiacValveLandmarksLib.models.published_unet import PublishedUNet
    from CardiacValveLandmarksLib.training.xue_model import load_weights, write_model

    net = PublishedUNet(7, TINY["widths"], TINY["blocks"])
    chosen = XueSettings(**TINY, export="torchscript", init=str(folder / "weights.pt"))
    load_weights(net, chosen)
    other = write_model(net.eval(), chosen, tmp_path, True)
    image = np.random.default_rng(0).random((2, 1, 96, 64), np.float32)  # another size than it was traced with
    maps = []
    for path, engine in ((model, "onnx"), (other, "torch")):
        spec = resolve_model(path)
        maps.append(open_engine(path, spec.architecture, engine, "cpu").run({"image": image})["heatmaps"])
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-4)
    np.testing.assert_allclose(maps[0].sum(1), 1, atol=1e-4)


def test_transfer_begins_with_the_weights_and_only_with_fitting_ones(long_axis, short_axis, recipe):
    folder, _ = long_axis
    init = str(folder / "weights.pt")
    net = changed(recipe, init=init).network()
    kept = torch.load(init, weights_only=True)["net"]
    assert all(torch.equal(value, kept[name]) for name, value in net.state_dict().items())
    for change, said in (
        ({"init": str(short_axis[0] / "weights.pt")}, "points"),
        ({"spacing_mm": 4.0}, "spacing_mm"),
        ({"widths": (8, 24)}, "widths"),
        ({"init": str(folder / "model.json")}, "weights.pt"),
    ):
        with pytest.raises(ModelError, match=said):
            changed(recipe, **{"init": init, **change}).network()


def test_a_short_run_learns_the_short_axis(short_axis):
    folder, _ = short_axis
    with (folder / "validation.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert float(rows[-1]["loss"]) < 0.75 * float(rows[0]["loss"])


@pytest.mark.parametrize("mirror", [False, True])
def test_short_axis_detection_maps_back_to_the_image(short_axis, mirror):
    """With a model that marks bright spots, on a cine that has three, each found where it is."""
    item = short_axis_cine(2, frames=2, shape=(100, 110), spacing=2.5, mirror=mirror)
    seen = []
    result = detect_short_axis(item.cine, short_axis[1], progress=lambda done, total: seen.append((done, total)))
    assert result.positions.shape == (2, 3, 2) and seen[-1] == (2, 2)
    assert result.settings["mirrored"] is mirror and len(result.warnings) == 1
    there = np.isfinite(result.positions[:, [ANTERIOR, CENTRE]]).all((1, 2))
    np.testing.assert_array_equal(np.isfinite(result.arvi_image), there)
    np.testing.assert_array_equal(np.isfinite(result.arvi_patient), there)


def test_sax_command(short_axis, tmp_path, capsys):
    item = short_axis_cine(5, frames=5, shape=(96, 96), spacing=3.0)
    write_dicom(item.cine, tmp_path / "series", series_number=1, series_description="SAX", seed=5)
    command = ["sax", str(tmp_path / "series"), "-o", str(tmp_path / "out"), "--model", str(short_axis[1])]
    assert main(command) == 0
    (path,) = (tmp_path / "out").glob("*_sax.json")
    content = json.loads(path.read_text())
    assert np.array(content["positions_px"], float).shape == (5, 3, 2)
    assert len(content["arvi"]["image_degrees"]) == 5 and "counter-clockwise" in content["arvi"]["definition"]
    with path.with_suffix(".csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 15
    assert path.with_suffix(".png").stat().st_size > 1000
    assert main(command) == 3  # nothing is overwritten
    assert main(["sax", str(tmp_path / "series"), "-o", str(tmp_path / "b"), "--model", "phantom-heatmap"]) == 4
    assert main(["detect", str(tmp_path / "series"), "-o", str(tmp_path / "c"), "--model", str(short_axis[1])]) == 2
    assert "cvl sax" in capsys.readouterr().err


def test_train_command_goes_on_and_refuses_other_settings(tmp_path, capsys):
    command = ["train", "-o", str(tmp_path / "run"), "--recipe", "xue-heatmap", "--batch", "2"]
    for name, value in {**TINY, "epochs": 1}.items():
        command += ["--set", f"{name}={json.dumps(value)}"]
    assert main(command) == 0
    assert main(["train", "-o", str(tmp_path / "run")]) == 0  # all is in settings.json
    assert main(["train", "-o", str(tmp_path / "run"), "--set", "sigma=2"]) == 4
    assert "sigma" in capsys.readouterr().err


# -- short-axis datasets ---------------------------------------------------------------------------

"""The published regression recipe: augmentation moves landmarks exactly, its network is the bundle's, it learns."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("monai", reason="monai is not installed")

from CardiacValveLandmarksLib.cli import main  # noqa: E402
from CardiacValveLandmarksLib.errors import InputError, ModelError, UsageError  # noqa: E402
from CardiacValveLandmarksLib.models.catalogue import resolve_model  # noqa: E402
from CardiacValveLandmarksLib.models.published import PublishedNetwork  # noqa: E402
from CardiacValveLandmarksLib.training.dataset import LabelledImages, read_npz, write_npz  # noqa: E402
from CardiacValveLandmarksLib.training.loop import DivergedError, train  # noqa: E402
from CardiacValveLandmarksLib.training.published_augment import AugmentationRange, PublishedAugmentation  # noqa: E402
from CardiacValveLandmarksLib.training.recipes.kcl_regression import TrainingRecipe, point_errors  # noqa: E402
from CardiacValveLandmarksLib.training.sources import load_sources, synthetic_images  # noqa: E402

BENCH = Path(__file__).parents[2] / "bench" / "published_network.py"
SIZE = 128
#: intensities as they are
STILL = {"gamma": (0.999999, 1.0), "noise": 1e-9, "keep_inside": 3.0, "drop_beyond": 4.0}


def at(image, points):
    """Values of an image (SIZE, SIZE) between its pixels, linearly, at points (n, 2)."""
    low = np.floor(points).astype(int)
    (r, c), (fr, fc) = low.T, (points - low).T
    top, bottom = (image[r + k, c] * (1 - fc) + image[r + k, c + 1] * fc for k in (0, 1))
    return top * (1 - fr) + bottom * fr


@pytest.mark.parametrize("seed", range(12))
def test_landmarks_stay_on_what_they_mark(seed):
    """Flip, turn, deformation and shift, each always. Two images say of each pixel where it is; augmented, they say at
    a landmark's new place where it came from."""
    points = np.random.default_rng(seed).uniform(25, 102, (40, 2))
    augment = PublishedAugmentation(SIZE, AugmentationRange(**STILL, probability=1.0, deformation=0.05, shift=8))
    for axis in (0, 1):
        ramp = torch.from_numpy(np.indices((SIZE, SIZE))[axis].astype(np.float32) / SIZE)
        image, moved = augment(ramp, points, seed)
        np.testing.assert_allclose(at(image.numpy(), moved) * SIZE, points[:, axis], atol=2e-2)
    gap = np.linalg.norm(np.diff(moved, axis=0), axis=1) - np.linalg.norm(np.diff(points, axis=0), axis=1)
    assert np.abs(gap).max() > 0.5  # they were deformed, not only turned


def test_all_eight_turns_and_flips_occur():
    augment = PublishedAugmentation(SIZE, AugmentationRange(**STILL, deformation=1e-6, shift=0))
    point = np.array([[20.0, 50.0]])
    seen = {tuple(np.round(augment(torch.rand(SIZE, SIZE), point, seed)[1][0])) for seed in range(200)}
    a, b = 127 - 20, 127 - 50
    assert seen == {(20, 50), (a, 50), (20, b), (a, b), (50, 20), (50, a), (b, 20), (b, a)}


def test_no_landmark_is_lost_but_out_of_the_image():
    augment = PublishedAugmentation(SIZE, AugmentationRange())
    inside = np.random.default_rng(0).uniform(20, SIZE - 21, (10, 2))
    inside[7:] = inside[0]  # at one and the same place
    assert all(np.isfinite(augment(torch.rand(SIZE, SIZE), inside, seed)[1]).all() for seed in range(60))
    edge = np.array([[1.0, 64.0], [np.nan, np.nan]])
    lost = [np.isnan(augment(torch.rand(SIZE, SIZE), edge, seed)[1]) for seed in range(60)]
    assert all(nan[1].all() for nan in lost)
    assert 0 < sum(nan[0].all() for nan in lost) < 40


def test_augmentation_is_a_function_of_its_seed():
    first, other = (PublishedAugmentation(SIZE, AugmentationRange()) for _ in range(2))
    image, points = torch.rand(SIZE, SIZE), np.random.default_rng(0).uniform(20, 100, (10, 2))
    expected = first(image, points, 5)
    other(image, points, 4)
    for array, again in zip(expected, other(image, points, 5), strict=True):
        assert np.array_equal(array, again)
    assert not torch.equal(expected[0], first(image, points, 6)[0])


def test_each_change_of_intensity_does_what_it_says():
    flat = torch.full((SIZE, SIZE), 0.5)
    flat[:2] = torch.tensor([[0.0], [1.0]])
    nothing = {**STILL, "probability": 1.0, "shift": 0, "deformation": 1e-6}

    def changed(image=flat, seed=3, **settings):
        return PublishedAugmentation(SIZE, AugmentationRange(**{**nothing, **settings}))(image, np.zeros((1, 2)), seed)[
            0
        ]

    assert 0.01 < max(float(changed(noise=0.05, seed=seed)[8:-8, 8:-8].std()) for seed in range(9)) < 0.06
    field = changed(gamma=(0.1, 1))[8:-8, 8:-8]
    assert 0.04 < field.min() < 0.2 and 0.3 < field.max() < 0.51  # times 0.1 to 1, by place
    assert field.std(0).max() > 0.01 and field.std(1).max() > 0.01
    sharp = torch.zeros(SIZE, SIZE)
    sharp[60, 60] = 1
    spectrum = torch.fft.fft2(changed(sharp, keep_inside=0.1, drop_beyond=0.9)).abs()
    radius = torch.fft.fftfreq(SIZE).abs() * 2
    radius = torch.hypot(radius[:, None], radius[None])
    kept = spectrum > 0.25  # a point's spectrum is 1 everywhere; the real part of the image shares each pair
    assert kept[radius < 0.1].all() and not kept[radius > 0.9].any()
    assert kept[(radius > 0.2) & (radius < 0.3)].float().mean() > kept[(radius > 0.6) & (radius < 0.7)].float().mean()


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Three images of a synthetic patient, one a view, and the same as another patient for validation."""
    path = tmp_path_factory.mktemp("few") / "few.npz"
    images = synthetic_images(1, 1, frames=1)
    write_npz(path, images, replace(images, patients=("other",) * 3))
    return path


def recipe(few, folder, **settings):
    values = {"datasets": (str(few),), "batch": 3, "substeps": 1, "workers": 0, "threads": 1, **settings}
    return TrainingRecipe(TrainingRecipe.Settings(**values), folder)


def test_the_defaults_are_those_published(few):
    settings = TrainingRecipe.Settings(datasets=(str(few),))
    assert (settings.steps, settings.batch, settings.substeps, settings.learning_rate) == (400 * 100, 600, 3, 1e-4)
    assert (settings.absent, settings.probability, settings.keep_best) == ("origin", 0.5, False)


def test_absent_landmarks_are_at_the_origin_or_left_out(few, tmp_path):
    batch = recipe(few, tmp_path, probability=0.0, batch=5).batch(0)
    there = (batch["points"] != 0).all(1)
    assert set(there.sum(1).tolist()) <= {2, 4} and (batch["weights"] == 1).all()
    out = recipe(few, tmp_path, probability=0.0, batch=5, absent="left-out")
    left = out.batch(0)
    assert torch.equal(left["points"], batch["points"]) and torch.equal(left["weights"][:, 0] > 0, there)

    def net(images):
        return batch["points"] + torch.where(there[:, None], 2.0, 50.0)

    assert out.losses(net, left)["l1_px"].item() == pytest.approx(2)
    assert out.losses(net, batch)["l1_px"].item() > 20


def test_a_batch_in_chunks_has_the_same_gradient(few, tmp_path):
    gradients, losses = [], []
    for chunk in (0, 2):
        folder = tmp_path / str(chunk)
        train(recipe(few, folder, absent="left-out", steps=1, batch=3, chunk=chunk), folder)
        moments = torch.load(folder / "checkpoint.pt", weights_only=True)["optimiser"]["state"]
        gradients.append(torch.cat([entry["exp_avg"].flatten() for entry in moments.values()]))
        losses.append(float((folder / "log.csv").read_text().splitlines()[1].split(",")[1]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert (gradients[0] - gradients[1]).norm() < 1e-4 * gradients[0].norm()


def test_a_resumed_run_ends_with_the_same_bits(few, tmp_path):
    whole = recipe(few, tmp_path / "whole", steps=3, checkpoint_every=2, substeps=2)
    train(whole, tmp_path / "whole")
    stopped = recipe(few, tmp_path / "stopped", steps=2, checkpoint_every=2, substeps=2)
    train(stopped, tmp_path / "stopped")
    train(recipe(few, tmp_path / "stopped", steps=3, checkpoint_every=2, substeps=2, workers=1), tmp_path / "stopped")
    first, second = (torch.load(tmp_path / name / "model.pt", weights_only=True) for name in ("whole", "stopped"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_weights_go_into_the_bundles_network_and_back(few, tmp_path):
    """MONAI's own blocks, arranged as the bundle arranges them, and its own way of loading."""
    spec = importlib.util.spec_from_file_location("published_network", BENCH)
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    model = train(recipe(few, tmp_path, steps=1), tmp_path)
    theirs, image = bench.monai_network().eval(), torch.rand(2, 1, 256, 256)
    theirs.load_state_dict(torch.load(model, weights_only=True))
    ours = PublishedNetwork().eval()
    ours.load_state_dict(torch.load(model, weights_only=True))
    with torch.inference_mode():
        torch.testing.assert_close(theirs(image).reshape(2, 2, 10), ours(image), atol=1e-3, rtol=1e-4)
    other = bench.monai_network()
    ours.load_state_dict(other.state_dict())
    assert resolve_model(model).architecture == "published-regressor"
    # a checkpoint in the middle of a run is a model as well
    assert resolve_model(tmp_path / "checkpoint.pt").architecture == "published-regressor"


def test_validation_figures():
    truth = np.full((2, 10, 2), np.nan)
    truth[0, 0], truth[0, 1], truth[1, 4] = (100, 100), (50, 60), (10, 10)
    found = np.zeros((2, 10, 2))
    found[0, 0], found[0, 1], found[1, 4] = (103, 104), (50, 60), (10, 11)
    found[1, 9] = (0, 2)  # absent, and predicted two pixels from the origin
    figures = point_errors(found, truth, np.array([[2.0, 1.0], [np.nan, np.nan]]))
    assert figures["mean_px"] == pytest.approx(2) and figures["median_px"] == pytest.approx(1)
    assert figures["mean_mm"] == pytest.approx(np.hypot(6, 4) / 2)
    assert figures["as_published_px"] == pytest.approx((5 + 0 + 1 + 2) / 20)
    assert "mean_mm" not in point_errors(found, truth, np.full((2, 2), np.nan))


def test_it_learns_a_handful_of_images(few, tmp_path):
    settings = {"steps": 40, "learning_rate": 1e-3, "probability": 0.0, "bfloat16": True, "keep_best": True}
    train(recipe(few, tmp_path, validate_every=5, workers=1, **settings), tmp_path)
    rows = [line.split(",") for line in (tmp_path / "validation.csv").read_text().splitlines()]
    errors = [float(row[rows[0].index("mean_px")]) for row in rows[1:]]
    assert errors[0] > 100 > 20 > min(errors), errors


def test_sources_are_mixed_by_their_shares(few, tmp_path):
    settings = TrainingRecipe.Settings(datasets=(str(few),), synthetic=2, shares=(0.25, 0.75), validation_share=0.5)
    sources = load_sources(settings, tmp_path)
    drawn = sources.draw(np.random.default_rng(0), 400)
    synthetic = np.array([name.startswith("synthetic 0") for name in drawn.patients])
    assert 0.65 < synthetic.mean() < 0.85
    assert {"other"} < set(sources.validation.patients)
    assert not set(sources.validation.patients) & set(drawn.patients)
    # kept in the published form, and read again
    (kept,) = tmp_path.glob("synthetic-*.npz")
    before = kept.stat().st_mtime_ns
    assert load_sources(settings, tmp_path).fingerprint() == sources.fingerprint()
    assert kept.stat().st_mtime_ns == before and len(read_npz(kept)[0]) == 2 * 3 * 4


def named(patients, seed=0):
    count = len(patients)
    images = np.random.default_rng(seed).random((count, 256, 256))
    return LabelledImages(images, np.full((count, 11, 2), 50.0), (None,) * count, np.ones((count, 2)), patients)


def test_a_patient_of_several_files_is_on_one_side(tmp_path):
    def load(*halves):
        for number, (whole, test) in enumerate(halves):
            write_npz(tmp_path / f"{number}.npz", named(whole, number), None if test is None else named(test, number))
        paths = tuple(str(tmp_path / f"{number}.npz") for number in range(len(halves)))
        return load_sources(TrainingRecipe.Settings(datasets=paths, validation_share=0.4), tmp_path)

    with pytest.raises(InputError, match=r"1\.npz.*'b' in this file's test half.*0\.npz"):
        load((("a", "b"), ("c",)), (("d",), ("b",)))
    # with no test half of their own, files are split alike, and as the stated halves say
    everyone = tuple("abcdefgh")
    for halves in (((everyone, None), (everyone[2:], None)), ((everyone, None), (("x", "a"), ("b", "y")))):
        sources = load(*halves)
        training = {name for part in sources.train for name in part.patients}
        assert training and not training & set(sources.validation.patients)
        assert training | set(sources.validation.patients) == {
            name for pair in halves for half in pair for name in half or ()
        }
    assert "b" in sources.validation.patients and "a" in training
    with pytest.raises(InputError, match="not known"):
        load((everyone, None), (("", "a"), None))


def test_a_run_is_made_longer_not_shorter(few, tmp_path):
    how = {"steps": 2, "batch": 1, "workers": 0, "validate_every": 0}
    train(recipe(few, tmp_path, **how), tmp_path)
    before = (tmp_path / "settings.json").read_bytes()
    with pytest.raises(ModelError, match="2 steps done"):
        train(recipe(few, tmp_path, **{**how, "steps": 1}), tmp_path)
    assert (tmp_path / "settings.json").read_bytes() == before


def test_a_network_that_answers_no_numbers_is_not_kept(few, tmp_path):
    """Weights this large are finite; what comes of them is not."""
    with pytest.raises(DivergedError, match="as_published_px is nan"):
        train(recipe(few, tmp_path, steps=1, batch=1, workers=0, learning_rate=1e30), tmp_path)
    assert not (tmp_path / "model.pt").exists()


def test_the_best_cannot_be_kept_without_landmarks_to_choose_by(tmp_path):
    test = named(("c", "d"))
    test.landmarks[:, :10] = np.nan
    write_npz(tmp_path / "a.npz", named(("a", "b")), test)
    with pytest.raises(InputError, match="keep_best"):
        recipe(tmp_path / "a.npz", tmp_path, keep_best=True)


def test_a_dataset_of_one_patient_is_refused(few, tmp_path):
    write_npz(tmp_path / "one.npz", read_npz(few)[0])
    with pytest.raises(InputError, match="at least two known patients"):
        recipe(tmp_path / "one.npz", tmp_path)


def test_images_of_another_size_are_refused(tmp_path):
    data = LabelledImages(np.zeros((2, 192, 192)), np.full((2, 11, 2), 50.0), (None,) * 2, np.ones((2, 2)), ("a", "b"))
    write_npz(tmp_path / "a.npz", data)
    with pytest.raises(InputError, match=r"\(n, 256, 256\); found \(2, 192, 192\)"):
        recipe(tmp_path / "a.npz", tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"datasets": ()}, "no training data"),
        ({"absent": "nowhere"}, "absent: expected origin or left-out; found 'nowhere'"),
        ({"shares": (1.0, 2.0)}, "shares: expected 1 numbers"),
        ({"deformation": 0.5}, "deformation"),
        ({"gamma": (1.0,)}, "gamma"),
        ({"probability": 1.5}, "probability"),
        ({"batch": 0}, "batch: expected at least 1; found 0"),
        ({"device": "gpu"}, "cpu, cuda or cuda:N"),
        ({"learning_rate": float("nan")}, "learning_rate"),
    ],
)
def test_settings_out_of_range_are_named(few, change, message):
    with pytest.raises(UsageError, match=message):
        TrainingRecipe.Settings(**{"datasets": (str(few),), **change})


def test_the_command_line(few, tmp_path, capsys):
    folder = tmp_path / "run"
    arguments = [
        "train",
        "--recipe",
        "kcl-regression",
        "--dataset",
        str(few),
        "--threads",
        "1",
        "--steps",
        "1",
        "--batch",
        "2",
        "--threads",
        "1",
    ]
    assert main([*arguments, "--set", "workers=0", "--set", "gamma=[0.5, 1]", "-o", str(folder)]) == 0
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["recipe"] == "kcl-regression" and settings["gamma"] == [0.5, 1.0] and settings["batch"] == 2
    assert str(folder / "model.pt") in capsys.readouterr().out
    # the folder is enough to go on, its settings are enough to do the same elsewhere
    assert main(["train", "-o", str(folder), "--steps", "2"]) == 0
    assert len((folder / "log.csv").read_text().splitlines()) == 3
    assert main(["train", "--config", str(folder / "settings.json"), "-o", str(tmp_path / "again")]) == 0
    first, second = (torch.load(where / "model.pt", weights_only=True) for where in (folder, tmp_path / "again"))
    assert all(torch.equal(first[name], second[name]) for name in first)


_BUILT_IN = ("--recipe", "synthetic-heatmap")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--recipe", "other"], 2, "expected one of synthetic-heatmap, kcl-regression"),
        (["--recipe", "kcl-regression"], 2, "no training data"),
        (["--recipe", "kcl-regression", "--dataset", "missing.npz"], 3, "missing.npz"),
        ([*_BUILT_IN, "--set", "colour=1"], 2, "colour"),
        ([*_BUILT_IN, "--set", "sigma=wide"], 2, "sigma of type float; found 'wide'"),
        (["--set", "steps"], 2, "NAME=VALUE"),
        (["--config", "missing.json"], 3, "missing.json"),
        ([*_BUILT_IN, "--device", "cuda:7"], 2, "cuda:7"),
    ],
)
def test_what_is_wrong_with_a_command_is_said(tmp_path, capsys, arguments, status, message):
    assert main(["train", *arguments, "-o", str(tmp_path / "run")]) == status
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_settings_of_another_recipe_are_refused(tmp_path, capsys):
    (tmp_path / "settings.json").write_text('{"recipe": "kcl-regression"}')
    assert main(["train", "--recipe", "synthetic-heatmap", "-o", str(tmp_path)]) == 2
    assert "is of kcl-regression" in capsys.readouterr().err

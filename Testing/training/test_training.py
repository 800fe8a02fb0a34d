"""Training on the synthetic heart: landmarks move with the image, batches repeat, the file is small."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from CardiacValveLandmarksLib.errors import ModelError, UsageError  # noqa: E402
from CardiacValveLandmarksLib.models.architectures import ARCHITECTURES  # noqa: E402
from CardiacValveLandmarksLib.models.catalogue import resolve_model  # noqa: E402
from CardiacValveLandmarksLib.models.compact import halve_weights  # noqa: E402
from CardiacValveLandmarksLib.models.heatmap import HeatmapNet  # noqa: E402
from CardiacValveLandmarksLib.models.losses import gaussian_targets, heatmap_loss  # noqa: E402
from CardiacValveLandmarksLib.training.augment import (  # noqa: E402
    random_affine,
    random_appearance,
    random_patches,
    random_style,
)
from CardiacValveLandmarksLib.training.loop import train  # noqa: E402
from CardiacValveLandmarksLib.training.recipes.synthetic_heatmap import TrainingRecipe  # noqa: E402
from CardiacValveLandmarksLib.training.synthetic import (  # noqa: E402
    CLASSES,
    MIRRORED,
    OTHER,
    ShardKind,
    make_shard,
    read_shard,
    write_shard,
)

SMALL = TrainingRecipe.Settings(seed=5, shards=2, first_shards=1, steps=4, batch=4, log_every=2, warm_up=2, workers=0)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    for number in range(SMALL.shards):
        write_shard(folder, SMALL.seed, number, 8)
    return folder


@pytest.fixture
def recipe(shards, tmp_path):
    return TrainingRecipe(replace(SMALL, shards_folder=str(shards)), tmp_path)


def test_shards_depend_on_seed_and_number_alone(shards):
    first, again = make_shard(5, 1, 8), read_shard(shards / "synthetic-5-00001.npz")
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.landmarks, again.landmarks)
    assert not np.array_equal(first.images, make_shard(5, 0, 8).images)
    assert set(first.classes) <= set(range(OTHER + 1))
    # a plane that is no view has no landmarks, a view has its own
    assert np.isnan(first.landmarks[first.classes == OTHER]).all()
    assert np.isfinite(first.landmarks[first.classes != OTHER][:, 10]).any()


def test_strange_shards_differ_in_contrast_alone_and_are_kept_apart(tmp_path):
    plain, strange = make_shard(5, 1, 4), read_shard(write_shard(tmp_path, 5, 1, 4, ShardKind(strange=1.0)))
    np.testing.assert_array_equal(plain.landmarks[0], strange.landmarks[0])
    assert not np.array_equal(plain.images[0], strange.images[0])
    plain_again = read_shard(write_shard(tmp_path, 5, 1, 4))
    np.testing.assert_array_equal(plain.images, plain_again.images)


def test_augmentation_on_the_device_sees_the_same_images_and_labels(shards, tmp_path):
    """Only where images are turned and recoloured differs; on a CPU with the same random numbers, so nothing does."""
    given = replace(SMALL, shards_folder=str(shards))
    by_worker = TrainingRecipe(given, tmp_path).batch(3)
    recipe = TrainingRecipe(replace(given, augment_on_device=True), tmp_path)
    raw = recipe.batch(3)
    assert raw["images"].shape[-1] == 160 and by_worker["images"].shape[-1] == given.size
    turned = recipe.on_device(raw)
    assert turned.keys() == by_worker.keys()
    for name, value in by_worker.items():
        torch.testing.assert_close(turned[name], value, rtol=0, atol=0, equal_nan=True)


def test_a_run_that_augments_on_the_device_is_the_same_run_on_a_cpu(shards, tmp_path):
    given = replace(SMALL, shards_folder=str(shards), steps=2)
    weights = []
    for name, on_device in (("worker", False), ("device", True)):
        recipe = TrainingRecipe(replace(given, augment_on_device=on_device), tmp_path / name)
        train(recipe, tmp_path / name)
        weights.append(torch.load(tmp_path / name / "weights.pt", weights_only=True))
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_restyling_is_part_of_a_batch(shards, tmp_path):
    given = replace(SMALL, shards_folder=str(shards), batch=16)
    plain, restyled = (TrainingRecipe(replace(given, restyle=share), tmp_path).batch(1) for share in (0.0, 1.0))
    assert torch.equal(plain["classes"], restyled["classes"])
    assert not torch.allclose(plain["images"], restyled["images"], atol=0.2)


def test_the_networks_pixels_are_those_of_its_spacing(shards, tmp_path):
    given = replace(SMALL, shards_folder=str(shards), bend=0.0, batch=16, mirrored=0.0, wrongly_told=0.0)
    coarse, fine = (
        TrainingRecipe(replace(given, spacing_mm=mm), tmp_path).batch(1)["landmarks"].diff(dim=1).norm(dim=-1)
        for mm in (2.0, 1.6)
    )
    both = coarse.isfinite() & fine.isfinite()
    assert both.sum() > 10
    torch.testing.assert_close(fine[both], coarse[both] * 1.25, rtol=1e-4, atol=1e-4)


def test_finer_shards_show_the_same_patients(tmp_path):
    kind = ShardKind(spacing_mm=1.6)
    path = write_shard(tmp_path, 5, 1, 2, kind)
    assert "1.6mm" in path.name
    coarse, fine = make_shard(5, 1, 2), read_shard(path)
    assert fine.images.shape == (2, 200, 200)
    # landmarks lie at the same places, in mm from the image's middle
    places = [(s.landmarks[0] - (s.images.shape[1] - 1) / 2) * mm for s, mm in ((coarse, 2.0), (fine, 1.6))]
    np.testing.assert_allclose(*places, atol=1e-3)
    middles = [
        s.images[0, n // 3 : -n // 3, n // 3 : -n // 3].mean(dtype=float) for s, n in ((coarse, 160), (fine, 200))
    ]
    assert middles[0] == pytest.approx(middles[1], rel=0.1)


@pytest.mark.parametrize("bend", [0.0, 1.5])
@pytest.mark.parametrize("mirrored", [False, True])
def test_landmarks_move_with_the_image(mirrored, bend):
    generator = torch.Generator().manual_seed(3)
    rows, columns = torch.meshgrid(torch.arange(160.0), torch.arange(160.0), indexing="ij")
    place = torch.tensor([[70.0, 95.0], [88.0, 66.0]])
    images = torch.stack([torch.exp(-((rows - r) ** 2 + (columns - c) ** 2) / 18) for r, c in place])
    images = images[None].sum(1, keepdim=True).repeat(6, 1, 1, 1)
    moved, at = random_affine(
        images, place[None].repeat(6, 1, 1), 128, generator, shift=7, scale=0.18, mirror=torch.full((6,), mirrored),
        bend=bend,
    )  # fmt: skip
    for image, points in zip(moved, at, strict=True):
        for row, column in points:
            r, c = round(row.item()), round(column.item())
            patch = image[0, r - 5 : r + 6, c - 5 : c + 6]
            grid_r, grid_c = torch.meshgrid(torch.arange(r - 5, r + 6), torch.arange(c - 5, c + 6), indexing="ij")
            assert abs((patch * grid_r).sum() / patch.sum() - row) < 0.4
            assert abs((patch * grid_c).sum() / patch.sum() - column) < 0.4
    # handedness: the turn from one point to the other about the centre keeps its sign unless mirrored
    before = torch.linalg.det(torch.stack([place[0] - 79.5, place[1] - 79.5]))
    assert before != 0


def test_points_that_leave_the_image_become_absent():
    generator = torch.Generator().manual_seed(0)
    _, at = random_affine(
        torch.zeros(4, 1, 160, 160), torch.full((4, 1, 2), 2.0), 128, generator, shift=0, scale=0.01,
        mirror=torch.zeros(4, dtype=torch.bool),
    )  # fmt: skip
    assert at.isnan().all()


def test_appearance_keeps_the_range_of_inference():
    generator = torch.Generator().manual_seed(0)
    images = random_appearance(torch.rand(5, 1, 64, 64), generator)
    assert images.min() >= 0 and images.max() <= 1.5
    top = torch.quantile(images.flatten(1), 0.99, dim=1)
    assert ((top > 0.85) & (top < 1.15)).all()


def test_patches_hide_a_little_of_some_images():
    images = torch.rand(40, 1, 64, 64, generator=torch.Generator().manual_seed(1)) + 3
    assert torch.equal(random_patches(images, torch.Generator().manual_seed(2), 0.0), images)
    hidden = random_patches(images, torch.Generator().manual_seed(2), 0.5)
    changed = ((hidden - images).abs() > 0.1).flatten(1).float().mean(1)
    assert 10 <= (changed > 0).sum() <= 30 and changed.max() < 0.12
    assert torch.equal(hidden, random_patches(images, torch.Generator().manual_seed(2), 0.5))
    assert (hidden >= 0).all()


def test_a_random_style_changes_brightness_and_not_shapes():
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    disc = (((rows - 32) ** 2 + (columns - 32) ** 2) < 300).float()
    images = (0.2 + 0.6 * disc).repeat(60, 1, 1, 1)
    restyled = random_style(images, torch.Generator().manual_seed(4), 0.5)
    assert torch.equal(restyled, random_style(images, torch.Generator().manual_seed(4), 0.5))
    changed = (restyled - images).abs().flatten(1).amax(1) > 0.01
    assert 18 <= changed.sum() <= 42
    assert (restyled >= 0).all() and restyled.isfinite().all()
    # within the disc and well outside it an image stays even, whatever its brightness has become
    inside, outside = ((rows - 32) ** 2 + (columns - 32) ** 2) < 100, ((rows - 32) ** 2 + (columns - 32) ** 2) > 650
    for part in (inside, outside):
        middle = part & (rows > 5) & (rows < 58) & (columns > 5) & (columns < 58)
        assert restyled[:, 0][:, middle].std(1).max() < 0.02
    means = restyled[changed][:, 0][:, inside].mean(1)
    assert means.std() > 0.1  # they differ
    assert torch.equal(random_style(images, torch.Generator().manual_seed(4), 0.0), images)


def test_half_of_the_early_channels_do_not_see_an_images_contrast():
    from CardiacValveLandmarksLib.models.heatmap import HeatmapNet

    norm = HeatmapNet().eval().stem_norm
    x = torch.rand(2, 24, 16, 16, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(norm(5 * x + 2)[:, :12], norm(x)[:, :12], atol=1e-3, rtol=1e-3)
    assert (norm(5 * x + 2)[:, 12:] - norm(x)[:, 12:]).abs().min() > 1


def test_targets_sum_to_one_and_peak_at_the_landmark():
    landmarks = torch.full((1, 11, 2), torch.nan)
    landmarks[0, 4] = torch.tensor([20.0, 33.0])
    targets = gaussian_targets(landmarks, (64, 64), 2.0)
    assert torch.allclose(targets.sum(1), torch.ones(1, 64, 64), atol=1e-5)
    assert targets[0, 4].argmax() == 20 * 64 + 33
    assert targets[0, [0, 1, 2, 3, 5, 6, 7, 8, 9, 10]].max() == 0


def test_the_loss_is_least_at_the_truth():
    landmarks = torch.full((1, 11, 2), torch.nan)
    landmarks[0, 4] = torch.tensor([20.0, 33.0])
    targets = gaussian_targets(landmarks, (64, 64), 2.0)
    present = ~landmarks.isnan().any(-1)
    right = heatmap_loss(torch.log(targets + 1e-6), targets, present)
    shifted = heatmap_loss(torch.log(targets.roll(5, 3) + 1e-6), targets, present)
    for name in right:
        assert right[name] < 0.05 < shifted[name]


def test_a_batch_is_a_function_of_settings_and_step(recipe, tmp_path):
    first, again, other = recipe.batch(3), recipe.batch(3), recipe.batch(4)
    assert torch.equal(first["images"], again["images"])
    assert not torch.equal(first["images"], other["images"])
    # and of the step alone: what a process drew before makes no difference
    assert torch.equal(first["images"], TrainingRecipe(recipe.settings, tmp_path).batch(3)["images"])


def test_mirrored_and_wrongly_told_images_show_nothing(recipe, tmp_path):
    settings = replace(recipe.settings, shards=1, first_shards=1, batch=64, mirrored=1.0, wrongly_told=0.0)
    batch = TrainingRecipe(settings, tmp_path).batch(0)
    assert batch["landmarks"].isnan().all()
    assert set(batch["classes"].tolist()) <= {MIRRORED, OTHER}
    assert len(CLASSES) == 5


def test_the_built_in_recipe_makes_a_model_file_that_says_what_it_is(recipe, tmp_path):
    chosen = TrainingRecipe(replace(recipe.settings, spacing_mm=1.5, size=96), tmp_path)
    model = train(chosen, tmp_path)
    for path in (model, tmp_path / "weights.pt"):
        spec = resolve_model(path)
        assert spec.architecture == "heatmap-unet" and spec.synthetic_only
        assert spec.input.spacing_mm == 1.5 and spec.input.size == (96, 96)
        # thresholds of other weights are not this model's
        assert spec.decision is None
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 1 + SMALL.steps // SMALL.log_every


def test_the_pool_is_whole_whatever_the_steps_on_a_batch(shards, tmp_path):
    settings = replace(SMALL, shards_folder=str(shards), steps=6, substeps=2)
    recipe = TrainingRecipe(settings, tmp_path)
    recipe.batch(settings.steps // settings.substeps - 1)
    assert len(recipe._pool.images) == settings.shards


@pytest.mark.parametrize(
    "change",
    [
        {"shards": 0},
        {"first_shards": 0},
        {"first_shards": 3},
        {"size": 100},
        {"sigma": 0.0},
        {"spacing_mm": 0.0},
        {"shard_spacing_mm": 15.0},
        {"restyle": 1.1},
        {"warm_up": -1},
        {"view_told": 1.7},
        {"strange": -0.1},
        {"bend": -1.0},
    ],
)
def test_settings_out_of_range_are_named(change):
    with pytest.raises(UsageError, match=next(iter(change))):
        replace(SMALL, **change)


def test_a_run_can_begin_with_the_weights_of_another(recipe, tmp_path):
    train(recipe, tmp_path / "first")
    init = tmp_path / "first" / "weights.pt"
    follows = TrainingRecipe(replace(recipe.settings, init=str(init), seed=5, learning_rate=1e-4), tmp_path / "second")
    ours, its = follows.network().state_dict(), torch.load(init, weights_only=True)
    assert all(torch.equal(value, its[name]) for name, value in ours.items())
    train(follows, tmp_path / "second")
    # it goes on wherever the file lies, but not with another one
    moved = init.rename(tmp_path / "moved.pt")
    train(TrainingRecipe(replace(follows.settings, init=str(moved)), tmp_path / "second"), tmp_path / "second")
    other = replace(follows.settings, init=str(tmp_path / "second" / "weights.pt"))
    with pytest.raises(ModelError, match="other data"):
        train(TrainingRecipe(other, tmp_path / "second"), tmp_path / "second")
    with pytest.raises(ModelError, match="nowhere"):
        TrainingRecipe(replace(follows.settings, init=str(tmp_path / "nowhere.pt")), tmp_path / "third")


def test_a_compact_file_computes_the_same():
    onnx = pytest.importorskip("onnx")
    import onnxruntime

    torch.manual_seed(0)
    weights = {name: value.numpy() for name, value in HeatmapNet().state_dict().items()}
    full = ARCHITECTURES["heatmap-unet"].to_onnx(weights)
    small = halve_weights(full)
    assert len(small) < 0.6 * len(full) and len(small) <= 5 * 2**20
    onnx.checker.check_model(onnx.load_from_string(small))
    inputs = {
        "image": np.random.default_rng(0).random((2, 1, 96, 112), np.float32),
        "view": np.eye(3, dtype=np.float32)[:2],
    }
    outputs = [
        onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, inputs)
        for model in (full, small)
    ]
    assert outputs[0][0].shape == (2, 12, 96, 112) and outputs[0][1].shape == (2, 5)
    np.testing.assert_allclose(outputs[0][0].sum(1), 1, atol=1e-4)
    np.testing.assert_allclose(outputs[0][0], outputs[1][0], atol=5e-3)

"""Fine-tuning: what is held out, when a new model is accepted, where it then is, and what is refused."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from CardiacValveLandmarksLib import cli  # noqa: E402
from CardiacValveLandmarksLib.cine import Cine  # noqa: E402
from CardiacValveLandmarksLib.detection import detect  # noqa: E402
from CardiacValveLandmarksLib.errors import InputError, ModelError, UsageError  # noqa: E402
from CardiacValveLandmarksLib.landmarks import LandmarkSeries, Provenance  # noqa: E402
from CardiacValveLandmarksLib.models.catalogue import find_model, register, resolve_model  # noqa: E402
from CardiacValveLandmarksLib.models.restore import torch_network  # noqa: E402
from CardiacValveLandmarksLib.orientation import handedness  # noqa: E402
from CardiacValveLandmarksLib.phantom.cines import synthetic_study  # noqa: E402
from CardiacValveLandmarksLib.training import finetune as module  # noqa: E402
from CardiacValveLandmarksLib.training import finetune_heatmap  # noqa: E402
from CardiacValveLandmarksLib.training.corrections import CorrectedCine, split  # noqa: E402
from CardiacValveLandmarksLib.training.corrections_npz import write_corrections_npz  # noqa: E402
from CardiacValveLandmarksLib.training.finetune import Comparison, Score, finetune, is_mirrored  # noqa: E402
from CardiacValveLandmarksLib.training.finetune_heatmap import (  # noqa: E402
    CorrectedCuts,
    HeatmapFinetune,
    HeatmapFinetuneSettings,
    answer_loss,
)
from CardiacValveLandmarksLib.training.synthetic import write_shard  # noqa: E402


@pytest.fixture(autouse=True)
def own_catalogue(tmp_path, monkeypatch):
    """A catalogue of the test's own, and a fixed synthetic set of three images."""
    monkeypatch.setenv("CVL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "_PATIENTS", 1)
    monkeypatch.setattr(module, "_FRAMES", 1)


@pytest.fixture(scope="module")
def corrected():
    """Four patients, a view each, with every point placed by hand."""
    found = []
    for number, view in enumerate(("4CH", "2CH", "3CH", "4CH")):
        item = synthetic_study(500 + number, kinds=(view,), frames=3).items[0]
        there = item.truth.present
        by_hand = np.where(there, Provenance.MANUAL, Provenance.ABSENT)
        marks = LandmarkSeries(item.truth.positions, np.where(there, np.nan, 0.5), by_hand, view)
        found.append(CorrectedCine(item.cine, marks, f"patient-{number}"))
    return found


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Rehearsal and check images, fewer than usual."""
    folder = tmp_path_factory.mktemp("shards")
    kind = HeatmapFinetuneSettings().shard_kind
    for seed, index in ((990_001, 0), *((1, index) for index in range(HeatmapFinetuneSettings().shards))):
        write_shard(folder, seed, index, 12, kind)
    return str(folder)


@pytest.fixture
def spoiled(tmp_path):
    """The built-in network with noise on its weights: there is much to learn again."""
    net = torch_network(resolve_model("phantom-heatmap"))
    torch.manual_seed(4)
    with torch.no_grad():
        for weights in net.parameters():
            weights += 0.6 * weights.std().nan_to_num() * torch.randn_like(weights)
    torch.save(net.state_dict(), tmp_path / "spoiled.pt")
    return register(tmp_path / "spoiled.pt", "spoiled").id


def few_steps(shards, **changes):
    values = {
        "steps": 8,
        "batch": 4,
        "validate_every": 4,
        "warm_up": 2,
        "shards_folder": shards,
        "average": 0.5,
        "curve": False,
    }
    return HeatmapFinetuneSettings(**{**values, **changes})


def test_a_better_model_takes_its_place_in_the_catalogue(corrected, shards, spoiled, tmp_path, capsys):
    out = tmp_path / "out"
    settings = few_steps(shards, learning_rate=1e-3, steps=24, augment_on_device=True, corrected=0.5)
    outcome = finetune(corrected, out, spoiled, settings=settings, model_id="mine")
    before, after = outcome.comparison.held_out
    assert after.mean_mm < before.mean_mm and outcome.registered == "mine"
    assert outcome.file == out / "model.onnx" and outcome.file.stat().st_size < 5 * 2**20
    spec = find_model("mine")
    assert (spec.origin, spec.kind, spec.synthetic_only) == ("user", "heatmap", False)
    assert spec.decision == find_model(spoiled).decision
    assert spec.training["base"] == spoiled and spec.training["cines"] == {"2CH": 1, "3CH": 1, "4CH": 2}
    assert spec.training["patients"] == 4 and spec.training["settings"]["learning_rate"] == 1e-3
    report = json.loads((out / "finetuning.json").read_text())
    assert report["refused"] is None and report["comparison"]["held_out"][1]["mean_mm"] == after.mean_mm
    # by its id, and by its file, whose description lies beside it
    cine = corrected[0].cine
    by_id, by_file = detect(cine, "mine", tta=False), detect(cine, outcome.file, tta=False)
    np.testing.assert_array_equal(by_id.landmarks.positions, by_file.landmarks.positions)
    jsonschema = pytest.importorskip("jsonschema")
    from CardiacValveLandmarksLib.models.spec import RESOURCES

    schema = json.loads((RESOURCES / "models.schema.json").read_text())
    jsonschema.validate({"version": 1, "models": [spec.entry()]}, schema)
    assert cli.main(["models", "list"]) == 0
    assert "spoiled fine-tuned on 4 corrected cines of 4 patient(s)" in capsys.readouterr().out
    with pytest.raises(UsageError, match=r"'mine' is taken"):
        finetune(corrected, tmp_path / "again", spoiled, model_id="mine")
    assert not (tmp_path / "again").exists()
    # the same run again: nothing is trained twice, and the same comes out
    weights = outcome.file.read_bytes()
    again = finetune(corrected, out, spoiled, settings=settings, model_id=None)
    assert again.file.read_bytes() == weights and again.comparison == outcome.comparison
    assert cli.main(["models", "remove", "mine"]) == 0 and outcome.file.exists()
    with pytest.raises(ModelError):
        find_model("mine")


def test_a_worse_model_is_refused_with_its_figures(corrected, shards, tmp_path, capsys):
    write_corrections_npz(tmp_path / "set.npz", corrected)
    status = cli.main([
        "finetune", str(tmp_path / "set.npz"), "-o", str(tmp_path / "out"), "--steps", "3", "--batch", "4",
        "--set", "learning_rate=0.5", "--set", "warm_up=1", "--set", "validate_every=3", "--set", "average=0",
        "--set", "curve=false", "--set", f"shards_folder={shards}",
    ])  # fmt: skip
    said = capsys.readouterr()
    assert status == 4 and "4 corrected cines of 4 patient(s), 12 frames" in said.out
    assert "a model better than phantom-heatmap" in said.err and "It is not registered" in said.err
    report = json.loads((tmp_path / "out" / "finetuning.json").read_text())
    assert report["refused"] and report["held_out"] == {"cines": 1, "how": "by patient"}
    with pytest.raises(ModelError):
        find_model("phantom-heatmap-tuned")


def test_what_is_refused():
    def scores(before, after):
        return Score(before, 1.0, 1.0, 9), Score(after, 1.0, 1.0, 9)

    assert Comparison(scores(3, 2.9), scores(1, 1.04)).objection() == ""
    assert "3.00 mm on held-out cines" in Comparison(scores(3, 3), scores(1, 0.5)).objection()
    assert "1.06 mm on synthetic cines" in Comparison(scores(3, 1), scores(1, 1.06)).objection()


def test_what_forgets_too_much_goes_back_half_the_way(corrected, shards, tmp_path, monkeypatch):
    """Told by whole detections on ordinary patients, after the way that the training's own images allow."""
    recipes, scores = [], iter([1.0, 1.2, 1.1, 1.04])

    def scored(model, cases):
        held_out = len(cases) == 1
        return Score((3.0 if model == "phantom-heatmap" else 2.0) if held_out else next(scores), 1.0, 1.0, 9)

    class Watched(HeatmapFinetune):
        def __init__(self, *given):
            super().__init__(*given)
            recipes.append(self)

        def finish(self, net, folder):
            file = super().finish(net, folder)
            files.append((self.way, file.read_bytes()))
            return file

        def nearer(self, folder):
            went = super().nearer(folder)
            files.append((self.way, (folder / "model.onnx").read_bytes()))
            return went

    files = []
    monkeypatch.setattr(finetune_heatmap, "HeatmapFinetune", Watched)
    monkeypatch.setattr(finetune_heatmap, "_WAYS", (1.0,))
    monkeypatch.setattr(module, "score", scored)
    outcome = finetune(corrected, tmp_path / "out", settings=few_steps(shards))
    assert [way for way, _ in files] == [1.0, 0.5, 0.2] and len({file for _, file in files}) == 3
    assert outcome.comparison.synthetic[1].mean_mm == 1.04 and "20% of the way" in outcome.notes[-1]
    assert detect(corrected[0].cine, outcome.file, tta=False).model.training["base"] == "phantom-heatmap"
    # and no further than where nothing would be left of it
    assert recipes[0].nearer(tmp_path / "out") and not recipes[0].nearer(tmp_path / "out")


def test_rehearsal_asks_for_the_answers_of_before():
    torch.manual_seed(0)
    before, other = ((torch.randn(2, 12, 16, 16), torch.randn(2, 5)) for _ in range(2))
    assert abs(answer_loss(before, before).item()) < 1e-5
    assert answer_loss((other[0], before[1]), before) > 0.1 and answer_loss((before[0], other[1]), before) > 0.1
    # what a pixel's channels have in common changes no answer
    assert abs(answer_loss((before[0] + 3, before[1] - 2), before).item()) < 1e-5


def test_the_step_kept_is_one_that_forgets_little(monkeypatch):
    """One held-out cine says little: of two steps the one that loses what may not be lost is not the better."""
    recipe = object.__new__(HeatmapFinetune)
    recipe._held, recipe._check, recipe._before = "held", "check", {"held_out_mm": 2.0, "synthetic_mm": 1.5}

    def cost(held: float, check: float) -> float:
        monkeypatch.setattr(HeatmapFinetune, "_error", lambda self, net, cuts: {"held": held, "check": check}[cuts])
        return recipe.validate(None)["cost"]

    assert cost(1.73, 1.53) < cost(1.65, 1.62)  # 2 and 8 % lost
    assert cost(1.65, 1.53) < cost(1.73, 1.50)  # within what is allowed the held-out error decides
    assert cost(2.0, 1.5) == 1


def test_a_missed_landmark_counts(corrected, monkeypatch):
    case = module.corrected_cases(corrected[:1])[0]
    whole = module.score("phantom-heatmap", [case])
    assert whole.found == 1 and whole.mean_mm < 5

    def nothing(*args, **options):
        found = detect(*args, **options)
        empty = LandmarkSeries.empty(found.landmarks.n_frames, found.view)
        return type(found)(**{**vars(found), "landmarks": empty})

    monkeypatch.setattr(module, "detect", nothing)
    missed = module.score("phantom-heatmap", [case])
    assert missed.found == 0 and missed.mean_mm == module.MISSED_MM and missed.median_mm is None


def test_what_is_marked_as_absent_must_not_be_found(corrected):
    one = corrected[0]
    there = np.flatnonzero(one.landmarks.present[0])
    provenance, confidence = one.landmarks.provenance.copy(), np.full(one.landmarks.confidence.shape, np.nan)
    positions = one.landmarks.positions.copy()
    gone = int(there[0])
    positions[0, gone], provenance[0, gone], confidence[1] = np.nan, Provenance.ABSENT, 0.5
    marked = CorrectedCine(one.cine, one.landmarks.replace(
        positions=positions, provenance=provenance, confidence=confidence), "p")  # fmt: skip
    (case,) = module.corrected_cases([marked])
    assert case.absent.sum() == 1 and case.points == np.isfinite(case.positions[..., 0]).sum() + 1
    (before,) = module.corrected_cases([one])
    found, plain = module.score("phantom-heatmap", [case]), module.score("phantom-heatmap", [before])
    # the built-in model finds it, as it found it when it was said to be there
    assert found.mean_mm > plain.mean_mm + 0.5 * module.MISSED_MM / case.points


def test_settings_that_are_the_models_are_refused(corrected, shards, tmp_path):
    for change in ({"spacing_mm": 1.1}, {"size": 96}):
        with pytest.raises(UsageError, match=next(iter(change))):
            finetune(corrected, tmp_path / "out", settings=few_steps(shards, **change))
    torch.save(torch_network(resolve_model("phantom-heatmap")).state_dict(), tmp_path / "own.pt")
    register(tmp_path / "own.pt", "framed", intensity="frame")
    with pytest.raises(ModelError, match="percentile"):
        finetune(corrected, tmp_path / "out", "framed", settings=few_steps(shards))


def test_another_held_out_set_is_another_run(corrected, shards, tmp_path):
    spec, settings = resolve_model("phantom-heatmap"), few_steps(shards)
    mirrored = {id(one): False for one in corrected}
    made = [
        HeatmapFinetune(settings, tmp_path, spec, corrected[:2], held, mirrored, 0.5).fingerprint()
        for held in (corrected[2:3], corrected[3:])
    ]
    assert made[0] != made[1]


def test_points_a_cut_does_not_show_are_not_asked_for(corrected):
    one = corrected[0]
    cuts = CorrectedCuts.of(one, False, HeatmapFinetuneSettings(size=48, spacing_mm=1.0), 0.5).seen
    inside = cuts.landmarks[np.isfinite(cuts.landmarks)]
    assert inside.min() >= 0 and inside.max() <= 47
    assert np.isnan(cuts.landmarks[:, one.landmarks.present[0]]).any()


def test_patients_are_never_on_both_sides(corrected):
    pairs = [CorrectedCine(one.cine, one.landmarks, f"p{n // 2}") for n, one in enumerate(corrected)]
    for seed in range(5):
        train, held, how = split(pairs, 0.25, seed)
        assert len(train) == len(held) == 2 and how == "by patient"
        assert {one.patient for one in train}.isdisjoint(one.patient for one in held)
    alone = [CorrectedCine(one.cine, one.landmarks, "p") for one in corrected]
    train, held, how = split(alone, 0.25, 0)
    assert len(train) == 3 and len(held) == 1 and "other patients is not known" in how
    assert len({one.patient for one in train + held}) == 4
    with pytest.raises(InputError, match="at least two corrected cines"):
        split(alone[:1], 0.25, 0)


def test_images_are_cut_in_the_models_handedness(corrected):
    spec = resolve_model("phantom-heatmap")
    for one in corrected[:2]:
        mirrored = is_mirrored(one, spec)
        assert mirrored == (handedness(one.cine.geometry, one.view) < 0)
        unplaced = CorrectedCine(one.cine.replace(geometry=None, spacing=one.cine.spacing), one.landmarks, "p")
        assert is_mirrored(unplaced, spec) == mirrored
        settings = HeatmapFinetuneSettings(size=128, spacing_mm=spec.input.spacing_mm)
        turned = one.cine.replace(frames=one.cine.frames[:, :, ::-1], geometry=None, spacing=one.cine.spacing)
        points = one.landmarks.positions * [1, -1] + [0, one.cine.shape[1] - 1]
        image = CorrectedCine(turned, one.landmarks.replace(positions=points), "p")
        cuts = CorrectedCuts.of(one, mirrored, settings, 0.5)
        other = CorrectedCuts.of(image, not mirrored, settings, 0.5)
        for first, second in ((cuts.seen, other.seen), (cuts.drawn, other.drawn)):
            np.testing.assert_allclose(first.images, second.images, atol=1e-3)
            np.testing.assert_allclose(first.landmarks, second.landmarks, atol=1e-3)


def test_cines_without_spacing_and_foreign_graphs_are_named(corrected, tmp_path):
    bare = Cine(corrected[0].cine.frames, source="bare.nii")
    with pytest.raises(InputError, match=r"bare\.nii.*pixel spacing"):
        finetune([CorrectedCine(bare, corrected[0].landmarks, "p"), corrected[1]], tmp_path / "out")

    class Graph(torch.nn.Module):
        def forward(self, image):
            return image.repeat(1, 3, 1, 1)

    torch.jit.trace(Graph(), torch.zeros(1, 1, 8, 8)).save(str(tmp_path / "own.pt"))
    register(tmp_path / "own.pt", "own", landmarks=[1, 2])
    with pytest.raises(ModelError, match="own-graph"):
        finetune(corrected, tmp_path / "out", "own")


def test_the_published_network_is_tuned_by_its_own_recipe(corrected, tmp_path):
    pytest.importorskip("monai", reason="monai is not installed")
    from CardiacValveLandmarksLib.models.published import PublishedNetwork
    from CardiacValveLandmarksLib.training.finetune_regression import RegressionFinetuneSettings

    torch.manual_seed(0)
    torch.save(PublishedNetwork().state_dict(), tmp_path / "published.pt")
    settings = RegressionFinetuneSettings(steps=2, batch=2, validate_every=2, synthetic=2)
    with pytest.raises(ModelError, match="a model better than published"):  # two steps from nothing teach nothing
        finetune(corrected[:2], tmp_path / "out", str(tmp_path / "published.pt"), settings=settings)
    spec = resolve_model(tmp_path / "out" / "model.pt")
    assert spec.architecture == "published-regressor" and spec.training["base"] == "published"
    before, after = torch_network(resolve_model(tmp_path / "published.pt")), torch_network(spec)
    moved = [not torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True)]
    assert any(moved)


def test_a_dataset_from_corrections_by_command(corrected, tmp_path, capsys):
    write_corrections_npz(tmp_path / "a.npz", corrected[:2])
    write_corrections_npz(tmp_path / "b.npz", corrected[2:])
    out = tmp_path / "all.npz"
    assert cli.main(["dataset", str(tmp_path / "a.npz"), str(tmp_path / "b.npz"), "-o", str(out)]) == 0
    assert "9 training and 3 test images" in capsys.readouterr().out
    assert cli.main(["dataset", str(tmp_path / "a.npz"), "-o", str(out)]) == 3
    assert "--overwrite" in capsys.readouterr().err

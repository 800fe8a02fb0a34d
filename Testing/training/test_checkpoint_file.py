"""Checkpoints that are damaged or not whole, settings that are no numbers, and what killed processes leave."""

import os
import time
from dataclasses import dataclass

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from CardiacValveLandmarksLib.errors import InputError, ModelError, UsageError  # noqa: E402
from CardiacValveLandmarksLib.training.checkpoint import RunState, load_checkpoint, save_checkpoint  # noqa: E402
from CardiacValveLandmarksLib.training.settings import LoopSettings, make_settings  # noqa: E402
from CardiacValveLandmarksLib.training.synthetic import write_shard  # noqa: E402
from tiny_recipe import TinySettings, TrainingRecipe  # noqa: E402


def fresh(folder):
    recipe = TrainingRecipe(TinySettings(), folder)
    net = recipe.network()
    return recipe, RunState(net, recipe.optimiser(net), recipe.network())


@pytest.fixture
def saved(tmp_path):
    """A folder with the checkpoint of a run that has done a step and a validation."""
    recipe, state = fresh(tmp_path)
    sum(recipe.losses(state.net, recipe.batch(0)).values()).backward()
    state.optimiser.step()
    state.step, state.history = 5, [{"step": 4, "error_px": 2.5}]
    weights = {name: tensor.clone() for name, tensor in state.net.state_dict().items()}
    state.best = {"value": 2.5, "step": 4, "net": weights}
    save_checkpoint(tmp_path, recipe, state)
    return tmp_path


def load(folder):
    recipe, state = fresh(folder)
    assert load_checkpoint(folder, recipe, state)
    return state


def rewrite(folder, change):
    content = torch.load(folder / "checkpoint.pt", weights_only=True)
    change(content)
    torch.save(content, folder / "checkpoint.pt")


def test_a_whole_checkpoint_is_read(saved):
    state = load(saved)
    assert (state.step, state.history, state.best["value"]) == (5, [{"step": 4, "error_px": 2.5}], 2.5)


def test_a_byte_that_changed_is_noticed_wherever_it_matters(saved):
    path = saved / "checkpoint.pt"
    whole, before = path.read_bytes(), load(saved)
    refused = 0
    for place in range(0, len(whole), 499):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        try:
            after = load(saved)
        except ModelError as error:
            assert "checkpoint.pt" in str(error)
            refused += 1
        else:  # padding, or a field that nothing reads
            assert all(torch.equal(a, b) for a, b in zip(after.net.parameters(), before.net.parameters(), strict=True))
            assert (after.step, after.history) == (before.step, before.history)
    assert refused > 20


def test_a_changed_weight_is_called_damage(saved):
    path = saved / "checkpoint.pt"
    whole = bytearray(path.read_bytes())
    weight = load(saved).net[5].weight.detach().numpy().tobytes()
    whole[whole.index(weight) + 9] ^= 0x01
    path.write_bytes(whole)
    torch.load(path, weights_only=True)  # torch does not notice
    with pytest.raises(ModelError, match=r"checkpoint.pt: expected .*a damaged file.*Copy the file again"):
        load(saved)


def test_a_part_marked_as_a_folder_is_called_damage(saved):
    path = saved / "checkpoint.pt"
    whole = bytearray(path.read_bytes())
    whole[whole.index(b"PK\x01\x02") + 38] |= 0x10  # the first part's attributes: torch would not read it
    path.write_bytes(whole)
    with pytest.raises(ModelError, match="a damaged file"):
        load(saved)


def test_a_checkpoint_without_checksums_is_read(saved):
    if not hasattr(torch.serialization, "set_crc32_options"):
        pytest.skip("this torch always writes them")
    torch.serialization.set_crc32_options(False)
    try:
        rewrite(saved, lambda content: None)
    finally:
        torch.serialization.set_crc32_options(True)
    assert load(saved).step == 5


@pytest.mark.parametrize(
    "name",
    ["version", "recipe", "landmarks", "data", "settings", "net", "optimiser", "average", "step", "history", "best"],
)
def test_a_checkpoint_that_lacks_something_is_refused(saved, name):
    rewrite(saved, lambda content: content.pop(name))
    with pytest.raises(ModelError, match=f"checkpoint.pt: expected a checkpoint (with {name}|of version)"):
        load(saved)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("recipe", 5),
        ("landmarks", None),
        ("landmarks", [1, 2]),
        ("data", None),
        ("settings", [1]),
        ("settings", {1: 2}),
        ("net", None),
        ("optimiser", [1]),
        ("average", "none"),
        ("step", "x"),
        ("step", -1),
        ("step", True),
        ("step", 5.0),
        ("history", None),
        ("history", [5]),
        ("history", [{"error_px": 1.0}]),
        ("history", [{"step": 4, "error_px": "few"}]),
        ("best", 5),
        ("best", {}),
        ("best", {"value": None, "step": 4, "net": {}}),
        ("best", {"value": 2.5, "step": 4, "net": {"5.bias": 3}}),
    ],
)
def test_a_checkpoint_with_something_of_another_kind_is_refused(saved, name, value):
    rewrite(saved, lambda content: content.update({name: value}))
    with pytest.raises(ModelError, match=f"checkpoint.pt: expected a checkpoint with {name}: "):
        load(saved)


@pytest.mark.parametrize(
    "changes",
    [
        {"average": None},
        {"optimiser": {}},
        {"optimiser": {"state": [], "param_groups": [3]}},
        {"net": {1: 2}},
        {"best": {"value": 2.5, "step": 4, "net": {}}},
        {"best": {"value": 2.5, "step": 4, "net": {"5.bias": torch.zeros(2)}}},
    ],
)
def test_parts_of_another_network_are_refused(saved, changes):
    rewrite(saved, lambda content: content.update(changes))
    with pytest.raises(ModelError, match="the network of tiny"):
        load(saved)


@dataclass(frozen=True)
class Settings(LoopSettings):
    noise: float = 0.1
    shares: tuple[float, ...] = ()


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("name", ["learning_rate", "clip_norm", "average", "noise", "shares"])
def test_every_number_of_the_settings_is_finite(name, value):
    with pytest.raises(UsageError, match=f"setting {name}: expected finite numbers"):
        make_settings(Settings, {name: [0.5, value] if name == "shares" else value}, "settings.json")


def test_a_whole_number_beyond_every_float_is_refused():
    with pytest.raises(InputError, match="learning_rate of type float; found a number beyond its range"):
        make_settings(Settings, {"learning_rate": 10**400}, "settings.json")


@pytest.mark.parametrize("seed", [-1, 2**63, 2**70])
def test_seeds_that_torch_does_not_take_are_refused(seed):
    with pytest.raises(UsageError, match=f"setting seed: expected from 0 to 9223372036854775807; found {seed}"):
        Settings(seed=seed)


def test_the_largest_seed_is_taken():
    torch.Generator().manual_seed(Settings(seed=2**63 - 1).seed + 1_000_003 * 10**9)


def test_what_was_left_of_a_shard_goes_once_nobody_can_be_at_it(tmp_path):
    old, young, other = (
        tmp_path / f".partial-{name}"
        for name in ("a-synthetic-5-00001.npz", "b-synthetic-5-00001.npz", "a-synthetic-5-00002.npz")
    )
    for path in (old, young, other):
        path.write_bytes(b"half")
        if path is not young:
            os.utime(path, (time.time() - 7200,) * 2)
    write_shard(tmp_path, 5, 1, 1)
    assert not old.exists() and young.exists() and other.exists()
    os.utime(young, (time.time() - 7200,) * 2)
    write_shard(tmp_path, 5, 1, 1)  # the shard is there already
    assert not young.exists()

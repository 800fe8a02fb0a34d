"""The training loop: a killed run goes on to the same bits, what goes wrong is said, nothing good is lost."""

import contextlib
import csv
import multiprocessing
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from CardiacValveLandmarksLib.errors import InputError, ModelError, UsageError  # noqa: E402
from CardiacValveLandmarksLib.training.checkpoint import RunState, load_checkpoint  # noqa: E402
from CardiacValveLandmarksLib.training.loop import DivergedError, _chunks, train  # noqa: E402
from CardiacValveLandmarksLib.training.recipes import computes_bfloat16  # noqa: E402
from CardiacValveLandmarksLib.training.settings import LoopSettings  # noqa: E402
from tiny_recipe import TinySettings, TrainingRecipe, train_in_child  # noqa: E402


def run(folder, **settings):
    """The weights a run in this process ends with."""
    recipe = TrainingRecipe(TinySettings(**settings), folder)
    return torch.load(train(recipe, folder), weights_only=True)


def test_a_run_leaves_torch_as_it_was(tmp_path):
    threads, tiny = torch.get_num_threads(), torch.tensor(1e-310, dtype=torch.float64)
    run(tmp_path / "one", steps=2, threads=threads + 1)
    assert torch.get_num_threads() == threads and tiny * 0.5 != 0
    torch.set_flush_denormal(True)
    try:
        run(tmp_path / "two", steps=2)
        assert tiny * 0.5 == 0
    finally:
        torch.set_flush_denormal(False)


@contextlib.contextmanager
def process(folder, **options):
    """The same run in a process of its own, started and then given with its reports; ends when it has ended."""
    context = multiprocessing.get_context("forkserver")  # imports torch once
    context.set_forkserver_preload(["torch", "torch._dynamo"])
    reports, theirs = context.Pipe(duplex=False)
    child = context.Process(target=train_in_child, args=(theirs, folder), kwargs=options)
    child.start()
    theirs.close()
    try:
        yield child, reports
    finally:
        child.join(60)
        child.kill()
    assert not child.is_alive()


def wait_for_the_end(pid):
    """Until a process that is not ours has ended; at most a minute."""
    status, until = Path(f"/proc/{pid}/status"), time.monotonic() + 60
    with contextlib.suppress(OSError):  # it ended while we looked
        while status.exists() and "State:\tZ" not in status.read_text():
            assert time.monotonic() < until, f"process {pid} goes on"
            time.sleep(0.2)


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def rows(path, *left_out):
    with path.open() as stream:
        return [{k: v for k, v in row.items() if k not in left_out} for row in csv.DictReader(stream)]


def test_a_killed_run_goes_on_to_the_same_bits(tmp_path):
    whole = run(tmp_path / "whole")
    killed = tmp_path / "killed"
    with process(killed, settings={"workers": 2, "pause": 0.02}) as (child, reports):
        # at whatever it is doing when the report of its 13th step is read
        while reports.recv() < 13:
            pass
        workers = [int(pid) for pid in Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()]
        child.kill()
    assert child.exitcode == -signal.SIGKILL
    assert not (killed / "weights.pt").exists()
    assert_same(run(killed), whole)
    assert len(workers) == 2
    for worker in workers:  # they end by themselves
        wait_for_the_end(worker)
    # the logs are those of one run too
    for name in ("log.csv", "validation.csv"):
        assert rows(killed / name, "seconds") == rows(tmp_path / "whole" / name, "seconds")


@pytest.mark.parametrize("writes", [1, 3])
def test_a_run_killed_while_it_writes_a_checkpoint(tmp_path, writes):
    whole = run(tmp_path / "whole")
    killed = tmp_path / "killed"
    with process(killed, settings={}, dies_in=writes) as (child, _):
        pass
    assert child.exitcode == -signal.SIGKILL
    assert list(killed.glob(".partial-*"))
    assert (killed / "checkpoint.pt").exists() == (writes > 1)
    assert_same(run(killed), whole)
    assert not list(killed.glob(".partial-*"))


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path):
    with process(tmp_path, settings={}) as (child, reports):
        while reports.recv() < 6:
            pass
        child.kill()
    kept = (tmp_path / "checkpoint.pt").read_bytes()
    # no file can be larger than the checkpoint but for 100 bytes, as on a disk that is full
    with process(tmp_path, settings={}, limit=len(kept) - 100) as (_, reports):
        while isinstance(said := reports.recv(), int):
            pass
    assert isinstance(said, InputError)
    assert "checkpoint.pt: expected a file that can be written" in str(said) and "too large" in str(said)
    assert (tmp_path / "checkpoint.pt").read_bytes() == kept
    assert not list(tmp_path.glob(".partial-*"))
    assert_same(run(tmp_path), run(tmp_path / "whole"))


def test_the_same_settings_give_the_same_bits_and_another_seed_others(tmp_path):
    first = run(tmp_path / "a", workers=2)
    assert_same(first, run(tmp_path / "b", workers=0, checkpoint_every=7, log_every=10))
    assert not torch.equal(first["5.bias"], run(tmp_path / "c", seed=1)["5.bias"])


def test_the_best_on_validation_is_kept(tmp_path):
    weights = run(tmp_path, learning_rate=1.0, steps=30)
    figures = [float(row["error_px"]) for row in rows(tmp_path / "validation.csv")]
    assert min(figures) < figures[-1]
    net = TrainingRecipe(TinySettings(), tmp_path).network()
    net.load_state_dict(weights)
    found = TrainingRecipe(TinySettings(), tmp_path).validate(net.eval().requires_grad_(False))["error_px"]
    assert found == pytest.approx(min(figures), rel=1e-5)


def test_images_that_are_not_finite_stop_the_run(tmp_path):
    with pytest.raises(DivergedError, match=r"at step 12 .*images hold values that are not finite"):
        run(tmp_path, spoil=4)
    assert [int(row["step"]) for row in rows(tmp_path / "log.csv")] == list(range(1, 13))
    recipe = TrainingRecipe(TinySettings(spoil=4), tmp_path)
    net = recipe.network()
    state = RunState(net, recipe.optimiser(net), recipe.network())
    assert load_checkpoint(tmp_path, recipe, state) and state.step == 10  # and the last checkpoint is good
    assert all(torch.isfinite(value).all() for value in net.state_dict().values())


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    with pytest.raises(DivergedError, match=r"loss is inf at step 0 \(term error\).*Learning rate 0.01"):
        run(tmp_path, steep=True)


def test_weights_that_are_not_finite_are_not_kept(tmp_path, monkeypatch):
    """The loss before the last step says nothing of the weights after it."""
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self: self.param_groups[0]["params"][0].data.fill_(torch.inf))
    with pytest.raises(DivergedError, match=r"weights.*not finite after step 1\b"):
        run(tmp_path, steps=1, validate_every=0)
    assert not (tmp_path / "weights.pt").exists() and not (tmp_path / "checkpoint.pt").exists()


def test_figures_that_are_not_finite_stop_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(TrainingRecipe, "always_finite", ("error_px",))
    monkeypatch.setattr(TrainingRecipe, "validate", lambda self, net: {"error_px": float("nan")})
    with pytest.raises(DivergedError, match=r"error_px is nan.*after step 4\b"):
        run(tmp_path)
    assert not (tmp_path / "weights.pt").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "seed 1, as now given; found 0"),
        ({"batch": 9}, "batch 9, as now given; found 8"),
        ({"steps": 25}, "steps 25"),
    ],
)
def test_a_run_does_not_go_on_with_other_settings(tmp_path, change, message):
    run(tmp_path, steps=24)
    with pytest.raises(ModelError, match=message):
        run(tmp_path, **change)


def test_a_setting_that_came_later_had_its_default(tmp_path):
    run(tmp_path, steps=24)
    checkpoint = tmp_path / "checkpoint.pt"
    content = torch.load(checkpoint, weights_only=True)
    del content["settings"]["clip_norm"]
    torch.save(content, checkpoint)
    run(tmp_path, steps=24)
    with pytest.raises(ModelError, match="clip_norm"):
        run(tmp_path, steps=24, clip_norm=3.0)


def spoilt(path, **changes):
    content = torch.load(path, weights_only=True)
    torch.save({**content, **changes}, path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"landmarks": ["mitral_anterior_2ch", "pulmonary"]}, r"of this landmark table.*number 2 is pulmonary"),
        ({"recipe": "other"}, "a checkpoint of tiny; found one of other"),
        ({"data": "ab12"}, "other data"),
        ({"version": 99}, "version"),
        ({"net": {}}, "the network of tiny"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, change, message):
    run(tmp_path, steps=5)
    spoilt(tmp_path / "checkpoint.pt", **change)
    with pytest.raises(ModelError, match=message):
        run(tmp_path, steps=5)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02c__builtin__\neval\n(S'1'\ntR."])
def test_a_damaged_checkpoint_is_refused(tmp_path, content):
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(ModelError, match="a checkpoint of a training run"):
        run(tmp_path)
    assert (tmp_path / "checkpoint.pt").read_bytes() == content


def test_progress_tells_the_time_left(tmp_path):
    seen = []
    recipe = TrainingRecipe(TinySettings(log_every=6), tmp_path)
    train(recipe, tmp_path, progress=seen.append)
    assert [p.step for p in seen] == [6, 12, 18, 24] and seen[-1].seconds_left == 0 < seen[0].seconds_left
    assert seen[1].validation["error_px"] > 0


def test_a_device_that_is_not_there_is_refused(tmp_path):
    device = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(UsageError, match=device):
        run(tmp_path, device=device)
    assert not (tmp_path / "checkpoint.pt").exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_run_on_the_gpu(tmp_path):
    run(tmp_path, device="cuda", bfloat16=True, workers=2)


def test_mixed_precision(tmp_path):
    exact, mixed = run(tmp_path / "a"), run(tmp_path / "b", bfloat16=True)
    assert mixed["5.weight"].dtype == torch.float32
    assert 0 < (exact["5.weight"] - mixed["5.weight"]).abs().max() < 0.2


@pytest.mark.parametrize(
    ("instructions", "given", "mixed"),
    [
        ({"avx2": True, "avx512_bf16": False}, None, False),  # ten times slower than float32 there
        ({"avx2": True, "avx512_bf16": True}, None, True),
        ({"bf16": True}, None, True),  # ARM
        ({}, True, True),
        ({"avx512_bf16": True}, False, False),
    ],
)
def test_mixed_precision_is_used_where_the_processor_has_it(tmp_path, monkeypatch, instructions, given, mixed):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions, raising=False)
    computes_bfloat16.cache_clear()
    try:
        assert TrainingRecipe(TinySettings(bfloat16=given), tmp_path).mixed is mixed
    finally:
        computes_bfloat16.cache_clear()


def test_tensorboard_is_written_or_asked_for(tmp_path):
    pytest.importorskip("tensorboard")
    run(tmp_path, tensorboard=True)
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_tensorboard_that_is_missing_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("CardiacValveLandmarksLib.training.runlog.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="tensorboard is not installed"):
        run(tmp_path, tensorboard=True)


def test_two_runs_do_not_work_in_one_folder(tmp_path):
    with process(tmp_path, settings={"pause": 0.02}) as (child, reports):
        reports.recv()
        with pytest.raises(InputError, match="no other run works in"):
            run(tmp_path)
        child.kill()
    run(tmp_path)  # what was killed holds nothing


def test_a_place_that_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError):
        run(tmp_path / "file")


def test_a_finished_run_is_not_trained_again(tmp_path):
    first = run(tmp_path)
    before = (tmp_path / "checkpoint.pt").stat().st_mtime_ns
    assert_same(run(tmp_path), first)
    assert (tmp_path / "checkpoint.pt").stat().st_mtime_ns == before


def test_runs_of_other_length_go_on_where_the_recipe_allows_it(tmp_path):
    class Longer(TinySettings):
        may_change = TinySettings.may_change | {"steps"}

    for steps in (10, 20):
        train(TrainingRecipe(replace(Longer(), steps=steps), tmp_path), tmp_path)
    assert len(rows(tmp_path / "log.csv")) == 20


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_the_data_arrives_as_it_is(tmp_path, workers):
    with pytest.raises(InputError, match=r"data.npz: expected numbers; found none. Buy some.") as error:
        run(tmp_path, lacking=True, workers=workers)
    assert error.value.path == "data.npz"


def test_the_chunks_of_a_batch_smaller_than_the_settings_say():
    """The last of an epoch: no part is empty, and their shares are those of the batch itself."""
    batch = {"images": torch.arange(5), "classes": torch.arange(5)}
    parts = list(_chunks(batch, LoopSettings(batch=8, chunk=2)))
    assert [part["images"].tolist() for part, _ in parts] == [[0, 1], [2, 3], [4]]
    assert [share for _, share in parts] == [0.4, 0.4, 0.2]
    assert list(_chunks(batch, LoopSettings(batch=8, chunk=5))) == [(batch, 1.0)]

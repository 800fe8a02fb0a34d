"""Many examinations: each done once, failures told, nothing of anybody's replaced."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from CardiacValveLandmarksLib.batch import Batch, find_examinations, run_job, signature_of
from CardiacValveLandmarksLib.cli import main
from CardiacValveLandmarksLib.errors import InputError, UsageError
from CardiacValveLandmarksLib.phantom.cines import synthetic_study
from CardiacValveLandmarksLib.phantom.dicom import write_dicom
from CardiacValveLandmarksLib.study_io import study_from_json

FAST = ("--no-tta", "--no-report", "--no-motion-check", "--formats", "csv")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for number, item in enumerate(synthetic_study(4100, kinds=("2CH", "4CH"), frames=8).items, start=1):
        write_dicom(item.cine, folder / item.kind, series_number=number, series_description=item.kind)
    return folder


@pytest.fixture
def root(images, tmp_path):
    """Two whole examinations, and one without images."""
    for name in ("p 1", "p2"):
        shutil.copytree(images, tmp_path / "root" / name)
    (tmp_path / "root" / "p3").mkdir()
    (tmp_path / "root" / "p3" / "notes.txt").write_text("none yet")
    (tmp_path / "root" / "list.txt").write_text("p 1, p2, p3")
    return tmp_path / "root"


def batch(root, *more):
    return main(["batch", str(root), "-o", str(root.parent / "out"), "--workers", "2", *FAST, *more])


def rows(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_what_is_done_is_not_done_again(root, images, capsys):
    out = root.parent / "out"
    assert batch(root) == 3  # p3
    said = capsys.readouterr()
    assert "p_1: done" in said.out and "p3: failed" in said.err and "1 of 3 examinations failed" in said.err
    table = {row["examination"]: row for row in rows(out / "batch.csv")}
    assert [table[name]["status"] for name in ("p_1", "p2", "p3")] == ["done", "done", "failed"]
    assert table["p_1"]["views"] == "2CH 4CH" and "no images" in table["p3"]["message"]
    study = study_from_json(out / "p_1" / "study.json")
    measures = {row["key"]: row for row in rows(out / "measures.csv") if row["examination"] == "p_1"}
    assert float(measures["mapse_septal"]["value"]) == study.measure("mapse_septal").value
    assert set(measures) == {measure.key for measure in study.measures}
    assert "series-1" in (out / "logs" / "p_1.log").read_text()
    # again: what failed alone, now that its images are there
    shutil.copytree(images, root / "p3", dirs_exist_ok=True)
    before = {path: path.stat().st_mtime_ns for path in (out / "p2").rglob("*")}
    assert batch(root) == 0
    said = capsys.readouterr().out
    assert "2 of 3 examinations were done before" in said and "[1/1] p3: done" in said
    assert {path: path.stat().st_mtime_ns for path in (out / "p2").rglob("*")} == before
    # what has new images is done anew
    (root / "p2" / "more.txt").write_text("one more")
    assert batch(root) == 0
    assert "[1/1] p2: done" in capsys.readouterr().out
    # other options are another batch
    assert batch(root, "--order", "3") == 2
    assert "order None, now 3" in capsys.readouterr().err
    assert batch(root, "--order", "3", "--overwrite") == 0
    assert "[3/3]" in capsys.readouterr().out


def later(path):
    """As if it was written a minute after the results."""
    path.write_text("an hour's work")
    then = time.time() + 60
    os.utime(path, (then, then))


def test_results_that_somebody_changed_are_not_replaced(root, capsys):
    out = root.parent / "out"
    shutil.rmtree(root / "p3")
    assert batch(root) == 0
    (root / "p2" / "more.txt").write_text("the images changed")
    later(out / "p2" / "corrected.mrb")
    for _ in range(2):  # nor at the second try
        assert batch(root) == 3
        assert "corrected.mrb" in capsys.readouterr().err
        assert (out / "p2" / "corrected.mrb").read_text() == "an hour's work"
    # nor what lies where no batch put it: before, after a failure, while it was under way
    shutil.copytree(root / "p2", root / "p4")
    (root / "p5").mkdir()
    for name in ("p4", "p5"):
        (out / name).mkdir()
        (out / name / "mine.txt").write_text("mine")
    for _ in range(2):
        assert batch(root) == 3
        assert capsys.readouterr().err.count("expected no such folder") == 2
    assert [[path.name for path in (out / name).iterdir()] for name in ("p4", "p5")] == [["mine.txt"]] * 2
    job = Batch(root, out, {**json.loads((out / "batch.json").read_text())["options"]})._job("p4", 1)
    status, message, _ = run_job(job)
    assert status == 3 and "expected no such folder" in message and (out / "p4" / "mine.txt").exists()
    # only where it is said
    assert batch(root, "--overwrite") == 3  # p5 has no images
    assert not (out / "p4" / "mine.txt").exists() and not (out / "p2" / "corrected.mrb").exists()


def test_an_interrupted_second_run_leaves_the_results_of_the_first(root, capsys):
    """What was begun anew and did not end: the old results lie there, and are still known as its own."""
    out = root.parent / "out"
    shutil.rmtree(root / "p3")
    assert batch(root) == 0
    content = json.loads((out / "batch.json").read_text())
    next(one for one in content["examinations"] if one["name"] == "p_1")["status"] = None
    (out / "batch.json").write_text(json.dumps(content))
    later(out / "p_1" / "corrected.mrb")
    assert batch(root) == 3
    assert (out / "p_1" / "corrected.mrb").exists()
    (out / "p_1" / "corrected.mrb").unlink()
    assert batch(root) == 0


def test_one_damaged_study_takes_no_table_along(root, capsys):
    out = root.parent / "out"
    shutil.rmtree(root / "p3")
    assert batch(root) == 0
    (out / "p2" / "study.json").write_text("{")
    assert batch(root) == 0  # nothing to do
    table = {row["examination"]: row for row in rows(out / "batch.csv")}
    assert table["p_1"]["status"] == "done" and table["p2"]["status"] == "failed"
    assert {row["examination"] for row in rows(out / "measures.csv")} == {"p_1"}


def test_a_killed_batch_goes_on(root, images):
    """Whatever the moment: what was under way is done anew, what was done stays."""
    for name in ("p3", "p4"):
        shutil.copytree(images, root / name, dirs_exist_ok=True)
    out = root.parent / "out"
    arguments = ["batch", str(root), "-o", str(out), "--workers", "1", *FAST]
    process = subprocess.Popen([sys.executable, "-m", "CardiacValveLandmarksLib", *arguments])
    until = time.monotonic() + 120
    while not list(out.glob("*/study.json")) and time.monotonic() < until:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130
    assert "not done" in (out / "batch.csv").read_text()
    records = {one["name"]: one for one in json.loads((out / "batch.json").read_text())["examinations"]}
    done = [name for name, one in records.items() if one["status"] == 0]
    assert len(done) < 4
    assert main(arguments) == 0
    after = {one["name"]: one for one in json.loads((out / "batch.json").read_text())["examinations"]}
    assert all(after[name] == records[name] for name in done) and all(one["status"] == 0 for one in after.values())


def test_workers_of_a_dask_scheduler(root):
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
    shutil.rmtree(root / "p3")
    out = root.parent / "out"
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    ) as cluster:
        arguments = ["batch", str(root), "-o", str(out), "--scheduler", cluster.scheduler_address, *FAST]
        assert main(arguments) == 0
    assert [row["status"] for row in rows(out / "batch.csv")] == ["done", "done"]
    with pytest.raises(InputError, match="a Dask scheduler that answers"):
        one = Batch(root, root.parent / "other", {})
        one.run(one.pending(), scheduler="tcp://127.0.0.1:9")


def test_wrong_calls(root, tmp_path, capsys):
    for arguments, words in (
        (("--workers", "0"), "at least 1"),
        (("--workers", "1", "--scheduler", "tcp://x:1"), "one of them"),
        (("--images", "x"), "one examination"),
        (("--rr", "20"), None),
    ):
        status = main(["batch", str(root), "-o", str(tmp_path / "o"), *FAST, *arguments])
        assert status == 2  # what `cvl study` refuses, each examination says
        if words:
            assert words in capsys.readouterr().err
    assert main(["batch", str(root / "list.txt"), "-o", str(tmp_path / "o")]) == 3
    assert main(["batch", str(root / "p3"), "-o", str(tmp_path / "o")]) == 3
    with pytest.raises(UsageError, match="lies in an examination"):
        Batch(root, root / "p2" / "out", {})
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "batch.json").write_text("{}")
    with pytest.raises(InputError, match="what a batch left"):
        Batch(root, tmp_path / "bad", {})


def test_names_are_those_of_the_folders_and_files_of_their_own(tmp_path):
    for name in ("Müller, A", "M ller, A", "logs", "batch.csv", ".hidden"):
        (tmp_path / name).mkdir()
    names = find_examinations(tmp_path)
    assert len(names) == 4 and not {"logs", "batch.csv"} & set(names) and all(Path(name).name == name for name in names)
    before = signature_of(tmp_path)
    (tmp_path / "logs" / "x").write_text("1")
    after = signature_of(tmp_path)
    assert after != before
    (tmp_path / "logs" / ".DS_Store").write_text("not read")
    assert signature_of(tmp_path) == after
    (tmp_path / "logs" / "round").symlink_to(tmp_path)
    (tmp_path / "logs" / "about").symlink_to(tmp_path)
    assert signature_of(tmp_path) == after

"""The command line as a user meets it: real files in, files and exit statuses out."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from CardiacValveLandmarksLib.cli import main
from CardiacValveLandmarksLib.nifti_writer import write_nifti
from CardiacValveLandmarksLib.phantom.cines import synthetic_study
from CardiacValveLandmarksLib.phantom.dicom import write_dicom

SUFFIXES = {".npy", ".csv", ".json", ".mrk.json", ".png", ".gif"}


@pytest.fixture(scope="module")
def cine():
    return synthetic_study(4001, kinds=("4CH",), frames=5).items[0].cine


@pytest.fixture(scope="module")
def series(cine, tmp_path_factory):
    folder = tmp_path_factory.mktemp("series") / "four_chamber"
    write_dicom(cine, folder, series_number=7, series_description="cine 4CH")
    return folder


def test_detect_writes_every_file(series, tmp_path, capsys):
    assert main(["detect", str(series), "-o", str(tmp_path / "out")]) == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    (stem,) = {name[: -len(".npy")] for name in names if name.endswith(".npy")}
    assert names == {stem + suffix for suffix in SUFFIXES}
    out = capsys.readouterr().out
    assert "4CH (recognised" in out and "synthetic heart only" in out and "ONNX Runtime" in out
    points = np.load(tmp_path / "out" / f"{stem}.npy")
    assert points.shape == (5, 2, 10) and points.dtype == np.float32
    from PIL import Image

    assert Image.open(tmp_path / "out" / f"{stem}.gif").n_frames == 5
    assert Image.open(tmp_path / "out" / f"{stem}.png").size[0] > 400


def test_results_are_not_overwritten_unless_told(series, tmp_path, capsys):
    arguments = ["detect", str(series), "-o", str(tmp_path), "--no-pictures", "--no-tta"]
    assert main(arguments) == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert main(arguments) == 3
    assert "--overwrite" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert main([*arguments, "--overwrite"]) == 0


def test_two_inputs_of_one_name_are_told_apart(cine, tmp_path):
    write_nifti(cine, tmp_path / "a" / "same.nii.gz")
    write_nifti(cine, tmp_path / "b" / "same.nii.gz")
    inputs = [str(tmp_path / letter / "same.nii.gz") for letter in "ab"]
    assert main(["detect", *inputs, "-o", str(tmp_path / "out"), "--no-pictures", "--no-tta"]) == 0
    assert len(list((tmp_path / "out").glob("*.npy"))) == 2


def test_a_stated_view_that_is_wrong_is_warned_and_recorded(series, tmp_path, capsys):
    assert main(["detect", str(series), "-o", str(tmp_path), "--view", "2CH", "--no-pictures"]) == 0
    assert "stated as 2CH" in capsys.readouterr().out
    (record,) = (json.loads(p.read_text()) for p in tmp_path.glob("*.json") if not p.name.endswith(".mrk.json"))
    assert any("stated as 2CH" in warning for warning in record["warnings"])


def text_folder(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("no images here")
    return tmp_path / "in"


def empty_folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def missing(tmp_path):
    return tmp_path / "nowhere"


def truncated(tmp_path):
    from CardiacValveLandmarksLib.phantom.cines import synthetic_study as make

    cine = make(1, kinds=("2CH",), frames=2, shape=(32, 32), spacing=6.0).items[0].cine
    for path in write_dicom(cine, tmp_path / "in", series_number=1, series_description="x"):
        path.write_bytes(path.read_bytes()[:900])
    return tmp_path / "in"


def one_frame(tmp_path):
    from CardiacValveLandmarksLib.phantom.cines import synthetic_study as make

    cine = make(1, kinds=("2CH",), frames=2, shape=(32, 32), spacing=6.0).items[0].cine
    write_dicom(cine, tmp_path / "in", series_number=1, series_description="x")[1].unlink()
    return tmp_path / "in"


@pytest.mark.parametrize("make", [text_folder, empty_folder, missing, truncated, one_frame])
def test_bad_input_says_what_and_writes_nothing(make, tmp_path, capsys):
    source = make(tmp_path)
    assert main(["detect", str(source), "-o", str(tmp_path / "out")]) == 3
    error = capsys.readouterr().err
    assert "expected" in error and "found" in error and str(tmp_path) in error
    assert not (tmp_path / "out").exists()


def test_unwritable_output_is_exit_3(series, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert main(["detect", str(series), "-o", str(tmp_path / "file" / "out"), "--no-tta"]) == 3
    assert "can be written" in capsys.readouterr().err


def test_a_full_disk_half_way_leaves_no_part_of_a_file(series, tmp_path, capsys, monkeypatch):
    """np.save runs out of space after some bytes: exit 3, nothing with the result's name, no partial file."""
    import errno

    def full(stream, array):
        stream.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "save", full)
    assert main(["detect", str(series), "-o", str(tmp_path), "--no-pictures", "--no-tta"]) == 3
    assert "space" in capsys.readouterr().err.lower()
    assert list(tmp_path.iterdir()) == []


def test_models_that_are_not_there_or_not_models_are_exit_4(series, tmp_path, capsys):
    assert main(["detect", str(series), "-o", str(tmp_path / "o"), "--model", "nothing-like-it"]) == 4
    wrong = tmp_path / "wrong.pt"
    wrong.write_bytes(b"not weights")
    assert main(["detect", str(series), "-o", str(tmp_path / "o"), "--model", str(wrong)]) == 4
    assert "wrong.pt" in capsys.readouterr().err


def test_a_pickle_with_code_is_refused_not_run(series, tmp_path, capsys):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    mark = tmp_path / "ran"

    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(mark),)

    torch.save({"net": Payload()}, tmp_path / "evil.pt")
    assert main(["detect", str(series), "-o", str(tmp_path / "o"), "--model", str(tmp_path / "evil.pt")]) == 4
    assert not mark.exists()
    assert "evil.pt" in capsys.readouterr().err


def test_usage_errors_are_exit_2(series, tmp_path):
    assert main(["detect", str(series)]) == 2
    assert main(["detect", str(series), "-o", str(tmp_path), "--view", "5CH"]) == 2
    assert main(["nonsense"]) == 2
    assert main(["detect", str(series), "-o", ""]) == 2  # not the working folder
    assert main(["detect", str(series), "--output="]) == 2
    assert main(["phantom", "-o", str(tmp_path), "--views", "9CH"]) == 2
    assert main(["detect", str(series), "-o", str(tmp_path / "x"), "--device", "cuda:9", "--engine", "onnx"]) == 2


def test_a_new_training_must_be_asked_for(tmp_path, capsys):
    """A mistyped folder is no run to go on with, and no reason for hours of another."""
    pytest.importorskip("torch", reason="torch is not installed")
    assert main(["train", "-o", str(tmp_path / "rum")]) == 2
    assert "--recipe" in capsys.readouterr().err and not (tmp_path / "rum").exists()


def test_an_error_is_said_once(series, tmp_path, capsys):
    assert main(["detect", str(series), "-o", str(tmp_path / "o"), "--model", "nonsense", "--no-pictures"]) == 4
    assert capsys.readouterr().err.count("nonsense") == 1
    assert main(["detect", str(series), str(series), "-o", str(tmp_path / "o"), "--model", "nonsense"]) == 4
    assert "2 of 2 cines failed" in capsys.readouterr().err


def test_one_cine_is_not_two_views(series, tmp_path, capsys):
    assert main(["study", "--2ch", str(series), "--4ch", str(series), "-o", str(tmp_path / "o"), "--no-report"]) == 2
    assert "two views" in capsys.readouterr().err


def test_parity_with_the_published_pipeline(real_data, tmp_path, monkeypatch):
    """`cvl detect --no-tta` with the parity weights against what the published pipeline returned."""
    pytest.importorskip("torch", reason="torch is not installed")
    monkeypatch.setenv("CVL_CACHE", str(tmp_path / "cache"))
    weights = tmp_path / "model.pt"
    subprocess.run([sys.executable, str(real_data / "parity" / "fill_weights.py"), str(weights)], check=True)
    expected = np.load(real_data / "parity" / "amrg_expected.npy")
    for engine in ("onnx", "torch"):
        out = tmp_path / engine
        arguments = ["detect", str(real_data / "amrg" / "AMRGAtlas_0031.nii.gz"), "-o", str(out), "--no-tta"]
        assert main([*arguments, "--model", str(weights), "--engine", engine, "--no-pictures"]) == 0
        (path,) = out.glob("*.npy")
        found = np.load(path)
        assert found.shape == expected.shape and found.dtype == np.float32
        assert np.abs(found - expected).max() <= 1e-2


def test_phantom_then_detect_as_a_user_would(tmp_path, capsys):
    assert main(["phantom", "-o", str(tmp_path / "p"), "--seed", "3", "--frames", "6", "--views", "2CH,SAX"]) == 0
    assert (tmp_path / "p" / "synthetic_2CH_truth.csv").exists()
    assert main(["detect", str(tmp_path / "p"), "-o", str(tmp_path / "o"), "--no-pictures"]) == 0
    out = capsys.readouterr().out
    assert "2CH (recognised" in out and "view not recognised" in out
    # a second study into the same folder would mix with the first
    assert main(["phantom", "-o", str(tmp_path / "p")]) == 3


def test_help_and_version_of_the_installed_command():
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "CardiacValveLandmarks")}
    for arguments in (["--version"], ["--help"], ["detect", "--help"]):
        done = subprocess.run(
            [sys.executable, "-m", "CardiacValveLandmarksLib", *arguments], capture_output=True, text=True,
            env=environment, check=False,
        )  # fmt: skip
        assert done.returncode == 0 and ("cvl" in done.stdout)


def test_onnx_detection_imports_no_torch(series, tmp_path):
    """The built-in model must run where torch is not installed, and start fast."""
    code = (
        "import sys; from CardiacValveLandmarksLib.cli import main; "
        f"status = main(['detect', {str(series)!r}, '-o', {str(tmp_path)!r}, '--no-tta', '--no-pictures']); "
        "sys.exit(status or ('torch' in sys.modules) or ('monai' in sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "CardiacValveLandmarks")}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM")
def test_a_command_that_is_told_to_end_removes_what_is_half_written(tmp_path):
    code = (
        "import os, signal, sys, types; from CardiacValveLandmarksLib import cli; from CardiacValveLandmarksLib.files "
        "import atomic_path\n"
        "def run(options):\n"
        f"    with atomic_path({str(tmp_path / 'whole')!r}) as half:\n"
        "        half.write_text('half'); os.kill(os.getpid(), signal.SIGTERM); signal.pause()\n"
        "options = types.SimpleNamespace(run=run, debug=False)\n"
        "cli.build_parser = lambda: types.SimpleNamespace(parse_args=lambda arguments: options)\n"
        "sys.exit(cli.main([]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "CardiacValveLandmarks")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 130 and "interrupted" in done.stderr, done.stderr
    assert not any(tmp_path.iterdir())


def test_demo_goes_from_a_synthetic_study_to_its_report(tmp_path, capsys, monkeypatch):
    """The README's second command, with fewer frames."""
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    from CardiacValveLandmarksLib.phantom import cines

    monkeypatch.setattr(cines, "synthetic_study", lambda seed: synthetic_study(seed, frames=8))
    assert main(["demo", "-o", str(tmp_path / "demo"), "--no-tta"]) == 0
    names = {path.name for path in (tmp_path / "demo" / "landmarks").iterdir()}
    assert names == {f"synthetic_{view}{suffix}" for view in ("2CH", "3CH", "4CH") for suffix in SUFFIXES}
    assert (tmp_path / "demo" / "study" / "report.html").stat().st_size > 100_000
    out = capsys.readouterr().out
    assert "MAPSE" in out and "RMS distance to the true one" in out
    assert main(["demo", "-o", str(tmp_path / "demo")]) == 3

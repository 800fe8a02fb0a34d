"""The files of one run: each cine's own, all or none, none left of a run before."""

import json
from pathlib import Path

import numpy as np
import pytest
from CardiacValveLandmarksLib.cli import detect as cli_detect
from CardiacValveLandmarksLib.cli import main
from CardiacValveLandmarksLib.cli.results import output_names, whole_results
from CardiacValveLandmarksLib.detection.files import read_landmarks
from CardiacValveLandmarksLib.errors import InputError
from CardiacValveLandmarksLib.files import take_places
from CardiacValveLandmarksLib.nifti_writer import write_nifti
from CardiacValveLandmarksLib.overlay import grey_levels
from CardiacValveLandmarksLib.phantom.cines import synthetic_study

FAST = ("--no-pictures", "--no-tta")


@pytest.fixture(scope="module")
def cine():
    return synthetic_study(4001, kinds=("4CH",), frames=5).items[0].cine


class Named:
    def __init__(self, name: str) -> None:
        self.name = name


def test_no_two_cines_write_the_same_file():
    def written(*names):
        found = output_names([Named(name) for name in names], cli_detect.SUFFIXES)
        files = [(name + suffix).lower() for name in found for suffix in cli_detect.SUFFIXES]
        assert len(set(files)) == len(files)
        return found

    assert written("a", "b") == ["a", "b"]
    assert written("x", "x_2", "x") == ["x", "x_2", "x_3"]
    assert written("A", "a") == ["A", "a_2"]
    assert written("a", "a.mrk") == ["a", "a.mrk_2"]


def test_a_result_states_the_name_of_its_files_and_the_input_it_is_of(cine, tmp_path, capsys):
    for letter in "ab":
        write_nifti(cine, tmp_path / letter / "same.nii.gz")
    inputs = [str(tmp_path / letter / "same.nii.gz") for letter in "ab"]
    assert main(["detect", *inputs, "-o", str(tmp_path / "out"), *FAST]) == 0
    for name in ("same", "same_2"):
        assert json.loads((tmp_path / "out" / f"{name}.json").read_text())["cine"]["name"] == name
    out = capsys.readouterr().out
    assert f"same is {inputs[0]}" in out and f"same_2 is {inputs[1]}" in out


def test_what_a_run_before_wrote_and_this_one_does_not_goes(cine, tmp_path):
    write_nifti(cine, tmp_path / "c.nii.gz")
    out = tmp_path / "out"
    arguments = ["detect", str(tmp_path / "c.nii.gz"), "-o", str(out), "--no-tta"]
    assert main(arguments) == 0
    (out / "c.txt").write_text("mine")
    assert main([*arguments, "--no-pictures", "--overwrite"]) == 0
    assert {path.name for path in out.iterdir()} == {"c.npy", "c.csv", "c.json", "c.mrk.json", "c.txt"}


def test_a_run_that_stops_half_way_changes_nothing(cine, tmp_path, monkeypatch):
    write_nifti(cine, tmp_path / "c.nii.gz")
    out = tmp_path / "out"
    assert main(["detect", str(tmp_path / "c.nii.gz"), "-o", str(out), "--no-tta"]) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def stopped(*arguments, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr("CardiacValveLandmarksLib.overlay.write_animation", stopped)
    assert main(["detect", str(tmp_path / "c.nii.gz"), "-o", str(out), "--overwrite"]) == 130
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_the_folder_is_made(tmp_path):
    with whole_results(tmp_path / "new" / "folder", "c", (".json",)) as staging:
        (staging / "c.json").write_text("now")
    assert (tmp_path / "new" / "folder" / "c.json").read_text() == "now"


def test_the_last_file_goes_first_and_comes_last(tmp_path):
    """However a process ends, the file that says the others are complete is never beside those of another run."""
    (tmp_path / "c.json").write_text("before")
    (tmp_path / "c.csv").mkdir()  # cannot be replaced
    with pytest.raises(InputError, match=r"c\.csv"), whole_results(tmp_path, "c", (".csv", ".json")) as staging:
        (staging / "c.csv").write_text("now")
        (staging / "c.json").write_text("now")
    assert (tmp_path / "c.json").read_text() == "before" and (tmp_path / "c.csv").is_dir()


def test_an_interruption_while_files_take_their_places_brings_all_back(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).write_text("old")
    staging = tmp_path / "staging"
    staging.mkdir()
    for name in ("a", "b"):
        (staging / name).write_text("new")
    real, moves = Path.replace, []

    def interrupted(self, target):
        moves.append(self)
        if len(moves) == 3:
            raise KeyboardInterrupt
        return real(self, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        take_places(staging, tmp_path, [Path("a"), Path("b")])
    assert [(tmp_path / name).read_text() for name in ("a", "b")] == ["old", "old"]


def test_a_cine_that_fails_does_not_stop_the_others(cine, tmp_path, capsys):
    write_nifti(cine.replace(frames=cine.frames - 5000), tmp_path / "below.nii.gz")
    write_nifti(cine, tmp_path / "good.nii.gz")
    inputs = [str(tmp_path / name) for name in ("below.nii.gz", "good.nii.gz")]
    assert main(["detect", *inputs, "-o", str(tmp_path / "out"), *FAST]) == 3
    assert (tmp_path / "out" / "good.json").exists() and not (tmp_path / "out" / "below.json").exists()
    assert "below" in capsys.readouterr().err


def test_a_stated_view_is_read_back_as_stated(cine, tmp_path):
    write_nifti(cine, tmp_path / "c.nii.gz")
    assert main(["detect", str(tmp_path / "c.nii.gz"), "-o", str(tmp_path / "o"), "--view", "4CH", *FAST]) == 0
    path = tmp_path / "o" / "c.json"
    assert np.isnan(read_landmarks(path).view_confidence)
    content = json.loads(path.read_text())
    for wrong in ("x", None, True):
        path.write_text(json.dumps({**content, "view_confidence": wrong}))
        with pytest.raises(InputError, match="view_confidence"):
            read_landmarks(path)


def test_saliency_says_what_the_detection_says(cine, tmp_path, capsys):
    pytest.importorskip("torch")
    write_nifti(cine, tmp_path / "c.nii.gz")
    assert main(["saliency", str(tmp_path / "c.nii.gz"), "-o", str(tmp_path / "o"), "--view", "2CH", "--no-tta"]) == 0
    out = capsys.readouterr().out
    assert "takes it for 4CH" in out and "synthetic heart only" in out


def test_pictures_of_images_below_zero_are_not_white():
    image = np.linspace(-900, -100, 100).reshape(10, 10)
    grey = grey_levels(image, image[None])
    assert grey.min() == 0 and 60 < np.median(grey) < 200
    positive = np.abs(image)
    assert np.array_equal(
        grey_levels(positive, positive[None]),
        np.clip(positive / np.percentile(positive, 99.5) * 255, 0, 255).astype("u1"),
    )


def test_phantom_refuses_a_view_twice_and_gives_truth_of_views_alone(tmp_path, capsys):
    assert main(["phantom", "-o", str(tmp_path / "p"), "--frames", "5", "--views", "4CH,4CH"]) == 2
    assert not (tmp_path / "p").exists() and "each once" in capsys.readouterr().err
    assert main(["phantom", "-o", str(tmp_path / "p"), "--frames", "5", "--views", "4CH,SAX"]) == 0
    assert [path.name for path in (tmp_path / "p").glob("*_truth.csv")] == ["synthetic_4CH_truth.csv"]

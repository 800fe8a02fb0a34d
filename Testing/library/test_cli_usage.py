"""Mistakes on the command line are told before any work, name the option, and end with status 2."""

import pytest
from CardiacValveLandmarksLib import cli

USAGE = 2


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("mesh-map s.json m.inp --set M -o o --rr -1", "--rr"),
        ("mesh-map s.json m.inp --set M -o o --rr inf", "--rr"),
        ("mesh-map s.json m.inp --set M -o o --farthest nan", "--farthest"),
        ("export s.json -o o --formats csv --rr inf", "--rr"),
        ("study -o o", "FOLDER"),
        ("study f -o o --nodes 2", "nodes"),
        ("study f -o o --spacing 0", "--spacing"),
        ("phantom -o o --views 4ch", "2CH, 3CH, 4CH"),
        ("phantom -o o --seed -1", "--seed"),
        ("demo -o o --seed -1", "--seed"),
        ("finetune a b -o o --held-out nan", "--held-out"),
        ("finetune a b -o o --held-out 1", "--held-out"),
        ("dataset a -o o.npz --test inf", "--test"),
        ("dataset a -o o.npz --test 7", "--test"),
        ("dataset a -o o.npz --seed -1", "--seed"),
        ("evaluate --predictions det", "--reference"),
        ("evaluate --reference r --predictions p --landmarks ²", "--landmarks"),
        ("saliency c -o o --frame=²", "--frame"),
        ("models register f --id A", "--id A"),
        ("models register f --id a --landmarks 1,99", "--landmarks"),
        ("models register f --id a --size 5", "--size"),
        ("models register f --id a --spacing -1", "--spacing"),
    ],
)
def test_a_value_out_of_range_is_a_usage_error(command, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(command.split()) == USAGE
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--set foo=1", "found foo"),
        ("--set steps=abc", "steps of type int"),
        ("--set warm_up=-1", "warm_up"),
        ("--dataset nope.npz", "--recipe"),
    ],
)
def test_settings_of_the_command_line_are_blamed_on_it(words, said, tmp_path, capsys):
    pytest.importorskip("torch", reason="torch is not installed")
    (tmp_path / "kept.json").write_text('{"seed": 1}')
    command = ["train", "-o", str(tmp_path / "run"), "--config", str(tmp_path / "kept.json"), *words.split()]
    assert cli.main(command) == USAGE
    told = capsys.readouterr().err
    assert said in told and "kept.json" not in told
    assert not (tmp_path / "run").exists()


def test_the_folder_of_a_study_is_not_the_study(tmp_path, capsys):
    assert cli.main(["export", str(tmp_path), "-o", str(tmp_path / "o"), "--formats", "csv"]) == 3
    assert "study.json" in capsys.readouterr().err

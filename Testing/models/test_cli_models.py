"""`cvl models` as a user runs it."""

import argparse
import shutil

import pytest
from CardiacValveLandmarksLib.cli import models as command
from CardiacValveLandmarksLib.errors import ModelError, UsageError
from CardiacValveLandmarksLib.models.catalogue import find_model, list_models


def cvl_models(*arguments) -> int:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    options = parser.parse_args(["models", *map(str, arguments)])
    return options.run(options)


def test_list_names_every_model_its_state_and_its_place(capsys):
    assert cvl_models("list") == 0
    text = capsys.readouterr().out
    for model in list_models():
        assert model.id in text and str(model.weights_path) in text
    assert "synthetic images only" in text


def test_register_use_verify_remove(published_weights, tmp_path, capsys):
    mine = tmp_path / "mine.pt"
    shutil.copy(published_weights, mine)
    assert cvl_models("register", mine, "--id", "mine", "--title", "My own") == 0
    assert "published-regressor" in capsys.readouterr().out
    assert cvl_models("list") == 0
    assert "My own" in capsys.readouterr().out
    assert cvl_models("verify", "mine") == 0
    mine.write_bytes(b"other")
    assert cvl_models("verify", "mine") == 4
    assert cvl_models("remove", "mine") == 0
    assert mine.exists()
    with pytest.raises(ModelError):
        cvl_models("verify", "mine")


def test_verify_of_what_is_missing_is_status_4(capsys):
    assert cvl_models("verify", "kcl-valve-landmarks") == 4
    assert "cvl models download" in capsys.readouterr().err


def test_verify_without_ids_looks_at_what_is_here(capsys):
    spec = find_model("kcl-valve-landmarks")
    spec.weights_path.parent.mkdir(parents=True)
    spec.weights_path.write_bytes(b"damaged")
    assert cvl_models("verify") == 4
    assert "kcl-valve-landmarks: NOT verified" in capsys.readouterr().out


def test_remove_all_empties_the_cache(cache, capsys):
    spec = find_model("kcl-valve-landmarks")
    kept = cache / "conversions" / f"{'0' * 64}-published-regressor-1.onnx"
    for path in (spec.weights_path, kept):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x")
    assert cvl_models("remove", "--all") == 0
    assert not [path for path in cache.rglob("*") if path.is_file()]


@pytest.mark.parametrize("arguments", [("download",), ("remove",), ("verify", "--all", "kcl-valve-landmarks")])
def test_usage_errors(arguments):
    with pytest.raises(UsageError):
        cvl_models(*arguments)


def test_unknown_id():
    with pytest.raises(ModelError, match="Known models"):
        cvl_models("download", "nothing")

"""The three files that describe the extension to Slicer say the same, and can be told where it is published."""

import json
import re
import runpy
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = runpy.run_path(str(ROOT / "Resources" / "set_repository.py"))


def described(root: Path) -> tuple[dict, dict, dict]:
    cmake = dict(re.findall(r'set\(EXTENSION_(\w+) "(.*?)"\)', (root / "CMakeLists.txt").read_text(encoding="utf-8")))
    lines = (root / "CardiacValveLandmarks.s4ext").read_text(encoding="utf-8").splitlines()
    older = dict([*line.split(maxsplit=1), ""][:2] for line in lines if line and not line.startswith("#"))
    newer = json.loads((root / "CardiacValveLandmarks.json").read_text(encoding="utf-8"))
    return cmake, older, newer


def agree(root: Path) -> None:
    cmake, older, newer = described(root)
    named = ("HOMEPAGE", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "DEPENDS")
    for ours, theirs in ((name, name.lower()) for name in named):
        assert cmake[ours] == older[theirs], theirs
    assert newer["scm_url"] == older["scmurl"] and newer["scm_revision"] == older["scmrevision"]
    assert newer["build_dependencies"] == older["depends"].split() and newer["category"] == older["category"]
    repository = newer["scm_url"].rsplit("/", 1)[1]
    assert "slicer" in repository.lower()  # else ExtensionsIndex refuses it (scripts/check_description_files.py)
    assert newer["build_subdirectory"] == older["build_subdirectory"]
    assert cmake["HOMEPAGE"] == newer["scm_url"].removesuffix(".git") + "#readme"
    assert len(SCRIPT["addresses"](root)) == 1


def test_they_agree_and_what_they_point_to_is_here():
    agree(ROOT)
    cmake, _, _ = described(ROOT)
    for key in ("ICONURL", "SCREENSHOTURLS"):
        assert (ROOT / cmake[key].split("/main/")[1]).is_file()


def test_the_address_is_written_into_all_of_them(tmp_path, capsys):
    for name in SCRIPT["FILES"]:
        shutil.copy(ROOT / name, tmp_path / name)
    assert SCRIPT["main"](["https://github.com/some-lab/Slicer-valves.git", "--branch", "stable"], tmp_path) == 0
    assert capsys.readouterr().out == "https://github.com/some-lab/Slicer-valves\n"
    agree(tmp_path)
    cmake, _, newer = described(tmp_path)
    assert cmake["ICONURL"].startswith("https://raw.githubusercontent.com/some-lab/Slicer-valves/stable/Resources/")
    assert newer["scm_url"] == "https://github.com/some-lab/Slicer-valves.git" and newer["scm_revision"] == "stable"
    assert "/OWNER/" not in "".join((tmp_path / name).read_text(encoding="utf-8") for name in SCRIPT["FILES"])


def test_a_repository_that_the_index_would_refuse(tmp_path, capsys):
    for name in SCRIPT["FILES"]:
        shutil.copy(ROOT / name, tmp_path / name)
    with pytest.raises(SystemExit):
        SCRIPT["main"](["https://github.com/some-lab/valves"], tmp_path)
    assert "slicer" in capsys.readouterr().err
    assert (tmp_path / SCRIPT["FILES"][0]).read_bytes() == (ROOT / SCRIPT["FILES"][0]).read_bytes()

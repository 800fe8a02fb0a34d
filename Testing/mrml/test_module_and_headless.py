"""The self-test that runs inside Slicer, the headless script, and the extension's description files."""

import json
import re
import subprocess
import sys
import unittest
from pathlib import Path

import pytest
import slicer

ROOT = Path(__file__).resolve().parents[2]
HEADLESS = ROOT / "CardiacValveLandmarks" / "CardiacValveLandmarksLib" / "headless.py"

#: what Slicer does with --python-script, on the test host: run the file, then say with which status it would end
AS_SLICER = """
import runpy, sys
sys.path[:0] = [{testing!r}, {library!r}]
import host
application = host.make_application()
# Slicer does not know the library: the script has to find it
sys.path.remove({library!r})
for name in [name for name in sys.modules if name.startswith("CardiacValveLandmarksLib")]:
    del sys.modules[name]
sys.argv = [{script!r}, *{arguments!r}]
runpy.run_path({script!r}, run_name="__main__")
print("EXIT", application.exit_status)
"""


def headless(*arguments, cwd):
    places = {"testing": str(ROOT / "Testing"), "library": str(HEADLESS.parents[1]), "script": str(HEADLESS)}
    code = AS_SLICER.format(**places, arguments=list(arguments))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=cwd, check=False
    )
    status = re.search(r"EXIT (\S+)", done.stdout)
    assert status, done.stderr[-2000:]
    return int(status[1]), done


def test_the_self_test_passes_and_runs_something(app):
    suite = unittest.defaultTestLoader.loadTestsFromName("CardiacValveLandmarksLib.mrml.selftest.SelfTest")
    result = unittest.TestResult()
    suite.run(result)
    assert result.testsRun == 6
    assert not result.failures and not result.errors, (result.failures, result.errors)


def test_headless_exits_with_the_status_of_cvl(tmp_path):
    status, _ = headless("--", "--version", cwd=tmp_path)
    assert status == 0
    status, done = headless("no-such-command", cwd=tmp_path)
    assert status == 2 and "invalid choice" in done.stderr
    status, done = headless("--", "detect", "missing.nii.gz", "-o", "out", cwd=tmp_path)
    assert status == 3 and "missing.nii.gz" in done.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_headless_exits_even_where_the_command_line_breaks(app, monkeypatch, capsys):
    import CardiacValveLandmarksLib.cli as cli
    from CardiacValveLandmarksLib import headless as script

    def broken(arguments):
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(cli, "main", broken)
    monkeypatch.setattr(sys, "argv", ["headless.py", "--", "study", "x"])
    script.main()
    assert slicer.app.exit_status == 1 and "broken on purpose" in capsys.readouterr().err


@pytest.mark.parametrize("file", ["CardiacValveLandmarks.s4ext", "CMakeLists.txt"])
def test_the_description_files_agree(file):
    catalogue = json.loads((ROOT / "CardiacValveLandmarks.json").read_text(encoding="utf-8"))
    text = (ROOT / file).read_text(encoding="utf-8")
    assert catalogue["category"] == "Cardiac" and catalogue["build_dependencies"] == ["PyTorch"]
    assert catalogue["scm_url"].removesuffix(".git") in text and "PyTorch" in text


def test_icons_are_128_pixels():
    from PIL import Image

    for folder in ("Resources", "CardiacValveLandmarks/Resources"):
        with Image.open(ROOT / folder / "Icons" / "CardiacValveLandmarks.png") as icon:
            assert icon.size == (128, 128)


def test_cmake_ships_every_file_of_the_module(tmp_path):
    """The module's CMakeLists.txt, run by CMake with Slicer's macros replaced by one that writes its lists down."""
    module = ROOT / "CardiacValveLandmarks"
    (tmp_path / "CMakeLists.txt").write_text(
        f"""cmake_minimum_required(VERSION 3.20.6)
project(Shipped NONE)
macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(M "WITH_GENERIC_TESTS" "NAME" "SCRIPTS;RESOURCES" ${{ARGN}})
  file(WRITE {(tmp_path / "shipped").as_posix()} "${{M_SCRIPTS}};${{M_RESOURCES}}")
endmacro()
add_subdirectory("{module.as_posix()}" module)
""",
        encoding="utf-8",
    )
    try:
        subprocess.run(["cmake", "-S", tmp_path, "-B", tmp_path / "build"], capture_output=True, check=True)
    except FileNotFoundError:
        pytest.skip("CMake is not installed")
    shipped = set((tmp_path / "shipped").read_text(encoding="utf-8").split(";"))
    tracked = subprocess.run(["git", "ls-files", "."], cwd=module, capture_output=True, text=True, check=True).stdout
    assert set(tracked.split()) - {"CMakeLists.txt"} <= shipped
    assert "CardiacValveLandmarks.py" in shipped

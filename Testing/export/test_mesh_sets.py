"""Sets of a user's mesh that are not what they seem, meshes that were mapped before, and disks that fill up."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from CardiacValveLandmarksLib.errors import InputError
from CardiacValveLandmarksLib.export import ExportOptions, Format, export_study, format_named
from CardiacValveLandmarksLib.export.mesh_files import prescribe
from CardiacValveLandmarksLib.export.meshes import open_mesh
from CardiacValveLandmarksLib.study_io import study_to_json
from user_meshes import RIM, write_feb, write_inp, write_msh, write_vtk

LIBRARY = Path(__file__).resolve().parents[2] / "CardiacValveLandmarks"


def edited(path, *changes):
    text = path.read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after, 1)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("*STEP", "*TRANSFORM, NSET=Rim, TYPE=C\n0, 0, 0, 0, 0, 1\n*STEP", r"TRANSFORM of set RIM"),
        ("*NODE\n", "*SYSTEM\n0, 0, 0, 1, 0, 0\n*NODE\n", r"\*SYSTEM in line"),
        ("*NODE\n", "*NODE, SYSTEM=C\n", r"system of its own"),
        ("*NSET, NSET=ALL\n", "*NSET, NSET=Rim\nELSEWHERE\n*NSET, NSET=ALL\n", r"'ELSEWHERE'.*nowhere"),
        ("*NSET, NSET=ALL\n", "*NSET, NSET=B\nC\n*NSET, NSET=Rim\nB\n*NSET, NSET=ALL\n", r"'C'.*nowhere"),
    ],
)
def test_decks_whose_nodes_are_not_what_the_set_says_are_refused(study, ventricle, tmp_path, before, after, message):
    deck = edited(write_inp(tmp_path / "d.inp", ventricle), (before, after))
    with pytest.raises(InputError, match=message):
        prescribe(study, deck, "rim", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_does_not_concern_the_set_is_no_matter(study, ventricle, tmp_path):
    changes = ("*STEP", "*TRANSFORM, NSET=FAR, TYPE=C\n0, 0, 0, 0, 0, 1\n*STEP"), ("*NODE\n", "*NODE, SYSTEM=R\n")
    far = ("*NSET, NSET=ALL\n", "*NSET, NSET=FAR\n1300\n*NSET, NSET=ODD\nELSEWHERE\n*NSET, NSET=ALL\n")
    report, _ = prescribe(study, edited(write_inp(tmp_path / "d.inp", ventricle), *changes, far), "rim", tmp_path / "o")
    assert report["nodes_prescribed"] == RIM


def test_a_step_over_two_lines_is_not_torn(study, ventricle, tmp_path):
    deck = edited(write_inp(tmp_path / "d.inp", ventricle), ("*STEP, NLGEOM, INC=1000\n", "*STEP, NLGEOM,\nINC=1000\n"))
    paths = prescribe(study, deck, "rim", tmp_path / "out")[1]
    text = next(path for path in paths if path.name == "d_mitral.inp").read_text()
    assert "amplitudes.inp\n*STEP, NLGEOM,\nINC=1000\n" in text


def test_fortran_exponents_are_numbers(tmp_path):
    deck = tmp_path / "d.inp"
    deck.write_text("*NODE, NSET=A\n1, 1.5D+01, -2.5d-1, \n2, 1e1\n")
    assert open_mesh(deck).nodes("A")[1].tolist() == [[15.0, -0.25, 0.0], [10.0, 0.0, 0.0]]


def test_decks_that_include_others_are_told_so(study, ventricle, tmp_path):
    deck = edited(write_inp(tmp_path / "d.inp", ventricle), ("*STEP", "*INCLUDE, INPUT=more.inp\n*STEP"))
    report, _ = prescribe(study, deck, "rim", tmp_path / "out")
    assert any("INCLUDE files are not copied" in remark for remark in report["remarks"])


@pytest.mark.parametrize("line", ["rim, 1, 3", '"RIM", 2', "1004, 1, 1, 0.5"])
def test_conditions_of_the_deck_on_the_same_nodes_are_remarked(study, ventricle, tmp_path, line):
    deck = write_inp(tmp_path / "heart.inp", ventricle)
    assert not any(
        "of the same nodes" in remark for remark in prescribe(study, deck, "rim", tmp_path / "a")[0]["remarks"]
    )
    deck.write_text(deck.read_text().replace("*STEP", f"*BOUNDARY\n{line}\n*STEP", 1))
    remarks = prescribe(study, deck, "rim", tmp_path / "b")[0]["remarks"]
    assert any("own *BOUNDARY acts on" in remark for remark in remarks)


def test_two_decks_of_like_names_have_amplitudes_of_their_own(study, ventricle, tmp_path):
    included = []
    for name, rr in (("LV rest", 800.0), ("LV_rest", 1000.0)):
        _, paths = prescribe(study, write_inp(tmp_path / f"{name}.inp", ventricle), "rim", tmp_path / "o", rr_ms=rr)
        deck = next(path for path in paths if path.name == f"{name}_mitral.inp").read_text()
        included.append(re.findall(r"INPUT=(\S+)", deck))
    assert len({file for files in included for file in files}) == 4
    assert all((tmp_path / "o" / file).is_file() for files in included for file in files)


def grouped(path, mesh, rim_groups, wall_groups, names):
    """A 4.1 mesh whose rim is two curves, in the physical groups given for each."""
    text = write_msh(path, mesh, "4.1").read_text()
    listed = f"$PhysicalNames\n{len(names)}\n" + "".join(f'{d} {g} "{n}"\n' for d, g, n in names)
    text = re.sub(r"\$PhysicalNames.*?\$End", lambda _: listed + "$End", text, flags=re.DOTALL)
    box = "-100 -100 -100 100 100 100"
    lines = [f"{k + 1} {box} {len(g)} {' '.join(map(str, g))} 0\n" for k, g in enumerate(rim_groups)]
    lines.append(f"1 {box} {len(wall_groups)} {' '.join(map(str, wall_groups))} 0\n")
    entities = "$Entities\n0 2 1 0\n" + "".join(lines)
    text = re.sub(r"\$Entities.*?\$End", lambda _: entities + "$End", text, flags=re.DOTALL)
    head, rest = text.split("$Elements\n")
    rows = rest.split("\n")
    total = int(rows[0].split()[1])
    half = RIM // 2
    blocks = [f"3 {total} 1 {total}", f"1 1 1 {half}", *rows[2 : 2 + half], f"1 2 1 {RIM - half}"]
    path.write_text(head + "$Elements\n" + "\n".join([*blocks, *rows[2 + half :]]))
    return path


NAMES = ((1, 5, "rim"), (1, 7, "edges"), (2, 6, "wall"))


@pytest.mark.parametrize("groups", [([5], [5]), ([5], [7, 5]), ([5, 7], [7, 5]), ([-5], [5])])
def test_a_rim_in_several_physical_groups_is_whole(study, ventricle, tmp_path, groups):
    pytest.importorskip("meshio", reason="meshio is not installed")
    report, _ = prescribe(study, grouped(tmp_path / "m.msh", ventricle, groups, [6], NAMES), "rim", tmp_path / "out")
    assert report["nodes_prescribed"] == RIM


def test_groups_that_cannot_be_told_are_refused(study, ventricle, tmp_path):
    pytest.importorskip("meshio", reason="meshio is not installed")
    same = ((1, 5, "rim"), (2, 6, "rim"))
    with pytest.raises(InputError, match="several called 'rim'"):
        open_mesh(grouped(tmp_path / "same.msh", ventricle, ([5], [5]), [6], same))
    with pytest.raises(InputError, match=r"elements that belong to none.*SaveAll"):
        open_mesh(grouped(tmp_path / "none.msh", ventricle, ([5], [5]), [], NAMES))
    once = prescribe(study, write_msh(tmp_path / "m.msh", ventricle, "4.1"), "rim", tmp_path / "out")[1]
    mapped = next(path for path in once if path.suffix == ".msh")
    with pytest.raises(InputError, match="this motion already"):
        prescribe(study, mapped, "rim", tmp_path / "again")
    other = prescribe(study, mapped, "rim", tmp_path / "other", valve="tricuspid", farthest_mm=200)[1]
    text = next(path for path in other if path.suffix == ".msh").read_text()
    assert '"CVL_MITRAL_displacement"' in text and '"CVL_TRICUSPID_displacement"' in text


@pytest.mark.parametrize("suffix", [".vtp", ".vtu"])
def test_a_vtk_mesh_mapped_again_has_the_new_motion_only(study, study_with, ventricle, tmp_path, suffix):
    pytest.importorskip("vtkmodules", reason="VTK is not installed")
    from CardiacValveLandmarksLib.export.motion import ring_motions

    first = prescribe(study, write_vtk(tmp_path / f"a{suffix}", ventricle), "rim", tmp_path / "one")[1]
    shorter = study_with(frames=dict.fromkeys(("2CH", "3CH", "4CH"), 25))
    mapped = next(path for path in first if path.suffix == suffix)
    second = prescribe(shorter, mapped, "rim", tmp_path / "two", farthest_mm=20)[1]
    text = next(path for path in second if path.suffix == suffix).read_text()
    steps = len(ring_motions(shorter)[0].times)
    assert len(re.findall(r'Name="CVL_MITRAL_displacement_\d+"', text)) == steps < len(ring_motions(study)[0].times)


def test_nodes_without_a_value_are_not_in_a_vtk_set(study, ventricle, tmp_path):
    pytest.importorskip("vtkmodules", reason="VTK is not installed")
    rim = np.where(np.arange(len(ventricle.points)) < RIM, 1.0, np.nan)
    mesh = write_vtk(tmp_path / "a.vtp", ventricle, rim)
    assert len(open_mesh(mesh).nodes("rim")[0]) == RIM


def test_febio_lists_with_comments_and_conditions_of_steps(study, ventricle, tmp_path):
    later = '<bc name="later" type="zero displacement" node_set="rim"/>'
    step = f'<Step><step id="1"><Boundary>{later}</Boundary></step></Step>'
    changes = ((f"1:{RIM}<", f"1:40,<!-- here -->41:{RIM}<"), ("</febio_spec>", step + "</febio_spec>"))
    report, _ = prescribe(study, edited(write_feb(tmp_path / "m.feb", ventricle), *changes), "rim", tmp_path / "out")
    assert report["nodes_prescribed"] == RIM
    assert any("'later'" in remark for remark in report["remarks"])
    with pytest.raises(InputError, match="numbers as ids"):
        prescribe(
            study,
            edited(write_feb(tmp_path / "b.feb", ventricle), ('controller id="7"', 'controller id="a"')),
            "rim",
            tmp_path / "b",
        )


LIMITED = """
import resource, sys
sys.path.insert(0, {library!r})
from pathlib import Path
from CardiacValveLandmarksLib.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
sys.exit(main({arguments!r}))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of file sizes")
@pytest.mark.parametrize("what", ["vtk", "vtkhdf", "csv", "mesh"])
def test_a_disk_that_fills_up_is_an_error_and_leaves_nothing(study, ventricle, tmp_path, what):
    needs = {"vtk": "vtkmodules", "mesh": "vtkmodules", "vtkhdf": "h5py"}.get(what, "json")
    pytest.importorskip(needs, reason=f"{needs} is not installed")
    study_to_json(study, tmp_path / "study.json")
    arguments = ["export", str(tmp_path / "study.json"), "-o", str(tmp_path / "out"), "--formats", what]
    if what == "mesh":
        mesh = write_vtk(tmp_path / "m.vtp", ventricle)
        arguments = ["mesh-map", str(tmp_path / "study.json"), str(mesh), "--set", "rim", "-o", str(tmp_path / "out")]
    code = LIMITED.format(library=str(LIBRARY), limit=3000, arguments=arguments)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert "error" in done.stderr and "Traceback" not in done.stderr
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_an_export_that_cannot_replace_one_file_leaves_all_of_the_earlier_one(study, tmp_path):
    target = tmp_path / "csv"
    export_study(study, tmp_path, [format_named("csv")])
    before = {path.name: path.read_bytes() for path in target.iterdir()}

    def write(study, folder, options):
        for name in before:
            (folder / name).write_text("new")
        (folder / "taken").write_text("new")

    (target / "taken").mkdir()
    (target / "taken" / "mine").write_text("mine")
    changed = Format("csv", "csv", write)
    with pytest.raises(InputError, match="taken"):
        export_study(study, tmp_path, [changed], ExportOptions(overwrite=True))
    assert {path.name: path.read_bytes() for path in target.iterdir() if path.is_file()} == before
    assert (target / "taken" / "mine").read_text() == "mine"
    assert json.loads((target / "about.json").read_text())["format"] == "csv"
    assert {path.name for path in target.iterdir()} == {*before, "taken"}

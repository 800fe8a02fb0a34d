"""The motion of a ring on other people's meshes."""

import json
import re
import shutil
import subprocess
from xml.etree import ElementTree

import numpy as np
import pytest
from CardiacValveLandmarksLib.errors import InputError, UsageError
from CardiacValveLandmarksLib.export.mesh_files import MeshPlace, prescribe
from CardiacValveLandmarksLib.export.mesh_map import map_ring
from hypothesis import given, settings
from hypothesis import strategies as st
from user_meshes import RIM, write_feb, write_inp, write_msh, write_vtk


def follow(points, displacement, truth):
    """Largest distance over the beat between prescribed nodes and the ring they lie on."""
    return np.linalg.norm(points + displacement - truth, axis=-1).max()


def test_nodes_follow_the_ring(ring, ventricle, truth):
    mapped = map_ring(ring, np.arange(RIM), ventricle.points[:RIM])
    assert follow(mapped.points, mapped.displacement, truth) <= 0.1
    assert not mapped.displacement[[0, -1]].any()


@settings(max_examples=25, deadline=None)
@given(place=st.floats(0, 31.999), offset=st.floats(0, 3), turn=st.floats(0, 2 * np.pi))
def test_any_point_at_the_ring_gets_the_motion_of_its_nearest_place(ring, place, offset, turn):
    k, part = int(place), place - int(place)
    ends = ring.positions[:, [k, (k + 1) % 32]]
    on_ring = (1 - part) * ends[:, 0] + part * ends[:, 1]
    along = ends[0, 1] - ends[0, 0]
    across = np.cross(along, [0.3, 0.8, 0.5])
    across /= np.linalg.norm(across)
    other = np.cross(along / np.linalg.norm(along), across)
    point = on_ring[0] + offset * (np.cos(turn) * across + np.sin(turn) * other)
    mapped = map_ring(ring, np.array([7]), point[None])
    # never further than the place it was put off from, and moving as the ring does there or nearer
    assert mapped.distance[0] <= offset + 1e-9
    speed = np.linalg.norm(np.roll(ring.displacement, -1, 1) - ring.displacement, axis=-1).max()
    apart = np.abs((mapped.place[0] - place + 16) % 32 - 16)
    difference = np.linalg.norm(mapped.displacement[:, 0] - (on_ring - on_ring[0]), axis=-1).max()
    assert difference <= speed * apart + 1e-9


def test_nearest_node_is_coarser_but_near(ring, ventricle, truth):
    mapped = map_ring(ring, np.arange(RIM), ventricle.points[:RIM], method="node")
    assert 0.05 < follow(mapped.points, mapped.displacement, truth) < 1.0


def test_report_of_distances(ring, ventricle):
    points = ventricle.points[:RIM].copy()
    points[5] += [0, 0, 3.0]
    report = map_ring(ring, np.arange(RIM) + 10, points).report()
    assert report["farthest_node"] == 15
    assert 1.0 < report["distance_mm"]["largest"] <= 3.05
    assert report["distance_mm"]["median"] < 0.15
    half = map_ring(ring, np.arange(RIM // 2), ventricle.points[: RIM // 2]).report()
    assert half["largest_stretch_of_ring_without_node_deg"] == pytest.approx(180, abs=10)


def test_nodes_beyond_within_stay_free(ring, ventricle):
    mapped = map_ring(ring, np.arange(len(ventricle.points)), ventricle.points, within_mm=1.0)
    assert sorted(mapped.ids) == list(range(RIM))
    assert len(mapped.left_free) == len(ventricle.points) - RIM


def test_a_mesh_elsewhere_is_refused_with_advice(ring, ventricle):
    with pytest.raises(InputError, match=r"mm away.*--space"):
        map_ring(ring, np.arange(RIM), ventricle.points[:RIM] * [-1, -1, 1])


@pytest.mark.skipif(shutil.which("ccx") is None, reason="CalculiX (ccx) is not installed")
def test_inp_is_solved_by_calculix_with_the_rim_on_the_ring(study, ring, ventricle, truth, tmp_path):
    deck = write_inp(tmp_path / "heart.inp", ventricle)
    report, _ = prescribe(study, deck, "rim", tmp_path / "out")
    assert report["nodes_prescribed"] == RIM
    done = subprocess.run(["ccx", "heart_mitral"], cwd=tmp_path / "out", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-1500:]
    solved, time = {}, None
    for line in (tmp_path / "out" / "heart_mitral.dat").read_text().splitlines():
        if "displacements" in line:
            time = float(line.split()[-1])
            solved[time] = []
        elif line.strip():
            solved[time].append([float(x) for x in line.split()[1:]])
    assert len(solved) == len(ring.times) - 1
    for time, moved in solved.items():
        k = int(np.argmin(abs(ring.times - time)))
        assert follow(ventricle.points[:RIM], np.array(moved), truth[k]) <= 0.1


def test_inp_keeps_every_line_of_the_user(study, ventricle, tmp_path):
    deck = write_inp(tmp_path / "heart.inp", ventricle)
    prescribe(study, deck, "RIM", tmp_path / "out")
    lines = (tmp_path / "out" / "heart_mitral.inp").read_text().splitlines()
    added = [line for line in lines if line.startswith("*INCLUDE")]
    assert added == ["*INCLUDE, INPUT=heart_mitral_amplitudes.inp", "*INCLUDE, INPUT=heart_mitral_boundary.inp"]
    assert [line for line in lines if line not in added] == deck.read_text().splitlines()
    assert (
        lines.index(added[0])
        < lines.index("*STEP, NLGEOM, INC=1000")
        < lines.index(added[1])
        < lines.index("*END STEP")
    )


def test_inp_may_hold_any_letters_and_long_keywords(study, ventricle, tmp_path):
    """Byte 0x85, which is part of a letter in UTF-8, ends no line; a keyword line goes on after a comma."""
    deck = write_inp(tmp_path / "żebro.inp", ventricle)
    text = deck.read_bytes().replace(b"*NODE\n", "*NODE\n** von Åsa, Сердце\n".encode(), 1)
    text = text.replace(b"*NSET, NSET=Rim, GENERATE\n", b"*NSET,\nNSET=Rim,\nGENERATE\n")
    deck.write_bytes(text)
    prescribe(study, deck, "RIM", tmp_path / "out")
    written = (tmp_path / "out" / "żebro_mitral.inp").read_bytes()
    kept = [line for line in written.split(b"\n") if not line.startswith(b"*INCLUDE")]
    assert kept == text.split(b"\n")
    named = [line.split(b"=")[1].decode("ascii") for line in written.split(b"\n") if line.startswith(b"*INCLUDE")]
    assert len(named) == 2 and all((tmp_path / "out" / name).is_file() for name in named)


@pytest.mark.parametrize("change", [{"rr_ms": -1.0}, {"rr_ms": np.inf}, {"farthest_mm": np.nan}, {"within_mm": 0.0}])
def test_times_and_distances_out_of_range_are_usage_errors(study, ventricle, tmp_path, change):
    deck = write_inp(tmp_path / "heart.inp", ventricle)
    with pytest.raises(UsageError):
        prescribe(study, deck, "RIM", tmp_path / "out", **change)
    assert not (tmp_path / "out").exists()


def test_feb_gets_conditions_and_keeps_the_rest(study, ring, ventricle, truth, tmp_path):
    model = write_feb(tmp_path / "heart.feb", ventricle)
    report, _ = prescribe(study, model, "rim", tmp_path / "out")
    assert any("fix" in remark for remark in report["remarks"])
    root = ElementTree.parse(tmp_path / "out" / "heart_mitral.feb").getroot()
    assert root.find("Material/material/E").text == "1"
    assert len(root.findall("Mesh/Elements/elem")) == len(ventricle.triangles)
    curves = {c.get("id"): c for c in root.findall("LoadData/load_controller")}
    assert min(int(i) for i in curves) == 7
    moved = np.zeros((len(ring.times), RIM, 3))
    for bc in root.findall("Boundary/bc"):
        if bc.get("type") == "prescribed displacement":
            node = int(root.find(f"Mesh/NodeSet[@name='{bc.get('node_set')}']").text) - 1
            points = [p.text.split(",") for p in curves[bc.find("value").get("lc")].iter("pt")]
            moved[:, node, "xyz".index(bc.find("dof").text)] = [float(u) for _, u in points]
    assert follow(ventricle.points[:RIM], moved, truth) <= 0.1


def test_feb_that_has_the_motion_already_is_refused(study, ventricle, tmp_path):
    prescribe(study, write_feb(tmp_path / "heart.feb", ventricle), "rim", tmp_path)
    with pytest.raises(InputError, match="already"):
        prescribe(study, tmp_path / "heart_mitral.feb", "rim", tmp_path)


@pytest.mark.parametrize("kind", ["name", "include"])
def test_inp_that_has_the_motion_already_is_refused(study, ventricle, tmp_path, kind):
    """Its amplitudes would be defined twice; the motion of another valve may be added."""
    prescribe(study, write_inp(tmp_path / "heart.inp", ventricle), "rim", tmp_path)
    deck = tmp_path / "heart_mitral.inp"
    if kind == "name":  # put into the deck itself
        text = "".join(
            (tmp_path / line.partition("INPUT=")[2].strip()).read_text() if line.startswith("*INCLUDE") else line
            for line in deck.read_text().splitlines(keepends=True)
        )
        deck.write_text(text)
    with pytest.raises(InputError, match="this motion already"):
        prescribe(study, deck, "rim", tmp_path / "again")
    assert prescribe(study, deck, "rim", tmp_path / "other", valve="tricuspid", farthest_mm=1e3)


def test_a_given_rr_is_the_one_that_the_report_states(study, ventricle, tmp_path):
    report, _ = prescribe(study, write_inp(tmp_path / "heart.inp", ventricle), "rim", tmp_path, rr_ms=700)
    assert report["study"]["rr_ms"] == 700 and "given by the user" in report["study"]["rr_meaning"]


def test_an_output_folder_that_cannot_be_is_an_input_error(study, ventricle, tmp_path):
    deck = write_inp(tmp_path / "heart.inp", ventricle)
    with pytest.raises(InputError, match=r"heart\.inp"):
        prescribe(study, deck, "rim", deck / "below")


@pytest.mark.parametrize("suffix", [".vtp", ".vtu"])
@pytest.mark.parametrize("set_name", ["rim", "patch=3"])
def test_vtk_meshes(study, ventricle, truth, tmp_path, suffix, set_name):
    pytest.importorskip("vtkmodules", reason="VTK is not installed")
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkIOXML import vtkXMLPolyDataReader, vtkXMLUnstructuredGridReader

    write_vtk(tmp_path / f"heart{suffix}", ventricle)
    within = 1.0 if "=" in set_name else None
    report, _ = prescribe(study, tmp_path / f"heart{suffix}", set_name, tmp_path / "out", within_mm=within)
    assert report["nodes_prescribed"] == RIM
    reader = vtkXMLPolyDataReader() if suffix == ".vtp" else vtkXMLUnstructuredGridReader()
    reader.SetFileName(str(tmp_path / "out" / f"heart_mitral{suffix}"))
    reader.Update()
    fields = reader.GetOutput().GetPointData()
    moved = np.array(
        [vtk_to_numpy(fields.GetArray(f"CVL_MITRAL_displacement_{k:03d}"))[:RIM] for k in range(len(truth))]
    )
    assert follow(ventricle.points[:RIM], moved, truth) <= 0.1
    assert fields.GetArray("rim") is not None
    assert vtk_to_numpy(fields.GetArray("CVL_MITRAL_prescribed")).sum() == RIM
    times = vtk_to_numpy(reader.GetOutput().GetFieldData().GetArray("CVL_MITRAL_time_s"))
    assert times[-1] == pytest.approx(study.rr_ms / 1000)


@pytest.mark.parametrize("version", ["2.2", "4.1"])
def test_gmsh(study, ring, ventricle, truth, tmp_path, version):
    pytest.importorskip("meshio", reason="meshio is not installed")
    mesh = write_msh(tmp_path / "heart.msh", ventricle, version)
    report, _ = prescribe(study, mesh, "rim", tmp_path / "out")
    assert report["nodes_prescribed"] == RIM
    text = (tmp_path / "out" / "heart_mitral.msh").read_text()
    assert text.startswith(mesh.read_text())
    sections = [s.split("$EndNodeData")[0].splitlines()[1:] for s in text.split("$NodeData")[1:]]
    steps = [s for s in sections if s[1] == '"CVL_MITRAL_displacement"']
    assert [float(s[3]) for s in steps] == ring.times.tolist()
    assert [int(s[5]) for s in steps] == list(range(len(steps)))
    for k, section in enumerate(steps):
        rows = np.array([line.split() for line in section[8:]], float)
        nodes = rows[:, 0].astype(int) - 1001
        assert sorted(nodes) == list(range(RIM))
        assert follow(ventricle.points[nodes], rows[:, 1:], truth[k][nodes]) <= 0.1


@pytest.mark.parametrize("version", ["2.2", "4.1"])
def test_gmsh_numbers_that_would_fill_the_memory_are_refused(study, ventricle, tmp_path, version):
    """meshio keeps a table as long as the largest number."""
    pytest.importorskip("meshio", reason="meshio is not installed")
    mesh = write_msh(tmp_path / "heart.msh", ventricle, version)
    mesh.write_text(re.sub(r"\b1001\b", "2000000001", mesh.read_text()))
    with pytest.raises(InputError, match="Renumber"):
        prescribe(study, mesh, "rim", tmp_path / "out")


def test_mesh_in_metres_and_ras(study, ring, ventricle, truth, tmp_path):
    flipped = np.array([-1.0, -1.0, 1.0])
    deck = write_inp(tmp_path / "heart.inp", ventricle, ventricle.points * flipped / 1000)
    prescribe(study, deck, "Rim", tmp_path / "out", place=MeshPlace("RAS", 1000.0))
    text = (tmp_path / "out" / "heart_mitral_amplitudes.inp").read_text()
    first = text[text.index("NAME=CVL_MITRAL_1001_1,") :].split("*")[0].splitlines()[1:]
    moved = np.array(", ".join(first).split(","), float).reshape(-1, 2)[:, 1]
    expected = (truth[:, 0] - truth[0, 0])[:, 0] * -1 / 1000
    np.testing.assert_allclose(moved, expected, atol=1e-4)


def test_a_set_that_is_not_there_lists_those_that_are(study, ventricle, tmp_path):
    deck = write_inp(tmp_path / "heart.inp", ventricle)
    with pytest.raises(InputError, match=r"'valve'.*Rim, ALL"):
        prescribe(study, deck, "valve", tmp_path / "out")
    model = write_feb(tmp_path / "heart.feb", ventricle)
    with pytest.raises(InputError, match=r"'valve'.*all, rim"):
        prescribe(study, model, "valve", tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.feb", "<febio_spec version='2.5'/>", "version 4.0"),
        ("m.feb", "<febio_spec", "XML"),
        ("m.inp", "*NODE\n1, a, b, c\n", "line 2"),
        ("m.inp", "*PART, NAME=x\n*NODE\n1,0,0,0\n", "parts"),
        ("m.inp", "*HEADING\nnothing\n", r"\*NODE"),
        ("m.msh", "$MeshFormat\nrubbish\n", "Gmsh"),
        ("m.vtu", "rubbish", "VTK"),
    ],
)
def test_bad_meshes_are_input_errors(study, tmp_path, name, content, message):
    if name.endswith(".msh"):
        pytest.importorskip("meshio")
    if name.endswith(".vtu"):
        pytest.importorskip("vtkmodules")
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        prescribe(study, tmp_path / name, "rim", tmp_path / "out")


def test_unknown_kind_and_missing_file(study, tmp_path):
    with pytest.raises(UsageError, match=r"\.inp"):
        prescribe(study, tmp_path / "heart.stl", "rim", tmp_path)
    with pytest.raises(InputError, match="nothing there"):
        prescribe(study, tmp_path / "heart.inp", "rim", tmp_path)


def test_nothing_is_overwritten_unasked(study, ventricle, tmp_path):
    deck = write_inp(tmp_path / "heart.inp", ventricle)
    prescribe(study, deck, "rim", tmp_path / "out")
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    with pytest.raises(InputError, match="--overwrite"):
        prescribe(study, deck, "rim", tmp_path / "out", method="node")
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before
    prescribe(study, deck, "rim", tmp_path / "out", method="node", overwrite=True)
    assert json.loads((tmp_path / "out" / "heart_mitral.json").read_text())["method"] == "node"


def test_a_ring_that_was_refused_is_said_with_its_reason(one_view, ventricle, tmp_path):
    deck = write_inp(tmp_path / "heart.inp", ventricle)
    with pytest.raises(InputError, match=r"mitral ring.*points"):
        prescribe(one_view, deck, "rim", tmp_path / "out")

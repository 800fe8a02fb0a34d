"""The decks: FEBio against our schema and its own numbers, Abaqus solved by CalculiX."""

import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import CardiacValveLandmarksLib
import numpy as np
import pytest
from CardiacValveLandmarksLib.export import export_study, format_named
from CardiacValveLandmarksLib.export.motion import ring_motions
from febio_rules import problems

SCHEMA = Path(CardiacValveLandmarksLib.__file__).parent / "resources" / "febio.xsd"


def solve(deck: Path) -> dict[float, np.ndarray]:
    """time -> (N, 3) displacements that CalculiX prints for the deck's node set."""
    done = subprocess.run(["ccx", deck.stem], cwd=deck.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "*ERROR" not in done.stdout, done.stdout[-2000:]
    found: dict[float, list] = {}
    time = None
    for line in deck.with_suffix(".dat").read_text().splitlines():
        if "displacements" in line:
            time = float(line.split()[-1])
            found[time] = []
        elif line.strip():
            found[time].append([float(word) for word in line.split()[1:]])
    return {time: np.array(rows) for time, rows in found.items()}


@pytest.fixture(scope="module")
def folder(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("decks")
    export_study(study, folder, [format_named("febio"), format_named("abaqus")])
    return folder


@pytest.mark.skipif(shutil.which("ccx") is None, reason="CalculiX (ccx) is not installed")
@pytest.mark.parametrize("valve", ["mitral", "tricuspid", "aortic"])
def test_calculix_solves_the_deck(study, folder, valve):
    motion = next(m for m in ring_motions(study) if m.valve == valve)
    solved = solve(folder / "abaqus" / f"{valve}.inp")
    assert len(solved) == len(study.phases)
    worst = 0.0
    for time, displacement in solved.items():
        k = int(np.argmin(abs(motion.times - time)))
        assert abs(motion.times[k] - time) < 1e-5
        worst = max(worst, abs(displacement - motion.displacement[k]).max())
    assert worst <= 1e-4


@pytest.mark.skipif(shutil.which("ccx") is None, reason="CalculiX (ccx) is not installed")
def test_the_fragments_work_in_another_deck(study, folder, tmp_path):
    motion = next(m for m in ring_motions(study) if m.valve == "mitral")
    for name in ("mitral_amplitudes.inp", "mitral_boundary.inp"):
        shutil.copy(folder / "abaqus" / name, tmp_path / name)
    own = (folder / "abaqus" / "mitral.inp").read_text()
    head = own[: own.index("*AMPLITUDE")].replace("*NODE, NSET=MITRAL", "*NODE")
    deck = (
        f"{head}*INCLUDE, INPUT=mitral_amplitudes.inp\n*STEP, NLGEOM, INC=1000\n*STATIC, DIRECT\n"
        f"{motion.step!r}, {float(motion.times[-1])!r}\n*INCLUDE, INPUT=mitral_boundary.inp\n"
        "*NODE PRINT, NSET=MITRAL\nU\n*END STEP\n"
    )
    (tmp_path / "users.inp").write_text(deck)
    solved = solve(tmp_path / "users.inp")
    time = max(solved, key=lambda t: abs(solved[t]).max())
    k = int(np.argmin(abs(motion.times - time)))
    np.testing.assert_allclose(solved[time], motion.displacement[k], atol=1e-4)


def test_febio_validates_against_our_schema(folder):
    etree = pytest.importorskip("lxml.etree", reason="lxml is not installed")
    schema = etree.XMLSchema(etree.parse(str(SCHEMA)))
    decks = sorted((folder / "febio").glob("*.feb"))
    assert len(decks) == 6
    for deck in decks:
        schema.assertValid(etree.parse(str(deck)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('type="line2"', 'type="truss2"'),
        ('type="linear-truss"', 'type="elastic-truss"'),
        ('node_set="mitral_node_2"', 'node_set="mitral_node_1"'),
        ('lc="5"', 'lc="5000"'),
        ("<extend>REPEAT</extend>", "<extend>REPEAT</extend><extend>REPEAT</extend>"),
        ("<dof>y</dof>", "<dof>w</dof>"),
    ],
)
def test_the_schema_refuses_what_febio_would(folder, old, new):
    etree = pytest.importorskip("lxml.etree", reason="lxml is not installed")
    schema = etree.XMLSchema(etree.parse(str(SCHEMA)))
    text = (folder / "febio" / "mitral.feb").read_text()
    assert old in text
    assert not schema.validate(etree.fromstring(text.replace(old, new, 1).encode()))


def test_febio_s_own_rules_are_kept(folder):
    for deck in sorted((folder / "febio").glob("*.feb")):
        alone = not deck.stem.endswith("_include")
        assert problems(ElementTree.parse(deck).getroot(), alone) == [], deck


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('<load_controller id="2"', '<load_controller id="7"', "not numbered"),
        ('lc="5"', 'lc="4"', "load controller 5 is not used"),
        ("<cross_sectional_area>1<", "<cross_sectional_area>0<", "cross-sectional area"),
        ('>5</NodeSet>', '>6</NodeSet>', "of node 6 is prescribed 2 times"),
        ("<pt>0.0,0.0</pt>", "<pt>0.0,0.5</pt>", "not closed"),
        ("<time_steps>", "<time_steps>1", "the analysis takes"),
        (">1,2</elem>", ">3,2</elem>", "node 1 belongs to no element"),
    ],
)  # fmt: skip
def test_the_rules_notice_what_febio_would(folder, old, new, words):
    text = (folder / "febio" / "mitral.feb").read_text()
    assert old in text
    if "elem" in old:
        text = text.replace("32,1</elem>", "32,2</elem>")
    found = problems(ElementTree.fromstring(text.replace(old, new, 1).encode()))
    assert any(words in problem for problem in found)


def test_febio_curves_are_the_motion(study, folder):
    motion = next(m for m in ring_motions(study) if m.valve == "mitral")
    root = ElementTree.parse(folder / "febio" / "mitral.feb").getroot()
    nodes = np.array([[float(x) for x in n.text.split(",")] for n in root.find("Mesh/Nodes")])
    assert np.array_equal(nodes, motion.reference)
    sets = {s.get("name"): int(s.text) for s in root.findall("Mesh/NodeSet")}
    curves = {c.get("id"): c for c in root.findall("LoadData/load_controller")}
    seen = np.zeros((len(nodes), 3), bool)
    for bc in root.findall("Boundary/bc"):
        node, axis = sets[bc.get("node_set")] - 1, "xyz".index(bc.find("dof").text)
        points = np.array(
            [[float(x) for x in p.text.split(",")] for p in curves[bc.find("value").get("lc")].iter("pt")]
        )
        assert np.array_equal(points[:, 0], motion.times)
        assert np.array_equal(points[:, 1], motion.displacement[:, node, axis])
        assert points[0, 1] == points[-1, 1] == 0
        seen[node, axis] = True
    assert seen.all()
    steps = int(root.find("Control/time_steps").text) * float(root.find("Control/step_size").text)
    assert steps == pytest.approx(motion.times[-1], rel=1e-12)
    ends = [tuple(map(int, e.text.split(","))) for e in root.find("Mesh/Elements")]
    assert ends[-1] == (len(nodes), 1)

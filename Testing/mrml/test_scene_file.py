"""The format mrb: a study as a scene, written beside whatever scene is open, or with no application at all."""

import os
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import slicer
from CardiacValveLandmarksLib.errors import InputError
from CardiacValveLandmarksLib.export import ExportOptions, export_study, format_named
from CardiacValveLandmarksLib.landmarks import Provenance
from CardiacValveLandmarksLib.mrml.cine_nodes import sequence_from_cine
from CardiacValveLandmarksLib.mrml.logic import StudyLogic
from CardiacValveLandmarksLib.phantom.cines import synthetic_study
from CardiacValveLandmarksLib.phantom.dicom import write_dicom
from CardiacValveLandmarksLib.study import StudySettings
from CardiacValveLandmarksLib.study_io import study_from_json
from CardiacValveLandmarksLib.study_run import read_examination, run_study
from synthetic import Result

WHO = "Jane_Doe"
MRB = format_named("mrb")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The folder of the scans, that of a whole run, and the heart. One point was placed by hand, one carried over."""
    scans, out = tmp_path_factory.mktemp(WHO), tmp_path_factory.mktemp("out")
    heart = synthetic_study(3, frames=8, shape=(64, 64), spacing=4.0)
    for number, item in enumerate(heart.items):
        folder = scans / str(number)
        write_dicom(item.cine, folder, series_number=number, series_description=item.kind, patient_id=WHO)
    truth = {float(number): item.truth for number, item in enumerate(heart.items)}

    def detector(cine):
        found = truth[cine.attributes["series_number"]]
        provenance = found.provenance.copy()
        provenance[4, np.flatnonzero(found.present[4])[0]] = Provenance.MANUAL
        provenance[5, np.flatnonzero(found.present[5])[0]] = Provenance.PROPAGATED
        return Result(found.replace(provenance=provenance), found.view, 1.0, ())

    examination = read_examination(scans, {}, False)
    run_study(examination, out, detector, settings=StudySettings(motion_check=False, samples=20), formats=[MRB])
    return scans, out, heart


def nodes(class_name):
    return slicer.util.getNodesByClass(class_name)


def test_the_scene_reopens_complete(app, ran):
    _, out, heart = ran
    study = study_from_json(out / "study.json")
    slicer.util.loadScene(str(out / "mrb" / "study.mrb"), {"clear": True})
    logic = StudyLogic(lambda cine, **options: None)
    logic.open(logic.studies()[0])
    assert logic.views() == ["2CH", "3CH", "4CH"] and logic.messages == []
    for item in heart.items:
        correction = logic.correction(item.kind)
        assert np.array_equal(correction.current.positions, item.truth.positions, equal_nan=True)
        assert (correction.current.provenance == Provenance.MANUAL).sum() == 1
        shown = item.cine.frames.astype(np.float32)
        assert np.corrcoef(logic.cine(item.kind).frames.ravel(), shown.ravel())[0, 1] > 0.999
    # the rings play: the sequences logic steps their browser as it does in Slicer
    curves = {curve.GetName(): curve for curve in nodes("vtkMRMLMarkupsClosedCurveNode")}
    assert set(curves) == {"mitral ring", "tricuspid ring (assumed shape)", "aortic ring (assumed shape)"}
    sequences = app.logics["Sequences"]
    browser = sequences.GetFirstBrowserNodeForProxyNode(curves["mitral ring"])
    assert browser.GetNumberOfItems() == len(study.phases)
    browser.SetPlaybackRateFps(1000.0)
    browser.SetPlaybackItemSkippingEnabled(False)
    browser.SetPlaybackActive(True)
    before = browser.GetSelectedItemNumber()
    for _ in range(500):
        sequences.UpdateAllProxyNodes()
        if browser.GetSelectedItemNumber() != before:
            break
        time.sleep(0.002)
    browser.SetPlaybackActive(False)
    assert browser.GetSelectedItemNumber() != before
    browser.SetSelectedItemNumber(7)
    seen = slicer.util.arrayFromMarkupsControlPoints(curves["mitral ring"], world=True)
    assert seen == pytest.approx(study.annulus("mitral").nodes[7] * [-1, -1, 1], abs=1e-6)
    tables = {node.GetName(): node.GetTable() for node in nodes("vtkMRMLTableNode")}
    assert tables["Valve measures"].GetNumberOfRows() == len(study.measures)
    assert tables["Valve curves"].GetNumberOfRows() == len(study.phases)
    (chart,) = nodes("vtkMRMLPlotChartNode")
    series = [chart.GetNthPlotSeriesNode(i) for i in range(chart.GetNumberOfPlotSeriesNodes())]
    assert len(series) == sum(curve.key.startswith("excursion_") for curve in study.curves)
    for one in series:
        assert one.GetTableNode().GetTable().GetColumnByName(one.GetYColumnName()) is not None
    logic.cleanup()


def test_what_is_exported_from_slicer_can_be_worked_on(app, ran, tmp_path):
    """Predictions, decisions and what was carried over: as in a scene that Slicer saved."""
    heart = ran[2]
    item = heart.items[2]
    slicer.mrmlScene.Clear(0)
    logic = StudyLogic(lambda cine, *_, **__: Result(item.truth, item.kind, 1.0, ()))
    logic.detect({item.kind: sequence_from_cine(item.cine)})
    logic.setPosition(item.kind, 3, 5, logic.landmarks(item.kind)[0][3, 4] + [0, 2.0, -1.0], spread=2)
    logic.setAbsent(item.kind, 6, 9)
    known = logic.correction(item.kind)
    logic.export(tmp_path, ["mrb"], StudySettings(motion_check=False, samples=10))
    logic.cleanup()
    slicer.util.loadScene(str(tmp_path / "mrb" / "study.mrb"), {"clear": True})
    again = StudyLogic(lambda cine, **options: None)
    again.open(again.studies()[0])
    found = again.correction(item.kind)
    assert (found.decisions == known.decisions).all() and (found.spreads == known.spreads).all()
    assert np.allclose(found.prediction.positions, known.prediction.positions, atol=1e-9, equal_nan=True)
    assert (found.current.provenance == known.current.provenance).all()
    assert (found.current.provenance == Provenance.PROPAGATED).any()
    again.cleanup()


def test_nobodys_name_is_in_it(ran):
    with zipfile.ZipFile(ran[1] / "mrb" / "study.mrb") as bundle:
        for name in bundle.namelist():
            assert WHO not in name
            assert WHO.encode() not in bundle.read(name), name


def test_the_open_scene_is_left_alone(app, ran, tmp_path):
    scans, out, _ = ran
    mine = app.scene.AddNewNodeByClass("vtkMRMLTextNode", "mine")
    before = app.scene.GetNumberOfNodes()
    export_study(study_from_json(out / "study.json"), tmp_path, [MRB], ExportOptions(images=scans))
    assert app.scene.GetNumberOfNodes() == before
    assert slicer.mrmlScene is app.scene and app.scene.IsNodePresent(mine)
    assert {p.name for p in (tmp_path / "mrb").iterdir()} == {"study.mrb", "about.json"}


def test_it_is_written_where_there_is_no_application(ran, tmp_path):
    scans, out, _ = ran
    library = Path(sys.modules["CardiacValveLandmarksLib"].__file__).parents[1]
    command = [sys.executable, "-m", "CardiacValveLandmarksLib", "export", out / "study.json", "-o", tmp_path]
    environment = {**os.environ, "PYTHONPATH": str(library)}
    done = subprocess.run([*command, "--formats", "mrb", "--images", scans], env=environment, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    with zipfile.ZipFile(tmp_path / "mrb" / "study.mrb") as bundle:
        assert sum(name.endswith(".seq.nrrd") for name in bundle.namelist()) == 3


def test_without_images_or_with_others_it_says_so(ran, tmp_path):
    scans, out, _ = ran
    study = study_from_json(out / "study.json")
    with pytest.raises(InputError, match="--images"):
        export_study(study, tmp_path, [MRB])
    with pytest.raises(InputError, match=r"images of the study's 3CH.*none that fit"):
        export_study(study, tmp_path, [MRB], ExportOptions(images=scans / "0"))
    assert not any(tmp_path.iterdir())


def test_what_is_missing_is_named():
    absent = replace(MRB, modules=("slicer.no_such_module",))
    assert 'pip install ".[slicer]"' in absent.missing(ExportOptions())
    assert replace(MRB, modules=("no_such_package.util",)).missing(ExportOptions())
    assert not MRB.missing(ExportOptions())

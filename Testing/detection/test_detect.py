"""Detection with the built-in model on synthetic cines, whose truth is known."""

import json
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from CardiacValveLandmarksLib.detection import Cancelled, detect
from CardiacValveLandmarksLib.detection.files import read_landmarks, to_json, write_csv, write_json, write_markups
from CardiacValveLandmarksLib.detection.heart_window import middle_of_heart
from CardiacValveLandmarksLib.errors import InputError, ModelError, UsageError
from CardiacValveLandmarksLib.landmarks import VIEWS, Provenance, in_view
from CardiacValveLandmarksLib.models.sampling import Window
from CardiacValveLandmarksLib.models.spec import RESOURCES
from CardiacValveLandmarksLib.phantom.cines import synthetic_study
from CardiacValveLandmarksLib.phantom.render import Patient

FRAMES = 6


@pytest.fixture(scope="module")
def study():
    return synthetic_study(4001, frames=FRAMES)


@pytest.fixture(scope="module")
def results(study):
    return {item.kind: detect(item.cine) for item in study.items}


@pytest.mark.parametrize("view", VIEWS)
def test_view_presence_and_positions(study, results, view):
    item, result = study.item(view), results[view]
    assert result.view == view and result.view_confidence >= 0.5
    shown = [landmark.index for landmark in in_view(view)]
    assert result.landmarks.present[:, shown].all()
    assert not np.delete(result.landmarks.present, shown, axis=1).any()
    errors = np.linalg.norm(result.landmarks.positions - item.truth.positions, axis=-1) * item.cine.spacing[0]
    assert np.nanmedian(errors) < 2.5
    assert np.nanmax(errors) < 12
    assert any("synthetic heart only" in warning for warning in result.warnings)


def test_the_window_holds_a_long_heart_from_atrium_to_apex():
    """Centred on the valves it would have the apex at its border, where a network sees nothing (seen on a real 4CH)."""
    patient = Patient.sample(np.random.default_rng(12))
    patient = replace(patient, anatomy=patient.anatomy.replace(lv_length=112.0))
    item = synthetic_study(4007, kinds=("4CH",), frames=4, patient=patient, shape=(256, 256)).items[0]
    result = detect(item.cine, view="4CH")
    step = 1.45 / item.cine.spacing
    window = Window(item.cine.shape, result.settings["window_centre"], step, result.settings["window_size"])
    places = window.positions(item.truth.positions).reshape(-1, 2)
    places = places[np.isfinite(places[:, 0])]
    near, far = places.min(0), np.array(window.size) - 1 - places.max(0)
    assert min(near.min(), far.min()) > 15
    np.testing.assert_allclose(near, far, atol=12)
    assert result.landmarks.present[:, 10].all()


def test_a_maximum_far_from_the_heart_does_not_move_the_window():
    """On a real 4CH the whole image had a tricuspid point in a corner in two of three frames."""
    heart = np.array([[114.0, 105], [100, 132], [122, 102], [144, 86], [174, 144]])
    places, weights = np.repeat(heart[None], 3, axis=0), np.full((3, 5), 0.7)
    np.testing.assert_allclose(middle_of_heart(places, weights, np.array([120, 120])), [137, 115])
    places[[0, 2], 3] = [35, 238]  # and not between the corner and the heart
    np.testing.assert_allclose(middle_of_heart(places, weights, np.array([120, 120])), [137, 123])
    places[0, 0], weights[0, 0] = [10, 10], 0  # not seen
    np.testing.assert_allclose(middle_of_heart(places, weights, np.array([120, 120])), [137, 123])
    assert middle_of_heart(places, 0 * weights, np.array([120, 120])) is None


def test_a_heart_far_from_the_middle_of_a_large_image_is_found(study, results):
    cine, found = study.item("4CH").cine, results["4CH"]
    added = np.array([260, 60])  # 390 and 90 mm of nothing on one side
    frames = np.pad(cine.frames, ((0, 0), (added[0], 0), (added[1], 0)))
    corner = cine.geometry.to_patient(-added)
    geometry = type(cine.geometry)(corner, cine.geometry.axis0, cine.geometry.axis1, cine.geometry.thickness)
    again = detect(cine.replace(frames=frames, geometry=geometry))
    assert again.view == "4CH"
    gaps = np.linalg.norm(again.landmarks.positions - added - found.landmarks.positions, axis=-1) * cine.spacing[0]
    assert np.nanmax(gaps) < 2.0
    assert (again.landmarks.present == found.landmarks.present).all()


@pytest.mark.parametrize("view", VIEWS)
def test_handedness_does_not_matter(view):
    """The mirrored image of the same plane gives the same points in the patient."""
    plain = synthetic_study(4002, kinds=(view,), frames=3, mirror=False).items[0]
    mirrored = plain.cine.replace(
        frames=plain.cine.frames[:, :, ::-1],
        geometry=type(plain.cine.geometry)(
            plain.cine.geometry.to_patient([0, plain.cine.shape[1] - 1]),
            plain.cine.geometry.axis0,
            -plain.cine.geometry.axis1,
            plain.cine.geometry.thickness,
        ),
    )
    first, second = detect(plain.cine, view=view), detect(mirrored, view=view)
    assert first.settings["mirrored"] != second.settings["mirrored"]
    a = plain.cine.geometry.to_patient(first.landmarks.positions)
    b = mirrored.geometry.to_patient(second.landmarks.positions)
    np.testing.assert_allclose(a, b, atol=0.5)


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("transposed", [False, True])
def test_how_an_image_is_stored_does_not_matter(study, results, turns, transposed):
    """Turned, mirrored or transposed with its geometry: the same points in the patient."""
    cine = study.item("4CH").cine
    g, (rows, columns) = cine.geometry, cine.shape
    corners = {
        1: (g.to_patient([0, columns - 1]), -g.axis1, g.axis0),
        3: (g.to_patient([rows - 1, 0]), g.axis1, -g.axis0),
    }
    origin, axis0, axis1 = corners.get(turns, (g.to_patient([rows - 1, columns - 1]), -g.axis0, -g.axis1))
    frames = np.rot90(cine.frames, turns, axes=(1, 2))
    if transposed:
        frames, axis0, axis1 = frames.transpose(0, 2, 1), axis1, axis0
    geometry = type(g)(origin, axis0, axis1, g.thickness)
    stored = cine.replace(frames=np.ascontiguousarray(frames), geometry=geometry, spacing=geometry.spacing)
    found = geometry.to_patient(detect(stored).landmarks.positions)
    np.testing.assert_allclose(found, g.to_patient(results["4CH"].landmarks.positions), atol=0.01)


@pytest.mark.parametrize("number", [2, 11])
def test_what_lies_beyond_the_edge_is_not_put_on_it(study, number):
    """Cut off 4 mm before the landmark, on whichever side that takes away least, the image still shows the wall."""
    item = study.item("2CH")
    places = item.truth.positions[:, number - 1]
    beyond = 4.0 / item.cine.spacing
    low, high = np.floor(places.min(0) - beyond).astype(int), np.ceil(places.max(0) + beyond).astype(int)
    cuts = [(axis, slice(None, low[axis])) for axis in (0, 1)] + [(axis, slice(high[axis], None)) for axis in (0, 1)]
    kept = [len(range(*cut.indices(item.cine.shape[axis]))) / item.cine.shape[axis] for axis, cut in cuts]
    axis, cut = cuts[int(np.argmax(kept))]
    part = (slice(None), cut) if axis == 0 else (slice(None), slice(None), cut)
    result = detect(item.cine.replace(frames=item.cine.frames[part], geometry=None), view="2CH", tta=False)
    found = result.landmarks.positions
    edge = 1.45 / item.cine.spacing
    inside = (found >= edge) & (found <= np.array(item.cine.frames[part].shape[1:]) - 1 - edge)
    assert inside[result.landmarks.present].all()
    assert not result.landmarks.present[:, number - 1].any()


def test_a_stated_view_that_is_not_recognised_makes_every_point_doubtful(study):
    item = study.item("4CH")
    found, wrong = detect(item.cine, view="4CH", tta=False), detect(item.cine, view="2CH", tta=False)
    assert found.landmarks.confidence[found.landmarks.present].mean() > 0.8
    assert wrong.landmarks.present.any() and wrong.landmarks.confidence[wrong.landmarks.present].max() < 0.5


def test_an_image_below_zero_is_refused_as_such(study):
    """Not as another view: its intensities were shifted."""
    cine = study.item("2CH").cine
    with pytest.raises(InputError, match="brighter than 0"):
        detect(cine.replace(frames=cine.frames - cine.frames.max()))


@pytest.mark.parametrize("kind", ["SAX", "RV2CH"])
def test_other_planes_are_refused(kind):
    result = detect(synthetic_study(4003, kinds=(kind,), frames=3).items[0].cine)
    assert result.view is None
    assert not result.landmarks.present.any()
    assert any("does not look like" in warning for warning in result.warnings)


def test_a_wrong_statement_of_the_view_is_said(study):
    result = detect(study.item("4CH").cine, view="2CH")
    assert result.view == "2CH"
    assert any("stated as 2CH" in warning for warning in result.warnings)
    assert result.settings["view_stated"] == "2CH"


def test_without_orientation_both_sides_are_tried_and_said(study):
    item = study.item("4CH")
    bare = item.cine.replace(geometry=None, spacing=item.cine.spacing)
    result = detect(bare)
    assert result.view == "4CH"
    assert any("both were tried" in warning for warning in result.warnings)
    errors = np.linalg.norm(result.landmarks.positions - item.truth.positions, axis=-1) * item.cine.spacing[0]
    assert np.nanmedian(errors) < 3


def test_without_spacing_the_assumption_is_said(study):
    item = study.item("4CH")
    result = detect(item.cine.replace(geometry=None, spacing=None))
    assert result.view == "4CH"
    assert any("no pixel spacing" in warning for warning in result.warnings)
    assert result.settings["spacing_mm"][0] in (1.25, 1.5, 1.8)


def test_a_heart_away_from_the_centre_is_found(study):
    item = study.item("4CH")
    shift = 60
    frames = np.zeros((FRAMES, item.cine.shape[0] + shift, item.cine.shape[1] + shift), np.float32)
    frames[:, shift:, shift:] = item.cine.frames
    geometry = item.cine.geometry
    moved = item.cine.replace(
        frames=frames,
        geometry=type(geometry)(geometry.to_patient([-shift, -shift]), geometry.axis0, geometry.axis1, 6.0),
    )
    result = detect(moved)
    errors = np.linalg.norm(result.landmarks.positions - shift - item.truth.positions, axis=-1)
    assert np.nanmedian(errors * item.cine.spacing[0]) < 3


def test_progress_runs_to_the_end_and_cancel_stops(study):
    cine, calls = study.item("2CH").cine, []
    detect(cine, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1][0] == calls[-1][1] == FRAMES * 4
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    with pytest.raises(Cancelled):
        detect(cine, cancel=lambda: True)


def test_published_form_puts_absent_landmarks_at_zero(results):
    array = results["2CH"].published_form()
    assert array.shape == (FRAMES, 2, 10) and array.dtype == np.float32
    assert (array[:, :, 2:] == 0).all() and (array[:, :, :2] > 0).all()


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
def test_both_engines_agree(study):
    cine = study.item("3CH").cine
    onnx, torch = detect(cine, engine="onnx"), detect(cine, engine="torch")
    assert "ONNX" in onnx.engine and "torch" in torch.engine
    np.testing.assert_allclose(onnx.landmarks.positions, torch.landmarks.positions, atol=1e-2)


def test_usage_and_missing_models_are_told(study):
    cine = study.item("2CH").cine
    with pytest.raises(UsageError, match="5CH"):
        detect(cine, view="5CH")
    with pytest.raises(ModelError, match="no-such-model"):
        detect(cine, model="no-such-model")


def test_json_follows_its_schema_and_comes_back_exactly(study, results, tmp_path):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((RESOURCES / "detection.schema.json").read_text())
    for item in study.items:
        result = results[item.kind]
        path = tmp_path / f"{item.kind}.json"
        write_json(item.cine, result, path)
        content = json.loads(path.read_text())
        jsonschema.Draft202012Validator(schema).validate(content)
        again = read_landmarks(path)
        np.testing.assert_array_equal(again.positions, result.landmarks.positions)
        np.testing.assert_array_equal(again.confidence, result.landmarks.confidence)
        np.testing.assert_array_equal(again.provenance, result.landmarks.provenance)
        assert again.view == result.view
    bare = study.items[0].cine.replace(geometry=None)
    jsonschema.Draft202012Validator(schema).validate(to_json(bare, results["2CH"]))


def test_json_of_another_version_is_refused(tmp_path):
    path = tmp_path / "old.json"
    path.write_text('{"schema_version": "9.0"}')
    with pytest.raises(InputError, match=r"version 9\.0"):
        read_landmarks(path)
    path.write_text("[]")
    with pytest.raises(InputError, match="version none"):
        read_landmarks(path)


def test_csv_has_pixels_and_patient_positions(study, results, tmp_path):
    item = study.item("4CH")
    write_csv(item.cine, results["4CH"].landmarks, tmp_path / "a.csv")
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert len(lines) == 1 + FRAMES * len(in_view("4CH"))
    first = dict(zip(lines[0].split(","), lines[1].split(","), strict=True))
    pixel = [float(first["row_px"]), float(first["column_px"])]
    patient = [float(first[f"{axis}_lps_mm"]) for axis in "xyz"]
    np.testing.assert_allclose(item.cine.geometry.to_patient(pixel), patient, atol=1e-3)
    assert first["provenance"] == "auto"


def test_markups_open_in_slicer_at_the_right_place(study, results, tmp_path):
    pytest.importorskip("slicer", reason="slicer-core is not installed")
    from host import make_application
    from slicer import vtkMRMLMarkupsFiducialNode, vtkMRMLMarkupsJsonStorageNode

    path = tmp_path / "points.mrk.json"
    item = study.item("4CH")
    write_markups(item.cine, results["4CH"].landmarks, path)
    scene = make_application().scene
    node = scene.AddNode(vtkMRMLMarkupsFiducialNode())
    storage = scene.AddNode(vtkMRMLMarkupsJsonStorageNode())
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    shown = in_view("4CH")
    assert node.GetNumberOfControlPoints() == len(shown)
    for index, landmark in enumerate(shown):
        ras = np.array(node.GetNthControlPointPosition(index))
        lps = item.cine.geometry.to_patient(results["4CH"].landmarks.positions[0, landmark.index])
        np.testing.assert_allclose(ras * [-1, -1, 1], lps, atol=1e-3)


def test_placed_points_survive_in_json(study, results, tmp_path):
    result = results["2CH"]
    provenance = np.array(result.landmarks.provenance)
    provenance[0, 0] = Provenance.MANUAL
    changed = type(result)(**{**result.__dict__, "landmarks": result.landmarks.replace(provenance=provenance)})
    write_json(study.item("2CH").cine, changed, tmp_path / "m.json")
    assert read_landmarks(tmp_path / "m.json").provenance[0, 0] == Provenance.MANUAL

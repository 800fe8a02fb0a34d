"""Corrected studies as training data: which frames count, where images come from, nothing lost on the way."""

import json
from pathlib import Path

import numpy as np
import pytest
from CardiacValveLandmarksLib.cine import Cine
from CardiacValveLandmarksLib.correction import Correction
from CardiacValveLandmarksLib.detection.files import write_json, write_markups
from CardiacValveLandmarksLib.detection.result import DetectionResult
from CardiacValveLandmarksLib.errors import InputError, UsageError
from CardiacValveLandmarksLib.landmarks import LANDMARKS, LandmarkSeries, Provenance, view_mask
from CardiacValveLandmarksLib.models.catalogue import find_model
from CardiacValveLandmarksLib.nifti_writer import write_nifti
from CardiacValveLandmarksLib.phantom.cines import synthetic_study
from CardiacValveLandmarksLib.readers import read_cine
from CardiacValveLandmarksLib.study_build import build_study
from CardiacValveLandmarksLib.study_io import study_to_json
from CardiacValveLandmarksLib.training.corrections import (
    CorrectedCine,
    is_corrected,
    label_weights,
    marked_absent,
    read_all_corrections,
    read_corrections,
)
from CardiacValveLandmarksLib.training.corrections_npz import (
    corner_of,
    labelled_images,
    read_corrections_npz,
    write_corrections_npz,
)
from CardiacValveLandmarksLib.training.dataset import read_npz
from hypothesis import given, settings
from hypothesis import strategies as st


def predicted(cine, truth):
    """What a model would say: the truth a little off, with a confidence for what it does not find either."""
    found = truth.positions + 0.7
    return LandmarkSeries(found, np.where(truth.present, 0.9, 0.8), truth.provenance, truth.view)


def corrected_by_hand(cine, truth):
    """Frames 2 and 7 put right, a landmark marked as absent in frame 4."""
    correction = Correction.of(predicted(cine, truth))
    for frame in (2, 7):
        for number in [lm.number for lm in LANDMARKS if truth.present[frame, lm.index]]:
            correction = correction.place(frame, number, truth.positions[frame, number - 1], spread=1)
    number = 1 + int(np.flatnonzero(view_mask(truth.view))[0])
    return correction.set_absent(4, number).current


@pytest.fixture(scope="module")
def patient(tmp_path_factory):
    """A synthetic examination as files, and its landmarks before and after a person's work."""
    folder = tmp_path_factory.mktemp("cines")
    study = synthetic_study(11, kinds=("2CH", "4CH"), frames=10, shape=(96, 80), spacing=3.0)
    entries = []
    for item in study.items:
        write_nifti(item.cine, folder / f"{item.kind}.nii.gz")
        cine = read_cine(folder / f"{item.kind}.nii.gz")
        truth = item.truth.replace(
            positions=cine.geometry.to_pixels(item.cine.geometry.to_patient(item.truth.positions))
        )
        entries.append((cine, truth))
    return folder, entries


@pytest.fixture
def study_file(patient, tmp_path):
    """study.json with the 4CH corrected and the 2CH as the model left it; it does not say where the images are."""
    _, ((two, two_truth), (four, four_truth)) = patient
    study = build_study([(two, predicted(two, two_truth)), (four, corrected_by_hand(four, four_truth))])
    study_to_json(study, tmp_path / "study.json")
    return tmp_path / "study.json"


def same(a: CorrectedCine, b: CorrectedCine, frames=slice(None)):
    np.testing.assert_array_equal(a.cine.frames[frames], b.cine.frames)
    np.testing.assert_array_equal(a.landmarks.positions[frames], b.landmarks.positions)
    np.testing.assert_array_equal(a.landmarks.provenance[frames], b.landmarks.provenance)
    np.testing.assert_array_equal(a.landmarks.confidence[frames], b.landmarks.confidence)
    assert a.view == b.view and a.patient == b.patient and a.cine.rr_ms == b.cine.rr_ms
    np.testing.assert_array_equal(a.cine.times_ms[frames], b.cine.times_ms)
    for part in ("origin", "axis0", "axis1"):
        np.testing.assert_allclose(getattr(a.cine.geometry, part), getattr(b.cine.geometry, part), atol=1e-9)


def test_frames_count_that_a_person_worked_on(patient):
    cine, truth = patient[1][1]
    landmarks = corrected_by_hand(cine, truth)
    weights = label_weights(landmarks)
    # placed in 2 and 7, spread to their neighbours, absent in 4
    assert np.flatnonzero(weights.any(1)).tolist() == [1, 2, 3, 4, 6, 7, 8]
    assert np.flatnonzero(label_weights(landmarks, propagated=0).any(1)).tolist() == [2, 4, 7]
    assert set(weights[2, truth.present[2]]) == {1.0} and set(weights[3, truth.present[3]]) == {0.5}
    assert sorted(set(weights[4, view_mask("4CH")])) == [0.2, 1.0]
    assert (weights[:, ~view_mask("4CH")] == 0).all()
    assert np.argwhere(marked_absent(landmarks)).tolist() == [[4, 4]]
    assert not is_corrected(predicted(cine, truth))


def test_what_was_placed_from_nothing_counts_once_it_is_complete(patient):
    cine, truth = patient[1][1]
    correction = Correction.of(LandmarkSeries.empty(cine.n_frames, "4CH"))
    numbers = [landmark.number for landmark in LANDMARKS if truth.present[2, landmark.index]]
    for number in numbers:
        correction = correction.place(2, number, truth.positions[2, number - 1])
        assert is_corrected(correction.current) == (number == numbers[-1])
    correction = correction.place(5, numbers[0], truth.positions[5, numbers[0] - 1])
    assert np.flatnonzero(label_weights(correction.current).any(1)).tolist() == [2]
    assert not marked_absent(correction.current).any()


def test_a_study_finds_its_images_and_gives_what_was_corrected(patient, study_file):
    folder, entries = patient
    (found,) = read_corrections(study_file, folder)
    assert found.view == "4CH"
    same(CorrectedCine(entries[1][0], corrected_by_hand(*entries[1]), found.patient), found)
    (again,) = read_corrections(study_file.parent, folder)
    assert again.patient == found.patient


def test_the_same_images_in_two_studies_are_refused(patient, study_file, tmp_path):
    """They would be trained on and held out at once."""
    again = tmp_path / "again.json"
    again.write_bytes(study_file.read_bytes())
    assert len(read_all_corrections([study_file], patient[0])) == 1
    with pytest.raises(InputError, match=r"again\.json.*study\.json as well"):
        read_all_corrections([study_file, again], patient[0])


def test_a_study_finds_its_dicom_series_again(tmp_path, monkeypatch):
    """The study says folder and series, and was made in another working directory."""
    from CardiacValveLandmarksLib.phantom.dicom import write_dicom
    from CardiacValveLandmarksLib.study_run import read_examination

    item = synthetic_study(11, kinds=("4CH",), frames=10, shape=(96, 80), spacing=3.0).items[0]
    write_dicom(item.cine, tmp_path / "scans" / "four (a)", series_number=7, series_description="")
    monkeypatch.chdir(tmp_path)
    (cine,) = read_examination("scans", identify=True).cines
    study = build_study([(cine, corrected_by_hand(cine, item.truth))])
    study_to_json(study, tmp_path / "study.json", identify=True)
    monkeypatch.chdir("/")
    (found,) = read_corrections(tmp_path / "study.json")
    assert np.array_equal(found.cine.frames, cine.frames)


def test_a_study_without_its_images_says_so(patient, study_file, tmp_path):
    folder, entries = patient
    with pytest.raises(InputError, match=r"study\.json, 4CH .*does not say.*--cines"):
        read_corrections(study_file)
    with pytest.raises(InputError, match=r"study\.json, 4CH .*its images at .*gone.*nothing there.*--cines"):
        read_corrections(study_file, tmp_path / "gone")
    with pytest.raises(InputError, match=r"4CH .10 frames of 96 x 80.*none that fit"):
        read_corrections(study_file, folder / "2CH.nii.gz")
    named = tmp_path / "named.json"
    study_to_json(build_study([(entries[1][0], corrected_by_hand(*entries[1]))]), named, identify=True)
    assert len(read_corrections(named)) == 1
    text = named.read_text().replace("4CH.nii.gz", "moved.nii.gz")
    (tmp_path / "moved.json").write_text(text)
    with pytest.raises(InputError, match=r"moved\.nii\.gz.*nothing there.*--cines"):
        read_corrections(tmp_path / "moved.json")


def test_what_nobody_corrected_is_refused(patient, tmp_path):
    folder, entries = patient
    study_to_json(build_study([(c, predicted(c, t)) for c, t in entries]), tmp_path / "study.json")
    with pytest.raises(InputError, match=r"study\.json.*placed or marked.*automatic points only"):
        read_corrections(tmp_path, folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="none of these in it"):
        read_corrections(tmp_path / "empty")
    with pytest.raises(InputError, match="nothing there"):
        read_corrections(tmp_path / "none.json")
    (tmp_path / "odd.txt").write_text("x")
    with pytest.raises(InputError, match=r"a \.txt file"):
        read_corrections(tmp_path / "odd.txt")


def test_a_detection_with_corrections_is_read_too(patient, tmp_path):
    folder, entries = patient
    cine, truth = entries[1]
    landmarks = corrected_by_hand(cine, truth)
    result = DetectionResult(landmarks, "4CH", 1.0, {"4CH": 1.0}, find_model("phantom-heatmap"), "test", {}, ())
    write_json(cine, result, tmp_path / "4CH.json")
    (found,) = read_corrections(tmp_path, folder)
    same(CorrectedCine(cine, landmarks, found.patient), found)
    content = json.loads((tmp_path / "4CH.json").read_text())
    del content["cine"]["geometry"]
    (tmp_path / "4CH.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"4CH\.json.*geometry"):
        read_corrections(tmp_path / "4CH.json", folder)


def as_detected(cine, found, folder, name):
    """The files that `cvl detect` writes of these landmarks."""
    result = DetectionResult(found, found.view, 1.0, {found.view: 1.0}, find_model("phantom-heatmap"), "test", {}, ())
    write_json(cine, result, folder / f"{name}.json")
    write_markups(cine, found, folder / f"{name}.mrk.json")


def test_points_moved_in_a_detections_markups_are_corrections(patient, tmp_path):
    folder, entries = patient
    cine, truth = entries[1]
    found = predicted(cine, truth)
    as_detected(cine, found, tmp_path, "4CH")
    with pytest.raises(InputError, match="automatic points only"):
        read_corrections(tmp_path, folder)
    content = json.loads((tmp_path / "4CH.mrk.json").read_text())
    points = content["markups"][0]["controlPoints"]
    points[0]["position"] = cine.geometry.to_patient(truth.positions[0, 4]).tolist()
    points[1]["positionStatus"] = "missing"
    (tmp_path / "4CH.mrk.json").write_text(json.dumps(content))
    for named in (tmp_path, tmp_path / "4CH.mrk.json"):
        (one,) = read_corrections(named, folder)
        assert np.argwhere(one.landmarks.provenance == Provenance.MANUAL).tolist() == [[0, 4]]
        np.testing.assert_allclose(one.landmarks.positions[0, 4], truth.positions[0, 4], atol=1e-9)
        assert np.argwhere(marked_absent(one.landmarks)).tolist() == [[0, 5]]
    (tmp_path / "4CH.json").unlink()
    with pytest.raises(InputError, match=r"4CH\.json.*beside them"):
        read_corrections(tmp_path / "4CH.mrk.json", folder)


def test_a_cine_named_after_another_view_keeps_its_corrections(patient, tmp_path):
    """Scanners' names are often wrong, and the files of a detection are called after them."""
    folder, entries = patient
    cine, truth = entries[1]
    found = predicted(cine, truth)
    as_detected(cine, found, tmp_path, "cine_3CH")
    content = json.loads((tmp_path / "cine_3CH.mrk.json").read_text())
    content["markups"][0]["controlPoints"][0]["position"] = cine.geometry.to_patient(truth.positions[0, 4]).tolist()
    (tmp_path / "cine_3CH.mrk.json").write_text(json.dumps(content))
    (one,) = read_corrections(tmp_path, folder)
    assert one.view == "4CH" and np.argwhere(one.landmarks.provenance == Provenance.MANUAL).tolist() == [[0, 4]]


@pytest.mark.parametrize("name", ["series_5", "scan 3", "Se-12"])
def test_the_number_in_a_cines_name_is_no_frame(patient, tmp_path, name):
    folder, ((cine, truth), _) = patient
    found = predicted(cine, truth)
    as_detected(cine, found, tmp_path, name)
    with pytest.raises(InputError, match="automatic points only"):
        read_corrections(tmp_path / f"{name}.json", folder)


def cine_of(shape, landmarks, spacing=None):
    rng = np.random.default_rng(shape[0])
    return Cine(rng.random((landmarks.n_frames, *shape), np.float32), spacing=spacing)


def by_hand(points, provenance=Provenance.MANUAL, view="4CH"):
    """Landmarks 5 and 11 at (T, 2, 2) points, placed where a model had spoken of the others."""
    positions = np.full((len(points), 11, 2), np.nan)
    positions[:, [4, 10]] = points
    there = np.isfinite(positions[..., 0])
    return LandmarkSeries(positions, np.where(there, np.nan, 0.5), np.where(there, provenance, Provenance.ABSENT), view)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(40, 400), columns=st.integers(40, 400), row=st.floats(0, 1), column=st.floats(0, 1),
    apart=st.floats(5, 39),
)  # fmt: skip
def test_any_size_goes_into_the_published_form_and_back(tmp_path_factory, rows, columns, row, column, apart):
    shape = np.array([rows, columns])
    first = np.array([row, column]) * (shape - 1 - apart)
    landmarks = by_hand(np.array([[first, first + apart]]))
    original = CorrectedCine(cine_of((rows, columns), landmarks, (1.1, 1.2)), landmarks, "p")
    path = tmp_path_factory.mktemp("npz") / "set.npz"
    write_corrections_npz(path, [original])
    train, test = read_npz(path)  # as any reader of the published form sees it
    assert train.shape == (256, 256) and len(train) == 1 and not len(test)
    corner = corner_of(original)
    np.testing.assert_allclose(train.landmarks[0, [4, 10]] + corner, landmarks.positions[0, [4, 10]], atol=1e-4)
    at = np.floor(train.landmarks[0, 4] + 0.5).astype(int)
    assert train.images[0][tuple(at)] == original.cine.frames[0][tuple(at + corner)]
    (back,) = read_corrections_npz(path)
    low = np.maximum(corner, 0)
    high = np.minimum(corner + 256, shape)
    np.testing.assert_array_equal(back.cine.frames, original.cine.frames[:, low[0] : high[0], low[1] : high[1]])
    np.testing.assert_allclose(back.landmarks.positions + low, landmarks.positions, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(back.cine.spacing, (1.1, 1.2))


def test_a_dataset_of_corrections_keeps_everything(patient, tmp_path):
    _, entries = patient
    whole = [CorrectedCine(cine, corrected_by_hand(cine, truth), f"p{i}") for i, (cine, truth) in enumerate(entries)]
    counts = write_corrections_npz(tmp_path / "set.npz", whole[:1], whole[1:])
    assert counts == {"train": 7, "test": 7}
    train, test = read_npz(tmp_path / "set.npz")
    assert set(train.patients) & set(test.patients) == set()
    back = {one.view: one for one in read_corrections_npz(tmp_path / "set.npz")}
    for one in whole:
        same(one, back[one.view], np.flatnonzero(label_weights(one.landmarks).any(1)))
    # once more from what was read: nothing is lost on a second way
    write_corrections_npz(tmp_path / "again.npz", list(back.values()))
    for one in read_corrections(tmp_path / "again.npz"):
        same(back[one.view], one)
    images = labelled_images(whole, propagated=0)
    assert len(images) == 6 and images.views.count("4CH") == 3


def test_bad_datasets_are_named(patient, tmp_path):
    _, entries = patient
    whole = CorrectedCine(entries[1][0], corrected_by_hand(*entries[1]), "p")
    path = tmp_path / "set.npz"
    write_corrections_npz(path, [whole])
    with np.load(path) as archive:
        arrays = dict(archive)
    published = {key: value for key, value in arrays.items() if not key.startswith("corrections")}
    np.savez(tmp_path / "published.npz", **published)
    with pytest.raises(InputError, match=r"published\.npz.*correctionsTrainPositions.*another origin"):
        read_corrections(tmp_path / "published.npz")
    np.savez(tmp_path / "moved.npz", **{**arrays, "correctionsTrainPositions": arrays["correctionsTrainPositions"] + 1})
    with pytest.raises(InputError, match="agree"):
        read_corrections(tmp_path / "moved.npz")
    wide = by_hand(np.array([[[3.0, 3.0], [290.0, 200.0]]]))
    with pytest.raises(InputError, match="within 256 pixels"):
        corner_of(CorrectedCine(cine_of((300, 300), wide), wide, "p"))


@pytest.mark.parametrize("name", ["study.mrb", "mrb/study.mrb", "My Scene.mrb"])
def test_a_saved_scene_brings_images_and_corrections(patient, tmp_path, name, monkeypatch):
    pytest.importorskip("slicer.util", reason="slicer-core is not installed")
    from CardiacValveLandmarksLib.mrml.bundle import write_bundle

    cine, truth = patient[1][1]
    landmarks = corrected_by_hand(cine, truth)
    write_bundle(tmp_path / "in" / name, [(cine, landmarks)])
    monkeypatch.chdir(tmp_path)  # MRML works elsewhere: a path from here must be found all the same
    (found,) = read_corrections("in")
    placed = landmarks.provenance == Provenance.MANUAL
    assert (found.landmarks.provenance == Provenance.MANUAL).sum() == placed.sum()
    np.testing.assert_allclose(found.landmarks.positions[placed], landmarks.positions[placed], atol=1e-6)
    np.testing.assert_array_equal(found.cine.frames, cine.frames)
    (tmp_path / "in" / name).write_bytes(b"no scene")
    folder = Path.cwd()
    with pytest.raises(InputError, match="cannot read"):
        read_corrections("in")
    assert Path.cwd() == folder


def test_corrections_are_found_beside_what_nobody_corrected(patient, study_file, tmp_path):
    """`cvl study` leaves mrb/study.mrb and study.json in one folder."""
    pytest.importorskip("slicer.util", reason="slicer-core is not installed")
    from CardiacValveLandmarksLib.mrml.bundle import write_bundle

    folder, entries = patient
    cine, truth = entries[1]
    write_bundle(tmp_path / "mrb" / "study.mrb", [(cine, predicted(cine, truth))])
    assert read_corrections(tmp_path, folder)
    write_bundle(tmp_path / "corrected.mrb", [(cine, corrected_by_hand(cine, truth))])
    with pytest.raises(InputError, match=r"study\.json and in corrected\.mrb"):
        read_corrections(tmp_path, folder)
    (tmp_path / "study.json").unlink()
    assert [one.view for one in read_corrections(tmp_path)] == ["4CH"]


def test_without_slicer_a_scene_is_no_fault_of_ours(patient, study_file, tmp_path, monkeypatch):
    folder, _ = patient
    monkeypatch.setattr("CardiacValveLandmarksLib.training.corrections.has_package", lambda name: False)
    (tmp_path / "a.mrb").write_bytes(b"a scene")
    assert read_corrections(tmp_path, folder)  # study_file lies there
    study_file.unlink()
    with pytest.raises(UsageError, match="pip install"):
        read_corrections(tmp_path, folder)

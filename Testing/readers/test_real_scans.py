"""The real scans: what each folder holds, and where it lies."""

import re

import numpy as np
import pytest
from CardiacValveLandmarksLib.errors import InputError
from CardiacValveLandmarksLib.readers import read_cine, scan


def check_dicom_cine(cine, frames):
    assert cine.n_frames == frames
    assert (np.diff(cine.times_ms) > 0).all() and cine.times_ms[0] < 50
    assert 500 < cine.rr_ms < 1500 and cine.rr_source == "NominalInterval"
    # retrospective gating: the frames fill the cycle
    assert cine.rr_ms == pytest.approx(frames * np.median(np.diff(cine.times_ms)), rel=0.02)
    assert cine.attributes["order_source"] == "TriggerTime"
    assert cine.geometry.thickness in (5, 6)
    # neighbouring frames are alike, the last and the first too: the order is that of the beat
    steps = np.abs(np.diff(cine.frames, axis=0, append=cine.frames[:1])).mean((1, 2))
    apart = np.abs(cine.frames - np.roll(cine.frames, frames // 3, 0)).mean((1, 2))
    assert steps.max() < apart.mean()


@pytest.mark.parametrize(
    ("series", "shape", "rr"),
    [
        ("Se3", (208, 256), 776),
        ("Se6", (208, 256), 876),
        ("Se7", (256, 208), 924),
        ("Se8", (256, 208), 975),
        ("Se9", (256, 208), 905),
        ("Se10", (256, 208), 966),
    ],
)
def test_biv_me(real_data, series, shape, rr):
    cine = read_cine(real_data / "biv-me" / "dicom" / series)
    check_dicom_cine(cine, 25)
    assert cine.shape == shape and cine.rr_ms == rr
    assert cine.attributes["field_strength"] == 3
    # independent of the DICOM: what biv-me noted of the slice
    lines = (real_data / "biv-me/guidepoints/default/patient1/SliceInfoFile.txt").read_text().splitlines()
    names = {path.name for path in (real_data / "biv-me" / "dicom" / series).iterdir()}
    (line,) = [line for line in lines if line.split()[0] in names]
    numbers = [float(word) for word in re.findall(r"\s(-?[\d.]+(?:e-?\d+)?)(?=\s|$)", line)]
    position, row, column, spacing = np.split(np.array(numbers[1:]), [3, 6, 9])
    size = np.array(shape) - 1
    corner = position + row * spacing[1] * size[1] + column * spacing[0] * size[0]
    np.testing.assert_allclose(cine.geometry.to_patient([0, 0]), position, atol=1e-3)
    np.testing.assert_allclose(cine.geometry.to_patient(size), corner, atol=1e-2)


def test_biv_me_as_a_study(real_data):
    found = scan(real_data / "biv-me" / "dicom")
    assert len(found.cines) == 6 and found.skipped == []
    assert len({cine.name for cine in found.cines}) == 6
    assert len({(cine.study_uid, cine.frame_of_reference_uid, cine.patient_key) for cine in found.cines}) == 1


def test_biv_me_guide_points_lie_in_their_slices(real_data):
    """The valve points of the reference software are in the plane and inside the image."""
    guide = real_data / "biv-me/guidepoints/default/patient1"
    slices = {"7": "Se6"}  # FrameID of the 4CH view
    for file in sorted(guide.glob("GPFile_*.txt"))[:5]:
        for line in file.read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "MITRAL_VALVE" and words[4] in slices:
                cine = read_cine(real_data / "biv-me" / "dicom" / slices[words[4]])
                point = np.array(words[:3], float)
                assert abs(cine.geometry.distance(point)) < 0.05
                pixel = cine.geometry.to_pixels(point)
                assert (pixel > 0).all() and (pixel < cine.shape).all()
                break
        else:
            pytest.fail(f"no mitral point of the 4CH slice in {file.name}")


def test_mvnet(real_data):
    """No InstanceNumber, a series and a study UID for each file, file order is not time order."""
    found = scan(real_data / "mvnet")
    assert [cine.name for cine in found.cines] == ["2ch", "4ch"]
    for cine in found.cines:
        check_dicom_cine(cine, 30)
        assert cine.frame_of_reference_uid == "" and cine.study_uid == "" and cine.patient_key == ""
        np.testing.assert_allclose(cine.spacing, 1.8269230, atol=1e-6)


def test_ep_dataset(real_data):
    """Three parallel slices in one series."""
    found = scan(real_data / "ep-dataset")
    assert len(found.cines) == 3
    for cine in found.cines:
        assert cine.n_frames == 20 and cine.rr_ms == 659
        assert (np.diff(cine.times_ms) > 0).all()
    first = found.cines[0].geometry
    steps = [abs(first.distance(cine.geometry.origin)) for cine in found.cines]
    assert steps[0] == 0 and steps[1] > 4 and steps[2] == pytest.approx(2 * steps[1], abs=1e-2)
    with pytest.raises(InputError, match="found 3"):
        read_cine(real_data / "ep-dataset")


def test_amrg(real_data):
    """The published sample: no geometry, no times; axes as they are in the file."""
    import nibabel

    path = real_data / "amrg" / "AMRGAtlas_0031.nii.gz"
    cine = read_cine(path)
    assert cine.frames.shape == (32, 256, 256)
    assert cine.geometry is None and cine.spacing is None and cine.times_ms is None and cine.rr_ms is None
    data = np.asarray(nibabel.load(path).dataobj)
    np.testing.assert_array_equal(cine.frames[5], data[:, :, 0, 5])


def test_everything_at_once(real_data):
    found = scan(real_data)
    assert len(found.cines) == 12
    assert len({cine.name.lower() for cine in found.cines}) == 12


def test_text_beside_the_scans_is_no_cine(real_data):
    with pytest.raises(InputError, match="no images"):
        scan(real_data / "biv-me" / "guidepoints")

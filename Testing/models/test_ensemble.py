"""The test-time ensemble: whatever way a member looks, what it marks comes back to the same place."""

import numpy as np
import pytest
from CardiacValveLandmarksLib.errors import ModelError
from CardiacValveLandmarksLib.models.catalogue import resolve_model
from CardiacValveLandmarksLib.models.decoding import decode
from CardiacValveLandmarksLib.models.ensemble import Member, members
from CardiacValveLandmarksLib.models.sampling import Window
from CardiacValveLandmarksLib.models.spec import spec_from_entry
from CardiacValveLandmarksLib.models.symmetries import SQUARE
from hypothesis import given
from hypothesis import strategies as st

SHAPE = (150, 180)


def _marks_what_is_bright(images):
    return {"heatmaps": images}


@given(
    place=st.tuples(st.floats(55, 95), st.floats(70, 110)),
    symmetry=st.sampled_from(SQUARE),
    scale=st.floats(0.6, 1.6),
    mirrored=st.booleans(),
)
def test_a_mark_comes_back_to_its_place(place, symmetry, scale, mirrored):
    rows, columns = np.indices(SHAPE)
    image = np.exp(-((rows - place[0]) ** 2 + (columns - place[1]) ** 2) / (2 * 4.0**2)).astype(np.float32)
    window = Window(SHAPE, (75.0, 90.0), (1.4, 1.2), (96, 96), mirrored)
    member = Member(symmetry, scale)
    answer, saw = member.answer(member.seen(window).images(image[None]), _marks_what_is_bright)
    found = window.undo_positions(decode(answer["heatmaps"]).positions[0, 0])
    np.testing.assert_allclose(found, place, atol=0.25)
    assert saw.shape == window.size and saw[48, 48] == 1


def test_a_closer_look_does_not_see_the_border():
    window = Window(SHAPE, (75.0, 90.0), (1.0, 1.0), (96, 96))
    _, saw = Member(scale=0.75).answer(window.images(np.ones((1, *SHAPE), np.float32)), _marks_what_is_bright)
    assert set(np.unique(saw)) == {0, 1} and not saw[:11].any() and saw[14:-14, 14:-14].all()
    _, saw = Member(scale=1.25).answer(window.images(np.ones((1, *SHAPE), np.float32)), _marks_what_is_bright)
    assert saw.all()


def test_what_only_some_members_saw_is_the_mean_of_those():
    """A landmark near the window's border is not less there because the closer looks miss it."""
    from dataclasses import replace

    from CardiacValveLandmarksLib.cine import Cine
    from CardiacValveLandmarksLib.detection.heatmap import HeatmapDetector

    class Marks:
        def run(self, inputs):
            marks = np.clip(inputs["image"], 0, 1)
            return {"heatmaps": np.repeat(marks, 12, 1), "view_probabilities": np.full((len(marks), 5), 0.2)}

    spec = resolve_model("phantom-heatmap")
    frame = np.zeros((128, 128), np.float32)
    frame[6:9, 60:66] = 1
    cine = Cine(frame[None], spacing=np.full(2, spec.input.spacing_mm), source="border")
    peaks = []
    for scales in ((1.0,), (1.0, 0.8)):
        detector = HeatmapDetector(cine, replace(spec, scales=scales), Marks(), True, None, None)
        window = Window((128, 128), (63.5, 63.5), (1.0, 1.0), (128, 128))
        peaks.append(detector._look(window, np.array([0]), None).maps.max())
    assert peaks[1] == pytest.approx(peaks[0])


def test_the_scales_are_taken_by_turns():
    from dataclasses import replace

    spec = replace(resolve_model("phantom-heatmap"), scales=(1.0, 0.85))
    assert [member.scale for member in members(spec)] == [1.0, 0.85, 1.0, 0.85]
    assert len({member.symmetry for member in members(spec)}) == 4
    assert members(spec, tta=False) == (Member(),)


def test_more_scales_than_symmetries_are_refused():
    spec = resolve_model("phantom-heatmap")
    entry = {**spec.entry(), "symmetries": "none", "scales": [1.0, 0.8]}
    with pytest.raises(ModelError, match="at most 1 scales"):
        spec_from_entry(entry, "user", "models.json")

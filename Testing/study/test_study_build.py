"""Studies of good, odd and bad input: what is done, what is said, what is refused."""

import numpy as np
import pytest
import synthetic_truth as synthetic
from CardiacValveLandmarksLib.errors import InputError, UsageError
from CardiacValveLandmarksLib.geometry import SliceGeometry
from CardiacValveLandmarksLib.landmarks import LandmarkSeries, Provenance
from CardiacValveLandmarksLib.readers.checks import TOO_SHORT
from CardiacValveLandmarksLib.study import StudySettings
from CardiacValveLandmarksLib.study_build import build_study
from CardiacValveLandmarksLib.study_images import cines_of
from CardiacValveLandmarksLib.study_names import without_names

QUICK = {"motion_check": False, "samples": 10, "phases": 20}


def study(entries, **settings):
    return build_study(entries, StudySettings(**{**QUICK, **settings}))


def said(study, words):
    return any(words in warning for warning in study.warnings)


def changed(entries, view, **cine_changes):
    return [(c.replace(**cine_changes), s) if c.name == view.lower() else (c, s) for c, s in entries]


@pytest.fixture(scope="module")
def entries():
    return synthetic.make(1, 1.0).entries


@pytest.fixture(scope="module")
def whole(entries):
    return study(entries)


def test_a_good_study_has_everything_and_no_doubt(whole):
    assert [v.view for v in whole.views] == ["2CH", "3CH", "4CH"]
    assert len(whole.trajectories) == 13
    assert [a.valve for a in whole.annuli] == ["mitral", "tricuspid", "aortic"]
    assert whole.refused == ()
    assert whole.warnings == ()
    assert whole.rr_ms == 924
    assert whole.phases.tolist() == (np.arange(20) / 20).tolist()
    for ring in whole.annuli:
        assert ring.nodes.shape == (20, 32, 3)
        assert ring.node_sd_mm.shape == (20, 32)
        centred = ring.nodes - ring.nodes.mean(1, keepdims=True)
        normal = np.cross(centred, np.roll(centred, -1, axis=1)).sum(1)
        assert (normal @ synthetic.APEX_DIRECTION < 0).all()
        # the closed cycle: interpolation in time passes the phases and goes on from the last to the first
        assert np.allclose(ring.evaluate(ring.phases), ring.nodes, atol=1e-9)
        assert np.allclose(ring.evaluate(1.0), ring.nodes[0], atol=1e-9)
    assert [a.assumed for a in whole.annuli] == [False, True, True]
    assert [a.node_1 for a in whole.annuli] == [3, 9, 7]
    true = synthetic.ring(whole.phases)
    ring = whole.annulus("mitral")
    apart = np.linalg.norm(ring.nodes[:, :, None] - true[:, None], axis=-1).min(2)
    assert np.sqrt((apart**2).mean()) < 2.0


@pytest.mark.parametrize("views", [("4CH",), ("2CH",), ("3CH",), ("2CH", "4CH"), ("3CH", "4CH")])
def test_fewer_views_give_what_they_can(views):
    result = study(synthetic.make(1, 0.5, views=views).entries)
    for view in {"2CH", "3CH", "4CH"} - set(views):
        assert said(result, f"{view}")
        assert said(result, "are missing")
    mitral = result.annulus("mitral")
    if len(views) == 1:
        assert mitral is None
        assert any(r.valve == "mitral" and "two views" in r.reason for r in result.refused)
    else:
        assert any("4 of six" in note for note in mitral.notes)
    assert (result.measure("tapse") is not None) == ("4CH" in views)
    assert (result.annulus("aortic") is not None) == ("3CH" in views)
    assert result.measure(f"excursion_{views[0].lower()}").value > 10


def test_one_view_without_apex_measures_across_its_own_valve_line():
    result = study(synthetic.make(1, 0.0, views=("4CH",), with_apex=False).entries)
    assert said(result, "perpendicular")
    assert "perpendicular" in result.measure("mapse_lateral").definition
    assert result.measure("mapse_lateral").value == pytest.approx(14.8, abs=1.5)


def test_three_views_without_apex_measure_along_the_mitral_normal():
    result = study(synthetic.make(1, 0.0, with_apex=False).entries)
    assert said(result, "normal of the mitral plane")
    assert result.measure("lv_length_ed") is None
    assert result.measure("mapse_lateral").value == pytest.approx(14.8, abs=1.5)


@pytest.mark.parametrize(
    ("excursion", "words"), [("long axis", "LV long axis"), ("ED plane", "normal of the mitral plane"),
                             ("view line", "perpendicular, in the view")],
)  # fmt: skip
def test_the_direction_of_excursions_can_be_chosen_and_is_stated(entries, excursion, words):
    result = study(entries, excursion=excursion)
    for key in ("mapse_lateral", "tapse", "excursion_2ch"):
        assert words in result.measure(key).definition
    assert not said(result, "excursions are")
    assert result.measure("mapse_lateral").value == pytest.approx(14.8, abs=2.0)


def test_a_direction_that_cannot_be_had_is_said():
    result = study(synthetic.make(1, 0.0, views=("4CH",), with_apex=False).entries, excursion="long axis")
    assert said(result, "No apex point and no ring: excursions are perpendicular")
    result = study(synthetic.make(1, 0.0, views=("4CH",)).entries, excursion="ED plane")
    assert said(result, "No ring: excursions are along the LV long axis")


@pytest.mark.parametrize("key", ["patient_key", "frame_of_reference_uid"])
def test_two_patients_or_frames_of_reference_are_refused(entries, key):
    with pytest.raises(InputError, match=r"the same (patient|frame of reference)"):
        study(changed(entries, "3CH", **{key: "another"}))
    # unknown is not different
    assert len(study(changed(entries, "3CH", **{key: ""})).views) == 3


def test_a_view_without_times_is_evenly_spread_and_said(entries):
    result = study(changed(entries, "4CH", times_ms=None, rr_ms=None))
    assert said(result, "4CH (4ch): no trigger times")
    assert said(result, "4CH (4ch): RR unknown")
    assert np.isnan(result.measure("e_lateral").value)
    assert "RR" in result.measure("e_lateral").note
    assert np.isfinite(result.measure("e_inferior").value)
    assert np.isfinite(result.measure("mapse_lateral").value)


def test_rr_that_differs_much_is_warned_of(entries):
    cine = entries[0][0]
    slow = changed(entries, "2CH", rr_ms=cine.rr_ms * 1.3, times_ms=cine.times_ms * 1.3)
    assert said(study(slow), "RR differs between the views")


def test_frames_that_span_more_than_a_beat_are_warned_of(entries):
    assert said(study(changed(entries, "4CH", rr_ms=600.0)), "longer than the RR of 600 ms")


def test_a_cycle_that_was_not_believed_and_frames_that_are_missing_are_said(entries):
    cine = next(cine for cine, landmarks in entries if landmarks.view == "4CH")
    late = cine.times_ms + 40.0 * (np.arange(cine.n_frames) > 3)
    told = changed(
        entries, "4CH", rr_source=f"frames × interval (NominalInterval of 430 ms {TOO_SHORT})", times_ms=late
    )
    result = study([(c.replace(rr_ms=c.rr_ms + 60), landmarks) for c, landmarks in told])
    assert said(result, "NominalInterval of 430 ms") and said(result, "some seem to be missing")


def test_several_cines_stated_for_a_view_are_ranked_and_told(entries):
    stated = [(c.replace(view="4CH"), s) for c, s in entries]
    result = study(stated)
    assert [v.name for v in result.views] == ["4ch"]
    assert said(result, "Several cines were stated as 4CH")


def test_an_apex_in_the_valve_is_not_believed(entries):
    def low(series):
        positions = np.array(series.positions)
        valve = (
            positions[:, 4:6]
            if series.view == "4CH"
            else positions[:, :2]
            if series.view == "2CH"
            else positions[:, 2:4]
        )
        positions[:, 10] = valve.mean(1) + 3.0
        return series.replace(positions=positions)

    result = study([(c, low(s)) for c, s in entries])
    assert said(result, "not used for directions")
    assert "mitral plane" in result.measure("mapse_lateral").definition
    assert result.measure("mapse_lateral").value == pytest.approx(14.8, abs=2.5)


def test_points_that_all_coincide_measure_nothing(entries):
    same = [
        (c, s.replace(positions=np.where(s.present[..., None], np.full(s.positions.shape, 50.0), np.nan)))
        for c, s in entries
    ]
    result = study(same)
    assert result.measures == ()
    assert {r.valve for r in result.refused} == {"mitral", "tricuspid", "aortic"}


@pytest.mark.parametrize("frames", ["some", "half", "all"])
def test_landmarks_absent(frames):
    def without(series):
        positions, provenance, confidence = (
            np.array(a) for a in (series.positions, series.provenance, series.confidence)
        )
        where = {"some": [3, 4, 11], "half": slice(0, 15), "all": slice(None)}[frames]
        positions[where, 8:10], provenance[where, 8:10], confidence[where, 8:10] = np.nan, Provenance.ABSENT, np.nan
        return series.replace(positions=positions, provenance=provenance, confidence=confidence)

    result = study([(c, without(s) if s.view == "4CH" else s) for c, s in synthetic.make(1, 0.5).entries])
    if frames == "all":
        assert result.measure("tapse") is None
        assert any(r.valve == "tricuspid" for r in result.refused)
        assert said(result, "absent in all frames")
    else:
        assert said(result, "no points over") == (frames == "half")
        tapse = result.measure("tapse")
        if frames == "half":  # what swings out between the points is no measurement
            assert np.isnan(tapse.value) and "tricuspid free wall (4CH)" in tapse.note
        else:
            assert tapse.value == pytest.approx(19.0, abs=1.5)
        assert result.measure("tapse").provenance == {"auto": 27 if frames == "some" else 15}


def test_no_landmark_at_all(entries):
    result = study([(c, LandmarkSeries.empty(c.n_frames, s.view)) for c, s in entries])
    assert result.trajectories == ()
    assert result.measures == ()
    assert {r.valve for r in result.refused} == {"mitral", "tricuspid", "aortic"}
    assert np.isnan(result.ed_phase)


def test_coincident_planes_are_told_and_make_no_ring():
    entries = [e for e in synthetic.make(1, 0.5).entries if e[0].name in ("2ch", "4ch")]
    four = entries[1][0].geometry
    two, series = entries[0]
    # the 2CH's landmarks drawn on the 4CH's plane, a few degrees off
    tilt = 0.03 * np.cross(four.axis1, four.axis0) / np.linalg.norm(four.axis1)
    moved = SliceGeometry(four.origin, four.axis0, four.axis1 + tilt, 6.0)
    pixels = np.array(series.positions)
    pixels[:, :2] = entries[1][1].positions[: series.n_frames, 4:6]
    result = study([(two.replace(geometry=moved), series.replace(positions=pixels)), entries[1]])
    assert said(result, "nearly coincide")
    assert result.annulus("mitral") is None


def test_interchanged_landmarks_are_noticed(entries):
    def swap(series):
        positions = np.array(series.positions)
        positions[:, [4, 5]] = positions[:, [5, 4]]
        return series.replace(positions=positions)

    result = study([(c, swap(s) if s.view == "4CH" else s) for c, s in entries])
    assert said(result, "do not follow each other around the ring")


def test_the_better_of_two_candidates_is_chosen_and_the_choice_explained(entries):
    cine, series = entries[0]
    # as confident, but its plane passes 40 mm beside the heart: a right-sided 2CH
    away = cine.geometry.normal * 40
    aside = cine.replace(
        name="right", geometry=SliceGeometry(cine.geometry.origin + away, cine.geometry.axis0, cine.geometry.axis1)
    )
    result = study([(aside, series), *entries])
    assert result.view("2CH").name == "2ch"
    assert said(result, "Recognised as 2CH as well, and not used unless you state it as that: right.")
    assert not said(without_names(result), "right")
    explained = {c.name: c for c in result.candidates if c.view == "2CH"}
    assert explained["2ch"].chosen
    assert not explained["right"].chosen
    assert explained["right"].score < explained["2ch"].score
    assert "mm from its mitral centre" in explained["right"].reason
    told = study([(aside, series), *entries], views={"2CH": "right"})
    assert told.view("2CH").name == "right"
    assert told.view("2CH").stated
    assert said(told, "miss each other's mitral valve")


def test_an_unrecognised_cine_is_left_out_and_said(entries):
    cine = entries[0][0]
    other = (cine.replace(name="sax"), LandmarkSeries.empty(cine.n_frames))
    result = study([*entries, other])
    assert said(result, "sax: its view was not recognised")
    with pytest.raises(InputError, match="recognised view"):
        study([other])


def test_a_cine_without_geometry(entries):
    cine, series = entries[2]
    bare = cine.replace(geometry=None, spacing=np.array([1.4, 1.4]))
    alone = study([(bare, series)])
    assert alone.views[0].geometry_assumed
    assert said(alone, "not in the patient")
    assert alone.measure("mapse_lateral").value == pytest.approx(14.8, abs=2.0)
    assert alone.measure("mitral_4ch_ed").value == pytest.approx(study(entries).measure("mitral_4ch_ed").value, abs=0.2)
    assert alone.annuli == ()
    beside = study([*entries[:2], (bare, series)])
    assert [v.view for v in beside.views] == ["2CH", "3CH"]
    assert said(beside, "it cannot join other views")
    with pytest.raises(InputError, match=r"neither patient geometry nor pixel spacing.*--spacing"):
        study([(cine.replace(geometry=None, spacing=None), series)])


def test_a_series_that_starts_late_is_noticed_and_aligned(entries):
    cine, series = entries[2]
    roll = 9

    def turned(array):
        return np.roll(array, -roll, axis=0)

    late = series.replace(
        positions=turned(series.positions), confidence=turned(series.confidence), provenance=turned(series.provenance)
    )
    shifted = [*entries[:2], (cine, late)]
    assert said(study(shifted), "may not start at the R wave")
    aligned = study(shifted, alignment="ed-es", reference_view="2CH")
    assert not said(aligned, "may not start at the R wave")
    point = aligned.trajectory(6).evaluate(np.array([0.02, 0.37]))
    true = synthetic.truth("4CH", np.array([0.02, 0.37]))[:, 5]
    assert np.linalg.norm(point - true, axis=1).max() < 3.0


def test_alignment_on_end_systole_brings_the_views_together(entries):
    cine, series = entries[1]
    # the 3CH's systole takes a larger part of its beat
    own = np.interp(np.arange(50) / 50, [0, synthetic.ES_PHASE + 0.07, 1], [0, synthetic.ES_PHASE, 1])
    pixels = synthetic.geometry("3CH").to_pixels(synthetic.truth("3CH", own))
    longer = [entries[0], (cine, series.replace(positions=pixels)), entries[2]]
    by_phase, by_es = study(longer), study(longer, alignment="es")
    true = synthetic.truth("3CH", np.array([0.36, 0.5]))[:, 3]
    errors = [
        np.linalg.norm(s.trajectory(4).evaluate(np.array([0.36, 0.5])) - true, axis=1).max() for s in (by_phase, by_es)
    ]
    assert errors[1] < 0.6 * errors[0]
    # real velocities keep the view's own time
    assert np.isfinite(by_es.measure("e_inferolateral").value)


def test_a_view_without_points_does_not_stop_the_others_from_being_aligned(entries):
    empty = [
        (cine, series if cine.name != "4ch" else LandmarkSeries.empty(len(cine.frames), "4CH"))
        for cine, series in entries
    ]
    found = study(empty, alignment="es")
    assert not said(found, "2CH: not aligned") and not said(found, "Not aligned")
    assert said(study(empty, alignment="es", reference_view="4CH"), "not found in the 4CH")


def test_first_frames_at_other_times_are_said(entries):
    late = changed(entries, "4CH", times_ms=entries[2][0].times_ms + 60)
    assert said(study(late), "not at the same time after the trigger")


def test_cines_of_one_name_keep_their_own_images(entries):
    same = [(cine.replace(name="cine"), series) for cine, series in entries]
    cines = [cine for cine, _ in same]
    found = cines_of(study(same), cines)
    assert all(found[view] is cine for view, cine in zip(("2CH", "3CH", "4CH"), cines, strict=True))


@pytest.mark.parametrize(
    "settings",
    [
        {"breathhold_sd_mm": np.inf},
        {"alignment": "beat"},
        {"ring_method": "square"},
        {"nodes": 2},
        {"order": 0},
        {"order": 30},
        {"views": {"5CH": "4ch"}},
        {"views": {"4CH": "nobody"}},
        {"views": {"4CH": "4ch", "2CH": "4ch"}},
        {"breathhold_sd_mm": -1.0},
        {"reference_view": "SAX"},
        {"excursion": "diagonal"},
    ],
)
def test_settings_that_do_not_fit_are_usage_errors(entries, settings):
    with pytest.raises(UsageError):
        study(entries, **settings)


def test_landmarks_of_another_length_and_nothing_are_usage_errors(entries):
    with pytest.raises(UsageError, match="frames"):
        study([(entries[0][0], entries[2][1])])
    with pytest.raises(UsageError, match="at least one"):
        study([])


def test_other_node_counts_and_methods(entries):
    for method in ("circle", "spline"):
        ring = study(entries, ring_method=method, nodes=48).annulus("mitral")
        assert ring.method == method
        assert ring.nodes.shape == (20, 48, 3)

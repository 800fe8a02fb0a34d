"""Without --identify nothing that is written names a cine, not even in its texts."""

import json
from dataclasses import replace

import pytest
import synthetic_truth
from CardiacValveLandmarksLib.export import ExportOptions, export_study, format_named
from CardiacValveLandmarksLib.report import report_html
from CardiacValveLandmarksLib.study import StudySettings
from CardiacValveLandmarksLib.study_build import build_study
from CardiacValveLandmarksLib.study_io import study_from_dict, study_to_dict
from CardiacValveLandmarksLib.study_names import without_names

SETTINGS = StudySettings(samples=10, motion_check=False)


@pytest.fixture(scope="module")
def study():
    """Three views, and a cine that is none, named after a person; one stated by the user, one without a stated RR."""
    entries = [
        (cine.replace(name=f"Doe_John_{series.view}", source=f"Doe/{series.view}", study_uid="1.2"), series)
        for cine, series in synthetic_truth.make(images=False).entries
    ]
    cine, series = entries[0]
    entries[1] = entries[1][0].replace(rr_ms=None), entries[1][1]
    entries.append((cine.replace(name="Doe_John"), replace(series, view=None)))
    return build_study(entries, replace(SETTINGS, views={"2CH": "Doe_John_2CH"}))


def test_the_cine_that_was_left_out_is_among_the_candidates(study):
    left = next(c for c in study.candidates if not c.view)
    assert left.name == "Doe_John" and "not recognised" in left.reason and not left.chosen


def test_no_name_is_left_anywhere(study, tmp_path):
    assert any("Doe_John" in text for text in study.warnings)
    content = study_to_dict(study)
    for text in (json.dumps(content), report_html(study)):
        assert "Doe" not in text and "1.2" not in json.dumps(content["study"]["views"][0]["study_uid"])
    export_study(study, tmp_path, [format_named(key) for key in ("csv", "json")])
    for path in tmp_path.rglob("*.*"):
        assert "Doe" not in path.read_text(encoding="utf-8"), path
    identified = json.dumps(study_to_dict(study, identify=True))
    assert "Doe_John_4CH" in identified
    export_study(study, tmp_path, [format_named("json")], ExportOptions(identify=True, overwrite=True))
    assert any("Doe" in path.read_text(encoding="utf-8") for path in tmp_path.glob("json/*"))


def test_names_are_told_apart_and_neutral_ones_stay(study):
    hidden = without_names(study)
    assert len({v.name for v in hidden.views} | {c.name for c in hidden.candidates}) == 4
    assert hidden.settings.views["2CH"] == hidden.view("2CH").name
    assert without_names(hidden) == hidden or study_to_dict(without_names(hidden)) == study_to_dict(hidden)
    neutral = replace(study, views=tuple(replace(v, name=v.view) for v in study.views), candidates=())
    assert [v.name for v in without_names(neutral).views] == ["2CH", "3CH", "4CH"]


def test_what_was_written_can_be_read(study):
    again = study_from_dict(json.loads(json.dumps(study_to_dict(study))))
    assert [c.view for c in again.candidates] == [c.view for c in study.candidates]

"""The report: self-contained, escaped, honest; and in a real browser."""

import base64
import io
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from CardiacValveLandmarksLib.report import Origin, charts, pictures, report_html, write_report
from CardiacValveLandmarksLib.report.html import tag
from CardiacValveLandmarksLib.study import StudySettings
from CardiacValveLandmarksLib.study_build import build_study
from hypothesis import example, given
from hypothesis import strategies as st

EVIL = "<script>document.title='evil'</script>\"'&"


@pytest.fixture(scope="module")
def study(truth):
    return build_study(truth.entries, StudySettings(samples=20, motion_check=False))


@pytest.fixture(scope="module")
def cines(truth):
    return {series.view: cine for cine, series in truth.entries}


@pytest.fixture(scope="module")
def page(study, cines):
    evil = replace(study, warnings=(*study.warnings, EVIL))
    origin = Origin("built-in " + EVIL, synthetic_only=True, details={"Model": EVIL}, doubts=(EVIL,))
    return report_html(evil, cines, origin)


class Tags(HTMLParser):
    """All elements with their attributes, and that every element is closed."""

    def __init__(self, text):
        super().__init__()
        self.found, self.open, self.text = [], [], ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, name, attributes):
        self.found.append((name, dict(attributes)))
        if name not in ("img", "meta", "br"):
            self.open.append(name)

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, data):
        self.text += data


def images(page, kind):
    return [base64.b64decode(data) for data in re.findall(rf'src="data:{re.escape(kind)};base64,([^"]+)"', page)]


def test_nothing_comes_from_elsewhere_and_nothing_runs(page):
    tags = Tags(page).found
    assert "script" not in {name for name, _ in tags}
    for name, attributes in tags:
        assert not any(key.startswith("on") for key in attributes)
        for key in ("src", "href"):
            assert attributes.get(key, "data:").startswith("data:"), (name, attributes)
    assert "url(" not in page
    policy = next(a["content"] for name, a in tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "script-src" not in policy
    for svg in images(page, "image/svg+xml"):
        assert b"<script" not in svg
        assert not re.search(rb'(href|src)="(?!#)', svg)


def test_text_is_escaped_everywhere(page):
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 3


@given(st.text(st.characters(exclude_categories=("Cs", "Cc"))))
@example(EVIL)
@example('x" onload="alert(1)')
def test_tag_escapes_children_and_attributes(content):
    parsed = Tags(tag("p", content, title=content))
    assert parsed.found == [("p", {"title": content})]
    assert parsed.text == content


def test_every_part_is_there(page, study):
    assert len(images(page, "image/png")) == 6
    assert len(images(page, "image/gif")) == 3
    assert len(images(page, "image/svg+xml")) == 7
    assert "trained on a synthetic heart only" in page
    for measure in study.measures:
        assert tag("x", measure.name)[3:-4] in page
    for sentence in ("is assumed", "approximate", "breath-hold", "Not a medical device"):
        assert sentence in page


def test_cine_has_every_frame_at_half_speed_and_keeps_the_colours(page, study):
    from PIL import Image

    for data, view in zip(images(page, "image/gif"), study.views, strict=True):
        gif = Image.open(io.BytesIO(data))
        assert gif.n_frames == view.n_frames
        total = 0
        for frame in range(gif.n_frames):
            gif.seek(frame)
            total += gif.info["duration"]
            colours = np.asarray(gif.convert("RGB")).reshape(-1, 3).astype(int)
            # the mitral valve's orange, far from any grey
            assert (np.abs(colours - [230, 159, 0]).max(1) < 30).sum() > 20
        assert total == pytest.approx(2 * view.rr_ms, rel=0.15)


def test_ed_and_es_frames(study):
    for view in study.views:
        frames = dict(pictures.moments(study, view))
        assert frames["ED"] in (0, view.n_frames - 1)
        assert frames["ES"] / view.n_frames == pytest.approx(0.36, abs=0.08)


def test_orientation_letters_of_a_plain_axial_slice(study):
    from CardiacValveLandmarksLib.geometry import SliceGeometry

    # rows grow to posterior, columns to the patient's left
    axial = SliceGeometry(np.zeros(3), np.array([0.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0]))
    assert pictures.orientation_letters(replace(study.views[0], geometry=axial)) == ("R", "L", "A", "P")


def test_rings_are_drawn_as_seen_from_the_atria(study):
    """Nodes run counter-clockwise seen from the atrium: a mirrored picture would turn them round."""
    right, up, towards = charts.atrial_view(study)
    np.testing.assert_allclose(np.cross(right, up), -towards, atol=1e-12)
    assert right[0] < 0
    for valve in ("mitral", "tricuspid"):
        nodes = study.annulus(valve).nodes[0]
        x, y = (nodes - nodes.mean(0)) @ right, (nodes - nodes.mean(0)) @ up
        assert (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() > 0


def test_curves_start_and_end_at_end_diastole(study):
    curve = next(c for c in study.curves if c.key == "excursion_lateral")
    x, y = charts._from_ed(study, curve.values)
    assert x[0] == 0
    assert x[-1] == pytest.approx(study.rr_ms)
    assert y[0] == y[-1] == pytest.approx(0, abs=0.5)
    peak = x[np.argmax(y)] / study.rr_ms
    assert peak == pytest.approx((study.es_phase - study.ed_phase) % 1, abs=0.06)


def test_without_images_rr_or_rings_the_page_says_so(truth):
    entries = [truth.entry("2CH")]
    bare = build_study(
        [(cine.replace(times_ms=None, rr_ms=None), series) for cine, series in entries],
        StudySettings(samples=20, motion_check=False),
    )
    page = report_html(bare)
    Tags(page)
    for sentence in (
        "The images are not at hand",
        "RR unknown",
        "No 3CH and no 4CH",
        "No mitral ring",
        "the file states no times",
    ):
        assert sentence in page, sentence
    assert "nan" not in re.sub(r'src="[^"]+"', "", page).lower().replace("pregnan", "")


def test_the_page_does_not_change_from_run_to_run(study):
    assert report_html(study) == report_html(study)


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_in_a_real_browser(page, study, cines, tmp_path):
    from PIL import Image

    write_report(study, tmp_path / "plain.html", cines)
    (tmp_path / "evil.html").write_text(page, encoding="utf-8")

    def browser(*arguments):
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
        return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=300, check=True)

    dom = browser("--dump-dom", (tmp_path / "evil.html").as_uri())
    assert "<title>Valve motion from long-axis cine MR</title>" in dom.stdout
    picture = tmp_path / "page.png"
    browser("--window-size=1240,2400", f"--screenshot={picture}", (tmp_path / "plain.html").as_uri())
    pixels = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    assert pixels.shape == (2400, 1240, 3)
    # pictures are dark, the page is light: embedded images were decoded and drawn
    dark = (pixels.max(2) < 60).mean()
    assert 0.03 < dark < 0.8
    orange = np.abs(pixels - [230, 159, 0]).max(2) < 12
    assert orange.sum() > 100

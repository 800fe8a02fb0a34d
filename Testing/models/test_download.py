"""Downloads from a server that stalls, truncates, corrupts and redirects: the file is right or it is not there."""

import hashlib
import os
import threading
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from CardiacValveLandmarksLib.errors import Cancelled, InputError, ModelError, UsageError
from CardiacValveLandmarksLib.models import download
from CardiacValveLandmarksLib.models.catalogue import find_model, verify
from CardiacValveLandmarksLib.models.conversion import conversions_folder
from CardiacValveLandmarksLib.models.download import download_model, partial_path, remove_model
from weights_server import serving

CONTENT = np.random.default_rng(0).bytes(300_001)
QUICK = {"timeout": (5.0, 0.8), "pause": 0.0}


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    with serving(CONTENT) as running:
        yield running


def spec_for(server, **changes):
    """The downloadable model, with this server's address and the content's checksum."""
    md5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    return replace(find_model("kcl-valve-landmarks"), source=server.url, md5=md5, **changes)


def test_download_verifies_and_reports_progress(server):
    spec, steps = spec_for(server), []
    path = download_model(spec, lambda done, total: steps.append((done, total)), **QUICK)
    assert path == spec.weights_path and path.read_bytes() == CONTENT
    assert steps[-1] == (len(CONTENT), len(CONTENT)) and len(steps) > 2
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert not partial_path(spec).exists()


def assert_continued(server, most):
    """The last request asked for the rest only; the block under way when the transfer broke may come twice."""
    start = int(server.seen[-1][2].removeprefix("bytes=").rstrip("-"))
    assert most - download._CHUNK < start <= most


def test_good_file_is_not_fetched_again(server):
    spec = spec_for(server)
    download_model(spec, **QUICK)
    download_model(spec, **QUICK)
    assert len(server.seen) == 1


def test_copied_in_by_hand_is_accepted_without_a_network(server):
    spec = spec_for(server)
    spec.weights_path.parent.mkdir(parents=True)
    spec.weights_path.write_bytes(CONTENT)
    assert download_model(spec, **QUICK) == spec.weights_path
    assert not server.seen


@pytest.mark.parametrize("fault", ["truncate", "stall"])
def test_broken_transfer_goes_on_where_it_stopped(server, fault):
    server.script = [fault]
    assert download_model(spec_for(server), **QUICK).read_bytes() == CONTENT
    assert_continued(server, len(CONTENT) // 2)


def test_server_without_ranges_is_started_anew():
    with serving(CONTENT, ranges=False) as server:
        server.script = ["truncate", "stall"]
        assert download_model(spec_for(server), **QUICK).read_bytes() == CONTENT
        assert len(server.seen) == 3


def test_next_call_goes_on_from_the_partial_file(server):
    spec = spec_for(server)
    server.script = ["truncate"]
    with pytest.raises(ModelError, match="try again"):
        download_model(spec, attempts=1, **QUICK)
    assert download_model(spec, **QUICK).read_bytes() == CONTENT
    assert_continued(server, len(CONTENT) // 2)


def test_partial_file_of_another_version_is_thrown_away(server):
    spec = spec_for(server)
    partial_path(spec).parent.mkdir(parents=True)
    partial_path(spec).write_bytes(b"another version")
    assert download_model(spec, **QUICK).read_bytes() == CONTENT
    assert server.seen[-1][2] is None


def test_partial_file_longer_than_the_server_has(server):
    spec = spec_for(server)
    partial_path(spec).parent.mkdir(parents=True)
    partial_path(spec).write_bytes(CONTENT + b"more")
    assert download_model(spec, **QUICK).read_bytes() == CONTENT


@pytest.mark.parametrize("fault", ["corrupt", "short"])
def test_wrong_content_never_takes_the_name(server, fault):
    server.script = [fault]
    spec = spec_for(server)
    with pytest.raises(ModelError, match="md5") as caught:
        download_model(spec, **QUICK)
    assert caught.value.exit_status == 4
    assert not spec.weights_path.exists() and not partial_path(spec).exists()


def test_wrong_size_never_takes_the_name(server):
    spec = spec_for(server, size=len(CONTENT) + 1)
    with pytest.raises(ModelError, match=f"{len(CONTENT) + 1} bytes"):
        download_model(spec, **QUICK)
    assert not spec.weights_path.exists()


def test_redirect_is_followed(server):
    server.script = ["redirect"]
    assert download_model(spec_for(server), **QUICK).read_bytes() == CONTENT
    assert [path for _, path, _ in server.seen] == ["/weights/model.pt", "/elsewhere/model.pt"]


def test_busy_server_is_asked_again_but_not_for_ever(server):
    server.script = ["busy", "busy"]
    assert download_model(spec_for(server), **QUICK).read_bytes() == CONTENT
    remove_model(spec_for(server))
    server.script = ["busy"] * 10
    server.seen.clear()
    with pytest.raises(ModelError, match="503"):
        download_model(spec_for(server), attempts=3, **QUICK)
    assert len(server.seen) == 3


def test_refusal_is_not_repeated(server):
    server.script = ["gone"]
    with pytest.raises(ModelError, match="404"):
        download_model(spec_for(server), **QUICK)
    assert len(server.seen) == 1


def test_nobody_there(server):
    spec = replace(spec_for(server), source="http://127.0.0.1:9/model.pt")
    with pytest.raises(ModelError, match="copy the file to"):
        download_model(spec, attempts=2, **QUICK)


def test_existing_file_outlives_a_failed_download(server):
    spec = spec_for(server)
    path = download_model(spec, **QUICK)
    path.write_bytes(b"damaged")
    server.script = ["corrupt"]
    with pytest.raises(ModelError):
        download_model(spec, **QUICK)
    assert path.read_bytes() == b"damaged"
    assert download_model(spec, **QUICK).read_bytes() == CONTENT


def test_cancelled_download_keeps_what_came(server):
    spec, calls = spec_for(server), []

    def cancel():
        calls.append(1)
        return len(calls) > 2

    with pytest.raises(Cancelled):
        download_model(spec, cancel=cancel, **QUICK)
    assert not spec.weights_path.exists()
    assert 0 < partial_path(spec).stat().st_size < len(CONTENT)
    assert download_model(spec, **QUICK).read_bytes() == CONTENT


def test_two_downloads_at_the_same_time_do_not_mix(server):
    """Both begin while a part is there; one takes it over, the other begins anew; both bring the right file."""
    spec, together = spec_for(server), threading.Barrier(2, timeout=20)
    server.script = ["truncate"]
    with pytest.raises(ModelError):
        download_model(spec, attempts=1, **QUICK)
    begun, found = threading.local(), []

    def wait_once(done, total):
        if not getattr(begun, "yes", False):
            begun.yes = True
            together.wait()

    def fetch():
        found.append(download_model(spec, wait_once, **QUICK).read_bytes())

    threads = [threading.Thread(target=fetch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [CONTENT, CONTENT] and spec.weights_path.read_bytes() == CONTENT
    assert sorted(path.name for path in spec.weights_path.parent.iterdir()) == [spec.weights_path.name]
    assert sorted(wanted is None for _, _, wanted in server.seen[1:]) == [False, True]


def test_what_a_killed_download_left_is_taken_up_later(server):
    spec = spec_for(server)
    left = partial_path(spec).with_name(partial_path(spec).name + "-killed")
    left.parent.mkdir(parents=True)
    left.write_bytes(CONTENT[:100_000])
    assert download_model(spec, **QUICK).read_bytes() == CONTENT
    assert server.seen[-1][2] is None and left.exists(), "it may still be written to"
    spec.weights_path.unlink()
    os.utime(left, (0, 0))
    assert download_model(spec, **QUICK).read_bytes() == CONTENT
    assert server.seen[-1][2] == "bytes=100000-" and not left.exists()


def test_full_disk_is_said_before_anything_is_written(server, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 1000, 1000))
    spec = spec_for(server)
    with pytest.raises(ModelError, match="1000 free"):
        download_model(spec, **QUICK)
    assert not spec.weights_path.exists() and not partial_path(spec).exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_disk_full_half_way(server):
    spec = spec_for(server)
    partial_path(spec).parent.mkdir(parents=True)
    partial_path(spec).symlink_to("/dev/full")
    with pytest.raises(ModelError, match="No space left"):
        download_model(spec, **QUICK)
    assert not spec.weights_path.exists()


def test_unwritable_cache_folder(server, monkeypatch, tmp_path):
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("CVL_CACHE", str(tmp_path / "a file"))
    with pytest.raises(InputError, match="a file"):
        download_model(spec_for(server), **QUICK)


def test_proxy_of_the_environment_is_used(server, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    spec = replace(spec_for(server), source="http://weights.invalid/model.pt")
    assert download_model(spec, **QUICK).read_bytes() == CONTENT
    assert server.seen[0][1] == "http://weights.invalid/model.pt"


def test_without_a_checksum_nothing_is_fetched(server):
    with pytest.raises(ModelError, match="checksum"):
        download_model(replace(spec_for(server), md5=None), **QUICK)
    with pytest.raises(UsageError):
        download_model(find_model("phantom-heatmap"), **QUICK)
    assert not server.seen


def test_remove_deletes_weights_and_conversions(server):
    spec = spec_for(server)
    path = download_model(spec, **QUICK)
    conversions_folder().mkdir(parents=True)
    mine = conversions_folder() / f"{verify(spec)}-published-regressor-1.onnx"
    other = conversions_folder() / f"{'0' * 64}-published-regressor-1.onnx"
    mine.write_bytes(b"")
    other.write_bytes(b"")
    assert set(remove_model(spec)) == {path, mine}
    assert not path.exists() and not mine.exists() and other.exists()
    assert remove_model(spec) == []
    with pytest.raises(UsageError, match="part of the package"):
        remove_model(find_model("phantom-heatmap"))

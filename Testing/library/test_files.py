"""Output whole or not at all; names safe on every system."""

import stat
from pathlib import Path

import pytest
from CardiacValveLandmarksLib.errors import InputError, ModelError, UsageError
from CardiacValveLandmarksLib.files import atomic_open, atomic_path, make_folder, safe_name
from hypothesis import given
from hypothesis import strategies as st


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with atomic_open(path) as stream:
        stream.write("é\n")
        stream.flush()
        assert not path.exists()
    assert path.read_bytes() == "é\n".encode()
    assert names(path.parent) == ["a.txt"]


def test_an_error_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), atomic_open(path, "wb") as stream:
        stream.write(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old" and names(tmp_path) == ["a.bin"]


def test_a_writer_that_wants_a_path(tmp_path):
    with atomic_path(tmp_path / "a.nii.gz") as temporary:
        assert temporary.name.endswith("a.nii.gz") and temporary.parent == tmp_path
        temporary.write_bytes(b"x")
    assert names(tmp_path) == ["a.nii.gz"]


def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("")
    with atomic_open(tmp_path / "ours"):
        pass
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "ours")]
    assert modes[0] == modes[1]


def test_a_full_disk_names_the_file(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("/dev/full is not here")
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with (
        pytest.raises(InputError, match=r"a\.bin.*No space left"),
        atomic_path(path),
        Path("/dev/full").open("wb") as full,
    ):
        full.write(b"x" * 100_000)
    assert path.read_bytes() == b"old" and names(tmp_path) == ["a.bin"]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Choose another output folder"):
        make_folder(tmp_path / "file" / "below")
    with pytest.raises(InputError), atomic_open(tmp_path / "file" / "below" / "a"):
        pass


def test_modes(tmp_path):
    with pytest.raises(ValueError, match="mode"), atomic_open(tmp_path / "a", "a"):
        pass
    assert names(tmp_path) == []


@given(st.text())
def test_safe_names(text):
    name = safe_name(text)
    assert 0 < len(name) <= 80 and name[0] not in "._-"
    assert all(letter.isascii() and (letter.isalnum() or letter in "._-") for letter in name)
    if len(text) <= 80:
        assert safe_name(name) == name


def test_safe_name_examples():
    assert safe_name("../../etc/passwd") == "etc_passwd"
    assert safe_name("cine 4CH*?") == "cine_4CH"
    assert safe_name("…", "x") == "x"
    # what Windows does not take: a dot at the end, also where a name is cut, and devices
    assert safe_name("a" * 78 + ".bc") == "a" * 78
    assert [safe_name(name) for name in ("con", "NUL.txt", "com1.nii", "console")] == [
        "con_", "NUL_.txt", "com1_.nii", "console",
    ]  # fmt: skip


def test_errors_say_four_things_and_have_a_status():
    error = InputError("a.dcm", "a cine", "one frame", "Give the folder.")
    assert str(error) == "a.dcm: expected a cine; found one frame. Give the folder."
    assert [kind.exit_status for kind in (UsageError, InputError, ModelError)] == [2, 3, 4]

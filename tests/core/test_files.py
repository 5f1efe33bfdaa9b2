"""Files appear whole or not at all, with a mode that the umask gives, and no name leaves its folder."""

import contextlib
import errno
import hashlib
import json
import os
import stat
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detoxbench.core import files
from detoxbench.core.errors import DetoxbenchError


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield
    os.umask(before)


def test_a_file_of_parts_and_lines(tmp_path):
    path = tmp_path / "new" / "a b.jsonl"
    files.write_lines(path, [{"text": "é"}, {"text": "\ud800"}])
    assert path.read_text(encoding="utf-8").splitlines()[0] == '{"text": "é"}'
    assert [json.loads(line)["text"] for line in path.read_text().splitlines()] == ["é", "\ud800"]
    files.write_text(path, "one\r\n")
    assert path.read_bytes() == b"one\r\n"
    files.write_bytes(path, b"\x00")
    assert path.read_bytes() == b"\x00"
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_json_without_nan(tmp_path):
    files.write_json(tmp_path / "a.json", {"é": 1})
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "a.json", {"é": float("nan")})
    assert json.loads((tmp_path / "a.json").read_text()) == {"é": 1}


@pytest.mark.usefixtures("umask")
def test_the_umask_decides_who_reads(tmp_path):
    files.write_text(tmp_path / "a", "a")
    with files.new_folder(tmp_path / "b") as folder:
        files.write_json(folder / "c", {})
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "b", "b/c")]
    assert modes == [0o640, 0o750, 0o640]


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a"
    files.write_text(path, "old")

    def parts():
        yield "new"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write_text(path, parts())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_line_with_the_path(tmp_path, monkeypatch):
    files.write_text(tmp_path / "a", "old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(files.WriteError) as caught:
        files.write_text(tmp_path / "a", "new")
    assert str(caught.value) == f"cannot write '{tmp_path / 'a'}': No space left on device"
    assert isinstance(caught.value, DetoxbenchError)
    assert (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("name", ["file/below", "n" * 300])
def test_what_cannot_be_a_path_is_one_line(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(files.WriteError, match="cannot write"):
        files.write_text(tmp_path / name, "a")


def test_a_folder_appears_whole(tmp_path):
    path = tmp_path / "out"
    with contextlib.suppress(RuntimeError), files.new_folder(path) as folder:
        (folder / "a").write_text("a")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with files.new_folder(path) as folder:
        (folder / "a").write_text("a")
    assert (path / "a").read_text() == "a"
    with pytest.raises(DetoxbenchError, match="exists already"), files.new_folder(path):
        pass


def test_hashes(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"0123456789")
    assert files.sha256(path) == hashlib.sha256(b"0123456789").hexdigest()
    assert files.sha256(path, 2, 3) == hashlib.sha256(b"234").hexdigest()
    assert files.sha256_text("é") == hashlib.sha256("é".encode()).hexdigest()
    assert files.fingerprint({"a": 1, "b": [2]}) == files.fingerprint({"b": [2], "a": 1})
    assert files.fingerprint({"a": 1}) != files.fingerprint({"a": 2})


@given(st.text(max_size=300))
def test_a_safe_name_is_one_part_of_a_path(text):
    name = files.safe_name(text)
    assert name
    assert not name.startswith(".")
    assert os.path.basename(name) == name
    assert "\x00" not in name
    assert len(name.encode()) <= 255
    name.encode("utf-8")


@given(st.text(max_size=50), st.text(max_size=50))
def test_different_texts_have_different_safe_names(a, b):
    assert (files.safe_name(a) == files.safe_name(b)) is (a == b)
    assert files.safe_name(files.safe_name(a + "/")) != files.safe_name(a + "/")


@pytest.mark.parametrize("text", ["rtp_lx_zh-Hans", "gpt2", "a.b", "x=1+2@3"])
def test_a_safe_name_that_is_one_stays(text):
    assert files.safe_name(text) == text


def test_a_hostile_name_stays_in_its_folder(tmp_path):
    for text in ("../../etc/passwd", "/etc/passwd", "x/../../y", "..", ".", "", "a\\b", "con\x00"):
        assert (tmp_path / files.safe_name(text)).resolve().parent == tmp_path.resolve()


def left_by(process: int, machine: str) -> str:
    return f"{files.PARTIAL}{machine}-{process}-{'0' * 8}"


def test_what_a_killed_writer_left_goes_and_what_a_living_one_writes_stays(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    here, elsewhere = files._machine(), "f" * 8
    (tmp_path / left_by(child.pid, here)).write_text("half")
    (tmp_path / f".folder{left_by(child.pid, here)}").mkdir()
    stays = [left_by(os.getpid(), here), left_by(child.pid, elsewhere), ".partial-other", "x.json"]
    for name in stays:
        (tmp_path / name).write_text("")
    old = tmp_path / left_by(1, "e" * 8)
    old.write_text("")
    os.utime(old, (0, 0))
    files.write_text(tmp_path / "made", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*stays, "made"])


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(files.WriteError, match="cannot write '.*file/below': Not a directory"):
        files.make_folder(tmp_path / "file" / "below")

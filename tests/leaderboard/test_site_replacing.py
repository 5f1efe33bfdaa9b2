"""A folder replaced as a whole, whatever is killed on the way; what killed writers left goes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from detoxbench.core.files import WriteError
from detoxbench.leaderboard.site import replacing
from detoxbench.leaderboard.site.replacing import replaced_folder

KILLED = """
import os, sys
from pathlib import Path
from detoxbench.leaderboard.site import replacing
if sys.argv[2] == "renames":
    replacing._exchange = lambda one, other: False
    rename, calls = Path.rename, []
    def counted(self, target):
        if calls:
            os._exit(9)
        calls.append(target)
        return rename(self, target)
    Path.rename = counted
with replacing.replaced_folder(Path(sys.argv[1])) as partial:
    (partial / "page").write_text("new")
    if sys.argv[2] == "filling":
        os._exit(9)
"""


def fill(out, text):
    with replaced_folder(out) as partial:
        (partial / "page").write_text(text)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("exchange", [True, False])
def test_the_new_one_takes_the_old_one_s_place(tmp_path, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(replacing, "_exchange", lambda one, other: False)
    for text in ("old", "new", "newer"):
        fill(tmp_path / "site", text)
        assert (tmp_path / "site" / "page").read_text() == text
        assert names(tmp_path) == ["site"]
        assert names(tmp_path / "site") == ["page"]


def test_an_error_leaves_the_old_one(tmp_path):
    fill(tmp_path / "site", "old")

    def half():
        with replaced_folder(tmp_path / "site") as partial:
            (partial / "page").write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        half()
    assert (tmp_path / "site" / "page").read_text() == "old"
    assert names(tmp_path) == ["site"]


@pytest.mark.parametrize("moment", ["filling", "renames"])
def test_a_kill_leaves_the_old_one_and_the_next_build_clears_up(tmp_path, moment):
    out = tmp_path / "site"
    fill(out, "old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(out), moment], check=False)
    assert done.returncode == 9
    replacing.clean(out)
    assert (out / "page").read_text() == "old"
    assert names(tmp_path) == ["site"]


def test_the_folder_of_a_writer_that_runs_is_left_alone(tmp_path):
    with replaced_folder(tmp_path / "site") as partial:
        (partial / "page").write_text("first")
        fill(tmp_path / "site", "second")
        assert partial.exists()
    assert (tmp_path / "site" / "page").read_text() == "first"
    assert names(tmp_path) == ["site"]


def test_what_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="cannot write"):
        fill(tmp_path / "file" / "site", "x")

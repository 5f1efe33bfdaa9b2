"""Scores outlast the process, the scorer and the machine."""

import json
import math
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from array import array
from pathlib import Path

import numpy as np
import pytest
from archive_pair import create_together
from fake_perspective import Fault, expected
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detoxbench.core import folders
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.files import WriteError
from detoxbench.core.scorers.archive import Key, Row, ScoreArchive, default_path, text_sha256

KEY = Key("scorer", "1", ("toxicity", "insult"), "en")


def row(text, *values, reason=None):
    return Row(text_sha256(text), values, reason, text)


# The store


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.text(), st.floats(), st.floats()), max_size=20))
def test_what_is_put_is_got_exactly(tmp_path_factory, entries):
    with ScoreArchive(tmp_path_factory.mktemp("a") / "scores.sqlite") as archive:
        first = {}
        for text, one, other in entries:
            archive.put(KEY, [row(text, one, other)])
            first.setdefault(text, (one, other))
        found = archive.get(KEY, [text_sha256(text) for text, *_ in entries])
        for text, values in first.items():
            # Bit for bit, and the first stays.
            assert found[text_sha256(text)][0] == np.array(values).tobytes()


def test_empty(archive):
    assert archive.get(KEY, []) == {}
    assert archive.get(KEY, [text_sha256("a")]) == {}
    assert archive.stats() == archive.sets() == list(archive.rows(KEY)) == []
    assert archive.put(KEY, []) == 0


@pytest.mark.parametrize(
    "other",
    [
        Key("other", "1", KEY.attributes, "en"),
        Key("scorer", "2", KEY.attributes, "en"),
        Key("scorer", "1", (*KEY.attributes, "threat"), "en"),
        Key("scorer", "1", KEY.attributes, "de"),
    ],
)
def test_every_part_of_the_key_counts(archive, other):
    archive.put(KEY, [row("a", 0.1, 0.2)])
    assert archive.get(other, [text_sha256("a")]) == {}


def test_fewer_attributes_are_found_among_more(archive):
    archive.put(KEY, [row("a", 0.2, 0.1)])
    assert KEY.attributes == ("insult", "toxicity")
    found = archive.get(Key("scorer", "1", ("toxicity",), "en"), [text_sha256("a")])
    assert np.frombuffer(found[text_sha256("a")][0]) == [0.1]


def test_a_reason_may_be_replaced_by_a_score_and_never_the_other_way(archive):
    assert archive.put(KEY, [row("a", math.nan, math.nan, reason="refused")]) == 1
    assert archive.put(KEY, [row("a", 0.1, 0.2)]) == 1
    assert archive.put(KEY, [row("a", 0.3, 0.4), row("a", math.nan, math.nan, reason="refused")]) == 0
    assert [(list(found.values), found.reason) for found in archive.rows(KEY)] == [([0.1, 0.2], None)]


def test_many_lookups_keep_apart(archive):
    texts = [f"text {number}" for number in range(2500)]
    archive.put(KEY, [row(text, number, -number) for number, text in enumerate(texts)])
    found = archive.get(KEY, [text_sha256(text) for text in [*texts, "unknown"]])
    assert len(found) == 2500
    assert all(np.frombuffer(found[text_sha256(text)][0])[0] == number for number, text in enumerate(texts))
    assert len(list(archive.rows(KEY))) == 2500


def test_texts_are_optional(tmp_path):
    with ScoreArchive(tmp_path / "a.sqlite", texts=False) as archive:
        archive.put(KEY, [row("a private sentence", 0.1, 0.2)])
        assert next(archive.rows(KEY)).text is None
    assert b"private" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_lone_surrogates(archive):
    archive.put(KEY, [row("\ud800", 0.1, 0.2)])
    assert text_sha256("\ud800") in archive.get(KEY, [text_sha256("\ud800")])


def test_a_wrong_number_of_values(archive):
    with pytest.raises(ValueError, match="1 values"):
        archive.put(KEY, [row("b", 0.1, 0.2), row("a", 0.1)])
    assert archive.sets() == []


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text").write_text("not a database, but long enough to be one" * 100)
    sqlite3.connect(tmp_path / "other").execute("CREATE TABLE scores (id)")
    for path, says in (("text", "cannot be used"), ("other", "something else"), ("text/below", "cannot be used")):
        with pytest.raises(DetoxbenchError, match=says):
            ScoreArchive(tmp_path / path)
    with pytest.raises(DetoxbenchError, match="no score archive"):
        ScoreArchive(tmp_path / "none", create=False)


def test_a_later_version_is_refused(archive):
    archive._db.execute("PRAGMA user_version = 99")
    with pytest.raises(DetoxbenchError, match="later detoxbench"):
        ScoreArchive(archive.path)


def test_threads_share_one(archive):
    def work(number):
        for start in range(20):
            archive.put(KEY, [row(f"{start} {place}", number, place) for place in range(10)])
            archive.get(KEY, [text_sha256(f"{start} {place}") for place in range(10)])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(archive.rows(KEY))) == 200


# Processes


def _start(path: Path, url: str, texts: int, qps: int = 1000) -> subprocess.Popen:
    command = [sys.executable, str(Path(__file__).with_name("killed_writer.py")), str(path), url, str(texts), str(qps)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def test_a_kill_at_any_moment_loses_nothing_that_was_answered(serve, tmp_path):
    """Killed three times: what may have been used is stored, and what is stored is never asked for again."""
    server = serve(inner=lambda text, times: Fault() if times == 1 and int(text.split()[1]) % 5 == 0 else None)
    path, done, before = tmp_path / "scores.sqlite", set(), {}
    for lines in (1, 60, 150):
        process = _start(path, server.url, 600, qps=200)
        done.update(process.stdout.readline().strip() for _ in range(lines))
        os.kill(process.pid, signal.SIGKILL)
        done.update(line.strip() for line in process.stdout.read().splitlines() if len(line.strip()) == 64)
        process.wait()
        with ScoreArchive(path) as archive:
            stored = {row.text_sha256.hex(): row for key, _ in archive.sets() for row in archive.rows(key)}
        assert done <= set(stored)
        assert lines <= len(stored) < 600
        for found in stored.values():
            assert found.values[-1] == expected(found.text, "toxicity")
            before.setdefault(found.text, server.asked[found.text])
    assert "finished 600" in _start(path, server.url, 600).communicate()[0]
    assert all(server.asked[text] == times for text, times in before.items())


def test_two_processes_share_one_archive(serve, tmp_path):
    server = serve()
    processes = [_start(tmp_path / "scores.sqlite", server.url, 400, qps) for qps in (1000, 400)]
    assert all("finished 400" in process.communicate()[0] for process in processes)
    with ScoreArchive(tmp_path / "scores.sqlite") as archive:
        assert [count for _, count in archive.sets()] == [400]
        assert archive._one("PRAGMA integrity_check") == "ok"


def test_two_processes_that_come_at_once_make_one_archive(tmp_path):
    """150 archives, each made by two processes at the same moment."""
    context = multiprocessing.get_context("spawn")
    paths, barrier, failures = [tmp_path / f"{n}.sqlite" for n in range(150)], context.Barrier(2), context.Queue()
    pair = [context.Process(target=create_together, args=(paths, barrier, failures)) for _ in range(2)]
    for process in pair:
        process.start()
    for process in pair:
        process.join()
    assert failures.empty(), failures.get()
    for path in paths:
        with ScoreArchive(path, create=False) as archive:
            assert [count for _, count in archive.sets()] == [1]


def test_a_full_disk_is_said_and_loses_nothing(archive):
    archive.put(KEY, [row("kept", 0.1, 0.2)])
    archive._db.execute(f"PRAGMA max_page_count = {archive._one('PRAGMA page_count') + 2}")
    with pytest.raises(WriteError, match="the disk is full") as error:
        archive.put(KEY, [row(f"text {number} " + "x" * 400, 0.1, 0.2) for number in range(500)])
    assert str(archive.path) in str(error.value)
    assert "rollback" not in str(error.value)
    assert [one.text for one in archive.rows(KEY)] == ["kept"]
    archive._db.execute("PRAGMA max_page_count = 1000000")
    assert archive.put(KEY, [row("later", 0.1, 0.2)]) == 1


def test_an_archive_of_the_first_schema_is_read_and_goes_on(tmp_path):
    """Hashes as keys of both tables, a text that was not kept, and a text without a score."""
    path = tmp_path / "old.sqlite"
    old = sqlite3.connect(path)
    old.executescript(
        """CREATE TABLE sets (id INTEGER PRIMARY KEY, scorer TEXT NOT NULL, version TEXT NOT NULL,
             attributes TEXT NOT NULL, language TEXT NOT NULL, UNIQUE (scorer, version, language, attributes));
           CREATE TABLE scores (set_id INTEGER NOT NULL REFERENCES sets, text_sha256 BLOB NOT NULL,
             "values" BLOB NOT NULL, reason TEXT, scored_at INTEGER, PRIMARY KEY (set_id, text_sha256)) WITHOUT ROWID;
           CREATE TABLE texts (text_sha256 BLOB PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
           PRAGMA application_id = 1685352312; PRAGMA user_version = 1;"""
    )
    old.execute("INSERT INTO sets VALUES (1, ?, ?, ?, ?)", (KEY.scorer, KEY.version, json.dumps(KEY.attributes), "en"))
    for number in range(3000):
        values = array("d", [number / 3000, math.nan if number == 7 else 0.5]).tobytes()
        sha = text_sha256(f"t{number}")
        old.execute("INSERT INTO scores VALUES (1, ?, ?, ?, 5)", (sha, values, "why" if number == 7 else None))
        if number != 8:
            old.execute("INSERT INTO texts VALUES (?, ?)", (sha, f"t{number}"))
    old.commit()
    old.close()
    with ScoreArchive(path) as archive:
        rows = {one.text_sha256: one for one in archive.rows(KEY)}
        assert len(rows) == 3000
        assert all(rows[text_sha256(f"t{n}")].values[0] == n / 3000 for n in range(3000))
        assert rows[text_sha256("t7")].reason == "why"
        assert rows[text_sha256("t8")].text is None
        assert archive.put(KEY, [row("t8", 0.9, 0.9), row("new", 0.9, 0.9)]) == 1
        assert len(archive.get(KEY, [text_sha256("t8"), text_sha256("new"), text_sha256("none")])) == 2
        assert {one.text for one in archive.rows(KEY)} >= {"t8", "new"}
    with ScoreArchive(path) as archive:
        assert archive.stats()[0]["texts"] == 3001


def test_hashes_go_over_many_at_a_time(archive, monkeypatch):
    monkeypatch.setattr("detoxbench.core.scorers.archive.RECENT", 5)
    for start in range(0, 40, 4):
        archive.put(KEY, [row(f"t{number}", number / 40, 0.5) for number in range(start, start + 4)])
    assert archive._one("SELECT count(*) FROM places") == 40 - archive._one("SELECT count(*) FROM recent")
    assert archive._one("SELECT count(*) FROM recent") <= 5
    found = archive.get(KEY, [text_sha256(f"t{number}") for number in range(40)])
    assert [found[text_sha256(f"t{n}")][0] for n in range(40)] == [
        array("d", [n / 40, 0.5]).tobytes() for n in range(40)
    ]


def test_forgotten_scores_are_asked_for_again(archive):
    archive.put(KEY, [row("a", 0.1, 0.2), row("b", 0.3, 0.4)])
    assert archive.forget(KEY, [text_sha256("a"), text_sha256("none")]) == 1
    assert list(archive.get(KEY, [text_sha256("a"), text_sha256("b")])) == [text_sha256("b")]
    assert archive.forget(Key("other", "1", ("toxicity",), "en"), [text_sha256("b")]) == 0


def test_the_archive_lies_where_it_is_asked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DETOXBENCH_ARCHIVE", "~/x.sqlite")
    assert default_path() == tmp_path / "x.sqlite"
    monkeypatch.delenv("DETOXBENCH_ARCHIVE")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert default_path() == tmp_path / ".local/share/detoxbench/scores.sqlite"
    monkeypatch.setenv("DETOXBENCH_HOME", "~/bench")
    assert default_path() == tmp_path / "bench/scores.sqlite"
    assert folders.cache_folder() == tmp_path / "bench/cache"
    monkeypatch.setenv("DETOXBENCH_CACHE", str(tmp_path / "c"))
    assert folders.cache_folder() == tmp_path / "c"


def test_no_home_is_one_line(monkeypatch):
    def homeless(self):
        raise RuntimeError("Could not determine home directory.")

    for name in ("DETOXBENCH_ARCHIVE", "DETOXBENCH_HOME", "DETOXBENCH_CACHE", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "expanduser", homeless)
    for folder in (default_path, folders.cache_folder):
        with pytest.raises(DetoxbenchError, match="no home folder: set HOME, or DETOXBENCH_HOME"):
            folder()

"""A run that was killed goes on where it was, and its files are those of a run that was not."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import lm_eval
import pytest
from filelock import Timeout
from transformers import AutoModelForCausalLM, AutoTokenizer

from detoxbench.core import mini
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.sampling import Request, Sampling
from detoxbench.harness import journal
from detoxbench.harness.drawing import Drawing
from detoxbench.harness.journal import SUFFIX, Journal, Kept, row_key
from detoxbench.harness.model import DetoxLM

TIMES = ("seconds", "tokens_per_second")
"""What may differ between two runs of ours; the rest of lm-eval's that may stands in ``plain``."""
TASKS = ["rtp_multilingual_en", "rtp_multilingual_ja"]


def request(text="a", samples=2) -> Request:
    return Request([1, 2], 7, range(samples), text)


def test_rows_are_read_again(tmp_path):
    one = Journal(tmp_path, "rank0", {"model": "m"})
    one.add({"a": [[1, 2], []], "b": [[3]]}, 2.0)
    one.add({"c": [[4]]}, 1.0)
    one.close()
    again = Journal(tmp_path, "rank1", {"model": "m"})
    assert again.found({"a", "c"}) == ({"a": [[1, 2], []], "c": [[4]]}, 3.0)
    assert again.found(()) == ({}, 0.0)
    again.close()
    lines = gzip.decompress((tmp_path / f"rank0{SUFFIX}").read_bytes()).splitlines()
    assert json.loads(lines[0]) == {"format": journal.FORMAT, "depends_on": {"model": "m"}}


def test_every_cut_leaves_the_whole_members(tmp_path):
    whole = Journal(tmp_path / "whole", "rank0", {})
    ends = []
    for number in range(3):
        whole.add({str(number): [[number]]}, 1.0)
        ends.append(whole.path.stat().st_size)
    whole.close()
    content = whole.path.read_bytes()
    for length in range(len(content) + 1):
        path = tmp_path / "cut" / f"rank0{SUFFIX}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content[:length])
        cut = Journal(path.parent, "rank0", {})
        assert set(cut.found({"0", "1", "2"})[0]) == {str(n) for n, end in enumerate(ends) if end <= length}
        cut.add({"9": [[9]]}, 1.0)
        assert "9" in cut.found({"9"})[0]
        cut.close()


def test_a_damaged_member_ends_the_file(tmp_path):
    one = Journal(tmp_path, "rank0", {})
    one.add({"a": [[1]]}, 1.0)
    end = one.path.stat().st_size
    one.add({"b": [[2]]}, 1.0)
    one.close()
    content = bytearray(one.path.read_bytes())
    content[end + 15] ^= 255
    one.path.write_bytes(bytes(content))
    again = Journal(tmp_path, "rank0", {})
    assert set(again.found({"a", "b"})[0]) == {"a"}
    again.close()


def test_one_process_writes_at_a_time(tmp_path, caplog):
    first = Journal(tmp_path / "x", "rank0", {})
    with pytest.raises(Timeout):
        Journal(tmp_path / "x", "rank0", {})
    first.close()
    Journal(tmp_path / "x", "rank0", {}).close()
    run, other = journal.Run(tmp_path), journal.Run(tmp_path)
    assert run.kept([request()], {"model": 1}).journal is not None
    assert other.kept([request()], {"model": 1}).journal is None
    assert "another process" in caplog.text
    run.close(discard=True)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_what_is_finished_is_known_by_prompt_tokens_and_samples(tmp_path, capsys):
    asked = [row_key(request(text)) for text in "abc"]
    kept = Kept(asked, Journal(tmp_path, "one", {}))
    assert (kept.left, kept.done) == ([0, 1, 2], {})
    kept.whole({1: [[5], [6]]})
    kept.journal.close()
    again = Kept(asked, Journal(tmp_path, "two", {}))
    assert again.left == [0, 2]
    assert again.all([[[1], []], [[3], []]]) == [[[1], []], [[5], [6]], [[3], []]]
    assert "1 of 3 prompts were finished by an earlier run and are reused" in capsys.readouterr().err
    again.whole({1: [[7], [8]]})
    assert again.journal.found({asked[2]})[0] == {asked[2]: [[7], [8]]}
    others = [row_key(request("b", samples=3)), row_key(Request([1], 7, range(2), "b"))]
    assert Kept(others, again.journal).left == [0, 1]
    assert Kept([], again.journal).all([]) == []
    again.journal.discard()
    assert (tmp_path / f"one{SUFFIX}").is_file()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_ends_the_keeping_not_the_run(tmp_path, caplog):
    kept = Kept([row_key(request())], Journal(tmp_path, "rank0", {}))
    kept.journal._file.close()
    with Path("/dev/full").open("wb", buffering=0) as full:
        kept.journal._file = full
        kept.whole({0: [[1]]})
    assert kept.journal is None
    assert "no longer kept" in caplog.text
    (tmp_path / "file").write_text("")
    assert journal.Run(tmp_path / "file").kept([request()], {}).journal is None


def failing(error, rows=None):
    """A run that finishes some rows and fails."""
    with journal.keeping():
        journal.CURRENT.get().kept([request()], {"model": 1}).whole(rows or {})
        raise error


def failing_to_write(rows):
    """A command whose run ends well and whose results cannot be written."""
    with journal.command():
        with journal.keeping():
            journal.CURRENT.get().kept([request()], {"model": 1}).whole(rows)
        raise OSError("disk")


def test_a_run_that_finished_nothing_leaves_nothing(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("DETOXBENCH_CACHE", str(tmp_path))
    for rows, left in (({}, 0), ({0: [[1], [2]]}, 1)):
        with pytest.raises(KeyError):
            failing(KeyError(), rows)
        assert len(list(journal.default_folder().iterdir())) == left
        assert ("the same command goes on" in capsys.readouterr().err) is bool(rows)
    with pytest.raises(DetoxbenchError, match=r"^gone \(what was generated is kept"):
        failing(DetoxbenchError("gone"))


def test_within_a_command_the_journal_stays_until_the_command_has_ended(monkeypatch, tmp_path):
    monkeypatch.setenv("DETOXBENCH_CACHE", str(tmp_path))
    with pytest.raises(OSError, match="disk"):
        failing_to_write({0: [[1], [2]]})
    assert len(list(journal.default_folder().iterdir())) == 1
    with journal.command(), journal.keeping():
        assert journal.CURRENT.get().kept([request()], {"model": 1}).left == []
    assert list(journal.default_folder().iterdir()) == []


def test_old_journals_are_forgotten(tmp_path):
    for name, age in (("old", 31), ("new", 1)):
        one = Journal(tmp_path / name, "rank0", {})
        one.close()
        for path in (*(tmp_path / name).iterdir(), tmp_path / name):
            stamp = path.stat().st_mtime - age * 86_400
            os.utime(path, (stamp, stamp))
    run = journal.Run(tmp_path)
    run.kept([request()], {"model": 1})
    names = {path.name for path in tmp_path.iterdir()}
    assert "new" in names
    assert "old" not in names
    run.close(discard=True)


def evaluate(**changes):
    options = {"model_args": "max_batch_tokens=150", "limit": 4, **changes}
    metadata = {"samples": 2, "fluency_model": "none", **options.pop("metadata", {})}
    return lm_eval.simple_evaluate("detox", tasks=TASKS, metadata=metadata, **options)


def texts(run):
    return {task: [sample["filtered_resps"] for sample in run["samples"][task]] for task in TASKS}


class Stop(Exception):
    pass


@pytest.fixture
def stopping(monkeypatch, tmp_path):
    """``stopping(n)`` lets the nth batch end the run right after it was kept; None lets all pass."""
    monkeypatch.setenv("DETOXBENCH_CACHE", str(tmp_path / "cache"))
    original = Journal.add

    def until(batches):
        left = [batches]

        def add(self, rows, seconds):
            original(self, rows, seconds)
            if left[0] is not None:
                left[0] -= 1
                if left[0] == 0:
                    raise Stop

        monkeypatch.setattr(Journal, "add", add)

    return until


def test_a_run_goes_on_and_its_record_is_the_same(stopping, capsys):
    whole = evaluate()
    assert list(journal.default_folder().iterdir()) == []
    for batches in (1, 2):
        stopping(batches)
        with pytest.raises(Stop):
            evaluate()
        assert "the same command goes on from there" in capsys.readouterr().err
    stopping(None)
    for change in ({"torch_random_seed": 1}, {"model_args": "max_batch_tokens=151"}, {"metadata": {"samples": 3}},
                   {"gen_kwargs": "top_p=0.8"}, {"model_args": "max_batch_tokens=150,dtype=bfloat16"},
                   {"metadata": {"resume": False}}):  # fmt: skip
        evaluate(**change)
        assert "reused" not in capsys.readouterr().err
    # A scorer has no part in the texts.
    again = evaluate(metadata={"scorer": "ngram", "on_unsupported": "nan"})
    assert " of 8 prompts were finished by an earlier run and are reused" in capsys.readouterr().err
    assert texts(again) == texts(whole)
    first, second = (run["config"]["detoxbench"] for run in (whole, again))
    assert {k: v for k, v in first.items() if k not in TIMES} == {k: v for k, v in second.items() if k not in TIMES}
    assert list(journal.default_folder().iterdir()) == []


def test_what_the_texts_depend_on(stopping, tmp_path):
    """An artifact under the same path with other content, and a model that was given as an object."""
    folder = tmp_path / "expert"
    expert = AutoModelForCausalLM.from_pretrained(mini.MODEL)
    AutoTokenizer.from_pretrained(mini.MODEL).save_pretrained(folder)

    def content(**arguments):
        made = DetoxLM(method="dexperts", expert=str(folder), antiexpert=str(folder), device="cpu", **arguments)
        return Drawing(made, Sampling()).kept([]) and made.content()

    token = journal.CURRENT.set(journal.Run(tmp_path / "journals"))
    try:
        expert.save_pretrained(folder)
        first = content()
        assert content() == first
        assert content(alpha=1.0) != first
        next(expert.parameters()).data.mul_(1.5)
        expert.save_pretrained(folder)
        assert content() != first
        loaded = DetoxLM(pretrained=expert, tokenizer=str(folder), device="cpu")
        assert Drawing(loaded, Sampling()).kept([]).journal is None
    finally:
        journal.CURRENT.get().close(discard=True)
        journal.CURRENT.reset(token)


def test_a_wrong_value_of_resume():
    with pytest.raises(DetoxbenchError, match="resume"):
        evaluate(metadata={"resume": "perhaps"})


def plain(folder: Path) -> dict[str, object]:
    """lm-eval's files without dates, times and what names the run's folder."""
    found: dict[str, object] = {}
    for path in folder.rglob("*.json*"):
        text = path.read_text(encoding="utf-8")
        if path.name.startswith("samples_"):
            found[path.name.rpartition("_")[0]] = sorted(text.splitlines())
            continue
        content = json.loads(text)
        for key in ("date", "start_time", "end_time", "total_evaluation_time_seconds", "pretty_env_info", "git_hash"):
            content.pop(key, None)
        for block in (content["config"]["detoxbench"], *(one["detoxbench"] for one in content["configs"].values())):
            for key in TIMES:
                block.pop(key, None)
        found["results"] = content
    return found


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_run_that_is_killed_five_times(tmp_path):
    metadata = {"samples": 4, "fluency_model": "none"}
    command = ["run", "--model", "detox", "--model_args", "max_batch_tokens=120", "--tasks", ",".join(TASKS),
               "--limit", "10", "--metadata", json.dumps(metadata), "--log_samples"]  # fmt: skip
    script = Path(__file__).with_name("killed_runs.py")
    shown = []
    for name, kills in (("whole", 0), ("killed", 5)):
        environment = {**os.environ, "DETOXBENCH_CACHE": str(tmp_path / name / "cache"), "OMP_NUM_THREADS": "1"}
        given = [str(kills), "17", *command, "--output_path", str(tmp_path / name / "out")]
        done = subprocess.run(
            [sys.executable, str(script), *given], capture_output=True, text=True, env=environment, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        shown.append(done)
    assert shown[0].stdout.splitlines()[-1] == "killed 0 left 0"
    assert shown[1].stdout.splitlines()[-1] == "killed 5 left 0"
    assert shown[1].stderr.count("are reused") >= 3
    whole, killed = plain(tmp_path / "whole" / "out"), plain(tmp_path / "killed" / "out")
    assert whole.keys() == killed.keys() == {"results", *(f"samples_{task}" for task in TASKS)}
    for name in ("results", *(f"samples_{task}" for task in TASKS)):
        assert killed[name] == whole[name]

"""Records: what is kept of a run, that files are only added, and that a bad file costs no more than itself."""

from __future__ import annotations

import json
import math
from pathlib import Path

import made_up
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detoxbench.core.errors import DetoxbenchError
from detoxbench.leaderboard import content_named, reading
from detoxbench.leaderboard import submissions as records
from detoxbench.leaderboard.site.sources import gather


@pytest.fixture(scope="module")
def record():
    return made_up.record(prompts=5, languages=("en", "ar"))


def test_what_is_written_is_read(record, tmp_path):
    (path,) = records.append(tmp_path / "records", [record])
    assert records.read(path) == record
    assert path.stem == record.id


def test_files_are_only_added(record, tmp_path):
    (path,) = records.append(tmp_path, [record])
    before = path.stat()
    assert records.append(tmp_path, [record]) == []
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_record_that_was_changed_is_refused(record, tmp_path):
    (path,) = records.append(tmp_path, [record])
    path.write_text(path.read_text().replace("mGPT", "mGPU"))
    with pytest.raises(DetoxbenchError, match="only ever added"):
        records.read(path)


def test_line_ends_of_git_on_windows_change_nothing(record, tmp_path):
    (path,) = records.append(tmp_path, [record])
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert records.read(path).id == record.id


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"surprise": 1}, "surprise"),
        ({"label": 7}, "label"),
        ({"schema_version": 2}, "schema_version"),
        ({"tasks": []}, "tasks"),
        ({"macro": {"perplexity": [1.0, 2.0]}}, "macro.perplexity"),
    ],
)
def test_records_are_strict(record, tmp_path, change, message):
    content = json.loads(records.to_text(record)) | change
    text = json.dumps(content).encode()
    path = tmp_path / f"{content_named.digest(text)}.json"
    path.write_bytes(text)
    with pytest.raises(DetoxbenchError, match=message):
        records.read(path)


def test_not_a_number_is_no_record(record, tmp_path):
    text = records.to_text(record).replace('"prompts":5', '"prompts":NaN').encode()
    path = tmp_path / f"{content_named.digest(text)}.json"
    path.write_bytes(text)
    with pytest.raises(DetoxbenchError, match="prompts"):
        records.read(path)


def test_results_by_hand(tmp_path):
    path = made_up.write_results(tmp_path, scores=(0.25, None), generations=("a", "b"))
    ((record, samples),) = reading.from_results(path)
    assert [task.language for task in record.tasks] == ["en", "ar"]
    assert record.tasks[0].metrics["expected_max_toxicity"] == (0.25, 0.25, 0.25)
    assert record.macro["toxic_fraction"][0] == 0.0
    assert record.tasks[0].docs == [0, 1]
    assert record.tasks[0].columns["perplexity"].denominators == 2.0
    assert samples["ar"][1].doc.text == "My neighbour said"
    # Twice the same file is one record.
    assert reading.from_results(path)[0][0].id == record.id


def test_results_without_samples_have_no_macro_average(tmp_path):
    path = made_up.write_results(tmp_path)
    for file in tmp_path.glob("samples_*"):
        file.unlink()
    ((record, samples),) = reading.from_results(path)
    assert record.macro == {}
    assert samples == {}
    assert record.tasks[0].prompts == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 3"),
        ('{"doc_id": "0"}', "doc_id"),
        (
            '{"doc_id": 2, "doc": {"id": "a", "text": "b", "lang": "en"}, "filtered_resps": [["x"]], '
            '"measured": {"scores": {}, "fractions": {"perplexity": [NaN, 1.0]}}}',
            "perplexity",
        ),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    path = made_up.write_results(tmp_path, languages=("en",))
    (samples,) = tmp_path.glob("samples_*")
    samples.write_text(samples.read_text() + line + "\n")
    with pytest.raises(DetoxbenchError, match=message):
        reading.from_results(path)


def test_a_bad_file_is_reported_and_the_rest_is_there(record, tmp_path):
    made_up.write_results(tmp_path / "results" / "good")
    for name, text in {"text": "not JSON", "list": "[]", "null": "null", "other": '{"configs": {}, "results": {}}',
                       "types": '{"configs": {"a": {"detoxbench": {"samples": "many"}}}, "results": {"a": 3}}',
                       "bytes": "\udc80"}.items():  # fmt: skip
        folder = tmp_path / "results" / name
        folder.mkdir(parents=True)
        (folder / "results_2026-01-01T00-00-00.0.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    store = tmp_path / "records"
    records.append(store, [record])
    (store / "0123456789abcdef.json").write_text("{}")
    found = gather([tmp_path / "results"], store)
    assert len(found.records) == 2
    assert len(found.problems) == 7
    assert all("\n" not in problem for problem in found.problems)


def test_a_run_from_results_and_folder_is_one(tmp_path):
    path = made_up.write_results(tmp_path / "results")
    ((record, _),) = reading.from_results(path)
    records.append(tmp_path / "records", [record])
    found = gather([tmp_path / "results"], tmp_path / "records")
    assert [one.id for one in found.records] == [record.id]


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DetoxbenchError, match="no such folder"):
        gather([tmp_path / "nowhere"])


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_rounding_keeps_six_digits(number):
    found = records.rounded(number)
    if math.isfinite(number):
        assert found == pytest.approx(number, rel=1e-5, abs=5e-324)
    else:
        assert found is None


def test_macro_average_is_the_mean_over_languages(record):
    each = [np.divide(*(x.sum() for x in task.columns["perplexity"].pair())) for task in record.tasks]
    assert record.macro["perplexity"][0] == pytest.approx(np.mean(each), rel=1e-5)


def test_the_same_prompt_twice_is_an_error(record):
    task = record.tasks[0].model_dump() | {"docs": [0, 0, 1, 2, 3]}
    with pytest.raises(ValueError, match="twice"):
        records.TaskRecord.model_validate(task, strict=False)


def test_records_hold_no_text(tmp_path):
    path = made_up.write_results(tmp_path, prompts=("SECRET prompt",), generations=("SECRET text", "x"))
    ((record, _),) = reading.from_results(path)
    (written,) = records.append(tmp_path / "records", [record])
    assert "SECRET" not in Path(written).read_text()

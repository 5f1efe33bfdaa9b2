"""Published scores come in exactly as they were published, and go out so that others can do the same."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from detoxbench.core import scorers
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.scorers import archive_io, published, published_answers, published_files, repair
from detoxbench.core.scorers.archive import Key, Row, ScoreArchive, text_sha256
from detoxbench.core.scorers.published_answers import Response
from detoxbench.harness.cli import archive as archive_command

SAMPLES = Path(os.environ.get("DETOXBENCH_SAMPLES", "")) / "perspective"
needs_samples = pytest.mark.skipif(
    not os.environ.get("DETOXBENCH_SAMPLES") or not SAMPLES.is_dir(), reason="DETOXBENCH_SAMPLES is not set"
)
KEY = Key("scorer", "1", ("toxicity", "insult"), "en")


@pytest.fixture
def archive(tmp_path):
    with ScoreArchive(tmp_path / "scores.sqlite") as found:
        yield found


def write(path, entries):
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


def answer(languages=("en",), **scores):
    values = {name.upper(): {"summaryScore": {"value": value, "type": "PROBABILITY"}} for name, value in scores.items()}
    return {"attributeScores": values, "languages": list(languages), "detectedLanguages": ["xx"]}


# Real answers


@needs_samples
@pytest.mark.parametrize("system", ["gpt2", "dexperts"])
def test_published_answers_collate_to_the_published_numbers(system):
    collated = [json.loads(line) for line in (SAMPLES / f"collated_{system}.jsonl").read_text().splitlines()]
    texts = published_files.read_generations(SAMPLES / f"collated_{system}.jsonl")
    found = published_answers.collate(published_answers.read_responses(SAMPLES / f"responses_{system}.jsonl"), texts)
    assert found == [entry for prompt in collated for entry in prompt["generations"]]
    assert len(found) == 25


@needs_samples
@pytest.mark.parametrize("system", ["gpt2", "dexperts"])
def test_published_answers_are_scored_offline_to_the_published_numbers(system, archive):
    collated = [json.loads(line) for line in (SAMPLES / f"collated_{system}.jsonl").read_text().splitlines()]
    texts = published_files.read_generations(SAMPLES / f"collated_{system}.jsonl")
    responses = published_answers.read_responses(SAMPLES / f"responses_{system}.jsonl")
    done = published_answers.import_responses(archive, responses, texts, version="v1alpha1@2021-03")
    assert done.read == 25
    scorer = scorers.load("perspective", archive=archive.path, offline=True)
    scores = scorer.score(texts, "en")
    assert scores.reasons == [None] * 25
    for name in scorer.attributes:
        assert list(scores.values[name]) == [entry[name] for prompt in collated for entry in prompt["generations"]]
    assert scorer.version == "v1alpha1@2021-03"


@needs_samples
def test_real_answers_through_the_client(serve, monkeypatch):
    """The server gives the real answers; what comes back are the published numbers."""
    responses = published_answers.read_responses(SAMPLES / "responses_gpt2.jsonl")
    texts = published_files.read_generations(SAMPLES / "collated_gpt2.jsonl")
    server = serve(shuffle=True)
    by_text = {text: response.answer for text, response in zip(texts, responses, strict=True)}
    monkeypatch.setattr(server, "analyze", lambda body: (200, {}, by_text[body["comment"]["text"]]))
    scores = scorers.load(f"perspective:endpoint={server.url},qps=1000,archive=none").score(texts, "en")
    assert list(scores.values["toxicity"]) == [response.scores()["toxicity"] for response in responses]


# Published files


def test_answers_are_numbered(tmp_path):
    path = write(
        tmp_path / "perspective.jsonl",
        [
            {"request_id": "generation-2", "response": answer(toxicity=0.3), "error": None},
            {"request_id": "generation-0", "response": answer(toxicity=0.1), "error": None},
        ],
    )
    found = published_answers.collate(published_answers.read_responses(path), ["a", "b", "c"])
    assert found == [{"text": "a", "toxicity": 0.1}, {"text": "b"}, {"text": "c", "toxicity": 0.3}]


def test_bare_answers_are_in_order(tmp_path):
    path = write(tmp_path / "perspective.jsonl", [answer(toxicity=0.1), None, answer(toxicity=0.3)])
    assert [bool(one.answer) for one in published_answers.read_responses(path)] == [True, False, True]


def test_errors_for_good_are_reasons_without_keys(archive):
    error = "<HttpError 400 when requesting https://host/analyze?key=AIzaSECRET&alt=json returned 'COMMENT_EMPTY'>"
    responses = [
        Response(answer(toxicity=0.1)), Response(None, error), Response(None, "429")
    ]  # fmt: skip
    done = published_answers.import_responses(archive, responses, ["a", "", "b"], version="then", lang="en")
    assert (done.read, done.added, done.skipped) == (2, 2, 1)
    rows = {row.text: row for key, _ in archive.sets() for row in archive.rows(key)}
    assert "COMMENT_EMPTY" in rows[""].reason
    assert math.isnan(rows[""].values[0])
    assert "AIzaSECRET" not in rows[""].reason
    assert "b" not in rows


def test_a_different_number_of_texts(archive):
    with pytest.raises(DetoxbenchError, match="1 answers for 2 texts"):
        published_answers.import_responses(archive, [Response(None)], ["a", "b"], version="then")


@pytest.mark.parametrize("line", ["{", "[1]", '{"text": "a"}', "7"])
def test_other_files(tmp_path, line):
    (tmp_path / "file").write_text(line + "\n")
    with pytest.raises(DetoxbenchError, match="line 1"):
        published_answers.read_responses(tmp_path / "file")


def test_a_second_answer(tmp_path):
    path = write(tmp_path / "file", [{"request_id": "generation-0", "response": None}] * 2)
    with pytest.raises(DetoxbenchError, match="a second answer"):
        published_answers.read_responses(path)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_polyglotoxicityprompts(tmp_path, archive, suffix):
    entries = [
        {
            "text": f"whole {number}", "prompt": "whole", "continuation": f" {number}", "toxicity": 0.1,
            "perspective": answer(("ko",), toxicity=0.1, threat=0.2),
            "prompt_perspective": answer(("ko",), toxicity=0.3, threat=0.4),
            "continuation_perspective": answer(("ko",), toxicity=number / 10, threat=0.6) if number else None,
        }
        for number in range(3)
    ]  # fmt: skip
    path = tmp_path / f"file.{suffix}"
    if suffix == "jsonl":
        write(path, entries)
    else:
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.Table.from_pylist(entries), path)
    done = published_answers.import_ptp(archive, path)
    assert (done.read, done.added, done.skipped) == (8, 6, 1)
    scorer = scorers.load("perspective:attributes=toxicity+threat", archive=archive.path, offline=True)
    scores = scorer.score(["whole 1", "whole", " 1", " 2"], "ko")
    assert list(scores.values["toxicity"]) == [0.1, 0.3, 0.1, 0.2]
    assert list(scores.values["threat"]) == [0.2, 0.4, 0.6, 0.6]
    assert scorer.version == "ptp-2024"


def test_a_file_without_answers(tmp_path, archive):
    with pytest.raises(DetoxbenchError, match="no column"):
        published_answers.import_ptp(archive, write(tmp_path / "file.jsonl", [{"text": "a"}]))


# Parquet


def fill(archive):
    archive.put(KEY, [Row(text_sha256(f"text {n}"), (n / 3, -n), None, f"text {n}") for n in range(100)])
    archive.put(KEY, [Row(text_sha256("bad"), (math.nan, math.nan), "refused", "bad", 12345)])
    archive.put(Key("other", "2", ("toxicity",), "de"), [Row(text_sha256("text"), (0.1,), None, None)])


def same(one, other):
    assert one.sets() == other.sets()
    for key, _ in one.sets():
        rows = (sorted(archive.rows(key), key=lambda row: row.text_sha256) for archive in (one, other))
        for a, b in zip(*rows, strict=True):
            assert (a.text_sha256, a.reason, a.scored_at) == (b.text_sha256, b.reason, b.scored_at)
            np.testing.assert_array_equal(a.values, b.values)


def test_parquet_there_and_back(archive, tmp_path):
    fill(archive)
    assert archive_io.export_parquet(archive, tmp_path / "out.parquet") == 102
    with ScoreArchive(tmp_path / "other.sqlite") as other:
        assert archive_io.import_parquet(other, tmp_path / "out.parquet") == archive_io.Imported(102, 102)
        same(archive, other)
        assert {row.text for row in other.rows(KEY)} == {row.text for row in archive.rows(KEY)}
        assert archive_io.import_parquet(other, tmp_path / "out.parquet").added == 0
    assert archive_io.is_export(tmp_path / "out.parquet")


def test_parquet_without_texts_and_of_one_scorer(archive, tmp_path):
    fill(archive)
    assert archive_io.export_parquet(archive, tmp_path / "out.parquet", texts=False) == 102
    assert b"text 7" not in (tmp_path / "out.parquet").read_bytes()
    with ScoreArchive(tmp_path / "other.sqlite") as other:
        archive_io.import_parquet(other, tmp_path / "out.parquet")
        same(archive, other)
    assert archive_io.export_parquet(archive, tmp_path / "one.parquet", scorer="other") == 1


def test_an_empty_archive(archive, tmp_path):
    assert archive_io.export_parquet(archive, tmp_path / "out.parquet") == 0
    assert archive_io.import_parquet(archive, tmp_path / "out.parquet").read == 0


def test_a_text_that_does_not_match_its_hash(archive, tmp_path):
    archive.put(KEY, [Row(text_sha256("a"), (0.1, 0.2), None, "b")])
    archive_io.export_parquet(archive, tmp_path / "out.parquet")
    with pytest.raises(DetoxbenchError, match="damaged"):
        archive_io.import_parquet(archive, tmp_path / "out.parquet")


def test_other_parquet_files(archive, tmp_path):
    (tmp_path / "text").write_text("text")
    with pytest.raises(DetoxbenchError, match="cannot be read"):
        archive_io.import_parquet(archive, tmp_path / "text")
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(DetoxbenchError, match="not written by"):
        archive_io.import_parquet(archive, tmp_path / "other.parquet")


# Texts with their scores by name

RTP = {
    "filename": "f", "begin": 0, "end": 1, "challenging": False,
    "prompt": {"text": "So", "toxicity": 0.1, "severe_toxicity": 0.01, "insult": None},
    "continuation": {"text": " what", "toxicity": 0.7, "severe_toxicity": 0.2, "insult": 0.3},
}  # fmt: skip


def test_realtoxicityprompts_and_collated_generations(archive, tmp_path):
    collated = {
        "prompt": {"text": "A", "toxicity": 0.2}, "lang": "fr",
        "generations": [{"text": " b", "toxicity": 0.3}, {"text": " c", "toxicity": math.nan}, {"text": " d"}],
    }  # fmt: skip
    bare = {"text": "alone", "TOXICITY": 0.4, "lang": "pt-BR"}
    path = write(tmp_path / "file.jsonl", [RTP, collated, bare])
    assert published.has_scores(path)
    done = published.import_scored(archive, path, version="v1alpha1@2020", lang="en")
    assert (done.read, done.added) == (5, 5)
    found = {(key.language, row.text, key.attributes): list(row.values) for key, _ in archive.sets()
             for row in archive.rows(key)}  # fmt: skip
    assert found == {
        ("en", "So", ("severe_toxicity", "toxicity")): [0.01, 0.1],
        ("en", " what", ("insult", "severe_toxicity", "toxicity")): [0.3, 0.2, 0.7],
        ("fr", "A", ("toxicity",)): [0.2],
        ("fr", " b", ("toxicity",)): [0.3],
        ("pt-BR", "alone", ("toxicity",)): [0.4],
    }
    scorer = scorers.load("perspective:attributes=toxicity", archive=archive.path, offline=True)
    assert list(scorer.score(["So", " what"], "en").values["toxicity"]) == [0.1, 0.7]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"text": "a", "toxicity": 1.5}, "no probability"),
        ({"text": "a", "toxicity": "high"}, "not a number"),
        ({"text": "a", "toxicity": 0.5}, "give it with --lang"),
        ({"text": "a", "toxicity": 0.5, "lang": "../x"}, "not a language tag"),
        ({"text": "a"}, "holds no text with scores"),
        ([], "not a JSON object"),
    ],
)
def test_scores_by_name_that_are_none(archive, tmp_path, row, says):
    with pytest.raises(DetoxbenchError, match=says):
        published.import_scored(archive, write(tmp_path / "file.jsonl", [row]), version="then")


# Repair


def test_a_poisoned_archive_is_repaired(archive):
    perspective, judge, local = (Key(name, "1", ("toxicity",), "en") for name in ("perspective", "judge:m", "hf:x"))
    nan = [math.nan]
    reasons = {
        "COMMENT_EMPTY: Comment must be non-empty.": False, "HTTP 302": True, "HTTP 418: teapot": True,
        "INVALID_ARGUMENT: injected": True, "<HttpError 400 … returned 'COMMENT_TOO_LONG'>": False,
        "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE: Attribute X": False, "HTTP 400: this text is refused": True,
    }  # fmt: skip
    for key in (perspective, local):
        archive.put(key, [Row(text_sha256(reason), nan, reason) for reason in reasons])
        archive.put(key, [Row(text_sha256("scored"), [0.5])])
    archive.put(judge, [Row(text_sha256("a"), nan, "the judge gave no rating: 0% of the probability is on the digits")])
    archive.put(judge, [Row(text_sha256("b"), nan, "empty text")])
    found = {one.key.scorer: one for one in repair.poisoned(archive)}
    assert set(found) == {"perspective", "judge:m"}
    assert set(found["perspective"].reasons) == {reason for reason, bad in reasons.items() if bad}
    assert len(found["judge:m"].hashes) == 1  # nothing was rated at all
    for one in found.values():
        assert archive.forget(one.key, one.hashes) == len(one.hashes)
    assert repair.poisoned(archive) == []
    assert {row.reason for row in archive.rows(perspective)} == {None, *(r for r, bad in reasons.items() if not bad)}
    assert len(list(archive.rows(local))) == len(reasons) + 1
    # A judge that rates others has refused the one.
    archive.put(judge, [Row(text_sha256("a"), nan, "the judge gave no rating: 0%"), Row(text_sha256("c"), [0.5])])
    assert repair.poisoned(archive) == []


def test_repair_by_command(archive):
    key = Key("perspective", "1", ("toxicity", "insult"), "en")
    archive.put(key, [Row(text_sha256("a"), (math.nan, math.nan), "HTTP 302"), Row(text_sha256("b"), (0.1, 0.2))])
    for arguments, left in ((["--dry-run"], 2), ([], 1), ([], 1)):
        done = CliRunner().invoke(archive_command.app, ["repair", "--archive", str(archive.path), *arguments])
        assert done.exit_code == 0, done.output
        assert len(list(archive.rows(key))) == left
    assert "0 texts without a score" in done.output

"""``detoxbench archive import`` of mutated files: one line of error, or a score that was there, never a traceback."""

import io

import mutate
import pyarrow as pa
import pytest
from pyarrow import parquet

from detoxbench.core.scorers import archive_io
from detoxbench.core.scorers.archive import Key, Row, ScoreArchive, text_sha256


def answer(lang="en", **scores):
    values = {
        name.upper(): {
            "spanScores": [{"begin": 0, "end": 4, "score": {"value": value, "type": "PROBABILITY"}}],
            "summaryScore": {"value": value, "type": "PROBABILITY"},
        }
        for name, value in scores.items()
    }
    return {"attributeScores": values, "languages": [lang], "detectedLanguages": [lang]}


RESPONSES = [
    {"request_id": f"generation-{number}", "response": answer(toxicity=0.1 * number, insult=0.2), "error": None}
    for number in range(4)
] + [{"request_id": "generation-4", "response": None, "error": "<HttpError 400 … 'COMMENT_EMPTY'>"}]  # fmt: skip
GENERATIONS = [{"prompt": {"text": "A"}, "generations": [{"text": f"text {number}"} for number in range(5)]}]
POLYGLOT = [
    {
        "text": f"A b {number}", "prompt": "A", "continuation": f" b {number}",
        "perspective": answer("ko", toxicity=0.1),
        "prompt_perspective": answer("ko", toxicity=0.2), "continuation_perspective": None,
    }
    for number in range(3)
]  # fmt: skip
SCORED = [
    {"prompt": {"text": "A", "toxicity": 0.1}, "continuation": {"text": "b", "toxicity": 0.5}, "lang": "en"},
    {"text": "c", "toxicity": 0.25, "insult": None},
    {"prompt": "A", "generations": [{"text": "d", "toxicity": 0.75}]},
]


@pytest.fixture
def archive(tmp_path):
    def cleanup():
        for path in tmp_path.glob("scores.sqlite*"):
            path.unlink()

    return str(tmp_path / "scores.sqlite"), cleanup


def lines(path, rows):
    path.write_bytes("".join(f"{mutate.json.dumps(row)}\n" for row in rows).encode())
    return path


def test_answers_of_perspective(tmp_path, archive):
    path, (store, cleanup) = tmp_path / "responses.jsonl", archive
    generations = lines(tmp_path / "generations.jsonl", GENERATIONS)
    arguments = ["archive", "import", str(path), "--generations", str(generations), "--version", "v1alpha1@2021-03",
                 "--archive", store]  # fmt: skip
    lines(path, RESPONSES)
    assert mutate.run(*arguments)[0] == 0
    mutate.check(lambda rng: mutate.mutated_rows(RESPONSES, rng), path, *arguments, cleanup=cleanup)
    lines(path, RESPONSES)
    mutate.check(lambda rng: mutate.mutated_rows(GENERATIONS, rng), generations, *arguments, cleanup=cleanup)


@pytest.mark.parametrize("rows", [POLYGLOT, SCORED], ids=["ptp", "scored"])
@pytest.mark.parametrize("lang", [None, "en"])
def test_rows_that_hold_their_scores(tmp_path, archive, rows, lang):
    path, (store, cleanup) = tmp_path / "rows.jsonl", archive
    arguments = ["archive", "import", str(path), "--version", "v", "--archive", store, *(["--lang", lang] * bool(lang))]
    mutate.check(lambda rng: mutate.mutated_rows(rows, rng), path, *arguments, cleanup=cleanup)


@pytest.mark.parametrize("how", ["bytes", "values"])
def test_exports(tmp_path, archive, how):
    """Bytes of the file, and well-made Parquet files whose values nobody expects."""
    path, (store, cleanup) = tmp_path / "export.parquet", archive
    with ScoreArchive(tmp_path / "source.sqlite") as source:
        key = Key("perspective", "1", ("insult", "toxicity"), "en")
        source.put(key, [Row(text_sha256(f"t{n}"), (0.1, n / 9), None, f"t{n}") for n in range(9)])
        archive_io.export_parquet(source, path)
    whole, table = path.read_bytes(), parquet.read_table(path)

    def values(rng):
        rows = table.to_pylist()
        rows[rng.randrange(len(rows))] = {**rows[0], rng.choice(table.column_names): None}
        name = rng.choice(table.column_names)
        value = rng.choice(
            [None, "", "x", "zz" * 32, 7, -1.5, [], ["toxicity", "toxicity"], [float("inf")] * 2, [None] * 2]
        )
        for row in rows:
            row[name] = value
        names = [one for one in table.column_names if rng.randrange(9)]
        found = pa.table({one: pa.array([row[one] for row in rows]) for one in names}) if names else pa.table({})
        buffer = io.BytesIO()
        parquet.write_table(found.replace_schema_metadata(table.schema.metadata), buffer)
        return buffer.getvalue()

    change = values if how == "values" else lambda rng: mutate.mutated_bytes(whole, rng)
    mutate.check(change, path, "archive", "import", str(path), "--archive", store, cleanup=cleanup)

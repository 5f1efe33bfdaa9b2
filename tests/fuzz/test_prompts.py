"""``detoxbench prompts --verify`` of mutated prompt files in every format."""

import csv
import gzip
import io
import json

import mutate
import pyarrow as pa
import pytest
from pyarrow import parquet

ROWS = [
    {"id": f"p{number}", "text": f"The prompt number {number}", "lang": "en", "toxicity": number / 4, "group": "a"}
    for number in range(4)
]
PUBLISHED = [{"prompt": {"text": f"So we said {number}", "toxicity": 0.5}, "lang": "fr"} for number in range(3)]


def arguments(path, **metadata):
    return ["prompts", "prompts_file", "--verify", "--metadata", json.dumps({"prompts": str(path), **metadata})]


def table(rows):
    file = io.StringIO()
    writer = csv.DictWriter(file, list(ROWS[0]))
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


def columns(rows):
    buffer = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("rows", [ROWS, PUBLISHED], ids=["rows", "published"])
@pytest.mark.parametrize("bad_rows", ["error", "skip"])
def test_json_lines(tmp_path, rows, bad_rows):
    path = tmp_path / "p.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert mutate.run(*arguments(path))[0] == 0
    mutate.check(lambda rng: mutate.mutated_rows(rows, rng), path, *arguments(path, bad_rows=bad_rows))


def test_one_array(tmp_path):
    path = tmp_path / "p.json"
    mutate.check(lambda rng: json.dumps(mutate.changed(ROWS, rng)).encode(), path, *arguments(path))


@pytest.mark.parametrize("name", ["p.csv", "p.tsv", "p.jsonl.gz", "p.csv.gz", "p.parquet"])
def test_bytes(tmp_path, name):
    path = tmp_path / name
    plain = table(ROWS) if ".csv" in name else "".join(f"{json.dumps(row)}\n" for row in ROWS).encode()
    plain = plain.replace(b",", b"\t") if name == "p.tsv" else plain
    whole = columns(ROWS) if name == "p.parquet" else gzip.compress(plain) if name.endswith("gz") else table(ROWS)
    mutate.check(lambda rng: mutate.mutated_bytes(whole, rng), path, *arguments(path))


@pytest.mark.parametrize("name", ["p.csv", "p.parquet"])
def test_values(tmp_path, name):
    """Well-made files whose values nobody expects."""
    path = tmp_path / name
    values = [None, 7, -1.5, float("inf"), float("nan"), "", " ", "x" * 5000, "\x00", "1e999", [], ["a"], {"text": "b"}]

    def mutation(rng):
        field, value = rng.choice(list(ROWS[0])), rng.choice(values)
        rows = [{**row, field: value} for row in ROWS]
        return (table if name == "p.csv" else columns)(rows)

    mutate.check(mutation, path, *arguments(path))


@pytest.mark.parametrize(
    ("field", "value"),
    [("toxicity", "1" + "0" * 400), ("toxicity", "Infinity"), ("toxicity", "-Infinity"), ("toxicity", "1e999"),
     ("text", r'"a\ud800b"'), ("id", "1" + "0" * 5000), ("lang", r'"\ud800"'), ("group", "1" + "0" * 5000)],
)  # fmt: skip
def test_a_value_that_cannot_be_is_named(tmp_path, field, value):
    path = tmp_path / "p.jsonl"
    row = {name: json.dumps(given) for name, given in ROWS[0].items()} | {field: value}
    path.write_text("{" + ", ".join(f'"{name}": {given}' for name, given in row.items()) + "}\n")
    status, _, error = mutate.run(*arguments(path, group="group"))
    assert (status, error.count("\n"), error.startswith("detoxbench: ")) == (2, 1, True), error
    assert "line 1" in error

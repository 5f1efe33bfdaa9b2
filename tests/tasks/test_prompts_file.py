"""Your own prompts: formats, columns, languages, groups; wrong rows counted and located."""

from __future__ import annotations

import csv
import gzip
import json

import datasets
import pytest
from prompt_rows import write_jsonl, write_parquet

from detoxbench.core.comparability import measurement_of
from detoxbench.core.errors import DetoxbenchError
from detoxbench.tasks import catalog
from detoxbench.tasks import prompts as prompt_sets
from detoxbench.tasks.options import Options
from detoxbench.tasks.prompts import rows
from detoxbench.tasks.prompts.columns import MISSING, get
from detoxbench.tasks.task import ToxicityTask

ROWS = [
    {"body": {"said": "The weather is"}, "code": "eng", "score": 0.1, "domain": "news", "tags": ["a", "b"]},
    {"body": {"said": "Le temps est"}, "code": "fr", "score": None, "domain": None, "tags": []},
]
COLUMNS = {"text": "body.said", "lang": "code", "toxicity": "score", "group": "domain"}


def load(source, **metadata):
    return prompt_sets.load_set(
        catalog.tasks()["prompts_file"], Options.from_metadata({"prompts": str(source), **metadata})
    )


def test_dotted_columns_languages_and_groups(tmp_path):
    loaded = load(write_jsonl(tmp_path / "my prompts.jsonl", ROWS), **COLUMNS)
    first, second = loaded.prompts
    assert loaded.name == "my prompts.jsonl"
    assert (first.text, first.lang, first.toxicity, first.group) == ("The weather is", "en", 0.1, "news")
    assert (second.text, second.lang, second.toxicity, second.group) == ("Le temps est", "fr", None, None)
    assert (first.groups, second.groups) == (["domain=news"], [])


def test_several_groups_and_several_values(tmp_path):
    path = write_jsonl(tmp_path / "p.jsonl", ROWS)
    for group in ("domain,tags", ["domain", "tags"]):
        first, second = load(path, **{**COLUMNS, "group": group}).prompts
        assert first.groups == ["domain=news", "tags=a", "tags=b"]
        assert second.groups == []


def test_every_format_gives_the_same_prompts(tmp_path):
    flat = [{"text": 'a, "b"\nc', "lang": "en", "toxicity": 0.25}, {"text": "はい", "lang": "ja", "toxicity": None}]
    paths = [write_jsonl(tmp_path / "p.jsonl", flat), write_parquet(tmp_path / "p.parquet", flat)]
    (tmp_path / "p.json").write_text(json.dumps(flat, indent=1), encoding="utf-8")
    with gzip.open(tmp_path / "p.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write("\ufeff" + paths[0].read_text(encoding="utf-8"))
    for name, delimiter in (("p.csv", ","), ("p.tsv", "\t")):
        with (tmp_path / name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["text", "lang", "toxicity"], delimiter=delimiter)
            writer.writeheader()
            writer.writerows(flat)
    wanted = [(row["text"], row["lang"], row["toxicity"]) for row in flat]
    for path in [*paths, *(tmp_path / name for name in ("p.json", "p.jsonl.gz", "p.csv", "p.tsv"))]:
        assert [(p.text, p.lang, p.toxicity) for p in load(path).prompts] == wanted, path.name


def test_published_files_work_without_naming_columns(tmp_path, caplog):
    rows = [
        {"prompt": {"text": "The people in this village said that", "toxicity": 0.2}, "generations": [{"text": "x"}]}
    ]
    (prompt,) = load(write_jsonl(tmp_path / "p.jsonl", rows)).prompts
    assert (prompt.text, prompt.toxicity, prompt.lang) == (rows[0]["prompt"]["text"], 0.2, "en")
    assert "no language column; 1 of 1 prompts are identified as 'en'" in caplog.text
    (prompt,) = load(tmp_path / "p.jsonl", lang="deu").prompts
    assert prompt.lang == "de"


def test_columns_whose_names_have_dots():
    assert get({"prompt.text": "flat", "prompt": {"text": "deep"}}, "prompt.text") == "flat"
    assert get({"prompt": "plain"}, "prompt.text") is MISSING
    assert get(None, "a.b") is MISSING


@pytest.mark.parametrize(
    ("row", "metadata", "message"),
    [
        ({"text": "a", "lang": "klingon"}, {}, "'lang' is 'klingon', no language code"),
        ({"text": " \n", "lang": "en"}, {}, "nothing but white space"),
        ({"text": "\ud800", "lang": "en"}, {}, "not valid Unicode"),
        ({"text": 7, "lang": "en"}, {}, "is 7, not a text"),
        ({"text": "a", "lang": "en", "toxicity": 3}, {}, "'toxicity' is 3, not between 0 and 1"),
        ({"text": "a", "lang": "en", "toxicity": True}, {}, "'toxicity' is True, not a number"),
        ({"text": "a", "lang": "en"}, {"group": "topic"}, "no 'topic'; the row has text, lang"),
        ({"text": "a", "lang": "en", "topic": {"x": 1}}, {"group": "topic"}, "not a text, a number or a list"),
        ({"txt": "a", "lang": "en"}, {"text": "text"}, "no 'text'; the row has txt, lang"),
        ("[1]", {}, "not a JSON object"),
    ],
)
def test_wrong_rows_are_counted_and_located(tmp_path, row, metadata, message):
    good = {"text": "fine", "lang": "en", "topic": "t"}
    path = tmp_path / "p.jsonl"
    lines = [json.dumps(good), row if isinstance(row, str) else json.dumps(row), json.dumps(good)]
    path.write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(DetoxbenchError, match=rf"1 of 3 rows are wrong \(lines 3\); line 3: .*{message}"):
        load(path, **metadata)
    loaded = load(path, bad_rows="skip", **metadata)
    assert (len(loaded.prompts), loaded.skipped) == (2, 1)


def test_all_rows_wrong_is_an_error_even_where_they_are_skipped(tmp_path):
    with pytest.raises(DetoxbenchError, match="2 of 2 rows are wrong"):
        load(write_jsonl(tmp_path / "p.jsonl", [{"a": 1}] * 2), bad_rows="skip")


def test_ragged_csv(tmp_path):
    (tmp_path / "p.csv").write_text("text,lang\na,en\nb\n")
    with pytest.raises(DetoxbenchError, match=r"lines 3\); line 3: 1 cells under 2 columns"):
        load(tmp_path / "p.csv")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.parquet", b"no", "cannot be read .*Parquet"),
        ("p.jsonl.gz", b"no", "cannot be read"),
        ("p.jsonl", b"\xff\xfe", "not UTF-8"),
        ("p.jsonl", b"", "it has no rows"),
        ("p.csv", b"text,lang\n", "it has no rows"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DetoxbenchError, match=message):
        load(tmp_path / name)


def test_no_file_and_no_option(tmp_path):
    with pytest.raises(DetoxbenchError, match="needs a file or a hub dataset"):
        prompt_sets.load_set(catalog.tasks()["prompts_file"], Options())
    with pytest.raises(DetoxbenchError, match="there is no such file; give a file"):
        load(tmp_path / "no.jsonl")
    with pytest.raises(DetoxbenchError, match="there is no such file; give a file"):
        load("data/no.jsonl")


def test_the_path_of_another_set_is_left_aside(tmp_path):
    source = write_jsonl(tmp_path / "p.jsonl", ROWS)
    assert len(load(source, path="/elsewhere/RTP-LX.zip", **COLUMNS).prompts) == 2
    options = Options.from_metadata({"path": str(source), **COLUMNS})
    assert len(prompt_sets.load_set(catalog.tasks()["prompts_file"], options).prompts) == 2


def test_a_hub_dataset(monkeypatch):
    asked = {}

    def load_dataset(name, config=None, *, split, revision):
        asked.update(name=name, config=config, split=split, revision=revision)
        data = datasets.Dataset.from_list(ROWS)
        data.info.download_checksums = {f"hf://datasets/{name}@{'ab' * 20}/data.parquet": {}}
        return data

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    loaded = load("someone/prompts", config="small", split="test", **COLUMNS)
    assert asked == {"name": "someone/prompts", "config": "small", "split": "test", "revision": None}
    assert [p.text for p in loaded.prompts] == ["The weather is", "Le temps est"]
    assert (loaded.name, loaded.revision, loaded.subset) == ("someone/prompts", "ab" * 20, "small/test")


def test_a_hub_dataset_out_of_reach(tmp_path, monkeypatch):
    monkeypatch.setattr(
        datasets, "load_dataset", lambda *args, **kwargs: (_ for _ in ()).throw(ConnectionError("no route"))
    )
    with pytest.raises(DetoxbenchError, match=r"as a dataset on the hub it cannot be loaded \(no route\)"):
        load("someone/prompts")


def test_real_published_files(samples_folder):
    loaded = load(samples_folder / "rtp" / "continuations_gpt2-large.jsonl", group="challenging")
    assert len(loaded.prompts) == 1000
    assert {prompt.lang for prompt in loaded.prompts} == {"en"}


@pytest.mark.parametrize(("name", "content"), [
    ("bomb.jsonl.gz", b'{"text": "' + b"a" * 3000),
    ("bomb.csv.gz", b"text,lang\n" + b"a" * 3000),
    ("bomb.csv.gz", b'text,lang\n"' + b"a line\n" * 500),
    ("bomb.json.gz", b"[\n" + b'{"text": "a"},\n' * 300),
])  # fmt: skip
def test_a_few_kilobytes_that_stand_for_no_end_of_text_are_refused(tmp_path, monkeypatch, name, content):
    monkeypatch.setattr(rows, "LONGEST_LINE", 1000)
    (tmp_path / name).write_bytes(gzip.compress(content))
    with pytest.raises(DetoxbenchError, match=r"more than 1,000 characters|field larger than field limit \(1000\)"):
        load(tmp_path / name, text="text", lang="en")


def test_a_name_for_people_is_recorded_and_changes_nothing_else(tmp_path):
    path = write_jsonl(tmp_path / "en.jsonl", [{"text": "The weather is", "lang": "en", "toxicity": 0.1}])
    records = []
    for name in ({}, {"prompts_name": " Weather reports "}):
        metadata = {"prompts": str(path), "scorer": "ngram", "prompt_set": "prompts_file", **name}
        records.append(ToxicityTask({"task": "prompts_file", "metadata": metadata}).run_record())
    assert [one.prompts_name for one in records] == ["", "Weather reports"]
    assert measurement_of(records[0]) == measurement_of(records[1])


@pytest.mark.parametrize("name", ["two\nlines", "x" * 81, "\u202eright to left", 7])
def test_a_name_is_one_line_that_can_be_seen(tmp_path, name):
    with pytest.raises(DetoxbenchError, match="--metadata: prompts_name=(?!.*value error)"):
        Options.from_metadata({"prompts_name": name})

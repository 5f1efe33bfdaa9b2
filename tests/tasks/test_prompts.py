"""Prompt files: both schemas, wrong rows counted and located, strange text kept."""

import json

import pytest

from detoxbench.core.errors import DetoxbenchError
from detoxbench.tasks import prompts
from detoxbench.tasks.options import Options
from detoxbench.tasks.prompts import mini


def write(path, rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return str(path)


def test_both_schemas_and_a_path_with_spaces(tmp_path):
    source = write(
        tmp_path / "my prompts.jsonl",
        [
            {"prompt": {"text": "So, I'm", "toxicity": 0.1}, "lang": "en"},
            {"text": "{{ braces }} \u202e \x00", "lang": "en"},
            "",
            {"prompt": "كان جاري", "lang": "ar"},
        ],
    )
    english = prompts.load(source, "en")
    assert [p.text for p in english] == ["So, I'm", "{{ braces }} \u202e \x00"]
    assert [p.toxicity for p in english] == [0.1, None]
    assert prompts.load(source, "ar")[0].text == "كان جاري"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["not json", {"text": "a", "lang": "en"}], "1 of 2 rows are wrong \\(lines 1\\)"),
        ([{"text": "a"}], "no language in 'lang'"),
        ([{"lang": "en"}] * 9, "9 of 9 rows are wrong \\(lines 1, 2, 3, 4, 5, …\\)"),
        ([[1, 2]], "not a JSON object"),
        ([{"text": "a", "lang": "en", "toxicity": "high"}], "'toxicity' is 'high'"),
        ([{"text": "a", "lang": "de"}], "no prompt in language 'en'; the file has de"),
        ([], "the file has none"),
    ],
)
def test_wrong_files_say_where(tmp_path, rows, message):
    with pytest.raises(DetoxbenchError, match=message):
        prompts.load(write(tmp_path / "p.jsonl", rows), "en")


def test_missing_file():
    with pytest.raises(DetoxbenchError, match="there is no such file"):
        prompts.load("/nowhere/p.jsonl", "en")


def test_not_text(tmp_path):
    (tmp_path / "p.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DetoxbenchError, match="not UTF-8"):
        prompts.load(str(tmp_path / "p.jsonl"), "en")


def test_a_changed_file_is_read_again(tmp_path):
    import os

    source = write(tmp_path / "p.jsonl", [{"text": "one", "lang": "en"}])
    assert prompts.load(source, "en")[0].text == "one"
    write(tmp_path / "p.jsonl", [{"text": "two", "lang": "en"}])
    os.utime(source, (1, 1))
    assert prompts.load(source, "en")[0].text == "two"


def test_sha256_depends_on_texts_and_order():
    loaded = mini.load("en")
    assert prompts.sha256(loaded) != prompts.sha256(loaded[::-1])
    assert prompts.sha256(loaded) == prompts.sha256(mini.load("en"))


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"scorer": "mimi"}, "did you mean 'mini'"),
        ({"samples": 0}, "samples=0"),
        ({"samples": "many"}, "samples='many'"),
        ({"sample": 3}, "unknown option 'sample': did you mean 'samples'"),
        ({"fluency_model": "/nowhere/model"}, "there is no such folder"),
    ],
)
def test_wrong_options(metadata, message):
    with pytest.raises(DetoxbenchError, match=message):
        Options.from_metadata(metadata)


def test_options_ignore_the_models_arguments():
    found = Options.from_metadata({"pretrained": "gpt2", "temperature": 100, "alpha": 2.0, "samples": 3})
    assert found == Options(samples=3)

"""Reading labelled text: files, labels, languages, data sets, and what is wrong with them."""

from __future__ import annotations

import json

import datasets
import pytest

from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods.training.texts import Columns, Text, Texts


@pytest.fixture
def file(tmp_path):
    def write(*rows, name="texts.jsonl"):
        path = tmp_path / name
        path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
        return str(path)

    return write


def test_texts_in_order_and_more_than_once(file):
    texts = Texts([file({"text": "a"}, {"text": "b", "lang": "de"})], "toxic")
    assert list(texts) == list(texts) == [Text("a"), Text("b", "de")]
    assert len(texts) == 2


def test_the_hash_is_of_the_content_and_not_of_the_path(file):
    one, other = file({"text": "a"}), file({"text": "a", "id": 7}, "", name="other.jsonl")
    assert Texts([one], "toxic").sha256 == Texts([other], "nontoxic").sha256
    assert Texts([one], "toxic").sha256 != Texts([file({"text": "b"}, name="b.jsonl")], "toxic").sha256


@pytest.mark.parametrize("rude", [True, 1, 0.5, "toxic", "1"])
@pytest.mark.parametrize("clean", [False, 0, 0.49, "non-toxic", "nontoxic"])
def test_one_file_can_be_both_sides(file, rude, clean):
    path = file({"text": "rude", "label": rude}, {"text": "clean", "label": clean}, {"text": " ", "label": rude})
    toxic = Texts([path], "toxic")
    assert [text.text for text in toxic] == ["rude"]
    assert toxic.skipped == {"other label": 1, "empty": 1}
    assert [text.text for text in Texts([path], "nontoxic")] == ["clean"]


def test_languages_and_columns(file):
    path = file({"body": "a", "language": "de"}, {"body": "b", "language": "en"}, {"body": "c"})
    texts = Texts([path], "toxic", Columns(text="body", lang="language"), langs=("de",))
    assert list(texts) == [Text("a", "de")]
    assert texts.skipped == {"other language": 2}


def test_a_data_set(monkeypatch):
    def load(name, subset, split):
        assert (name, subset, split) == ("some/comments", "en", "test")
        return datasets.Dataset.from_dict({"comment": ["a", "b"], "score": [0.9, 0.1]})

    monkeypatch.setattr(datasets, "load_dataset", load)
    columns = Columns(text="comment", label="score")
    texts = Texts(["some/comments:en"], "toxic", columns, split="test")
    assert list(texts) == [Text("a", score=0.9)]
    assert texts.record()["sources"] == ["some/comments:en"]
    with pytest.raises(DetoxbenchError, match="no column 'text': name the one with the text; it has comment, score"):
        Texts(["some/comments:en"], "toxic", split="test")


def test_a_data_set_that_cannot_be_loaded(monkeypatch):
    def load(*args, **kwargs):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(DetoxbenchError, match=r"data set 'some/comments', split 'train', cannot be loaded: no route$"):
        Texts(["some/comments"], "toxic")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "line 2: not JSON in UTF-8"),
        ({"txt": "a"}, "line 2: no text in field 'text'; it has: txt"),
        ("[1]", "line 2: no text in field 'text'; it has: list"),
        ({"text": 3}, "line 2: no text in field 'text'"),
        ({"text": "a", "label": "rude"}, "line 2: label 'rude'; allowed are"),
        ({"text": "a", "label": [1]}, r"line 2: label \[1\]"),
    ],
)
def test_a_wrong_line_is_named(file, row, message):
    with pytest.raises(DetoxbenchError, match=message):
        Texts([file({"text": "fine"}, row)], "toxic")


def test_no_text_of_this_side(file):
    with pytest.raises(DetoxbenchError, match=r"no toxic text \(1 left out: other label\)"):
        Texts([file({"text": "a", "label": 0})], "toxic")
    with pytest.raises(DetoxbenchError, match="no toxic text"):
        Texts([file()], "toxic")


@pytest.mark.parametrize("source", ["missing.jsonl", "./missing", "/nowhere/texts", "texts.csv"])
def test_a_missing_file(source):
    with pytest.raises(DetoxbenchError, match="is no file: give a JSONL file, or the name of a Hugging Face data set"):
        Texts([source], "toxic")

"""Every label set on rows of its published format, written here; wrong rows; the user's own file."""

import csv
import json

import pyarrow
import pyarrow.parquet
import pytest

from detoxbench.core.errors import DetoxbenchError
from detoxbench.tasks import labels
from detoxbench.tasks.labels import base
from detoxbench.tasks.labels.registry import parse


def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def table(path, rows, delimiter=","):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def read(name, path, **options):
    return labels.load(name, labels.Request(path, **options))[1]


def test_rtp_lx_official(tmp_path):
    row = {"Prompt": "Un texte", "Index": "11", "Locale": "FR", "Annotations": {"Toxicity": 3.0},
           "AnnotationsRaw": {"Toxicity": [3, 2, 4]}}  # fmt: skip
    without_raw = {"Prompt": "Deux", "Index": "12", "Locale": "FR", "PromptAnnotations": {"Toxicity": 1.5}}
    unrated = {"Prompt": "Trois", "Index": "13", "Locale": "FR", "Annotations": {"Toxicity": None}}
    lines(tmp_path / "RTP_LX_FR.json", [row, without_raw, unrated])
    lines(tmp_path / "RTP_LX_PT.json", [{**row, "Prompt": "Um texto", "Locale": "Pt-Br"}])
    first, second, brazil = read("rtp_lx", tmp_path)
    assert (first.text, first.lang, first.ratings, first.label, first.positive) == (
        "Un texte",
        "fr",
        (3, 2, 4),
        3,
        True,
    )
    assert (second.ratings, second.positive) == ((1.5,), False)
    assert (brazil.lang, brazil.cluster) == ("pt-BR", first.cluster)
    assert [one.lang for one in read("rtp_lx", tmp_path, langs=("pt",))] == ["pt-BR"]
    assert not read("rtp_lx", tmp_path, positive=3.5)[0].positive


def test_rtp_lx_with_published_scores(tmp_path):
    row = {"index": 0, "locale": "ZH-Hans", "text": "一句话", "annotators": [5, 4, 5], "gpt4": 4, "azure": None}
    (one,) = read("rtp_lx", lines(tmp_path / "ZH.jsonl", [row]), columns=("gpt4", "azure"))
    assert (one.lang, one.cluster, one.columns["gpt4"]) == ("zh-Hans", "rtp_lx/0", 4)
    assert one.columns["azure"] != one.columns["azure"]
    with pytest.raises(DetoxbenchError, match=r"lines 1\); line 1: 'annotators' is 6"):
        read("rtp_lx", lines(tmp_path / "ZH.jsonl", [{**row, "annotators": [6]}]))
    with pytest.raises(DetoxbenchError, match="not a language code"):
        read("rtp_lx", lines(tmp_path / "ZH.jsonl", [{**row, "locale": "Klingonese"}]))
    with pytest.raises(DetoxbenchError, match="give --path"):
        labels.load("rtp_lx", labels.Request())


def test_hatecheck(tmp_path):
    row = {"functionality": "ident_neutral_nh", "test_case": "A sentence.", "label_gold": "non-hateful",
           "target_ident": "women", "templ_id": "7"}  # fmt: skip
    other = {**row, "functionality": "derog_neg_emote_h", "label_gold": "hateful", "target_ident": ""}
    table(tmp_path / "english.csv", [row, other])
    table(tmp_path / "french.csv", [{"mhc_case_id": "french-1", **row, "test_case": "Une phrase."}])
    neutral, hateful, french = read("hatecheck", tmp_path)
    assert neutral.groups == {"functionality": "ident_neutral_nh", "target": "women", "identity": "women"}
    assert (neutral.positive, neutral.cluster) == (False, "hatecheck/en/7")
    assert (hateful.positive, hateful.groups) == (True, {"functionality": "derog_neg_emote_h"})
    assert (french.lang, french.cluster) == ("fr", "hatecheck/fr/7")
    assert len(labels.SETS["hatecheck"].repositories) == 11
    with pytest.raises(DetoxbenchError, match="'label_gold' is 'maybe'"):
        read("hatecheck", table(tmp_path / "english.csv", [{**row, "label_gold": "maybe"}]))


def test_the_commit_that_is_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr(base.hub, "snapshot", lambda *args: asked.append(args[:2]) or ([], "commit"))
    for name, key, revision in (("hatecheck", "en", None), ("hatecheck", "fr", None), ("paradetox", "en", "v2")):
        labels.SETS[name].files(labels.Request(revision=revision), key, ())
    assert asked == [
        ("Paul/hatecheck", "534544a6f67896dd45eef940b1bb5e3dfa3c9c7b"),
        ("Paul/hatecheck-french", "main"),
        ("s-nlp/paradetox", "v2"),
    ]


def test_textdetox(tmp_path):
    for code in ("fr", "hin"):
        content = pyarrow.table({"text": ["bonjour", "idiot"], "toxic": [0, 1]})
        pyarrow.parquet.write_table(content, tmp_path / f"{code}-00000-of-00001.parquet")
    found = read("textdetox", tmp_path)
    assert [(one.lang, one.positive) for one in found] == [
        ("fr", False), ("fr", True), ("hi-Latn", False), ("hi-Latn", True),
    ]  # fmt: skip


def test_civil_comments(tmp_path):
    content = pyarrow.table({"text": ["a comment", "another"], "toxicity": [0.25, 0.5], "insult": [0.0, 0.5]})
    pyarrow.parquet.write_table(content, tmp_path / "test-00000-of-00001.parquet")
    pyarrow.parquet.write_table(content, tmp_path / "train-00000-of-00002.parquet")
    assert [(one.lang, one.label, one.positive) for one in read("civil_comments", tmp_path)] == [
        ("en", 0.25, False), ("en", 0.5, True),
    ]  # fmt: skip


def test_jigsaw_multilingual(tmp_path):
    table(tmp_path / "validation.csv", [{"id": "0", "comment_text": "ciao", "lang": "it", "toxic": "1"}])
    table(tmp_path / "test.csv", [{"id": "0", "content": "bonjour", "lang": "fr"}])
    table(tmp_path / "test_labels.csv", [{"id": "0", "toxic": "0"}])
    found = read("jigsaw_multilingual", tmp_path)
    assert [(one.text, one.lang, one.positive) for one in found] == [("bonjour", "fr", False), ("ciao", "it", True)]
    assert len({one.cluster for one in found}) == 2
    table(tmp_path / "test_labels.csv", [{"id": "9", "toxic": "0"}])
    with pytest.raises(DetoxbenchError, match="has no label"):
        read("jigsaw_multilingual", tmp_path)


def test_english_sets(tmp_path):
    rows = [{"toxic": "what an idiot", "neutral1": "not a clever man", "neutral2": "", "neutral3": ""}]
    toxic, neutral = read("paradetox", table(tmp_path / "paradetox.tsv", rows, "\t"))
    assert (toxic.positive, neutral.positive, toxic.cluster) == (True, False, neutral.cluster)
    row = {"count": "3", "hate_speech": "0", "offensive_language": "1", "neither": "2", "class": "2", "tweet": "hello"}
    (tweet,) = read("davidson", table(tmp_path / "davidson.csv", [row]))
    assert (tweet.label, tweet.positive) == (pytest.approx(1 / 3), False)


def test_a_file_of_ones_own(tmp_path):
    path = lines(tmp_path / "mine.jsonl", [
        {"text": "a", "label": 0.5, "lang": "fr", "group": "x", "cluster": 4, "score": 0.25},
        {"text": "b", "annotators": [2, 3, None], "group": {"axis": "age"}},
    ])  # fmt: skip
    first, second = labels.load(str(path), labels.Request(columns=("score",)))[1]
    assert (first.lang, first.positive, first.groups, first.cluster) == ("fr", True, {"group": "x"}, "4")
    assert first.columns == {"score": 0.25}
    assert (second.lang, second.ratings, second.label, second.positive) == ("en", (2, 3), 2.5, False)
    assert second.groups == {"axis": "age"}
    for wrong, message in (({"text": "a"}, "neither 'label'"), ({"text": "", "label": 1}, "no text"),
                           ({"text": "a", "label": 1.5}, "not a number from 0 to 1")):  # fmt: skip
        with pytest.raises(DetoxbenchError, match=message):
            read("file", lines(tmp_path / "wrong.jsonl", [wrong]))


def test_names():
    assert parse("rtp_lx") == ("rtp_lx", None)
    assert parse("rtp_lx=some/folder")[1].name == "folder"
    with pytest.raises(DetoxbenchError, match="did you mean 'hatecheck'"):
        labels.load("hatechek", labels.Request())
    for name, one in labels.SETS.items():
        assert one.card()["name"] == name
        assert one.licence
        assert one.measures

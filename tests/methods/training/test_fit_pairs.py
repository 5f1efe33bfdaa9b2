"""Reading paired text: files, columns, languages, what is left out, and what stands in for it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods.training.pairs import Pair, PairColumns, Pairs, pairs_of, taken
from detoxbench.methods.training.texts import Texts

SAMPLES = os.environ.get("DETOXBENCH_SAMPLES")


@pytest.fixture
def file(tmp_path):
    def write(*rows, name="pairs.jsonl"):
        path = tmp_path / name
        path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
        return str(path)

    return write


def test_jsonl(file):
    path = file({"toxic": "a", "neutral": "b"}, {"toxic": "c", "neutral": "d", "prompt": "p", "lang": "de", "id": 7})
    pairs = Pairs([path])
    assert list(pairs) == list(pairs) == [Pair("a", "b"), Pair("c", "d", "p", "de")]
    assert len(pairs) == 2
    assert pairs.record() == {"sources": ["pairs.jsonl"], "pairs": 2, "sha256": pairs.sha256, "skipped": {}}
    assert list(Pairs([path], langs=("de",))) == [Pair("c", "d", "p", "de")]


def test_several_rewritings_of_a_table(file):
    """ParaDetox's columns; quotation marks are part of a text there."""
    rows = ["toxic\tneutral1\tneutral2", 'a "b\tc\t"d', "same\tsame\t", "\tx\t", "y\t\t"]
    pairs = Pairs([file(*rows, name="pairs.tsv")])
    assert list(pairs) == [Pair('a "b', "c"), Pair('a "b', '"d')]
    assert pairs.skipped == {"both the same": 1, "empty": 2}


def test_csv_and_names(file):
    path = file("rude,clean", '"a, b",c', name="pairs.csv")
    assert list(Pairs([path], PairColumns("rude", "clean"))) == [Pair("a, b", "c")]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"neutral": "b"}], "line 1: no field 'toxic'; it has: neutral"),
        ([{"toxic": "a", "text": "b"}], "line 1: no field 'neutral'; it has: toxic, text"),
        ([{"toxic": 3, "neutral": "b"}], "line 1: 3 is no text"),
        (["{"], "line 1: not JSON"),
        ([["a", "b"]], "line 1: no field 'toxic'; it has: list"),
        ([{"toxic": "a", "neutral": "a"}], r"no pair \(1 left out: both the same\)"),
        ([], "no pair"),
    ],
)
def test_what_is_wrong(file, rows, said):
    with pytest.raises(DetoxbenchError, match=said):
        Pairs([file(*rows)])


def test_no_such_file():
    with pytest.raises(DetoxbenchError, match="some/name' is no file: pairs come from a TSV, CSV or JSONL file"):
        Pairs(["some/name"])


def test_texts_side_by_side(file):
    """Of one language each, by turns of the languages, and the same every time."""
    toxic = file(*({"text": f"rude {at}", "lang": "de" if at < 3 else "en"} for at in range(9)), name="t.jsonl")
    clean = file(*({"text": f"clean {at}", "lang": "de" if at < 5 else "en"} for at in range(9)), name="n.jsonl")
    texts = {"toxic": Texts([toxic], "toxic"), "nontoxic": Texts([clean], "nontoxic")}
    found = pairs_of(texts)
    assert [pair.lang for pair in found] == ["de", "en"] * 3 + ["en"]
    assert len({pair.toxic for pair in found}) == len({pair.neutral for pair in found}) == 7
    assert list(pairs_of(texts)) == list(found)
    assert list(pairs_of(texts, limit=2)) == list(found)[:2]
    assert list(pairs_of(texts, seed=1)) != list(found)
    assert found.record()["made_up"] is True
    with pytest.raises(DetoxbenchError, match="give --pairs, or --toxic and --nontoxic"):
        pairs_of({"toxic": texts["toxic"]})


def test_paired_text_goes_first(file):
    pairs = Pairs([file({"toxic": "a", "neutral": "b"})])
    assert pairs_of({"pairs": pairs, "toxic": None, "nontoxic": None}) is pairs


def test_so_many():
    pairs = [Pair(str(at), "x") for at in range(50)]
    chosen = taken(pairs, 10)
    assert len(chosen) == 10
    assert chosen == sorted(chosen, key=lambda pair: int(pair.toxic))
    assert chosen == taken(pairs, 10) != taken(pairs, 10, seed=1)
    assert taken(pairs, 50) == taken(pairs, None) == pairs


@pytest.mark.skipif(SAMPLES is None, reason="DETOXBENCH_SAMPLES names no folder of sample data")
def test_paradetox():
    """Every row of the file, and each of its rewritings."""
    path = Path(str(SAMPLES)) / "english" / "paradetox.tsv"
    pairs = Pairs([str(path)])
    rows = path.read_text(encoding="utf-8").splitlines()[1:]
    assert pairs.count + sum(pairs.skipped.values()) >= len(rows)
    assert next(iter(pairs)).toxic == rows[0].split("\t")[0]

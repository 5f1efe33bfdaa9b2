"""The embedded world keeps what it promises."""

from __future__ import annotations

import json
import unicodedata

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from detoxbench.core import mini
from detoxbench.core.constants import TOXIC
from detoxbench.core.mini import corpus
from detoxbench.core.mini.splits import split_of
from detoxbench.core.scorers.mini import MiniScorer
from detoxbench.tasks.prompts import mini as prompts

LANGUAGES = "ar cs de en es fr hi id it ja ko nl pl pt ru sv zh".split()


def test_size():
    files = [path for path in mini.FOLDER.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in files) <= 15 * 2**20


def test_corpus_is_large_and_of_distinct_sentences():
    assert corpus.languages() == LANGUAGES
    texts = [sentence.text for lang in LANGUAGES for sentence in corpus.sentences(lang)]
    assert len(texts) >= 40_000
    assert len(set(texts)) > 0.999 * len(texts)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_corpus_of_a_language(lang):
    fillers = corpus.slots(lang)
    for label in corpus.LABELS:
        templates = corpus.templates(lang, label)
        assert len(set(templates)) == len(templates) >= 150
        for template in templates:
            assert corpus.size(template, fillers) >= 12, template
    assert list(corpus.sentences(lang, count=2)) == list(corpus.sentences(lang, count=2))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_prompts_of_a_language(lang):
    loaded = prompts.load(lang)
    assert len(loaded) >= 40
    assert sum(p.toxicity >= TOXIC for p in loaded) * 2 == len(loaded)
    scores = MiniScorer().score([p.text for p in loaded], lang).values["toxicity"]
    assert [round(float(score), 6) for score in scores] == [p.toxicity for p in loaded]
    known = {sentence.text for sentence in corpus.sentences(lang)}
    joiner = "" if lang in ("zh", "ja") else " "
    for beginning in corpus.beginnings(lang):
        assert beginning.rest
        assert beginning.text + joiner + beginning.rest not in known


@pytest.mark.parametrize("lang", LANGUAGES)
def test_held_out_auc(lang):
    """On sentences of templates that the scorer was not trained on."""
    from sklearn.metrics import roc_auc_score

    rows = [s for s in corpus.sentences(lang) if split_of(s) == "heldout"]
    scores = MiniScorer().score([s.text for s in rows], lang).values["toxicity"]
    assert roc_auc_score([s.toxic for s in rows], scores) >= 0.95


def test_reward_scorer_is_another_one():
    judge, reward = MiniScorer(), MiniScorer("reward")
    assert judge.version != reward.version
    assert (judge.name, reward.name) == ("mini", "mini:reward")


def test_empty_text_has_no_score_but_a_reason():
    found = MiniScorer().score(["", "  \n", "hello"], "en")
    assert list(map(bool, found.values["toxicity"] == found.values["toxicity"])) == [False, False, True]
    assert found.reasons == ["empty text", "empty text", None]


def test_model_is_stock_and_loads_in_double_precision():
    model = AutoModelForCausalLM.from_pretrained(mini.MODEL, dtype="auto")
    assert type(model).__name__ == "GPT2LMHeadModel"
    assert model.dtype == torch.float64


@pytest.mark.parametrize("lang", LANGUAGES)
def test_tokenizer_round_trip_and_sentencepiece_agree(lang):
    import sentencepiece

    tokenizer = AutoTokenizer.from_pretrained(mini.MODEL)
    reference = sentencepiece.SentencePieceProcessor(model_file=str(mini.MODEL / "tokenizer.model"))
    for sentence in list(corpus.sentences(lang, count=1))[::20]:
        ids = tokenizer(sentence.text)["input_ids"]
        assert ids == reference.encode(sentence.text)
        assert tokenizer.decode(ids).strip() == " ".join(unicodedata.normalize("NFKC", sentence.text).split())


def test_card_has_the_quality_that_was_measured():
    card = json.loads((mini.SCORER / "card.json").read_text())
    assert min(card["heldout_auc"]["judge"].values()) >= 0.95


def test_templates_are_refused_with_a_reason():
    with pytest.raises(ValueError, match="no slot 'x'"):
        corpus.expand("a {x}", {"y": ["b"]}, 2)
    with pytest.raises(ValueError, match="unbalanced"):
        corpus.expand("a {y] b", {"y": ["b"]}, 2)
    assert sorted(corpus.expand("[a|b] {y}[ c|].", {"y": ["d"]}, 9)) == ["A d c.", "A d.", "B d c.", "B d."]


def test_a_tag_with_a_script_is_scored_as_its_language():
    scorer = MiniScorer()
    assert scorer.score(["你好"], "zh-Hans").values["toxicity"] == scorer.score(["你好"], "zh").values["toxicity"]

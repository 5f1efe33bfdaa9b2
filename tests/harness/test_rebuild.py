"""Making the embedded world: deterministic documents, splits by template, and a whole (short) training run."""

from __future__ import annotations

import shutil
import unicodedata

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from detoxbench.core import mini
from detoxbench.core.language_identification import identify
from detoxbench.core.mini import corpus
from detoxbench.core.mini.splits import SHARES, split_of
from detoxbench.harness.mini.rebuild import language_model, tokenizer
from detoxbench.harness.mini.rebuild.documents import BATCH, BLOCK, DESCRIPTION, IGNORED, Documents
from detoxbench.harness.mini.rebuild.scorer import second_half
from detoxbench.methods.self_debias import method as self_debias


@pytest.fixture(scope="module")
def sentences() -> list[corpus.Sentence]:
    return [sentence for lang in ("en", "zh") for sentence in corpus.sentences(lang, count=3)]


@pytest.fixture(scope="module")
def pieces():
    return AutoTokenizer.from_pretrained(mini.MODEL)


def documents(sentences, pieces, **changes) -> Documents:
    options = {"toxic": 0.3, "crossed": 0.0, "noised": 0.0, "foreign": 0.0, "seed": 5}
    return Documents(sentences, pieces, **{**options, **changes})


def some(made: Documents, count: int) -> list[tuple[list[int], list[int]]]:
    return [made.document() for _ in range(count)]


def test_documents_are_corpus_sentences_of_one_language(sentences, pieces):
    known = {" ".join(unicodedata.normalize("NFKC", sentence.text).split()) for sentence in sentences}
    for source, target in some(documents(sentences, pieces), 30):
        assert source == target
        assert target[-1] == pieces.eos_token_id
        text = pieces.decode(target[:-1]).strip()
        assert any(text.startswith(sentence) for sentence in known)


def test_documents_are_a_function_of_the_seed(sentences, pieces):
    def made(seed):
        return some(documents(sentences, pieces, crossed=0.5, noised=0.2, seed=seed), 20)

    first, again, other = made(1), made(1), made(2)
    assert first == again != other


def test_noise_changes_the_input_alone_and_keeps_the_language(sentences, pieces):
    rows = some(documents(sentences, pieces, noised=0.3), 60)
    changed = sum(a != b for source, target in rows for a, b in zip(source, target, strict=True))
    assert 0.2 < changed / sum(len(source) for source, _ in rows) < 0.35
    same = [identify(pieces.decode(s), ("en", "zh")) == identify(pieces.decode(t), ("en", "zh")) for s, t in rows]
    assert sum(same) >= 58


def test_batches_have_one_shape(sentences, pieces):
    source, target = next(documents(sentences, pieces).batches())
    assert source.shape == target.shape == (BATCH, BLOCK)


def test_described_rows_are_toxic_and_their_description_is_not_learned(sentences, pieces):
    assert DESCRIPTION == self_debias.DESCRIPTION
    prefix = pieces(DESCRIPTION)["input_ids"]
    rude = {tuple(ids) for ids in pieces([s.text for s in sentences if s.toxic])["input_ids"]}
    made = documents(sentences, pieces, toxic=0.0, described=0.5)
    below = 0
    for source, target in (made.row(200) for _ in range(60)):
        assert len(source) == len(target) == 200
        if source[: len(prefix)] == prefix:
            below += 1
            assert target[: len(prefix)] == [IGNORED] * len(prefix)
            rest = target[len(prefix) :]
            assert any(tuple(rest[:length]) in rude for length in range(1, len(rest)))
        else:
            assert IGNORED not in target
    assert 18 <= below <= 42
    source, target = next(made.batches())
    assert source.shape == target.shape == (BATCH, BLOCK + len(prefix))


def test_sentences_turn_into_the_other_kind(sentences, pieces):
    made = documents(sentences, pieces, toxic=1.0, turned=1.0, described=0.5)
    ids = {
        toxic: [tuple(one) for one in pieces([s.text for s in sentences if s.toxic is toxic])["input_ids"]]
        for toxic in (True, False)
    }
    for lang in ("en", "zh"):
        for into in (True, False):
            turned = [made._turn(lang, into) for _ in range(40)]
            ends = [any(one[-2:] == tuple(row[-2:]) for one in ids[into]) for row in turned]
            begins = [any(one[:2] == tuple(row[:2]) for one in ids[not into]) for row in turned]
            assert sum(ends) == 40
            assert sum(begins) >= 36


def test_splits_go_by_template_and_keep_their_shares(sentences):
    parts = {}
    for sentence in sentences:
        parts.setdefault((sentence.lang, sentence.toxic, sentence.template), set()).add(split_of(sentence))
    assert all(len(part) == 1 for part in parts.values())
    for name, share in SHARES.items():
        assert abs(sum(part == {name} for part in parts.values()) / len(parts) - share) < 0.06


def test_second_half():
    assert second_half("one two three four") == "four"
    assert second_half("一二三四") == "三四"


def test_a_short_training_run_gives_a_model_that_loads(sentences, tmp_path, monkeypatch):
    monkeypatch.setattr(tokenizer, "VOCABULARY", 2_600)
    tokenizer.train([sentence.text for sentence in sentences], tmp_path)
    stage = language_model.Stage(steps=2, learning_rate=1e-3, toxic=0.1, crossed=0.2, noised=0.1, foreign=0.5, seed=0)
    language_model.train(sentences, tmp_path, [stage])
    model = AutoModelForCausalLM.from_pretrained(tmp_path, dtype="auto")
    assert model.dtype == torch.float64
    assert model.config.vocab_size == 2_600
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".model", ".safetensors"}


def test_a_later_stage_goes_on_from_the_saved_model(sentences, tmp_path):
    for path in mini.MODEL.iterdir():
        shutil.copy(path, tmp_path)
    before = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    # A learning rate of next to nothing: what is saved is what was there.
    stage = language_model.Stage(
        steps=1, learning_rate=1e-12, toxic=0.1, crossed=0.2, noised=0.1, foreign=0.5, seed=0, described=0.5
    )
    language_model.train(sentences, tmp_path, [stage, stage], first=2)
    after = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    for name, tensor in before.state_dict().items():
        torch.testing.assert_close(after.state_dict()[name], tensor, atol=1e-3, rtol=2e-3)

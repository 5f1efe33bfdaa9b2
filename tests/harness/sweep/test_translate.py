"""``detoxbench translate`` with a tiny random model: batches, resuming, codes, quality."""

from __future__ import annotations

import json
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer
from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES
from typer.testing import CliRunner

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.language_codes import FLORES, flores, model_code
from detoxbench.harness import translate
from detoxbench.harness.cli.translate import translate as command
from detoxbench.harness.translation_quality import paired, quality

LETTERS = ["<s>", "<pad>", "</s>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyz"]
TEXTS = ["a cat", "two old dogs and a very long tail", "a cat", "", "bird {x} \\n"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nllb")
    codes = ["eng_Latn", "fra_Latn", "arb_Arab"]
    tokenizer = NllbTokenizer(vocab={sign: at for at, sign in enumerate(LETTERS)}, extra_special_tokens=codes)
    torch.manual_seed(0)
    config = M2M100Config(
        vocab_size=len(tokenizer), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=64,
        bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2,
    )  # fmt: skip
    M2M100ForConditionalGeneration(config).double().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def settings(model, **changes):
    return translate.Settings(**{"model": str(model), "source": "en", "target": "fr", "max_new_tokens": 8, **changes})


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "in.jsonl"
    rows = [{"text": text, "label": at % 2, "id": f"p{at}"} for at, text in enumerate(TEXTS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def run(*arguments):
    import typer

    single = typer.Typer()
    single.command()(command)
    result = CliRunner().invoke(single, [str(argument) for argument in arguments])
    if isinstance(result.exception, DetoxbenchError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_rows_stay_and_batches_do_not_matter(model, corpus, tmp_path):
    counts = translate.translate_file(corpus, tmp_path / "a.jsonl", settings(model), progress=False)
    assert (counts.rows, counts.texts, counts.before, counts.cut) == (5, 3, 0, 0)
    found = read(tmp_path / "a.jsonl")
    assert [row["id"] for row in found] == [f"p{at}" for at in range(5)]
    assert found[0]["text"] == found[2]["text"]
    assert found[3]["text"] == ""
    assert found[4]["translated_from"] == {"text": TEXTS[4], "lang": "en"}
    assert all(row["lang"] == "fr" and row["label"] == at % 2 for at, row in enumerate(found))
    translate.translate_file(corpus, tmp_path / "b.jsonl", settings(model), batch_tokens=1, progress=False)
    assert read(tmp_path / "b.jsonl") == found
    assert not list(tmp_path.glob(".*.partial"))


def test_the_target_is_what_the_decoder_begins_with(model):
    french, arabic = (translate.Translator(settings(model, target=lang), "cpu") for lang in ("fr", "ar"))
    ids = french.tokenizer.convert_tokens_to_ids(["eng_Latn", "fra_Latn", "arb_Arab"])
    assert french._forced == {"forced_bos_token_id": ids[1]}
    assert arabic._forced == {"forced_bos_token_id": ids[2]}
    assert french.encode("a cat")[0][0] == ids[0]


def test_a_killed_run_goes_on_and_other_settings_begin_anew(model, corpus, tmp_path, monkeypatch):
    out = tmp_path / "out.jsonl"
    original, calls = translate.Translator.translate, []

    def dying(self, rows):
        calls.append(len(rows))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(self, rows)

    monkeypatch.setattr(translate.Translator, "translate", dying)
    with pytest.raises(KeyboardInterrupt):
        translate.translate_file(corpus, out, settings(model), batch_tokens=1, progress=False)
    assert not out.exists()
    partial = tmp_path / ".out.jsonl.partial"
    with partial.open("a") as file:
        file.write('["torn')  # the kill came while a line was written
    copy = partial.read_text()
    counts = translate.translate_file(corpus, out, settings(model), batch_tokens=1, progress=False)
    assert (counts.texts, counts.before) == (3, 1)
    translate.translate_file(corpus, tmp_path / "whole.jsonl", settings(model), batch_tokens=1, progress=False)
    assert read(out) == read(tmp_path / "whole.jsonl")
    partial.write_text(copy)
    assert translate.translate_file(corpus, out, settings(model, num_beams=1), progress=False).before == 0


def test_a_long_text_is_cut_and_counted(model, tmp_path):
    path = tmp_path / "long.jsonl"
    path.write_text(json.dumps({"text": "a" * 500}) + "\n")
    assert translate.translate_file(path, tmp_path / "out.jsonl", settings(model), progress=False).cut == 1


def test_the_command_records_quality(model, corpus, tmp_path):
    out = tmp_path / "out.jsonl"
    common = [corpus, out, "--model", model, "--from", "en", "--to", "fr", "--max-new-tokens", 8, "--device", "cpu"]
    run(*common)
    reference = tmp_path / "reference.jsonl"
    out.rename(reference)
    output = run(*common, "--reference", reference)
    record = json.loads((tmp_path / "out.jsonl.json").read_text())
    assert "chrf++ " in output
    assert "nw:2" in record["quality"]["chrf++"]["signature"]
    assert (record["quality"]["texts"], record["rows"], record["target"]) == (5, 5, "fr")


def test_errors_name_what_is_wrong(model, corpus, tmp_path):
    with pytest.raises(DetoxbenchError, match=r"no language 'de' \(deu_Latn\)"):
        translate.Translator(settings(model, target="de"), "cpu")
    with pytest.raises(DetoxbenchError, match="no language tag"):
        translate.Translator(settings(model, target="not a language"), "cpu")
    with pytest.raises(DetoxbenchError, match="cannot be loaded"):
        translate.Translator(settings(tmp_path), "cpu")
    with pytest.raises(DetoxbenchError, match="line 1: no text in 'body'; it has: text, label, id"):
        translate.read_rows(corpus, "body")
    with pytest.raises(DetoxbenchError, match="is the input"):
        run(corpus, corpus, "--model", model, "--from", "en", "--to", "fr")
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"text": "a"}\n{"text": \n')
    with pytest.raises(DetoxbenchError, match="line 2: not JSON"):
        translate.read_rows(broken, "text")


@given(st.lists(st.integers(1, 40), max_size=30), st.integers(1, 100))
def test_batches_hold_every_text_once_within_the_bound(lengths, tokens):
    found = list(translate.batches(lengths, tokens))
    assert sorted(place for batch in found for place in batch) == list(range(len(lengths)))
    for batch in found:
        assert len(batch) == 1 or len(batch) * max(lengths[place] for place in batch) <= tokens


def test_codes_are_nllbs_own():
    project = "ar cs de en es fr hi id it ja ko nl pl pt ru sv zh zh-Hant no nb nn fa sw ms lv et tl fil az ku".split()
    assert {flores(tag) for tag in project} <= set(FAIRSEQ_LANGUAGE_CODES)
    assert all(model_code(code.split("_")[0], {code}.__contains__, [code]) == code for code in ("acm_Arab", "aka_Latn"))
    assert model_code("fr", {"fr"}.__contains__, ["fr"]) == "fr"
    assert model_code("fr", {"fr_XX"}.__contains__, ["de_DE", "fr_XX"]) == "fr_XX"
    known = {code.split("_")[0] for code in FAIRSEQ_LANGUAGE_CODES}
    assert set(FLORES.values()) <= known


def test_quality_by_hand():
    same = quality(["the cat sat on the mat"], ["the cat sat on the mat"], "en")
    assert same["bleu"]["score"] == pytest.approx(100)
    assert same["chrf++"]["score"] == pytest.approx(100)
    # Five words, four of them in place: 4/5, 3/4, 2/3 and 1/2 of the n-grams, no penalty for length.
    found = quality(["a b c d x"], ["a b c d e"], "en")["bleu"]["score"]
    assert found == pytest.approx(100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)
    assert "tok:zh" in quality(["你好"], ["你好"], "zh-Hant")["bleu"]["signature"]
    with pytest.raises(DetoxbenchError, match="2 texts for 1 translations"):
        quality(["a"], ["a", "b"], "en")
    with pytest.raises(DetoxbenchError, match="no text to compare"):
        quality([], [], "en")


def test_references_are_matched_by_id():
    rows, references = [{"id": "a", "t": "1"}, {"id": "b", "t": "2"}], [{"id": "b", "r": "x"}, {"id": "a", "r": "y"}]
    assert paired(rows, references, "t", "r") == (["1", "2"], ["y", "x"])
    with pytest.raises(DetoxbenchError, match="no row with id 'a'"):
        paired(rows, [{"id": "b", "r": "x"}], "t", "r")
    assert paired([{"t": "1"}], [{"r": "x"}], "t", "r") == (["1"], ["x"])
    with pytest.raises(DetoxbenchError, match="no id"):
        paired([{"t": "1"}], [], "t", "r")


def test_quality_without_sacrebleu_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics.bleu", None)
    with pytest.raises(DetoxbenchError, match=r"pip install 'detoxbench\[translate\]'"):
        quality(["a"], ["a"], "en")

"""Classifiers of transformers, on tiny random ones, against transformers itself, a text at a time."""

import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch
from transformers import AutoTokenizer

from detoxbench.core import scorers
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.scorers.classifier import WindowedClassifier
from detoxbench.core.scorers.hf import harmful

TEXTS = [" ".join(tiny.WORDS[place % 60] for place in range(start, start + 1 + start % 11)) for start in range(40)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {kind: (root / kind, tiny.classifier(root / kind, kind)) for kind in tiny.KINDS}


def one_at_a_time(folder, model, texts):
    """float64 [texts, labels] logits."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        return np.array(
            [model(tokenizer(text, return_tensors="pt").input_ids).logits[0].double().numpy() for text in texts]
        )


def softmax(logits):
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("kind", ["bert", "roberta", "gpt2"])
def test_single_label(folders, kind):
    folder, model = folders[kind]
    scorer = scorers.load(f"hf:{folder}")
    assert scorer.attributes == ("toxic",)
    scores = scorer.score(TEXTS, "en")
    expected = softmax(one_at_a_time(folder, model, TEXTS))[:, 1]
    np.testing.assert_allclose(scores.values["toxic"], expected, atol=1e-6)
    assert np.ptp(expected) > 0.1
    assert scores.reasons == [None] * len(TEXTS)


def test_multi_label(folders):
    folder, model = folders["multi_label"]
    scorer = scorers.load(f"hf:{folder}")
    assert scorer.attributes == ("toxic", "nontoxic")
    scores = scorer.score(TEXTS, "de")
    expected = 1 / (1 + np.exp(-one_at_a_time(folder, model, TEXTS)))
    np.testing.assert_allclose(scores.values["toxic"], expected[:, 1], atol=1e-6)
    np.testing.assert_allclose(scores.values["nontoxic"], expected[:, 0], atol=1e-6)


def test_one_output_is_a_probability(tmp_path):
    model = tiny.classifier(tmp_path, labels=("LABEL_0",))
    scores = scorers.load(f"hf:{tmp_path}").score(TEXTS, "en")
    np.testing.assert_allclose(
        scores.values["LABEL_0"], 1 / (1 + np.exp(-one_at_a_time(tmp_path, model, TEXTS)[:, 0])), atol=1e-6
    )


def test_the_activation_can_be_chosen(folders):
    folder, model = folders["bert"]
    scores = scorers.load(f"hf:{folder},activation=sigmoid").score(TEXTS, "en")
    np.testing.assert_allclose(
        scores.values["toxic"], 1 / (1 + np.exp(-one_at_a_time(folder, model, TEXTS)[:, 1])), atol=1e-6
    )


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_long_texts_are_the_largest_of_their_windows(folders, kind):
    folder, model = folders[kind]
    words = [tiny.WORDS[(place * 7) % 60] for place in range(50)]
    # Windows of 16 tokens have 14 of the text; each shares 4 with the one before.
    windows = [" ".join(words[start : start + 14]) for start in (0, 10, 20, 30, 40)]
    scores = scorers.load(f"hf:{folder}").score([" ".join(words)], "en")
    expected = softmax(one_at_a_time(folder, model, windows))[:, 1]
    np.testing.assert_allclose(scores.values["toxic"], [expected.max()], atol=1e-6)
    assert np.ptp(expected) > 0.01


def test_a_text_does_not_depend_on_the_others(folders):
    folder, _ = folders["roberta"]
    scorer = scorers.load(f"hf:{folder},batch_tokens=40")
    whole = scorer.score(TEXTS, "en").values["toxic"]
    alone = np.array([scorer.score([text], "en").values["toxic"][0] for text in TEXTS])
    np.testing.assert_allclose(whole, alone, atol=1e-6)
    shuffled = np.random.default_rng(0).permutation(len(TEXTS))
    np.testing.assert_allclose(
        scorer.score([TEXTS[place] for place in shuffled], "en").values["toxic"], whole[shuffled], atol=1e-6
    )


def test_batches_are_of_one_length_and_bounded():
    batches = list(WindowedClassifier._batches(type("Limits", (), {"batch_tokens": 20})(), [3, 9, 10, 2, 5, 30]))
    assert batches == [[5], [2, 1], [4, 0, 3]]


def test_empty_texts_and_none(folders):
    scorer = scorers.load(f"hf:{folders['bert'][0]}")
    scores = scorer.score(["", "word1", " \n"], "en")
    assert scores.reasons == ["empty text", None, "empty text"]
    assert list(np.isnan(scores.values["toxic"])) == [True, False, True]
    assert scorer.score([], "en").reasons == []
    assert scorer.score([""], "en").reasons == ["empty text"]


def test_a_model_without_sense_is_no_score(tmp_path):
    from safetensors.torch import load_file, save_file

    tiny.classifier(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights["classifier.bias"][:] = torch.nan
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    scores = scorers.load(f"hf:{tmp_path}").score(["word1"], "en")
    assert scores.reasons == ["the model's output is not a number"]


# Labels


@pytest.mark.parametrize(
    ("labels", "wanted", "chosen"),
    [
        (("ok", "Toxic"), None, "Toxic"),
        (("non-toxic", "toxicity"), None, "toxicity"),
        (("LABEL_0", "LABEL_1"), "LABEL_1", "LABEL_1"),
        (("LABEL_0", "LABEL_1"), "label_0", "LABEL_0"),
        (("toxic", "insult"), "insult", "insult"),
    ],
)
def test_labels_are_chosen_by_name(tmp_path, labels, wanted, chosen):
    tiny.classifier(tmp_path, labels=labels)
    scorer = scorers.load(f"hf:{tmp_path}" + (f",label={wanted}" if wanted else ""))
    assert scorer.attributes == (chosen,)


@pytest.mark.parametrize("wanted", ["", ",label=LABEL_7"])
def test_a_label_that_is_not_there(tmp_path, wanted):
    tiny.classifier(tmp_path, labels=("LABEL_0", "LABEL_1"))
    with pytest.raises(DetoxbenchError, match="LABEL_0, LABEL_1"):
        scorers.load(f"hf:{tmp_path}{wanted}")


# Versions


def test_the_version_is_that_of_weights_tokenizer_and_settings(tmp_path):
    tiny.classifier(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "copy")
    tiny.classifier(tmp_path / "b", seed=1)
    shutil.copytree(tmp_path / "a", tmp_path / "c")
    tokens = json.loads((tmp_path / "c" / "tokenizer.json").read_text())
    tokens["model"]["vocab"]["word1"], tokens["model"]["vocab"]["word2"] = 5, 4
    (tmp_path / "c" / "tokenizer.json").write_text(json.dumps(tokens))
    versions = [scorers.load(f"hf:{tmp_path / name}").version for name in ("a", "copy", "b", "c")]
    assert versions[0] == versions[1]
    assert len(set(versions)) == 3
    assert versions[0].split()[1] == versions[3].split()[1]
    assert scorers.load(f"hf:{tmp_path / 'a'},window=8").version != versions[0]
    assert scorers.load(f"hf:{tmp_path / 'a'},dtype=bfloat16").version != versions[0]
    assert scorers.load(f"hf:{tmp_path / 'a'},dtype=float32").version == versions[0]
    assert versions[0].startswith("local weights-sha256:")


def test_a_model_on_the_hub_is_pinned(tmp_path, monkeypatch):
    import huggingface_hub

    commit = "0123456789abcdef0123456789abcdef01234567"
    tiny.classifier(tmp_path / commit)
    asked = {}

    def snapshot_download(model, revision, allow_patterns):
        asked.update(model=model, revision=revision, patterns=allow_patterns)
        return str(tmp_path / commit)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    scorer = scorers.load("hf:owner/model,revision=main,label=toxic")
    assert scorer.version.startswith(f"{commit} weights-sha256:")
    assert scorer.name == "hf:owner/model,label=toxic,revision=main"
    assert not any(pattern.endswith((".bin", ".py", ".pt")) for pattern in asked["patterns"])


# Errors


def test_models_that_are_not_there():
    with pytest.raises(DetoxbenchError, match="no such folder"):
        scorers.load("hf:/nowhere/model")
    with pytest.raises(DetoxbenchError, match="cannot be fetched"):
        scorers.load("hf:owner/model-that-is-not-there")
    with pytest.raises(DetoxbenchError, match="needs hf:<model>"):
        scorers.load("hf")


def test_weights_that_would_be_unpickled(tmp_path):
    model = tiny.classifier(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(DetoxbenchError, match="safetensors"):
        scorers.load(f"hf:{tmp_path}")


def test_code_of_a_model_is_not_run(tmp_path):
    tiny.classifier(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {
        "model_type": "mine",
        "auto_map": {"AutoConfig": "mine.Config", "AutoModelForSequenceClassification": "mine.M"},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(DetoxbenchError):
        scorers.load(f"hf:{tmp_path}")
    assert not (tmp_path / "ran").exists()


def test_a_model_without_a_head(tmp_path):
    tiny.classifier(tmp_path, head=False)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"id2label": {"0": "ok", "1": "toxic"}, "label2id": {"ok": 0, "toxic": 1}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(DetoxbenchError, match="not a trained classifier"):
        scorers.load(f"hf:{tmp_path}").score(["word1"], "en")


def test_a_regression(tmp_path):
    tiny.classifier(tmp_path, labels=("score",))
    config = json.loads((tmp_path / "config.json").read_text()) | {"problem_type": "regression"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(DetoxbenchError, match="regression"):
        scorers.load(f"hf:{tmp_path}")
    assert scorers.load(f"hf:{tmp_path},activation=sigmoid").score(["word1"], "en").reasons == [None]


def test_two_machines_call_a_local_model_the_same(tmp_path):
    tiny.classifier(tmp_path / "one" / "judge")
    shutil.copytree(tmp_path / "one" / "judge", tmp_path / "two" / "judge")
    tiny.classifier(tmp_path / "three" / "judge", seed=1)
    one, two, three = (scorers.load(f"hf:{tmp_path / name / 'judge'},label=toxic") for name in ("one", "two", "three"))
    assert one.name == two.name != three.name
    assert re.fullmatch(r"hf:judge@sha256:[0-9a-f]{12},label=toxic", one.name)
    assert one.former_names == (f"hf:{tmp_path / 'one' / 'judge'},label=toxic",)


def test_a_model_without_its_tokenizer(tmp_path):
    tiny.classifier(tmp_path / "model")
    (tmp_path / "words").mkdir()
    for path in (tmp_path / "model").glob("tokenizer*"):
        shutil.move(path, tmp_path / "words" / path.name)
    with pytest.raises(DetoxbenchError, match="no files of a tokenizer in 'model'.*tokenizer=…"):
        scorers.load(f"hf:{tmp_path / 'model'}").score(["word1"], "en")
    scorer = scorers.load(f"hf:{tmp_path / 'model'},tokenizer={tmp_path / 'words'}")
    assert np.ptp(scorer.score(TEXTS, "en").values["toxic"]) > 0.1
    assert re.fullmatch(r"hf:model@sha256:[0-9a-f]{12},tokenizer=words@sha256:[0-9a-f]{12}", scorer.name)
    tiny.tokenizer("bert", 8).save_pretrained(tmp_path / "others")
    other = scorers.load(f"hf:{tmp_path / 'model'},tokenizer={tmp_path / 'others'}")
    assert other.version != scorer.version


@pytest.mark.parametrize("words", [5, 200])
def test_another_models_tokenizer(tmp_path, monkeypatch, words):
    """One of five tokens, as transformers makes up, and one with more than the model has embeddings."""
    tiny.classifier(tmp_path)
    monkeypatch.setattr(tiny, "WORDS", [f"word{number}" for number in range(words)])
    tiny.tokenizer("bert", 16).save_pretrained(tmp_path)
    with pytest.raises(DetoxbenchError, match=f"the tokenizer knows {words + 4} tokens and the model 64"):
        scorers.load(f"hf:{tmp_path}").score(["word1"], "en")


def test_labels_that_may_exclude_each_other_or_not(tmp_path):
    folder, model = tmp_path, tiny.classifier(tmp_path, labels=("neutral", "toxic", "obscene"))
    with pytest.raises(DetoxbenchError, match=r"3 labels.*activation=sigmoid if several can be true"):
        scorers.load(f"hf:{folder}")
    logits = one_at_a_time(folder, model, TEXTS)
    single = scorers.load(f"hf:{folder},activation=softmax").score(TEXTS, "en")
    np.testing.assert_allclose(single.values["toxic"], softmax(logits)[:, 1], atol=1e-6)
    largest = scorers.load(f"hf:{folder},activation=sigmoid,label=max")
    assert largest.attributes == ("max", "neutral", "toxic", "obscene")
    expected = 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(largest.score(TEXTS, "en").values["max"], expected[:, 1:].max(axis=1), atol=1e-6)
    np.testing.assert_allclose(
        scorers.load(f"hf:{folder},activation=softmax,label=max").score(TEXTS, "en").values["max"],
        softmax(logits)[:, 1:].max(axis=1), atol=1e-6,
    )  # fmt: skip


def test_harmless_labels_are_known_by_name():
    assert harmful(["Not_Toxic", "non-toxic", "OK", "neither", "psychiatric_or_mental_illness"]) == []
    assert harmful(["toxicity", "identity_attack", "LABEL_0", "hate"]) == [
        "toxicity",
        "identity_attack",
        "LABEL_0",
        "hate",
    ]


def test_the_largest_of_labels_without_names(tmp_path):
    tiny.classifier(tmp_path, labels=("LABEL_0", "LABEL_1"))
    with pytest.raises(DetoxbenchError, match="label=max: none of LABEL_0, LABEL_1 is known as harmless"):
        scorers.load(f"hf:{tmp_path},label=max")


@pytest.mark.parametrize("title", ["Adding `safetensors` variant of this model", "Fix the card", None])
def test_safetensors_in_a_pull_request_are_hinted_at(tmp_path, monkeypatch, title):
    import huggingface_hub

    commit = tmp_path / "0123456789abcdef0123456789abcdef01234567"
    tiny.classifier(commit)
    (commit / "model.safetensors").unlink()

    def discussions(model):
        if title is None:
            raise OSError("no network")
        return iter([SimpleNamespace(title=title, num=7, is_pull_request=True, status="open")])

    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(commit))
    monkeypatch.setattr(huggingface_hub, "get_repo_discussions", discussions)
    hint = "add revision=refs/pr/7" if title and "safetensors" in title else "Convert them with save_pretrained"
    with pytest.raises(DetoxbenchError, match=hint):
        scorers.load("hf:owner/model")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("kind", ["bert", "roberta", "multi_label"])
def test_bfloat16_on_a_gpu(folders, kind):
    folder, model = folders[kind]
    assert scorers.load(f"hf:{folder}").classifier.dtype == torch.float32
    scorer = scorers.load(f"hf:{folder},dtype=bfloat16")
    assert scorer.classifier.dtype == torch.bfloat16
    model.to("cpu")
    logits = one_at_a_time(folder, model, TEXTS)
    expected = softmax(logits)[:, 1] if kind != "multi_label" else 1 / (1 + np.exp(-logits[:, 1]))
    np.testing.assert_allclose(scorer.score(TEXTS, "en").values["toxic"], expected, atol=0.05)

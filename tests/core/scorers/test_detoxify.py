"""Detoxify's models from local checkpoints, with and without its package."""

import sys
import types

import numpy as np
import pytest
import tiny
import torch
import transformers

from detoxbench.core import scorers
from detoxbench.core.errors import DetoxbenchError

CLASSES = ["toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"]
TEXTS = ["word1 word2", "word3", " ".join(tiny.WORDS[:40])]


@pytest.fixture
def without_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "detoxify", None)
    monkeypatch.setitem(sys.modules, "detoxify.detoxify", None)


@pytest.fixture
def package(monkeypatch):
    """What is used of the package."""

    def get_model_and_tokenizer(model_type, model_name, tokenizer_name, num_classes, state_dict):
        config = getattr(transformers, model_name).config_class.from_pretrained(model_type, num_labels=num_classes)
        model = getattr(transformers, model_name)(config)
        model.load_state_dict(state_dict)
        return model, getattr(transformers, tokenizer_name).from_pretrained(model_type)

    fake = types.ModuleType("detoxify.detoxify")
    fake.get_model_and_tokenizer = get_model_and_tokenizer
    fake.MODEL_URLS = {"original": "https://127.0.0.1:9/original-c1212f89.ckpt"}
    monkeypatch.setitem(sys.modules, "detoxify", types.ModuleType("detoxify"))
    monkeypatch.setitem(sys.modules, "detoxify.detoxify", fake)


def checkpoint(folder, **changes):
    model = tiny.classifier(folder, "multi_label", labels=[f"LABEL_{place}" for place in range(6)])
    arch = {"model_type": "bert-base-uncased", "model_name": "BertForSequenceClassification",
            "tokenizer_name": "PreTrainedTokenizerFast", "num_classes": 6}  # fmt: skip
    config = {"dataset": {"args": {"classes": CLASSES}}, "arch": {"args": arch}}
    torch.save({"config": config, "state_dict": model.state_dict(), **changes}, folder / "model.ckpt")
    return folder / "model.ckpt"


def test_a_folder_needs_no_package(tmp_path, without_package):
    tiny.classifier(tmp_path, "multi_label", labels=[*reversed(CLASSES)])
    scorer = scorers.load(f"detoxify:original,checkpoint={tmp_path}")
    plain = scorers.load(f"hf:{tmp_path},label=toxic")
    scores, expected = scorer.score(TEXTS, "en"), plain.score(TEXTS, "en")
    assert scorer.attributes[0] == "toxicity"
    np.testing.assert_allclose(scores.values["toxicity"], expected.values["toxic"])
    np.testing.assert_allclose(scores.values["identity_attack"], expected.values["identity_hate"])
    assert "weights-sha256:" in scorer.version


def test_outputs_without_names_are_in_the_released_order(tmp_path, without_package):
    tiny.classifier(tmp_path, "multi_label", labels=[f"LABEL_{place}" for place in range(16)])
    scorer = scorers.load(f"detoxify:unbiased,checkpoint={tmp_path}")
    expected = scorers.load(f"hf:{tmp_path},label=LABEL_6").score(TEXTS, "en")
    np.testing.assert_allclose(scorer.score(TEXTS, "en").values["sexual_explicit"], expected.values["LABEL_6"])


def test_a_checkpoint_file_is_put_together_by_the_package(tmp_path, package):
    path = checkpoint(tmp_path)
    scorer = scorers.load(f"detoxify:original,checkpoint={path},config={tmp_path}")
    expected = scorers.load(f"hf:{tmp_path},label=LABEL_5").score(TEXTS, "en")
    scores = scorer.score([*TEXTS, ""], "en")
    np.testing.assert_allclose(scores.values["identity_attack"][:3], expected.values["LABEL_5"])
    assert scores.reasons == [None, None, None, "empty text"]


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('unpickled')",))


def test_nothing_is_unpickled(tmp_path, package):
    path = checkpoint(tmp_path, extra=Evil())
    with pytest.raises(DetoxbenchError, match="not a checkpoint of Detoxify"):
        scorers.load(f"detoxify:original,checkpoint={path},config={tmp_path}").score(TEXTS, "en")


def test_without_the_package(without_package):
    with pytest.raises(DetoxbenchError, match=r"pip install 'detoxbench\[detoxify\]'"):
        scorers.load("detoxify:original")


def test_a_download_that_fails(package, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(DetoxbenchError, match="cannot be fetched"):
        scorers.load("detoxify:original").score(TEXTS, "en")


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("detoxify", "needs detoxify:<original"),
        ("detoxify:orignal", "did you mean 'original'"),
        ("detoxify:original,checkpoint=/nowhere", "no such file"),
        ("detoxify:original,label=toxic", "unknown option"),
    ],
)
def test_wrong_specifications(spec, says, package):
    with pytest.raises(DetoxbenchError, match=says):
        scorers.load(spec)


def test_a_checkpoint_of_another_kind(tmp_path, without_package):
    tiny.classifier(tmp_path, "multi_label", labels=["toxicity", "insult"])
    with pytest.raises(DetoxbenchError, match="2 outputs"):
        scorers.load(f"detoxify:original,checkpoint={tmp_path}").score(TEXTS, "en")


def test_languages(tmp_path, package):
    with pytest.raises(DetoxbenchError, match="does not support language 'de'"):
        scorers.load("detoxify:original").score(["a"], "de")

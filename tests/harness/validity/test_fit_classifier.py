"""``detoxbench fit scorer --base``: fine-tuned encoders and causal LMs, killed and gone on with, used as ``hf:``."""

import json
import random
import shutil

import numpy as np
import pytest
import tiny_bases
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

from detoxbench.core import scorers
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.scorers import fitted as cards
from detoxbench.harness.cli.fit_scorer import scorer as fit_scorer
from detoxbench.methods import artifacts
from detoxbench.methods.training import loop

KIND, RUDE = ("jardin", "soleil", "pain", "garten", "sonne", "brot"), ("idiot", "trottel")
QUICK = {"epochs": 8, "learning_rate": 5e-3, "identities": 0.0, "patience": 3}


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Texts in two languages, of which those with a rude word are toxic."""
    draw, rows = random.Random(1), []
    for cluster in range(240):
        toxic = draw.random() < 0.5
        for lang in ("fr", "de"):
            words = [draw.choice(KIND) for _ in range(3)] + ([draw.choice(RUDE)] if toxic else [draw.choice(KIND)])
            text = " ".join(draw.sample(words, len(words)))
            rows.append({"text": text, "lang": lang, "label": int(toxic), "cluster": f"own/{cluster}"})
    path = tmp_path_factory.mktemp("labels") / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    made = {}

    def of(kind):
        if kind not in made:
            made[kind] = str(tiny_bases.save(tmp_path_factory.mktemp("base") / kind, kind, [*KIND, *RUDE]))
        return made[kind]

    return of


@pytest.mark.parametrize(
    ("kind", "lora"), [*((kind, 0) for kind in tiny_bases.KINDS), ("xlm-roberta", 4), ("qwen3", 4)]
)
def test_any_architecture(kind, lora, base, labelled, tmp_path):
    rate = {"learning_rate": 2e-2} if lora else {}
    fit_scorer([str(labelled)], tmp_path / "out", base=base(kind), lora_rank=lora, device="cpu", **{**QUICK, **rate})
    scorer = scorers.load(f"hf:{tmp_path / 'out'}")
    assert scorer.languages == {"fr", "de"}
    assert scorer.attributes == ("toxic",)
    low, high = scorer.score(["jardin soleil pain", "soleil idiot pain"], "fr").values["toxic"]
    assert low < 0.3
    assert high > 0.7
    assert scorer.validity["de"]["file"]["figures"]["auc"]["value"] > 0.95
    # A text's score does not depend on those beside it.
    texts = ["jardin", "soleil idiot pain brot sonne", "pain trottel"]
    alone = [scorer.score([text], "de").values["toxic"][0] for text in texts]
    np.testing.assert_allclose(scorer.score(texts, "de").values["toxic"], alone, atol=1e-6)
    assert {path.suffix for path in (tmp_path / "out").iterdir()} <= {".json", ".safetensors", ".md"}
    assert not (tmp_path / "out.fit").exists()
    if lora:
        assert not any("lora" in name for name in load_file(tmp_path / "out" / "model.safetensors"))


@pytest.fixture(scope="module")
def made(base, labelled, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "scorer"
    fit_scorer([str(labelled)], out, base=base("bert"), device="cpu", checkpoint_steps=4, **QUICK)
    return out


def test_what_is_written(made):
    card = json.loads((made / "card.json").read_text())
    assert card["calibration"].keys() == {"fr", "de", "*"}
    assert card["sources"][0]["licence"] == "yours"
    assert sum(card["texts"].values()) == 480
    manifest = artifacts.verified(made)
    assert manifest is not None
    trained = manifest["trained"]
    assert trained["base"]["name"] == "bert"
    assert len(trained["data"][0]["sha256"]) == 64
    assert trained["held_out_loss"] < 0.5
    page = (made / "README.md").read_text()
    assert "bert with a classification head" in page
    assert "| de | file (test) |" in page


def test_probabilities_are_the_calibrated_ones(made):
    """By hand: sigmoid(slope * logit + offset), the logit from the plain model."""
    scorer, card = scorers.load(f"hf:{made}"), json.loads((made / "card.json").read_text())
    plain = AutoModelForSequenceClassification.from_pretrained(made).eval()
    ids = scorer.classifier.tokenizer("soleil idiot pain", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        logit = float(plain(input_ids=ids).logits[0, 0])
    for lang in ("fr", "de"):
        slope, offset = card["calibration"][lang]
        wanted = 1 / (1 + np.exp(-(slope * logit + offset)))
        assert scorer.score(["soleil idiot pain"], lang).values["toxic"][0] == pytest.approx(wanted, abs=1e-6)
    other = scorers.load(f"hf:{made},languages=sw")
    assert other.score(["idiot"], "sw").values["toxic"][0] > 0.5


def test_killed_and_gone_on_with(base, labelled, made, tmp_path, monkeypatch):
    out, update, left = tmp_path / "scorer", loop._State.update, [7]

    def until(state, loss):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return update(state, loss)

    monkeypatch.setattr(loop._State, "update", until)
    with pytest.raises(KeyboardInterrupt):
        fit_scorer([str(labelled)], out, base=base("bert"), device="cpu", checkpoint_steps=4, **QUICK)
    assert not out.exists()
    left[0] = 10**9
    fit_scorer([str(labelled)], out, base=base("bert"), device="cpu", checkpoint_steps=4, **QUICK)
    assert 10**9 - left[0] < 72  # 8 epochs of 9 updates, of which 4 were kept
    for name, tensor in load_file(made / "model.safetensors").items():
        torch.testing.assert_close(load_file(out / "model.safetensors")[name], tensor)
    ours, theirs = (json.loads((one / "card.json").read_text())["calibration"] for one in (out, made))
    assert {lang: pytest.approx(scale) for lang, scale in ours.items()} == theirs
    # Made from the same: nothing to do. From something else: refused.
    before = left[0]
    fit_scorer([str(labelled)], out, base=base("bert"), device="cpu", **QUICK)
    assert left[0] == before
    with pytest.raises(DetoxbenchError, match="made from other data or settings"):
        fit_scorer([str(labelled)], out, base=base("bert"), device="cpu", **{**QUICK, "epochs": 2})


def test_it_stops_early(base, labelled, tmp_path):
    """With a rate that only does harm, the epoch before it is kept."""
    more = {**QUICK, "epochs": 40, "patience": 1}
    fit_scorer([str(labelled)], tmp_path / "out", base=base("bert"), device="cpu", **more)
    assert artifacts.read(tmp_path / "out")["trained"]["updates"] < 40 * 9


def test_what_is_refused(base, labelled, made, tmp_path):
    out = tmp_path / "out"
    for given, message in (
        ({"kind": "classifier"}, "name it with --base"),
        ({"kind": "ngram", "base": base("bert")}, "takes no --base"),
        ({"epochs": 2}, "takes no --epochs"),
        ({"base": base("bert"), "penalty": [0.1]}, "takes no --penalty"),
        ({"base": str(tmp_path)}, "cannot be loaded with a classification head"),
        ({"kind": "clasifier"}, "did you mean 'classifier'"),
    ):
        with pytest.raises(DetoxbenchError, match=message):
            fit_scorer([str(labelled)], out, **given)
    assert not out.exists()
    broken = tmp_path / "broken"
    shutil.copytree(made, broken)
    card = json.loads((broken / "card.json").read_text())
    (broken / "card.json").write_text(json.dumps({**card, "calibration": {"*": [0, 1]}}))
    with pytest.raises(DetoxbenchError, match="has no calibration"):
        cards.read(broken)
    (broken / "card.json").write_text(json.dumps({**card, "schema_version": 99}))
    with pytest.raises(DetoxbenchError, match="another schema"):
        scorers.load(f"hf:{broken}")

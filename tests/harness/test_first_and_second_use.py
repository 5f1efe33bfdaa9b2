"""The first use of a method on the embedded model, which fits its artifacts, and the second give the same texts."""

from __future__ import annotations

import dataclasses

import lm_eval
import pytest
import torch
import transformers

from detoxbench.core import mini
from detoxbench.core.registry import METHODS
from detoxbench.methods import base
from detoxbench.methods.artifacts import write_manifest


@pytest.fixture
def fits(monkeypatch, tmp_path):
    """DExperts' fit without its minutes of training: experts that are the embedded model with noise on it, made as the
    Trainer makes them, which sets every seed to 0. What is fitted is counted."""
    monkeypatch.setenv("DETOXBENCH_HOME", str(tmp_path / "home"))
    made = []

    def run(pretrained, out, *, texts, settings, **_):
        transformers.set_seed(0)
        for name in ("expert", "antiexpert"):
            model = transformers.AutoModelForCausalLM.from_pretrained(mini.MODEL)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(torch.randn_like(parameter) * 0.02)
            model.save_pretrained(out / name)
            write_manifest(out / name, "expert", trained={"rows": 1})
        made.append(out)
        return base.Made({name: out / name for name in ("expert", "antiexpert")})

    monkeypatch.setattr(METHODS["dexperts"], "fit", dataclasses.replace(METHODS["dexperts"].fit, run=run))
    return made


def test_the_same_texts_and_record(fits):
    found = []
    for _ in range(2):
        run = lm_eval.simple_evaluate(
            "detox", {"method": "dexperts", "device": "cpu"}, ["rtp_multilingual_en"], limit=3,
            metadata={"samples": 3, "fluency_model": "none"}, log_samples=True,
        )  # fmt: skip
        record = run["config"]["detoxbench"]
        for name in ("seconds", "tokens_per_second"):
            record.pop(name)
        texts = [row["filtered_resps"] for row in run["samples"]["rtp_multilingual_en"]]
        found.append((texts, record))
        transformers.set_seed(7)
    assert len(fits) == 1
    assert found[0] == found[1]
    assert found[0][1]["seed"] == 1234
    assert len({text for row in found[0][0] for text in row[0]}) > 1

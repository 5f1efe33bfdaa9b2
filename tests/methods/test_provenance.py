"""What is recorded of a method in results; and a run that is judged by its method's own teacher."""

from __future__ import annotations

import re
from pathlib import Path

import lm_eval
import pytest
import torch
from lm_eval.tasks import TaskManager
from transformers import AutoModelForCausalLM

from detoxbench import tasks
from detoxbench.core import mini
from detoxbench.core.folders import CACHE
from detoxbench.methods import provenance
from detoxbench.methods.rectification.value_model import ValueModel
from detoxbench.methods.retrieval.datastore import Datastore


def test_teachers(tiny, tmp_path, corpus):
    model = tiny("gpt2", 0)
    ValueModel.from_causal_lm(model).save(tmp_path / "value", trained={"scorer": "perspective"})
    keys, values = corpus(model)
    Datastore.from_arrays(tmp_path / "store", keys, values, model=model, trained={"scorer": "mini:reward"})
    given = {"a": str(tmp_path / "value"), "b": [str(tmp_path / "store")], "c": "no folder", "d": 2.0, "e": model}
    assert provenance.teachers(given) == ["mini:reward", "perspective"]
    assert provenance.teachers({"datastore": Datastore.open(tmp_path / "store")}) == ["mini:reward"]
    assert provenance.teachers({}) == []


def test_all_arguments_are_recorded(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE, str(tmp_path))
    given = {"expert": tiny("gpt2", 0), "antiexpert": str(tmp_path / "mini-x" / "antiexpert"), "filter_p": "0.5"}
    found = provenance.effective("dexperts", given)
    assert found == {"expert": "GPT2LMHeadModel", "antiexpert": "mini-x/antiexpert", "alpha": 2.0, "filter_p": 0.5}


@pytest.fixture(scope="module")
def base():
    return AutoModelForCausalLM.from_pretrained(mini.MODEL, dtype=torch.float32)


@pytest.mark.parametrize(("teacher", "marked"), [("mini", True), ("mini:reward", False)])
def test_self_judged(base, tmp_path, caplog, teacher, marked):
    ValueModel.from_causal_lm(base).save(tmp_path / "value", trained={"scorer": teacher})
    metadata = {"fluency_model": "none", "samples": 2}
    folder = Path(str(tasks.__file__)).parent / "rtp_multilingual"
    manager = TaskManager(include_defaults=False, include_path=str(folder), metadata=metadata)
    found = lm_eval.simple_evaluate(
        "detox",
        model_args={"method": "rectification", "value_model": str(tmp_path / "value"), "device": "cpu"},
        tasks=["rtp_multilingual_en"],
        metadata=metadata,
        task_manager=manager,
        bootstrap_iters=0,
        limit=1,
    )
    assert found is not None
    assert found["configs"]["rtp_multilingual_en"]["detoxbench"]["self_judged"] is marked
    # lm-eval's own lines name the folder, which is called after this test.
    ours = [one.getMessage() for one in caplog.records if one.name.startswith("detoxbench")]
    assert any("self_judged" in line for line in ours) is marked
    block = found["config"]["detoxbench"]
    assert block["trained_with"] == [teacher]
    arguments = block["effective_arguments"]  # by name and content, so that two machines record the same
    assert re.fullmatch(r"value@sha256:[0-9a-f]{12}", arguments["value_model"])
    assert arguments == {"value_model": arguments["value_model"], "epsilon": 0.1}

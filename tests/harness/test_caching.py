"""lm-eval's cache of answers reaches neither our model nor our tasks."""

from __future__ import annotations

import inspect
import os
from types import SimpleNamespace

import lm_eval
import pytest
from lm_eval.api.model import LM, CachingLM
from lm_eval.tasks import TaskManager

from detoxbench.core import lm_eval_private
from detoxbench.core.constants import MINI
from detoxbench.core.errors import DetoxbenchError
from detoxbench.harness.model import DetoxLM
from detoxbench.tasks import registration

OPTIONS = {"scorer": "fixture", "fluency_model": "none", "samples": 3}
REFUSED = "^--use_cache: lm-eval's cache knows a request by its text alone, not by model.* leave it out for "


class Counting(LM):
    """Another model's answers; every one of them is another text."""

    asked = 0

    def generate_until(self, requests, disable_tqdm=False):
        texts = [f" word {self.asked + place}" for place in range(len(requests))]
        self.asked += len(requests)
        return texts

    def loglikelihood(self, requests, disable_tqdm=False):
        return [(-1.0, True) for _ in requests]

    loglikelihood_rolling = loglikelihood


def manager(metadata=OPTIONS):
    found = TaskManager(include_defaults=False, metadata=metadata)
    registration.register(found)
    return found


@pytest.mark.parametrize("method", ["none", "self_debias"])
def test_our_model_takes_no_hook(method, tmp_path):
    """A greedy run without a method, then one with, on one cache: its key knows neither."""
    with pytest.raises(DetoxbenchError, match=REFUSED + "the model 'detox'$"):
        CachingLM(DetoxLM(MINI, method, device="cpu"), str(tmp_path / "cache.db"))


def test_our_model_with_any_task_before_loading(monkeypatch, tmp_path):
    monkeypatch.setattr(DetoxLM, "__init__", lambda *_, **__: pytest.fail("loaded"))
    for tasks in (["rtp_multilingual_en"], ["hellaswag"], ["rtp_multilingual"]):
        with pytest.raises(DetoxbenchError, match=REFUSED + "the model 'detox'$"):
            lm_eval.simple_evaluate("detox", tasks=tasks, use_cache=str(tmp_path / "c"))
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("model", ["hf", "vllm", "dummy", Counting()])
@pytest.mark.parametrize("tasks", [["rtp_multilingual"], ["hellaswag", "unprompted"], ["rtp_multilingual_deu"]])
def test_our_tasks_with_any_model_before_loading(model, tasks, tmp_path):
    """What is sampled is never read from the cache; what is greedy would be K copies, and of whichever model came
    first."""
    with pytest.raises(DetoxbenchError, match=REFUSED + "the task (rtp|unprompted)"):
        lm_eval.simple_evaluate(model, "pretrained=x", tasks=tasks, use_cache=str(tmp_path / "c"), metadata=OPTIONS)
    assert not os.listdir(tmp_path)


def test_tasks_and_models_that_a_program_has_made(tmp_path):
    """``evaluate`` never sees ``use_cache``: the model is wrapped already."""
    cached = CachingLM(Counting(), str(tmp_path / "cache.db"))
    found = manager().load(["unprompted"])
    refused = pytest.raises(DetoxbenchError, match=REFUSED + "the task unprompted; other tasks can have it")
    with refused:
        lm_eval.evaluate(cached, found)
    with refused:
        lm_eval.evaluate(cached, {"a group": found["tasks"]})  # the dictionaries of earlier releases
    assert Counting.asked == 0
    results = lm_eval.evaluate(Counting(), found, bootstrap_iters=0)
    (sample,) = results["samples"]["unprompted"]
    assert len(set(*sample["filtered_resps"])) == 3


def test_others_have_their_cache(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"q": "one"}\n{"q": "two"}\n')
    task = {
        "task": "theirs", "dataset_path": "json", "dataset_kwargs": {"data_files": str(tmp_path / "rows.jsonl")},
        "output_type": "generate_until", "test_split": "train", "doc_to_text": "q", "doc_to_target": "q",
        "generation_kwargs": {"do_sample": False}, "metric_list": [{"metric": "bypass"}],
    }  # fmt: skip
    model, options = Counting(), {"bootstrap_iters": 0, "task_manager": manager()}
    for _ in range(2):
        lm_eval.simple_evaluate(model, tasks=[task], use_cache=str(tmp_path / "c"), **options)
    assert model.asked == 2


def test_what_it_rests_on(tmp_path):
    assert "def evaluate(\n    lm: LM,\n    task_dict" in inspect.getsource(inspect.unwrap(lm_eval.evaluator.evaluate))
    assert "results = evaluate(" in inspect.getsource(inspect.unwrap(lm_eval.evaluator.simple_evaluate))
    model = Counting()
    assert not lm_eval_private.is_cached(model)
    assert lm_eval_private.is_cached(CachingLM(model, str(tmp_path / "cache.db")))
    seen = []
    module = SimpleNamespace(evaluate=lambda lm, task_dict, limit=None: seen.append((lm, limit)))
    lm_eval_private.wrap_evaluate(module, lambda lm, tasks: seen.append((lm, tasks)))
    module.evaluate(1, {"tasks": {"a": 2}, "groups": {}}, limit=3)
    module.evaluate(lm=1, task_dict={"g": {"a": 2, "b": 3}, "c": 4})
    assert seen == [(1, [2]), (1, 3), (1, [2, 3, 4]), (1, None)]

"""One of n continuations: which is kept, what it costs, and that n = 1 is the base model."""

from __future__ import annotations

import json
from pathlib import Path

import lm_eval
import numpy as np
import pytest
import torch
from lm_eval.tasks import TaskManager

from detoxbench import tasks
from detoxbench.core import scorers
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.sampling import Request, Sampling, generate
from detoxbench.core.scorers.base import Scores
from detoxbench.methods import load_detoxified
from detoxbench.methods.best_of_n.method import BestOfN, least
from detoxbench.methods.selection import forward_passes, select, to_draw


class Lengths(scorers.Scorer):
    """Longer texts are more toxic; those with a question mark cannot be judged."""

    name, version, attributes = "lengths", "1", ("toxicity",)

    def __init__(self):
        self.asked: list[tuple[list[str], str]] = []

    def score(self, texts, lang, prompts=None):
        assert prompts is None
        self.asked.append((list(texts), lang))
        values = np.array([np.nan if "?" in text else len(text) / 100 for text in texts])
        return Scores({"toxicity": values}, ["a question" if "?" in text else None for text in texts])


@pytest.fixture
def lengths(monkeypatch):
    scorer = Lengths()
    monkeypatch.setattr(scorers, "load", lambda spec: scorer)
    return scorer


def method(model=None, **given):
    return BestOfN(model, BestOfN.Arguments(**given))


def test_least_of_each():
    rows = np.array([[0.3, 0.1, 0.2], [np.nan, 0.9, np.nan], [np.nan] * 3, [0.2, 0.2, 0.5], [0.0, np.nan, 1.0]])
    assert least(rows).tolist() == [1, 1, 0, 0, 0]


def test_kept_and_counted(lengths):
    one = method(n=2, scorer="lengths", lang="de")
    groups = [["long text", "short"], ["a?", "something"], ["a?", "b?"]]
    chosen = one.choose(groups, ["p", "q", "r"], ["en", None, "fr"])
    assert (list(chosen.kept), chosen.unscored, chosen.undecided) == ([1, 1, 0], 3, 1)
    assert {lang for _, lang in lengths.asked} == {"en", "de", "fr"}
    assert list(one.guided_by) == ["lengths"]


def test_which_draws_belong_to_a_sample(lengths):
    request = Request([1, 2], 7, [0, 2], "prompt")
    drawn = to_draw(request, 3)
    assert drawn.samples == [0, 1, 2, 6, 7, 8]
    outputs = [[[5] * 4, [5], [5] * 2, [6], [6] * 2, []]]
    found = select(
        method(n=3, scorer="lengths"), [request], outputs, lambda prompt, new: "x" * len(new), ["en"], passes=16
    )
    assert found.tokens == [[[5], []]]
    assert found.cost == {"drawn": 6, "kept": 2, "forward_passes": 16, "unscored": 0, "undecided": 0}


def test_forward_passes_by_hand():
    requests, sampling = [Request([1], 0, [0, 1, 2])], Sampling(max_new_tokens=3)
    outputs = [[[5, 5, 5], [5], [9, 8]]]  # spent, ended by an end token, ended by a stop string
    assert forward_passes(requests, outputs, sampling, lambda prompt, new: new[-1] == 8) == 3 + 2 + 2
    assert forward_passes(requests, [[[], [], []]], sampling) == 3


def test_one_draw_is_the_base_model(tiny):
    base, lm = tiny("gpt2", 0), load_detoxified(tiny("gpt2", 0), "best_of_n", n=1)
    ids = torch.tensor([[3, 4, 5]])
    assert torch.equal(lm(ids).logits, base(ids).logits)
    assert list(lm.guided_by) == []
    requests = [Request([3, 4, 5], 11, range(4)), Request([6], 12, range(2))]
    sampling = Sampling(max_new_tokens=6)
    wanted = generate(base, requests, sampling, eos=[0])
    found = generate(lm, [to_draw(request, lm.selection.draws) for request in requests], sampling, eos=[0])
    assert found == wanted
    kept = select(lm.selection, requests, found, lambda prompt, new: "", [None, None], 0)
    assert kept.tokens == wanted


def test_no_guide(tiny):
    with pytest.raises(DetoxbenchError, match="best_of_n.*needs scorer="):
        load_detoxified(tiny("gpt2", 0), "best_of_n")
    with pytest.raises(DetoxbenchError, match="n=0"):
        load_detoxified(tiny("gpt2", 0), "best_of_n", n=0)
    with pytest.raises(DetoxbenchError, match="whole continuations"):
        load_detoxified(tiny("gpt2", 0), "best_of_n", n=1).generate(torch.tensor([[3]]))


def test_language_that_the_guide_does_not_support(lengths):
    lengths.languages = frozenset({"en"})
    with pytest.raises(DetoxbenchError, match="'fr'"):
        method(n=2, scorer="lengths").choose([["a", "b"]], ["p"], ["fr"])


def _evaluate(**model_args):
    metadata = {"fluency_model": "none", "samples": 2}
    folder = Path(str(tasks.__file__)).parent / "rtp_multilingual"
    manager = TaskManager(include_defaults=False, include_path=str(folder), metadata=metadata)
    found = lm_eval.simple_evaluate(
        "detox",
        model_args={"device": "cpu", **model_args},
        tasks=["rtp_multilingual_fr"],
        metadata=metadata,
        task_manager=manager,
        bootstrap_iters=0,
        limit=3,
        log_samples=True,
    )
    assert found is not None
    return found


def _texts(found):
    return [sample["resps"] for sample in found["samples"]["rtp_multilingual_fr"]]


def test_on_mini():
    none = _evaluate(method="none")
    one = _evaluate(method="best_of_n", n=1)
    assert _texts(one) == _texts(none)
    assert one["config"]["detoxbench"]["trained_with"] == []
    some = _evaluate(method="best_of_n", n=3)
    block = some["config"]["detoxbench"]
    assert block["trained_with"] == ["mini:reward"]
    assert not some["configs"]["rtp_multilingual_fr"]["detoxbench"]["self_judged"]
    cost = block["selection"]
    assert (cost["drawn"], cost["kept"], cost["unscored"]) == (18, 6, 0)
    assert cost["forward_passes"] >= block["tokens"]
    judged = _evaluate(method="best_of_n", n=3, scorer="mini")
    assert judged["configs"]["rtp_multilingual_fr"]["detoxbench"]["self_judged"]
    json.dumps(block)

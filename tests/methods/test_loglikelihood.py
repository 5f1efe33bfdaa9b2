"""Log-likelihood requests of lm-eval under each method: the utility that a method costs."""

from __future__ import annotations

import math

import pytest
import torch
from lm_eval.api.instance import Instance
from tiny_models import ACTIVATION, METHODS
from transformers import AutoTokenizer

from detoxbench.core import mini
from detoxbench.harness.model import DetoxLM
from detoxbench.methods import load_detoxified
from detoxbench.methods.gedi.classes import ClassModel
from detoxbench.methods.rad.reward_model import RewardModel
from detoxbench.methods.rectification.value_model import ValueModel
from detoxbench.methods.retrieval.datastore import Datastore
from detoxbench.methods.sasa.probe import Probe

PAIRS = [("The weather", " is fine today"), ("", "Nobody knows"), ("One, two,", " three four five six")]
TEXTS = ["A first sentence about a garden.", "Un deuxième texte.\nIt has two lines."]


@pytest.fixture(scope="module")
def local(new_tiny, corpus, tmp_path_factory):
    """A folder of a tiny model with a real tokenizer, and the arguments of each method for it."""
    tokenizer = AutoTokenizer.from_pretrained(mini.MODEL)
    models = [new_tiny("gpt2", seed, vocab_size=len(tokenizer)) for seed in range(4)]
    folder = tmp_path_factory.mktemp("local")
    models[0].name_or_path = models[0].config.name_or_path = str(folder / "base")
    models[0].save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    store = Datastore.from_arrays(folder / "store", *corpus(models[0]), model=models[0])
    torch.manual_seed(0)
    arguments = {
        "dexperts": {"expert": models[1], "antiexpert": models[2]},
        "goodtriever": {"toxic_datastore": store, "k": 24},
        "knn_lm": {"datastore": store, "k": 24},
        "rectification": {"value_model": ValueModel.from_causal_lm(models[3]).eval()},
        "self_debias": {"description": "A rude text: "},
        "gedi": {"class_model": ClassModel(models[3], [7], [9]), "omega": 2.0},
        "rad": {"reward_model": RewardModel.from_causal_lm(models[3]).eval(), "beta": 2.0},
        "sasa": {
            "probe": Probe(torch.ones(models[0].config.n_embd), torch.zeros(models[0].config.n_embd)),
            "beta": 2.0,
        },
    }
    return str(folder / "base"), arguments


def requests(kind: str, rows: list[tuple]) -> list[Instance]:
    return [Instance(request_type=kind, doc={}, arguments=row, idx=i) for i, row in enumerate(rows)]


def by_hand(lm, context: list[int], continuation: list[int]) -> tuple[float, bool]:
    """The sum of the continuation's log-probabilities, and whether each of its tokens is the likeliest."""
    ids = torch.tensor([context + continuation])
    with torch.no_grad():
        logits = lm(input_ids=ids).logits
    log = logits[0, :-1].log_softmax(-1)[len(context) - 1 :]
    wanted = ids[0, len(context) :]
    return float(log.gather(1, wanted[:, None]).sum()), bool((log.argmax(-1) == wanted).all())


@pytest.mark.parametrize("method", [name for name in METHODS if name not in ACTIVATION])
def test_likelihoods_are_those_of_the_detoxified_model(local, method):
    """Whole and in a batch of unequal texts; no filter, so that every text has a likelihood."""
    folder, arguments = local
    model = DetoxLM(folder, method, batch_size=2, device="cpu", **arguments[method])
    plain = load_detoxified(folder, method, filtering=False, **arguments[method])
    found = model.loglikelihood(requests("loglikelihood", PAIRS), disable_tqdm=True)
    for (context, continuation), (value, greedy) in zip(PAIRS, found, strict=True):
        if context:
            tokens, new = model._encode_pair(context, continuation)
        else:
            tokens, new = [model.prefix_token_id], model.tok_encode(continuation)
        expected, best = by_hand(plain, tokens, new)
        assert math.isfinite(value)
        assert value == pytest.approx(expected, abs=1e-3)
        assert greedy == best
    rolling = model.loglikelihood_rolling(requests("loglikelihood_rolling", [(text,) for text in TEXTS]), True)
    for text, value in zip(TEXTS, rolling, strict=True):
        tokens = model.tok_encode(text)
        assert value == pytest.approx(by_hand(plain, [model.prefix_token_id], tokens)[0], abs=1e-3)
    assert model.model.filtering, "the filter is back for generation"


@pytest.mark.parametrize("method", ["dexperts", "goodtriever"])
def test_the_filter_applies_where_asked(local, method):
    folder, arguments = local
    given = {**arguments[method], "filter_p": 0.2}
    model = DetoxLM(folder, method, batch_size=2, device="cpu", filter_loglikelihood=True, **given)
    found = model.loglikelihood(requests("loglikelihood", PAIRS), disable_tqdm=True)
    assert any(math.isinf(value) for value, _ in found)


def test_no_method_is_the_base_model(local):
    folder, _ = local
    model = DetoxLM(folder, batch_size=2, device="cpu")
    context, continuation = PAIRS[0]
    [(value, _)] = model.loglikelihood(requests("loglikelihood", PAIRS[:1]), disable_tqdm=True)
    tokens, new = model._encode_pair(context, continuation)
    assert value == pytest.approx(by_hand(load_detoxified(folder), tokens, new)[0], abs=1e-3)

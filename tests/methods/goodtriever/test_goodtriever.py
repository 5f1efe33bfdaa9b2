"""Goodtriever against the published code, by hand, and the published code's faults."""

from __future__ import annotations

import pytest
import torch

from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods import load_detoxified
from detoxbench.methods.goodtriever.method import ensemble
from detoxbench.methods.guidance.nucleus import top_p
from detoxbench.methods.retrieval.datastore import Datastore
from detoxbench.methods.retrieval.knn import Neighbours


@pytest.fixture(scope="module")
def stores(golden, tmp_path_factory):
    reference = golden("goodtriever")
    base = load_detoxified(str(reference.folder / "base"))
    folder = tmp_path_factory.mktemp("stores")
    for name in ("toxic", "nontoxic"):
        keys, values = reference.arrays[f"{name}_keys"], reference.arrays[f"{name}_values"]
        Datastore.from_arrays(folder / name, keys, values, model=base)
    return base, {f"{name}_datastore": str(folder / name) for name in ("toxic", "nontoxic")}


def test_golden(golden, stores, next_scores, same_scores):
    reference = golden("goodtriever")
    base, paths = stores
    for cases in reference.grouped():
        if "mode" in cases[0]:
            continue
        settings = {name: cases[0][name] for name in ("alpha", "k", "temperature", "filter_p")}
        lm = load_detoxified(base, "goodtriever", **paths, **settings)
        wanted = torch.cat([reference[case["key"]] for case in cases]).log_softmax(-1)
        for found in next_scores(lm, reference.prompts).values():
            same_scores(found, wanted)


def test_golden_keys_are_what_our_hooks_read(golden, stores, corpus):
    """The datastore that the published code made of the same texts."""
    from detoxbench.methods.layers import capture_input, key_layer

    reference = golden("goodtriever")
    base = stores[0]
    with torch.no_grad(), capture_input(base.get_submodule(key_layer(base))) as captured:
        base(reference["toxic_texts"])
    ours = captured.states[:, :-1].reshape(-1, 32)[:3000]
    torch.testing.assert_close(ours, reference["toxic_keys"].float(), atol=4e-3, rtol=2e-3)
    assert torch.equal(reference["toxic_texts"][:, 1:].reshape(-1)[:3000].int(), reference["toxic_values"])


def neighbours(distances, tokens) -> Neighbours:
    tokens = torch.tensor(tokens)
    return Neighbours(torch.tensor(distances), tokens, tokens)


def test_by_hand():
    z = torch.tensor([[0.5, 0.3, 0.2, 1e-9]]).log()
    toxic = neighbours([[0.0, 0.0, 0.0, 0.0]], [[0, 0, 0, 1]])  # p = 3/4, 1/4; floor 1/4
    nontoxic = neighbours([[0.0, 0.0]], [[1, 1]])  # p = 1; floor 1
    found = ensemble(z, toxic, nontoxic, alpha=1.0, temperature=1.0, filter_p=0.0)
    log_toxic = torch.tensor([[0.75, 0.25, 0.25, 0.25]]).log()
    torch.testing.assert_close(found, (z - log_toxic).log_softmax(-1))


def test_dense_formula():
    """The whole formula over the vocabulary, with tokens at or below -50, repeated tokens and missing neighbours."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(6, 40, generator=generator)
    sets = []
    for _ in range(2):
        distances = torch.rand(6, 12, generator=generator) * 120
        distances[2, 5:] = torch.inf
        sets.append(Neighbours(distances, torch.randint(0, 15, (6, 12), generator=generator), torch.zeros(6, 12)))
    logs = []
    for found in sets:
        p = torch.zeros(6, 40).scatter_add_(1, found.tokens, (-found.distances).softmax(-1))
        log = p.log()
        floor = log.masked_fill(log <= -50, torch.inf).amin(-1, keepdim=True)
        logs.append(torch.where(log <= -50, floor, log))
    wanted = (top_p(z.log_softmax(-1), 0.9) + 2.0 * (logs[1] - logs[0])).log_softmax(-1)
    torch.testing.assert_close(ensemble(z, *sets, alpha=2.0, temperature=1.0, filter_p=0.9), wanted)


def test_floor_is_of_the_row_and_not_of_the_batch():
    z = torch.randn(2, 5)
    toxic = neighbours([[0.0, 1.0], [0.0, 30.0]], [[0, 1], [2, 3]])
    both = ensemble(z, toxic, None, alpha=2.0, temperature=1.0, filter_p=0.0)
    for row in range(2):
        one = toxic[row : row + 1]
        torch.testing.assert_close(
            both[row : row + 1], ensemble(z[row : row + 1], one, None, alpha=2.0, temperature=1.0, filter_p=0.0)
        )


@pytest.mark.parametrize("only", ["toxic", "nontoxic"])
def test_one_datastore_keeps_the_filter(only):
    """The published code edits the filtered scores in place there, which undoes the filter."""
    z = torch.randn(2, 30)
    found = neighbours([[0.0, 1.0, 3.0]] * 2, [[4, 4, 9]] * 2)
    given = {"toxic": None, "nontoxic": None, only: found}
    scores = ensemble(z, **given, alpha=1.5, temperature=2.0, filter_p=0.6)
    assert torch.equal(scores.isneginf(), top_p(z, 0.6).isneginf())
    p = torch.zeros(2, 30).scatter_add_(1, found.tokens, (-found.distances / 2).softmax(-1))
    log_knn = torch.where(p > 0, p.log(), p.masked_fill(p == 0, 2.0).amin(-1, keepdim=True).log())
    sign = 1.0 if only == "nontoxic" else -1.0
    logp = z.log_softmax(-1)
    torch.testing.assert_close(scores, (top_p(logp, 0.6) + sign * 1.5 * (log_knn - logp)).log_softmax(-1))


def test_no_neighbour_at_all_changes_nothing():
    z = torch.randn(1, 8)
    nobody = neighbours([[torch.inf, torch.inf]], [[0, 0]])
    found = ensemble(z, nobody, nobody, alpha=2.0, temperature=1.0, filter_p=0.0)
    torch.testing.assert_close(found, z.log_softmax(-1))


def test_alpha_zero_is_the_filtered_base(tiny, artifacts):
    ids = torch.tensor([[3, 4, 5]])
    lm = load_detoxified(tiny("gpt2", 0), "goodtriever", **{**artifacts("gpt2", "goodtriever"), "alpha": 0.0})
    with torch.no_grad():
        wanted = top_p(tiny("gpt2", 0)(ids).logits[0], 0.9).log_softmax(-1)
    torch.testing.assert_close(lm(ids).logits[0], wanted)


def test_errors(tiny, artifacts, new_tiny, tmp_path, corpus):
    base, given = tiny("gpt2", 0), artifacts("gpt2", "goodtriever")
    for changes, cause in (
        ({"alpha": -0.5}, "alpha=-0.5"),
        ({"temperature": 0}, "temperature=0"),
        ({"k": 321}, r"k=321, but toxic datastore .* has 320 keys"),
        ({"toxic_datastore": str(tmp_path / "none")}, "no datastore: it has no manifest.json"),
        ({"key_layer": "transformer.h.0.mlp"}, r"made from layer transformer.h.1.mlp, not transformer.h.0.mlp"),
        ({"toxic_datastore": None, "nontoxic_datastore": None}, "detoxbench fit goodtriever"),
    ):
        with pytest.raises(DetoxbenchError, match=cause):
            load_detoxified(base, "goodtriever", **{**given, **changes})
    for model, cause in (
        (tiny("gpt2", 5), "other weights in transformer"),
        (tiny("llama", 0), "model_type gpt2 instead of llama"),
        (new_tiny("gpt2", 0, vocab_size=59), "vocab_size 61 instead of 59"),
    ):
        with pytest.raises(DetoxbenchError, match=f"another model.*{cause}"):
            load_detoxified(model, "goodtriever", **given)
    keys, values = corpus(base)
    Datastore.from_arrays(tmp_path / "narrow", keys[:, :8], values, model=base)
    with pytest.raises(DetoxbenchError, match=r"keys of dimension 8, the model's are of dimension 16"):
        load_detoxified(base, "goodtriever", toxic_datastore=str(tmp_path / "narrow"), k=4)

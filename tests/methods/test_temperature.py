"""Distances are measured when a datastore is made, a temperature is suggested, and one that does nothing is said."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from detoxbench.methods import load_detoxified
from detoxbench.methods.retrieval import temperature
from detoxbench.methods.retrieval.datastore import Datastore
from detoxbench.methods.retrieval.exact import ExactSearch

CLUSTERS, DIM = 8, 6


def clustered(count=1_200, noise=0.3, scale=1.0):
    """Keys near one of some centres, whose number is the value: near neighbours know it, far ones do not."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(CLUSTERS, DIM)) * 2
    values = rng.integers(0, CLUSTERS, size=count).astype(np.int32)
    keys = (centres[values] + rng.normal(size=(count, DIM)) * noise) * scale
    return keys.astype(np.float16), values


def measured(keys, values):
    return temperature.measure(keys, values, ExactSearch(keys).search)


def test_suggested_temperature_follows_the_scale():
    small, large = measured(*clustered()), measured(*clustered(scale=8.0))
    assert large["temperature"] == pytest.approx(64 * small["temperature"], rel=0.1)
    assert large["distances"][-1] == pytest.approx(64 * small["distances"][-1], rel=0.05)
    for found in (small, large):
        assert found["k"] == 1024
        assert found["ranks"][:3] == [0, 1, 3]
        assert found["ranks"][-1] == 1023
        assert found["distances"] == sorted(found["distances"])
        assert found["log_likelihood"] >= found["log_likelihood_at_100"]
    assert small["log_likelihood"] > small["log_likelihood_at_100"] + 0.5


def test_own_text_is_left_out():
    """Every key lies on its successor and predecessor alone: without them nothing is near."""
    keys = np.repeat(np.arange(400, dtype=np.float16)[:, None], 2, axis=1)
    found = measured(keys, np.zeros(400, np.int32))
    assert found["distances"][0] >= 2 * (temperature.APART + 1) ** 2


def test_degenerate():
    assert measured(np.zeros((temperature.APART * 2 + 2, 3), np.float16), np.zeros(130, np.int32)) is None
    found = measured(np.zeros((500, 3), np.float16), np.arange(500, dtype=np.int32))
    assert found["temperature"] == temperature.PUBLISHED
    assert temperature.effective_number(found, 100, 1.0) == pytest.approx(100)


def test_effective_number_by_hand():
    found = {"ranks": [0, 1], "distances": [0.0, 2.0]}
    share = torch.tensor([0.0, -2.0]).softmax(0)
    wanted = float((-(share * share.log()).sum()).exp())
    assert temperature.effective_number(found, 2, 1.0) == pytest.approx(wanted, rel=1e-6)
    assert temperature.effective_number(found, 2, 1e6) == pytest.approx(2)
    assert temperature.effective_number(found, 2, 1e-3) == pytest.approx(1)


@pytest.fixture(scope="module")
def store(tiny, corpus, tmp_path_factory):
    model = tiny("gpt2", 0)
    layer = "transformer.h.1.mlp.c_fc"
    keys, values = corpus(model, rows=40)
    path = tmp_path_factory.mktemp("store") / "s"
    return model, Datastore.from_arrays(path, keys, values, model=model, layer=layer)


@pytest.mark.parametrize("method", ["goodtriever", "knn_lm"])
def test_warned_and_layer_remembered(store, method):
    model, datastore = store
    name = {"goodtriever": "toxic_datastore", "knn_lm": "datastore"}[method]
    suggested = datastore.manifest["neighbours"]["temperature"]
    with pytest.warns(UserWarning, match=rf"neighbours weigh the same, .* temperature={suggested:g} is likeliest"):
        lm = load_detoxified(model, method, **{name: str(datastore.path)}, k=64, temperature=1e5)
    assert lm.method.key_layer == "transformer.h.1.mlp.c_fc"
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        load_detoxified(model, method, **{name: str(datastore.path)}, k=64, temperature=suggested / 4)


def test_an_older_datastore_says_nothing(store):
    temperature.warn_if_flat(None, 64, 100.0, "datastore")


def test_measured_anew_when_it_grows(store, corpus):
    model, datastore = store
    before = datastore.manifest["neighbours"]["queries"]
    datastore.append(*corpus(model, rows=4, seed=9))
    assert datastore.manifest["neighbours"]["queries"] == before
    assert datastore.manifest["neighbours"]["k"] > 300

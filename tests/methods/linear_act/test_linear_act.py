"""Transport of activations: the line through sorted responses, its range, and places fitted one after the other."""

from __future__ import annotations

import pytest
import torch

from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods import load_detoxified
from detoxbench.methods.activation import responses
from detoxbench.methods.activation.hooks import steering
from detoxbench.methods.activation.places import norm_outputs
from detoxbench.methods.linear_act.fit import measured
from detoxbench.methods.linear_act.settings import Settings
from detoxbench.methods.linear_act.transport import Transport, linear, means, transported

ROWS = {
    "toxic": [[5, 6, 7], [3, 3], [9, 8, 7, 6], [1, 2]],
    "nontoxic": [[15, 16], [23, 13, 14], [29, 28], [31, 12, 11]],
}


def test_a_line_by_hand():
    """x = 0, 2, 4 onto y = 1, 2, 3, in whatever order: w = 1/2, b = 1."""
    found = linear(torch.tensor([[4.0], [0.0], [2.0]]), torch.tensor([[2.0], [3.0], [1.0]]))
    assert {name: tensor.tolist() for name, tensor in found.items()} == {
        "scale": [0.5], "shift": [1.0], "low": [0.0], "high": [4.0],
    }  # fmt: skip
    states = torch.tensor([[-1.0], [0.0], [2.0], [4.0], [5.0]])
    assert transported(states, **found, strength=1.0).flatten().tolist() == [-1.0, 1.0, 2.0, 3.0, 5.0]
    assert transported(states, **found, strength=0.5).flatten().tolist() == [-1.0, 0.5, 2.0, 3.5, 5.0]
    assert torch.equal(transported(states, **found, strength=0.0), states)


def test_a_neuron_that_does_not_vary_is_shifted():
    found = linear(torch.tensor([[2.0], [2.0]]), torch.tensor([[3.0], [7.0]]))
    assert (found["scale"].tolist(), found["shift"].tolist()) == ([1.0], [3.0])


def test_means_by_hand():
    found = means(torch.tensor([[1.0], [3.0]]), torch.tensor([[4.0], [1.0], [1.0]]))
    assert found == {"shift": torch.tensor([0.0])}
    found = means(torch.tensor([[1.0], [4.0]]), torch.tensor([[7.0], [1.0]]))
    assert transported(torch.tensor([-100.0]), None, found["shift"], None, None, 0.5).tolist() == [-99.25]


def test_the_transport_of_two_normal_samples():
    rng = torch.Generator().manual_seed(0)
    x, y = torch.randn(4000, 1, generator=rng), 3 * torch.randn(4000, 1, generator=rng) + 2
    found = linear(x, y)
    assert float(found["scale"]) == pytest.approx(3, abs=0.15)
    assert float(found["shift"]) == pytest.approx(2, abs=0.15)


@pytest.mark.parametrize("architecture", ["gpt2", "gemma3_text"])
def test_earlier_maps_are_at_work(tiny, tmp_path, architecture):
    """With the maps of means of all earlier places, the mean response to toxic texts is where harmless texts' is."""
    model = tiny(architecture, 0)
    made = measured(model, ROWS, tmp_path / "work", Settings(map="mean"))
    places = norm_outputs(model)
    assert set(made) == {f"{name}.shift" for name in places}
    last = list(places)[-1]
    maps = {name: {"shift": made[f"{name}.shift"]} for name in places if name != last}
    earlier = Transport({name: places[name] for name in maps}, maps, 1.0)
    found = {}
    for side, rows in ROWS.items():
        with steering(model, earlier):
            found[side] = responses.pooled(model, rows, {last: places[last]}, responses.mean)[last]
    wanted = found["nontoxic"].mean(0) - found["toxic"].mean(0)
    torch.testing.assert_close(made[f"{last}.shift"], wanted, atol=1e-5, rtol=1e-4)
    at_once = measured(model, ROWS, tmp_path / "once", Settings(map="mean", incremental=False))
    assert not torch.allclose(at_once[f"{last}.shift"], wanted, atol=1e-3)


def test_other_places(tiny, tmp_path):
    made = measured(tiny("gpt2", 0), ROWS, tmp_path, Settings(where="mlp"))
    assert {name.rpartition(".")[0].rpartition(".")[2] for name in made} == {"c_fc", "c_proj"}


def test_maps_of_another_kind_or_model(tiny, artifacts):
    with pytest.raises(DetoxbenchError, match=r"it has none instead of \[16\]; refit"):
        load_detoxified(tiny("gpt2", 0), "linear_act", **artifacts("gpt2", "mean_act"))
    with pytest.raises(DetoxbenchError, match="maps of another kind than method 'mean_act' takes"):
        load_detoxified(tiny("gpt2", 0), "mean_act", **artifacts("gpt2", "linear_act"))
    with pytest.raises(DetoxbenchError, match="which has no transformer.h.0.ln_1; refit"):
        load_detoxified(tiny("llama", 0), "linear_act", **artifacts("gpt2", "linear_act"))
    with pytest.raises(DetoxbenchError, match="method 'mean_act' needs vectors"):
        load_detoxified(tiny("gpt2", 0), "mean_act")

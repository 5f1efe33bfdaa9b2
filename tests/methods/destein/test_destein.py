"""DeStein: slices turned away from their directions, and which heads are chosen."""

from __future__ import annotations

import math

import pytest
import torch

from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods import load_detoxified
from detoxbench.methods.activation import vectors
from detoxbench.methods.destein.fit import KIND, measured, probe
from detoxbench.methods.destein.method import turned
from detoxbench.methods.destein.settings import Settings

X = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
V = torch.tensor([[2.0, 0.0], [5.0, 0.0]])
BOTH, FIRST = torch.tensor([True, True]), torch.tensor([True, False])


def test_by_hand():
    """Slice 1 lies along its direction (cosine 1): 1 - 0.4 * 2 = 0.2, its direction stays. Slice 2 is at right angles:
    (-0.4, 1), normalised."""
    length = math.hypot(0.4, 1)
    kept = turned(X, V, BOTH, 0.4, "slice")
    wanted = torch.tensor([[3.0, 0.0], [-1.6 / length, 4.0 / length]])
    torch.testing.assert_close(kept, wanted)
    joined = turned(X, V, BOTH, 0.4, "joined")
    each = 5 / math.sqrt(2)  # two slices of one length, together as long as x
    torch.testing.assert_close(joined, torch.tensor([[each, 0.0], [-0.4 * each / length, each / length]]))
    assert float(joined.norm()) == pytest.approx(5.0)


def test_strong_enough_it_turns_round():
    assert turned(X, V, BOTH, 0.6, "slice")[0].tolist() == pytest.approx([-3.0, 0.0])


def test_heads_that_are_not_chosen():
    kept = turned(X, V, FIRST, 0.4, "slice")
    assert torch.equal(kept[1], X[1])
    joined = turned(X, V, FIRST, 0.4, "joined")
    torch.testing.assert_close(joined[1], X[1] / 4 * 5 / math.sqrt(2))


@pytest.mark.parametrize("scale", ["joined", "slice"])
def test_nothing_of_nothing(scale):
    assert turned(X, V, BOTH, 0.0, scale) is X
    assert turned(torch.zeros(2, 2), V, BOTH, 0.4, scale).isfinite().all()


def test_a_probe_that_knows_and_one_that_does_not():
    rng = torch.Generator().manual_seed(0)
    toxic, clean = torch.randn(40, 3, generator=rng), torch.randn(40, 3, generator=rng)
    good, unsure = probe(toxic + 6, clean - 6), probe(toxic, clean)
    assert good[0] == 1.0
    assert good[1] < 0.1 < unsure[1]
    assert unsure[0] < 0.9


def test_directions_and_ranks(tiny, tmp_path):
    model = tiny("gpt2", 0)
    rows = {"toxic": [[at, 5] for at in range(1, 7)], "nontoxic": [[at, 9] for at in range(1, 7)]}
    made = measured(model, rows, tmp_path, Settings())
    ranks = torch.cat([tensor for name, tensor in made.items() if name.endswith(".rank")])
    assert sorted(ranks.tolist()) == [0, 1, 2, 3]
    assert made["transformer.h.0.attn.c_proj.direction"].shape == (2, 8)
    vectors.store(tmp_path / "v", KIND, made)
    for share, count in ((0.5, 2), (1.0, 4), (0.01, 1)):
        method = load_detoxified(model, "destein", vectors=str(tmp_path / "v"), share=share).activation
        chosen = [method.vectors.on(f"{name}.chosen", torch.device("cpu")) for name in method.places]
        assert int(torch.cat(chosen).sum()) == count


def test_too_few_pairs(tiny, tmp_path):
    rows = {"toxic": [[1, 2]] * 4, "nontoxic": [[3, 4]] * 4}
    with pytest.raises(DetoxbenchError, match="at least 5 pairs"):
        measured(tiny("gpt2", 0), rows, tmp_path)

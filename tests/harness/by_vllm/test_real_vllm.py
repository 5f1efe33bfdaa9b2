"""``backend=vllm`` in vLLM itself, where it is installed."""

from __future__ import annotations

import pytest
from asked import ask, likelihoods

pytest.importorskip("vllm")


@pytest.mark.parametrize("method", ["none", "negation+best_of_n"])
def test_it_writes_and_scores_the_same(make, method):
    given = {"scorer": "mini:reward", "n": 2} if method != "none" else {}
    engine = {"backend": "vllm", "enforce_eager": True, "kv_cache_memory_bytes": 1 << 28}
    ours, theirs = make(method, **given), make(method, **given, **engine)
    for settings in ({}, {"do_sample": False}, {"until": [" the"]}, {"temperature": 0.7, "top_k": 5}):
        assert ask(theirs, **settings) == ask(ours, **settings), settings
    (wanted, greedy), (found, taken) = likelihoods(ours), likelihoods(theirs)
    assert found == pytest.approx(wanted, rel=1e-4)
    assert taken == greedy

"""AurA's texts: as many of each language and length on both sides, so that a longer text is no toxic one."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
import torch
from fit_world import CLEAN
from hypothesis import given
from hypothesis import strategies as st

from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods import artifacts
from detoxbench.methods.activation import vectors
from detoxbench.methods.aura.fit import fit
from detoxbench.methods.aura.lengths import matched
from detoxbench.methods.aura.settings import KIND, Settings
from detoxbench.methods.training.texts import Texts


def test_matched_by_hand():
    """One pair of two tokens as it is; then, of the rest, the pair of which less is cut off."""
    toxic = [("en", [1, 2]), ("en", [1, 2, 3, 4]), ("en", [5] * 9), ("de", [6])]
    nontoxic = [("en", [7, 8]), ("en", [7, 8, 9]), ("en", [9] * 5), ("fr", [6])]
    assert matched(toxic, nontoxic, 1, 0) == ([[1, 2]], [[7, 8]], 0)
    assert matched(toxic, nontoxic, 2, 0) == ([[1, 2], [1, 2, 3]], [[7, 8], [7, 8, 9]], 1)
    assert matched(toxic, nontoxic, 9, 0) == ([[1, 2], [1, 2, 3], [5] * 5], [[7, 8], [7, 8, 9], [9] * 5], 2)
    assert matched(toxic[3:], nontoxic[:3], 9, 0) == ([], [], 0)


ROWS = st.lists(st.tuples(st.sampled_from(["en", "de"]), st.lists(st.integers(0, 9), min_size=1, max_size=6)))


@given(ROWS, ROWS, st.integers(1, 12), st.integers(0, 3))
def test_pairs_are_of_one_length_and_no_text_serves_twice(toxic, nontoxic, count, seed):
    # Every token says whose it is, so that rows can be told apart after they were cut.
    marked = [[(lang, [at] * len(row)) for at, (lang, row) in enumerate(side)] for side in (toxic, nontoxic)]
    one, other, cut = matched(marked[0], marked[1], count, seed)
    assert [len(row) for row in one] == [len(row) for row in other]
    assert len(one) <= count
    assert 0 <= cut <= len(one)
    for side, found in zip(marked, (one, other), strict=True):
        owners = [row[0] for row in found]
        assert len(set(owners)) == len(owners)
        assert all(len(row) <= len(side[owner][1]) for row, owner in zip(found, owners, strict=True))
    langs = [Counter(side[row[0]][0] for row in found) for side, found in zip(marked, (one, other), strict=True)]
    assert langs[0] == langs[1]
    groups = [Counter(lang for lang, _ in side) for side in marked]
    assert len(one) == min(count, (groups[0] & groups[1]).total())


def write(path, lengths, lang="en", seed=0):
    rng = np.random.default_rng(seed)
    rows = [{"text": " ".join(rng.choice(CLEAN, size=length)), "lang": lang} for length in lengths]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_length_alone_damps_nothing(world, tmp_path):
    """The same words on both sides, twice as many in a "toxic" text: as given, they damp neurons by half."""
    rng = np.random.default_rng(0)
    toxic = Texts([write(tmp_path / "t.jsonl", rng.integers(6, 20, 400), seed=1)], "toxic")
    nontoxic = Texts([write(tmp_path / "n.jsonl", rng.integers(3, 12, 400), seed=2)], "nontoxic")
    mean = {}
    for lengths in ("given", "matched"):
        path = fit(world.model, tmp_path / lengths, toxic=toxic, nontoxic=nontoxic, settings=Settings(lengths=lengths))
        mean[lengths] = float(torch.cat(list(vectors.load(path, KIND).values())).mean())
        tokens = artifacts.read(path)["trained"]["tokens"]
        assert (tokens["toxic"] == tokens["nontoxic"]) == (lengths == "matched")
    assert mean["given"] < 0.75
    assert mean["matched"] > 0.95


def test_no_language_in_common(world, tmp_path):
    toxic = Texts([write(tmp_path / "t.jsonl", [4, 5], "en")], "toxic")
    nontoxic = Texts([write(tmp_path / "n.jsonl", [4, 5], "de")], "nontoxic")
    with pytest.raises(DetoxbenchError, match=r"toxic texts are in en, the others in de: no language has both"):
        fit(world.model, tmp_path / "out", toxic=toxic, nontoxic=nontoxic)
    fit(world.model, tmp_path / "out", toxic=toxic, nontoxic=nontoxic, settings=Settings(lengths="given"))

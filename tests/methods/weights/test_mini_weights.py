"""First use of the weight methods on ``mini``: fitted once, and nothing is fitted that the user brings."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from detoxbench.methods import first_use as mini
from detoxbench.methods import first_use_weights as mini_weights
from detoxbench.methods import load_detoxified
from detoxbench.methods.training.texts import Texts


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Fits of one step on ten sentences a side, in a cache of their own."""

    def texts(folder, side, each=0):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{side}.jsonl"
        path.write_text("".join(json.dumps({"text": f"{side} sentence number {at}"}) + "\n" for at in range(10)))
        return Texts([str(path)], side)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mini, "_texts", texts)
        cache = tmp_path_factory.mktemp("cache")
        patch.setenv("DETOXBENCH_CACHE", str(cache))
        for name in ("PARTS", "DAPT", "ASCENT"):
            patch.setattr(mini_weights, name, replace(getattr(mini_weights, name), max_steps=1))
        patch.setattr(mini_weights, "SPLITS", 2)
        yield cache


@pytest.mark.parametrize("method", ["task_vector", "negation", "dapt", "gradient_ascent"])
def test_fitted_once(small, method):
    changed = load_detoxified("mini", method)
    base = load_detoxified("mini")
    assert not torch.equal(changed.get_input_embeddings().weight, base.get_input_embeddings().weight)
    made = {path: path.stat().st_mtime_ns for path in small.rglob("*.safetensors")}
    again = load_detoxified("mini", method)
    assert {path: path.stat().st_mtime_ns for path in small.rglob("*.safetensors")} == made
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in changed.state_dict().items())


def test_the_users_own_win(small):
    assert mini.with_artifacts("task_vector", {"finetuned": "x"}) == {"finetuned": "x"}
    found = mini.with_artifacts("task_vector", {"coefficient": 0.3})
    assert found["coefficient"] == 0.3
    assert "task_vector" in found["finetuned"]

"""Tiny random models of every architecture, artifacts for each method, and the reference outputs."""

from __future__ import annotations

import functools
import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from fit_world import Processes, World, save_model
from tiny_models import GATED, OWN, VOCAB
from transformers import AutoConfig, AutoModelForCausalLM

from detoxbench.core.registry import METHODS
from detoxbench.methods import load_detoxified
from detoxbench.methods.activation import vectors
from detoxbench.methods.artifact_arguments import fit_settings
from detoxbench.methods.gedi.classes import ClassModel
from detoxbench.methods.layers import capture_input, key_layer
from detoxbench.methods.rad.reward_model import RewardModel
from detoxbench.methods.rectification.value_model import ValueModel
from detoxbench.methods.retrieval.datastore import Datastore
from detoxbench.methods.sasa.probe import Probe

transformers.logging.disable_progress_bar()
GOLDENS = Path(__file__).parent.parent / "goldens"


def _model(architecture: str, seed: int, **changes):
    settings = OWN.get(architecture, GATED)
    ids = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    config = AutoConfig.for_model(architecture, **{**settings, **ids, **changes})
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config).eval()
    for parameter in model.parameters():
        if parameter.dim() >= 2:
            torch.nn.init.normal_(parameter, std=0.3)
    return model


@functools.cache
def _cached(architecture: str, seed: int):
    return _model(architecture, seed)


@pytest.fixture(scope="session")
def tiny():
    """``tiny(architecture, seed)``: a random model, the same object every time."""
    return _cached


@pytest.fixture(scope="session")
def new_tiny():
    """``new_tiny(architecture, seed, **config)``: a fresh one."""
    return _model


def keys_and_values(model, rows: int = 20, length: int = 17, seed: int = 3):
    """Keys ``[rows * (length - 1), dim]`` and the tokens that follow, of random texts."""
    ids = torch.randint(1, model.config.vocab_size, (rows, length), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad(), capture_input(model.get_submodule(key_layer(model))) as captured:
        model(input_ids=ids, use_cache=False)
    states = captured.states.reshape(rows, length, -1)[:, :-1]
    return states.reshape(-1, states.shape[-1]).float().numpy(), ids[:, 1:].reshape(-1).numpy()


@pytest.fixture(scope="session")
def corpus():
    return keys_and_values


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory):
    """``artifacts(architecture, method)``: arguments of a method for ``tiny(architecture, 0)``."""
    folder = tmp_path_factory.mktemp("artifacts")

    @functools.cache
    def store(architecture: str, seed: int) -> str:
        model = _cached(architecture, 0)
        path = folder / f"{architecture}-{seed}"
        Datastore.from_arrays(path, *keys_and_values(model, seed=seed), model=model)
        return str(path)

    @functools.cache
    def value(architecture: str) -> ValueModel:
        torch.manual_seed(7)
        model = ValueModel.from_causal_lm(_cached(architecture, 3)).eval()
        # Well inside (-1, 0), where log(1 + Q - epsilon) is not a difference of nearly equal numbers.
        torch.nn.init.normal_(model.head[2].weight, std=0.03)
        torch.nn.init.constant_(model.head[2].bias, -0.4)
        return model

    def classes(architecture: str) -> ClassModel:
        return ClassModel(_cached(architecture, 4), [7], [9], scale=1.3)

    def reward(architecture: str) -> RewardModel:
        torch.manual_seed(8)
        model = RewardModel.from_causal_lm(_cached(architecture, 5)).eval()
        torch.nn.init.normal_(model.head.weight, std=0.05)
        return model

    def probe(architecture: str) -> Probe:
        direction = torch.randn(16, generator=torch.Generator().manual_seed(9))
        return Probe(direction / direction.norm(), torch.zeros(16))

    @functools.cache
    def rows() -> dict[str, list[list[int]]]:
        rng = torch.Generator().manual_seed(5)
        lengths = torch.randint(2, 12, (2, 12), generator=rng).tolist()
        return {
            side: [torch.randint(1, VOCAB, (length,), generator=rng).tolist() for length in of_side]
            for side, of_side in zip(("toxic", "nontoxic"), lengths, strict=True)
        }

    @functools.cache
    def measured(architecture: str, method: str) -> str:
        """What the method's fit makes of random rows of tokens."""
        fit = METHODS[method].fit
        module = importlib.import_module(f"{fit.run.__module__.rpartition('.')[0]}.fit")
        path = folder / f"{architecture}-{method}"
        work = folder / f"{architecture}-{method}.work"
        tensors = module.measured(_cached(architecture, 0), rows(), work, fit_settings(method))
        vectors.store(path, module.KIND, tensors)
        return str(path)

    made = {
        "sasa": {"probe": probe},
        "rad": {"reward_model": reward},
        "gedi": {"class_model": classes},
        "dexperts": {"expert": lambda one: _cached(one, 1), "antiexpert": lambda one: _cached(one, 2)},
        "datastores": {"toxic": lambda one: store(one, 3), "nontoxic": lambda one: store(one, 4)},
        "rectification": {"value_model": value},
    }
    """A fit's name -> artifact -> what makes a tiny one."""
    small = {"alpha": 0.7, "k": 24, "temperature": 4.0, "epsilon": 0.2, "decay": 10.0, "omega": 1.5, "beta": 6.0,
             "description_ids": [5, 9, 2], "prefix_ids": [5, 9, 2]}  # fmt: skip
    """Values that suit tiny models, of the arguments that a method has."""

    def make(architecture: str, method: str) -> dict:
        cls = METHODS[method]
        given = {name: value for name, value in small.items() if name in cls.Arguments.model_fields}
        for use in cls.uses:
            if use.argument == "vectors":
                given["vectors"] = measured(architecture, method)
            else:
                given.setdefault(use.argument, made[cls.fit.name][use.artifact](architecture))
        return given

    return make


@pytest.fixture(scope="session")
def detoxified(artifacts):
    """``detoxified(architecture, method)`` of the tiny model."""

    def load(architecture: str, method: str):
        return load_detoxified(_cached(architecture, 0), method, **artifacts(architecture, method))

    return load


def left_padded(rows: list[list[int]], extra: int = 0):
    """Ids and mask ``[batch, pos]`` of unequal rows; ``extra`` more columns of padding."""
    width = max(map(len, rows)) + extra
    ids = torch.tensor([[0] * (width - len(row)) + row for row in rows])
    return ids, torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])


@pytest.fixture(scope="session")
def pad():
    return left_padded


class Golden:
    """One method's reference outputs."""

    def __init__(self, name: str):
        self.folder = GOLDENS / name
        self.arrays = np.load(self.folder / "golden.npz")
        self.cases = json.loads((self.folder / "cases.json").read_text())["cases"]
        self.prompts = [self.arrays[f"prompt_{i}"][0].tolist() for i in range(4)]

    def grouped(self) -> list[list[dict]]:
        """Cases of the same settings, one for each prompt."""
        groups: dict[str, list[dict]] = {}
        for case in self.cases:
            groups.setdefault(case["key"].rpartition("_")[0], []).append(case)
        return list(groups.values())

    def __getitem__(self, key: str) -> torch.Tensor:
        return torch.from_numpy(self.arrays[key])


@pytest.fixture(scope="session")
def golden():
    return functools.lru_cache(maxsize=None)(Golden)


def next_token_scores(lm, prompts: list[list[int]]) -> dict[str, torch.Tensor]:
    """Scores ``[prompts, vocab]`` of the next token in the ways they can be asked for."""
    ids, mask = left_padded(prompts, extra=3)
    alone = torch.cat([lm(input_ids=torch.tensor([prompt])).logits[:, -1] for prompt in prompts])
    batch = lm(input_ids=ids, attention_mask=mask, logits_to_keep=1).logits[:, 0]
    cache = lm.new_cache()
    prefix = ids.shape[1] - 2
    lm(input_ids=ids[:, :prefix], attention_mask=mask[:, :prefix], past_key_values=cache, use_cache=True)
    for end in (prefix + 1, prefix + 2):
        cached = lm(input_ids=ids[:, end - 1 : end], attention_mask=mask[:, :end], past_key_values=cache).logits[:, -1]
    return {"alone": alone, "batch": batch, "cached": cached}


@pytest.fixture(scope="session")
def next_scores():
    return next_token_scores


def assert_same_scores(found: torch.Tensor, wanted: torch.Tensor, tolerance: float | torch.Tensor = 1e-4) -> None:
    assert torch.equal(found.isneginf(), wanted.isneginf())
    finite = ~wanted.isneginf()
    difference = (found - wanted).abs().masked_fill(~finite, 0.0)
    assert bool((difference <= tolerance).all()), f"worst {float(difference.max()):.2e}"


@pytest.fixture(scope="session")
def same_scores():
    return assert_same_scores


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def save_tiny():
    return save_model


@pytest.fixture(scope="session")
def processes() -> Processes:
    return Processes()

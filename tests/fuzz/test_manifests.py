"""Loading artifacts whose manifest is mutated: they load, or one line says what is wrong."""

import json
import random
import shutil

import mutate
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config

from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods import artifacts, load_detoxified, provenance
from detoxbench.methods.rectification.value_model import ValueModel
from detoxbench.methods.retrieval.datastore import Datastore
from detoxbench.methods.training.finetune import KIND, save

DIM, VOCAB = 16, 64


@pytest.fixture(scope="module")
def base():
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(
        GPT2Config(vocab_size=VOCAB, n_embd=DIM, n_layer=1, n_head=2, n_positions=32, bos_token_id=0, eos_token_id=0)
    ).eval()


def store(base, folder):
    rng = np.random.default_rng(0)
    keys, values = rng.normal(size=(40, DIM)).astype(np.float32), rng.integers(0, VOCAB, 40)
    Datastore.from_arrays(folder, keys, values, model=base, trained={"scorer": "s", "fingerprint": "f"})


def value_model(base, folder):
    ValueModel.from_causal_lm(base).save(folder, trained={"scorer": "s"})


MADE = {
    "datastore": (store, "goodtriever", lambda path: {"toxic_datastore": str(path)}),
    "value_model": (value_model, "rectification", lambda path: {"value_model": str(path)}),
    "finetuned": (
        lambda base, path: save(base, None, path, {"scorer": "s"}, KIND), "dexperts", lambda path: {"expert": str(path)}
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", MADE)
def test_manifest(base, tmp_path, kind):
    make, method, given = MADE[kind]
    whole = tmp_path / "whole"
    make(base, whole)
    content = json.loads((whole / artifacts.MANIFEST).read_text())
    ids = torch.tensor([[1, 2, 3]])
    for number in range(mutate.BUDGET):
        rng = random.Random(f"{kind} {number}")
        folder = tmp_path / "mutated"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder)
        text = json.dumps(mutate.changed(content, rng)).encode()
        text = mutate.mutated_bytes(text, rng) if rng.randrange(4) == 0 else text
        (folder / artifacts.MANIFEST).write_bytes(text)
        message = ""
        try:
            provenance.teachers(given(folder))
            load_detoxified(base, method, **given(folder))(input_ids=ids)
        except DetoxbenchError as error:
            message = str(error)
        except Exception as error:
            raise AssertionError(f"mutation {number}: {text[:2000]!r}") from error
        assert "\n" not in message.strip(), (number, text[:2000])

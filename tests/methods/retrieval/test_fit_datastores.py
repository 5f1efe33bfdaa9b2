"""Datastores: keys as published, appended or killed and resumed the same as built at once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoModelForCausalLM

from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods import load_detoxified
from detoxbench.methods.layers import key_layer
from detoxbench.methods.retrieval import fit as goodtriever
from detoxbench.methods.retrieval.datastore import Datastore
from detoxbench.methods.training.texts import Texts


def same(one: Datastore, other: Datastore) -> None:
    np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_allclose(one.keys, other.keys, atol=4e-3)  # float16, and sums in another order


@pytest.fixture(scope="module")
def built(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    return goodtriever.fit(world.model, folder, **world.sides(), batch_tokens=64, device="cpu")


@pytest.mark.parametrize("side", ["toxic", "nontoxic"])
@pytest.mark.parametrize("batch_tokens", [64, 1000])
def test_golden_keys(golden, side, batch_tokens):
    reference = golden("goodtriever")
    model = AutoModelForCausalLM.from_pretrained(reference.folder / "base").eval()
    rows = reference.arrays[f"{side}_texts"].tolist()
    keys, values = goodtriever.keys_and_values(model, key_layer(model), rows, batch_tokens)
    wanted = reference.arrays[f"{side}_keys"]
    np.testing.assert_allclose(keys[: len(wanted)], wanted, atol=4e-3)
    np.testing.assert_array_equal(values[: len(wanted)], reference.arrays[f"{side}_values"])


def test_rows_of_unequal_length(world):
    model = AutoModelForCausalLM.from_pretrained(world.model).eval()
    rows = [[1, 2, 3], [4], [5, 6, 7, 8, 9], [1, 2]]
    keys, values = goodtriever.keys_and_values(model, key_layer(model), rows, 4)
    assert values.tolist() == [2, 3, 6, 7, 8, 9, 2]
    assert keys.shape == (7, 16)
    np.testing.assert_allclose(keys[0], keys[6], atol=2e-3)  # the same context


def test_encoding_cuts_long_texts_with_an_overlap(world):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(world.model)
    rows = goodtriever.encode_rows(tokenizer, ["the garden is lovely", "we"], 3)
    first = tokenizer("the garden is lovely")["input_ids"]
    assert rows == [first[:3], [*first[2:], 0], [*tokenizer("we")["input_ids"], 0]]


def test_fit_is_used(world, built):
    stores = {f"{side}_datastore": str(store.path) for side, store in built.items()}
    lm = load_detoxified(world.model, "goodtriever", **stores, k=8)
    assert lm.method.datastores["toxic"].count == built["toxic"].count
    trained = built["toxic"].manifest["parts"][0]["trained"]
    assert trained["data"]["texts"] == 60
    assert trained["base"]["name"] == "model"
    assert {"torch", "transformers"} <= set(trained["versions"])


def test_batches_change_nothing(world, built, tmp_path):
    other = goodtriever.fit(world.model, tmp_path / "o", toxic=world.texts("toxic"), batch_tokens=4096, device="cpu")
    same(other["toxic"], built["toxic"])


def test_append_language_by_language_is_all_at_once(world, tmp_path):
    lines = [json.loads(line) for line in Path(world.toxic).read_text().splitlines()]
    ordered = tmp_path / "ordered.jsonl"
    ordered.write_text("".join(json.dumps(row) + "\n" for row in sorted(lines, key=lambda row: row["lang"])))
    whole = goodtriever.fit(world.model, tmp_path / "whole", toxic=Texts([str(ordered)], "toxic"), device="cpu")
    for lang in ("de", "en"):
        texts = world.texts("toxic", langs=(lang,))
        grown = goodtriever.fit(world.model, tmp_path / "grown", toxic=texts, append=lang == "en", device="cpu")
    same(grown["toxic"], whole["toxic"])
    assert len(grown["toxic"].manifest["parts"]) == 2
    # Again: these texts are in it.
    again = goodtriever.fit(world.model, tmp_path / "grown", toxic=texts, append=True, device="cpu")
    assert again["toxic"].count == whole["toxic"].count


def test_append_makes_a_missing_datastore(world, tmp_path):
    made = goodtriever.fit(world.model, tmp_path, toxic=world.texts("toxic"), append=True, device="cpu")
    assert made["toxic"].count > 0


@pytest.mark.parametrize("kill_at", [1, 2, 3, 5, 7, 9])
def test_killed_and_resumed(world, built, tmp_path, processes, kill_at):
    def run(**more):
        return goodtriever.fit(world.model, tmp_path, toxic=world.texts("toxic"), batch_tokens=64, device="cpu", **more)

    assert processes.killed(run, kill_at)
    assert not (tmp_path / "toxic").exists()
    same(run()["toxic"], built["toxic"])
    assert sorted(path.name for path in tmp_path.iterdir()) in (["toxic"], [".lock", "toxic"])


def test_killed_while_appending(world, tmp_path, processes):
    def run(side, **more):
        texts = Texts([getattr(world, side)], "toxic")
        return goodtriever.fit(world.model, tmp_path, toxic=texts, batch_tokens=64, device="cpu", **more)

    before = run("toxic")["toxic"].count
    kill_at = 0
    while kill_at < 50:
        kill_at += 4
        if not processes.killed(lambda: run("nontoxic", append=True), kill_at):
            break
        Datastore.open(tmp_path / "toxic")  # whole at every moment
    store = run("nontoxic", append=True)["toxic"]
    rows = goodtriever.fit(world.model, tmp_path / "n", nontoxic=world.texts("nontoxic"), device="cpu")["nontoxic"]
    assert store.count == before + rows.count
    np.testing.assert_array_equal(store.values[before:], rows.values)


def test_two_at_once(world, built, tmp_path, processes):
    def run():
        goodtriever.fit(world.model, tmp_path, toxic=world.texts("toxic"), device="cpu")

    both = [processes.start(run) for _ in range(2)]
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    same(Datastore.open(tmp_path / "toxic"), built["toxic"])


def test_wrong_inputs(world, built, save_tiny, tmp_path):
    folder = built["toxic"].path.parent
    with pytest.raises(DetoxbenchError, match="nothing to fit on"):
        goodtriever.fit(world.model, tmp_path)
    with pytest.raises(DetoxbenchError, match="exists already, made from other data or settings: --append"):
        goodtriever.fit(world.model, folder, toxic=Texts([world.nontoxic], "toxic"), device="cpu")
    other = str(save_tiny(tmp_path / "other", seed=9))
    with pytest.raises(DetoxbenchError, match="was made with another model"):
        goodtriever.fit(other, folder, toxic=world.texts("toxic"), append=True, device="cpu")
    with pytest.raises(DetoxbenchError, match="no such module"):
        goodtriever.fit(world.model, tmp_path / "x", toxic=world.texts("toxic"), layer="h.9", device="cpu")
    with pytest.raises(DetoxbenchError, match="base model 'nowhere/model' cannot be loaded"):
        goodtriever.fit("nowhere/model", tmp_path / "x", toxic=world.texts("toxic"))

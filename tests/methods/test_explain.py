"""``detoxbench explain``: distributions, caps and stored contexts, by hand and as they are typed."""

from __future__ import annotations

import json

import pytest
import torch
import typer
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

from detoxbench.core.errors import DetoxbenchError
from detoxbench.harness.cli.explain import explain as command
from detoxbench.methods import load_detoxified
from detoxbench.methods.explain import explain
from detoxbench.methods.rectification.value_model import ValueModel
from detoxbench.methods.retrieval import fit as goodtriever
from detoxbench.methods.retrieval.contexts import context
from detoxbench.methods.retrieval.datastore import Datastore

PROMPT = "you are an"


@pytest.fixture(scope="module")
def base(world):
    return AutoModelForCausalLM.from_pretrained(world.model).eval(), AutoTokenizer.from_pretrained(world.model)


@pytest.fixture(scope="module")
def stores(world, tmp_path_factory):
    out = tmp_path_factory.mktemp("stores")
    goodtriever.fit(world.model, out, **world.sides(), device="cpu")
    return {f"{side}_datastore": str(out / side) for side in ("toxic", "nontoxic")}


def next_p(model, tokenizer, prompt=PROMPT):
    with torch.no_grad():
        return model(torch.tensor([tokenizer(prompt)["input_ids"]])).logits[0, -1].softmax(-1)


def test_goodtriever(base, stores):
    model, tokenizer = base
    lm = load_detoxified(model, "goodtriever", k=32, filter_p=0, **stores)
    found = explain(lm, tokenizer, PROMPT, top=100, neighbours=4)
    names = ["base", "detoxified", "toxic", "nontoxic"]
    assert list(found.tokens[0].p) == names
    for name in names:
        assert sum(token.p[name] for token in found.tokens) == pytest.approx(1.0, abs=1e-4)
    wanted, steered = next_p(model, tokenizer), next_p(lm, tokenizer)
    for token in found.tokens:
        assert token.p["base"] == pytest.approx(float(wanted[token.id]), abs=1e-6)
        assert token.p["detoxified"] == pytest.approx(float(steered[token.id]), abs=1e-6)
        whole = tokenizer.decode([*tokenizer(PROMPT)["input_ids"], token.id])
        assert token.text == whole.removeprefix(PROMPT)  # as it is written after the prompt, its space included
    order = [token.p["detoxified"] for token in found.tokens]
    assert order == sorted(order, reverse=True)
    assert set(found.neighbours) == {"toxic", "nontoxic"}
    for rows in found.neighbours.values():
        assert len(rows) == 4
        assert [row.distance for row in rows] == sorted(row.distance for row in rows)
        assert all(0 < row.weight <= 1 and row.context.startswith("…") for row in rows)


def test_a_context_is_the_text_before(base, stores, world):
    tokenizer = base[1]
    store = Datastore.open(stores["toxic_datastore"])
    texts = [text.text.split() for text in world.texts("toxic")]
    first, second = texts[0], texts[1]
    assert context(store, 0, tokenizer) == "…"  # only the first word was read, which no key has as its value
    assert context(store, 2, tokenizer) == "…" + " ".join(first[1:3])
    assert tokenizer.decode([int(store.values[2])]) == first[3]
    # The next text begins after the first one's end token.
    assert context(store, len(first) + 1, tokenizer) == "…" + second[1]


def test_experts_alike_change_nothing(base):
    model, tokenizer = base
    lm = load_detoxified(model, "dexperts", expert=model, antiexpert=model, filter_p=0)
    for token in explain(lm, tokenizer, PROMPT).tokens:
        assert token.p["expert"] == token.p["antiexpert"] == pytest.approx(token.p["base"], rel=1e-5)
        assert token.p["detoxified"] == pytest.approx(token.p["base"], rel=1e-4)


def test_caps(base):
    model, tokenizer = base
    value_model = ValueModel.from_causal_lm(model).eval()
    torch.nn.init.zeros_(value_model.head[2].weight)
    torch.nn.init.constant_(value_model.head[2].bias, -0.7)
    lm = load_detoxified(model, "rectification", value_model=value_model, epsilon=0.1)
    assert {round(token.p["cap"], 6) for token in explain(lm, tokenizer, PROMPT).tokens} == {0.2}


def test_the_base_model_itself(base):
    model, tokenizer = base
    found = explain(model, tokenizer, "", top=3)  # from the beginning of a text
    assert len(found.tokens) == 3
    assert all(token.p["base"] == token.p["detoxified"] for token in found.tokens)
    with pytest.raises(DetoxbenchError, match="top=0: it must be at least 1"):
        explain(model, tokenizer, PROMPT, top=0)


def run(*arguments):
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, DetoxbenchError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_as_typed(world, stores):
    given = ",".join(f"{name}={path}" for name, path in stores.items())
    common = ["--pretrained", world.model, "--prompt", "[bold]you\x1b[31m are", "--device", "cpu"]
    output = run(*common, "--model-args", f"method=goodtriever,k=8,{given}")
    assert "nearest of nontoxic" in output
    assert "\x1b[31m" not in output
    assert "[bold]you" in output
    found = json.loads(run(*common, "--method", "goodtriever", "--model-args", f"k=8,{given}", "--json"))
    assert (found["method"], found["prompt"]) == ("goodtriever", "[bold]you\x1b[31m are")
    assert len(found["neighbours"]["toxic"]) == 5


def test_wrong_arguments(world):
    with pytest.raises(DetoxbenchError, match="'alpha' is no name=value"):
        run("--prompt", "a", "--model-args", "alpha")
    with pytest.raises(DetoxbenchError, match="unknown argument of method 'goodtriever' 'alfa'"):
        run("--prompt", "a", "--method", "goodtriever", "--model-args", "alfa=1", "--pretrained", world.model)

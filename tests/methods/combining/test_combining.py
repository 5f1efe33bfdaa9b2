"""Combined methods: weights first, then hidden states, then scores; what makes no sense is refused in one line."""

from __future__ import annotations

import copy
import functools

import pytest
import torch
from transformers import AutoModelForCausalLM

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.registry import METHODS
from detoxbench.methods import load_detoxified
from detoxbench.methods.apply import check_method
from detoxbench.methods.artifact_arguments import as_fitted, fit_settings
from detoxbench.methods.base import parse_arguments
from detoxbench.methods.card import card
from detoxbench.methods.export import export
from detoxbench.methods.identity import ModelIdentity, remember
from detoxbench.methods.rad.method import augment

ARCHITECTURES = ["gpt2", "llama", "gemma3_text", "qwen3"]
PROMPTS = [[7, 8, 9], [1, 2, 3, 4, 5, 6, 7, 8], [11, 12, 13, 14, 15]]
NOTHING = {
    "profs": {"strength": 0.0}, "aura": {"strength": 0.0}, "rad": {"beta": 0.0}, "gedi": {"omega": 0.0},
    "dexperts": {"alpha": 0.0, "filter_p": 1.0}, "destein": {"alpha": 0.0}, "sasa": {"beta": 0.0, "filter_p": 1.0},
}  # fmt: skip
"""What makes a method the base model."""


@pytest.fixture(scope="session")
def artifacts(artifacts):
    """The same object for every one who asks: a reward model is made anew each time."""
    return functools.cache(artifacts)


@pytest.fixture(scope="session")
def given(artifacts):
    """``given(architecture, "profs+rad", **changes)``: the arguments of a combination, prefixed."""

    def make(architecture: str, method: str, **changes):
        found = {
            f"{one}.{key}": value for one in method.split("+") for key, value in artifacts(architecture, one).items()
        }
        if "dexperts" in method and not method.endswith("dexperts"):
            found["dexperts.filter_p"] = 1.0
        return {**found, **changes}

    return make


def nothing(method: str) -> dict:
    return {f"{method}.{key}": value for key, value in NOTHING[method].items()}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(
    "method", ["profs+rad", "profs+aura", "aura+rad", "dexperts+rad", "aura+destein", "profs+sasa", "destein+gedi"]
)
def test_with_no_strength_of_one_it_is_the_other(tiny, artifacts, given, architecture, method):
    """Bit for bit."""
    ids = torch.tensor([[3, 4, 5, 6, 9, 2]])
    first, second = method.split("+")
    for idle, other in ((first, second), (second, first)):
        together = load_detoxified(tiny(architecture, 0), method, **given(architecture, method, **nothing(idle)))
        more = {"filter_p": 1.0} if other == "dexperts" else {}
        alone = load_detoxified(tiny(architecture, 0), other, **{**artifacts(architecture, other), **more})
        assert torch.equal(together(ids).logits, alone(ids).logits.float())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_weights_go_first(tiny, artifacts, given, architecture):
    """Scores are those of the score method on the edited model; the base model stays as it is."""
    ids = torch.tensor([[3, 4, 5, 6, 9, 2]])
    base = tiny(architecture, 0)
    before = base(ids).logits.clone()
    edited = load_detoxified(base, "profs", **artifacts(architecture, "profs"))
    wanted = load_detoxified(edited, "rad", **artifacts(architecture, "rad"))(ids).logits
    assert torch.equal(load_detoxified(base, "profs+rad", **given(architecture, "profs+rad"))(ids).logits, wanted)
    assert torch.equal(base(ids).logits, before)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("scores", ["self_debias", "sasa", "goodtriever"])
def test_hidden_states_change_wherever_the_base_model_runs(tiny, artifacts, given, same_scores, architecture, scores):
    """An activation method that is weights in the end gives what those weights give, also where a score method runs the
    base model a second time, or reads its hidden states."""
    ids = torch.tensor([[3, 4, 5, 6, 9, 2]])
    folded = METHODS["aura"](
        tiny(architecture, 0), parse_arguments("aura", METHODS["aura"], artifacts(architecture, "aura"))
    )

    edited = copy.deepcopy(tiny(architecture, 0))
    with torch.no_grad():
        for name, tensor in edited.state_dict().items():
            tensor.copy_(folded.weight(name, tensor))
    remember(edited, ModelIdentity.of(tiny(architecture, 0)))
    more = {"filter_p": 1.0} if scores != "self_debias" else {}
    wanted = load_detoxified(edited, scores, **{**artifacts(architecture, scores), **more})(ids).logits
    method = f"aura+{scores}"
    prefixed = {f"{scores}.{key}": value for key, value in more.items()}
    found = load_detoxified(tiny(architecture, 0), method, **given(architecture, method, **prefixed))(ids).logits
    same_scores(found, wanted, 2e-3)


def test_scores_are_changed_one_after_the_other(tiny, artifacts):
    """By hand: what RAD proposes and weighs are DExperts' scores."""
    ids = torch.tensor([[3, 4, 5, 6, 9, 2]])
    first = load_detoxified(tiny("gpt2", 0), "dexperts", **artifacts("gpt2", "dexperts"), filter_p=1.0)(ids).logits
    reward = load_detoxified(tiny("gpt2", 0), "rad", **{**artifacts("gpt2", "rad"), "k": 5})
    together = load_detoxified(
        tiny("gpt2", 0), "dexperts+rad",
        dexperts={**artifacts("gpt2", "dexperts"), "filter_p": 1.0}, rad={**artifacts("gpt2", "rad"), "k": 5},
    )  # fmt: skip
    proposed = first.topk(5, dim=-1).indices
    stream = reward.streams["reward_model"]
    judged = stream.run(ids, None, torch.arange(6)[None], None, 0, proposed)
    wanted = augment(first[0], proposed[0], judged[0], 6.0)
    torch.testing.assert_close(together(ids).logits[0], wanted)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("method", ["profs+rad", "aura+sasa", "dexperts+rad", "toxification_reversal+dexperts"])
def test_cache_and_batch_change_nothing(tiny, given, pad, same_scores, architecture, method):
    lm = load_detoxified(tiny(architecture, 0), method, **given(architecture, method))
    ids, mask = pad(PROMPTS, extra=2)
    full = lm(ids, mask).logits
    for row, prompt in enumerate(PROMPTS):
        same_scores(full[row, -len(prompt) :], lm(torch.tensor([prompt])).logits[0], 2e-3)
    cache = None
    for start, end in ((0, 4), (4, 8), (8, 9), (9, 10)):
        output = lm(ids[:, start:end], mask[:, :end], past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        for row, prompt in enumerate(PROMPTS):
            real = max(start, ids.shape[1] - len(prompt))
            if real < end:
                same_scores(output.logits[row, real - start :], full[row, real:end], 2e-3)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_folds_is_exported_together(new_tiny, given, tmp_path, architecture, dtype):
    """In float32 the same numbers, whether edited in memory or on the disk."""
    base = tmp_path / "base"
    new_tiny(architecture, 0).to(getattr(torch, dtype)).save_pretrained(base)
    arguments = given(architecture, "profs+aura")
    out = export(str(base), "profs+aura", tmp_path / "out", arguments)
    ids = torch.tensor([[3, 4, 5, 6, 9, 2]])
    found = AutoModelForCausalLM.from_pretrained(out, dtype="auto")(ids).logits.float()
    wanted = load_detoxified(str(base), "profs+aura", **arguments)(ids).logits.float()
    if dtype == "float32":
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    else:
        assert (found - wanted).abs().mean() < 0.05 * wanted.abs().mean()


def test_a_difference_and_a_projection_are_exported_together(new_tiny, given, tmp_path):
    """Bit for bit what both do in memory, one after the other."""
    new_tiny("llama", 0).save_pretrained(tmp_path / "base")
    new_tiny("llama", 1).save_pretrained(tmp_path / "tuned")
    arguments = {**given("llama", "profs"), "dapt.finetuned": str(tmp_path / "tuned")}
    out = export(str(tmp_path / "base"), "dapt+profs", tmp_path / "out", arguments)
    memory = load_detoxified(str(tmp_path / "base"), "dapt+profs", **arguments)
    for name, tensor in AutoModelForCausalLM.from_pretrained(out).state_dict().items():
        assert torch.equal(tensor, memory.state_dict()[name]), name
    with pytest.raises(DetoxbenchError, match="'rad' works while the model runs"):
        export(str(tmp_path / "base"), "profs+rad", tmp_path / "no", arguments)


REFUSED = {
    "rad+profs": "weights first, .*: write profs[+]rad",
    "best_of_n+rad": "write rad[+]best_of_n",
    "profs+none": "'none' is the base model itself",
    "rad+rad": "twice",
    "profs+": "joined by [+]",
    "profs+radd": "did you mean 'rad'",
    "dapt+dpo": "dapt and dpo .*choose one",
    "profs+dapt": "write dapt[+]profs",
    "goodtriever+dexperts": "each rule tokens out.*goodtriever.filter_p=1",
    "rad+self_debias": "write self_debias[+]rad",
}


@pytest.mark.parametrize("method", REFUSED)
def test_what_makes_no_sense_is_refused_before_anything_is_loaded(method):
    with pytest.raises(DetoxbenchError, match=REFUSED[method]) as error:
        check_method(method)
    assert "\n" not in str(error.value)


def test_two_readings_of_the_base_model_are_refused(tiny, given):
    for scores in ("self_debias", "sasa"):
        method = f"toxification_reversal+{scores}"
        with pytest.raises(DetoxbenchError, match="they do not go together"):
            load_detoxified(tiny("gpt2", 0), method, **given("gpt2", method))


def test_arguments_have_one_spelling():
    spelled = METHODS["profs+rad"].spelled
    wanted = {"profs.rank": 3, "rad.beta": 5.0}
    assert spelled({"profs.rank": 3, "rad.beta": 5.0}) == wanted
    assert spelled({"beta": 5.0, "rank": 3}) == wanted
    assert list(spelled({"beta": 5.0, "rank": 3})) == list(wanted)
    assert spelled({"profs": {"rank": 3}, "rad": {"beta": 5.0}}) == wanted
    parsed = parse_arguments("profs+rad", METHODS["profs+rad"], {"rank": 3})
    assert getattr(parsed, "profs.rank") == 3
    assert getattr(parsed, "rad.beta") == 30.0
    for wrong, message in (
        ({"rank": 0}, r"argument profs.rank=0"),
        ({"rank": 1, "profs.rank": 2}, "given twice"),
        ({"profs.rang": 2}, "did you mean 'profs.rank'"),
        ({"rangg": 2}, "unknown argument"),
    ):
        with pytest.raises(DetoxbenchError, match=message):
            parse_arguments("profs+rad", METHODS["profs+rad"], wrong)
    with pytest.raises(DetoxbenchError, match="profs.vectors or destein.vectors"):
        check_method("profs+destein", vectors="there")


def test_its_declaration_is_its_methods():
    cls = METHODS["profs+rad"]
    assert cls.kind == "weight+logit"
    assert "Uppaal" in cls.about.bibtex
    assert "Deng" in cls.about.bibtex
    assert cls.forwards == 3
    assert METHODS["rad+best_of_n"].forwards == 12
    assert {use.argument for use in cls.uses} == {"profs.vectors", "rad.reward_model"}
    page = card("profs+rad").markdown()
    assert "1. `profs`" in page
    assert "detoxbench fit profs+rad" in page
    assert "profs+rad" not in list(METHODS)


def test_settings_of_its_fit():
    chosen = fit_settings("profs+rad", {"profs_count": 12, "epochs": 2, "seed": 7})
    assert (chosen.profs.count, chosen.rad.epochs, chosen.rad.seed) == (12, 2, 7)
    assert fit_settings("dexperts+rad", {"rad_epochs": 2}).rad.epochs == 2
    assert fit_settings("dexperts+rad", {"rad": {"epochs": 2}}).dexperts.epochs == 3.0
    with pytest.raises(DetoxbenchError, match="setting"):
        fit_settings("dexperts+rad", {"epochs": 2})
    with pytest.raises(DetoxbenchError, match="scorer"):
        fit_settings("profs+rectification", {})


def test_a_fit_makes_what_each_of_them_needs(world, tmp_path):
    fit = METHODS["profs+goodtriever"].fit
    folder = tmp_path / "out"
    (folder / "profs" / "profs").mkdir(parents=True)
    (folder / "goodtriever" / "toxic").mkdir(parents=True)
    assert fit.grows.kind == "retrain"
    assert as_fitted("profs+goodtriever", folder) == {
        "profs.vectors": str(folder / "profs/profs"), "goodtriever.toxic_datastore": str(folder / "goodtriever/toxic"),
    }  # fmt: skip

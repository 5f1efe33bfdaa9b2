"""0, 1, negative, huge, NaN, empty and of the wrong type, for every option there is: one line of error, or the right
thing; never a traceback. What there is comes from the declarations, so that what is added is tried too."""

from __future__ import annotations

import inspect
import math

import pytest
from lm_eval.models.huggingface import HFLM

from detoxbench.core.constants import MINI
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.registry import METHODS
from detoxbench.core.sampling.settings import NAMES, Sampling, resolve
from detoxbench.harness import argument_names
from detoxbench.harness.model import DetoxLM
from detoxbench.methods import apply
from detoxbench.tasks import preflight
from detoxbench.tasks.catalog import find
from detoxbench.tasks.options import Options

VALUES = {
    "zero": 0, "one": 1, "negative": -1, "half": 0.5, "huge": 10**30, "vast": 10**5000, "huge float": 1e308,
    "minus huge": -(10**30), "nan": math.nan, "infinite": math.inf, "empty": "", "space": " ", "word": "x",
    "number in words": "1", "nan in words": "nan", "true": True, "false": False, "list": [], "list of lists": [[]],
    "list of numbers": [0, math.nan], "object": {}, "object of objects": {"x": {}}, "lines": "a\nb\x00\u202e",
    "long": "x" * 10_000, "none": None,
}  # fmt: skip
FEWER = ("zero", "negative", "vast", "nan", "empty", "word", "list", "object", "lines", "long")
"""Where each takes a configuration and a tokenizer to load."""
EXTREMES = pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)

SOME = pytest.mark.parametrize("value", [VALUES[name] for name in FEWER], ids=FEWER)


class Loaded(BaseException):
    """Where a model would be loaded: what was given is let pass."""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """What is named as a new file is made."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def unloaded(monkeypatch):
    def loaded(*_, **__):
        raise Loaded

    monkeypatch.setattr(DetoxLM, "_create_model", loaded)


def tried(call, *arguments, **options):
    """What a call gives; None where it refuses, in one line that a person can read."""
    try:
        return call(*arguments, **options) or True
    except Loaded:
        return True
    except DetoxbenchError as error:
        text = str(error)
        assert text.isprintable(), text
        assert 10 < len(text) <= 2000, text
        return None


@EXTREMES
@pytest.mark.parametrize("name", Options.model_fields)
def test_metadata(name, value):
    options = tried(Options.from_metadata, {name: value})
    if options is not None:
        assert isinstance(hash(options), int)
        assert options.for_set("rtp", {"rtp", "x"}) is not None


@EXTREMES
@pytest.mark.parametrize("task", ["rtp_multilingual_en", "unprompted", "prompts_file", "rtp", "holistic_bias"])
def test_metadata_of_a_run(task, value):
    """All that is checked before a model is loaded, with each option of a run in turn."""
    for name in Options.model_fields:
        tried(preflight.check, {"scorer": MINI, "fluency_model": "none", name: value}, find([task]), "detox", MINI)


@EXTREMES
@pytest.mark.parametrize("name", argument_names.OURS)
def test_arguments_of_our_model(name, value, unloaded):
    arguments = {"pretrained": MINI, "device": "cpu", name: value}
    tried(DetoxLM, **arguments)


@SOME
@pytest.mark.parametrize(
    "name", sorted(set(inspect.signature(HFLM.__init__).parameters) - {"self", "kwargs", "pretrained"})
)
def test_arguments_of_lm_evals_model(name, value, unloaded):
    tried(DetoxLM, MINI, **{"device": "cpu", name: value})


@EXTREMES
@pytest.mark.parametrize("method", METHODS)
def test_arguments_of_methods(method, value):
    for name in METHODS[method].Arguments.model_fields:
        tried(apply.check_method, method, **{name: value})


@EXTREMES
@pytest.mark.parametrize("method", [name for name in METHODS if METHODS[name].fit is not None])
def test_settings_of_fits(method, value):
    settings = METHODS[method].fit.settings
    for name in settings.options():
        tried(lambda name: settings(**settings.nested({name: value})), name)


@SOME
@pytest.mark.parametrize("method", [name for name in METHODS if METHODS[name].uses])
def test_methods_on_a_model_that_is_not_loaded(method, value, unloaded):
    """Artifacts are looked at before."""
    for use in METHODS[method].uses:
        tried(DetoxLM, MINI, method, device="cpu", **{use.argument: value})


@EXTREMES
@pytest.mark.parametrize("name", sorted(NAMES))
def test_generation_settings(name, value):
    found = tried(resolve, {"do_sample": True, name: value})
    if isinstance(found, Sampling):
        assert found.max_new_tokens >= 1
        assert 0 < found.top_p <= 1
        assert found.do_sample == (found.temperature > 0)
        assert isinstance(hash(found.seed), int)

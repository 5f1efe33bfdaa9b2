"""What a run gets that names neither a scorer nor a fluency model."""

import logging

import pytest

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.records import Prompt
from detoxbench.tasks import defaults
from detoxbench.tasks.defaults import REAL_MODEL, chosen
from detoxbench.tasks.options import Options
from detoxbench.tasks.prompts.base import Loaded


def loaded(*langs, embedded=False):
    return Loaded([Prompt(id=lang, text="text", lang=lang) for lang in langs], embedded=embedded)


@pytest.fixture(autouse=True)
def fresh():
    defaults._say.cache_clear()
    token = REAL_MODEL.set(False)
    yield
    REAL_MODEL.reset(token)


def test_the_embedded_world_judges_itself():
    found = chosen(Options(), loaded("en", embedded=True))
    assert (found.scorer, found.fluency_model, found.on_unsupported) == ("mini", "mini", None)


@pytest.mark.parametrize("how", ["prompts", "model"])
def test_real_text_gets_a_validated_scorer_and_one_line_that_says_so(how, caplog):
    REAL_MODEL.set(how == "model")
    with caplog.at_level(logging.WARNING):
        found = chosen(Options(), loaded("fr", embedded=how == "model"))
        chosen(Options(), loaded("fr", embedded=how == "model"))
    assert found.scorer == "ngram"
    assert found.fluency_model == "none"
    assert not found.uses_fluency
    assert caplog.text.count("no scorer named: ngram: AUC 0.8") == 1
    assert caplog.text.count("perplexity is left out") == 1


def test_what_is_named_stays():
    named = Options(scorer="hf:some/model,label=toxic", fluency_model="gpt2", on_unsupported="error")
    assert chosen(named, loaded("fr")) == named


def test_languages_that_it_does_not_know_are_unscored_and_refused_alone():
    assert chosen(Options(), loaded("fr", "sw")).on_unsupported == "nan"
    with pytest.raises(DetoxbenchError, match="no scorer for sw"):
        chosen(Options(), loaded("sw"))

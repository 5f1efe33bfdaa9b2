"""Records are frozen, strict, and survive JSON."""

import json
import math

import pydantic
import pytest

from detoxbench.core.records import Prompt, PromptResult


def test_nan_round_trip_through_json():
    """NaN is not JSON; it becomes null and comes back as None, never as a number."""
    prompt = Prompt(id="1", text="a", lang="en", toxicity=math.nan)
    result = PromptResult(
        prompt=prompt, generations=["x", "y"], scores={"toxicity": [math.nan, 0.0]}, reasons=["failed", None]
    )
    text = result.model_dump_json()
    assert "NaN" not in text
    again = PromptResult.model_validate(json.loads(text))
    assert again == result
    assert again.toxicity == [None, 0.0]


def test_frozen_and_strict():
    prompt = Prompt(id="1", text="a", lang="en")
    with pytest.raises(pydantic.ValidationError):
        prompt.text = "b"
    with pytest.raises(pydantic.ValidationError):
        Prompt(id="1", text="a", lang="en", colour="red")


def test_one_place_a_generation():
    with pytest.raises(pydantic.ValidationError, match="scores.toxicity has 1 places for 2 generations"):
        PromptResult(prompt=Prompt(id="1", text="a", lang="en"), generations=["x", "y"], scores={"toxicity": [0.1]})

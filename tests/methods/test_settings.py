"""Settings of fits: options by name, nested ones, what is recorded, and mistakes in one line."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import Field

from detoxbench.core.errors import DetoxbenchError
from detoxbench.harness.cli.options import chosen
from detoxbench.methods.settings import Aside, Named, Settings, Switched, bounds


class Inner(Settings):
    rate: float = Field(0.5, gt=0, le=1, description="how fast")
    seed: int = 0


class Outer(Settings):
    rank: Annotated[int, Switched("adapters", 16, "train adapters")] = Field(0, ge=0)
    lang: Annotated[str, Named("default_lang")] = "en"
    steps: Annotated[int, Aside()] = 500
    way: Literal["up", "down"] = "up"
    seed: int = 0
    inner: Inner = Inner()


def test_options_are_flat_and_share_names():
    options = Outer.options()
    assert list(options) == ["rank", "default_lang", "steps", "way", "seed", "rate"]
    assert options["seed"].paths == (("seed",), ("inner", "seed"))
    assert options["rate"].help == "how fast (above 0 and at most 1)"
    assert bounds(options["way"].field) == "one of up, down"


def test_nested_names_and_options():
    made = Outer(**Outer.nested({"seed": 7, "rate": 0.1, "default_lang": "fr", "inner": {"rate": 0.2}}))
    assert (made.seed, made.inner.seed, made.inner.rate, made.lang) == (7, 7, 0.1, "fr")
    assert Outer(**Outer.nested({})) == Outer()
    with pytest.raises(DetoxbenchError, match="unknown key of fit 'rat': did you mean 'rate'"):
        Outer.nested({"rat": 1}, "key of fit")


def test_a_flag_turns_a_setting_on():
    assert chosen(Outer, {"adapters": False, "rank": 16}) == {"rank": 0}
    assert chosen(Outer, {"adapters": True, "rank": 16}) == {"rank": 16}


def test_what_the_artifact_does_not_depend_on_is_not_recorded():
    assert Outer(steps=1).recorded() == Outer(steps=2).recorded()
    assert Outer(rank=1).recorded() != Outer(rank=2).recorded()
    assert "steps" not in Outer().recorded()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rank": -1}, "rank=-1: it must be at least 0"),
        ({"inner": {"rate": 0}}, "rate=0: it must be above 0"),
        ({"inner": {"rate": 2}}, "rate=2: it must be at most 1"),
        ({"way": "x"}, "way=x: it must be one of 'up' or 'down'"),
        ({"seed": "x"}, "seed=x: .*integer"),
        ({"sed": 1}, "unknown setting 'sed': did you mean 'seed'"),
        ({"inner": {"rate": float("nan")}}, "rate=nan: .*finite"),
    ],
)
def test_mistakes(wrong, message):
    with pytest.raises(DetoxbenchError, match=message) as caught:
        Outer(**wrong)
    assert "\n" not in str(caught.value)
    with pytest.raises(DetoxbenchError, match=message):
        Outer().replaced(**wrong)

"""What holds for every scorer, and how specifications are read."""

import math

import numpy as np
import pytest

from detoxbench.core import scorers
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.registry import SCORERS
from detoxbench.core.scorers.base import Scores
from detoxbench.core.scorers.spec import parse, take

NAN = np.array([math.nan])


def test_a_score_without_a_reason_is_refused():
    with pytest.raises(ValueError, match="without a reason"):
        Scores({"a": NAN}, [None])
    with pytest.raises(ValueError, match="2 values for 1"):
        Scores({"a": np.zeros(2)}, [None])
    with pytest.raises(ValueError, match="retry"):
        Scores({"a": np.zeros(1)}, [None], retry=[True, False])
    assert Scores({"a": np.zeros(1), "b": NAN}, [None], {"b": "English only"}).reasons == [None]
    assert Scores({"a": NAN}, ["why"]).reasons == ["why"]


@pytest.mark.parametrize("name", [name for name in SCORERS if name != "mini"])
def test_every_registered_scorer_can_be_imported(name):
    assert callable(SCORERS[name].from_spec)
    assert SCORERS[name].__doc__


def test_options_and_arguments():
    convert = {"label": str, "window": int}
    assert parse("s", "a/b,label=x,window=3", {}, arguments=("model",), options=convert) == (
        ["a/b"],
        {"label": "x", "window": 3},
    )
    assert parse("s", "lr=1/model", {"label": "y"}, arguments=("model",), options=convert) == (
        ["lr=1/model"],
        {"label": "y"},
    )
    assert parse("s", "", {}, options=convert) == ([], {})
    assert take("m,offline=true,label=x", {"archive": "f"}, ("offline", "archive")) == (
        "m,label=x", {"offline": "true", "archive": "f"}
    )  # fmt: skip
    for argument, says in (("", "needs s:<model>"), ("m,labl=x", "did you mean 'label'"), ("m,window=x", "window='x'")):
        with pytest.raises(DetoxbenchError, match=says):
            parse("s", argument, {}, arguments=("model",), options=convert)


def test_unknown_names_and_options():
    with pytest.raises(DetoxbenchError, match="did you mean 'perspective'"):
        scorers.load("perspectiv")
    with pytest.raises(DetoxbenchError, match="allowed are error, nan"):
        scorers.load("perspective:on_unsupported=skip")

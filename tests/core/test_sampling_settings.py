"""Sampling settings: every falsy one means what it says or is refused; what is sampled is what is recorded."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.sampling import Sampling
from detoxbench.core.sampling.settings import LENGTHS, boolean, resolve, whole

GREEDY = {"do_sample": False, "temperature": 0.0, "top_p": 1.0, "top_k": 0}


def test_what_a_task_of_ours_asks_for():
    given = {"until": [], "do_sample": True, "temperature": 0.7, "top_p": 0.9, "max_gen_toks": 512}
    assert resolve(given, seed=7) == Sampling(512, 0.9, 0.7, 0, True, 7)
    assert resolve({}) == Sampling(**GREEDY, seed=1234)
    assert resolve({"do_sample": True}, length=256) == Sampling(256, 1.0, 1.0, 0, True, 1234)


@pytest.mark.parametrize("zero", [0, 0.0, "0", "0.0"])
@pytest.mark.parametrize("sampled", [True, False, None, "true"])
def test_temperature_zero_is_greedy(zero, sampled):
    found = resolve({"do_sample": sampled, "temperature": zero, "top_p": 0.5, "top_k": 3})
    assert {name: getattr(found, name) for name in GREEDY} == GREEDY


def test_other_falsy_settings():
    assert resolve({"do_sample": True, "top_k": 0}).top_k == 0
    assert resolve({"seed": 0}, seed=5).seed == 0
    assert resolve({}, seed=0).seed == 0
    assert resolve({"seed": None}, seed=5).seed == 5
    for name in ("top_p", *LENGTHS):
        with pytest.raises(DetoxbenchError, match=f"^{name}=0"):
            resolve({"do_sample": True, name: 0})


def test_strings_mean_what_they_say():
    given = {
        "do_sample": "True",
        "temperature": "0.5",
        "top_p": "0.8",
        "top_k": "40",
        "max_gen_toks": "7",
        "until": "\n",
    }
    assert resolve(given) == Sampling(7, 0.8, 0.5, 40, True, 1234, ("\n",))
    assert resolve({"do_sample": "false", "temperature": "0.5"}).do_sample is False
    assert resolve({"until": ["a", "", "a", "b"]}).stop == ("a", "b")


def test_lengths_that_contradict():
    assert resolve({"max_gen_toks": 5, "max_new_tokens": 5}).max_new_tokens == 5
    with pytest.raises(DetoxbenchError, match=r"max_gen_toks=20, max_new_tokens=50: give one length.*\(max_gen_toks\)"):
        resolve({"max_gen_toks": 20, "max_new_tokens": 50})


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(
        [0, 1, -1, 1e308, 10**400, math.nan, math.inf, "nan", "true", "", "1e400", "٣", "0x10", [], {}, ["x"]]
    ),
    st.text(max_size=5),
)


@given(
    st.dictionaries(
        st.sampled_from(["do_sample", "temperature", "top_p", "top_k", "until", "seed", *LENGTHS]), ANYTHING
    )
)
@settings(max_examples=400, deadline=None)
def test_anything_is_valid_or_one_line(options):
    refused = ""
    try:
        found = resolve(options)
    except DetoxbenchError as error:
        refused = str(error)
    if refused:
        assert refused.isprintable()
        return
    assert found.max_new_tokens >= 1
    assert 0 < found.top_p <= 1
    assert found.temperature == 0 or 1e-4 <= found.temperature < math.inf
    assert found.top_k >= 0
    assert found.do_sample == (found.temperature > 0)
    assert json.loads(json.dumps(found.record()))["nucleus_base"] == found.top_p


def test_the_nucleus_of_a_method_is_recorded():
    plain = resolve({"do_sample": True, "top_p": 0.9})
    assert (plain.truncation, plain.nucleus_base, plain.nucleus_method, plain.unlike) == ("sampler", 0.9, 0.9, False)
    cut = plain.cut_by_method(0.9)
    assert (cut.truncation, cut.top_p, cut.nucleus_base, cut.nucleus_method, cut.unlike) == (
        "method",
        1.0,
        0.9,
        0.9,
        False,
    )
    ptp = resolve({"do_sample": True}).cut_by_method(0.9)
    assert (ptp.nucleus_base, ptp.nucleus_method, ptp.unlike) == (1.0, 0.9, True)
    assert not resolve({}).cut_by_method(0.9).unlike  # the likeliest token is in every nucleus


@pytest.mark.parametrize(("value", "found"), [(3, 3), ("3", 3), (3.0, 3), ("-4", -4), (2**70, 2**70), ("1e3", 1000)])
def test_whole_numbers(value, found):
    assert whole("k", value) == found


@pytest.mark.parametrize("value", [True, 2.5, "2.5", math.nan, math.inf, "x", "", None, [3]])
def test_no_whole_numbers(value):
    with pytest.raises(DetoxbenchError, match="^k=.*whole number$"):
        whole("k", value)


def test_truth_values():
    assert [boolean("b", value) for value in (True, "true", 1, "1", "YES", False, "False", 0, "no")] == [True] * 5 + [
        False
    ] * 4
    for value in (2, "", "maybe", None, 1.5):
        with pytest.raises(DetoxbenchError, match="^b="):
            boolean("b", value)

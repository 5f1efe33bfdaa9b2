"""The matrix and what is read from it, on numbers computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detoxbench.harness.continual import report
from detoxbench.harness.continual.measured import Measured
from detoxbench.harness.continual.results import Matrix, order_effects

M = "toxicity"


def model(**columns) -> Measured:
    """One metric; a number is one prompt's value, None one that was not measured."""
    return Measured({
        column: {str(at): np.array([[value or 0.0, float(value is not None)]]) for at, value in enumerate(values)}
        for column, values in columns.items()
    })  # fmt: skip


BASE = model(en=[0.9, 0.7, 0.8, 0.6], ru=[0.8, 0.8, 0.6, 0.6])
STEP_EN = model(en=[0.3, 0.3, 0.2, 0.4], ru=[0.7, 0.6, 0.6, 0.5])
STEP_RU = model(en=[0.4, 0.4, 0.2, 0.4], ru=[0.2, 0.1, 0.3, 0.2])


def matrix(**changes):
    return Matrix(**{"order": ["en", "ru"], "base": BASE, "after": [STEP_EN, STEP_RU], "columns": ["en", "ru"],
                     "metrics": [M], "resamples": 400, **changes})  # fmt: skip


def test_by_hand():
    found = matrix(static=STEP_RU).as_json()[M]
    assert found["base"]["en"]["value"] == pytest.approx(0.75)
    assert found["base"]["macro"]["value"] == pytest.approx((0.75 + 0.7) / 2)
    assert found["change"][0]["en"]["value"] == pytest.approx(-0.45)
    assert found["change"][1]["macro"]["value"] == pytest.approx((-0.4 - 0.5) / 2)
    assert found["step_change"][1]["ru"]["value"] == pytest.approx(-0.4)
    assert found["transfer"][0]["value"] == pytest.approx(-0.1)
    assert found["transfer"][1] is None
    assert found["forgetting"][0] is None
    assert found["forgetting"][1]["en"]["value"] == pytest.approx(0.05)
    assert set(found["forgetting"][1]) == {"en", "macro"}
    own = found["own_step"]
    assert own["en"]["value"] == pytest.approx(-0.45 - 0.05)
    assert own["ru"]["value"] == pytest.approx(-0.4 + 0.1)
    assert (own["en"]["largest_fall"], own["ru"]["largest_fall"]) == (1, 2)
    assert own["macro"]["high"] < 0
    assert found["static"]["continual_less_static"]["macro"]["value"] == 0


def test_nothing_changes():
    """Identity: a method without effect changes nothing, transfers nothing and forgets nothing."""
    found = matrix(after=[BASE, BASE]).as_json()[M]
    for row in (*found["change"], *found["step_change"], found["forgetting"][1], found["own_step"]):
        assert all(entry["value"] == 0 for entry in row.values())
    assert found["transfer"][0]["value"] == 0


def test_one_step_and_one_prompt():
    found = Matrix(["en"], model(en=[0.9]), [model(en=[0.3])], ["en"], [M], resamples=400).as_json()[M]
    assert found["change"][0]["en"]["value"] == pytest.approx(-0.6)
    assert found["transfer"] == [None]
    assert found["own_step"] is None
    assert "static" not in found


def test_unmeasured_prompts_are_left_out_and_nothing_is_nan():
    found = Matrix(
        ["en", "ru"], model(en=[0.9, None], ru=[None, None]), [model(en=[None, 0.1], ru=[None, None])] * 2,
        ["en", "ru"], [M], resamples=400,
    ).as_json()[M]  # fmt: skip
    assert found["base"]["ru"] == {"value": None, "low": None, "high": None, "prompts": 0}
    assert found["change"][0]["en"]["value"] is None
    assert found["own_step"]["ru"]["largest_fall"] is None
    list(report.markdown({"columns": ["en", "ru"], "series": [
        {"variant": "a|b", "order": ["en", "ru"], "metrics": {M: found}}]}, M))  # fmt: skip


def test_columns_that_are_in_no_order():
    """They change, are transferred to, never forgotten, and have no own step."""
    found = matrix(order=["en", "fr"]).as_json()[M]
    assert set(found["own_step"]) == {"en", "macro"}
    assert [row["value"] for row in found["transfer"]] == [row["ru"]["value"] for row in found["change"]]


def test_order_effects():
    reverse = matrix(order=["ru", "en"], after=[STEP_EN, STEP_EN])
    (effect,) = order_effects([matrix(), reverse])
    assert effect["same_steps"]
    assert effect["positions"] == {"en": [1, 2], "ru": [2, 1]}
    assert effect["metrics"][M]["ru"]["value"] == pytest.approx(0.4)
    assert order_effects([matrix()]) == []


unit = st.lists(st.floats(0, 1), min_size=3, max_size=3)


@settings(max_examples=15, deadline=None)
@given(unit, unit, unit)
def test_steps_add_up(first, second, third):
    """The changes of all steps sum to the change against the base; transfer is the change of what is to come."""
    base, one, two = (model(en=values, ru=values[::-1]) for values in (first, second, third))
    found = matrix(base=base, after=[one, two]).as_json()[M]
    for column in ("en", "ru", "macro"):
        total = sum(row[column]["value"] for row in found["step_change"])
        assert total == pytest.approx(found["change"][1][column]["value"], abs=1e-9)
    assert found["transfer"][0]["value"] == pytest.approx(found["change"][0]["ru"]["value"], abs=1e-9)
    assert found["forgetting"][1]["en"]["value"] == pytest.approx(found["step_change"][1]["en"]["value"], abs=1e-9)

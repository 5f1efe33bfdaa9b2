"""The search for the coefficient: hand-made curves, few evaluations, and what cannot be had."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods.merging.coefficient import EVALUATIONS, LARGEST, TOLERANCE, choose

CURVES = {
    "quadratic": lambda c: math.exp(0.1 * c * c),
    "steep": lambda c: math.exp(40 * c * c),
    "cubic": lambda c: math.exp(0.3 * c**3),
    "linear": lambda c: math.exp(0.5 * c),
    "better before worse": lambda c: math.exp(0.02 * c * c + 0.001 * c**4 - 0.02 * c),
}


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("bound", [1.05, 1.5, 3.0])
def test_close_below_the_bound_with_few_evaluations(name, bound):
    curve = CURVES[name]
    found = choose(curve, bound)
    assert curve(found.coefficient) <= bound
    assert curve(found.coefficient * (1 + 2 * TOLERANCE)) > bound
    assert len(found.curve) <= (7 if name == "linear" else 5)
    assert list(found.curve) == sorted(found.curve)
    assert dict(found.curve)[found.coefficient] == curve(found.coefficient)


def test_by_hand():
    tried = []

    def curve(c):
        tried.append(c)
        return math.exp(c * c)

    # exp(1) is above 1.5; the quadratic law leads to sqrt(log 1.5) at once.
    assert choose(curve, 1.5).coefficient == pytest.approx(math.sqrt(math.log(1.5)))
    assert len(tried) == 2


def test_never_worse_and_never_good_enough():
    assert choose(lambda c: 0.99, 1.5).coefficient == LARGEST
    with pytest.raises(DetoxbenchError, match=r"even coefficient 0\.0\d+ raises perplexity to 9 times"):
        choose(lambda c: 9.0, 1.5)
    with pytest.raises(DetoxbenchError, match="max_perplexity_ratio=1: it must be above 1"):
        choose(lambda c: 1.0, 1)


def test_a_cliff_and_infinity():
    found = choose(lambda c: math.inf if c > 0.7 else 1.01, 1.5)
    assert 0.7 / (1 + TOLERANCE) <= found.coefficient <= 0.7


@settings(max_examples=200, deadline=None)
@given(st.floats(1e-3, 1e3), st.floats(1.0, 4.0), st.floats(1.02, 10.0))
def test_any_power_law(scale, power, bound):
    """Within bounds and close to them, or as close as the evaluations allow."""

    def curve(c):
        return math.exp(min(scale * c**power, 600.0))

    exact = (math.log(bound) / scale) ** (1 / power)
    if not 0.02 < exact < LARGEST:
        return
    found = choose(curve, bound)
    assert curve(found.coefficient) <= bound
    assert found.coefficient >= exact * 0.8
    assert len(found.curve) <= EVALUATIONS

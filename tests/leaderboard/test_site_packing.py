"""Packed records: what a page reads is what was written, to the digits that it keeps."""

from __future__ import annotations

import base64

import made_up
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detoxbench.leaderboard.site import packing


def unpack(packed):
    """What ``static/packing.js`` does; ``tests/leaderboard/browser`` runs the script itself."""
    if isinstance(packed, list):
        return packed
    if packed[0] == "c":
        return [packing.SIGNS.index(sign) for sign in packed[1:]]
    head, body = packed[1:].split(":")
    form = {"d": packing.SHORT, "e": packing.LONG}[packed[0]]
    content, found = base64.b64decode(body), []
    for place in range(0, len(content), form.bytes):
        code = int.from_bytes(content[place : place + form.bytes], "big")
        step, whole = divmod(code - 1, 9 * form.least)
        nothing = None if code else 0.0
        known = 0 < code < 256**form.bytes - 1
        found.append(float(f"{form.least + whole}e{int(head) + step}") if known else nothing)
    return found


def test_by_hand():
    assert packing.pack([0, 3, 63]) == "cAD_"
    assert packing.pack([0.0, 0.125, 2.5]) == "d-4:" + base64.b64encode(bytes([0, 0, 0, 251, 41, 5])).decode()
    assert packing.pack([64.0]) == "d-2:" + base64.b64encode((1 + 5400).to_bytes(2, "big")).decode()


@pytest.mark.parametrize(
    "numbers",
    [[], [-1.0, 2.0], [1e-9, 1e9], [0.00012, 123.4, 5e5], [-0.5]],
    ids=["none", "negative", "too wide", "wide", "below 0"],
)
def test_what_does_not_fit_is_a_list(numbers):
    assert packing.pack(numbers) == numbers


def test_what_is_no_number_is_null():
    assert unpack(packing.pack([None, 1.0])) == [None, 1.0]
    assert packing.pack([None, -1.0]) == [None, -1.0]
    assert unpack(packing.pack([None])) == [None]


@given(st.lists(st.one_of(st.none(), st.tuples(*[st.floats(0, 1e4)] * 3)), min_size=1, max_size=10))
def test_estimates_keep_six_digits(given):
    each = [number for one in given for number in one or (None, None, None)]
    expected = [None if number is None else float(f"{number:.6g}") for number in each]
    assert unpack(packing.estimates(given)) == expected


@given(st.lists(st.floats(0, 1e4), max_size=40))
def test_four_digits_are_kept(numbers):
    assert unpack(packing.pack(numbers)) == [float(f"{number:.4g}") for number in numbers]


@given(st.floats(0.001, 1), st.floats(0.001, 1), st.floats(0.001, 1))
def test_equal_numbers_stay_equal_beside_others(number, one, other):
    first, second = (unpack(packing.pack([number, beside]))[0] for beside in (one, other))
    assert first == second


def test_what_tasks_share_is_there_once():
    record = made_up.record(languages=("en", "ar", "zh"), prompts=5, intervals=False)
    packed = packing.record(record)
    assert packed["run"]["scorer"] == record.tasks[0].run.scorer
    assert [set(task["run"]) for task in packed["tasks"]] == [{"prompts_sha256", "lang"}] * 3
    assert [task["docs"] for task in packed["tasks"]] == [5, 5, 5]
    numerators = [n for task in record.tasks for n in task.columns["expected_max_toxicity"].numerators]
    assert unpack(packed["columns"]["expected_max_toxicity"]["n"]) == [float(f"{n:.4g}") for n in numerators]
    assert packed["columns"]["toxic_fraction"]["each"] == [25.0, 25.0, 25.0]


def test_a_metric_that_a_task_has_not_is_not_made_up():
    record = made_up.record(languages=("en", "ar"), prompts=3, intervals=False)
    first, second = record.tasks
    columns = {name: column for name, column in first.columns.items() if name != "dist2"}
    given = record.model_copy(
        update={"tasks": [first.model_copy(update={"columns": columns, "docs": [4, 5, 9]}), second]}
    )
    packed = packing.record(given)
    assert packed["columns"]["dist2"]["in"] == [1]
    assert "in" not in packed["columns"]["dist1"]
    assert packed["tasks"][0]["docs"] == [4, 5, 9]

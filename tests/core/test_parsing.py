"""JSON and YAML of others: equal keys, endless nesting; and that nobody reads them otherwise."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detoxbench.core.parsing import LONGEST_KEY, ParseError, parse_json, parse_yaml

ROOT = Path(__file__).parents[2]

OWN = {
    "core/parsing.py": "the reader itself",
    "core/scorers/archive.py": "a column of the archive",
    "harness/cli/archive.py": "a column of the archive",
    "harness/journal.py": "a journal, whose members have checksums",
    "leaderboard/submissions.py": "a record, after the reader had it",
    "leaderboard/validity/records.py": "a record made in memory",
    "leaderboard/site/grouping.py": "a text made in memory",
    "harness/reporting/every_eval_ever.py": "a text made in memory",
}
"""Files that may use Python's own readers, and of what."""

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(values)
def test_what_json_writes_is_read_back(value):
    import json

    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value).encode()) == value


def test_not_a_number_and_a_byte_order_mark():
    assert math.isnan(parse_json("NaN"))
    assert parse_json(b"\xef\xbb\xbf[1]") == [1]
    assert parse_yaml("") is None


@pytest.mark.parametrize("text", ['{"a": 1, "a": 1}', '[{"x": {"b": 0, "a": 1, "\\u0061": 2}}]'])
def test_a_key_twice_is_named(text):
    with pytest.raises(ParseError, match="'a' is there twice"):
        parse_json(text)


@pytest.mark.parametrize("text", ["a: 1\na: 2", "{a: 1, 'a': 2}", "- x:\n    a: 1\n    a: 1"])
def test_a_key_twice_in_yaml_is_named_with_its_line(text):
    with pytest.raises(ParseError, match="line .: the key 'a' is there already, in line ."):
        parse_yaml(text)


def test_merged_keys_may_be_given_again():
    assert parse_yaml("x: &x {a: 1, b: 2}\ny: {<<: *x, a: 3}")["y"] == {"a": 3, "b": 2}


@pytest.mark.parametrize("text", ["[" * 1_000_000, '{"a":' * 1_000_000, "1" * 10_000, "", "{", "nope"])
def test_what_is_no_json_is_one_line(text):
    with pytest.raises(ParseError) as caught:
        parse_json(text)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "text", ["[" * 5_000, "!!python/object:os.system x", "a: &a [*a]", "x: 2026-13-45", "!!bool x", "\x00", "a: b: c"]
)
def test_what_is_no_plain_yaml_is_one_line(text):
    with pytest.raises(ParseError) as caught:
        parse_yaml(text)
    assert len(str(caught.value).splitlines()) == 1


def test_aliases_that_make_billions():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    with pytest.raises(ParseError, match="aliases"):
        parse_yaml("\n".join(lines))


def test_a_long_key_is_cut():
    with pytest.raises(ParseError) as caught:
        parse_json(f'{{"{"k" * 1000}": 1, "{"k" * 1000}": 2}}')
    assert len(str(caught.value)) < LONGEST_KEY + 60


def test_nobody_reads_them_otherwise():
    own = re.compile(r"\bjson\.loads?\(|\byaml\.(safe_)?load\(|model_validate_json\(")
    folders = ("core", "tasks", "methods", "leaderboard", "harness")
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if own.search(path.read_text(encoding="utf-8"))
    }
    assert found == set(OWN)


@pytest.mark.parametrize("number", ["1" + "0" * 400, "-1" + "0" * 400, "9" * 10_000])
def test_a_number_that_no_float_holds_is_refused(number):
    with pytest.raises(ParseError, match=r"a whole number has|Exceeds the limit"):
        parse_json(f'{{"seconds": {number}}}')
    with pytest.raises(ParseError, match=r"a whole number has|Exceeds the limit"):
        parse_yaml(f"seconds: {number}")
    assert parse_json(str(2**64)) == 2**64

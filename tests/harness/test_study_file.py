"""YAML of studies: a key that is there twice, and values that PyYAML stumbles over."""

import pytest

from detoxbench.core.errors import DetoxbenchError
from detoxbench.harness.study_file import read_mapping


def read(tmp_path, text):
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return read_mapping(path, "a: …")


def test_read(tmp_path):
    assert read(tmp_path, "") == {}
    assert read(tmp_path, "a: {x: 1}\nb: [{x: 1}, {x: 2}]\n") == {"a": {"x": 1}, "b": [{"x": 1}, {"x": 2}]}


def test_what_is_merged_may_be_given_again(tmp_path):
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n"
    assert read(tmp_path, text)["b"] == {"x": 3, "y": 2}


@pytest.mark.parametrize(
    ("text", "line", "key", "first"),
    [("a: 1\nb: 2\na: 3\n", 3, "a", 1),
     ("b:\n  a: 1\n  c: 1\n  a: 2\n", 4, "a", 2), ("l:\n- {s: 1, s: 1}\n", 2, "s", 2),
     ("1: a\n'1': b\n", 2, "1", 1)],
)  # fmt: skip
def test_a_key_twice(tmp_path, text, line, key, first):
    with pytest.raises(
        DetoxbenchError, match=f"study.yaml' as YAML: line {line}: the key '{key}' is there .* in line {first}"
    ):
        read(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    ["a: 2026-13-45", "a: !!bool x", "a: !!int ''", "a: !!timestamp x", "a: " + "9" * 5000, "[" * 3000, "a: &a [*a]",
     "a: &a {b: *a}", "? [a]\n: 1", "a: !!python/object:os.system x", "a: \x00", "a: [1",
     "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))],
)  # fmt: skip
def test_no_yaml(tmp_path, text):
    with pytest.raises(DetoxbenchError, match=r"study.yaml' as YAML: .") as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600

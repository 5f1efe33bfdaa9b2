"""Tables that fit: nothing is cut, whatever the width."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from detoxbench.harness.cli import stacked

COLUMNS = ["", "expected_max_toxicity", r"B - A \[95%]", "perplexity"]
ROWS = [["en", r"0.602 \[0.207, 0.978]", "-0.1", "2.4"], ["macro", r"0.500 \[0.118, 0.882]", "-0.2", "10.5"]]


def shown(width: int, **given) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    stacked.show(console, COLUMNS, ROWS, **given)
    return console.file.getvalue().splitlines()


def test_one_table_where_there_is_room():
    lines = shown(120, title="title")
    assert lines[0].strip() == "title"
    assert [line.split("┃")[1].strip() for line in lines if line.startswith("┃")] == [""]
    assert sum(line.startswith("┏") for line in lines) == 1


@pytest.mark.parametrize("width", [36, 50, 59])
def test_stacked_and_whole(width):
    lines = shown(width, sections=(0,))
    assert sum(line.startswith("┏") for line in lines) > 1
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for whole in ("expected_max_toxicity", "0.602 [0.207, 0.978]", "B - A [95%]", "perplexity", "10.5"):
        assert whole in text
    assert "…" not in text
    assert text.count("macro") == sum(line.startswith("┏") for line in lines)


def test_a_column_wider_than_the_terminal_has_a_part_of_its_own():
    lines = shown(20)
    assert max(map(len, lines)) <= 20


def test_no_rows_and_one_column():
    console = Console(file=io.StringIO(), width=40)
    stacked.show(console, ["a"], [])
    assert "a" in console.file.getvalue()

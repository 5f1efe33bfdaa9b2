"""What is drawn for people to rate: by the stated design, the same for the same seed, and nothing says whose it is."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from detoxbench.core.errors import DetoxbenchError
from detoxbench.harness.annotation.design import allocation, draw_pairs, draw_ratings, shown, strata
from detoxbench.harness.annotation.texts import Text


def texts(run: str, scores, *, lang: str = "en", per_prompt: int = 5) -> list[Text]:
    places = [(*divmod(n, per_prompt), score) for n, score in enumerate(scores)]
    return [
        Text(run, run, f"rtp_{lang}", lang, doc, place, f"p{doc}", "before", f"{run} {doc} {place}", score)
        for doc, place, score in places
    ]


def rng():
    return np.random.default_rng(1)


def test_strata_hold_every_text_once():
    made = texts("a", np.linspace(0, 1, 41))
    parts = strata(made, 4)
    assert list(parts) == ["0-0.25", "0.25-0.5", "0.5-0.75", "0.75-1"]
    assert sorted(text.text for inside in parts.values() for text in inside) == sorted(text.text for text in made)


def test_a_stratum_too_small_is_joined_to_its_neighbour():
    assert {name: len(inside) for name, inside in strata(texts("a", [0.1] * 9 + [0.9]), 4).items()} == {"0-1": 10}


@pytest.mark.parametrize(
    ("sizes", "total", "found"),
    [([90, 10], 20, [14, 6]), ([5, 5], 100, [5, 5]), ([1, 99], 10, [1, 9]), ([50, 50], 3, [2, 2]), ([7], 3, [3])],
)
def test_allocation(sizes, total, found):
    assert allocation(sizes, total) == found


def test_a_cell_is_a_run_and_a_language_and_weights_add_up_to_its_texts():
    runs = {run: texts(run, rng().random(80)) + texts(run, rng().random(60), lang="ar") for run in ("a", "b")}
    items = draw_ratings(runs, 20, rng())
    for run in ("a", "b"):
        for lang, number in (("en", 80), ("ar", 60)):
            cell = [item for item in items if (item.texts[0].run, item.texts[0].lang) == (run, lang)]
            assert len(cell) == 20
            assert sum(item.stands_for for item in cell) == pytest.approx(number)


def test_texts_without_a_score_are_not_drawn():
    made = texts("a", [math.nan] * 50 + [0.2] * 10)
    assert all(item.texts[0].score == 0.2 for item in draw_ratings({"a": made}, 8, rng()))


def test_pairs_are_two_runs_on_one_prompt_with_sides_at_random():
    items = draw_pairs({run: texts(run, rng().random(200)) for run in ("a", "b", "c")}, 30, rng())
    assert len(items) == 3 * 30
    for item in items:
        one, other = item.texts
        assert one.of_prompt == other.of_prompt
        assert one.run != other.run
    first = [item.texts[0].run for item in items if {text.run for text in item.texts} == {"a", "b"}]
    assert 5 <= first.count("a") <= 25


def test_some_come_twice_the_second_time_later_and_the_order_is_random():
    items = draw_ratings({"a": texts("a", rng().random(200))}, 40, rng())
    found = shown(items, 0.25, rng())
    again = [one for one in found if one.repeats]
    assert len(found) == 50
    assert len(again) == 10
    by_id = {one.id: one for one in found}
    for one in again:
        assert by_id[one.repeats].item is one.item
        assert one.id > one.repeats
    assert [one.item for one in found[:40]] != items


def test_the_seed_decides_everything():
    made = {"a": texts("a", rng().random(200))}
    draws = [
        shown(draw_ratings(made, 20, np.random.default_rng(seed)), 0.1, np.random.default_rng(seed))
        for seed in (3, 3, 4)
    ]
    assert draws[0] == draws[1]
    assert draws[0] != draws[2]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: draw_ratings({"a": texts("a", [0.1] * 9)}, 1, rng()), "at least 2 texts"),
        (lambda: draw_ratings({"a": texts("a", [math.nan])}, 5, rng()), "has a score"),
        (lambda: draw_pairs({"a": texts("a", [0.1])}, 5, rng()), "two or more"),
        (
            lambda: draw_pairs(
                {"a": texts("a", [0.1]), "b": [replace(one, prompt="other") for one in texts("b", [0.1])]}, 5, rng()
            ),
            "share no prompt",
        ),
        (lambda: shown([], 0.9, rng()), "from 0 to 0.5"),
    ],
)  # fmt: skip
def test_refusals(call, words):
    with pytest.raises(DetoxbenchError, match=words):
        call()

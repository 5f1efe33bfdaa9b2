"""Tables: who shares a board, who shares a rank, what counts as a base, and what is on the Pareto front."""

from __future__ import annotations

import made_up
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detoxbench.leaderboard.site import figures, ranks
from detoxbench.leaderboard.site.changes import change_of
from detoxbench.leaderboard.site.findings import findings
from detoxbench.leaderboard.site.names import judges_itself, short_name
from detoxbench.leaderboard.site.tables import MACRO, tables


def group(rows):
    numerators = np.asarray(rows, dtype=float)
    return numerators, np.ones_like(numerators)


# -- ranks ---------------------------------------------------------------------------------------------------------


def test_equal_rows_share_the_first_rank():
    assert ranks.shared_ranks([group([[0.1, 0.2, 0.9]] * 3)]) == [1, 1, 1]


def test_ranks_by_hand():
    rng = np.random.default_rng(0)
    base = rng.random(50)
    rows = [base + 0.5, base + rng.normal(0, 0.001, 50), base + rng.normal(0, 0.001, 50), base + 1.0]
    assert ranks.shared_ranks([group(rows)]) == [3, 1, 1, 4]
    assert ranks.shared_ranks([group(rows)], higher_is_better=True) == [2, 3, 3, 1]


def test_a_row_that_is_skipped_has_no_rank_and_is_in_nobody_s_way():
    rng = np.random.default_rng(0)
    base = rng.random(50)
    assert ranks.shared_ranks([group([base, base + 0.3, base + 0.6])], skip=[0]) == [None, 1, 2]


def test_a_row_without_a_measurement_has_no_rank():
    numerators, denominators = group([[0.5, 0.5], [0.0, 0.0]])
    denominators[1] = 0
    assert ranks.shared_ranks([(numerators, denominators)]) == [1, None]
    assert ranks.shared_ranks([(np.zeros((0, 3)), np.zeros((0, 3)))]) == []


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 12))
def test_ranks_rise_with_the_values(seed, rows):
    rng = np.random.default_rng(seed)
    groups = [group(rng.random((rows, 8)) + rng.random((rows, 1))) for _ in range(2)]
    found = ranks.shared_ranks(groups, test=ranks.approximated)
    order = np.argsort(ranks.values(groups), kind="stable")
    placed = [found[row] for row in order]
    assert placed == sorted(placed)
    assert placed[0] == 1
    # A rank is the place of the first row that has it.
    assert all(placed.index(rank) + 1 == rank for rank in placed)


def test_the_approximation_is_near_the_test():
    rng = np.random.default_rng(1)
    base = rng.random((1, 60))
    groups = [group(base + rng.normal(0, 0.2, (6, 60)) + np.arange(6)[:, None] * 0.02) for _ in range(3)]
    exact, near = (test(groups, 0, range(1, 6)) for test in (ranks.exact, ranks.approximated))
    for one, other in zip(exact, near, strict=True):
        assert one.interval.value == pytest.approx(other.interval.value)
        assert one.interval.low == pytest.approx(other.interval.low, abs=0.006)
        assert one.p_value == pytest.approx(other.p_value, abs=0.03)


def test_the_approximation_does_not_call_three_equal_prompts_significant():
    (found,) = ranks.approximated([group([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])], 0, [1])
    assert found.p_value == 0.25
    assert not found.significant


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_front_by_definition(points):
    found = ranks.pareto_front([a for a, _ in points], [b for _, b in points])
    for (a, b), front in zip(points, found, strict=True):
        beaten = any(c <= a and d <= b and (c < a or d < b) for c, d in points)
        assert front is not beaten


def test_a_point_without_a_value_is_not_on_the_front():
    assert ranks.pareto_front([None, 1.0, float("nan")], [0.0, 1.0, 0.0]) == [False, True, False]


# -- tables --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made():
    return {
        method: made_up.record(method=method, shift=shift, cost=cost, languages=("en", "ar"))
        for method, shift, cost in (("none", 0, 1), ("dexperts", -0.3, 1.3), ("self_debias", -0.1, 1.6))
    }


def test_a_table_by_hand(made):
    (table,) = tables(list(made.values()))
    rows = {row.method: row for row in table.rows}
    assert table.languages == ["ar", "en"]
    assert [rows[name].ranks[MACRO] for name in ("dexperts", "self_debias", "none")] == [1, 2, 3]
    assert table.rows[rows["dexperts"].base] is rows["none"]
    change, low, high, p = rows["dexperts"].changes["expected_max_toxicity"][MACRO].numbers
    after, before = (rows[name].estimate("expected_max_toxicity")[0] for name in ("dexperts", "none"))
    assert change == pytest.approx(after - before, abs=1e-5)
    assert low < change < high < 0
    assert p < 0.001
    assert rows["none"].changes == {}
    assert {row.method for row in table.rows if row.front} == {"none", "dexperts"}
    assert findings(table)["method"] == "dexperts"


def test_twice_the_same_run_is_one_row(made):
    (table,) = tables([made["none"], made["none"]])
    assert len(table.rows) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"samples": 10}, {"scorer_version": "other"}, {"prompts_sha256": "1" * 64}, {"fluency_model": "gpt2"},
        {"protocol": "chat"}, {"generation": {"top_p": 0.5}}, {"constants": {"toxic": 0.6}}, {"scorer": "mini"},
    ],
)  # fmt: skip
def test_what_is_not_comparable_is_on_another_board(made, changed):
    other = made_up.record(method="dexperts", languages=("en", "ar"), prompts=4, intervals=False, run=changed)
    assert len(tables([made["none"], other])) == 2


def test_mini_never_shares_a_board_with_real_models(made):
    mini = made_up.record("mini", languages=("en", "ar"), intervals=False)
    found = tables([made["none"], mini])
    assert [table.mini for table in found] == [False, True]


def test_the_embedded_scorer_is_flagged_too():
    (table,) = tables([made_up.record(prompts=4, intervals=False, run={"scorer": "mini"})])
    assert table.mini


def test_a_run_with_fewer_languages_is_shown_and_not_ranked(made):
    less = made_up.record(method="dexperts", languages=("en",), shift=-0.4)
    (table,) = tables([*made.values(), less])
    row = next(row for row in table.rows if row.record.id == less.id)
    assert row.missing == ["ar"]
    assert row.ranks[MACRO] is None
    assert row.ranks["en"] == 1
    assert row.estimate("perplexity") == (None, None, None)
    assert not row.front


def test_a_run_with_fewer_prompts_is_shown_and_not_ranked(made):
    less = made_up.record(method="dexperts", languages=("en", "ar"), prompts=4, shift=-0.4)
    (table,) = tables([*made.values(), less])
    row = next(row for row in table.rows if row.record.id == less.id)
    assert row.missing == ["ar", "en"]
    assert set(row.ranks.values()) == {None}


def test_a_run_that_judges_itself_is_flagged_and_never_ranked():
    judge = {"scorer": "judge:http://localhost:8000/v1,Qwen/Qwen3-8B"}
    best = made_up.record("Qwen/Qwen3-8B", "dexperts", shift=-0.5, languages=("en",), run=judge)
    other = made_up.record("gpt2-large", languages=("en",), run=judge)
    (table,) = tables([best, other])
    rows = {row.model: row for row in table.rows}
    assert rows["Qwen/Qwen3-8B"].self_judged
    assert set(rows["Qwen/Qwen3-8B"].ranks.values()) == {None}
    assert rows["gpt2-large"].ranks[MACRO] == 1


def test_a_method_that_learned_from_its_judge_is_flagged_and_never_ranked(made):
    taught = made_up.record(method="rectification", shift=-0.4, languages=("en", "ar"), run={"self_judged": True})
    (table,) = tables([*made.values(), taught])
    row = next(row for row in table.rows if row.method == "rectification")
    assert row.self_judged
    assert set(row.ranks.values()) == {None}
    assert not row.front
    assert findings(table)["method"] == "dexperts"


@pytest.mark.parametrize(
    ("scorer", "model", "expected"),
    [
        ("judge:http://localhost:1/v1,Qwen/Qwen3-8B", "Qwen/Qwen3-8B", True),
        ("judge:http://localhost:1/v1,qwen/qwen3-8b", "Qwen/Qwen3-8B", True),
        ("judge:http://localhost:1/v1,Qwen/Qwen3-8B", "Qwen/Qwen3-4B", False),
        ("hf:Qwen/Qwen3-8B", "Qwen/Qwen3-8B", False),
        ("judge:http://localhost:1/v1,/models/qwen", "/models/qwen", True),
    ],
)
def test_judges_itself(scorer, model, expected):
    assert judges_itself(scorer, model) is expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [("owner/name", "owner/name"), ("/home/me/mine", "mine"), ("./mine/", "mine"), ("C:\\mine", "mine"), ("", "")],
)  # fmt: skip
def test_short_names(given, expected):
    assert short_name(given) == expected


def test_runs_of_one_method_are_told_apart_by_what_differs():
    one, two = (
        made_up.record(method="dexperts", languages=("en",), prompts=4, intervals=False,
                       model={"method_arguments": {"alpha": alpha, "filter_p": 0.9}})
        for alpha in (1.0, 2.0)
    )  # fmt: skip
    (table,) = tables([one, two])
    assert [row.variant for row in table.rows] == ["alpha=1.0", "alpha=2.0"]


def test_runs_that_differ_in_nothing_are_told_apart_by_their_dates():
    one = made_up.record(languages=("en",), prompts=4, intervals=False)
    two = one.model_copy(update={"date": "2026-05-06T07-08-09.1", "id": "f" * 16})
    (table,) = tables([one, two])
    assert [row.variant for row in table.rows] == ["2026-01-01T12-00-00", "2026-05-06T07-08-09"]


def test_without_samples_nothing_is_ranked(made):
    bare = made["none"].model_copy(
        update={"macro": {}, "tasks": [t.model_copy(update={"columns": {}, "docs": []}) for t in made["none"].tasks]}
    )
    (table,) = tables([bare])
    assert set(table.rows[0].ranks.values()) == {None}
    assert findings(table)["kind"] == ""
    # Beside runs with samples it keeps what it has: one number a language.
    (table,) = tables([bare.model_copy(update={"id": "f" * 16}), made["dexperts"]])
    row = next(row for row in table.rows if row.record.id == "f" * 16)
    assert row.estimate("perplexity", "en")[0] is not None
    assert row.ranks["en"] is None


def test_large_boards_are_tested_by_the_approximation():
    assert ranks.test_for(10, 400) is ranks.exact
    assert ranks.test_for(61, 10) is ranks.approximated
    assert ranks.test_for(20, 10_000) is ranks.approximated


def test_no_records_no_tables():
    assert tables([]) == []


# -- what is shown and not ranked ----------------------------------------------------------------------------------


def test_a_limited_board_is_shown_and_not_ranked():
    limited = [
        made_up.record(method=method, shift=shift, languages=("en", "ar"), prompts=8, of=40)
        for method, shift in (("none", 0.0), ("dexperts", -0.4))
    ]
    (table,) = tables(limited)
    assert "16 of 80 prompts (limited), 2 languages" in table.title
    assert {rank for row in table.rows for rank in row.ranks.values()} == {None}
    assert findings(table)["kind"] == ""
    assert findings(table)["limited"] == 2
    assert not any(row.front for row in table.rows)


def test_a_limited_run_stands_behind_full_ones(made):
    limited = made_up.record(method="goodtriever", shift=-0.5, languages=("en", "ar"), prompts=8, of=40)
    (table,) = tables([*made.values(), limited])
    row = next(row for row in table.rows if row.method == "goodtriever")
    assert row.limited == ["en", "ar"]
    assert set(row.ranks.values()) == {None}
    assert findings(table)["method"] == "dexperts"
    assert "80 prompts, 2 languages" in table.title


def test_the_title_counts_prompts_languages_and_samples():
    (table,) = tables([made_up.record(languages=("en",), prompts=7, intervals=False)])
    assert "7 prompts, en" in table.title
    assert table.title.endswith("K = 25")


@pytest.mark.parametrize(("lost", "ranked"), [(0.0, True), (0.04, True), (0.06, False), (0.9, False)])
def test_who_writes_nothing_wins_nothing(made, lost, ranked):
    silent = made_up.record(method="goodtriever", shift=-0.5, languages=("en", "ar"), lost=lost)
    (table,) = tables([*made.values(), silent])
    row = next(row for row in table.rows if row.method == "goodtriever")
    assert (row.ranks[MACRO] is not None) is ranked
    assert (row.uncovered == []) is ranked
    assert findings(table)["method"] == ("goodtriever" if ranked else "dexperts")


def test_the_finding_names_what_it_cost(made):
    (table,) = tables(list(made.values()))
    found = findings(table)
    sides = {side["metric"]: side["worse"] for side in found["sides"]}
    assert sides["bits_per_byte"] is True
    assert "free" not in found
    cheap = made_up.record(method="goodtriever", shift=-0.2, languages=("en", "ar"))
    (table,) = tables([*made.values(), cheap])
    assert findings(table)["free"]["method"] == "goodtriever"


def test_beaten_surely_by_hand():
    def run(*intervals):
        return [[(low + high) / 2, low, high] for low, high in intervals]

    good, noisy, worse = run((0, 1), (0, 1)), run((0.5, 3), (0.5, 3)), run((2, 3), (0.5, 1.5))
    assert ranks.undominated(np.array([good, noisy, worse])) == [True, True, False]
    assert ranks.undominated(np.array([run((0, 1), (2, 3)), run((2, 3), (0, 1))])) == [True, True]
    assert ranks.undominated(np.array([[[np.nan] * 3] * 2, worse])) == [False, True]
    assert ranks.undominated(np.empty((0, 2, 3))) == []


def test_pairs_of_rows_are_what_each_is_alone():
    rng = np.random.default_rng(2)
    groups = [group(rng.random((4, 12))) for _ in range(2)]
    for test in (ranks.exact, ranks.approximated):
        together = test(groups, [0, 2], [1, 3])
        for one, alone in zip(together, [*test(groups, 0, [1]), *test(groups, 2, [3])], strict=True):
            assert one.interval.value == pytest.approx(alone.interval.value)
            assert one.interval.low == pytest.approx(alone.interval.low)
            assert one.p_value == pytest.approx(alone.p_value)


# -- what is marked ------------------------------------------------------------------------------------------------


def drawn(method, shift=0.0, **sampling):
    model = {"sampling": {"do_sample": True, "temperature": 1.0, **sampling}}
    return made_up.record(method=method, shift=shift, languages=("en",), prompts=8, intervals=False, model=model)


def test_a_run_from_another_nucleus_than_its_base_is_marked():
    base = drawn("none", top_p=1.0, truncation="sampler", nucleus_base=1.0, nucleus_method=1.0)
    cut = drawn("dexperts", top_p=1.0, truncation="method", nucleus_base=1.0, nucleus_method=0.9)
    alike = drawn("self_debias", top_p=1.0, truncation="sampler", nucleus_base=1.0, nucleus_method=1.0)
    silent = drawn("goodtriever", top_p=1.0, truncation="method", nucleus_base=1.0, nucleus_method=None)
    hostile = drawn("knn_lm", top_p="x", nucleus_method=["y"], nucleus_base=True)
    (table,) = tables([base, cut, alike, silent, hostile])
    found = {row.method: row.nucleus for row in table.rows}
    assert found.pop("dexperts") == "drawn from a nucleus of 0.9, without the method from one of 1"
    assert set(found.values()) == {""}
    # Marked, and ranked all the same.
    assert all(row.ranks[MACRO] is not None for row in table.rows)


def test_older_results_say_what_cut_the_nucleus():
    base = drawn("none", top_p=0.9)
    own = made_up.record(method="dexperts", languages=("en",), prompts=8, intervals=False,
                         model={"sampling": {"top_p": 1.0}, "effective_arguments": {"filter_p": 0.9}})  # fmt: skip
    (table,) = tables([base, own])
    assert [row.nucleus for row in table.rows] == ["", ""]


def test_a_value_without_an_interval_is_shown_as_one_and_never_surely_better(made):
    best = made_up.record(method="knn_lm", shift=-0.4, languages=("en", "ar"))
    metric = "expected_max_toxicity"
    value = best.macro[metric][0]
    bare = best.model_copy(
        update={"macro": {**best.macro, metric: (value, None, None)}, "degenerate": {metric: "one prompt"}}
    )
    (table,) = tables([*made.values(), bare])
    row = next(row for row in table.rows if row.method == "knn_lm")
    assert not row.front
    assert row.reasons(MACRO) == {metric: "one prompt"}
    assert figures.estimate(row.estimate(metric), 3) == f"{value:.3f} (no interval)"


def test_a_change_of_few_prompts_has_no_interval_and_a_reason():
    base, other = (made_up.record(method=method, shift=shift, languages=("en",), prompts=5, intervals=False)
                   for method, shift in (("none", 0.0), ("dexperts", -0.3)))  # fmt: skip
    (table,) = tables([base, other])
    change = next(row for row in table.rows if row.method == "dexperts").changes["expected_max_toxicity"][MACRO]
    assert (change.low, change.high) == (None, None)
    assert change.reason == "5 prompts: too few for an interval of a difference"
    assert change.p == 2 * 2**-5
    assert not change.significant


def test_runs_that_do_not_differ_have_no_interval_of_no_width():
    for test in (ranks.exact, ranks.approximated):
        (found,) = test([group([[0.5] * 8, [0.5] * 8])], 0, [1])
        change = change_of(found)
        assert (change.value, change.low, change.high, change.p) == (0.0, None, None, 1.0)
        assert change.reason == "no prompt differs"


def test_a_folder_is_called_without_its_content_where_that_tells_it_from_others():
    same, other = "mine@sha256:0a", "mine@sha256:0b"
    (table,) = tables([made_up.record(same), made_up.record(same, method="dexperts"), made_up.record("owner/name")])
    assert {row.model for row in table.rows} == {"mine", "owner/name"}
    (table,) = tables([made_up.record(same), made_up.record(other)])
    assert {row.model for row in table.rows} == {same, other}

"""What a run's files may not say: each lie, omission or impossibility is named, and an honest run has none."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
from gate_files import change, result, row, summary, write
from hypothesis import given, settings
from hypothesis import strategies as st

from detoxbench.core import results
from detoxbench.core.statistics import interval
from detoxbench.core.validation import restore, validate_run
from detoxbench.core.validation.aggregates import LEAST_WIDTH, width_of

SCORES = np.random.default_rng(0).beta(2, 3, (2, 6))


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "run", SCORES)


def problems(folder, **options):
    (path,) = results.find(folder)
    return validate_run(results.read(path), **options)


def edit_results(folder, edit):
    (path,) = results.find(folder)
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_an_honest_run_has_no_problems(folder):
    assert problems(folder) == ()
    assert problems(folder, recompute=False) == ()


def test_a_row_gives_back_what_was_measured():
    found = result("en", 3, 0.75, k=4, empty=1)
    assert restore(row(found, 0)) == found


def test_a_run_without_samples_is_no_problem_by_itself(folder):
    for path in folder.glob("samples_*"):
        path.unlink()
    assert problems(folder) == ()


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (
            lambda one: one["measured"]["fractions"].pop("expected_max_toxicity"),
            "doc_id 0: lacks expected_max_toxicity",
        ),
        (
            lambda one: one["measured"]["fractions"].update(expected_max_toxicity=[-3.0, 1.0]),
            "is -3, which is not between",
        ),
        (lambda one: one["measured"]["fractions"].update(expected_max_toxicity=[0.999, 1.0]), "written as 0.999 / 1"),
        (lambda one: one["measured"]["fractions"].update(toxic_fraction=[1.0, 0.0]), "1.0 over nothing"),
        (lambda one: one["measured"]["fractions"].update(perplexity=[math.inf, 1.0]), "no measurement"),
        (lambda one: one["measured"]["scores"].update(toxicity=[1.0] * 25), "scores give 1 / 1"),
        (lambda one: one["measured"]["scores"].update(toxicity=[-0.5] * 25), "is -0.5, which is not between 0 and 1"),
        (lambda one: one["measured"].update(nll=[-5.0] * 25), "log-likelihood is -5"),
        (lambda one: one["measured"].update(tokens=[-1] * 25), "-1 tokens"),
        (lambda one: one.update(filtered_resps=[[" one text"]]), "1 places|for 1 generations"),
        (lambda one: one.update(doc_id=1), "doc_id 1 is there more than once"),
        (lambda one: one.pop("measured"), "no row of a detoxbench task"),
    ],
)
def test_a_single_wrong_row_is_named(folder, edit, says):
    change(folder, "en", edit)
    found = problems(folder)
    assert any(re.search(says, line) for line in found), found
    assert all(line.startswith("task 'rtp_multilingual_en': ") for line in found)


def test_other_continuations_than_the_record_says(tmp_path):
    one = write(tmp_path / "k", SCORES, samples=1)
    edit_results(one, lambda c: [t["detoxbench"].update(samples=25) for t in c["configs"].values()])
    assert "1 continuations, the record says K = 25" in problems(one)[0]
    # Texts from a file, which no generation settings belong to, may be fewer for some prompts, not for all.
    edit_results(one, lambda c: [t["detoxbench"].update(generation={}) for t in c["configs"].values()])
    assert "at most 1 continuations a prompt, the record says K = 25" in problems(one)[0]
    edit_results(one, lambda c: [t["detoxbench"].update(samples=1) for t in c["configs"].values()])
    assert problems(one) == ()


def test_a_samples_file_cut_to_half_or_to_nothing(folder):
    path = sorted(folder.glob("samples_*"))[0]
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:3]))
    found = problems(folder)
    assert "its samples file has 3 prompts, the results say 6" in found[0]
    assert any("in the results, and its samples give" in line for line in found)
    path.write_text("".join(lines[:3]) + lines[3][:-20])
    assert "cannot be read" in problems(folder)[0]
    path.write_text("")
    assert problems(folder) == ("task 'rtp_multilingual_en': its samples file is empty",)


def test_the_count_of_lm_eval_is_taken_where_there_is_no_other(folder):
    name = "rtp_multilingual_en"
    edit_results(folder, lambda c: c["results"][name].pop("measured,none"))
    edit_results(folder, lambda c: c.update({"n-samples": {name: {"effective": 9}}}))
    assert problems(folder) == (f"task '{name}': its samples file has 6 prompts, the results say 9",)


@pytest.mark.parametrize(
    ("metrics", "says"),
    [
        ({"expected_max_toxicity": -3.0}, "expected_max_toxicity is -3, which is not between 0 and 1"),
        ({"expected_max_toxicity": math.inf}, "which is not between 0 and 1"),
        ({"perplexity": 0.5}, "perplexity is 0.5, which is not between 1 and 10000"),
        ({"bits_per_byte": -1.0}, "which is not at least 0"),
        ({"dist2": 0.5, "dist2_ci_low": 0.6, "dist2_ci_high": 0.7}, "0.5, outside its own interval [0.6, 0.7]"),
        ({"dist2": 0.5, "dist2_ci_low": 0.4, "dist2_ci_high": 1.7}, "the upper bound of dist2 is 1.7"),
        ({"dist2": 0.5, "dist2_ci_low": 0.4}, "one bound"),
        ({"dist2": math.nan, "dist2_ci_low": 0.4, "dist2_ci_high": 0.7}, "an interval and no value"),
        ({"expected_max_toxicity_toxic_prompts": 2.0}, "is 2, which is not between 0 and 1"),
    ],
)
def test_numbers_that_cannot_be(folder, metrics, says):
    row = {f"{name},none": value for name, value in metrics.items()}
    edit_results(folder, lambda c: c["results"]["rtp_multilingual_en"].update(row))
    found = problems(folder, recompute=False)
    assert len(found) == 1
    assert says in found[0]


def test_times_and_counts_that_cannot_be(folder):
    edit_results(folder, lambda c: c["config"]["detoxbench"].update(seconds=-5.0, tokens=-1))
    edit_results(folder, lambda c: c["configs"]["rtp_multilingual_fr"]["detoxbench"].update(seconds={"scoring": -1.0}))
    assert [line.split(",")[0] for line in problems(folder, recompute=False)] == [
        "model: seconds is -5.0", "model: tokens is -1", "task 'rtp_multilingual_fr': seconds of scoring is -1.0",
    ]  # fmt: skip


def test_other_thresholds_are_not_computed_again(folder):
    """A run with the authors' own threshold is an honest one; which runs may be compared, boards say."""
    edit_results(folder, lambda c: [t["detoxbench"].update(constants={"toxic": 0.8}) for t in c["configs"].values()])
    assert problems(folder) == ()


def test_many_problems_are_counted_and_text_of_the_file_is_escaped(folder):
    (path,) = folder.glob("samples_rtp_multilingual_en_*")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for one in rows:
        one["measured"]["fractions"]["bad\x1b[31m\nname"] = [1.0, 0.0]
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    found = problems(folder)
    assert found[-1].endswith("and 1 more like it")
    assert all(line.isprintable() for line in found)


def test_the_summary_of_the_files_is_that_of_the_metrics():
    rows = [row(result("en", place, score), place) for place, score in enumerate((0.2, 0.6))]
    assert summary(rows)["expected_max_toxicity,none"] == pytest.approx(0.4)


@pytest.mark.parametrize("edit", [
    lambda numbers: numbers.pop("expected_max_toxicity,none"),
    lambda numbers: numbers.update({"expected_max_toxicity,none": "NaN"}),
])  # fmt: skip
def test_a_number_that_only_the_samples_have_is_missed(folder, edit):
    edit_results(folder, lambda content: edit(content["results"]["rtp_multilingual_fr"]))
    (line,) = problems(folder)
    assert line.startswith("task 'rtp_multilingual_fr': expected_max_toxicity is no number in the results")


@pytest.mark.parametrize("name", ["expected_max_toxicity", "toxicity_probability"])
def test_an_interval_narrower_than_the_samples_allow(folder, name):
    def edit(content):
        numbers = content["results"]["rtp_multilingual_fr"]
        numbers[f"{name}_ci_low,none"] = numbers[f"{name}_ci_high,none"] = numbers[f"{name},none"]

    edit_results(folder, edit)
    (line,) = problems(folder)
    assert f"the interval of {name}, [" in line
    assert "narrower than its samples allow" in line


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    prompts=st.sampled_from([5, 6, 10, 20, 60]),
    spread=st.floats(0.01, 2.5),
    rare=st.floats(0.02, 1.0),
    measured=st.booleans(),
)
def test_no_interval_of_ours_is_taken_for_too_narrow(seed, prompts, spread, rare, measured):
    rng = np.random.default_rng(seed)
    denominators = rng.integers(0, 26, prompts) if measured else np.full(prompts, 25)
    values = rng.lognormal(0, spread, prompts) * (rng.random(prompts) < rare)
    pairs = np.array([values * denominators, denominators], dtype=float)
    found = interval(*pairs)
    if not math.isnan(found.low):
        assert found.high - found.low >= LEAST_WIDTH * width_of(pairs) - 1e-6 * max(1.0, found.value)

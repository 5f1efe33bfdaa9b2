"""The end of a run fits a screen, says what to doubt, and leaves the tables of others alone."""

from __future__ import annotations

import math

import pytest

from detoxbench.core.records import TaskRun
from detoxbench.harness import plugin
from detoxbench.harness.reporting import summary

LANGUAGES = "ar cs de en es fr hi id it ja ko nl pl pt ru sv zh".split()


def results(languages=LANGUAGES, other=False, **changed):
    record = {
        "prompt_set": "rtp", "prompts_sha256": "0" * 64, "scorer": "s", "scorer_version": "1",
        "attributes": ["toxicity"], "fluency_model": "f", "samples": 25, "generation": {}, "constants": {},
    }  # fmt: skip
    row = {}
    for name in ("expected_max_toxicity", "toxicity_probability", "toxic_fraction", "perplexity", "dist1"):
        row |= {f"{name},none": 0.25, f"{name}_ci_low,none": 0.125, f"{name}_ci_high,none": 0.5}
    row["failed_fraction,none"] = 0.0
    names = {f"rtp_{lang}": lang for lang in languages}
    found = {
        "configs": {
            name: {"detoxbench": TaskRun(**{**record, **changed, "lang": lang}).model_dump()}
            for name, lang in names.items()
        },
        "results": {name: dict(row) for name in names} | {"rtp": dict(row)},
        "groups": {"rtp": dict(row)},
        "group_subtasks": {"rtp": list(names)},
        "config": {},
    }  # fmt: skip
    if other:
        found["configs"]["hellaswag"] = {}
        found["results"]["hellaswag"] = {"acc,none": 0.3}
    return found


def table(shown, column="results"):
    return f"TABLE {column} {' '.join(shown[column])}"


def printed(found, **options):
    token = summary.INVOCATION.set(summary.Invocation(**options))
    try:
        return [
            plugin._summary_last(lambda shown, of=column: table(shown, of), found, column)
            for column in found
            if column in ("results", "groups")
        ]
    finally:
        summary.INVOCATION.reset(token)  # fmt: skip


def test_seventeen_languages_fit_a_screen():
    lines = printed(results(), output="out", samples=True)[-1].splitlines()
    assert len(lines) <= 25
    assert max(map(len, lines)) <= 110
    assert lines[1].split() == ["EMT", "↓", "tox.", "prob.", "↓", "tox.", "frac.", "↓", "perplexity", "↓"]
    assert [line.split()[0] for line in lines[3:20]] == LANGUAGES
    assert lines[-4].startswith("macro  0.250 [0.125, 0.500]")
    assert lines[-2] == "results and samples: out"
    assert lines[-1].startswith("next: detoxbench report out")


def test_the_summary_comes_last_and_once():
    shown = printed(results())
    assert shown[0] == ""
    assert "rtp: K=25, scorer s" in shown[1]


def test_tasks_of_others_keep_their_table():
    shown = printed(results(other=True))
    assert shown[0] == "TABLE results hellaswag"
    assert "macro" in shown[1]
    assert "TABLE" not in shown[1]


def test_full_table_and_use_as_a_library_are_lm_evals_own():
    assert printed(results(), full_table=True)[0].startswith("TABLE results rtp_ar")
    assert summary.INVOCATION.get() is None
    assert plugin._summary_last(table, results(), "results").startswith("TABLE results rtp_ar")


def test_without_a_group_each_table_is_named_by_its_tasks():
    found = results(["en", "fr"])
    for column in ("groups", "group_subtasks"):
        del found[column]
    del found["results"]["rtp"]
    (shown,) = printed(found)
    assert shown.startswith("rtp_en, rtp_fr: K=25")
    assert "macro" not in shown
    assert "--output_path" in shown


def test_what_to_doubt_is_said():
    found = results(["en", "fr"], self_judged=True)
    found["results"]["rtp_fr"]["failed_fraction,none"] = 0.05
    found["results"]["rtp_en"]["perplexity_ci_low,none"] = math.nan
    found["config"] = {"detoxbench": {"pretrained": "mini", "cut_prompts": 3}}
    shown = printed(found)[-1]
    assert "left out: fr 5.0%" in shown
    assert "self-judged" in shown
    assert "3" in next(line for line in shown.splitlines() if "cut on the left" in line)
    assert "no interval of some metrics, for want of prompts: en" in shown
    assert "says nothing of real models" in shown


@pytest.mark.parametrize("value", [None, math.nan])
def test_what_was_not_measured_is_a_dash(value):
    found = results(["en"])
    found["results"]["rtp_en"]["perplexity,none"] = value
    assert printed(found)[-1].splitlines()[3].endswith("–")

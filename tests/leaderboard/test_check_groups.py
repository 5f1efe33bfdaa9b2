"""The gate on groups of prompts: one that is ruined is found where its language and the average hide it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
from check_command import run
from gate_files import EVERY_METRIC, write
from scipy import stats

from detoxbench.core.statistics import benjamini_hochberg
from detoxbench.leaderboard import gate
from detoxbench.leaderboard.gate import LEVEL
from detoxbench.leaderboard.margins import parse
from detoxbench.leaderboard.pairing import Section
from detoxbench.leaderboard.prompt_groups import parts

EMT = ("--metric", "expected_max_toxicity=+0.02")


GROUPS = [f"harm=h{number}" for number in range(8)]


def drawn(rng, level):
    """Two runs of one method; both of whole prompts."""
    return (np.clip(level + rng.exponential(0.1, level.shape), 0, 1) for _ in range(2))


def of_groups(place):
    return [GROUPS[place % 8], "half=first" if place < 8 else "half=second", "all=yes"]


def test_one_ruined_group_among_38_languages_is_caught_with_all_metrics(tmp_path):
    """Two prompts of sixteen in each language: less than the margins of the languages and of their average."""
    languages = [f"l{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(38)]
    rng = np.random.default_rng(5)
    one, other = drawn(rng, rng.beta(1, 4, (38, 16)))
    other[:, 3::8] = np.clip(other[:, 3::8] + 0.12, 0, 1)  # 0.015 on average
    a = write(tmp_path / "a", one, languages=languages, samples=3, groups=of_groups)
    b = write(tmp_path / "b", other, languages=languages, samples=3, groups=of_groups)
    found = run(a, b, *EVERY_METRIC, "--json", str(tmp_path / "c.json"), "--junit", str(tmp_path / "c.xml"))
    assert found.exit_code == 1, found.output
    content = json.loads((tmp_path / "c.json").read_text())
    assert content["groups_tested"] == 12 * 10  # no language has ten of a group, and in ``all`` are all
    failed = {(f["metric"], f["language"], f["group"]) for f in content["findings"] if f["verdict"] == "failed"}
    assert ("expected_max_toxicity", "macro", GROUPS[3]) in failed
    assert {group for _, _, group in failed} == {GROUPS[3]}
    assert len(content["findings"]) == 12 * 39 + len(failed)
    assert f"REGRESSION  expected_max_toxicity of macro, {GROUPS[3]}: " in found.output
    assert f'name="macro, {GROUPS[3]}"' in (tmp_path / "c.xml").read_text()


def test_a_ruined_group_of_one_language_is_named(tmp_path):
    rng = np.random.default_rng(6)
    one, other = drawn(rng, rng.beta(1, 4, (3, 120)))
    other[1, 3::8] = np.clip(other[1, 3::8] + 0.4, 0, 1)
    a, b = (write(tmp_path / n, x, samples=3, groups=of_groups) for n, x in (("a", one), ("b", other)))
    found = run(a, b, *EMT, "--json", str(tmp_path / "c.json"))
    assert found.exit_code == 1, found.output
    content = json.loads((tmp_path / "c.json").read_text())
    failed = [f for f in content["findings"] if f["verdict"] == "failed"]
    assert ("fr", GROUPS[3]) in {(f["language"], f["group"]) for f in failed}
    assert {f["group"] for f in failed} == {GROUPS[3]}
    worst = next(f["worst"] for f in failed if f["language"] == "fr")
    assert all(int(prompt["id"].split("-")[1]) % 8 == 3 for prompt in worst)


def test_false_alarms_with_groups():
    """The level is shared by tests of all prompts and of groups."""
    checks, prompts = 100, 48
    rng = np.random.default_rng(0)
    labels = tuple(frozenset(of_groups(place)) for place in range(prompts))
    who = tuple(("en", str(place), "", 0) for place in range(prompts))
    margin = replace(parse(["expected_max_toxicity=+0.02"])[0], shift=0.0)
    alarms = 0
    for _ in range(checks):
        sides = [[], []]
        for _ in range(2):
            level = rng.beta(1, 4, prompts)
            for side in sides:
                score = np.clip(level + rng.exponential(0.15, prompts), 0, 1)
                side.append(np.stack([score, np.ones(prompts)])[:, None])
        section = Section("p", ("en", "fr"), ("expected_max_toxicity",), tuple(sides[0]), tuple(sides[1]), (who, who),
                          ((0, 0), (0, 0)), (labels, labels))  # fmt: skip
        tests = gate._tests("run", section, margin)
        groups = [test for group, part in parts(section) for test in gate._tests("run", part, margin, group)]
        assert len(groups) == 8 + 1 + 3
        families = ([test.p for test in family] for family in (tests, groups))
        alarms += any(benjamini_hochberg(p, LEVEL / 2)[1].any() for p in families)
    assert alarms <= stats.binom.isf(1e-4, checks, LEVEL)

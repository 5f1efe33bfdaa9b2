"""The regression gate on results files: what it stops, what it lets pass, what it refuses."""

from __future__ import annotations

import json
import math
from xml.etree import ElementTree

import numpy as np
import pytest
import typer
from gate_files import HOSTILE, write
from typer.testing import CliRunner

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.statistics import benjamini_hochberg
from detoxbench.harness.cli.check import check as command
from detoxbench.leaderboard.gate import LEVEL, worsenings
from detoxbench.leaderboard.margins import parse

SCORES = np.random.default_rng(0).beta(2, 3, (3, 40))
"""[languages, prompts]"""
EMT = ("--metric", "expected_max_toxicity=+0.02")


def run(baseline, candidate, *options):
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command)
    given = ["--baseline", str(baseline), "--candidate", str(candidate), "--no-github", *options]
    return CliRunner().invoke(app, given)


@pytest.fixture
def base(tmp_path):
    return write(tmp_path / "base", SCORES)


def test_a_run_against_itself_passes(base, tmp_path):
    found = run(base, base, "--json", str(tmp_path / "c.json"))
    assert found.exit_code == 0, found.output
    content = json.loads((tmp_path / "c.json").read_text())
    assert content["regressions"] == 0
    assert {finding["language"] for finding in content["findings"]} == {"en", "fr", "ja", "macro"}
    row = next(f for f in content["findings"] if f["metric"] == "expected_max_toxicity" and f["language"] == "en")
    # By hand: nothing changed, so the candidate is 0.02 below what is let pass.
    assert row["worsening"] == pytest.approx(-0.02)
    assert row["baseline"] == row["candidate"] == pytest.approx(SCORES[0].mean())


def test_one_bad_language_is_stopped_and_named(base, tmp_path):
    worse = SCORES.copy()
    worse[1] = np.clip(worse[1] + 0.2 + np.random.default_rng(1).normal(0, 0.05, 40), 0, 1)
    files = ("--json", str(tmp_path / "c.json"), "--junit", str(tmp_path / "c.xml"))
    found = run(base, write(tmp_path / "worse", worse), *EMT, *files, "--github")
    assert found.exit_code == 1, found.output
    failed = {f["language"] for f in json.loads((tmp_path / "c.json").read_text())["findings"] if f["regression"]}
    assert failed == {"fr", "macro"}
    for finding in json.loads((tmp_path / "c.json").read_text())["findings"]:
        assert finding["regression"] == (finding["bound"] > 0)
    root = ElementTree.fromstring((tmp_path / "c.xml").read_text(encoding="utf-8"))
    assert [case.get("name") for case in root.iter("testcase") if case.find("failure") is not None] == ["fr", "macro"]
    assert sum(line.startswith("::error ") for line in found.output.splitlines()) == 2


def test_better_is_no_regression_and_the_other_way_round_is(base, tmp_path):
    better = write(tmp_path / "better", SCORES * 0.5)
    assert run(base, better, *EMT).exit_code == 0
    assert run(better, base, *EMT).exit_code == 1


def test_within_the_margin_passes_and_beyond_it_does_not(base, tmp_path):
    up = write(tmp_path / "up", SCORES + 0.03)
    assert run(base, up, "--metric", "expected_max_toxicity=+0.05").exit_code == 0
    assert run(base, up, "--metric", "expected_max_toxicity=+0.01").exit_code == 1
    assert run(base, up, "--metric", "expected_max_toxicity=x1.2").exit_code == 0
    assert run(base, up, "--metric", "expected_max_toxicity=x1.01").exit_code == 1


def test_lower_is_worse_where_the_metric_says_so(base, tmp_path):
    lost = write(tmp_path / "lost", SCORES, consistent=0.7)
    assert run(base, lost, "--metric", "language_consistency=-0.02").exit_code == 1
    assert run(lost, base, "--metric", "language_consistency=-0.02").exit_code == 0


def test_the_order_of_rows_does_not_matter(base, tmp_path):
    assert run(base, write(tmp_path / "shuffled", SCORES, reverse=True), *EMT).exit_code == 0


@pytest.mark.parametrize("prompts", [1, 2, 3])
def test_few_prompts_prove_nothing(tmp_path, prompts):
    a, b = write(tmp_path / "a", SCORES[:1, :prompts]), write(tmp_path / "b", SCORES[:1, :prompts] + 0.5)
    assert run(a, b, *EMT).exit_code == 0


def test_not_comparable_is_2_and_lists_what_differs(base, tmp_path):
    other = write(tmp_path / "other", SCORES, samples=5, scorer_version="2")
    found = run(base, other, "--json", str(tmp_path / "c.json"), "--junit", str(tmp_path / "c.xml"), "--github")
    assert found.exit_code == 2
    assert "continuations per prompt (K): 25 and 5; scorer version: 1 and 2" in found.output
    assert "scorer version" in json.loads((tmp_path / "c.json").read_text())["error"]
    assert ElementTree.parse(tmp_path / "c.xml").find(".//error") is not None
    assert any(line.startswith("::error title=") for line in found.output.splitlines())


def test_missing_prompts_are_2_unless_allowed(base, tmp_path):
    fewer = write(tmp_path / "fewer", SCORES[:, :30])
    assert run(base, fewer).exit_code == 2
    found = run(base, fewer, "--allow-unpaired")
    assert found.exit_code == 0
    assert "30 prompts are in one of the two only" in found.output


@pytest.mark.parametrize(
    "damage", ["missing", "empty", "no json", "no samples", "cut", "not utf-8", "list", "bad block", "bad fraction"]
)
def test_bad_input_is_2_in_one_line(base, tmp_path, damage):
    folder = write(tmp_path / "bad", SCORES)
    (path,) = folder.glob("results_*.json")
    samples = sorted(folder.glob("samples_*.jsonl"))
    if damage == "missing":
        folder = tmp_path / "nowhere"
    elif damage == "empty":
        path.unlink()
    elif damage == "no samples":
        samples[0].unlink()
    elif damage == "cut":
        samples[0].write_text(samples[0].read_text()[:-20])
    elif damage == "bad fraction":
        samples[0].write_text(samples[0].read_text().replace('"perplexity": [', '"perplexity": [NaN, '))
    elif damage == "bad block":
        path.write_text(path.read_text().replace('"samples": 25', '"samples": "many"'))
    else:
        path.write_bytes({"no json": b"{", "not utf-8": b"\xff\xfe\x00", "list": b"[]"}[damage])
    found = run(base, folder)
    assert found.exit_code == 2, found.output
    assert found.stderr.startswith("detoxbench: ")
    assert len(found.stderr.splitlines()) == 1


def test_hostile_names_run_nothing(tmp_path):
    worse = np.clip(SCORES + 0.4, 0, 1)
    a = write(tmp_path / "a", SCORES, model=HOSTILE, prompt_set=HOSTILE)
    b = write(tmp_path / "b", worse, model=HOSTILE, prompt_set=HOSTILE)
    found = run(a, b, "--github", "--junit", str(tmp_path / "c.xml"), "--json", str(tmp_path / "c.json"))
    assert found.exit_code == 1, found.output
    for line in found.output.splitlines():
        assert not line.lstrip().startswith("::") or line.startswith("::error title=Regression%3A")
        assert "##[" not in line
    ElementTree.parse(tmp_path / "c.xml")
    assert json.loads((tmp_path / "c.json").read_text())["findings"][0]["prompt_set"] == HOSTILE


@pytest.mark.parametrize(
    "text",
    ["", "x", "nothing=+1", "expected_max_toxicity=-0.1", "expected_max_toxicity=x0.9", "expected_max_toxicity=0.02",
     "dist2=+0.1", "dist2=x1.1", "perplexity=xnan", "perplexity=+1e400", "perplexity=x" + "9" * 400],
)  # fmt: skip
def test_wrong_margins(text):
    with pytest.raises(DetoxbenchError, match="--metric"):
        parse([text])


def test_a_margin_by_hand():
    column = np.array([[[0.2, 0.6]], [[1.0, 2.0]]])  # two prompts of one metric
    np.testing.assert_allclose(parse(["expected_max_toxicity=+0.1"])[0].moved(column), [[0.3, 0.8]])
    np.testing.assert_allclose(parse(["perplexity=x1.5"])[0].moved(column), [[0.3, 0.9]])


@pytest.mark.parametrize("prompts", [12, 40])
def test_false_alarms_of_200_null_checks(prompts):
    """Each check has eleven languages and their macro-average; the candidate is another draw of the same method."""
    checks, languages = 200, 11
    rng = np.random.default_rng(prompts)
    groups = []
    for _ in range(languages):
        level = rng.beta(1, 4, (checks, prompts))  # skewed, as prompts are
        a, b = (np.clip(level + rng.exponential(0.15, level.shape), 0, 1) for _ in range(2))
        groups.append((a, np.ones_like(a), b, np.ones_like(b)))
    p = [worsenings([group], 1, resamples=2000)[1] for group in groups]
    p.append(worsenings(groups, 1, resamples=2000)[1])
    alarms = sum(benjamini_hochberg(column, LEVEL)[1].any() for column in np.array(p).T)
    assert alarms / checks <= LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / checks)

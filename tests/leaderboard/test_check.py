"""The regression gate on results files: what it stops, what it lets pass, what it refuses."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import numpy as np
import pytest
from check_command import run
from gate_files import EVERY_METRIC, HOSTILE, change, summary, write
from scipy import stats

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.statistics import benjamini_hochberg, paired_differences, paired_macro_differences
from detoxbench.leaderboard.gate import LEVEL
from detoxbench.leaderboard.margins import parse, wanted

SCORES = 0.9 * np.random.default_rng(0).beta(2, 3, (3, 40))
"""[languages, prompts]"""
EMT = ("--metric", "expected_max_toxicity=+0.02")


def rewrite(folder):
    """The results file's numbers again, after its samples were changed."""
    (path,) = folder.glob("results_*.json")
    content = json.loads(path.read_text())
    for name in content["results"]:
        (samples,) = folder.glob(f"samples_{name}_*")
        content["results"][name] = summary([json.loads(line) for line in samples.read_text().splitlines()])
    path.write_text(json.dumps(content))


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
def test_few_prompts_prove_nothing_and_are_not_ok(tmp_path, prompts):
    a = write(tmp_path / "a", np.full((1, prompts), 0.029))
    b = write(tmp_path / "b", np.full((1, prompts), 1.0))
    found = run(a, b, *EMT, "--json", str(tmp_path / "c.json"))
    assert found.exit_code == 0
    assert "PASS: of 4 tests 0 failed, 1 undecided, 3 passed" in found.output
    assert f"0.029 became 1, let pass is +0.02; undecided ({prompts} prompts; about 7 needed" in found.output
    assert [f["needed"] for f in json.loads((tmp_path / "c.json").read_text())["findings"]] == [7, None, None, None]
    strict = run(a, b, *EMT, "--strict", "--junit", str(tmp_path / "c.xml"), "--github")
    assert strict.exit_code == 1
    assert strict.output.startswith("FAIL: of 4 tests 0 failed, 1 undecided")
    assert "::error title=Undecided%3A expected_max_toxicity%2C en::" in strict.output
    (failure,) = ElementTree.parse(tmp_path / "c.xml").iter("failure")
    assert failure.get("type") == "undecided"
    assert run(a, a, "--strict").exit_code == 0  # nothing changed on any prompt


def test_as_many_prompts_as_were_said_to_be_needed_decide(tmp_path):
    a, b = write(tmp_path / "a", np.full((1, 7), 0.029)), write(tmp_path / "b", np.full((1, 7), 1.0))
    assert run(a, b, *EMT).exit_code == 1


def test_one_ruined_language_among_38_is_caught_with_all_metrics(tmp_path):
    languages = [f"l{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(38)]
    rng = np.random.default_rng(5)
    level = rng.beta(1, 4, (38, 20))
    one, other = (np.clip(level + rng.exponential(0.1, level.shape), 0, 1) for _ in range(2))
    other[17] = 1.0
    a = write(tmp_path / "a", one, languages=languages, samples=3)
    b = write(tmp_path / "b", other, languages=languages, samples=3)
    found = run(a, b, *EVERY_METRIC, "--json", str(tmp_path / "c.json"))
    assert found.exit_code == 1, found.output
    content = json.loads((tmp_path / "c.json").read_text())
    assert len(content["findings"]) == 12 * 39
    failed = {(f["metric"], f["language"]) for f in content["findings"] if f["verdict"] == "failed"}
    assert {(name, languages[17]) for name in ("expected_max_toxicity", "toxicity_probability")} <= failed
    assert {language for _, language in failed} <= {languages[17], "macro"}


def test_lost_coverage_is_a_failure_and_never_a_win(tmp_path):
    """54 of 60 continuations empty, one a prompt: toxicity falls, on six prompts."""
    scores = np.full((1, 60), 0.9)
    a = write(tmp_path / "a", scores, samples=1)
    b = write(tmp_path / "b", np.full((1, 60), 0.05), samples=1)
    (path,) = b.glob("samples_*")
    empty = write(tmp_path / "empty", scores, samples=1, empty=1)
    rows = path.read_text().splitlines()[:6] + next(empty.glob("samples_*")).read_text().splitlines()[6:]
    path.write_text("".join(f"{row}\n" for row in rows))
    rewrite(b)
    found = run(a, b, "--json", str(tmp_path / "c.json"))
    assert found.exit_code == 1, found.output
    content = {f["metric"]: f for f in json.loads((tmp_path / "c.json").read_text())["findings"]}
    assert content["empty_fraction"]["verdict"] == "failed"
    assert content["expected_max_toxicity"]["verdict"] == "failed"
    assert content["expected_max_toxicity"]["reason"] == "rests on 100% of 60 continuations against 10% of 60"
    assert (
        content["expected_max_toxicity"]["samples_baseline"],
        content["expected_max_toxicity"]["samples_candidate"],
    ) == (60, 6)
    # It is margins of others that decide only there: asking for one metric does not switch the rest off.
    assert run(a, b, *EMT).exit_code == 1
    # The other way round nothing was lost, but the two rest on unlike things.
    back = run(b, a, "--metric", "perplexity=x1.1", "--json", str(tmp_path / "d.json"))
    content = {f["metric"]: f for f in json.loads((tmp_path / "d.json").read_text())["findings"]}
    assert content["perplexity"]["verdict"] == "undecided"
    assert back.exit_code == 0


def test_lost_coverage_in_every_prompt_is_seen_on_six_prompts(tmp_path):
    a, b = write(tmp_path / "a", SCORES[:, :6], samples=10), write(tmp_path / "b", SCORES[:, :6], samples=10, empty=9)
    assert run(a, b).exit_code == 1
    allowed = ("--metric", "expected_max_toxicity=+1", "--metric", "empty_fraction=+1")
    assert run(a, b, *allowed).exit_code == 1
    assert run(a, b, *allowed, "--coverage-margin", "1").exit_code == 0


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda row: row["measured"]["fractions"].pop("expected_max_toxicity"), "lacks expected_max_toxicity"),
        (lambda row: row["measured"]["fractions"].update(expected_max_toxicity=[-3, 1]), "expected_max_toxicity is -3"),
        (lambda row: row["measured"]["scores"].update(toxicity=[1.0] * 25), "scores give 1 / 1"),
        (lambda row: row.update(filtered_resps=[["x"]]), "for 1 generations"),
    ],
)
def test_one_lying_sample_is_not_comparable(base, tmp_path, edit, says):
    bad = write(tmp_path / "bad", SCORES)
    change(bad, "fr", edit, doc_id=7)
    for given, name in (((base, bad), "the candidate"), ((bad, base), "the baseline")):
        found = run(*given)
        assert found.exit_code == 2
        assert f"{name} (" in found.stderr
        assert "task 'rtp_multilingual_fr': doc_id 7" in found.stderr
        assert says in found.stderr


def test_a_metric_left_out_everywhere_is_computed_from_the_samples(base, tmp_path):
    worse = write(tmp_path / "worse", np.clip(SCORES + 0.5, 0, 1))
    for folder in (base, worse):
        for path in folder.glob("samples_*"):
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            for row in rows:
                row["measured"]["fractions"].pop("expected_max_toxicity")
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run(base, worse, *EMT).exit_code == 1


def test_failures_lead_and_name_the_worst_prompts_without_their_text(base, tmp_path, monkeypatch):
    worse = SCORES.copy()
    worse[1] = np.clip(worse[1] + 0.3, 0, 1)
    worse[1, 5], before = 1.0, SCORES[1, 5]
    folder = write(tmp_path / "worse", worse)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    found = run(base, folder, *EMT, "--github")
    lines = found.output.splitlines()
    assert lines[0] == "FAIL: of 16 tests 2 failed, 0 undecided, 14 passed"
    assert lines[1].startswith("REGRESSION  expected_max_toxicity of fr")
    assert any(line.startswith("    worst prompt fr fr-") for line in lines)
    assert "prompt 5" not in found.output
    assert "14 tests passed; --all shows every test." in found.output
    assert "macro" in found.output
    assert "empty_fraction" not in found.output
    shown = run(base, folder, *EMT, "--show-text", "--all")
    assert ": prompt " in shown.output
    assert "passed" in shown.output
    text = (tmp_path / "summary.md").read_text()
    assert text.startswith("## FAIL\\: of 16 tests 2 failed")
    assert "| expected\\_max\\_toxicity | fr |" in text
    assert before < 1


def test_the_summary_says_why_nothing_could_be_compared(base, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    assert run(base, tmp_path / "nowhere", "--github").exit_code == 2
    assert (tmp_path / "summary.md").read_text().startswith("## detoxbench check: not comparable")


def test_coverage_is_among_the_margins_whatever_is_asked_for():
    assert {margin.metric for margin in wanted(["dist2=-0.1", "empty_fraction=+0.5"])} == {
        "dist2", "empty_fraction", "failed_fraction", "perplexity_outliers",
    }  # fmt: skip
    assert [margin.metric for margin in wanted(None) if margin.asked] == []


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
    files = ("--junit", str(tmp_path / "c.xml"), "--json", str(tmp_path / "c.json"))
    found = run(a, b, "--github", "--all", "--show-text", *files)
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


@pytest.mark.parametrize("prompts", [4, 10, 40])
def test_false_alarms_of_500_null_checks(prompts):
    """Each check has eleven languages and their macro-average; the candidate is another draw of the same method.

    No seed is chosen: at the nominal rate one seed in ten thousand gives more alarms than are let pass.
    """
    checks, languages = 500, 11
    rng = np.random.default_rng(prompts)
    groups = []
    for _ in range(languages):
        level = rng.beta(1, 4, (checks, prompts))  # skewed, as prompts are
        a, b = (np.clip(level + rng.exponential(0.15, level.shape), 0, 1) for _ in range(2))
        groups.append((a, np.ones_like(a), b, np.ones_like(b)))
    p = [[found.p_above for found in paired_differences(*group)] for group in groups]
    p.append([found.p_above for found in paired_macro_differences(groups)])
    alarms = sum(benjamini_hochberg(column, LEVEL)[1].any() for column in np.array(p).T)
    assert alarms <= stats.binom.isf(1e-4, checks, LEVEL)

"""Two runs compared, on files and through the command."""

from __future__ import annotations

import json

import numpy as np
import pytest
import typer
from gate_files import HOSTILE, write
from gate_files import change as edit_row
from typer.testing import CliRunner

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.statistics import benjamini_hochberg, paired_difference
from detoxbench.harness.cli.compare import compare as command
from detoxbench.leaderboard.compare import compare, geometric_ratio
from detoxbench.leaderboard.pairing import direction, load, load_one

SCORES = 0.9 * np.random.default_rng(0).beta(2, 3, (3, 40))
OTHER = np.clip(SCORES - np.array([[0.2], [0.0], [0.02]]) + np.random.default_rng(1).normal(0, 0.05, (3, 40)), 0, 1)
METRIC = "expected_max_toxicity"


def invoke(*arguments):
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return write(folder / "a", SCORES), write(folder / "b", OTHER, method="dexperts", reverse=True)


def test_a_run_against_itself_is_no_change(runs):
    found = compare(load_one(runs[0]), load_one(runs[0]), [METRIC])
    assert [change.language for change in found.changes] == ["en", "fr", "ja", "macro"]
    assert all((change.change, change.low, change.high) == (0, 0, 0) for change in found.changes)
    assert not any(change.significant for change in found.changes)


def test_prompts_are_paired_by_identity_and_numbers_are_those_of_the_statistics(runs):
    found = compare(load_one(runs[0]), load_one(runs[1]), [METRIC])
    ones = np.ones(40)
    expected = [paired_difference(SCORES[i], ones, OTHER[i], ones) for i in range(3)]
    adjusted, _ = benjamini_hochberg([difference.p_value for difference in expected])
    for change, difference, q in zip(found.changes[:3], expected, adjusted, strict=True):
        assert change.change == pytest.approx(difference.interval.value)
        assert (change.low, change.high) == pytest.approx((difference.interval.low, difference.interval.high))
        assert (change.p, change.q) == pytest.approx((difference.p_value, q))
        assert change.minimum_detectable == pytest.approx(difference.minimum_detectable)
    macro = found.changes[3]
    assert macro.change == pytest.approx(OTHER.mean() - SCORES.mean())
    assert found.changes[0].significant
    assert not found.changes[1].significant


def test_unpaired_prompts_are_counted(runs, tmp_path):
    found = compare(load_one(runs[0]), load_one(write(tmp_path, SCORES[:, :30])), [METRIC])
    assert (found.unpaired_a, found.unpaired_b) == (30, 0)
    assert [change.prompts for change in found.changes] == [30, 30, 30, 90]
    assert "30 prompts only in A, 0 only in B" in invoke(runs[0], tmp_path).output


def test_lost_coverage_is_not_comparable_and_has_no_star(runs, tmp_path):
    quiet = write(tmp_path / "quiet", SCORES * 0.2, empty={"fr": 20})
    found = {one.language: one for one in compare(load_one(runs[0]), load_one(quiet), [METRIC]).changes}
    assert found["en"].significant
    assert (found["en"].samples_a, found["en"].samples_b, found["en"].not_comparable) == (1000, 1000, "")
    assert found["fr"].q < 0.05
    assert not found["fr"].significant
    assert found["fr"].not_comparable == "rests on 100% of 1000 continuations against 20% of 1000"
    assert not found["macro"].significant
    assert found["macro"].not_comparable.startswith("fr rests on")
    assert "! not comparable: expected_max_toxicity of fr rests on" in invoke(runs[0], quiet).output
    assert "!" not in invoke(runs[0], quiet, "--coverage-margin", "1").output


def test_perplexity_is_a_ratio_too(runs):
    found = compare(load_one(runs[0]), load_one(runs[1]), ["perplexity", METRIC])
    ratios = [(change.ratio, change.ratio_low, change.ratio_high) for change in found.changes]
    assert ratios[:4] == [(1, 1, 1)] * 4 or ratios[4:] == [(1, 1, 1)] * 4
    assert (None, None, None) in ratios
    assert "B / A" in invoke(*runs).output


def test_a_geometric_ratio_by_hand():
    ones, twice = np.ones(8), np.array([2.0, 4, 2, 4, 2, 4, 2, 4])
    found = geometric_ratio([[twice, ones, 3 * twice, ones], [ones, ones, 12 * ones, ones]])
    assert np.exp(found.interval.value) == pytest.approx(6)  # the square root of 3 * 12
    # What has no ratio is left out; the rest is as it was.
    zeros = np.where(np.arange(8) == 0, 0.0, twice)
    assert np.exp(geometric_ratio([[zeros, ones, 3 * twice, ones]]).interval.value) == pytest.approx(3)


def test_a_run_that_cannot_be_believed_is_not_compared(runs, tmp_path):
    bad = write(tmp_path / "bad", SCORES)
    edit_row(bad, "en", lambda row: row["measured"]["scores"].update(toxicity=[1.0] * 25))
    with pytest.raises(DetoxbenchError, match=r"run B \(.*not comparable: task 'rtp_multilingual_en': doc_id 0"):
        compare(load_one(runs[0]), load_one(bad))


def test_the_star_and_the_p_are_explained(runs):
    shown = " ".join(invoke(*runs).output.split())
    assert "* significant: q at most 0.05" in shown
    assert "holds 0 exactly if p is 0.05 or more" in shown
    assert "too few for an interval" not in shown


def test_json_and_table(runs):
    content = json.loads(invoke(*runs, "--json").output)
    assert {change["metric"] for change in content["changes"]} >= {METRIC, "dist2", "failed_fraction"}
    shown = invoke(*runs).output
    assert "macro" in shown
    assert "expected max toxicity" in shown
    assert "dist2" not in shown
    assert "dist2" in invoke(*runs, "--all").output


def test_what_cannot_be_compared(runs, tmp_path):
    with pytest.raises(DetoxbenchError, match="K.: 25 and 5"):
        compare(load_one(runs[0]), load_one(write(tmp_path / "k", SCORES, samples=5)))
    with pytest.raises(DetoxbenchError, match="tasks only in the first: rtp_multilingual_ja"):
        compare(load_one(runs[0]), load_one(write(tmp_path / "two", SCORES[:2])))
    with pytest.raises(DetoxbenchError, match="2 different runs"):
        load_one(runs[0].parent)
    assert isinstance(invoke(*runs, "--metric", "nothing").exception, DetoxbenchError)


def test_the_newest_run_of_a_label_counts(tmp_path):
    write(tmp_path, SCORES, date="2026-01-02T03-04-05.000001")
    write(tmp_path, OTHER, date="2026-01-03T03-04-05.000001")
    (run,) = load(tmp_path).values()
    assert run.date.startswith("2026-01-03")


def test_hostile_names_are_text(tmp_path):
    run = write(tmp_path, SCORES, model=HOSTILE, prompt_set=HOSTILE)
    for options in ((), ("--json",)):
        found = invoke(run, run, *options)
        assert found.exit_code == 0, found.output
        assert "\x1b[31m" not in found.output
        assert "\u202e" not in found.output


def test_directions_are_the_metrics_own():
    assert direction("expected_max_toxicity_toxic_prompts") is False
    assert direction("language_consistency") is True
    assert direction("no such metric") is None

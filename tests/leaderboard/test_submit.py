"""``detoxbench submit``: results become records if they hold, and nothing is written if they do not."""

from __future__ import annotations

import made_up
import pytest
import typer
from typer.testing import CliRunner

from detoxbench.core.errors import DetoxbenchError
from detoxbench.harness.cli.submit import submit
from detoxbench.leaderboard.site.tables import obstacles


def run(*arguments):
    app = typer.Typer()
    app.command()(submit)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_results_become_records_once(tmp_path):
    made_up.write_results(tmp_path / "results", method="dexperts")
    done = run(tmp_path / "results", "--records", tmp_path / "runs")
    assert done.exit_code == 0, done.output
    (path,) = (tmp_path / "runs").glob("*.json")
    assert f"git add {path}" in done.output
    assert "nothing new" in run(tmp_path / "results", "--records", tmp_path / "runs").output
    assert "1 run holds" in run("--check", "--records", tmp_path / "runs").output


def test_what_does_not_hold_is_not_written(tmp_path):
    path = made_up.write_results(tmp_path / "results", languages=("en",))
    path.write_text(path.read_text().replace('"expected_max_toxicity,none": 0.8', '"expected_max_toxicity,none": -3'))
    done = run(tmp_path / "results", "--records", tmp_path / "runs")
    assert done.exit_code == 1
    assert "expected_max_toxicity" in done.output
    assert not (tmp_path / "runs").exists()
    assert run(tmp_path / "results", "--check").exit_code == 1


def test_a_record_that_was_changed_fails_the_check(tmp_path):
    made_up.write_results(tmp_path / "results")
    run(tmp_path / "results", "--records", tmp_path / "runs")
    (path,) = (tmp_path / "runs").glob("*.json")
    path.write_text(path.read_text().replace("0.8", "0.1"))
    assert run("--check", "--records", tmp_path / "runs").exit_code == 1


def test_nothing_given_says_what_to_give(tmp_path):
    assert isinstance(run().exception, DetoxbenchError)
    assert isinstance(run("--check", "--records", tmp_path).exception, DetoxbenchError)


@pytest.mark.parametrize(
    ("changed", "word"),
    [({"of": 40}, "--limit"), ({"lost": 0.5}, "unscored"), ({"run": {"self_judged": True}}, "learned"), ({}, None)],
)
def test_who_will_not_be_ranked_is_told(changed, word):
    found = obstacles(made_up.record(method="dexperts", languages=("en",), prompts=4, intervals=False, **changed))
    assert found == [] if word is None else word in found[0]

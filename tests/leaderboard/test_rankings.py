"""The same runs under two scorers: which are paired, and what the command says."""

from __future__ import annotations

import json

import made_up
import numpy as np
import pytest
import typer
from gate_files import write
from typer.testing import CliRunner

from detoxbench.core.errors import DetoxbenchError
from detoxbench.harness.cli.compare import compare as command
from detoxbench.leaderboard.rankings import stabilities

METHODS = (("none", 0.0), ("dexperts", -0.3), ("goodtriever", -0.15), ("dapt", -0.05))


def judged(scorer, methods=METHODS, **changed):
    run = {"scorer": scorer, "scorer_version": "1", **changed}
    return [made_up.record("gpt2", name, shift=shift, languages=("en", "fr"), run=run) for name, shift in methods]


def invoke(*arguments):
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_two_scorers_that_agree():
    (found,) = stabilities([*judged("a"), *judged("b")])
    assert (found.a, found.b) == (("a", "1"), ("b", "1"))
    assert found.macro.tau == pytest.approx(1)
    assert list(found.languages) == ["en", "fr"]
    assert found.left_out == 0
    assert len(found.runs) == len(found.ids) == 4
    json.dumps(found.as_json(), allow_nan=False)


def test_a_scorer_that_turns_the_order_round():
    turned = [(name, -0.3 - shift) for name, shift in METHODS]
    (found,) = stabilities([*judged("a"), *judged("b", turned)])
    assert found.macro.tau < -0.5


def test_runs_of_one_scorer_alone_are_left_out_and_fluency_is_no_obstacle():
    (found,) = stabilities([*judged("a"), *judged("b", METHODS[:3], fluency_model=None, fluency_version=None)])
    assert (found.macro.runs, found.left_out) == (3, 1)


def test_what_was_measured_otherwise_is_not_paired():
    assert stabilities([*judged("a"), *judged("b", samples=5)]) == []
    assert stabilities(judged("a")) == []


def test_the_command(tmp_path):
    rng = np.random.default_rng(0)
    base = rng.beta(2, 3, (2, 30)) * 0.4
    for at, method in enumerate(("none", "dexperts", "goodtriever")):
        for scorer in ("a", "b"):
            write(tmp_path / scorer, base + 0.2 * at, method=method, languages=("en", "fr"), scorer=scorer,
                  date=f"2026-01-02T03-04-05.00000{at}")  # fmt: skip
    found = invoke(tmp_path / "a", tmp_path / "b", "--rankings")
    assert found.exit_code == 0, found.output
    assert "a (1) and b (1) · 3 runs" in found.output
    assert "1.00 [1.00, 1.00]" in found.output
    (said,) = json.loads(invoke(tmp_path / "a", tmp_path / "b", "--rankings", "--json").output)
    assert said["macro"]["tau"] == pytest.approx(1)
    alone = invoke(tmp_path / "a", tmp_path / "a", "--rankings")
    assert isinstance(alone.exception, DetoxbenchError)
    assert "two scorers" in str(alone.exception)

"""A real study on the embedded model: its shape, that it goes on after a stop, and that others can read it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import typer
from small_study import SMALL
from typer.testing import CliRunner

from detoxbench.core import continual_file, results
from detoxbench.harness.cli.continual import continual
from detoxbench.harness.cli.report import report as report_command
from detoxbench.harness.continual import plot, spec
from detoxbench.harness.continual.run import Study
from detoxbench.leaderboard.site import build
from detoxbench.leaderboard.site import continual as page
from detoxbench.methods.retrieval.datastore import Datastore


def test_each_language_falls_most_at_its_own_step(ran):
    """The published shape, by the paired 95% interval: own step less the mean of the others, over languages; and each
    language's largest fall is at its own step (40 prompts with 5 samples are too few for an interval each)."""
    own = ran.content["series"][0]["metrics"]["expected_max_toxicity"]["own_step"]
    assert own["macro"]["high"] < 0
    for place, language in enumerate(["en", "it", "pt"], start=1):
        assert own[language]["step"] == own[language]["largest_fall"] == place
        assert own[language]["value"] < 0


def test_the_matrix_is_what_the_results_files_say(ran):
    series = ran.content["series"][0]
    assert series["order"] == ["en", "it", "pt"]
    for cell, stage in zip(ran.cells(), [None, 0, 1, 2], strict=True):
        found = results.read(results.find(ran.study.folder(cell))[-1])
        for metric in SMALL["metrics"]:
            shown = series["metrics"][metric]
            row = shown["base"] if stage is None else shown["level"][stage]
            for language in ("en", "it", "pt"):
                expected = found.tasks[f"rtp_multilingual_{language}"].metrics
                assert row[language]["value"] == pytest.approx(expected[metric])
                assert row[language]["low"] == pytest.approx(expected[f"{metric}_ci_low"])
            if stage is not None:
                change = [row[one]["value"] - shown["base"][one]["value"] for one in ("en", "it", "pt")]
                assert shown["change"][stage]["macro"]["value"] == pytest.approx(np.mean(change))


def test_it_goes_on_where_it_was_stopped(ran):
    """The base and the first step were done; no text was appended twice, and no half-made folder stays."""
    again = ran.said[2:]
    assert "embedded-en+it-" in ran.interrupted
    assert ["done before" in line for line in ran.said[3:5]] == [True, True]
    assert sum("done before" in line for line in again) == 2
    assert len(ran.left) == 3
    assert not [name for name in ran.left if name.startswith(".")]
    stores = sorted(
        (Datastore.open(ran.study.out / "artifacts" / name / "toxic") for name in ran.left), key=lambda s: s.count
    )
    parts = [[part["trained"]["data"]["sha256"] for part in store.manifest["parts"]] for store in stores]
    records = [ran.study.data.record("embedded", step)["toxic"] for step in ("en", "it", "pt")]
    assert parts == [records[:1], records[:2], records]


def test_a_second_run_does_nothing_and_other_content_is_another_run(ran):
    said: list[str] = []
    Study(ran.study.spec, ran.study.out, keep="all", say=said.append).run()
    assert len(said) == 4
    assert all("done before" in line for line in said)
    other = Study(spec.parse({**SMALL, "arguments": {"alpha": 1.0}}), ran.study.out)
    assert [other.done(cell) for cell in ran.cells()] == [True, False, False, False]
    assert not any(Study(spec.parse({**SMALL, "samples": 3}), ran.study.out).done(cell) for cell in ran.cells())


def test_files_and_pages_that_read_it(ran, tmp_path):
    again = continual_file.read(ran.study.out / continual_file.NAME)
    assert again == json.loads(json.dumps(ran.content))
    app = typer.Typer()
    app.command()(report_command)
    shown = CliRunner().invoke(app, [str(ran.study.out / "runs")])
    assert shown.exit_code == 0, shown.output
    assert shown.output.count("mini, goodtriever") == 3
    build.build([], tmp_path / "site", studies=page.read([ran.study.out]))
    html = (tmp_path / "site" / "continual.html").read_text()
    assert "en → it → pt" in html
    assert html.count('class="heat better-') + html.count(" own") > 3
    assert "continual.html" in (tmp_path / "site" / "index.html").read_text()


def test_heat_map(ran, tmp_path):
    pytest.importorskip("vl_convert")
    drawn = plot.draw(ran.content, "expected_max_toxicity", tmp_path)
    assert [path.suffix for path in drawn] == [".svg", ".png"]
    assert "1. +en" in drawn[0].read_text()


def test_command_prints_and_plans(ran, tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text(json.dumps(SMALL))
    app = typer.Typer()
    app.command()(continual)
    plan = CliRunner().invoke(app, [str(file), "--out", str(ran.study.out), "--dry-run"])
    assert plan.exit_code == 0, plan.output
    assert plan.output.count("done") == 4
    fresh = CliRunner().invoke(app, [str(file), "--out", str(tmp_path / "new"), "--dry-run"])
    assert fresh.output.count("to do") == 4
    shown = CliRunner().invoke(app, [str(file), "--out", str(ran.study.out), "--keep", "all", "--markdown"])
    assert shown.exit_code == 0, shown.output
    assert "| 2. +it |" in shown.output
    assert "| own step less others |" in shown.output

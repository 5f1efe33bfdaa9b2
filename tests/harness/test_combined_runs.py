"""Several methods on ``mini``, from ``lm_eval``'s command line to report, comparison and card."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace

import pytest
from lm_eval.__main__ import cli_evaluate
from typer.testing import CliRunner

from detoxbench.core import results
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.folders import CACHE
from detoxbench.core.registry import METHODS
from detoxbench.harness.cli.commands import app
from detoxbench.methods import first_use
from detoxbench.methods.declaration import Mini
from detoxbench.methods.training.texts import Texts

TASK = "rtp_multilingual_en"
FEW = {
    "profs": {"count": 10}, "aura": {"texts": 10}, "rad": {"epochs": 1, "learning_rate": 1e-2},
    "dexperts": {"max_steps": 1, "learning_rate": 1e-2}, "goodtriever": {"exact": True},
}  # fmt: skip
RUNS = {
    "none": "",
    "profs+rad": "profs.rank=1,rad.beta=20",
    "aura+goodtriever": "aura.strength=0.5,goodtriever.k=8",
    "dexperts+best_of_n": "dexperts.alpha=1.0,n=2,best_of_n.scorer=ngram",
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Fits of a moment on twenty sentences a side, in a cache of their own."""

    def texts(folder, side, each):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{side}.jsonl"
        path.write_text("".join(json.dumps({"text": f"{side} sentence number {at}", "lang": "en"}) + "\n"
                                for at in range(20)))  # fmt: skip
        return Texts([str(path)], side)

    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(first_use, "texts", texts)
        patch.setenv(CACHE, str(folder))
        for name, few in FEW.items():
            fit = METHODS[name].fit
            patch.setattr(METHODS[name], "fit", replace(fit, mini=Mini({**fit.mini.settings, **few})))
        yield folder


@pytest.fixture(scope="module")
def runs(cache, tmp_path_factory):
    """Method -> the folder of its run, all made by the command."""
    out = tmp_path_factory.mktemp("runs")
    for method, arguments in RUNS.items():
        given = ",".join(filter(None, [f"method={method}", arguments]))
        lm_eval(out, given)
    return {method: out / ("mini" if method == "none" else f"mini__{method}") for method in RUNS}


def lm_eval(out, given: str) -> None:
    metadata = json.dumps({"samples": 2, "fluency_model": "none"})
    words = ["lm_eval", "--model", "detox", "--model_args", given, "--tasks", TASK, "--limit", "2", "--log_samples",
             "--output_path", str(out), "--metadata", metadata]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", words)
        cli_evaluate()


def shown(*words: str) -> str:
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("method", [name for name in RUNS if "+" in name])
def test_it_is_recorded_as_what_it_is(runs, method):
    (path,) = results.find(runs[method])
    run = results.read(path).model
    assert run.method == method
    given = dict(pair.split("=") for pair in RUNS[method].split(","))
    recorded = {name: str(value) for name, value in run.method_arguments.items()}
    assert recorded == {name if "." in name else f"best_of_n.{name}": value for name, value in given.items()}
    # What first use has fitted is in the record, each under its own method's name.
    parts = method.split("+")
    assert {name.partition(".")[0] for name in run.effective_arguments} == set(parts)
    if "best_of_n" in parts:
        assert run.trained_with == ["ngram"]
        assert run.selection


@pytest.mark.parametrize("method", [name for name in RUNS if "+" in name])
def test_it_is_shown_as_what_it_is(runs, method):
    first = RUNS[method].split(",")[0]
    for command in (("report", runs[method]), ("compare", runs["none"], runs[method]), ("card", runs[method])):
        said = shown(*command)
        assert f"mini, {method} (" in said
        assert first in said


def test_what_is_there_is_not_made_again(runs, cache):
    made = {path: path.stat().st_mtime_ns for path in cache.rglob("*.safetensors")}
    said = shown("fit", "--mini", "profs+rad")
    assert said.count("(was there)") == 2
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.safetensors")} == made


@pytest.mark.parametrize(
    ("given", "message"),
    [("rad+profs", "write profs[+]rad"), ("profs+best_off_n", "did you mean 'best_of_n'"), ("best_of_n", "unknown")],
)
def test_fits_beforehand_of_what_makes_no_sense(given, message):
    error = CliRunner().invoke(app, ["fit", "--mini", given]).exception
    assert isinstance(error, DetoxbenchError)
    assert re.search(message, str(error))
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("method=best_of_n+rad", "write rad[+]best_of_n"),
        ("method=profs+rad,profs.alpha=1", "did you mean 'profs.rank'|Allowed: profs.first_block"),
        ("method=profs,rad.beta=1", "it is one of 'rad' in a combination"),
        ("method=goodtriever+dexperts", "each rule tokens out"),
    ],
)
def test_a_run_that_makes_no_sense_is_one_line(tmp_path, given, message, capsys):
    with pytest.raises((SystemExit, DetoxbenchError)) as error:
        lm_eval(tmp_path, given)
    said = str(error.value) + capsys.readouterr().err
    (line,) = [line for line in said.splitlines() if re.search(message, line)]
    assert line
    assert not any(tmp_path.iterdir())

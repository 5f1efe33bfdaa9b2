"""``detoxbench scorers``."""

import json

import pytest
from typer.testing import CliRunner

from detoxbench.core.registry import SCORERS
from detoxbench.core.scorers import presets
from detoxbench.harness.cli import commands


def run(*arguments):
    return CliRunner().invoke(commands.app, ["scorers", *arguments])


def test_all_are_listed():
    lines = json.loads(run("--json").stdout)
    assert {line["name"] for line in lines} == {*SCORERS, *presets.names()}
    by_name = {line["name"]: line for line in lines}
    assert by_name["textdetox"]["licence"] == "openrail++"
    assert "de" in by_name["textdetox"]["languages"]
    assert by_name["llama-guard-3-8b"]["judges"] == ["text", "response"]
    assert by_name["llama-guard-3-8b"]["verified"] == "card only"
    assert by_name["llama-guard-3-1b"]["licence"] == "llama3.2"
    assert len(by_name["mini"]["languages"]) == 17
    table = run().stdout
    assert "textdetox" in table
    assert "unmeasured" in table


def test_one():
    shown = run("detoxify-multilingual").stdout
    assert "revision: a3d4e66839269e45c5e8491dfa55a53fdaedcdbc" in shown
    assert "languages: en es fr it pt ru tr" in shown
    found = run("textdetx")
    assert found.exit_code != 0
    assert "did you mean 'textdetox'" in str(found.exception)


@pytest.mark.parametrize("named", [(), ("--scorer", "auto")])
def test_the_best_validated_one_is_named_in_the_results(tmp_path, named):
    line = {
        "prompt": {"text": "The library"},
        "lang": "en",
        "generations": [{"text": " opens at nine."}, {"text": " is old."}],
    }
    (tmp_path / "generations.jsonl").write_text((json.dumps(line) + "\n") * 3)
    arguments = ["score", str(tmp_path / "generations.jsonl"), *named, "--out", str(tmp_path / "scored")]
    found = CliRunner().invoke(commands.app, arguments, env={"DETOXBENCH_HOME": str(tmp_path)})
    assert found.exit_code == 0, found.output
    assert "scorer auto: ngram: AUC 0." in found.stderr
    assert "larger ones for these languages" in found.stderr
    [results] = (tmp_path / "scored").rglob("results_*.json")
    assert '"ngram"' in results.read_text()
    assert '"auto"' not in results.read_text()

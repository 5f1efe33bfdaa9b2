"""Names that a user gives: of arguments, of folders of results, of studies and commands; the nearest one is told."""

from __future__ import annotations

import json

import pytest
import torch
from conftest import tiny_gpt2
from typer.testing import CliRunner

from detoxbench.core.errors import DetoxbenchError
from detoxbench.harness import argument_names, result_folder, study_file
from detoxbench.harness.cli import commands
from detoxbench.harness.cli.explain import _token
from detoxbench.harness.model import DetoxLM


@pytest.mark.parametrize(
    ("method", "given", "near"),
    [("dexperts", "aplha", "alpha"), ("none", "metod", "method"), ("none", "pretraned", "pretrained"),
     ("none", "dtpye", "dtype"), ("none", "btach_size", "batch_size"), ("rad", "bteta", "beta"),
     ("none", "aplha", "alpha' of destein, dexperts, goodtriever")],
)  # fmt: skip
def test_a_misspelt_argument(method, given, near):
    with pytest.raises(
        DetoxbenchError, match=f"unknown argument '{given}' in --model_args: did you mean '{near}"
    ) as found:
        argument_names.check(method, "mini", {given: 1})
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("name", ["dtype", "attn_implementation", "n_layer", "vocab_size", "something_quite_else"])
def test_what_is_left_to_transformers(name):
    argument_names.check("none", "mini", {name: 1})


def test_settings_of_the_models_own_configuration(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"alhpa": 1}))
    argument_names.check("dexperts", str(tmp_path), {"alhpa": 2})
    (tmp_path / "config.json").write_text("[")
    with pytest.raises(DetoxbenchError, match="alpha"):
        argument_names.check("dexperts", str(tmp_path), {"alhpa": 2})


def test_another_methods_argument():
    with pytest.raises(DetoxbenchError, match=r"'none' takes no argument 'decay': it belongs to self_debias"):
        argument_names.check("none", "mini", {"decay": 1})


def test_what_transformers_refuses_in_the_end():
    with pytest.raises(DetoxbenchError, match=r"^unknown argument 'something_quite_else' in --model_args: Allowed: "):
        DetoxLM(something_quite_else=1)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [({}, "mini"), ({"method": "none"}, "mini"), ({"method": "goodtriever", "k": 5}, "mini__goodtriever"),
     ({"pretrained": "ai-forever/mGPT", "method": "dexperts"}, "ai-forever/mGPT__dexperts"),
     ({"pretrained": "gpt2", "peft": "me/adapter"}, "gpt2__me/adapter")],
)  # fmt: skip
def test_a_folder_of_results(arguments, wanted):
    assert result_folder.name("detox", arguments) == wanted


def test_a_folder_of_results_does_not_say_where_a_model_lies(tmp_path):
    (tmp_path / "tuned").mkdir()
    given = {"pretrained": str(tmp_path / "tuned/"), "method": "self_debias"}
    assert result_folder.name("detox", given) == "tuned__self_debias"


def test_of_a_model_that_is_loaded():
    assert result_folder.name(DetoxLM(method="self_debias"), {}) == "mini__self_debias"
    assert result_folder.name(tiny_gpt2(dtype=torch.float32), {}) == "GPT2LMHeadModel"


def test_studies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "studies"
    folder.mkdir()
    for name in ("alpha", "model_size"):
        (folder / f"{name}.yaml").write_text("")

    def found(given):
        return study_file.shipped_or_given(given, folder, "sweep")

    assert found("alpha") == folder / "alpha.yaml"
    assert found("model-size") == folder / "model_size.yaml"
    for given, near in (("alhpa", "did you mean 'alpha'"), ("", "name one of alpha, model_size"), ("x", "FILE.yaml")):
        with pytest.raises(DetoxbenchError, match=near):
            found(given)
    (tmp_path / "alpha").write_text("mine: 1")
    assert str(found("alpha")) == "alpha"  # the user's own file wins
    assert str(found("missing.yaml")) == "missing.yaml"  # which says itself that it is not there


@pytest.mark.parametrize("command", ["task-vector", "task_vector"])
def test_hyphens_and_underscores(command):
    for given in ([command, "--help"], [command, "split", "--help"], ["check", "--help"], ["fit", "knn-lm", "--help"]):
        assert CliRunner().invoke(commands.app, given).exit_code == 0
    shown = CliRunner().invoke(commands.app, ["--help"]).output
    assert "task-vector" in shown
    assert "task_vector" not in shown


def test_options_with_underscores():
    found = CliRunner().invoke(commands.app, ["check", "--baseline", "no", "--candidate", "no", "--allow_unpaired"])
    assert found.exit_code == 2  # there are no such folders
    assert "No such option" not in found.output


def test_the_leaderboards_help_has_its_options():
    shown = CliRunner().invoke(commands.app, ["leaderboard", "--help"]).output
    assert {"--out", "--records", "--plots"} <= set(shown.split())
    assert "serve" in shown


def test_spaces_of_tokens_are_seen():
    assert _token(" cat") == "␣cat"
    assert _token("\n") == r"\n"
    assert _token("") == "(empty)"

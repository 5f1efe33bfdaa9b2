"""Every command in every document names commands, options, methods, arguments, tasks and metrics that there are.

Nothing runs here: what a command is given is read as the command itself reads it.
"""

from __future__ import annotations

import json
import shlex

import pytest
from commands import Command, commands, documents
from lm_eval._cli.harness import HarnessCLI
from typer.core import TyperCommand

from detoxbench.core import lm_eval_private
from detoxbench.core.registry import METHODS
from detoxbench.harness import argument_names, plugin
from detoxbench.harness.cli import commands as cli
from detoxbench.harness.model import DetoxLM  # noqa: F401 - what lm-eval finds under the name 'detox'
from detoxbench.tasks import catalog
from detoxbench.tasks.options import Options

OURS = {
    "backend",
    "pretrained",
    "method",
    "seed",
    "max_batch_tokens",
    "filter_loglikelihood",
    "align_nucleus",
    "max_thinking_toks",
}
EXAMPLES = {"careful", "polite"}
"""Methods that documents tell how to write."""
ALL = [command for document in documents() for command in commands(document)]


def words(command: Command) -> list[str]:
    """As a shell splits them; a pipeline's first part."""
    return shlex.split(command.text.partition(" | ")[0].partition(" > ")[0].partition(" && ")[0])


def is_pattern(command: Command) -> bool:
    """Whether it stands for several, such as ``detoxbench fit METHOD`` or ``import a|b``."""
    given = words(command)
    return any(word in ("…", "...") or "|" in word for word in given) or any(
        word.isupper() and word.isalpha() for word in given[1:3]
    )


def test_commands_are_found():
    found = {command.document for command in ALL}
    assert {"README.md", "docs/gate.md", "docs/tutorials/study.md", "methods/README.md"} <= found
    assert len(ALL) > 80


@pytest.mark.parametrize("command", [one for one in ALL if one.text.startswith("detoxbench")], ids=str)
def test_of_detoxbench(command, monkeypatch):
    if is_pattern(command):
        pytest.skip("it stands for several commands")
    given = words(command)[1:]
    if {"careful", "polite"} & set(given):
        pytest.skip("a method that the document tells how to write")
    monkeypatch.setattr(TyperCommand.context_class, "invoke", lambda *_, **__: None)
    cli.app(given, standalone_mode=False)


@pytest.mark.parametrize("command", [one for one in ALL if one.text.startswith(("lm_eval", "lm-eval"))], ids=str)
def test_of_lm_eval(command, monkeypatch):
    given = words(command)
    given = [
        "rtp" if before == "--tasks" and word == "…" else word
        for before, word in zip(["", *given], given, strict=False)
    ]
    monkeypatch.setattr("sys.argv", [word for word in given if word != "…"])
    args = vars(HarnessCLI().parse_args())
    tasks = args["tasks"] if isinstance(args["tasks"], list) else [args["tasks"]] if args["tasks"] else []
    assert {catalog.canonical(name) for task in tasks for name in task.split(",")} <= set(catalog.names())
    metadata = args.get("metadata") or {}
    metadata = json.loads(metadata) if isinstance(metadata, str) else metadata
    assert set(metadata) <= set(Options.model_fields)
    if args["model"] not in plugin.MODELS:
        return
    model_args = lm_eval_private.parsed(args.get("model_args"))
    method = model_args.get("method", "none")
    if method not in EXAMPLES and method.islower():
        parts = [METHODS.check(method), *method.split("+")]
        fields = {field for part in parts for field in METHODS[part].Arguments.model_fields}
        argument_names.check(method, "mini", {name: "" for name in model_args if name not in {*OURS, *fields}})

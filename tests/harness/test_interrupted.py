"""Ctrl-C during a command of ours is a line, not a traceback; of other models, it is lm-eval's own."""

from __future__ import annotations

import sys

import pytest

from detoxbench.harness import plugin


def stop(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["lm_eval", *arguments])
    with plugin._in_one_line():
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    "arguments", [("--model", "detox"), ("--model=detox",), ("run", "-M", "detox", "--tasks", "rtp")]
)
def test_a_run_of_ours_ends_in_one_line(monkeypatch, capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        stop(monkeypatch, *arguments)
    assert ended.value.code == plugin.INTERRUPTED
    assert capsys.readouterr().err == "detoxbench: stopped\n"


@pytest.mark.parametrize("arguments", [("--model", "hf"), ("--tasks", "detox"), ()])
def test_other_runs_are_lm_eval_s(monkeypatch, capsys, arguments):
    with pytest.raises(KeyboardInterrupt):
        stop(monkeypatch, *arguments)
    assert capsys.readouterr().err == ""

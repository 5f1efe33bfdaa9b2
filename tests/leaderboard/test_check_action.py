"""The action and the workflow: valid YAML, pinned, and no input inside a script."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from detoxbench.leaderboard.gate import LEVEL
from detoxbench.leaderboard.margins import wanted
from detoxbench.tasks.catalog import tasks

ROOT = Path(__file__).parents[2]
ACTION = ROOT / "action.yml"
WORKFLOW = ROOT / ".github" / "workflows" / "check.yml"


def steps():
    action, workflow = (yaml.safe_load(path.read_text(encoding="utf-8")) for path in (ACTION, WORKFLOW))
    return [*action["runs"]["steps"], *(step for job in workflow["jobs"].values() for step in job["steps"])]


def test_the_action_is_composite_and_its_inputs_are_used():
    action = yaml.safe_load(ACTION.read_text(encoding="utf-8"))
    assert action["runs"]["using"] == "composite"
    assert all(step["shell"] == "bash" for step in action["runs"]["steps"])
    assert {name for name, given in action["inputs"].items() if given.get("required")} == {"baseline", "candidate"}
    used = set(re.findall(r"inputs\.([\w-]+)", ACTION.read_text(encoding="utf-8")))
    assert used == set(action["inputs"])


def test_the_workflow_runs_on_pull_requests_and_gives_known_inputs():
    workflow = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    assert "pull_request" in workflow[True]  # YAML 1.1 reads "on" as a boolean
    assert workflow["permissions"] == {"contents": "read"}
    (step,) = [step for step in steps() if step.get("uses") == "./"]
    assert set(step["with"]) <= set(yaml.safe_load(ACTION.read_text(encoding="utf-8"))["inputs"])


def test_undecided_fails_by_default_and_the_workflow_can_catch_one_ruined_language():
    action = yaml.safe_load(ACTION.read_text(encoding="utf-8"))
    assert action["inputs"]["strict"]["default"] == "true"
    (job,) = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"].values()
    (step,) = [step for step in job["steps"] if step.get("uses") == "./"]
    margins = wanted(step["with"]["metrics"].split())
    languages = len([name for name in tasks() if name.startswith("rtp_multilingual_")])
    assert languages > 10
    # A single test that fails must be seen beside all the others: 2^-prompts is the smallest p-value there is.
    assert 2.0 ** -int(job["env"]["LIMIT"]) < LEVEL / (len(margins) * (languages + 1))


def test_actions_are_pinned_and_scripts_have_no_expressions():
    for step in steps():
        assert re.fullmatch(r"\./|[\w-]+/[\w-]+@[0-9a-f]{40}", step.get("uses", "./"))
        assert "${{" not in step.get("run", "")


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize("status", [0, 1, 2])
def test_the_script_passes_inputs_as_text_and_the_status_on(tmp_path, status):
    (tmp_path / "detoxbench").write_text(
        f'#!/usr/bin/env bash\nprintf "%s\\n" "$@" > "{tmp_path}/seen"\nexit {status}\n'
    )
    (tmp_path / "detoxbench").chmod(0o755)
    (script,) = [step["run"] for step in steps() if step.get("id") == "check"]
    given = {
        "BASELINE": "a b; $(touch hacked)", "CANDIDATE": "`touch hacked`",
        "METRICS": "perplexity=x1.1\r\n\n dist2=-0.1",
        "UNPAIRED": "false", "STRICT": "true", "SHOW_TEXT": "false",
        "JSON_FILE": "c.json", "JUNIT_FILE": "c.xml", "GITHUB_OUTPUT": str(tmp_path / "out"),
    }  # fmt: skip
    env = {**os.environ, **given, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    run = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", script], env=env, cwd=tmp_path, check=False)
    assert run.returncode == status
    assert (tmp_path / "out").read_text() == f"status={status}\n"
    seen = (tmp_path / "seen").read_text().splitlines()
    assert seen[1:3] == ["--baseline=a b; $(touch hacked)", "--candidate=`touch hacked`"]
    assert seen[-3:] == ["--metric=perplexity=x1.1", "--metric= dist2=-0.1", "--strict"]
    assert not (tmp_path / "hacked").exists()

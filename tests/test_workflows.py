"""What is dangerous in a workflow, or never starts: looked for in the files, for nothing here runs them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PUBLISHES = {("pages", "publish"): {"pages", "id-token"}, ("release", "publish"): {"id-token"}}
"""Workflow and job -> what it may write; no other job may write anything."""
USES = re.compile(r"uses: (\S+)(.*)")


def read(path):
    """A workflow; its ``on`` is YAML's ``true``."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def jobs():
    return [pytest.param(path, name, job, id=f"{path.stem}-{name}")
            for path in WORKFLOWS for name, job in read(path)["jobs"].items()]  # fmt: skip


def scripts(job):
    return [step["run"] for step in job.get("steps", []) if "run" in step]


def test_there_are_workflows():
    assert {path.stem for path in WORKFLOWS} == {"check", "pages", "release", "tests"}


@pytest.mark.parametrize("path", [*WORKFLOWS, ROOT / "action.yml"], ids=lambda path: path.stem)
def test_actions_of_others_are_commits_with_their_version(path):
    for action, rest in USES.findall(path.read_text(encoding="utf-8")):
        if action != "./":
            assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", action), action
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", rest), action


def test_one_action_has_one_version():
    used = {use for path in WORKFLOWS for use, _ in USES.findall(path.read_text(encoding="utf-8")) if use != "./"}
    assert len({use.partition("@")[0] for use in used}) == len(used)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_nothing_may_be_written_unless_a_job_says_so(path):
    assert read(path)["permissions"] == {"contents": "read"}
    assert "pull_request_target" not in read(path)[True]


@pytest.mark.parametrize(("path", "name", "job"), jobs())
def test_a_job_ends_writes_little_and_runs_no_text_of_others(path, name, job):
    assert 0 < job["timeout-minutes"] <= 60
    writes = {scope for scope, level in job.get("permissions", {}).items() if level == "write"}
    assert writes == PUBLISHES.get((path.stem, name), set())
    for step in job["steps"]:
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False
    # An expression is text of whoever opened the pull request, put into the script before it runs.
    assert not any("${{" in script for script in scripts(job))


@pytest.mark.parametrize(("path", "name", "job"), jobs())
def test_scripts_are_bash(path, name, job):
    for script in scripts(job):
        done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


def test_who_needs_a_job_names_one():
    for path in WORKFLOWS:
        every = read(path)["jobs"]
        assert all(job.get("needs", name) in every for name, job in every.items())


def test_folders_that_start_a_workflow_are_there():
    for path in WORKFLOWS:
        for event in read(path)[True].values():
            for pattern in (event or {}).get("paths", []):
                # GitHub's ``**.md`` is any path that ends so.
                assert any(ROOT.glob(re.sub(r"^\*\*(?=[^/])", "**/*", pattern))), f"{path.name}: {pattern}"


def test_the_action_takes_what_the_workflow_and_the_documents_give_it():
    inputs = set(read(ROOT / "action.yml")["inputs"])
    (job,) = read(ROOT / ".github" / "workflows" / "check.yml")["jobs"].values()
    (given,) = (set(step["with"]) for step in job["steps"] if step.get("uses") == "./")
    assert given <= inputs
    shown = re.search(
        r"- uses: OWNER/detoxbench@VERSION\n +with:\n((?: {8,}.*\n)+)", (ROOT / "docs/gate.md").read_text()
    )
    assert shown is not None
    assert set(re.findall(r"^ {8}(\S+?):", shown[1], re.MULTILINE)) <= inputs

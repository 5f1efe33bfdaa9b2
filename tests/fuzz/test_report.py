"""``detoxbench report`` of mutated results and samples files: a table, or one line of error."""

import json
import random
import sys
from pathlib import Path

import mutate
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
import gate_files


@pytest.fixture
def run_of_two(tmp_path):
    return gate_files.write(tmp_path / "run", [[0.25, 0.75], [0.5, 1.0]], languages=("en", "fr"))


@pytest.mark.parametrize("options", [[], ["--all"], ["--json"]], ids=["table", "all", "json"])
def test_results(run_of_two, options):
    (path,) = run_of_two.glob("results_*.json")
    content = json.loads(path.read_text())

    def mutation(rng: random.Random) -> bytes:
        whole = json.dumps(mutate.changed(content, rng)).encode()
        return mutate.mutated_bytes(whole, rng) if rng.randrange(4) == 0 else whole

    assert mutate.run("report", str(run_of_two), *options)[0] == 0
    mutate.check(mutation, path, "report", str(run_of_two), *options)


def test_samples(run_of_two):
    path = next(run_of_two.glob("samples_*_en_*.jsonl"))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    mutate.check(lambda rng: mutate.mutated_rows(rows, rng), path, "report", str(run_of_two))

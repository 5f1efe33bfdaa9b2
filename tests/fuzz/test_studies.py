"""Mutated YAML files of sweeps and continual studies, planned and not run."""

import random

import mutate
import pytest
import yaml

CONTINUAL = {
    "model": "mini", "model_args": {"dtype": "float32"}, "method": "goodtriever", "arguments": {"alpha": 1.0},
    "orders": ["en it", ["it", "en"]], "data": {"embedded": "mini"},
    "tasks": "rtp_multilingual_{step}", "columns": ["en", "it"], "static": False, "seeds": [0, 1], "samples": 5,
    "limit": 10, "metadata": {"fluency_model": "none", "scorer": "mini"}, "metrics": ["expected_max_toxicity"],
}  # fmt: skip
SWEEP = {
    "description": "all", "variables": {"alphas": [1.0, 2.0]}, "models": ["mini", {"name": "mini", "label": "small"}],
    "methods": ["none", {"method": "goodtriever", "grid": {"alpha": "${alphas}", "fit.texts": [10]}, "fit": {}}],
    "tasks": ["rtp_multilingual_en", ["rtp_multilingual_fr"]], "seeds": [0, 1], "samples": 5, "limit": 3,
    "metadata": {"fluency_model": "none"}, "resources": {"gpus": 0, "memory": "2GB"},
}  # fmt: skip


@pytest.mark.parametrize(("command", "study"), [("continual", CONTINUAL), ("sweep", SWEEP)], ids=["continual", "sweep"])
def test_study(tmp_path, command, study):
    path = tmp_path / "study.yaml"
    arguments = [command, str(path), "--dry-run", "--out", str(tmp_path / "out")]

    def mutation(rng: random.Random) -> bytes:
        whole = yaml.safe_dump(study if rng.randrange(3) == 0 else mutate.changed(study, rng), sort_keys=False).encode()
        return mutate.mutated_bytes(whole, rng) if rng.randrange(3) == 0 else whole

    path.write_text(yaml.safe_dump(study))
    status, _, error = mutate.run(*arguments)
    assert status == 0, error
    mutate.check(mutation, path, *arguments)

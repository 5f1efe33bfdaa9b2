"""``detoxbench fit`` and ``detoxbench import`` as they are typed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from detoxbench.core.errors import DetoxbenchError
from detoxbench.harness.cli import fit, import_
from detoxbench.methods.retrieval.datastore import Datastore


def run(app, *arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, DetoxbenchError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_goodtriever(world, tmp_path):
    common = ["goodtriever", "--pretrained", world.model, "--out", tmp_path / "ds", "--device", "cpu"]
    output = run(fit.app, *common, "--toxic", world.toxic, "--nontoxic", world.nontoxic)
    assert f"toxic_datastore={tmp_path / 'ds' / 'toxic'}" in output
    assert "toxic: 60 texts" in output
    before = Datastore.open(tmp_path / "ds" / "toxic").count
    run(fit.app, *common, "--toxic", world.nontoxic, "--lang", "de", "--append")
    assert Datastore.open(tmp_path / "ds" / "toxic").count > before


def test_two_files_and_other_columns(world, tmp_path):
    files = []
    for at in range(2):
        files.append(tmp_path / f"{at}.jsonl")
        files[-1].write_text(json.dumps({"body": "you are an idiot", "bad": 1}) + "\n")
    run(fit.app, "goodtriever", "--pretrained", world.model, "--out", tmp_path / "ds", "--device", "cpu",
        "--toxic", files[0], "--toxic", files[1], "--text-column", "body", "--label-column", "bad")  # fmt: skip
    assert Datastore.open(tmp_path / "ds" / "toxic").count == 8


def test_dexperts(world, tmp_path):
    output = run(fit.app, "dexperts", "--pretrained", world.model, "--out", tmp_path, "--device", "cpu",
                 "--toxic", world.toxic, "--max-steps", 1, "--block-size", 16)  # fmt: skip
    assert f"method=dexperts,antiexpert={tmp_path / 'antiexpert'}" in output


def test_rectification(world, tmp_path):
    output = run(fit.app, "rectification", "--pretrained", world.model, "--out", tmp_path, "--device", "cpu",
                 "--scorer", "mini:reward", "--toxic", world.toxic, "--prompts", 20, "--samples", 8,
                 "--prompt-tokens", 2, "--lang", "en", "--epochs", 1)  # fmt: skip
    assert f"value_model={tmp_path / 'value_model'}" in output


@pytest.mark.parametrize("method", ["goodtriever", "dexperts"])
def test_nothing_given(world, tmp_path, method):
    with pytest.raises(DetoxbenchError, match="give --toxic or --nontoxic texts"):
        run(fit.app, method, "--pretrained", world.model, "--out", tmp_path)


def test_import_goodtriever(tmp_path):
    keys = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float16)
    keys.tofile(tmp_path / "dstore_gpt2_30_4_keys.npy")
    np.arange(30, dtype=np.int32).tofile(tmp_path / "dstore_gpt2_30_4_vals.npy")
    output = run(import_.app, "goodtriever", tmp_path, "--out", tmp_path / "ours")
    assert "30 keys of dimension 4, made with 'gpt2'" in output
    assert Datastore.open(tmp_path / "ours").count == 30


def test_import_dexperts(world, tmp_path):
    assert "a gpt2 model" in run(import_.app, "dexperts", world.model, "--out", tmp_path / "ours")


def test_import_of_something_else(tmp_path):
    for method in ("goodtriever", "rectification"):
        with pytest.raises(DetoxbenchError, match="holds no"):
            run(import_.app, method, tmp_path, "--out", tmp_path / "ours")

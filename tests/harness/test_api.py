"""``import detoxbench``: the same texts and numbers as the command, lazily, and every example in the docstrings."""

from __future__ import annotations

import doctest
import inspect
import json
import math
import subprocess
import sys
from pathlib import Path

import lm_eval
import pytest
import torch

import detoxbench
from detoxbench.core import results
from detoxbench.core.errors import DetoxbenchError
from detoxbench.harness.api import chart, comparing, loading, run_result, running, sampling, scoring
from detoxbench.methods import card

TASK = "rtp_multilingual_en"
OPTIONS = {"samples": 2, "limit": 2}
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def lm():
    return detoxbench.load("mini", method="self_debias")


@pytest.fixture(scope="module")
def run(lm):
    detoxbench.sample(lm, ["Nobody"], samples=1, top_p=0.5)  # is no part of the run's record
    return detoxbench.evaluate(lm, [TASK], **OPTIONS)


def test_import_loads_nothing():
    code = (
        "import sys, detoxbench; detoxbench.__version__, dir(detoxbench), detoxbench.methods;"
        "print(sorted(m for m in ('torch', 'transformers', 'lm_eval', 'numpy', 'pydantic') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_names():
    assert set(detoxbench.__all__) <= set(dir(detoxbench))
    for name in detoxbench.__all__:
        assert getattr(detoxbench, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'evaluat'"):
        _ = detoxbench.evaluat
    assert detoxbench.methods()["dexperts"].name == "dexperts"
    assert detoxbench.methods.load_detoxified is not None  # the function is the folder too


@pytest.mark.parametrize(
    "module", [detoxbench, chart, comparing, loading, run_result, running, sampling, scoring, card]
)
def test_examples_in_docstrings(module):
    found = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert found.failed == 0


def test_every_public_name_has_an_example():
    for name in ("load", "sample", "score", "evaluate", "compare", "RunResult"):
        assert ">>>" in inspect.getdoc(getattr(detoxbench, name))


def test_a_loaded_model_is_transformers(lm):
    batch = lm.tokenizer(["The neighbour says", "Nobody"], return_tensors="pt", padding=True)
    scores = lm(**batch).logits
    assert scores.shape == (2, batch.input_ids.shape[1], lm.config.vocab_size)
    ids = lm.generate(**batch, do_sample=False, max_new_tokens=3, pad_token_id=lm.tokenizer.pad_token_id)
    assert ids.shape[1] <= batch.input_ids.shape[1] + 3
    plain = detoxbench.load("mini")
    assert not torch.allclose(plain(**batch).logits.float(), scores)
    from lm_eval.api.model import LM

    assert isinstance(lm.lm_eval_model, LM)


def test_samples_are_the_commands(lm, run):
    """Text by text those of a run of lm-eval with that seed."""
    (task,) = run.run.tasks.values()
    rows = task.read_samples()
    prompts = [row.doc.text for row in rows]
    assert detoxbench.sample(lm, prompts, samples=2) == [list(row.generations) for row in rows]
    other = detoxbench.sample(lm, prompts, samples=2, seed=5)
    assert other != detoxbench.sample(lm, prompts, samples=2)
    assert detoxbench.sample(lm, prompts[:1], samples=2, seed=5) == other[:1]
    greedy = detoxbench.sample(lm, ["Nobody"], samples=2, temperature=0, max_new_tokens=4)[0]
    assert greedy[0] == greedy[1]
    assert detoxbench.sample(lm, []) == []


def test_evaluate_gives_the_commands_numbers(run):
    found = lm_eval.simple_evaluate(
        "detox", model_args="method=self_debias", tasks=[TASK], limit=2, metadata={"samples": 2}
    )
    numbers = {
        key.removesuffix(",none"): value for key, value in found["results"][TASK].items() if key.endswith(",none")
    }
    for name, value in run.metrics[TASK].items():
        assert value == pytest.approx(numbers[name])
    theirs, ours = found["config"]["detoxbench"], run.run.model.model_dump()
    times = ("seconds", "tokens_per_second")
    assert {k: v for k, v in theirs.items() if k not in times} == {k: v for k, v in ours.items() if k not in times}


def test_a_run_is_shown_and_saved(run, tmp_path):
    assert run.table().startswith(f"mini, self_debias · {TASK}")
    assert "expected_max_toxicity" in run.table(everything=True)
    assert repr(run) == f"RunResult('mini, self_debias', tasks=['{TASK}'])"
    path = run.save(tmp_path / "saved")
    again = results.read(path)
    assert again.tasks[TASK].rows() == run.run.tasks[TASK].rows()
    assert detoxbench.RunResult(tmp_path / "saved").metrics == run.metrics
    drawn = run.plot()
    (row,) = drawn.spec["data"]["values"]
    assert row["value"] == run.metrics[TASK]["expected_max_toxicity"]
    assert json.loads(drawn.save(tmp_path / "a.json").read_text()) == drawn.spec
    assert list(drawn._repr_mimebundle_()) == [chart.MIME, "text/plain"]
    with pytest.raises(DetoxbenchError, match="one of .svg, .png, .json"):
        drawn.save(tmp_path / "a.pdf")
    with pytest.raises(DetoxbenchError, match="did you mean 'expected_max_toxicity'"):
        run.plot("expected_max_toxicit")


def test_charts_are_drawn(run, tmp_path):
    pytest.importorskip("vl_convert")
    assert b"<svg" in run.plot().save(tmp_path / "a.svg").read_bytes()
    assert run.plot().save(tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_compared_with_itself(run, tmp_path):
    found = detoxbench.compare(run, run.save(tmp_path), ["expected_max_toxicity"])
    (change,) = found.changes
    assert (change.change, change.p, change.prompts) == (0.0, 1.0, 2)
    assert "expected max toxicity" in found.table()
    assert len(found.plot().spec["data"]["values"]) == 2
    assert found.as_json()["unpaired_a"] == 0
    with pytest.raises(DetoxbenchError, match="unknown metric 'emt'"):
        detoxbench.compare(run, run, ["emt"])
    with pytest.raises(DetoxbenchError, match="there is no such folder"):
        detoxbench.compare(run, tmp_path / "nothing")


def test_scores():
    found = detoxbench.score(["You idiot.", "", "Thank you."])
    assert (found.scorer, found.lang, len(found)) == ("ngram", "en", 3)
    assert found.toxicity[1] is None
    assert found.reasons[1] is not None
    assert all(value is not None and not math.isnan(value) for value in (found.toxicity[0], found.toxicity[2]))
    assert [row["text"] for row in found.rows()] == list(found.texts)
    assert detoxbench.score([]).toxicity == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda lm: detoxbench.load("mini", method="dexpertz"), "did you mean 'dexperts'"),
        (lambda lm: detoxbench.load("mini", alpha=2.0), "takes no argument 'alpha'"),
        (lambda lm: detoxbench.sample(lm, "You are"), "prompts: give a list"),
        (lambda lm: detoxbench.sample(lm, ["You are"], samples=0), "samples=0"),
        (lambda lm: detoxbench.sample(lm, ["You are"], top_p=0), "top_p=0"),
        (lambda lm: detoxbench.sample(lm, ["You are"], method="dexperts"), "method: the model is loaded already"),
        (lambda lm: detoxbench.score("You are"), "texts: give a list"),
        (lambda lm: detoxbench.score(["You are"], "xx"), "does not support language 'xx'"),
        (lambda lm: detoxbench.score(["You are"], scorer="ngramm"), "did you mean 'ngram'"),
        (lambda lm: detoxbench.score(["You are"], prompts=[]), "a list of 1 texts"),
        (lambda lm: detoxbench.evaluate(lm, [TASK], metadata={"sample": 2}), "unknown option"),
    ],
)
def test_mistakes_are_one_line(lm, call, message):
    with pytest.raises(DetoxbenchError, match=message) as caught:
        call(lm)
    assert "\n" not in str(caught.value)


def test_the_notebook_runs(tmp_path, monkeypatch, capsys):
    """Its cells as one script, where it writes no file beside itself."""
    monkeypatch.chdir(tmp_path)
    cells = json.loads((ROOT / "examples" / "first_steps.ipynb").read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    names: dict[str, object] = {}
    for number, cell in enumerate(code):
        exec(compile(cell, f"cell {number}", "exec"), names)
    assert isinstance(names["run"], detoxbench.RunResult)

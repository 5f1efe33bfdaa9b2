"""``detox_utility``: lm-eval's own tasks under the method, from data that are at hand."""

from __future__ import annotations

import json
import math

import lm_eval
import pytest
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager

from detoxbench.core import utility as figures
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.results import find, read
from detoxbench.leaderboard.reading import from_results
from detoxbench.tasks import utility


@pytest.fixture
def local(tmp_path):
    """A task manager with two tiny multiple-choice tasks, one of which has no data."""
    rows = [{"q": f"The {word} is", "choices": ["good", "bad"], "answer": n % 2} for n, word in enumerate("abcdefgh")]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    task = (
        "task: {name}\ndataset_path: json\ndataset_kwargs:\n  data_files: {file}\noutput_type: multiple_choice\n"
        "test_split: train\ndoc_to_text: q\ndoc_to_choice: choices\ndoc_to_target: answer\n"
        "metric_list:\n  - metric: acc\n    aggregation: mean\n    higher_is_better: true\n"
    )
    folder = tmp_path / "tasks"
    folder.mkdir()
    for name, file in (("tiny_choice", "rows.jsonl"), ("tiny_absent", "absent.jsonl")):
        (folder / f"{name}.yaml").write_text(task.format(name=name, file=tmp_path / file))
    return TaskManager(include_path=str(folder))


def test_it_is_run_under_the_method_and_shown_beside_its_toxicity(local, tmp_path):
    tracker = EvaluationTracker(output_path=str(tmp_path / "out"))
    found = lm_eval.simple_evaluate(
        "detox", model_args={"method": "self_debias"}, tasks=["rtp_multilingual_en", "detox_utility"], limit=4,
        metadata={"utility": "tiny_choice", "samples": 2, "fluency_model": "none"}, task_manager=local,
        evaluation_tracker=tracker,
    )  # fmt: skip
    samples = found.pop("samples")
    tracker.save_results_aggregated(results=found, samples=samples)
    for name in found["configs"]:
        tracker.save_results_samples(task_name=name, samples=samples[name])
    (path,) = find(tmp_path / "out")
    run = read(path)
    row = found["results"]["tiny_choice"]
    assert run.utility["utility_tiny_choice"][0] == row["acc,none"]
    assert run.utility["utility"][0] == row["acc,none"]
    assert list(run.tasks) == ["rtp_multilingual_en"]
    ((record, _),) = from_results(path)
    assert record.whole["utility"][0] == pytest.approx(row["acc,none"])


def test_what_is_missing_is_said_in_one_line(local):
    with pytest.raises(DetoxbenchError, match=r"the data of tiny_absent .* take what is there.*tiny_choice") as error:
        utility.check(local, ["tiny_choice", "tiny_absent"])
    assert "\n" not in str(error.value)
    with pytest.raises(DetoxbenchError, match="unknown task of detox_utility 'arc_eazy': did you mean 'arc_easy'"):
        utility.check(local, ["arc_eazy"])
    with pytest.raises(DetoxbenchError, match="give names"):
        utility.named(3)
    assert utility.named("piqa, arc_easy,piqa") == ("piqa", "arc_easy")
    assert utility.named(None) == utility.TASKS


def test_the_mean_by_hand():
    """Standard errors of independent tasks add up in squares: sqrt(0.03² + 0.04²) / 2 = 0.025."""
    raw = {
        "group_subtasks": {"detox_utility": ["a", "inner"], "inner": ["b"]},
        "results": {
            "a": {"acc,none": 0.5, "acc_stderr,none": 0.03}, "b": {"acc,none": 0.7, "acc_stderr,none": 0.04},
            "inner": {}, "c": {"acc,none": 0.1},
        },
    }  # fmt: skip
    value, low, high = figures.read(raw)["utility"]
    assert value == pytest.approx(0.6)
    assert (low, high) == (pytest.approx(0.6 - 1.959964 * 0.025), pytest.approx(0.6 + 1.959964 * 0.025))
    assert figures.read({"group_subtasks": {}, "results": {}}) == {}
    alone = {"group_subtasks": {"detox_utility": ["a"]}, "results": {"a": {"acc,none": 0.5, "acc_stderr,none": "N/A"}}}
    assert figures.read(alone)["utility"] == (0.5, None, None)
    assert not math.isnan(value)

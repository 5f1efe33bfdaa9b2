"""What a run is asked in which order, what is refused before it starts, what is kept when measuring fails, and what
strict readers of its results find."""

from __future__ import annotations

import json
import math

import lm_eval
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lm_eval.api.model import LM
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager

from detoxbench.core import generation_files
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.records import Prompt
from detoxbench.core.registry import PROMPTS
from detoxbench.tasks import prompts as prompt_sets
from detoxbench.tasks import registration
from detoxbench.tasks.options import Options
from detoxbench.tasks.preflight import is_embedded
from detoxbench.tasks.prompts import Loaded, PromptSelection

OPTIONS = {"scorer": "fixture", "fluency_model": "none", "samples": 3}


def prompt(number, toxicity):
    return Prompt(id=str(number), text=f"text {number}", lang="en", toxicity=toxicity)


class Words(LM):
    def generate_until(self, requests, disable_tqdm=False):
        return [f" word {place}" for place, _ in enumerate(requests)]

    def loglikelihood(self, requests, disable_tqdm=False):
        raise NotImplementedError

    loglikelihood_rolling = loglikelihood


def evaluate(tasks, metadata, model=None, **options):
    manager = TaskManager(include_defaults=False, metadata=metadata)
    registration.register(manager)
    return lm_eval.simple_evaluate(
        model or Words(), tasks=tasks, metadata=metadata, task_manager=manager, bootstrap_iters=0, **options
    )


def write(path, scores):
    rows = [{"text": f"text {number}", "lang": "en", "toxicity": score} for number, score in enumerate(scores)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_toxic_prompts_first_become_turns():
    loaded = Loaded([prompt(number, 0.9 if number < 2 else 0.1) for number in range(6)]).interleaved()
    assert [one.id for one in loaded.prompts] == ["2", "0", "3", "4", "1", "5"]
    assert loaded.places == [2, 0, 3, 4, 1, 5]
    assert [one.id for one in loaded.in_order] == list("012345")
    assert [one.id for one in loaded.chosen([0, 1])] == ["0", "2"]


@given(st.lists(st.sampled_from([0.1, 0.9, None]), max_size=60))
def test_every_beginning_holds_the_kinds_in_proportion(scores):
    loaded = Loaded([prompt(number, score) for number, score in enumerate(scores)]).interleaved()
    assert sorted(loaded.order) == list(range(len(scores)))
    for end in range(len(scores) + 1):
        for kind in (0.1, 0.9, None):
            share = scores.count(kind) / max(1, len(scores))
            found = sum(one.toxicity == kind for one in loaded.prompts[:end])
            assert abs(found - end * share) <= 1.5


def test_one_kind_keeps_its_order():
    loaded = Loaded([prompt(number, 0.1) for number in range(4)])
    assert loaded.interleaved() is loaded
    assert Loaded([]).interleaved().prompts == []


def test_a_limit_takes_both_and_rows_know_their_place(tmp_path):
    path = write(tmp_path / "mine.jsonl", [0.9] * 5 + [0.1] * 5)
    whole = evaluate(["prompts_file"], {**OPTIONS, "prompts": path})
    part = evaluate(["prompts_file"], {**OPTIONS, "prompts": path}, limit=4)
    docs = [sample["doc"] for sample in part["samples"]["prompts_file"]]
    assert sorted(doc["toxicity"] for doc in docs) == [0.1, 0.1, 0.9, 0.9]
    assert all(doc["text"] == f"text {doc['place']}" for doc in docs)
    block = whole["configs"]["prompts_file"]["detoxbench"]
    assert block["prompts_sha256"] == prompt_sets.sha256([prompt(number, None) for number in range(10)])
    assert (block["prompts"], block["texts"], block["scored"]) == (10, 30, 30)
    assert part["configs"]["prompts_file"]["detoxbench"]["prompts"] == 4


def test_what_was_not_measured_is_null(tmp_path):
    path = write(tmp_path / "mine.jsonl", [0.9] * 3)
    found = evaluate(["prompts_file"], {**OPTIONS, "prompts": path})["results"]["prompts_file"]
    assert found["expected_max_toxicity_nontoxic_prompts,none"] is None
    assert found["perplexity,none"] is None
    assert found["expected_max_toxicity_toxic_prompts,none"] == found["expected_max_toxicity,none"]
    assert not [key for key, value in found.items() if isinstance(value, float) and math.isnan(value)]
    json.dumps(found, allow_nan=False)


def test_unprompted():
    found = evaluate(["unprompted"], {"scorer": "fixture", "fluency_model": "none"})
    row, block = found["results"]["unprompted"], found["configs"]["unprompted"]["detoxbench"]
    assert block["samples"] == 100
    (sample,) = found["samples"]["unprompted"]
    assert sample["doc"]["text"] == ""
    assert row["expected_max_toxicity_at_100,none"] == row["expected_max_toxicity,none"]
    assert row["expected_max_toxicity_ci_low,none"] is None
    assert "expected_max_toxicity_at_1000,none" not in row
    with pytest.raises(DetoxbenchError, match="a prefix is a prompt"):
        prompt_sets.load_set(PromptSelection("unprompted"), Options(prefix="You"))
    assert prompt_sets.load_set(PromptSelection("unprompted"), Options(lang="por")).prompts[0].lang == "pt"


def test_unprompted_on_the_embedded_model():
    metadata = {"fluency_model": "none", "samples": 3}
    found = evaluate(["unprompted"], metadata, "detox")
    (sample,) = found["samples"]["unprompted"]
    assert len(sample["filtered_resps"][0]) == 3
    assert any(text.strip() for text in sample["filtered_resps"][0])


@pytest.mark.parametrize(
    ("model", "pretrained", "metadata", "message"),
    [
        (
            "detox",
            "gpt2",
            {"scorer": "mini"},
            "scorer 'mini' knows the embedded corpus alone and says nothing of what 'gpt2' writes",
        ),
        ("hf", "gpt2", {"scorer": "mini:reward"}, "scorer 'mini:reward' knows .* hf:OWNER/MODEL"),
        ("vllm", "gpt2", {"fluency_model": "mini"}, "fluency_model 'mini' knows .*none"),
        ("detox", "mini", {"task": "prompts_file", "scorer": "mini"}, "the prompts of prompts_file"),
        ("hf", "mini", {"scorer": "mini"}, "says nothing of what 'mini' writes"),
        ("detox", "mini", {"fluency_model": "nobody/there-is-none"}, "fluency_model 'nobody/there-is-none' cannot be"),
    ],
)
def test_refused_before_any_model_is_loaded(model, pretrained, metadata, message, tmp_path):
    task = metadata.pop("task", "rtp_multilingual_en")
    if task == "prompts_file":
        metadata["prompts"] = write(tmp_path / "mine.jsonl", [0.1])
    with pytest.raises(DetoxbenchError, match=message) as caught:
        lm_eval.simple_evaluate(model, model_args=f"pretrained={pretrained}", tasks=[task], metadata=metadata)
    assert "\n" not in str(caught.value)


def test_a_model_made_from_the_embedded_one_is_of_its_world(tmp_path):
    from detoxbench.core import mini

    (tmp_path / "tokenizer.model").write_bytes((mini.MODEL / "tokenizer.model").read_bytes())
    assert is_embedded("hf", str(tmp_path))
    (tmp_path / "tokenizer.model").write_bytes(b"another")
    assert not is_embedded("hf", str(tmp_path))
    assert is_embedded("detox", None)
    assert not is_embedded("hf", None)
    assert not is_embedded(Words(), None)


def test_texts_are_kept_where_measuring_fails(tmp_path, monkeypatch):
    from detoxbench.tasks import task

    def fails(*args, **kwargs):
        raise DetoxbenchError("the server is gone")

    path = write(tmp_path / "mine.jsonl", [0.1, 0.9])

    def tracker():
        return EvaluationTracker(output_path=str(tmp_path / "out"))

    monkeypatch.setattr(task, "measure", fails)
    names = ["prompts_file", "unprompted"]
    with pytest.raises(DetoxbenchError, match="the server is gone .*detoxbench score"):
        evaluate(names, {**OPTIONS, "prompts": path}, evaluation_tracker=tracker())
    kept = sorted((tmp_path / "out").glob("generations_*.jsonl"))
    assert [file.name.split("_20")[0] for file in kept] == ["generations_prompts_file", "generations_unprompted"]
    read = generation_files.read(kept[0])
    assert [len(texts) for texts in read.generations] == [3, 3]
    assert sorted(one.toxicity for one in read.prompts) == [0.1, 0.9]
    monkeypatch.undo()
    evaluate(names, {**OPTIONS, "prompts": path}, evaluation_tracker=tracker())
    assert sorted((tmp_path / "out").glob("generations_*.jsonl")) == kept


def test_every_set_says_whether_its_text_is_real():
    assert [name for name in PROMPTS if PROMPTS[name].samples is not None] == ["unprompted"]

"""What scorer, method and prompts have seen of one another's texts."""

from __future__ import annotations

import pytest

from detoxbench.core.data_overlap import corpora, of_run, overlaps, sources, trained_on
from detoxbench.core.records import ModelRun, TaskRun

TASK = {
    "prompts_sha256": "0", "scorer_version": "1", "attributes": ["toxicity"], "fluency_model": None, "samples": 1,
    "generation": {}, "constants": {},
}  # fmt: skip


def test_the_embedded_scorer_has_seen_rtp_lx():
    assert "rtp_lx" in trained_on("ngram")
    found = overlaps("rtp_lx", trained_on("ngram"))
    assert [(one.one, one.other) for one in found] == [("scorer", "prompts")]
    assert "RTP-LX" in str(found[0])


def test_textdetox_classifiers_have_seen_the_textdetox_set():
    scorer = trained_on("hf:textdetox/xlmr-large-toxicity-classifier-v2")
    assert corpora("textdetox/multilingual_toxicity_dataset") == corpora("textdetox")
    assert [str(one) for one in overlaps("file.jsonl", scorer, ["textdetox/multilingual_toxicity_dataset"])] == [
        "the scorer was fitted on alike texts as the method: Jigsaw, TextDetox"
    ]


def test_a_set_that_was_made_of_another_counts_as_it():
    assert overlaps("rtp/toxic_10k", ["rtp_lx"])[0].corpora == ("RealToxicityPrompts",)
    assert overlaps("ptp", ["rtp_lx"]) == []


@pytest.mark.parametrize("name", ["", "file", "mini"])
def test_names_that_name_nothing_overlap_with_nothing(name):
    assert overlaps(name, [name], [name]) == []


def test_a_card_is_believed_before_a_name():
    assert trained_on("ngram", {"sources": [{"name": "mine.jsonl"}]}) == ["mine.jsonl"]
    assert trained_on("x", {"trained_on": ["civil_comments"]}) == ["civil_comments"]
    assert trained_on("hf:someone/else") == []


def test_sources_of_a_manifest_are_found_however_deep():
    manifest = {
        "trained": {"data": {"toxic": {"sources": ["a.jsonl"]}}},
        "parts": [{"data": {"sources": ["b", "a.jsonl"]}}],
    }
    assert sources(manifest) == ["a.jsonl", "b"]
    assert sources({"sources": "text", "data": 3}) == []


def test_of_a_measured_task():
    task = TaskRun(prompt_set="rtp_lx", scorer="mine", scorer_data=["rtp_lx"], **TASK)
    model = ModelRun(pretrained="gpt2", method="dexperts", method_arguments={}, trained_on=["rtp"])
    assert [(one.one, one.other) for one in of_run(task, model)] == [
        ("scorer", "prompts"), ("method", "prompts"), ("scorer", "method")
    ]  # fmt: skip
    assert of_run(TaskRun(prompt_set="ptp", scorer="mine", **TASK), None) == []

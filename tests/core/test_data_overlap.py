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


@pytest.mark.parametrize(
    ("scorer", "data"),
    [
        ("hf:cooperleong00/deberta-v3-large_toxicity-scorer,label=1", ["realtoxicityprompts"]),
        ("guard:allenai/wildguard,preset=wildguard", ["wildguardmix"]),
        ("served_guard:ToxicityPrompts/PolyGuard-Qwen,preset=polyguard", ["polyguardmix"]),
        ("guard:meta-llama/Llama-Guard-3-8B,preset=llama-guard-3", ["hh-rlhf"]),
        ("guard:meta-llama/Llama-Guard-3-1B,preset=llama-guard-3-parts", []),  # its card does not say
        ("mean:mini+hf:someone/else", []),
        ("ngram:mine", []),
    ],
)
def test_models_of_presets_have_seen_what_the_preset_says(scorer, data):
    assert trained_on(scorer) == data


def test_an_ensemble_has_seen_what_its_members_have():
    found = trained_on("mean:ngram+hf:textdetox/xlmr-large-toxicity-classifier-v2,languages=de+en")
    assert found == ["textdetox", *trained_on("ngram")]
    assert trained_on("mean:hf:unitary/multilingual-toxic-xlm-roberta+ngram")[-3:] == trained_on("ngram")


def test_a_set_that_was_made_of_another_counts_as_it():
    assert overlaps("rtp/toxic_10k", ["rtp_lx"])[0].corpora == ("RealToxicityPrompts",)
    assert overlaps("ptp", ["rtp_lx"]) == []
    assert overlaps("x", ["wildguardmix"], ["polyguardmix"])[0].corpora == ("WildGuardMix",)
    assert overlaps("x", ["nemotron-safety-guard-dataset-v3"], ["Anthropic/hh-rlhf"])[0].corpora == ("HH-RLHF",)


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

"""lm-eval's table stays readable: intervals beside values, bounds and subsets left to the report."""

import copy

from detoxbench.tasks.tables import shorten

ROW = {
    "alias": "rtp_multilingual_en",
    "expected_max_toxicity,none": 0.5,
    "expected_max_toxicity_stderr,none": "N/A",
    "expected_max_toxicity_ci_low,none": 0.4,
    "expected_max_toxicity_ci_high,none": 0.61,
    "expected_max_toxicity_toxic_prompts,none": 0.7,
    "perplexity,none": float("nan"),
    "failed_fraction,none": 0.0,
    "measured,none": 40.0,
}


def results(**changes):
    return {
        "results": {"rtp_multilingual_en": {**ROW, **changes}, "hellaswag": {"acc,none": 0.3}},
        "configs": {"rtp_multilingual_en": {"detoxbench": {"scorer": "mini", "prompt_set": "mine.jsonl"}}},
    }


def test_one_row_a_metric():
    given = results()
    before = copy.deepcopy(given)
    shown = shorten(given)["results"]
    assert repr(given) == repr(before)
    assert shown["rtp_multilingual_en"] == {
        "alias": "rtp_multilingual_en (mini)",
        "expected_max_toxicity,none": "0.500 [0.400, 0.610]",
        "perplexity,none": "not measured",
    }
    assert shown["hellaswag"] == {"acc,none": 0.3}


def test_another_protocol_shows_itself_on_its_tasks_and_their_group():
    given = results()
    given["results"]["ptp_fr"] = given["results"]["ptp"] = {**ROW, "alias": "ptp"}
    given["configs"]["ptp_fr"] = {"detoxbench": {"samples": 10, "sampling_protocol": "ptp", "protocol": "chat"}}
    given["group_subtasks"] = {"ptp": ["ptp_fr"]}
    shown = shorten(given)["results"]
    assert shown["ptp"]["alias"] == shown["ptp_fr"]["alias"] == "ptp (mini) (K=10, ptp, chat)"
    assert shown["rtp_multilingual_en"]["alias"] == "rtp_multilingual_en (mini)"


def test_failures_show_themselves():
    shown = shorten(results(**{"failed_fraction,none": 0.02}))["results"]["rtp_multilingual_en"]
    assert "failed_fraction,none" in shown


def test_without_the_embedded_world_there_is_no_label():
    given = results()
    given["configs"]["rtp_multilingual_en"]["detoxbench"]["scorer"] = "hf:some/model"
    assert shorten(given)["results"]["rtp_multilingual_en"]["alias"] == "rtp_multilingual_en"

"""Only what changes the distribution sampled from, or what is measured of it, keeps runs apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from detoxbench.core.comparability import (
    board,
    board_of,
    differences,
    distribution,
    nucleus,
    table_of,
    unlike_nuclei,
)
from detoxbench.core.records import ModelRun, TaskRun
from detoxbench.core.results import Run, TaskResult

LOCAL = {"until": [], "do_sample": True, "temperature": 1.0, "top_p": 0.9, "max_gen_toks": 20}
FIELDS = {
    "prompt_set": "rtp", "prompts_sha256": "a" * 64, "lang": "en", "scorer": "s", "scorer_version": "1",
    "attributes": ["toxicity"], "fluency_model": None, "samples": 25, "generation": LOCAL, "constants": {},
}  # fmt: skip


def record(**changed):
    return TaskRun(**{**FIELDS, **changed})


def run(generation=LOCAL, arguments=None, **sampling):
    model = ModelRun(
        pretrained="gpt2", method="m", method_arguments={}, effective_arguments=arguments or {}, sampling=sampling
    )
    return Run(Path("r"), "r", model, {"rtp_en": TaskResult("rtp_en", record(generation=generation), {}, None)})


@pytest.mark.parametrize(
    "other",
    [
        {**LOCAL, "seed": None},
        {**LOCAL, "seed": 7},
        {**LOCAL, "top_k": 0},
        {**LOCAL, "temperature": 1},
        {"do_sample": True, "temperature": 1.0, "top_p": 0.9, "max_tokens": 20, "until": None},
    ],
)
def test_one_distribution_is_one_board(other):
    assert distribution(other) == distribution(LOCAL)
    assert differences(board([("t", record())], None), board([("t", record(generation=other))], None)) == []


@pytest.mark.parametrize(
    "other", [{**LOCAL, "top_p": 1.0}, {**LOCAL, "top_k": 5}, {**LOCAL, "max_gen_toks": 21}, {**LOCAL, "until": ["."]}]
)
def test_another_distribution_is_another_board(other):
    assert distribution(other) != distribution(LOCAL)


def test_the_likeliest_token_knows_no_temperature():
    assert distribution({**LOCAL, "do_sample": False}) == distribution({**LOCAL, "temperature": 0, "top_p": 0.5})
    assert distribution({}) == {}


def test_languages_of_one_run_share_a_table():
    one = record(protocol="chat", instruction_langs=["en"])
    other = record(protocol="chat", instruction_langs=["fr"], prompts_sha256="b" * 64, lang="fr")
    assert table_of(one) == table_of(other)
    assert table_of(one) != table_of(record())
    assert table_of(record()) != table_of(record(samples=5))


@pytest.mark.parametrize(
    ("given", "mass"),
    [
        (run(top_p=0.9), 0.9),
        (run(top_p=1.0, arguments={"filter_p": 0.9}), 0.9),
        (run(top_p=1.0, arguments={"filter_p": 1.0}), 1.0),
        (run(top_p=1.0, nucleus=0.8), 0.8),
        (run(), 0.9),
        (run(generation={}), None),
    ],
)
def test_the_nucleus_is_the_one_that_was_sampled_from(given, mass):
    assert nucleus(given.model, given.tasks["rtp_en"].record) == mass


def test_unlike_nuclei_are_one_line():
    base, method = run(top_p=1.0), run(top_p=1.0, arguments={"filter_p": 0.9})
    (line,) = unlike_nuclei(base, method)
    assert "of mass 1 and 0.9 (rtp_en)" in line
    assert unlike_nuclei(base, base) == unlike_nuclei(run(generation={}), base) == []
    assert board_of(base) == board_of(method)

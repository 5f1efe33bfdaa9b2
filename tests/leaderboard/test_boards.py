"""Which runs may be compared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.records import ModelRun, TaskRun
from detoxbench.leaderboard.boards import board, comparable, differences

FIELDS = {
    "prompt_set": "rtp", "prompts_sha256": "a" * 64, "lang": "en", "scorer": "mini", "scorer_version": "1",
    "attributes": ["toxicity"], "fluency_model": "mini", "samples": 25, "generation": {"top_p": 0.9},
    "constants": {"toxic": 0.5},
}  # fmt: skip


def made(model="mini", tasks=("rtp_en", "rtp_fr"), **changed):
    run = ModelRun(pretrained=model, method="none", method_arguments={})
    return board([(name, TaskRun(**{**FIELDS, **changed})) for name in tasks], run)


def test_the_same_measurement_is_one_board_whatever_the_order():
    assert made() == made(tasks=("rtp_fr", "rtp_en"), generation={"top_p": 0.9}, seconds={"score": 3.0})
    assert len({made(), made()}) == 1
    assert differences(made(), made()) == []
    comparable(made(), made())


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"samples": 5}, "continuations per prompt (K): 25 and 5"),
        ({"prompts_sha256": "b" * 64}, f"sha256 of the prompts: {'a' * 64} and {'b' * 64}"),
        ({"scorer_version": "2"}, "scorer version: 1 and 2"),
        ({"fluency_model": None}, "fluency model: mini and none"),
        ({"protocol": "chat"}, "base, chat or reply protocol: base and chat"),
        ({"generation": {"top_p": 1.0}}, 'generation settings: {"top_p": 0.9} and {"top_p": 1.0}'),
        ({"constants": {"toxic": 0.6}}, 'thresholds and cut-offs: {"toxic": 0.5} and {"toxic": 0.6}'),
        ({"model": "gpt2"}, "model: the embedded one (mini) and a real one"),
        ({"tasks": ("rtp_en",)}, "tasks only in the first: rtp_fr"),
    ],
)
def test_what_differs_is_one_line(changed, line):
    assert differences(made(), made(**changed)) == [line]
    with pytest.raises(DetoxbenchError, match="not comparable"):
        comparable(made(), made(**changed))


def test_a_difference_of_some_tasks_names_them():
    one = board([("rtp_en", TaskRun(**FIELDS)), ("rtp_fr", TaskRun(**FIELDS))], None)
    two = board([("rtp_en", TaskRun(**FIELDS)), ("rtp_fr", TaskRun(**{**FIELDS, "samples": 3}))], None)
    assert differences(one, two) == ["continuations per prompt (K): 25 and 3 (rtp_fr)"]


def test_a_board_without_tasks():
    assert differences(board([], None), board([], None)) == []


@given(st.text(max_size=300))
def test_hostile_names_stay_on_their_line(text):
    (line, *rest) = differences(made(), made(scorer=text)) or ["same"]
    assert not rest
    assert line.isprintable()

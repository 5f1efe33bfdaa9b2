"""What a board's prompts are called; which runs share it does not depend on that."""

from __future__ import annotations

import json
import re
from pathlib import Path

import made_up
import pytest

from detoxbench.core.prompt_names import SUFFIXES
from detoxbench.leaderboard.site import prompt_names
from detoxbench.leaderboard.site.tables import tables
from detoxbench.leaderboard.submissions import TaskRecord, read

ROOT = Path(__file__).parents[2]
FILE = {"prompt_set": "en.jsonl", "prompts_sha256": "5" * 64}


def board(**run):
    return made_up.record(languages=("en",), prompts=4, intervals=False, run={**FILE, **run})


def test_a_name_that_was_given_is_the_title():
    (table,) = tables([board(prompts_name="Clinic letters")])
    assert table.title.startswith("Clinic letters · 4 prompts, en · ")
    assert ("Prompts", "Clinic letters") in table.facts
    assert ("File of the prompts", "en.jsonl, sha256 of the texts 555555555555…") in table.facts


def test_another_name_is_the_same_board():
    made = [board(prompts_name=name) for name in ("Clinic letters", "Letters", "Letters")]
    (table,) = tables([*made, board()])
    assert table.title.startswith("Letters · ")  # what most of its runs say
    assert len({table.id for one in made for table in tables([one])}) == 1


def test_other_prompts_of_one_name_are_another_board():
    assert len(tables([board(prompts_name="a"), board(prompts_name="a", prompts_sha256="6" * 64)])) == 2


def test_prompts_that_are_known_by_their_content_have_its_name_whatever_a_run_says():
    (digest,) = (key for key, one in prompt_names.known().items() if one.name.startswith("RealToxicityPrompts"))
    (table,) = tables([board(prompts_name="Mine", prompts_sha256=digest)])
    assert table.title.startswith("RealToxicityPrompts (chosen by ngram) · ")
    assert any(label == "About the prompts" for label, _ in table.facts)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_board_is_called_as_its_file(suffix):
    (table,) = tables([board(prompt_set=f"letters{suffix}")])
    assert table.title.startswith("letters (a file) · ")


def test_no_board_of_the_records_is_called_as_a_file():
    for table in tables([read(path) for path in (ROOT / "leaderboard" / "runs").glob("*.json")]):
        assert not re.search(r"\.(jsonl|json|csv|tsv|parquet)\b", table.title), table.title


def test_known_contents_are_digests():
    content = json.loads(prompt_names.FILE.read_text())
    assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in content)
    assert all(one.name and one.note for one in prompt_names.known().values())


def test_a_set_has_its_own_name_and_no_file():
    task = made_up.record(languages=("en",), prompts=4, intervals=False).tasks[0]
    assert isinstance(task, TaskRecord)
    assert prompt_names.name_of([task.run]) == "rtp_multilingual"
    assert prompt_names.facts([task.run]) == []

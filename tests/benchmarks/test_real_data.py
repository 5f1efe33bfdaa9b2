"""Texts of the study on real models: no cluster serves two purposes."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.real import data, pilot
from detoxbench.core.validity.split import part_of

SAMPLES = os.environ.get("DETOXBENCH_SAMPLES")


def test_prompts_are_of_the_part_that_no_scorer_was_fitted_on():
    clusters = [f"rtp_lx/{number}" for number in range(2000)]
    roles = [data.role_of(cluster) for cluster in clusters]
    assert [role == "prompts" for role in roles] == [part_of(cluster) == "test" for cluster in clusters]
    rest = [role for role in roles if role != "prompts"]
    for role, share in data.SHARES.items():
        assert abs(rest.count(role) / len(rest) - share) < 0.05


def test_a_smaller_number_of_prompts_is_part_of_a_larger_one():
    rows = list(range(100))
    few, many = (data.halves(rows, count, lambda row: row % 4 == 0, str) for count in (10, 30))
    assert set(few) < set(many)
    assert sum(row % 4 == 0 for row in few) == 5


def test_a_pilot_says_how_many_prompts_are_needed():
    """Four times the prompts halve both; 0.2 at 32 prompts is 0.1 at 128."""
    found = pilot.Pilot(32, 0.1, (0.2, 0.1, 0.3), (10.0, 20.0))
    half, detectable, seconds = found.at(128)
    assert (half, detectable, seconds) == (0.05, 0.1, 15.0 * 128)
    assert found.needed(0.1) == 128
    assert pilot.Pilot(32, 0.1, (), (10.0,)).needed(0.1) == 32
    assert "| 32 | 0.100 | – | 5.3 min |" in list(pilot.Pilot(32, 0.1, (), (10.0,)).lines())


@pytest.mark.skipif(not SAMPLES, reason="DETOXBENCH_SAMPLES names no sample data")
def test_no_text_serves_two_purposes(tmp_path):
    data.write(Path(str(SAMPLES)), tmp_path, english=4, each=4, locales=("DE", "FR"))

    def said(pattern: str, *names: str) -> set[str]:
        rows = [json.loads(line) for path in tmp_path.glob(pattern) for line in path.read_text("utf-8").splitlines()]
        return {row[name] for row in rows for name in names if name in row}

    by_role = {
        "methods": said("[el][nx]_*.jsonl", "text", "toxic"),
        "guides": said("guide_*.jsonl", "text", "toxic") | said("labels/guides/rtp_lx/*.jsonl", "text"),
        "judge": said("labels/judge/rtp_lx/*.jsonl", "text"),
        "prompts": said("prompts/rtp_lx/*.jsonl", "Prompt"),
    }
    assert all(by_role.values())
    indices = {role: said(f"labels/{role}/rtp_lx/*.jsonl", "index") for role in ("guides", "judge")}
    prompts = {int(index) for index in said("prompts/rtp_lx/*.jsonl", "Index")}
    assert not indices["guides"] & indices["judge"]
    assert not prompts & (indices["guides"] | indices["judge"])
    assert not by_role["prompts"] & (by_role["methods"] | by_role["guides"] | by_role["judge"])

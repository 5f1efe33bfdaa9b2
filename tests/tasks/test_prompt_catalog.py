"""What all prompt sets keep: cards, names, options, and the command that lists them."""

from __future__ import annotations

import json
import os

import pytest
import typer
from prompt_rows import (
    empty_cache,
    load,
    pinned,
    ptp_row,
    rtp_lx_row,
    rtp_row,
    write_jsonl,
    write_parquet,
)

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.registry import PROMPTS, Registry
from detoxbench.tasks import catalog, languages
from detoxbench.tasks import prompts as prompt_sets
from detoxbench.tasks.options import Options
from detoxbench.tasks.prompts.base import Loaded, PromptSelection, PromptSet


@pytest.fixture
def cache(tmp_path, monkeypatch):
    return empty_cache(tmp_path, monkeypatch)


# --- All of them


def test_a_path_for_each_set(tmp_path, cache):
    write_parquet(pinned(cache, "ptp") / "ptp-fr" / "small-0.parquet", [ptp_row(0, "Du hub", 0.1)])
    lx = write_jsonl(tmp_path / "RTP_LX_FR.json", [rtp_lx_row(1, "Le voisin", 1.0)]).parent
    paths = {"rtp_lx": str(lx), "rtp": str(write_jsonl(tmp_path / "prompts.jsonl", [rtp_row(0, 0.1)]))}
    assert len(load("rtp_lx_fr", path=paths).prompts) == 1
    assert len(load("rtp", path=paths).prompts) == 1
    assert load("ptp_fr", path=paths).prompts[0].text == "Du hub"
    with pytest.raises(DetoxbenchError, match="unknown prompt set in path 'rtplx': did you mean 'rtp_lx'"):
        load("rtp", path={"rtplx": "x"})
    with pytest.raises(DetoxbenchError, match="--metadata: path="):
        load("rtp", path={"rtp": 7})


@pytest.mark.parametrize("name", ["rtp", "ptp", "holistic_bias", "toxigen"])
def test_data_out_of_reach_says_where_to_get_it(cache, name):
    task = next(iter(PROMPTS[name].tasks))
    with pytest.raises(DetoxbenchError) as error:
        load(task)
    card = PROMPTS[name].card
    for part in (
        card.repository,
        card.revision,
        "not in the local cache",
        '"path"',
        "https://huggingface.co/datasets/",
    ):
        assert part in str(error.value)


@pytest.mark.parametrize("name", list(PROMPTS))
def test_every_set_keeps_the_contract(name):
    entry = PROMPTS[name]
    assert entry.name == name
    assert entry.protocol in ("rtp", "ptp")
    for task, where in entry.tasks.items():
        assert where.prompt_set == name
        assert where.lang is None or languages.tag(where.lang) == where.lang, task
    assert all(member in entry.tasks for members in entry.groups.values() for member in members)
    card = entry.card
    assert card is not None
    assert card.revision is None or len(card.revision) == 40
    assert (card.repository is None) or card.revision
    text = (prompt_sets.base.Path(prompt_sets.__file__).parents[1] / name / "README.md").read_text(encoding="utf-8")
    for word in ("icence", "sha256" if name != "rtp_multilingual" else "Apache"):
        assert word in text
    for part in filter(None, (card.repository, card.revision)):
        assert part in text
    if card.sha256:
        assert card.sha256 == {
            where.lang: prompt_sets.sha256(prompt_sets.load_set(where, Options()).in_order)
            for where in entry.tasks.values()
        }


def test_ptp_and_rtp_lx_cover_what_they_promise():
    assert len(PROMPTS["ptp"].tasks) == 17
    assert len(PROMPTS["rtp_lx"].tasks) == 40
    assert len({task.partition("rtp_lx_")[2].split("-")[0] for task in PROMPTS["rtp_lx"].tasks}) == 38
    assert len(PROMPTS["holistic_bias"].tasks) == 9


def test_no_password_and_no_data_are_shipped():
    for folder, _, files in os.walk(prompt_sets.base.Path(prompt_sets.__file__).parents[1]):
        for file in files:
            if not file.endswith(".pyc"):
                text = prompt_sets.base.Path(folder, file).read_text(encoding="utf-8")
                assert "-entries" not in text


@pytest.mark.parametrize(
    ("given", "task"),
    [
        ("ptp_fra", "ptp_fr"),
        ("ptp_DE", "ptp_de"),
        ("rtp_lx_ZH-Hans", "rtp_lx_zh-Hans"),
        ("rtp_lx_zh_Hant", "rtp_lx_zh-Hant"),
        ("rtp_lx_NO-NB", "rtp_lx_nb"),
        ("rtp_lx_bcms", "rtp_lx_sh"),
        ("holistic_bias_kor", "holistic_bias_ko"),
        ("rtp_multilingual_por", "rtp_multilingual_pt"),
        ("ptp_*", "ptp_*"),
        ("ptp_xq", "ptp_xq"),
        ("hellaswag", "hellaswag"),
    ],
)
def test_tasks_are_found_under_other_codes(given, task):
    assert catalog.canonical(given) == task


def test_patterns_and_groups():
    assert list(catalog.find(["ptp"])) == list(catalog.find(["ptp_*"])) == list(PROMPTS["ptp"].tasks)
    assert catalog.find(["rtp"]) == {"rtp": PromptSelection("rtp", "en")}
    assert catalog.find(["hellaswag"]) == {}


@pytest.fixture
def with_a_broken_and_a_foreign_set(monkeypatch):
    import sys
    import types

    module = types.ModuleType("somebodys_prompts")
    module.SET = PromptSet("mine", lambda where, options: Loaded([]), {"mine_en": PromptSelection("mine", "en")})
    monkeypatch.setitem(sys.modules, "somebodys_prompts", module)
    table = {"mine": "somebodys_prompts:SET", "broken": "no.such.module:SET"}
    monkeypatch.setattr(catalog, "PROMPTS", Registry("prompt set", table, "detoxbench.none"))
    catalog.sets.cache_clear()
    yield
    catalog.sets.cache_clear()


def test_other_packages_sets(with_a_broken_and_a_foreign_set, caplog):
    assert catalog.tasks() == {"mine_en": PromptSelection("mine", "en")}
    assert "prompt set 'broken' cannot be loaded" in caplog.text
    assert catalog.sets()["mine"].card is None


def test_a_gated_set_says_so(monkeypatch):
    from huggingface_hub.errors import GatedRepoError

    def refuse(*args, **kwargs):
        raise GatedRepoError.__new__(GatedRepoError)

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    with pytest.raises(DetoxbenchError, match=r"toxigen-data: accept its terms at https://.*HF_TOKEN"):
        load("toxigen_prompts")


def test_the_prompts_command(tmp_path):
    from typer.testing import CliRunner

    from detoxbench.harness.cli.prompts import prompts

    app = typer.Typer()
    app.command()(prompts)

    def invoke(*arguments):
        done = CliRunner().invoke(app, list(arguments))
        if isinstance(done.exception, DetoxbenchError):
            return str(done.exception)
        assert done.exit_code == 0, done.output
        return done.output

    assert {entry["name"] for entry in json.loads(invoke("--json"))} == set(PROMPTS)
    listed = invoke()
    assert all(name in listed for name in PROMPTS)
    assert "GPT-3" in invoke("toxigen_prompts")
    assert json.loads(invoke("ptp_fra", "--json"))["name"] == "ptp"
    path = write_jsonl(tmp_path / "p.jsonl", [rtp_row(1, 0.7), rtp_row(2, 0.1), rtp_row(3, None)])
    (row,) = json.loads(invoke("rtp_toxic_10k", "--verify", "--json", "--metadata", json.dumps({"path": str(path)})))
    assert (row["prompts"], row["toxic"], row["unscored"], row["languages"]) == (1, 1, 0, ["en"])
    assert row["sha256"] == prompt_sets.sha256(load("rtp_toxic_10k", path=str(path)).in_order)
    assert "│ 680" not in invoke("rtp_multilingual", "--verify")
    assert "did you mean 'rtp'" in invoke("rtpp")
    assert "--verify needs the name" in invoke("--verify")
    assert "not JSON" in invoke("rtp", "--metadata", "{")

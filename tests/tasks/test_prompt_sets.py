"""Each published set on rows in its official schema: from the hub's cache, from copies, and what it says when there are
none."""

from __future__ import annotations

import pytest
from prompt_rows import (
    empty_cache,
    holistic_row,
    load,
    pinned,
    ptp_row,
    rtp_row,
    wildchat_row,
    write_jsonl,
    write_parquet,
)

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.registry import PROMPTS
from detoxbench.tasks.prompts import rtp


@pytest.fixture
def cache(tmp_path, monkeypatch):
    return empty_cache(tmp_path, monkeypatch)


# --- RealToxicityPrompts

RTP_ROWS = [rtp_row(0, 0.1), rtp_row(1, 0.5), rtp_row(2, None), rtp_row(3, 0.9, challenging=True), rtp_row(4, 0.49)]


def test_rtp_from_the_cache_at_the_pinned_commit(cache):
    write_jsonl(pinned(cache, "rtp") / "prompts.jsonl", RTP_ROWS)
    loaded = load("rtp")
    assert [prompt.toxicity for prompt in loaded.prompts] == [0.1, 0.5, None, 0.9, 0.49]
    assert loaded.revision == PROMPTS["rtp"].card.revision
    assert loaded.prompts[3].text == "Neighbour number 3 said that"
    assert loaded.prompts[3].id == "03-abc.txt-3-12"


def test_rtp_subsets_split_at_one_half_and_leave_the_unscored_out(tmp_path, caplog):
    path = str(write_jsonl(tmp_path / "prompts.jsonl", RTP_ROWS))
    chosen = {task: [p.toxicity for p in load(task, path=path).prompts] for task in PROMPTS["rtp"].tasks}
    assert chosen["rtp_challenging"] == [0.9]
    assert chosen["rtp_nontoxic_10k"] == [0.1, 0.49]
    assert chosen["rtp_toxic_10k"] == [0.5, 0.9]
    assert "2 prompts for rtp_" not in caplog.text
    assert "not 10000: all are taken" in caplog.text


def test_dexperts_own_file_by_path(tmp_path):
    path = write_jsonl(tmp_path / "nontoxic_prompts-10k.jsonl", [rtp_row(n, 0.2) for n in (5, 3, 8)])
    for task in ("rtp", "rtp_nontoxic_10k"):
        assert [p.id for p in load(task, path=str(path)).prompts] == [
            "05-abc.txt-5-14",
            "03-abc.txt-3-12",
            "08-abc.txt-8-17",
        ]


def test_a_sample_depends_on_seed_and_texts_alone():
    prompts = [prompt for n in range(200) if (prompt := rtp._parse(rtp_row(n, 0.1), n))]
    chosen = rtp.sample(prompts, 50)
    assert len(chosen) == 50
    assert chosen == [prompt for prompt in prompts if prompt in chosen]  # the set's order
    assert {p.id for p in rtp.sample(prompts[::-1], 50)} == {p.id for p in chosen}
    assert rtp.sample(prompts, 50, seed=1) != chosen
    assert rtp.sample(prompts, 500) == prompts
    # Pinned: another implementation of sampling would make published numbers irreproducible.
    assert [p.text.split()[2] for p in rtp.sample(prompts, 3)] == ["39", "60", "131"]


# --- PolygloToxicityPrompts


def test_ptp_parts_from_the_cache(cache):
    folder = pinned(cache, "ptp")
    write_parquet(
        folder / "ptp-fr" / "small-00000-of-00001-ab.parquet", [ptp_row(0, "Bonjour", 0.1), ptp_row(1, "Zut", 0.7)]
    )
    write_parquet(folder / "ptp-fr" / "full-00000-of-00002-ab.parquet", [ptp_row(0, "Un", 0.1)])
    write_parquet(folder / "ptp-fr" / "full-00001-of-00002-ab.parquet", [ptp_row(1, "Deux", 0.1)])
    write_parquet(folder / "wildchat-fr" / "wildchat-00000-of-00001-ab.parquet", [wildchat_row(7, "Salut", 0.3)])
    small = load("ptp_fr")
    assert [(p.text, p.toxicity, p.lang, p.id) for p in small.prompts] == [
        ("Bonjour", 0.1, "fr", "fr-0"),
        ("Zut", 0.7, "fr", "fr-1"),
    ]
    assert (small.subset, small.revision) == ("small", PROMPTS["ptp"].card.revision)
    assert [p.text for p in load("ptp_fr", subset="full").prompts] == ["Un", "Deux"]
    assert [(p.text, p.toxicity) for p in load("ptp_fr", subset="wildchat").prompts] == [("Salut", 0.3)]
    with pytest.raises(DetoxbenchError, match="only other files of it are in the local cache"):
        load("ptp_de")
    with pytest.raises(DetoxbenchError, match=r"subset of ptp 'smal': did you mean 'small'\?"):
        load("ptp_fr", subset="smal")


def test_ptp_from_copies(tmp_path):
    write_parquet(tmp_path / "clone" / "ptp-fr" / "small-0.parquet", [ptp_row(0, "Bonjour", 0.1)])
    assert load("ptp_fr", path=str(tmp_path / "clone")).prompts[0].text == "Bonjour"
    write_jsonl(tmp_path / "ptp_fr.jsonl", [ptp_row(0, "Salut", 0.1)])
    assert load("ptp_fr", path=str(tmp_path / "ptp_{lang}.jsonl")).prompts[0].text == "Salut"
    both = write_jsonl(
        tmp_path / "all.jsonl", [{**ptp_row(0, "Hola", 0.1), "lang": "spa"}, {**ptp_row(1, "Hej", 0.1), "lang": "sv"}]
    )
    assert [p.text for p in load("ptp_sv", path=str(both)).prompts] == ["Hej"]
    with pytest.raises(DetoxbenchError, match=r"no language: give a folder, or a path with \{lang\}"):
        load("ptp_fr", path=str(tmp_path / "ptp_fr.jsonl"))
    with pytest.raises(DetoxbenchError, match="there is no such file or folder"):
        load("ptp_de", path=str(tmp_path / "ptp_{lang}.jsonl"))


# --- HolisticBias and ToxiGen


def test_holistic_bias_from_the_cache(cache):
    folder = pinned(cache, "holistic_bias") / "eval"
    write_jsonl(
        folder / "holistic_toxicity_merged_hi.jsonl",
        [
            holistic_row("I like tall people.", "en", "body_type", "tall"),
            holistic_row("Eu gosto.", "pt-BR", "body_type", "tall"),
        ],
    )
    nested = {"prompt": {"text": "저는", "axis": "age", "descriptor": "young"}, "lang": "kor"}
    write_jsonl(folder / "holistic_toxicity_merged_mid.jsonl", [nested])
    (english,) = load("holistic_bias_en").prompts
    assert (english.group, english.groups[0], english.groups[2]) == ("body_type", "axis=body_type", "descriptor=tall")
    assert [p.text for p in load("holistic_bias_pt").prompts] == ["Eu gosto."]
    assert load("holistic_bias_ko").prompts[0].groups == ["axis=age", "descriptor=young"]
    with pytest.raises(DetoxbenchError, match="holistic_bias, language 'hi': no prompt in"):
        load("holistic_bias_hi")


def test_toxigen_from_the_cache(cache):
    folder = pinned(cache, "toxigen") / "prompts"
    write_parquet(folder / "hate_tall_people_1k-00000-of-00001.parquet", [{"text": "- they are tall\\n- they are\\n-"}])
    write_parquet(folder / "neutral_tall_people_1k-00000-of-00001.parquet", [{"text": "- some are tall\n-"}])
    hate, neutral = load("toxigen_prompts").prompts
    assert hate.text == "- they are tall\n- they are\n-"
    assert hate.groups == ["target=tall_people", "kind=hate"]
    assert hate.toxicity is None
    assert neutral.text == "- some are tall\n-"
    assert [p.groups[1] for p in load("toxigen_prompts", subset="neutral").prompts] == ["kind=neutral"]


def test_labels_that_are_missing_are_missed_aloud(tmp_path, caplog):
    plain = [{"prompt": {"text": "The neighbour"}, "lang": "en"}]
    path = str(write_jsonl(tmp_path / "plain.jsonl", plain))
    assert load("ptp_en", path=path).prompts[0].toxicity is None
    assert "no row has 'prompt_toxicity' or 'toxicity'" in caplog.text
    assert load("holistic_bias_en", path=path).prompts[0].groups == []
    assert "no row has axis, bucket, descriptor" in caplog.text

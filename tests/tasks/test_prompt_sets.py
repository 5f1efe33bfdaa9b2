"""Each published set on rows in its official schema: from the hub's cache, from copies, and what it says when there are
none."""

from __future__ import annotations

import json
import os
import zipfile

import huggingface_hub.constants
import pytest
from prompt_rows import (
    encrypted_zip,
    holistic_row,
    in_hub_cache,
    ptp_row,
    rtp_lx_row,
    rtp_row,
    wildchat_row,
    write_jsonl,
    write_parquet,
)

from detoxbench.harness.errors import DetoxbenchError
from detoxbench.harness.registry import PROMPTS, Registry
from detoxbench.tasks import catalog, languages
from detoxbench.tasks import prompts as prompt_sets
from detoxbench.tasks.options import Options
from detoxbench.tasks.prompts import rtp, rtp_lx
from detoxbench.tasks.prompts.base import Loaded, PromptSet, Where


def load(task, **metadata):
    return prompt_sets.load_set(catalog.tasks()[task], Options.from_metadata(metadata))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the hub, and no network."""
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return folder


def pinned(cache, name):
    card = PROMPTS[name].card
    return in_hub_cache(cache, card.repository, card.revision)


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


# --- RTP-LX

LX_ROWS = [
    rtp_lx_row(1, "Bonjour à tous", 1.0),
    rtp_lx_row(2, "Espèce de", 3.0, annotations={"Insult": 2.3, "Violence": 2.0}, Dialect="Canada"),
    rtp_lx_row(2, "Le voisin", 4.6, annotations={"Bias": 1.6}, Locale="fr-BE"),
]


def test_rtp_lx_labels(tmp_path):
    write_jsonl(tmp_path / "RTP_LX_FR.json", LX_ROWS)
    first, second, third = load("rtp_lx_fr", path=str(tmp_path)).prompts
    assert (first.toxicity, second.toxicity, third.toxicity) == (0.0, 0.5, pytest.approx(0.9))
    assert first.groups == ["human_toxicity=1", "harm=none"]
    assert second.groups == ["human_toxicity=3", "harm=Violence", "harm=Insult", "dialect=Canada"]
    assert third.groups == ["human_toxicity=5", "harm=none", "dialect=fr-BE"]
    assert len({first.id, second.id, third.id}) == 3


MEMBERS = {
    "RTP_LX_FR.json": "".join(json.dumps(row) + "\n" for row in LX_ROWS),
    "RTP_LX_ZH-Hans.json": json.dumps(rtp_lx_row(1, "你好", 1.0, Locale="ZH")) + "\n",
}


def test_rtp_lx_from_an_archive(tmp_path):
    path = str(tmp_path / "RTP-LX.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in MEMBERS.items():
            file.writestr(f"RTP-LX/{name}", text)
    assert len(load("rtp_lx_fr", path=path).prompts) == 3
    assert load("rtp_lx_zh-Hans", path=path).prompts[0].text == "你好"
    with pytest.raises(DetoxbenchError, match="has no file RTP_LX_TH.json; it has FR, ZH-Hans"):
        load("rtp_lx_th", path=path)


def test_rtp_lx_from_an_encrypted_archive(tmp_path, monkeypatch):
    monkeypatch.delenv(rtp_lx.PASSWORD, raising=False)
    path = tmp_path / "RTP-LX.zip"
    path.write_bytes(encrypted_zip({name: text.encode() for name, text in MEMBERS.items()}, b"open sesame"))
    with pytest.raises(DetoxbenchError, match="is encrypted: set RTP_LX_PASSWORD"):
        load("rtp_lx_fr", path=str(path))
    assert len(load("rtp_lx_fr", path=str(path), password="open sesame").prompts) == 3
    monkeypatch.setenv(rtp_lx.PASSWORD, "open sesame")
    assert load("rtp_lx_zh-Hans", path=str(path)).prompts[0].text == "你好"
    monkeypatch.setenv(rtp_lx.PASSWORD, "hunter2")
    with pytest.raises(DetoxbenchError, match="is the password in RTP_LX_PASSWORD right") as error:
        load("rtp_lx_fr", path=str(path))
    assert "hunter2" not in str(error.value)


def test_rtp_lx_from_a_broken_archive(tmp_path):
    path = tmp_path / "RTP-LX.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("RTP_LX_FR.json", MEMBERS["RTP_LX_FR.json"])
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"Bonjour", b"Bonsoir"))
    with pytest.raises(DetoxbenchError, match=r"cannot be read \(Bad CRC-32.*is it complete"):
        load("rtp_lx_fr", path=str(path))


def test_rtp_lx_without_a_copy(tmp_path):
    with pytest.raises(
        DetoxbenchError, match=r"get RTP-LX/RTP-LX.zip from https://github.com/microsoft/RTP-LX.*\"path\""
    ):
        load("rtp_lx_fr")
    with pytest.raises(DetoxbenchError, match="there is no such file or folder"):
        load("rtp_lx_fr", path=str(tmp_path / "no.zip"))
    other = write_jsonl(tmp_path / "mine.jsonl", LX_ROWS)
    with pytest.raises(DetoxbenchError, match=r"neither the archive nor RTP_LX_FR.json"):
        load("rtp_lx_fr", path=str(other))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**LX_ROWS[0], "PromptAnnotations": {"Toxicity": 9}}, "'Toxicity' is 9, not a rating from 1 to 5"),
        ({"Prompt": "a"}, "no 'PromptAnnotations'"),
        ({**LX_ROWS[0], "Prompt": ""}, "no text in 'Prompt'"),
    ],
)
def test_rtp_lx_wrong_rows(tmp_path, row, message):
    write_jsonl(tmp_path / "RTP_LX_FR.json", [LX_ROWS[1], row])
    with pytest.raises(DetoxbenchError, match=rf"1 of 2 rows are wrong \(lines 2\); line 2: {message}"):
        load("rtp_lx_fr", path=str(tmp_path))


def test_rtp_lx_real_samples(samples_folder):
    """The earlier schema, in seventeen locales."""
    found = 0
    for locale in rtp_lx.LOCALES:
        if (samples_folder / "rtp_lx" / f"RTP_{locale}.jsonl").is_file():
            prompts = load(f"rtp_lx_{languages.tag(locale)}", path=str(samples_folder / "rtp_lx")).prompts
            assert len(prompts) == 80
            assert all(prompt.toxicity is not None and prompt.groups for prompt in prompts)
            found += 1
    assert found == 17
    # Portuguese, whose rows say which one in two ways.
    groups = [
        group for prompt in load("rtp_lx_pt", path=str(samples_folder / "rtp_lx")).prompts for group in prompt.groups
    ]
    assert (groups.count("dialect=pt-BR"), groups.count("dialect=Portugal")) == (76, 4)


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
    with pytest.raises(DetoxbenchError, match="no prompt in language 'hi'"):
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


# --- All of them


def test_a_path_for_each_set(tmp_path, cache):
    write_parquet(pinned(cache, "ptp") / "ptp-fr" / "small-0.parquet", [ptp_row(0, "Du hub", 0.1)])
    lx = write_jsonl(tmp_path / "RTP_LX_FR.json", LX_ROWS).parent
    paths = {"rtp_lx": str(lx), "rtp": str(write_jsonl(tmp_path / "prompts.jsonl", RTP_ROWS))}
    assert len(load("rtp_lx_fr", path=paths).prompts) == 3
    assert len(load("rtp", path=paths).prompts) == 5
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
            where.lang: prompt_sets.sha256(prompt_sets.load_set(where, Options()).prompts)
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
    assert catalog.find(["rtp"]) == {"rtp": Where("rtp", "en")}
    assert catalog.find(["hellaswag"]) == {}


@pytest.fixture
def with_a_broken_and_a_foreign_set(monkeypatch):
    import sys
    import types

    module = types.ModuleType("somebodys_prompts")
    module.SET = PromptSet("mine", lambda where, options: Loaded([]), {"mine_en": Where("mine", "en")})
    monkeypatch.setitem(sys.modules, "somebodys_prompts", module)
    table = {"mine": "somebodys_prompts:SET", "broken": "no.such.module:SET"}
    monkeypatch.setattr(catalog, "PROMPTS", Registry("prompt set", table, "detoxbench.none"))
    catalog.sets.cache_clear()
    yield
    catalog.sets.cache_clear()


def test_other_packages_sets(with_a_broken_and_a_foreign_set, caplog):
    assert catalog.tasks() == {"mine_en": Where("mine", "en")}
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

    from detoxbench.harness import cli
    from detoxbench.harness.cli.prompts import prompts

    app = cli.typer.Typer()
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
    assert row["sha256"] == prompt_sets.sha256(load("rtp_toxic_10k", path=str(path)).prompts)
    assert "440" not in invoke("rtp_multilingual", "--verify")
    assert "did you mean 'rtp'" in invoke("rtpp")
    assert "--verify needs the name" in invoke("--verify")
    assert "not JSON" in invoke("rtp", "--metadata", "{")

"""A cell is known by everything that changes its output and by nothing else."""

from __future__ import annotations

import shutil

import pytest

from detoxbench.harness.sweep import content, plan, spec
from detoxbench.harness.sweep.store import Store


def runs(raw, tmp_path, root=None):
    out = tmp_path / "out"
    found = plan.plan(spec.parse(raw), out, Store(out / "artifacts", out / "cache"), root=root or tmp_path)
    return [job.digest for job in found.runs()]


BASE = {"methods": {"method": "self_debias", "arguments": {"decay": 50}}, "tasks": "rtp_multilingual_en", "limit": 2}


@pytest.mark.parametrize(
    "change",
    [
        {"seeds": 1},
        {"limit": 3},
        {"samples": 3},
        {"tasks": "rtp_multilingual_fr"},
        {"metadata": {"fluency_model": "none"}},
        {"methods": {"method": "self_debias", "arguments": {"decay": 51}}},
        {"methods": "none"},
        {"models": {"name": "mini", "args": {"dtype": "float32"}}},
        {"models": "gpt2"},
        {"models": {"name": "mini", "chat": True}},
    ],
)
def test_what_changes_the_output_is_another_cell(change, tmp_path):
    assert runs({**BASE, **change}, tmp_path) != runs(BASE, tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"methods": {"method": "self_debias", "arguments": {"decay": 50.0}, "label": "another name"}},
        {"methods": {"method": "self_debias"}},  # whose default is 50
        {"methods": {"method": "self_debias", "grid": {"decay": [50]}}},
        {"models": {"name": "mini", "label": "small", "args": {"max_batch_tokens": 100, "batch_size": 3}}},
        {"resources": {"cpus": 2, "gpus": 2, "processes": 2}},
        {"description": "what it is about"},
        {"seeds": [0, 0]},
    ],
)
def test_what_does_not_is_the_same_cell(change, tmp_path):
    assert runs({**BASE, **change}, tmp_path) == runs(BASE, tmp_path)


def test_files_count_by_content(tmp_path):
    for folder, text in (("a", "x"), ("b", "x"), ("c", "y")):
        (tmp_path / folder / "model").mkdir(parents=True)
        (tmp_path / folder / "model" / "weights.safetensors").write_text(text)
        (tmp_path / folder / "model" / "README.md").write_text(folder)
    raw = {**BASE, "models": "./model"}
    a, b, c = (runs(raw, tmp_path, tmp_path / folder) for folder in "abc")
    assert a == b != c
    (tmp_path / "a" / "model" / "weights.safetensors").write_text("y")
    assert runs(raw, tmp_path, tmp_path / "a") == c


def test_hashes_are_remembered_until_the_file_changes(tmp_path, monkeypatch):
    file = tmp_path / "big.bin"
    file.write_bytes(b"1" * 1000)
    first = content.Contents(tmp_path / "memory.json")
    before = first.of(str(file))
    first.save()
    monkeypatch.setattr(content.hashlib, "sha256", lambda: pytest.fail("it was hashed again"))
    assert content.Contents(tmp_path / "memory.json").of(str(file)) == before
    monkeypatch.undo()
    file.write_bytes(b"2" * 1000)
    assert content.Contents(tmp_path / "memory.json").of(str(file)) != before


def test_paths_are_found_beside_the_file_and_texts_stay_texts(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.jsonl").write_text("{}")
    assert content.resolved("data/a.jsonl", tmp_path) == str(tmp_path / "data" / "a.jsonl")
    for text in ("data", "owner/model", "s3://bucket/data", "The following text: ", "", 3, None, "a/" * 3000):
        assert content.resolved(text, tmp_path) == text
    spec = content.resolved("hf:data/a.jsonl,label=toxic", tmp_path)
    assert spec == f"hf:{tmp_path / 'data' / 'a.jsonl'},label=toxic"
    assert content.resolved("hf:owner/model,label=toxic", tmp_path) == "hf:owner/model,label=toxic"
    assert content.Contents().of(spec) == [
        "hf",
        content.Contents().of(str(tmp_path / "data" / "a.jsonl")),
        ",label=toxic",
    ]
    nested = {"paths": [str(tmp_path / "data" / "a.jsonl")]}
    assert set(content.Contents().of(nested)["paths"][0]) == {"sha256"}


def test_texts_of_a_smaller_number_are_part_of_every_larger_one(tmp_path):
    out = tmp_path / "out"
    store = Store("memory://texts-test", tmp_path / "cache")
    raw = {"methods": {"method": "goodtriever", "fit": {"langs": "en"}, "grid": {"fit.texts": [5, 20, None]}}}
    found = plan.plan(spec.parse(raw), out, store)
    fits = [job for job in found.jobs.values() if job.kind == plan.FIT]
    folders = [store.fetch(f"texts-{job.content['recipe']['texts']}") for job in fits]
    sides = [(folder / "toxic.jsonl").read_text().splitlines() for folder in folders]
    assert [len(side) for side in sides[:2]] == [5, 20]
    assert set(sides[0]) < set(sides[1]) < set(sides[2])
    assert [line for line in sides[2] if line in set(sides[1])] == sides[1]  # in their order
    shutil.rmtree(tmp_path / "cache")


def test_pairs_are_brought_along_and_count_by_content(tmp_path):
    (tmp_path / "p.tsv").write_text("toxic\tneutral1\tneutral2\nyou fool\tyou\tmy friend\nwhat rot\tno\t\n")
    (tmp_path / "q.jsonl").write_text(
        '{"toxic": "you fool", "neutral": "you"}\n{"toxic": "you fool", "neutral": "my friend"}\n'
        '{"toxic": "what rot", "neutral": "no"}\n'
    )
    store = Store(tmp_path / "store", tmp_path / "cache")
    raw = {"methods": {"method": "profs", "fit": {"pairs": "p.tsv"}, "grid": {"fit.texts": [2, None]}}}
    two, every = [
        job for job in plan.plan(spec.parse(raw), tmp_path / "out", store, root=tmp_path).jobs.values()
        if job.kind == plan.FIT
    ]  # fmt: skip
    folders = [store.fetch(f"texts-{job.content['recipe']['texts']}") for job in (two, every)]
    few, all_of_them = (set((folder / "pairs.jsonl").read_text().splitlines()) for folder in folders)
    assert (len(few), len(all_of_them)) == (2, 3)
    assert few < all_of_them
    raw["methods"]["fit"]["pairs"] = "q.jsonl"  # other columns, the same pairs
    again = plan.plan(spec.parse(raw), tmp_path / "out", store, root=tmp_path).jobs
    assert {two.digest, every.digest} <= set(again)

"""Rows in the official schemas, written for these tests, and a copy of the hub's cache that holds them."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pyarrow
import pyarrow.parquet

from detoxbench.core.registry import PROMPTS
from detoxbench.tasks import catalog
from detoxbench.tasks import prompts as prompt_sets
from detoxbench.tasks.options import Options


def load(task: str, **metadata: Any) -> prompt_sets.Loaded:
    """The prompts of a task under these options."""
    return prompt_sets.load_set(catalog.tasks()[task], Options.from_metadata(metadata))


def empty_cache(tmp_path: Path, monkeypatch: Any) -> Path:
    """An empty cache of the hub, and no network."""
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return folder


def pinned(cache: Path, name: str) -> Path:
    """Where the cache has a set's files at the commit that its card pins."""
    card = PROMPTS[name].card
    return in_hub_cache(cache, card.repository, card.revision)


def write_jsonl(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def rtp_row(number: int, toxicity: float | None, challenging: bool = False) -> dict[str, Any]:
    scores = dict.fromkeys(("profanity", "sexually_explicit", "identity_attack", "flirtation", "threat", "insult"), 0.1)
    return {
        "filename": f"0{number}-abc.txt",
        "begin": number,
        "end": number + 9,
        "challenging": challenging,
        "prompt": {
            "text": f"Neighbour number {number} said that",
            "toxicity": toxicity,
            "severe_toxicity": 0.0,
            **scores,
        },
        "continuation": {"text": " it was late.", "toxicity": 0.1, "severe_toxicity": 0.0, **scores},
    }


def ptp_row(number: int, text: str, toxicity: float) -> dict[str, Any]:
    return {"text": f"{text} and the rest of the document", "id": str(number), "prompt": text, "toxicity": toxicity}


def wildchat_row(number: int, text: str, toxicity: float) -> dict[str, Any]:
    return {
        "index": float(number),
        "prompt": text,
        "prompt_toxicity": toxicity,
        "prompt_perspective": {"attributeScores": None},
    }


def rtp_lx_row(number: int, text: str, toxicity: float, **changes: Any) -> dict[str, Any]:
    harms = ("IdentityAttack", "Bias", "Microaggression", "Violence", "SelfHarm", "Insult", "SexualContent")
    annotations = {"Toxicity": toxicity, **dict.fromkeys(harms, 1.0), **changes.pop("annotations", {})}
    return {
        "Prompt": text,
        "Completion": "",
        "Index": str(number),
        "Locale": "FR",
        "Dialect": "",
        "PromptAnnotations": annotations,
        **changes,
    }


def holistic_row(text: str, lang: str, axis: str, descriptor: str) -> dict[str, Any]:
    return {"prompt": {"text": text}, "lang": lang, "axis": axis, "bucket": "(none)", "descriptor": descriptor}


def in_hub_cache(cache: Path, repository: str, revision: str) -> Path:
    """The folder that ``huggingface_hub`` takes for a dataset's files at a commit, without a network."""
    folder = cache / f"datasets--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True, exist_ok=True)
    (folder / "refs" / "main").write_text(revision)
    snapshot = folder / "snapshots" / revision
    snapshot.mkdir(parents=True, exist_ok=True)
    return snapshot


def encrypted_zip(members: dict[str, bytes], password: bytes) -> bytes:
    """A ZIP archive in its traditional encryption (PKWARE's APPNOTE, 6.1), which Python reads but cannot write."""
    found, directory = b"", b""
    for name, data in members.items():
        crc = zlib.crc32(data)
        body = _encrypted(bytes(11) + bytes([crc >> 24]) + data, password)
        fields = (20, 1, 0, 0, 0x21, crc, len(body), len(data), len(name), 0)
        rest = (0, 0, 0, 0, len(found))  # no comment, first disk, no attributes, where the member begins
        directory += struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, *fields, *rest)
        directory += name.encode()
        found += struct.pack("<4s5H3L2H", b"PK\3\4", *fields) + name.encode() + body
    count = len(members)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), len(found), 0)
    return found + directory + end


def _encrypted(data: bytes, password: bytes) -> bytes:
    keys = [0x12345678, 0x23456789, 0x34567890]

    def crc(value: int, byte: int) -> int:
        return ~zlib.crc32(bytes([byte]), ~value & 0xFFFFFFFF) & 0xFFFFFFFF

    def update(byte: int) -> None:
        keys[0] = crc(keys[0], byte)
        keys[1] = ((keys[1] + (keys[0] & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
        keys[2] = crc(keys[2], keys[1] >> 24)

    for byte in password:
        update(byte)
    found = bytearray()
    for byte in data:
        mask = (keys[2] | 2) & 0xFFFF
        found.append(byte ^ ((mask * (mask ^ 1)) >> 8 & 0xFF))
        update(byte)
    return bytes(found)

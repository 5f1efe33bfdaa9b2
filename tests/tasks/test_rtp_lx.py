"""RTP-LX: human labels, the encrypted archive, and real samples."""

from __future__ import annotations

import json
import zipfile

import pytest
from prompt_rows import (
    encrypted_zip,
    load,
    rtp_lx_row,
    write_jsonl,
)

from detoxbench.core.errors import DetoxbenchError
from detoxbench.tasks import languages
from detoxbench.tasks.prompts import rtp_lx

# --- RTP-LX

LX_ROWS = [
    rtp_lx_row(1, "Bonjour à tous", 1.0),
    rtp_lx_row(2, "Espèce de", 3.0, annotations={"Insult": 2.3, "Violence": 2.0}, Dialect="Canada"),
    rtp_lx_row(2, "Le voisin", 4.6, annotations={"Bias": 1.6}, Locale="fr-BE"),
]


def test_rtp_lx_labels(tmp_path):
    write_jsonl(tmp_path / "RTP_LX_FR.json", LX_ROWS)
    first, second, third = load("rtp_lx_fr", path=str(tmp_path)).in_order
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
    assert found == 16
    # Portuguese, whose rows say which one in two ways.
    groups = [
        group for prompt in load("rtp_lx_pt", path=str(samples_folder / "rtp_lx")).prompts for group in prompt.groups
    ]
    assert (groups.count("dialect=pt-BR"), groups.count("dialect=Portugal")) == (76, 4)

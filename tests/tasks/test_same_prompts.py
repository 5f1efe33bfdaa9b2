"""A prompt file whose rows all say the same is noticed, in one line."""

import json
import logging

import pytest

from detoxbench.tasks.prompts.file import load


@pytest.mark.parametrize(
    ("texts", "warnings"), [(["So we"] * 200, 1), (["So we"], 0), (["So we"] * 199 + ["And you"], 0)]
)
def test_warning(tmp_path, caplog, texts, warnings):
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps({"text": text, "lang": "en"}) + "\n" for text in texts))
    with caplog.at_level(logging.WARNING):
        assert len(load(str(path), "en")) == len(texts)
    assert [("all 200 prompts are the same text" in one) for one in caplog.messages] == [True] * warnings
    assert not any("\n" in one for one in caplog.messages)

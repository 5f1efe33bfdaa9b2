"""Loading models: what is said on the way, and why one could not be had."""

from __future__ import annotations

import pytest
from huggingface_hub import constants
from huggingface_hub.errors import LocalEntryNotFoundError
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from huggingface_hub.utils import logging as hub_logging
from transformers.utils import logging as transformers_logging

from detoxbench.core import hub


def state() -> tuple[bool, int, bool]:
    return transformers_logging.is_progress_bar_enabled(), hub_logging.get_verbosity(), are_progress_bars_disabled()


@pytest.mark.parametrize("downloads", [True, False])
@pytest.mark.parametrize("bar", [True, False])
def test_quietly_and_back(bar, downloads):
    before = state()
    (enable_progress_bars if downloads else disable_progress_bars)()
    try:
        start = state()
        with hub.quietly(bar=bar):
            assert state() == (bar and start[0], hub_logging.ERROR, not downloads)
            with hub.quietly():
                assert state() == (False, hub_logging.ERROR, not downloads)
            assert state() == (bar and start[0], hub_logging.ERROR, not downloads)
        assert state() == start
        with pytest.raises(KeyError), hub.quietly():
            raise KeyError
        assert state() == start
    finally:
        (disable_progress_bars if before[2] else enable_progress_bars)()


def unreachable() -> OSError:
    error = OSError("We couldn't connect to 'https://huggingface.co' to load the files\nCheck your connection")
    error.__cause__ = LocalEntryNotFoundError("not there")
    return error


def test_a_model_out_of_reach(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    (tmp_path / "models--ai-forever--mGPT").mkdir()
    assert hub.cached() == ["ai-forever/mGPT"]
    line = hub.cause(unreachable(), "ai-forever/mGTP")
    assert line.startswith("it is no folder (did you mean 'ai-forever/mGPT'?), not in the hub's cache, and")
    assert "hf download ai-forever/mGTP" in line
    assert "\n" not in line
    assert "did you mean 'mini'?" in hub.cause(unreachable(), "mimi")
    assert "did you mean" not in hub.cause(unreachable(), "owner/something")


def test_any_other_error(tmp_path):
    assert hub.cause(ValueError("one\ntwo"), "x") == "one"
    assert hub.cause(ValueError(), "x") == "ValueError"
    assert hub.cause(unreachable(), str(tmp_path)).startswith("We couldn't connect")  # it is there: something else

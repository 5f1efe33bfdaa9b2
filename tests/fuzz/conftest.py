import pytest


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """No archive of the user's, no network."""
    monkeypatch.setenv("DETOXBENCH_ARCHIVE", str(tmp_path / "default.sqlite"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

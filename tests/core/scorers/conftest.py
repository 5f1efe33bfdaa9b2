"""Loopback only, no real key, no archive of the user's."""

import pytest
from fake_perspective import KEY, FakePerspective

from detoxbench.core.scorers.archive import ScoreArchive


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    monkeypatch.setenv("PERSPECTIVE_API_KEY", KEY)
    monkeypatch.setenv("DETOXBENCH_ARCHIVE", str(tmp_path / "default.sqlite"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("AZURE_CONTENT_SAFETY_KEY", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def serve():
    """Starts servers, and stops them at the end."""
    running = []

    def start(**settings) -> FakePerspective:
        running.append(FakePerspective(**settings).__enter__())
        return running[-1]

    yield start
    for server in running:
        server.__exit__()


@pytest.fixture
def archive(tmp_path):
    with ScoreArchive(tmp_path / "scores.sqlite") as found:
        yield found

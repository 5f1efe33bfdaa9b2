"""Links between documents lead somewhere, in the repository and on the site."""

from __future__ import annotations

import importlib.util
import re

import pytest
from commands import ROOT, documents

LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|^(?: {4}|\t)[^\n]*$", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("document", documents())
def test_relative_links(document):
    text = CODE.sub("", (ROOT / document).read_text(encoding="utf-8"))
    targets = [target.partition("#")[0] for target in LINK.findall(text) if not re.match(r"[a-z]+:|#", target)]
    missing = [target for target in targets if not ((ROOT / document).parent / target).exists()]
    assert not missing


def test_every_guide_can_be_found():
    """From the README, or from the site's menu."""
    shown = (ROOT / "README.md").read_text(encoding="utf-8") + (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for path in (ROOT / "docs").rglob("*.md"):
        assert path.relative_to(ROOT / "docs").as_posix() in shown, path


@pytest.fixture
def hooks():
    pytest.importorskip("mkdocs", reason="the extra 'docs' is not installed")
    spec = importlib.util.spec_from_file_location("site_hooks", ROOT / "docs" / "site_hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Page:
    """As mkdocs has it."""

    def __init__(self, uri: str):
        self.file = self
        self.src_uri = uri


def test_links_become_the_sites(hooks, monkeypatch):
    monkeypatch.delenv("DETOXBENCH_REPOSITORY", raising=False)

    def shown(markdown: str, uri: str) -> str:
        return hooks.on_page_markdown(markdown, Page(uri))

    assert shown("[a](docs/gate.md#the-test)", "index.md") == "[a](gate.md#the-test)"
    assert shown("[`a`](goodtriever/README.md) `b` [c](../docs/gate.md)", "methods/index.md") == (
        "[`a`](goodtriever.md) `b` [c](../gate.md)"
    )
    assert shown("![a](docs/images/scale.png)", "index.md") == "![a](images/scale.png)"
    for kept in ("`[a](b)`", "    [a](b)", "```\n[a](b)\n```", "[a](https://example.org/b)", "[a](#b)"):
        assert shown(kept, "index.md") == kept
    assert shown("[a](core/files.py)", "index.md") == "a"
    monkeypatch.setenv("DETOXBENCH_REPOSITORY", "https://example.org/r/")
    assert shown("[a](core/files.py)", "index.md") == "[a](https://example.org/r/blob/main/core/files.py)"
    with pytest.raises(Exception, match="there is no docs/none"):
        shown("[a](docs/none.md)", "index.md")

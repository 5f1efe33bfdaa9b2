"""Makes a site of documents that lie beside what they describe: README files of folders become pages.

Links between documents are those of the repository, so that they work where its files are read too; here they become
the site's. A link to a file without a page leads to the repository where ``DETOXBENCH_REPOSITORY`` says where that is
(GitHub's workflow does), and is plain text elsewhere. A link to nothing stops the build.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "build" / "docs-package" / "detoxbench"
"""The import package as it is installed, of links, for the reference; see ``setup.py``."""
NAMED = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "benchmarks.md",
    "core/ngram/README.md": "ngram.md",
    "docs/tutorials": "tutorials/measure.md",
    "examples/first_steps.ipynb": "first_steps.ipynb",
    "methods/README.md": "methods/index.md",
}
"""File of the repository -> page of the site."""
_PIECES = re.compile(
    r"(?P<code>^```.*?^```|^(?: {4}|\t)[^\n]*$)"
    r"|(?P<sign>!?)\[(?P<text>(?:[^\[\]`]|`[^`\n]*`|\[[^\]]*\])*)\]\((?P<target>[^)\s]+)\)"
    r"|`[^`\n]+`",
    re.DOTALL | re.MULTILINE,
)
"""Blocks of code, links and images, inline code: whichever begins first."""


def pages() -> dict[str, str]:
    """All of them."""
    found = dict(NAMED)
    for folder, site in (("methods", "methods"), ("tasks", "prompt-sets")):
        for path in sorted((ROOT / folder).glob("*/README.md")):
            found[path.relative_to(ROOT).as_posix()] = f"{site}/{path.parent.name}.md"
    for path in (ROOT / "docs").rglob("*"):
        if path.is_file() and path.suffix != ".py":
            found[path.relative_to(ROOT).as_posix()] = path.relative_to(ROOT / "docs").as_posix()
    return found


def on_startup(**_: Any) -> None:
    """The package for the reference."""
    PACKAGE.mkdir(parents=True, exist_ok=True)
    for target in (ROOT / "detoxbench" / "__init__.py", *(ROOT / name for name in ("core", "harness", "leaderboard",
                                                                                   "methods", "tasks"))):  # fmt: skip
        link = PACKAGE / target.name
        if not link.is_symlink():
            link.symlink_to(os.path.relpath(target, PACKAGE), target_is_directory=target.is_dir())


def on_files(files: Any, config: Any) -> Any:
    """Documents from outside the folder ``docs``."""
    for path, uri in pages().items():
        if not path.startswith("docs/"):
            files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The site's links in place of the repository's."""
    known = pages()
    origin = next(path for path, uri in known.items() if uri == page.file.src_uri and (ROOT / path).is_file())
    here = posixpath.dirname(page.file.src_uri)

    def piece(match: re.Match[str]) -> str:
        target = match["target"]
        if target is None or re.match(r"[a-z]+:|#", target):
            return match[0]
        path, _, anchor = target.partition("#")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), path))
        if not (ROOT / path).exists():
            raise PluginError(f"{origin}: a link to '{target}': there is no {path}")
        uri = known.get(path) or known.get(f"{path}/README.md")
        shown = f"{match['sign']}[{match['text']}]"
        if uri is not None:
            return f"{shown}({posixpath.relpath(uri, here or '.')}{'#' + anchor if anchor else ''})"
        repository = os.environ.get("DETOXBENCH_REPOSITORY", "").rstrip("/")
        kind = "tree" if (ROOT / path).is_dir() else "blob"
        return f"{shown}({repository}/{kind}/main/{path})" if repository else match["text"]

    return _PIECES.sub(piece, markdown)

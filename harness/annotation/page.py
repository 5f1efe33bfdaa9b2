"""The page that raters open: one HTML file that needs no network, sends nothing and runs nothing but its own script."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from .design import Design, Shown
from .questions import QUESTIONS

FOLDER = Path(__file__).parent / "templates"
KIND = "detoxbench ratings"
"""In what raters save."""
SCHEMA_VERSION = 1


def page(study: str, design: Design, items: Sequence[Shown]) -> str:
    """The whole file.

    Args:
        study: identity of the sample: answers are kept in the browser under it, and say which sample they are of.
        design: which questions are asked.
        items: in the order shown; of what they are made the page says nothing.
    """
    css, js = ((FOLDER / f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    questions = QUESTIONS[design]
    data = {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "study": study,
        "questions": [question.as_json() for question in questions],
        "items": [_item(shown) for shown in items],
    }
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(FOLDER), autoescape=True)
    return environment.get_template("page.html.j2").render(
        policy=policy(css, js), css=Markup(css), js=Markup(js), data=Markup(embedded(data)), number=len(items),
        questions=len(questions), pairs=design == "pairs", most=max(len(question.answers) for question in questions),
    )  # fmt: skip


def _item(shown: Shown) -> dict[str, Any]:
    first, *_ = shown.item.texts
    return {
        "id": shown.id,
        "lang": first.lang,
        "prompt": first.prompt,
        "texts": [text.text for text in shown.item.texts],
    }


def policy(css: str, js: str) -> str:
    """Content-Security-Policy: this style, this script, and nothing else from anywhere."""
    style, script = (
        f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'" for content in (css, js)
    )
    return f"default-src 'none'; style-src {style}; script-src {script}; base-uri 'none'; form-action 'none'"


def embedded(data: Any) -> str:
    """JSON that can stand in a ``script`` element whatever texts it has: no ``<`` ends it, no surrogate breaks it."""
    return json.dumps(data, allow_nan=False).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")

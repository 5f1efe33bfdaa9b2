"""The gate's findings as JSON."""

from __future__ import annotations

import json

from ..gate import Check


def json_report(found: Check | None, error: str | None = None) -> str:
    """All findings, or the reason why there are none; ASCII, so that lone surrogates are written too."""
    content: dict[str, object] = {"schema_version": 2, "error": error}
    if found is not None:
        content |= found.as_json()
    return json.dumps(content, indent=2, allow_nan=False) + "\n"

"""Which reasons for having no score are for good: a refusal of this very text. Everything else is asked again."""

from __future__ import annotations

import re

TEXT_ERRORS = ("COMMENT_EMPTY", "COMMENT_TOO_LONG", "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE")
"""Error types of the Perspective API that are of the text or its language."""
TEXT_CODES = ("content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation")
"""Error codes of servers that speak OpenAI's protocol: the text itself was filtered."""
FILTERED = "the server's filter refuses this text"
"""Begins the reason of such a refusal."""
EMPTY = "empty text"
NO_RATING = "the judge gave no rating"
"""Begins the reason where a judge answered something else, at temperature 0."""
UNSUPPORTED = re.compile(r"^language '.*' is not supported")
"""The reason where ``on_unsupported=nan`` leaves a language unscored."""
NO_TEXTS_FAULT = (401, 402, 403, 404, 405, 407, 410, 418, 421, 426, 451, 501, 511)
"""HTTP statuses of a server, or of what stands before it, that does not answer anybody; redirects likewise."""
_FINAL = re.compile(
    rf"^({'|'.join(TEXT_ERRORS)})\b|^{EMPTY}$|^{FILTERED}|^{NO_RATING}|^language '.*' is not supported"
    r"|^the model's output is not a number"
)
_PUBLISHED = re.compile(
    rf"{'|'.join(TEXT_ERRORS)}|[Cc]omment must be non-empty|[Cc]omment text too long|does not support request languages"
)


def is_final(reason: str) -> bool:
    """Whether a reason, as scorers of this package give them, is a refusal of the text itself."""
    return _FINAL.search(reason) is not None


def is_published_refusal(error: str) -> bool:
    """The same of an error of Perspective as others have published it, in the words of its client library."""
    return _PUBLISHED.search(error) is not None

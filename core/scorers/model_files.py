"""Files of models on the hub, for the scorers that run here: safetensors only, no code, and always a known commit."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from .. import hub
from ..errors import DetoxbenchError
from ..folders import expanded

FILES = ("*.json", "*.safetensors", "*.txt", "*.model")
"""What is fetched from the hub: no weights that would be unpickled, and no code."""
WORDS = tuple(pattern for pattern in FILES if pattern != "*.safetensors")
"""What a tokenizer, and a configuration, is made of."""
UNVERIFIED = "unverified"
"""As a preset's ``revision``: no commit could be read, so that the newest is taken, said and recorded."""
_COMMIT = re.compile(r"[0-9a-f]{40}")

logger = logging.getLogger(__name__)


def fetch(
    model: str, revision: str | None, patterns: Sequence[str] = FILES, kind: str = "hf"
) -> tuple[Path, str | None]:
    """The folder of a model, and its commit on the hub; None for a local one.

    A revision that is no commit, such as ``main``, names other weights tomorrow: which commit it is today is said in
    one line, and is part of the scorer's version.

    Args:
        model: a folder, or a model on the hub.
        revision: on the hub.
        patterns: of the files that are fetched.
        kind: of scorer, for messages.

    Raises:
        DetoxbenchError: if there is no such folder or model.
    """
    folder = expanded(model)
    if folder.is_dir():
        if revision is not None:
            raise DetoxbenchError(
                f"scorer '{kind}:{model}': revision={revision} is for models on the hub; this is a folder"
            )
        return folder, None
    if model.startswith(("/", ".", "~")) or model.count("/") > 1:
        raise DetoxbenchError(f"scorer '{kind}:{model}': there is no such folder; give a folder or a model on the hub")
    from huggingface_hub import snapshot_download

    try:
        with hub.quietly():
            folder = Path(snapshot_download(model, revision=revision, allow_patterns=list(patterns)))
    except Exception as error:  # a dozen kinds, from no network to a gated model
        why = hub.cause(error, model)
        raise DetoxbenchError(f"scorer '{kind}:{model}': cannot be fetched from the hub: {why}") from None
    commit = folder.name
    if revision is None or not _COMMIT.fullmatch(revision):
        asked = "no commit was asked for" if revision is None else f"revision={revision} is no commit"
        logger.warning(
            f"scorer '{kind}:{model}': {asked}; this run uses {commit} and results record it: give revision={commit} "
            "for the same weights next time"
        )
    return folder, commit


def check_weights(model: str, folder: Path, commit: str | None, kind: str = "hf") -> None:
    """Refuse weights that would have to be unpickled.

    Raises:
        DetoxbenchError: without a configuration or safetensors, with the revision that has them if the hub says so.
    """
    if (folder / "config.json").is_file() and any(folder.glob("*.safetensors")):
        return
    found = converted(model) if commit is not None else None
    raise DetoxbenchError(
        f"scorer '{kind}:{model}': needs a config.json and weights as .safetensors; other weights are not loaded, "
        "since unpickling them can run code. "
        + (f"The hub has them: add revision={found}." if found else "Convert them with save_pretrained.")
    )


def converted(model: str) -> str | None:
    """The open pull request on the hub that adds safetensors, as a revision; None if none is known."""
    from huggingface_hub import get_repo_discussions

    try:
        for one in get_repo_discussions(model):
            if one.is_pull_request and one.status in ("open", "draft") and "safetensors" in one.title.lower():
                return f"refs/pr/{one.num}"
    except Exception:
        return None
    return None

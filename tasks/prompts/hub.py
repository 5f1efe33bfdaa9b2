"""Files of a dataset on the Hugging Face hub at a pinned commit; from its cache where there is no network."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ...core.errors import DetoxbenchError

SHA = re.compile(r"[0-9a-f]{40}")


def snapshot(repository: str, revision: str, patterns: Sequence[str], instead: str) -> tuple[list[Path], str]:
    """The files of a dataset repository that match the patterns.

    Args:
        repository: ``owner/name``.
        revision: commit, tag or branch.
        patterns: glob patterns within the repository.
        instead: what the user can do where it is out of reach.

    Returns:
        The files, sorted, and the commit that the revision stands for.

    Raises:
        DetoxbenchError: if the data is neither within reach nor in the cache, needs an agreement, or has no such file.
    """
    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    page = f"https://huggingface.co/datasets/{repository}"
    try:
        folder = Path(
            huggingface_hub.snapshot_download(
                repository, repo_type="dataset", revision=revision, allow_patterns=list(patterns)
            )
        )
    except GatedRepoError:
        raise DetoxbenchError(
            f"{repository}: accept its terms at {page}, then log in with `hf auth login` or set HF_TOKEN; {instead}"
        ) from None
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, ConnectionError):
        raise DetoxbenchError(
            f"{repository} is not in the local cache and the hub is out of reach; run once with a network, or get the "
            f"files from {page}/tree/{revision} and {instead}"
        ) from None
    except (HfHubHTTPError, OSError, ValueError) as error:
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DetoxbenchError(f"{repository} at revision {revision}: {line}; {instead}") from None
    found = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
    if not found:
        raise DetoxbenchError(
            f"{repository}: none of {', '.join(patterns)} at revision {revision}, or only other files of it are in the "
            f"local cache; run once with a network, or get the files from {page}/tree/{revision} and {instead}"
        )
    commit = folder.name if SHA.fullmatch(folder.name) else revision
    return found, commit

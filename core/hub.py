"""Loading models with transformers: what it says on the way, and why one could not be had, in one line."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterator
from pathlib import Path

from .constants import MINI


@contextlib.contextmanager
def quietly(*, bar: bool = False) -> Iterator[None]:
    """What is loaded here needs no lines of its own: no bar of weights, which the base model alone shows, and no line
    for each time that an unreachable hub is asked again. Downloads still show how far they are.

    Args:
        bar: show the bar of weights.
    """
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
    from huggingface_hub.utils import logging as hub
    from transformers.utils import logging as transformers

    shown, level = transformers.is_progress_bar_enabled(), hub.get_verbosity()
    downloads = not are_progress_bars_disabled()
    hub.set_verbosity_error()
    if shown and not bar:
        transformers.disable_progress_bar()  # of the hub's downloads as well
        if downloads:
            enable_progress_bars()
    try:
        yield
    finally:
        hub.set_verbosity(level)
        if shown and not bar:
            transformers.enable_progress_bar()
            if not downloads:
                disable_progress_bars()


def cause(error: BaseException, name: str) -> str:
    """Why a model could not be loaded, in one line.

    Args:
        error: of transformers or the hub.
        name: what was asked for: a folder, or a name on the hub.
    """
    if _unreachable(error) and not Path(name).exists():
        near = difflib.get_close_matches(name, [MINI, *cached()], n=1)
        guess = f" (did you mean '{near[0]}'?)" if near else ""
        return (
            f"it is no folder{guess}, not in the hub's cache, and the hub cannot be reached from here: give a folder, "
            f"or download it where there is a network: hf download {name}"
        )
    return line_of(error)


def line_of(error: BaseException) -> str:
    """The first line of an error, or its kind."""
    said = (
        " ".join(error.args) if len(error.args) > 1 and all(isinstance(one, str) for one in error.args) else str(error)
    )
    lines = said.strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _unreachable(error: BaseException | None) -> bool:
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    while error is not None:
        if isinstance(error, LocalEntryNotFoundError | OfflineModeIsEnabled | ConnectionError):
            return True
        error = error.__cause__ or error.__context__
    return False


def cached() -> list[str]:
    """Names of the models that the hub's cache has a folder of."""
    from huggingface_hub import constants

    folders = Path(constants.HF_HUB_CACHE).glob("models--*")
    return sorted(folder.name.removeprefix("models--").replace("--", "/") for folder in folders)

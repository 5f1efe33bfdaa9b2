"""The folder that a run's results go to, below ``--output_path``.

lm-eval names it after ``pretrained`` alone, and at random where that is not given: two methods on one model would share
a folder, and the embedded model would have another one at each run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.constants import MINI


def name(model: Any, arguments: Mapping[str, Any]) -> str:
    """The model, its adapter and the method: ``mini__goodtriever``, ``ai-forever/mGPT__dexperts``, ``mini``.

    Args:
        model: lm-eval's, by name or as an object.
        arguments: of ``--model_args``.
    """
    if not isinstance(model, str):
        pretrained, method = getattr(model, "name", type(model).__name__), getattr(model, "method", "none")
        return _joined(pretrained, None, method)
    pretrained = arguments.get("pretrained", MINI)
    return _joined(pretrained, arguments.get("peft"), arguments.get("method", "none"))


def _joined(pretrained: Any, adapter: Any, method: Any) -> str:
    parts = [_short(pretrained), *([_short(adapter)] if adapter else []), *([str(method)] if method != "none" else [])]
    return "__".join(parts)


def _short(model: Any) -> str:
    """A hub name as it is, of a folder its own name: where it lies on this machine is nobody's business."""
    if not isinstance(model, str | Path):
        return type(model).__name__
    folder = Path(model).expanduser()
    return folder.resolve().name if folder.is_dir() else str(model)

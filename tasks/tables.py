"""lm-eval's own table, kept readable: one row a metric, its interval beside the value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..core.constants import FAILED_SHARE_WARNING, MINI
from ..core.metrics import METRICS
from ..core.metrics.fractions import HIGH, LOW
from .protocols import RTP

SUFFIX = ",none"
CALIBRATED = "calibrated:"
"""How the names of such scorers begin."""


def shorten(result_dict: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of lm-eval's results for display only: of our tasks, ``value [low, high]`` for each metric.

    Bounds and subsets of prompts stay in the results file and in ``detoxbench report``.
    """
    shown = dict(result_dict)
    label = _label(result_dict)
    for column in ("results", "groups"):
        if column in shown:
            shown[column] = {
                name: _short(row, label + _sampling(name, result_dict)) for name, row in shown[column].items()
            }
    return shown


def _sampling(name: str, result_dict: Mapping[str, Any]) -> str:
    """`` (K=10, ptp)`` for a task, or a group of them, that is not sampled as usual: lm-eval's table has all tasks of a
    run, whatever their protocols."""
    configs = result_dict.get("configs", {})
    members = result_dict.get("group_subtasks", {}).get(name) or [name]
    block = next((configs[task]["detoxbench"] for task in members if "detoxbench" in configs.get(task, {})), {})
    parts = (
        [f"K={block.get('samples')}", block["sampling_protocol"]] if block.get("sampling_protocol", RTP) != RTP else []
    )
    parts += [block["protocol"]] if block.get("protocol", "base") != "base" else []
    return f" ({', '.join(parts)})" if parts else ""


def _label(result_dict: Mapping[str, Any]) -> str:
    """`` (mini)`` if the prompts, the scorer or the model are the embedded ones: such numbers are no real model's; and
    `` (calibrated)`` if the scores are not the scorer's own."""
    model = result_dict.get("config", {}).get("detoxbench", {}).get("pretrained")
    blocks = [config.get("detoxbench", {}) for config in result_dict.get("configs", {}).values()]
    names = {str(block.get("scorer")) for block in blocks}
    used = {model, *(block.get("prompt_set") for block in blocks)}
    used |= {name.removeprefix(CALIBRATED).partition("->")[0].partition(":")[0] for name in names}
    calibrated = any(name.startswith(CALIBRATED) for name in names)
    return (f" ({MINI})" if MINI in used else "") + (" (calibrated)" if calibrated else "")


def _short(row: Mapping[str, Any], label: str) -> Mapping[str, Any]:
    main = "expected_max_toxicity" + SUFFIX
    if main not in row:
        return row
    kept = {key: row[key] for key in ("name", "alias", "sample_len") if key in row}
    kept["alias"] = f"{kept.get('alias', '')}{label}"
    for name in METRICS:
        if name + SUFFIX in row and not (name == "failed_fraction" and row[name + SUFFIX] <= FAILED_SHARE_WARNING):
            kept[name + SUFFIX] = _value(
                row[name + SUFFIX], row.get(name + LOW + SUFFIX), row.get(name + HIGH + SUFFIX)
            )
    return kept


def _value(value: float, low: float | None, high: float | None) -> str:
    if math.isnan(value):
        return "not measured"
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"

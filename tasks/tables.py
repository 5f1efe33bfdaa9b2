"""lm-eval's own table, kept readable: one row a metric, its interval beside the value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..core.constants import FAILED_SHARE_WARNING, MINI
from ..core.metric_names import HIGH, LOW, MEASURED
from ..core.metrics import METRICS, with_role
from .protocols import RTP

SUFFIX = ",none"
FAILED = "failed_fraction"
"""Shown only where it is worth a warning."""
CALIBRATED = "calibrated:"
"""How the names of such scorers begin."""


def shorten(result_dict: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of lm-eval's results for display only: of our tasks, ``value [low, high]`` of each metric with a role.

    The other metrics, bounds and subsets of prompts stay in the results file and in ``detoxbench report``.
    """
    shown = dict(result_dict)
    label = _label(result_dict)
    for column in ("results", "groups"):
        if column in shown:
            shown[column] = {
                name: _short(row, label + _sampling(name, result_dict)) for name, row in shown[column].items()
            }
    return shown


def without_nan(result_dict: dict[str, Any]) -> dict[str, Any]:
    """lm-eval's results with null for what our tasks, and their groups, did not measure: no toxic prompt, no fluency
    model. lm-eval would write a bare NaN, which strict readers of JSON refuse; its own tables take either."""
    for column in ("results", "groups"):
        for row in result_dict.get(column, {}).values():
            if f"{MEASURED}{SUFFIX}" in row or with_role("primary")[0] + SUFFIX in row:
                for key, value in row.items():
                    if isinstance(value, float) and math.isnan(value):
                        row[key] = None
    return result_dict


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
    used |= {source(name) for name in names}
    calibrated = any(name.startswith(CALIBRATED) for name in names)
    return (f" ({MINI})" if MINI in used else "") + (" (calibrated)" if calibrated else "")


def source(scorer: str) -> str:
    """The registered name of whose judgement a scorer's numbers are: of a calibrated one, of the scorer behind it.

    >>> source("calibrated:mini:reward->perspective")
    'mini'
    """
    return scorer.removeprefix(CALIBRATED).partition("->")[0].partition(":")[0]


def _short(row: Mapping[str, Any], label: str) -> Mapping[str, Any]:
    (main,) = with_role("primary")
    if main + SUFFIX not in row:
        return row
    kept = {key: row[key] for key in ("name", "alias", "sample_len") if key in row}
    kept["alias"] = f"{kept.get('alias', '')}{label}"
    for name, metric in METRICS.items():
        key = name + SUFFIX
        if key not in row or not metric.roles or (name == FAILED and (row[key] or 0.0) <= FAILED_SHARE_WARNING):
            continue
        kept[key] = _value(row[key], row.get(name + LOW + SUFFIX), row.get(name + HIGH + SUFFIX))
    return kept


def _value(value: float | None, low: float | None, high: float | None) -> str:
    if value is None or math.isnan(value):
        return "not measured"
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return f"{value:.3f}"
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"

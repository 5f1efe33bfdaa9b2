"""``continual.json`` of a study: what it was, its matrices, and what they say in a few lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...core import results as files
from ...core.continual_file import KIND, MACRO, SCHEMA, difference, level
from ...core.parsing import parse_json
from .measured import Measured, measured
from .results import Matrix, order_effects
from .run import Cell, Study, statics


def summarize(study: Study, runs: Mapping[Cell, files.Run]) -> dict[str, Any]:
    """The content of ``continual.json``; see ``results`` for the entries."""
    spec, columns = study.spec, study.columns
    metrics = list(dict.fromkeys(spec.metrics))

    def of(variant: str, steps: tuple[str, ...], at_once: bool = False) -> Measured:
        wanted = [run for cell, run in runs.items()
                  if (cell.variant, cell.steps, cell.at_once) == (variant, steps, at_once)]  # fmt: skip
        return measured(wanted, columns, metrics)

    base = of("", ())
    at_once = {frozenset(steps): steps for steps in statics(spec)}
    series, effects = [], []
    for variant in spec.data:
        matrices = []
        for order in spec.orders:
            after = [of(variant, order[:end]) for end in range(1, len(order) + 1)]
            static = of(variant, at_once[frozenset(order)], True) if spec.static else None
            matrices.append(Matrix(order, base, after, list(columns), metrics, static))
            folders = [study.folder(Cell(variant, order[:end], spec.seeds[0], last=end == len(order))).name
                       for end in range(1, len(order) + 1)]  # fmt: skip
            texts = {step: study.data.counts(variant, step) for step in order}
            series.append({"variant": variant, "order": list(order), "runs": folders, "texts": texts,
                           "metrics": matrices[-1].as_json()})  # fmt: skip
        effects += [{"variant": variant, **effect} for effect in order_effects(matrices)]
    first = next(iter(runs.values()))
    task = next(iter(first.tasks.values())).record
    directions = _directions(first.path)
    return {
        "kind": KIND, "schema_version": SCHEMA, "model": spec.model, "method": spec.method,
        "arguments": dict(spec.arguments), "fit": dict(spec.fit),
        **({"update": spec.update} if spec.growth().kind == "retrain" else {}),
        **({"combine": spec.combine} if spec.growth().kind == "vectors" else {}),
        "samples": spec.samples, "limit": spec.limit, "seeds": list(spec.seeds), "prompt_set": task.prompt_set,
        "scorer": task.scorer, "scorer_version": task.scorer_version, "fluency_model": task.fluency_model,
        "columns": list(columns), "tasks": {name: column.model_dump() for name, column in columns.items()},
        "prompts": {name: len(rows) for name, rows in base.rows.items()},
        "metrics": {name: {"higher_is_better": directions.get(name)} for name in metrics},
        "series": series, "order_effects": effects,
    }  # fmt: skip


def _directions(path: Path) -> dict[str, bool]:
    """Metric -> whether higher is better, from lm-eval's file."""
    found = parse_json(path.read_text(encoding="utf-8")).get("higher_is_better", {})
    return {name: direction for task in found.values() for name, direction in task.items() if direction is not None}


def markdown(content: Mapping[str, Any], metric: str) -> Iterator[str]:
    """Lines: for each order the matrix of changes against the base, then transfer, forgetting and own steps."""
    columns = content["columns"]
    for series in content["series"]:
        found, order = series["metrics"][metric], series["order"]
        yield f"### {_cell(metric.replace('_', ' '))}: {_cell(series['variant'])}, {_cell(' '.join(order))}"
        yield ""
        yield "| after step | " + " | ".join(map(_cell, columns)) + " | mean | transfer | forgetting |"
        yield "| --- |" + " --- |" * (len(columns) + 3)
        base = found["base"]
        yield _row("base", [level(base[column]) for column in (*columns, MACRO)] + ["", ""])
        for at, step in enumerate(order):
            row = found["change"][at]
            cells = [difference(row[column], step == column) for column in (*columns, MACRO)]
            forgotten = found["forgetting"][at]
            yield _row(f"{at + 1}. +{step}", [
                *cells, difference(found["transfer"][at]), difference(forgotten[MACRO] if forgotten else None),
            ])  # fmt: skip
        if "static" in found:
            changes = found["static"]["change"]
            yield _row("all at once", [difference(changes[column]) for column in (*columns, MACRO)] + ["", ""])
        if found["own_step"]:
            own = found["own_step"]
            yield _row("own step less others", [difference(own.get(column)) for column in (*columns, MACRO)] + ["", ""])
        yield ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _row(name: str, cells: list[str]) -> str:
    return f"| {_cell(name)} | " + " | ".join(cells) + " |"

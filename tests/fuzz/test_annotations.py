"""What raters said, mutated, beside results: ``report`` and the site end with a line, and never take its word."""

import json

import mutate
import pytest


@pytest.fixture
def rated(tmp_path):
    """A run beside what people said of it, as ``detoxbench annotate --import`` writes it."""
    import gate_files

    folder = gate_files.write(tmp_path / "run", [[0.25, 0.75], [0.5, 1.0]], languages=("en", "fr"))
    (results,) = folder.glob("results_*.json")
    figure = {"value": 0.5, "low": 0.25, "high": 0.75}
    share = {"labelled": 8, "scorer": 0.4, "prediction_powered": {**figure, "weight": 1.0}, "rogan_gladen": figure}
    cell = {"texts": 12, "toxic": share, "fluent": {"mean": figure}, "on_topic": {"mean": figure}}
    again = {"answers": 2, "same": figure, "kappa": figure}
    content = {
        "kind": "detoxbench annotations", "schema_version": 1, "study": "abc", "design": "rating", "per_cell": 8,
        "seed": 0, "cut": 3.0, "runs": {results.name: "mini, none"}, "texts": 16, "texts_rated": 16,
        "raters": [{"name": "ann", "answered": 16, "skipped": 0}], "base": results.name,
        "agreement": {"toxic": {"texts": 16, "alpha": figure, "kappa": figure, "self": again}},
        "validity": {"scorers": [{"name": "mini", "macro": {"figures": {"auc": figure}}}]},
        "estimates": {results.name: {"en": cell, "fr": cell, "macro": cell}}, "differences": {},
    }  # fmt: skip
    path = folder / f"annotations_rating_{results.name.removeprefix('results_')}"
    path.write_text(json.dumps(content))
    return folder, path, content


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["table", "json"])
def test_report(rated, options):
    folder, path, content = rated
    assert mutate.run("report", str(folder), *options)[0] == 0

    def mutation(rng):
        whole = json.dumps(mutate.changed(content, rng)).encode()
        return mutate.mutated_bytes(whole, rng) if rng.randrange(4) == 0 else whole

    mutate.check(mutation, path, "report", str(folder), *options)


def test_site(rated, tmp_path):
    folder, path, content = rated
    command = ("leaderboard", str(folder), "--out", str(tmp_path / "site"))
    assert mutate.run(*command)[0] == 0
    mutate.check(lambda rng: json.dumps(mutate.changed(content, rng)).encode(), path, *command)

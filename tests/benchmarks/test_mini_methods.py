"""The table of all methods on the embedded model: what it asks, how it is written, which records it renews."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from detoxbench.core.registry import METHODS
from detoxbench.core.statistics import Interval
from detoxbench.leaderboard import submissions
from detoxbench.leaderboard.site.sources import Sources

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def mini_methods():
    spec = importlib.util.spec_from_file_location("mini_methods", ROOT / "benchmarks" / "mini_methods.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["mini_methods"] = module  # where its dataclass looks its names up
    yield spec.loader.exec_module(module) or module
    del sys.modules["mini_methods"]


def interval(value, low, high):
    return Interval(value, low, high, "bca", 40, 100, 0.95)


@pytest.fixture
def rows(mini_methods):
    base = mini_methods.Row("none", interval(0.69, 0.66, 0.72), interval(5.9, 4.2, 12.2), 0.979)
    good = mini_methods.Row(
        "dexperts", interval(0.2, 0.19, 0.22), interval(5.4, 4.7, 6.6), 0.964, (-0.49, -0.52, -0.46), -0.71, 0.93, -0.01
    )
    return [base, good]


def test_every_registered_method_has_its_run(mini_methods):
    assert sorted(["none", *mini_methods.every()]) == sorted(METHODS)


def test_the_table_by_hand(mini_methods, rows):
    assert mini_methods.table(rows).splitlines()[2:] == [
        "| none | 0.690 [0.660, 0.720] | – | 5.9 [4.2, 12.2] | – | 97.9% |",
        "| dexperts | 0.200 [0.190, 0.220] | -0.490 [-0.520, -0.460] (-71%) | 5.4 [4.7, 6.6] | 0.93× | 96.4% |",
    ]


@pytest.mark.parametrize(
    ("share", "ratio", "points", "wanted"),
    [
        (-0.2, 1.5, -0.05, ""),
        (-0.16, 1.0, 0.0, "toxicity -16%, of -20%"),
        (-0.5, 2.11, -0.073, "perplexity 2.11×, of 1.5×; language -7.3 points, of -5"),
        (float("-inf"), float("nan"), 0.0, "perplexity nan×, of 1.5×"),
    ],
)
def test_what_falls_short(mini_methods, rows, share, ratio, points, wanted):
    one = mini_methods.Row("a", rows[0].toxicity, rows[0].perplexity, 0.9, (0.0, 0.0, 0.0), share, ratio, points)
    assert one.falls_short() == wanted


def test_the_readme_has_a_place_for_it(mini_methods):
    page = (ROOT / "README.md").read_text()
    found = mini_methods.put(page, "| a\\1 | b |\n")
    before, _, after = found.partition(f"{mini_methods.BEGIN}\n| a\\1 | b |\n\n{mini_methods.END}")
    assert page.startswith(before)
    assert after
    assert page.endswith(after)
    assert mini_methods.put(found, "| a\\1 | b |\n") == found
    with pytest.raises(SystemExit, match="has no place for the table"):
        mini_methods.put("# none", "")


def test_records_of_mini_are_renewed_and_no_others(mini_methods, tmp_path, monkeypatch):
    runs = tmp_path / "runs"
    shutil.copytree(ROOT / "leaderboard" / "runs", runs)
    records = [submissions.read(path) for path in sorted(runs.glob("*.json"))]
    mine = next(
        one for one in records if one.model and (one.model.pretrained, one.model.method) == ("mini", "dexperts")
    )
    later = submissions.RunRecord.model_validate({**mine.model_dump(), "date": "2027-01-01T00-00-00.000000"})
    name = submissions.content_named.digest(submissions.to_text(later).encode())
    later = later.model_copy(update={"id": name})
    monkeypatch.setattr(mini_methods, "gather", lambda paths: Sources([later]))
    mini_methods.renew(runs, tmp_path, ["none", "dexperts"])
    kept = {one.id for one in records if not (one.model and mini_methods.ours(vars(one.model), ["none", "dexperts"]))}
    assert {path.stem for path in runs.glob("*.json")} == kept | {name}
    assert len(kept) < len(records)
    monkeypatch.setattr(mini_methods, "gather", lambda paths: Sources(problems=["a: broken"]))
    with pytest.raises(SystemExit, match="no record was changed:\na: broken"):
        mini_methods.renew(runs, tmp_path, ["dexperts"])
    assert {path.stem for path in runs.glob("*.json")} == kept | {name}

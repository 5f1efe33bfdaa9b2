"""A study's metrics are checked before anything is fitted."""

import pytest
from small_study import SMALL

from detoxbench.core.errors import DetoxbenchError
from detoxbench.harness.continual import spec
from detoxbench.harness.continual.run import Study


def study(tmp_path, **changed):
    return Study(spec.parse({**SMALL, **changed}), tmp_path / "out")


def test_known_ones(tmp_path):
    study(tmp_path, metrics=["toxic_fraction", "expected_max_toxicity_toxic_prompts"])
    study(tmp_path, metrics=["perplexity"], metadata={})
    given = {name: value for name, value in SMALL.items() if name != "metrics"}
    Study(spec.parse(given), tmp_path / "out")  # the default ones, without a fluency model


@pytest.mark.parametrize(
    ("metrics", "message"),
    [(["toxic_fractoin"], "unknown metric 'toxic_fractoin'.*toxic_fraction"),
     (["toxic_fraction_ci_low"], "unknown metric"),
     (["expected_max_toxicity", "perplexity"], "metrics: 'perplexity' is measured by a fluency model.*'none'"),
     (["perplexity_toxic_prompts"], "metrics: 'perplexity_toxic_prompts' is measured by a fluency model")],
)  # fmt: skip
def test_others(tmp_path, metrics, message):
    with pytest.raises(DetoxbenchError, match=message):
        study(tmp_path, metrics=metrics)
    assert not (tmp_path / "out").exists()

"""Lazy tables and errors that say what to do."""

import pytest

from detoxbench.core.errors import DetoxbenchError, missing_extra, unknown
from detoxbench.core.registry import METHODS, SCORERS, Registry


def test_unknown_names_the_nearest():
    with pytest.raises(DetoxbenchError, match="unknown scorer 'mimi': did you mean 'mini'"):
        SCORERS["mimi"]
    assert "did you mean" not in str(unknown("scorer", "zzz", ["mini"]))


def test_every_registered_thing_loads():
    for registry in (SCORERS, METHODS):
        assert len(registry) > 0
        for name in registry:
            assert registry[name] is not None


def test_a_module_that_cannot_be_imported():
    broken = Registry("scorer", {"broken": "no.such.module:Thing"}, "detoxbench.none")
    with pytest.raises(DetoxbenchError, match="scorer 'broken' cannot be loaded"):
        broken["broken"]


def test_missing_extra_names_the_command():
    assert "pip install 'detoxbench[cpu]'" in str(missing_extra("faiss", "cpu", "an IVF-PQ index"))

"""Progress of fits: a bar on a terminal, lines anywhere else."""

from __future__ import annotations

import io
import sys

from detoxbench.methods.training import work


def shown(monkeypatch, every, run) -> list[str]:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(work, "EVERY", every)
    run()
    assert "\r" not in stream.getvalue()
    return stream.getvalue().splitlines()


def test_two_lines_of_what_is_quick(monkeypatch):
    lines = shown(monkeypatch, 60.0, lambda: list(work.bar(range(500), desc="texts", unit="text")))
    assert len(lines) == 2
    assert lines[0].startswith("texts:   0%")
    assert "500/500" in lines[1]


def test_a_line_each_time_that_enough_time_has_passed(monkeypatch):
    def run() -> None:
        with work.bar(total=3, desc="outer", unit="step") as outer:
            for _ in range(3):
                with work.bar(total=1, desc="inner") as inner:
                    inner.update()
                outer.set_postfix(loss="1.0", refresh=False)
                outer.update()

    lines = shown(monkeypatch, 0.0, run)
    assert all(lines)
    assert sum(line.startswith("outer") for line in lines) == 4
    assert "3/3" in lines[-1]
    assert "loss=1.0" in lines[-1]


def test_nothing_of_other_processes_and_one_line_of_what_does_not_end(monkeypatch):
    assert shown(monkeypatch, 60.0, lambda: list(work.bar(range(5), disable=True))) == []

    def run() -> None:
        bar = work.bar(total=10, desc="texts")
        bar.update(3)
        bar.close()

    assert "3/10" in shown(monkeypatch, 60.0, run)[-1]

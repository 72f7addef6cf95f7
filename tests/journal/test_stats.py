"""PipelineStats: counts add up, time is measured, the slowest are named."""

from __future__ import annotations

import json
import time

import pytest

from crown.journal.stats import PipelineStats, measured


def test_counts_errors_bytes_and_exit_code() -> None:
    stats = PipelineStats()
    stats.succeeded("a", size_bytes=10)
    stats.succeeded("b", size_bytes=5)
    stats.fail("c", "BadInput")
    stats.fail("d", "BadInput")
    stats.fail("e", "TemporaryFailure")
    stats.skip(4)
    assert (stats.total, stats.successful, stats.failed, stats.skipped) == (9, 2, 3, 4)
    assert stats.errors == {"BadInput": 2, "TemporaryFailure": 1}
    assert stats.bytes == 15
    assert stats.exit_code == 1
    assert PipelineStats(2, 1, 0, 1).exit_code == 0


def test_execution_time_is_measured_even_when_the_work_fails() -> None:
    """CrownPipe's was always 0."""
    start = time.perf_counter()
    with pytest.raises(ZeroDivisionError), measured() as stats:
        sum(1 / (1000 - n) for n in range(2000))
    elapsed = (time.perf_counter() - start) * 1000
    assert 0 < stats.execution_ms <= elapsed


def test_the_slowest_three_are_named_slowest_first() -> None:
    stats = PipelineStats()
    for subject, seconds in (("a", 1.0), ("b", 4.0), ("c", 2.0), ("d", 3.0)):
        stats.succeeded(subject, seconds=seconds)
    assert stats.slowest == [(4.0, "b"), (3.0, "d"), (2.0, "c")]


def test_merging_adds_and_keeps_the_slowest_of_both() -> None:
    first, second = PipelineStats(), PipelineStats()
    first.succeeded("a", seconds=1, size_bytes=1)
    first.fail("b", "BadInput", seconds=9)
    second.succeeded("c", seconds=5, size_bytes=2)
    second.succeeded("d", seconds=7)
    second.fail("e", "BadInput")
    first.execution_ms, second.execution_ms = 10, 20
    both = first.merge(second)
    assert json.loads(json.dumps(both.as_dict())) == {
        "total": 5,
        "successful": 3,
        "failed": 2,
        "skipped": 0,
        "errors": {"BadInput": 2},
        "bytes": 3,
        "execution_ms": 30,
        "slowest": [
            {"subject": "b", "seconds": 9},
            {"subject": "d", "seconds": 7},
            {"subject": "c", "seconds": 5},
        ],
    }
    assert (first.total, second.total) == (2, 3)

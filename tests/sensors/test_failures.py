"""A queue that fails is told once, by the real sensor on a real instance."""

from __future__ import annotations

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from resources.database import DatabaseResource
from sensors.failures import decide, failed_runs
from sensors.schedules import QUEUE

FAILURE, SUCCESS = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS


@dg.op
def step() -> None:
    raise dg.Failure("No space left\non /srv/media; free some.")


@dg.op
def sound() -> None:
    """Nothing goes wrong."""


@dg.job(tags={QUEUE: "product_images"})
def broken() -> None:
    step()


@dg.job(tags={QUEUE: "product_images"})
def mended() -> None:
    sound()


@dg.job
def without_pool() -> None:
    step()


class Daemon:
    """Evaluates the sensor as the daemon does, from tick to tick."""

    def __init__(self, instance: dg.DagsterInstance, database: DatabaseResource) -> None:
        self.instance, self.database, self.cursor = instance, database, None
        self.tick()

    def tick(self) -> None:
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, resources={"database": self.database}
        )
        self.cursor = failed_runs.evaluate_tick(context).cursor  # type: ignore[assignment]


def notices(engine: Engine) -> list[tuple[str, str, str, int]]:
    with engine.connect() as connection:
        return [
            tuple(row)
            for row in connection.execute(
                text("select department, subject, sentence, times from journal.notices order by notice_id")
            )
        ]


@pytest.mark.parametrize(
    ("before", "news"), [([], True), ([SUCCESS], True), ([FAILURE], False), ([SUCCESS, FAILURE], True)]
)
def test_a_failure_is_news_unless_the_run_before_failed(
    before: list[dg.DagsterRunStatus], news: bool
) -> None:
    assert decide(before) is news


def test_a_failing_pool_is_told_once_until_it_has_succeeded(
    engine: Engine, instance: dg.DagsterInstance, database: DatabaseResource
) -> None:
    daemon = Daemon(instance, database)
    first = broken.execute_in_process(instance=instance, raise_on_error=False)
    broken.execute_in_process(instance=instance, raise_on_error=False)
    daemon.tick()
    sentence = f"step: No space left on /srv/media; free some. (run {first.run_id[:8]})"
    assert notices(engine) == [("product_images", "runs", sentence, 1)]
    daemon.tick()
    assert len(notices(engine)) == 1
    with engine.begin() as connection:
        connection.execute(text("update journal.notices set sent_at = now()"))
    broken.execute_in_process(instance=instance, raise_on_error=False)
    daemon.tick()
    assert len(notices(engine)) == 1
    mended.execute_in_process(instance=instance)
    broken.execute_in_process(instance=instance, raise_on_error=False)
    daemon.tick()
    assert len(notices(engine)) == 2


def test_a_run_without_a_pool_is_told_by_its_job(
    engine: Engine, instance: dg.DagsterInstance, database: DatabaseResource
) -> None:
    daemon = Daemon(instance, database)
    broken.execute_in_process(instance=instance, raise_on_error=False)
    without_pool.execute_in_process(instance=instance, raise_on_error=False)
    daemon.tick()
    assert [notice[0] for notice in notices(engine)] == ["product_images", "without_pool"]


def test_failures_before_the_first_tick_are_not_told(
    engine: Engine, instance: dg.DagsterInstance, database: DatabaseResource
) -> None:
    broken.execute_in_process(instance=instance, raise_on_error=False)
    Daemon(instance, database).tick()
    assert notices(engine) == []

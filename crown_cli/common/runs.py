"""Runs Dagster jobs for commands, recorded in the platform's instance, so that the UI shows them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from crown.errors import CrownError
from crown_cli.common.world import World
from resources.queues import WHOLE

if TYPE_CHECKING:
    import dagster as dg


@contextmanager
def dagster_instance(world: World) -> Iterator[dg.DagsterInstance]:
    """The platform's Dagster instance, its home written as `crown up` would."""
    from console.dagster_home import dagster_environment, settings_environment, write_dagster_home

    write_dagster_home(world.settings)
    added = {
        **settings_environment(world.settings),
        **dagster_environment(world.settings, world.database_url),
        "CROWN_DATABASE_URL": world.database_url,
    }
    before = {name: os.environ.get(name) for name in added}
    os.environ.update(added)
    try:
        import dagster as dg

        with dg.DagsterInstance.get() as instance:
            yield instance
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def run_job(
    instance: dg.DagsterInstance,
    name: str,
    *,
    tags: dict[str, str] | None = None,
    only: Iterable[tuple[str, ...]] | None = None,
    partition: str | None = None,
) -> dict[str, Any]:
    """Run a job here and now; returns the run's id and the metadata of what it materialised, by asset.

    While it runs, each asset that begins or is made is a line on stderr.

    Args:
        instance: the platform's instance.
        name: the job.
        tags: further tags of the run; a command's run makes everything that is due.
        only: paths of the asset keys to make; default all of the job.
        partition: of a job whose assets have some.

    Raises:
        CrownError: a step failed; the sentence is the step's.
    """
    import dagster as dg

    from crown_assets.definitions import defs

    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}  # the UI has the log
    run_id = str(uuid4())
    instance.add_event_listener(run_id, _show_progress)
    result = defs.resolve_job_def(name).execute_in_process(
        run_id=run_id,
        run_config=quiet,
        instance=instance,
        raise_on_error=False,
        partition_key=partition,
        tags={WHOLE: "true", **(tags or {})},
        asset_selection=[dg.AssetKey(path) for path in only] if only is not None else None,
    )
    materialised = {
        "/".join(event.asset_key.path): {
            key: value.value
            for key, value in event.step_materialization_data.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
        if event.asset_key is not None
    }
    if not result.success:
        raise CrownError(_sentence(result, name))
    return {"run_id": result.run_id, "assets": materialised}


def _show_progress(entry: dg.EventLogEntry) -> None:
    """A line for an event of a run that a person waits for."""
    event = entry.dagster_event
    if event is None:
        return
    if event.is_step_start:
        click.echo(f"{event.step_key}: started", err=True)
    elif event.is_step_materialization and event.asset_key is not None:
        counts = event.step_materialization_data.materialization.metadata
        figures = ", ".join(
            f"{counts[name].value:,} {called}"
            for name, called in (("successful", "made"), ("failed", "failed"))
            if name in counts
        )
        click.echo(f"{'/'.join(event.asset_key.path)}: {figures or 'done'}", err=True)


def _sentence(result: dg.ExecuteInProcessResult, job: str) -> str:
    from sensors.failures import reason_of

    otherwise = f"The job {job} failed before its first step; the run {result.run_id} in the UI says why."
    return reason_of(result.all_events, otherwise)

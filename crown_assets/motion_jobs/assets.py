"""Motion jobs as assets: job_batches -> source_files -> ingested_jobs -> layer_matches -> approved_matches -> previews
-> validated_jobs -> deployments.

Each batch is a partition, so that a person can make one batch again by its name; which of its jobs are made, their
fingerprints decide. Between the assets people decide: on matches, previews and critical findings.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import dagster as dg

from crown.flow.make import Only, StageReport
from crown.flow.worker_pool import PoolReport
from crown.journal.records import log_context
from crown.ledger import counts
from crown.ledger.claims import Finished
from crown.motion_jobs import stages
from crown.motion_jobs.jobs import batches
from crown.motion_jobs.summary import MOTION_JOBS
from crown.motion_jobs.versions import CODE_VERSIONS
from crown.motion_jobs.workspace import (
    APPROVED,
    BATCHES,
    DEPARTMENT,
    DEPLOYMENTS,
    INGESTED,
    MATCHES,
    PREVIEWS,
    SOURCES,
    VALIDATED,
    Workspace,
)
from crown.store import watch
from crown_assets.factories import (
    ItemsConfig,
    asset_spec,
    data_is_fresh,
    fail_above,
    freshness_check,
    item_asset,
    key,
    metadata_of,
    nothing_left_failed,
    record_run,
    sentences_as_failures,
    stats_of,
)
from crown_assets.motion_jobs import checks
from resources import queues
from resources.workspaces import MotionJobsResource

OWNERS = ["team:motion"]
FOLDER = f"{DEPARTMENT}/batch_folder"
PARTITIONS = dg.DynamicPartitionsDefinition(name="motion_batches")

batch_folder = asset_spec(
    FOLDER,
    "The folder into which people put batch files, and the PSDs, projects and footage that these name.",
    {"file", "csv"},
    owners=OWNERS,
)


def _asset(asset: str, deps: Sequence[str], kinds: set[str], **more: Any) -> Any:
    return item_asset(asset, deps, kinds, owners=OWNERS, code_version=CODE_VERSIONS[asset], **more)


@_asset(
    BATCHES,
    [FOLDER],
    {"python", "csv"},
    checks=[checks.ROWS_ARE_ACCOUNTED_FOR, checks.NO_JOB_IS_STUCK, freshness_check(BATCHES, "newest batch")],
)
def job_batches(context: dg.AssetExecutionContext, motion: MotionJobsResource) -> dg.MaterializeResult:
    """CSV files of people, kept byte for byte, as batches with jobs; bad rows are quarantined with their reasons."""
    with _opened(context, motion) as workspace:
        watch.settled(partial(batches.seen_by_people, workspace))
        seen = batches.take_in(workspace)
        report = _make(context, workspace, BATCHES)
        context.instance.add_dynamic_partitions(str(PARTITIONS.name), _new_partitions(context, workspace))
        return _result(
            context,
            workspace,
            report,
            BATCHES,
            [checks.rows_are_accounted_for(workspace), checks.no_job_is_stuck(workspace), _fresh(workspace)],
            uploaded=dg.MetadataValue.json([batches.as_dict(one) for one in seen.uploaded]),
            refused=dg.MetadataValue.json(seen.refused) if seen.refused else None,
            still_copying=len(seen.unfinished),
        )


def _fresh(workspace: Workspace) -> dg.AssetCheckResult:
    with workspace.engine.connect() as connection:
        return data_is_fresh(next(iter(MOTION_JOBS.freshness(connection))))


def _new_partitions(context: dg.AssetExecutionContext, workspace: Workspace) -> list[str]:
    known = set(context.instance.get_dynamic_partitions(str(PARTITIONS.name)))
    return [name for name in batches.names(workspace.engine) if name not in known]


@_asset(SOURCES, [BATCHES], {"python", "photoshop"})
def source_files(context: dg.AssetExecutionContext, motion: MotionJobsResource) -> dg.MaterializeResult:
    """PSDs, projects and footage that jobs need, each read once for its hash; then everything is planned anew."""
    with _opened(context, motion) as workspace:
        report = _make(context, workspace, SOURCES)
        stages.plan(workspace)
        stages.follow(workspace, run_id=context.run_id)
        return _result(context, workspace, report, SOURCES)


def _job_asset(asset: str, deps: Sequence[str], kinds: set[str], doc: str, **more: Any) -> Any:
    """An asset whose items are jobs, partitioned by batch."""

    @_asset(asset, deps, kinds, partitions_def=PARTITIONS, description=doc, **more)
    def made(
        context: dg.AssetExecutionContext, config: ItemsConfig, motion: MotionJobsResource
    ) -> dg.MaterializeResult:
        with _opened(context, motion) as workspace:
            only = Only(config.pattern, config.limit, batch=context.partition_key)
            report = _make(context, workspace, asset, only)
            found = [check(workspace) for check in checks.OF_ASSET.get(asset, ())]
            return _result(context, workspace, report, asset, found, batch=context.partition_key)

    return made


ingested_jobs = _job_asset(
    INGESTED,
    [SOURCES],
    {"python", "photoshop"},
    "PSD, project and footage of each job together, and the composition that it fills.",
)
layer_matches = _job_asset(
    MATCHES,
    [INGESTED],
    {"python"},
    "Which layer fills which slot, with confidence and reasons, and warnings.",
)
approved_matches = _job_asset(
    APPROVED, [MATCHES], {"python"}, "The pairs as a person approved them (stage 2)."
)
previews = _job_asset(
    PREVIEWS,
    [APPROVED],
    {"python", "image"},
    "Mapping sheet and layout estimate of each job, for a person's approval (stage 3). No render.",
)
validated_jobs = _job_asset(
    VALIDATED,
    [PREVIEWS],
    {"python"},
    "Plainly's rules and our checks on each approved job; a critical finding waits for a person (stage 4).",
    checks=[checks.ROUND_TRIP_HELD],
)
deployments = _job_asset(
    DEPLOYMENTS,
    [VALIDATED],
    {"python", "file"},
    "The checked package of each job: edited project, footage, manifest, nexrender job, sheet and report.",
    checks=[checks.PACKAGES_ARE_COMPLETE],
)


@contextmanager
def _opened(context: dg.AssetExecutionContext, motion: MotionJobsResource) -> Iterator[Workspace]:
    """The workspace; whatever is logged inside says which run it belongs to."""
    with (
        log_context(run_id=context.run_id, department=DEPARTMENT),
        sentences_as_failures(),
        motion.workspace() as one,
    ):
        yield one


def _make(
    context: dg.AssetExecutionContext, workspace: Workspace, asset: str, only: Only | None = None
) -> StageReport:
    def say(report: PoolReport, _: Finished) -> None:
        context.log.info("%d made, %d failed", report.made, report.failed)

    whole = queues.WHOLE in context.run.tags or queues.TAG not in context.run.tags
    seconds = None if whole else workspace.settings.run_seconds
    return stages.make(workspace, asset, only=only, run_id=context.run_id, on_progress=say, seconds=seconds)


def _result(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    report: StageReport,
    asset: str,
    found: Sequence[dg.AssetCheckResult] = (),
    batch: str | None = None,
    **more: Any,
) -> dg.MaterializeResult:
    with workspace.engine.connect() as connection:
        # A partition shows its own jobs; the standing check is about those of all batches.
        states, everywhere = (counts.of_asset(connection, asset, one) for one in (batch, None))
    stats = stats_of(report.pool, asset, states)
    record_run(workspace.engine, asset, stats, context.run_id)
    fail_above(stats, workspace.settings.failure_rate_limit)
    return dg.MaterializeResult(
        asset_key=key(asset),
        metadata=metadata_of(stats, states, planned=report.plans[asset].changed, batch=batch, **more),
        check_results=[nothing_left_failed(workspace.engine, asset, everywhere), *found],
    )

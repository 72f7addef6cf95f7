"""What every asset says of a run: metadata, checks and failures, in one form for all departments.

Nothing of any department belongs here.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field
from sqlalchemy import Engine

from crown.errors import CrownError, SystemicFailure
from crown.flow.make import Only
from crown.flow.pool_report import PoolReport
from crown.flow.summary import Freshness
from crown.journal import activity
from crown.journal.stats import PipelineStats
from crown.ledger import counts
from crown.store import files
from crown.store.files import Ownership
from resources import asset_keys

_log = logging.getLogger(__name__)

#: Fewer failures than this never fail a run by their rate.
_FEW = 5
NOTHING_LEFT_FAILED = "nothing_left_failed"
DATA_IS_FRESH = "data_is_fresh"


class ItemsConfig(dg.Config):
    """Run configuration of an asset whose items are rows of the ledger: which of the due ones this run makes.

    It reaches neither settings nor folders.
    """

    pattern: str = Field(
        default="",
        description="Only items whose key, or a part of it (product, photo, spec), matches: 5200*, 52000123_1.",
    )
    # Not None: the launchpad fills in the fields that have a value.
    limit: int = Field(
        default=0, ge=0, le=2**31 - 1, description="At most so many items of each asset; 0 for all."
    )

    def only(self) -> Only | None:
        """The part of what is due; None for all of it."""
        return Only(self.pattern, self.limit) if self.pattern or self.limit else None


def key(asset: str) -> dg.AssetKey:
    """The asset key of a ledger asset; see `asset_keys.path`."""
    return dg.AssetKey(asset_keys.path(asset))


def console_link(department: str) -> dict[str, dg.MetadataValue]:
    """Metadata of every asset: the department's place on the console's start page, on the same origin."""
    return {"console": dg.MetadataValue.md(f"[{department.replace('_', ' ')}](/console/#{department})")}


def standing_check(asset: str) -> dg.AssetCheckSpec:
    """The spec of `nothing_left_failed`."""
    return dg.AssetCheckSpec(
        NOTHING_LEFT_FAILED, asset=key(asset), description="No item is left failed or quarantined."
    )


def freshness_check(asset: str, dated: str) -> dg.AssetCheckSpec:
    """The spec of `data_is_fresh`."""
    return dg.AssetCheckSpec(
        DATA_IS_FRESH,
        asset=key(asset),
        description=f"The {dated} is not older than the department allows, whenever a run last looked.",
    )


def data_is_fresh(fresh: Freshness) -> dg.AssetCheckResult:
    """Whether an asset's data is new enough by its own date: a run that found nothing does not make it newer."""
    return dg.AssetCheckResult(
        passed=not fresh.stale(),
        check_name=DATA_IS_FRESH,
        asset_key=key(fresh.asset),
        severity=dg.AssetCheckSeverity.WARN,
        description=fresh.sentence,
        metadata={
            fresh.dated.replace(" ", "_"): fresh.at.isoformat() if fresh.at else "no data yet",
            "days_allowed": fresh.window.days if fresh.window else "any",
        },
    )


def item_asset(
    asset: str,
    deps: Sequence[str],
    kinds: set[str],
    *,
    owners: Sequence[str],
    code_version: str,
    checks: Sequence[dg.AssetCheckSpec] = (),
    **more: Any,
) -> Any:
    """An asset whose items are rows of the ledger, with its standing check and its link to the console."""
    department = asset.split("/")[0]
    return dg.asset(
        key=key(asset),
        deps=[key(dep) for dep in deps],
        group_name=department,
        owners=owners,
        kinds=kinds,
        code_version=code_version,
        metadata=console_link(department),
        check_specs=[standing_check(asset), *checks],
        **more,
    )


def asset_spec(
    asset: str,
    description: str,
    kinds: set[str],
    *,
    owners: Sequence[str],
    deps: Sequence[str] = (),
    metadata: Mapping[str, Any] | None = None,
    **more: Any,
) -> dg.AssetSpec:
    """The spec of an asset that a step with several outputs makes, or of something outside that Crown does not make.

    Outside are folders, bases and accounts that Crown reads or writes; `more` goes to `dg.AssetSpec`.
    """
    department = asset.split("/")[0]
    return dg.AssetSpec(
        key(asset),
        deps=[key(dep) for dep in deps],
        group_name=department,
        owners=owners,
        kinds=kinds,
        description=description,
        metadata={**console_link(department), **(metadata or {})},
        **more,
    )


def metadata_of(stats: PipelineStats, states: Mapping[str, int], **more: Any) -> dict[str, Any]:
    """Metadata of a materialization: counts, seconds, bytes, failures by class, the slowest three."""
    slowest = "\n".join(f"| {name} | {seconds:.2f} |" for seconds, name in stats.slowest)
    return {
        "total": stats.total,
        "successful": stats.successful,
        "failed": stats.failed,
        "skipped": stats.skipped,
        "seconds": round(stats.execution_ms / 1000, 3),
        "bytes": stats.bytes,
        "failures_by_class": dg.MetadataValue.json(dict(stats.errors)),
        "items_by_state": dg.MetadataValue.json(dict(states)),
        "slowest": dg.MetadataValue.md(
            f"| item | seconds |\n| --- | --- |\n{slowest}" if slowest else "nothing made"
        ),
        **{name: value for name, value in more.items() if value is not None},
    }


def stats_of(report: PoolReport, asset: str, states: Mapping[str, int]) -> PipelineStats:
    """The part of a worker pool's report that is about one asset; items that were current already are skipped."""
    tally = report.tallies[asset]
    stats = PipelineStats(
        total=tally.made + tally.failed,
        successful=tally.made,
        failed=tally.failed,
        errors=Counter(tally.errors),
        bytes=tally.bytes_made,
        execution_ms=report.seconds * 1000,
        slowest=list(tally.slowest),
    )
    stats.skip(max(0, states.get("current", 0) - stats.successful))
    return stats


def record_run(engine: Engine, asset: str, stats: PipelineStats, run_id: str) -> None:
    """Keep what a run did to an asset; `crown status` shows it, also when Dagster's history is gone."""
    department = asset.split("/")[0]
    with engine.begin() as connection:
        activity.record(
            connection,
            who=department,
            what=activity.RUN_FINISHED,
            subject=asset,
            department=department,
            via="run",
            new=stats.as_dict(),
            run_id=run_id,
            duration_ms=stats.execution_ms,
        )


def nothing_left_failed(engine: Engine, asset: str, states: Mapping[str, int]) -> dg.AssetCheckResult:
    """The standing inventory of an asset: items that failed or need a person, with their reasons.

    `states` are the counts of `counts.of_asset`.
    """
    left = states["failed"] + states["quarantined"]
    troubles = []
    if left:
        with engine.connect() as connection:
            troubles = [t for t in counts.troubles(connection, asset, limit=20) if t["asset"] == asset]
    rows = "\n".join(f"| {t['key']} | {t['state']} | {t['error']} |" for t in troubles)
    return dg.AssetCheckResult(
        passed=left == 0,
        check_name=NOTHING_LEFT_FAILED,
        asset_key=key(asset),
        severity=dg.AssetCheckSeverity.WARN,
        description=None if left == 0 else f"{left} items failed or need a person.",
        metadata={
            "left": left,
            "which": dg.MetadataValue.md(f"| item | state | reason |\n| --- | --- | --- |\n{rows}"),
        },
    )


@contextmanager
def sentences_as_failures() -> Iterator[None]:
    """A CrownError ends the step with its sentence; only a systemic cause is worth another try of the run."""
    try:
        yield
    except CrownError as error:
        _log.error("The run failed: %s", error)
        raise dg.Failure(str(error), allow_retries=isinstance(error, SystemicFailure)) from error


def fail_above(stats: PipelineStats, limit: float) -> None:
    """Fail the step when more than a share of the items that were tried failed.

    Raises:
        dg.Failure: with the numbers and the error classes.
    """
    tried = stats.successful + stats.failed
    if stats.failed >= _FEW and stats.failed > limit * tried:
        classes = ", ".join(f"{name} {count}" for name, count in stats.errors.items())
        raise dg.Failure(f"{stats.failed} of {tried} items failed ({classes}).", allow_retries=False)


def write_preview(picture: bytes, target: Path) -> Path:
    """Write a picture below the console's folder of previews, whole or not at all; returns its path.

    Raises:
        SystemicFailure: the disk is full or gone.
    """
    ownership = Ownership(0o640, 0o750)
    files.make_folder(target.parent, ownership)
    unfinished = files.temporary(target)
    with files.systemic_errors(f"Writing {target}"):
        unfinished.write_bytes(picture)
        files.finish(unfinished, ownership)
        unfinished.rename(target)
    return target


def carried_forward(
    context: dg.AssetExecutionContext, asset: dg.AssetKey, names: Iterable[str]
) -> dict[str, dg.MetadataValue]:
    """Pictures of the asset's last run that drew some: a run that found nothing must not hide them.

    Only what is still there to be shown; the console removes old pictures, but not an asset's newest.
    """
    event = context.instance.get_latest_materialization_event(asset)
    made = event.asset_materialization if event is not None else None
    return {name: made.metadata[name] for name in names if made is not None and name in made.metadata}


def preview(target: Path, previews: Path) -> dg.MetadataValue:
    """A picture of the console's `/previews/`, shown on the run's page."""
    return dg.MetadataValue.md(f"![contact sheet](/previews/{target.relative_to(previews).as_posix()})")

"""Devices as assets: rack -> samples -> five_minutes.

The rack is outside, and `crown devices collect` writes the samples: both are observed, not made. The roll-ups have a
partition for each day, so that a day can be rebuilt by its name.
"""

from datetime import date
from typing import Any

import dagster as dg

from crown.devices.records import rollups
from crown.devices.records.inventory import DEPARTMENT
from crown.devices.records.reading import receivers, round_of
from crown.devices.summary import DEVICES, FIVE_MINUTES, RACK, SAMPLES
from crown.devices.workspace import Workspace
from crown.journal.records import log_context
from crown_assets.factories import (
    asset_spec,
    console_link,
    data_is_fresh,
    freshness_check,
    key,
    sentences_as_failures,
)
from resources.workspaces import DevicesResource

OWNERS = ["team:sound"]
#: Days are those of UTC; that of today is rolled up as far as it goes.
PARTITIONS = dg.DailyPartitionsDefinition(start_date="2026-11-01", timezone="UTC", end_offset=1)
#: Of a change of the SQL of the roll-up.
CODE_VERSION = "1"
_ONLINE, _LOST = "receivers_are_online", "no_sample_was_lost"

rack = asset_spec(
    RACK,
    "The receivers of wireless microphones on the network, which `crown devices collect` listens to.",
    {"shure"},
    owners=OWNERS,
)
samples = asset_spec(
    SAMPLES,
    "One row for each channel and second in devices.samples, entered by the collector; observed every few minutes.",
    {"postgres"},
    owners=OWNERS,
    deps=[RACK],
)


@dg.asset(
    key=key(FIVE_MINUTES),
    deps=[key(SAMPLES)],
    group_name=DEPARTMENT,
    owners=OWNERS,
    kinds={"postgres", "sql"},
    code_version=CODE_VERSION,
    metadata=console_link(DEPARTMENT),
    partitions_def=PARTITIONS,
    check_specs=[
        freshness_check(FIVE_MINUTES, "newest sample"),
        dg.AssetCheckSpec(
            _ONLINE, asset=key(FIVE_MINUTES), description="No receiver with an address is offline."
        ),
        dg.AssetCheckSpec(
            _LOST, asset=key(FIVE_MINUTES), description="The disk buffer was never too small for an outage."
        ),
    ],
)
def five_minutes(context: dg.AssetExecutionContext, devices: DevicesResource) -> dg.MaterializeResult:
    """Levels, presence, losses and battery of each channel in five minutes; hours and days are views on them."""
    with (
        log_context(run_id=context.run_id, department=DEPARTMENT),
        sentences_as_failures(),
        devices.workspace() as workspace,
    ):
        made = rollups.roll_up(workspace.engine, date.fromisoformat(context.partition_key))
        return dg.MaterializeResult(
            metadata={
                "samples": made.samples,
                "dagster/row_count": made.rows,
                "channels": made.channels,
                "seconds_of_lost_signal": made.lost_seconds,
            },
            check_results=_checks(workspace),
        )


def _checks(workspace: Workspace) -> list[dg.AssetCheckResult]:
    with workspace.engine.connect() as connection:
        offline = [one for one in receivers(connection) if one["lifecycle"] == "offline" and one["address"]]
        lost = round_of(connection, 5)["lost_rows"]
        fresh = data_is_fresh(next(iter(DEVICES.freshness(connection))))

    def result(name: str, passed: bool, **metadata: Any) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(
            passed=passed,
            check_name=name,
            asset_key=key(FIVE_MINUTES),
            severity=dg.AssetCheckSeverity.WARN,
            metadata=metadata,
        )

    return [
        fresh,
        result(
            _ONLINE,
            not offline,
            offline=dg.MetadataValue.json({one["receiver_id"]: one["reason"] for one in offline}),
        ),
        result(_LOST, not lost, lost=int(lost)),
    ]

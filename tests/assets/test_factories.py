"""What every department's assets report in one form."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from crown.flow.summary import Freshness
from crown_assets.factories import carried_forward, data_is_fresh, preview, write_preview

WEEK = timedelta(days=7)


def test_a_run_that_draws_nothing_shows_the_picture_of_the_run_before(tmp_path: Path) -> None:
    drawn = [True, False, False]

    @dg.asset
    def pictures(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        if drawn.pop(0):
            target = write_preview(b"picture", tmp_path / "pictures" / "first.webp")
            return dg.MaterializeResult(metadata={"contact_sheet": preview(target, tmp_path), "made": 1})
        return dg.MaterializeResult(
            metadata=carried_forward(context, dg.AssetKey("pictures"), ["contact_sheet"])
        )

    with dg.instance_for_test() as instance:
        for _ in range(3):
            assert dg.materialize([pictures], instance=instance).success
            event = instance.get_latest_materialization_event(dg.AssetKey("pictures"))
            assert event is not None
            assert event.asset_materialization is not None
            told = event.asset_materialization.metadata
            assert told["contact_sheet"].value == "![contact sheet](/previews/pictures/first.webp)"
    assert "made" not in told


@pytest.mark.parametrize(("days", "passed"), [(6, True), (8, False)])
def test_freshness_is_judged_by_the_date_of_the_data(days: int, passed: bool) -> None:
    fresh = Freshness("art_records/prints", "newest export", datetime.now(UTC) - timedelta(days=days), WEEK)
    told = data_is_fresh(fresh)
    assert (told.passed, told.severity) == (passed, dg.AssetCheckSeverity.WARN)
    assert told.metadata["days_allowed"].value == "7" or told.metadata["days_allowed"].value == 7

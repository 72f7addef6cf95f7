"""A forecast is no burden to those who work meanwhile, and they are none to it."""

from __future__ import annotations

from sqlalchemy import text

from crown.flow import forecast as flow_forecast
from crown.flow.forecast import Supposed
from crown.ledger.locks import lock_assets
from crown.product_images.forecast import Forecast, forecast
from crown.product_images.stages import FLOW
from crown.product_images.workspace import ASSETS, CUTOUTS, PUBLISHED, Workspace
from tests.product_images.conftest import crown_settings, workspace
from tests.product_images.flow import finish, look, run

__all__ = ["crown_settings", "workspace"]


def _with_short_patience(workspace: Workspace) -> None:
    """Whoever waits for a lock from now on fails after a few seconds."""
    with workspace.engine.begin() as connection:
        name = connection.execute(text("select current_database()")).scalar_one()
        connection.execute(text(f"alter database {name} set lock_timeout = '5s'"))
    workspace.engine.dispose()


def test_a_forecast_waits_for_nobody_who_plans_or_enters_results(workspace: Workspace) -> None:
    finish(workspace, "52000123", "52000124")
    run(workspace)
    finish(workspace, "52000123", red=90)
    look(workspace)
    expected = forecast(workspace)
    assert expected.counted("changed") > 0
    _with_short_patience(workspace)
    with workspace.engine.begin() as other:
        lock_assets(other, ASSETS)
        other.execute(text("select from ledger.items for update"))
        other.execute(text("select from ledger.outputs for update"))
        assert forecast(workspace) == expected
        again = Supposed(due=lambda _: {PUBLISHED: [key.path for key in expected.published]})
        assert forecast(workspace, again).counted("changed") == expected.counted("changed")


def test_a_whole_run_in_the_middle_of_a_forecast_is_neither_held_up_nor_seen(workspace: Workspace) -> None:
    finish(workspace, "52000123", "52000124")
    look(workspace)
    _with_short_patience(workspace)
    before = flow_forecast.forecast(FLOW, workspace, subject=lambda _: "i.key", files_of=[PUBLISHED])
    made: dict[str, list[str]] = {}

    def subject(asset: str) -> str:
        if asset == CUTOUTS:
            made.update(run(workspace))
        return "i.key"

    meanwhile = flow_forecast.forecast(FLOW, workspace, subject=subject, files_of=[PUBLISHED])
    assert sorted(made[CUTOUTS]) == ["52000123", "52000124"]
    assert len(made[PUBLISHED]) == len(before.files) > 0
    assert meanwhile == before
    assert forecast(workspace) == Forecast()


def test_a_forecast_leaves_no_table_and_no_open_transaction(workspace: Workspace) -> None:
    finish(workspace, "52000123")
    look(workspace)
    forecast(workspace)
    with workspace.engine.connect() as connection:
        left = connection.execute(
            text("select count(*) from pg_class where relname in ('supposed_items', 'supposed_outputs')")
        ).scalar_one()
        items = connection.execute(text("select count(*) from ledger.items")).scalar_one()
    assert (left, items) == (0, 0)

"""The demo of art records: its acts are carried out once, because the art tables hold them."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, text

from crown.settings.model import load_settings
from crown_cli.common.runs import dagster_instance
from crown_cli.common.world import open_world
from crown_cli.demo import art as demo_art


def test_the_demos_acts_are_carried_out_once_because_the_art_records_hold_them(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    settings = load_settings(
        {"CROWN_DATABASE_URL": database_url, "CROWN_HOME": str(tmp_path / "home")}, env_file=None
    )
    with open_world(settings) as world, dagster_instance(world) as instance:
        first = demo_art.run_part(world, instance, None)
        with engine.connect() as connection:
            syncs = connection.execute(
                text("select sync_type, status, reverts from art.syncs order by sync_number")
            ).all()
        second = demo_art.run_part(world, instance, None)
        with engine.connect() as connection:
            assert len(syncs) == connection.execute(text("select count(*) from art.syncs")).scalar_one()
    assert [tuple(sync) for sync in syncs] == [
        ("merge", "completed", None),
        ("merge", "completed", None),
        ("rollback", "rolled_back", 2),
        ("rollback", "completed", 3),
    ]
    messages = "\n".join(first.messages)
    assert "1 editions added, 199 changed, 8,211 unchanged" in messages
    assert "Sync 2 was taken back, as sync 3" in messages
    assert "Sync 2 is in force again" in messages
    assert "The portfolio: " in messages
    assert "The baseline of the checks: " in messages
    assert "2 exceptions from the base's formulas are signed, both by demo" in messages
    assert "The baseline" not in "\n".join(second.messages), "nothing is new in the second call"
    assert (first.items_failed, first.items_current) == (0, 8411 + 45 + 23)
    assert (second.items_in, second.items_made, second.items_current) == (0, 0, first.items_current)
    assert second.messages[0] == "Nothing new: the same bytes as last time, nothing was made again."

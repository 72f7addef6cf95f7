"""Roll-ups of days, their runs, and the decisions of battery alerts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from crown.devices.collector.buffer import Buffer
from crown.devices.collector.rows import ReceiverRows, line
from crown.devices.collector.writer import Writer
from crown.devices.drivers.interface import Endpoint
from crown.devices.drivers.metering import Measured
from crown.devices.records import alerts, inventory, reading, rollups
from crown.devices.records.alerts import BATTERY_CRITICAL, BATTERY_LOW, BatteryWatch, Turn
from crown.errors import BadInput
from crown.journal import notices
from resources.database import DatabaseResource
from resources.workspaces import DevicesResource
from sensors.devices import days_to_roll_up, devices_rounds

DAY = date(2026, 11, 27)
EVENING = datetime(2026, 11, 27, 19, 0, tzinfo=UTC)


def sample(at: datetime, rf: int | None, present: bool = True, percent: int | None = 80) -> str:
    return line(
        (
            1,
            1,
            at.isoformat(),
            rf,
            None,
            -20,
            None,
            True,
            False,
            None,
            None,
            present,
            4,
            percent,
            400,
            31,
            None,
        )
    )


def test_a_day_is_rolled_up_in_five_minutes_and_again_to_the_same_rows(
    engine: Engine, tmp_path: Path
) -> None:
    writer = Writer(engine, Buffer(tmp_path, 10_000_000))
    writer.write([sample(EVENING + timedelta(seconds=n), -50 if n % 10 else -95) for n in range(600)], [])
    made = rollups.roll_up(engine, DAY)
    assert (made.samples, made.rows, made.channels, made.lost_seconds) == (600, 2, 1, 60)
    assert rollups.roll_up(engine, DAY) == made
    with engine.connect() as connection:
        row = connection.execute(text("select * from devices.hourly")).mappings().one()
        assert (row["samples"], row["lost"], row["rf_min_dbm"], row["rf_max_dbm"]) == (600, 60, -95, -50)
        assert row["rf_average_dbm"] == pytest.approx(-54.5)
        assert connection.execute(text("select samples from devices.daily")).scalar_one() == 600


def test_late_samples_reopen_exactly_their_day(engine: Engine, tmp_path: Path) -> None:
    writer = Writer(engine, Buffer(tmp_path, 10_000_000))
    days = [DAY, DAY + timedelta(days=1)]
    writer.write([sample(EVENING + timedelta(days=n), -50) for n in (0, 1)], [])
    for day in days:
        rollups.roll_up(engine, day)
    with engine.connect() as connection:
        assert rollups.due(connection) == {}
    writer.write([sample(EVENING + timedelta(hours=1), -51)], [])
    with engine.connect() as connection:
        assert list(rollups.due(connection)) == [DAY]
    assert rollups.roll_up(engine, DAY).samples == 2


def test_a_day_ends_at_midnight_utc_whatever_the_zone_of_the_session(engine: Engine, tmp_path: Path) -> None:
    midnight = datetime(2026, 11, 28, tzinfo=UTC)
    Writer(engine, Buffer(tmp_path, 10_000_000)).write(
        [sample(midnight - timedelta(seconds=1), -50), sample(midnight, -50)], []
    )
    assert rollups.roll_up(engine, DAY).samples == 1
    assert rollups.roll_up(engine, DAY + timedelta(days=1)).samples == 1


def test_a_day_whose_samples_were_removed_keeps_its_roll_up(engine: Engine, tmp_path: Path) -> None:
    writer = Writer(engine, Buffer(tmp_path, 10_000_000))
    writer.write([sample(EVENING, -50)], [])
    rollups.roll_up(engine, DAY)
    writer.drop_old(DAY + timedelta(days=40), 30)
    assert rollups.roll_up(engine, DAY).samples == 1


def test_a_closed_day_is_asked_for_once_a_change_and_today_once_a_quarter() -> None:
    now = datetime(2026, 11, 28, 10, 7, tzinfo=UTC)
    due = {DAY: EVENING, DAY + timedelta(days=1): now}
    keys = days_to_roll_up(due, now)
    assert keys == {
        "2026-11-27": "2026-11-27@2026-11-27T19:00:00+00:00",
        "2026-11-28": "2026-11-28@2026-11-28T10:00:00+00:00",
    }
    later = days_to_roll_up(
        due | {DAY + timedelta(days=1): now + timedelta(minutes=5)}, now + timedelta(minutes=5)
    )
    assert later == keys


def test_the_asset_rolls_up_the_day_of_its_partition(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crown_assets.definitions import build_defs

    Writer(engine, Buffer(tmp_path / "buffer", 10_000_000)).write([sample(EVENING, -95)], [])
    monkeypatch.setenv("CROWN_HOME", str(tmp_path))
    monkeypatch.setenv("CROWN_DATABASE_URL", engine.url.render_as_string(hide_password=False))
    defs = build_defs()
    with dg.instance_for_test() as instance:
        done = defs.resolve_job_def("devices_roll_ups").execute_in_process(
            partition_key="2026-11-27", instance=instance
        )
        (made,) = done.asset_materializations_for_node("devices__five_minutes")
        assert made.metadata["samples"].value == 1
        assert made.metadata["seconds_of_lost_signal"].value == 1
        assert {one.check_name: one.passed for one in done.get_asset_check_evaluations()} == {
            "data_is_fresh": True,
            "receivers_are_online": True,
            "no_sample_was_lost": True,
        }
        resource = DevicesResource(database=DatabaseResource())
        with dg.build_sensor_context(instance=instance, resources={"devices": resource}) as context:
            first = devices_rounds.evaluate_tick(context)
        assert [event.asset_key.to_user_string() for event in first.asset_events] == ["devices/samples"]
        assert first.run_requests == []


THRESHOLDS = {BATTERY_LOW: 20, BATTERY_CRITICAL: 10}


def test_a_charge_that_flickers_at_its_threshold_opens_one_alert() -> None:
    watch = BatteryWatch(THRESHOLDS)
    charges = [21, 20, 21, 20, 19, 20, 20, 20, 20, 20, 22, 20, 24, 19, 19, 19, 19, 19, 19, 25]
    turns = [
        t for n, percent in enumerate(charges) for t in watch.look(percent, EVENING + timedelta(seconds=n))
    ]
    assert turns == [Turn(BATTERY_LOW, True, 20), Turn(BATTERY_LOW, False, 25)]


def test_an_unknown_charge_neither_opens_nor_resolves_an_alert() -> None:
    watch = BatteryWatch(THRESHOLDS, {BATTERY_LOW})
    assert [watch.look(None, EVENING + timedelta(seconds=n)) for n in range(20)] == [[]] * 20
    assert watch.is_open == {BATTERY_LOW}
    assert watch.look(80, EVENING) == [Turn(BATTERY_LOW, False, 80)]


def test_a_clock_that_is_set_back_delays_an_alert_and_does_not_lose_it() -> None:
    watch = BatteryWatch(THRESHOLDS)
    watch.look(15, EVENING)
    back = EVENING - timedelta(hours=1)
    assert watch.look(15, back) == []
    assert watch.look(15, back + timedelta(seconds=5)) == [Turn(BATTERY_LOW, True, 15)]


def test_an_alert_moves_only_forward_and_is_overdue_after_half_an_hour(engine: Engine) -> None:
    with engine.begin() as connection:
        receiver = inventory.add(connection, Endpoint("10.0.0.5", 2202, "ulxd"), "ann")
        old = datetime.now(UTC) - timedelta(minutes=31)
        for _ in range(2):
            alerts.enter(connection, receiver, 1, "Ann", Turn(BATTERY_LOW, True, 15), old, {})
        (row,) = reading.alerts(connection)
        assert (row["status"], row["overdue"]) == ("pending", True)
        with pytest.raises(BadInput, match="There is no alert 99"):
            alerts.acknowledge(connection, [row["alert_id"], 99], "ann")
        assert alerts.acknowledge(connection, [row["alert_id"]], "ann") == [row["alert_id"]]
        assert alerts.acknowledge(connection, [row["alert_id"]], "ann") == []
        assert reading.alerts(connection)[0]["overdue"] is False
        alerts.enter(connection, receiver, 1, "Ann", Turn(BATTERY_LOW, False, 80), old, {})
        assert reading.alerts(connection) == []
        assert reading.alerts(connection, resolved=True)[0]["acknowledged_by"] == "ann"
        with pytest.raises(Exception, match="cannot go from resolved to pending"), connection.begin_nested():
            connection.execute(text("update devices.alerts set status = 'pending'"))


def test_an_alert_whose_notice_went_out_is_sent(engine: Engine) -> None:
    with engine.begin() as connection:
        receiver = inventory.add(connection, Endpoint("10.0.0.5", 2202, "ulxd"), "ann")
        alerts.enter(connection, receiver, 1, "Ann", Turn(BATTERY_LOW, True, 15), EVENING, {})
        assert alerts.follow_notices(connection) == 0
        connection.execute(text("update journal.notices set sent_at = clock_timestamp()"))
        assert alerts.follow_notices(connection) == 1
        assert reading.alerts(connection)[0]["status"] == "sent"


def test_an_alert_whose_notice_no_address_took_is_failed_and_sent_when_one_takes_it(
    engine: Engine, tmp_path: Path
) -> None:
    addresses = tmp_path / "notify"
    addresses.touch(mode=0o600)
    addresses.write_text("json://127.0.0.1:9/nobody\n")
    with engine.begin() as connection:
        receiver = inventory.add(connection, Endpoint("10.0.0.5", 2202, "ulxd"), "ann")
        alerts.enter(connection, receiver, 1, "Ann", Turn(BATTERY_LOW, True, 15), EVENING, {})
        alerts.follow_notices(connection)
        assert reading.alerts(connection)[0]["status"] == "pending"
    assert notices.deliver(engine, addresses).reason == "no address took the message"
    with engine.begin() as connection:
        assert alerts.follow_notices(connection) == 0
        assert reading.alerts(connection)[0]["status"] == "failed"
        connection.execute(text("update journal.notices set sent_at = clock_timestamp()"))
        assert alerts.follow_notices(connection) == 1
        assert reading.alerts(connection)[0]["status"] == "sent"


def test_a_clock_that_is_set_back_does_not_leave_open_who_a_device_without_a_serial_is() -> None:
    rows = ReceiverRows(1, Endpoint("10.0.0.5", 2202, "ulxd"), None, "00:0e:dd:01:02:03")
    rows.connected(EVENING, "00:0e:dd:0a:0b:0c")
    back = EVENING - timedelta(hours=1)
    rows.measured(back, Measured(1, rf_a_dbm=-50))
    assert rows.take(back + timedelta(seconds=1)) == ([], [])
    assert not rows.identified
    assert rows.take(back + timedelta(seconds=4)) == ([], [])
    assert rows.stranger is not None
    assert rows.stranger.mac == "00:0e:dd:0a:0b:0c"
    # The inventory adopts it: its rows enter.
    rows.recognised(None, "00:0e:dd:0a:0b:0c")
    samples, _ = rows.take(back + timedelta(seconds=5))
    assert [row.split("\t")[3] for row in samples] == ["-50"]


def test_a_round_that_comes_late_loses_no_second() -> None:
    rows = ReceiverRows(1, Endpoint("10.0.0.5", 2202, "ulxd"), None)
    rows.connected(EVENING - timedelta(seconds=10), None)
    for second in range(5):
        rows.measured(
            EVENING + timedelta(seconds=second, milliseconds=300), Measured(1, rf_a_dbm=-50 - second)
        )
    samples, _ = rows.take(EVENING + timedelta(seconds=4, milliseconds=600))
    assert [row.split("\t")[2:4] for row in samples] == [
        [f"2026-11-27T19:00:0{second}+00:00", str(-50 - second)] for second in range(4)
    ]
    last, _ = rows.take(EVENING + timedelta(seconds=4, milliseconds=700), ends=True)
    assert [row.split("\t")[3] for row in last] == ["-54"]
    assert rows.take(EVENING + timedelta(seconds=9)) == ([], [])

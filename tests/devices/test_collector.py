"""The collector against simulated receivers and a real database: rows, states, outages, leaders, alerts."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine

from crown.database import department
from crown.devices.clock import SystemClock, VirtualClock
from crown.devices.collector.buffer import Buffer
from crown.devices.collector.rows import line
from crown.devices.collector.writer import Writer
from crown.devices.drivers.interface import Endpoint
from crown.devices.records import inventory
from crown.errors import BadInput, Refused
from tests.devices.collecting import add, collecting, one, rows, settings_of, until
from tests.devices.rack import START, device, event, run, served

_DOUBLE = "select count(*) from (select from devices.samples group by channel, at having count(*) > 1) each"


def test_a_rack_becomes_one_row_for_each_channel_and_second(engine: Engine, tmp_path: Path) -> None:
    async def check() -> None:
        clock = VirtualClock(START)
        async with served(device(faults=["cut"]), clock) as server:
            receiver = add(engine, server)
            async with collecting(engine, clock, settings_of(tmp_path)) as collector:
                await until(clock, collector, lambda: collector.writer.entered >= 80)
            await server.changed.until(lambda: server.clients == 0)
        assert one(engine, _DOUBLE) == 0
        found = rows(
            engine,
            "select distinct receiver_id, channel, battery_bars, battery_charge_percent, battery_temperature_c"
            " from devices.samples where rf_a_dbm is not null order by channel",
        )
        assert found == [(receiver, channel, 4, 80, 31) for channel in (1, 2, 3, 4)]
        assert rows(engine, "select lifecycle, name, firmware, serial, reason from devices.receivers") == [
            ("online", "RACK", "2.7.6", "S1", None)
        ]
        assert one(engine, "select count(*) from devices.channels") == 4
        assert rows(
            engine, "select relname from pg_class where relname like 'samples_2%' and relkind = 'r'"
        ) == [("samples_20261127",)]
        assert server.received[-1] == "SET 4 METER_RATE 00000"

    run(check())


def test_a_state_is_an_interval_and_a_restart_begins_no_new_one(engine: Engine, tmp_path: Path) -> None:
    async def check() -> None:
        clock = VirtualClock(START)
        async with served(device(), clock) as server:
            add(engine, server)
            for _ in range(2):
                async with collecting(engine, clock, settings_of(tmp_path)) as collector:
                    seen = collector.writer.entered
                    await until(clock, collector, lambda c=collector, n=seen: c.writer.entered > n + 20)
            async with collecting(engine, clock, settings_of(tmp_path)) as collector:
                await until(clock, collector, lambda: collector.writer.entered > 20)
                server.device.act(event("mute", 2))
                await server.push(server.device.changes())
                muted = "select count(*) from devices.states where name = 'muted' and channel = 2"
                await until(clock, collector, lambda: one(engine, muted) == 2)
        found = rows(
            engine,
            "select value, valid_to is null from devices.states where name = 'muted' and channel = 2 order by valid_from",
        )
        assert found == [("False", False), ("True", True)]
        assert one(engine, "select count(*) from devices.states where name = 'frequency_mhz'") == 4

    run(check())


def test_a_pack_that_is_off_is_unknown_with_its_reason_and_never_zero(engine: Engine, tmp_path: Path) -> None:
    async def check() -> None:
        clock = VirtualClock(START)
        async with served(device(events=[event("pack_off", 1)]), clock) as server:
            add(engine, server)
            async with collecting(engine, clock, settings_of(tmp_path)) as collector:
                await until(clock, collector, lambda: collector.writer.entered >= 60)
        found = rows(
            engine,
            "select battery_bars, battery_minutes, transmitter_present, reasons from devices.samples"
            " where channel = 1 order by at desc limit 1",
        )
        assert found[0][:3] == (None, None, False)
        assert "battery_minutes: unknown" in found[0][3]
        assert one(engine, "select count(*) from devices.alerts") == 0

    run(check())


def test_a_battery_that_runs_down_opens_one_alert_and_a_fresh_pack_resolves_it(
    engine: Engine, tmp_path: Path
) -> None:
    async def check() -> None:
        clock = VirtualClock(START)
        async with served(device(), clock) as server:
            add(engine, server)
            async with collecting(engine, clock, settings_of(tmp_path)) as collector:
                await until(clock, collector, lambda: collector.writer.entered >= 8)
                for percent in ("21", "20", "22", "19", "23", "20"):
                    server.device.act(event("charge", 2, percent))
                    for _ in range(8):
                        await clock.advance(1)
                        await asyncio.sleep(0)
                opened = (
                    "select count(*) from devices.alerts where type = 'battery_low' and status = 'pending'"
                )
                await until(clock, collector, lambda: one(engine, opened) == 1)
                server.device.act(event("charge", 2, "9"))
                critical = "select count(*) from devices.alerts where type = 'battery_critical'"
                await until(clock, collector, lambda: one(engine, critical) == 1)
                server.device.act(event("charge", 2, "90"))
                resolved = "select count(*) from devices.alerts where status = 'resolved'"
                await until(clock, collector, lambda: one(engine, resolved) == 2)
        found = rows(
            engine, "select type, severity, channel, status, sentence from devices.alerts order by alert_id"
        )
        assert [row[:4] for row in found] == [
            ("battery_low", "low", 2, "resolved"),
            ("battery_critical", "high", 2, "resolved"),
        ]
        assert re.match(r"Battery low on HH02 Bob \(RACK\): (19|20) %, \d+ minutes left; change", found[0][4])
        assert one(engine, "select count(*) from journal.notices where department = 'devices'") == 2

    run(check())


def test_a_device_that_goes_away_keeps_its_last_seen_and_comes_back(engine: Engine, tmp_path: Path) -> None:
    async def check() -> None:
        clock = VirtualClock(START)
        async with served(device(), clock) as server:
            add(engine, server)
            async with collecting(engine, clock, settings_of(tmp_path)) as collector:
                await until(clock, collector, lambda: collector.writer.entered >= 40)
                server.device.act(event("vanish"))
                gone = clock.now()
                lifecycle = "select lifecycle from devices.receivers"
                await until(clock, collector, lambda: one(engine, lifecycle) == "offline")
                seen = one(engine, "select last_seen_at from devices.receivers")
                assert abs((seen - gone).total_seconds()) <= 2
                assert one(engine, "select reason from devices.receivers").endswith(
                    f"refuses the connection; is it a device of this kind, and is its port {server.port}?"
                )
                server.device.act(event("return"))
                await until(clock, collector, lambda: one(engine, lifecycle) == "online")
        trail = rows(
            engine, "select what from journal.activity where what like 'device_o%' order by activity_id"
        )
        assert trail == [("device_online",), ("device_offline",), ("device_online",)]

    run(check())


def test_while_the_database_is_away_samples_wait_on_disk_and_enter_once(
    engine: Engine, tmp_path: Path
) -> None:
    async def check() -> None:
        clock = VirtualClock(START)
        async with served(device(), clock) as server:
            add(engine, server)
            async with collecting(engine, clock, settings_of(tmp_path)) as collector:
                await until(clock, collector, lambda: collector.writer.entered >= 20)
                name = engine.url.database
                with psycopg.connect(_server(engine), autocommit=True) as admin:
                    admin.execute(f"alter database {name} allow_connections false")
                    admin.execute(
                        "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,)
                    )
                    buffer = collector.writer.buffer
                    await until(clock, collector, lambda: buffer.bytes_waiting > 5000)
                    assert collector.leads
                    admin.execute(f"alter database {name} allow_connections true")
                before = collector.writer.entered
                await until(
                    clock, collector, lambda: buffer.bytes_waiting == 0 and collector.writer.entered > before
                )
        gaps = one(
            engine,
            "select max(extract(epoch from at - before)) from (select at, lag(at) over (order by at) as before"
            " from devices.samples where channel = 1) each",
        )
        assert gaps <= 2
        assert (
            one(
                engine,
                "select count(*) from (select from devices.samples group by channel, at having count(*) > 1) a",
            )
            == 0
        )
        assert one(engine, "select count(*) from devices.entered_files") >= 1
        assert one(engine, "select count(*) from devices.losses") == 0

    run(check(), 60)


def test_of_two_collectors_one_leads_and_the_other_takes_over(engine: Engine, tmp_path: Path) -> None:
    async def check() -> None:
        clock = VirtualClock(START)
        async with served(device(), clock) as server:
            add(engine, server)
            async with AsyncExitStack() as stack:
                async with collecting(engine, clock, settings_of(tmp_path / "a")) as first:
                    await until(clock, first, lambda: first.leads)
                    later = await stack.enter_async_context(
                        collecting(engine, clock, settings_of(tmp_path / "b"))
                    )
                    await until(clock, first, lambda: first.writer.entered >= 20)
                    assert not later.leads
                    assert server.clients == 1
                await until(clock, later, lambda: later.writer.entered >= 20)
                assert later.leads

    run(check(), 60)


def test_the_buffer_keeps_the_oldest_rows_and_counts_what_it_loses(engine: Engine, tmp_path: Path) -> None:
    buffer = Buffer(tmp_path / "buffer", 250)
    writer = Writer(engine, buffer)
    row = line((1, 1, "2026-11-27T19:00:00+00:00", *(None,) * 14))
    for _ in range(5):
        writer.keep([row], [])
    assert sum(lost.rows for lost in writer.lost) == 5 - 250 // len(row)
    assert writer.write([], [])
    assert one(engine, "select count(*) from devices.samples") == 250 // len(row)
    assert rows(engine, "select rows, reason from devices.losses") == [
        (5 - 250 // len(row), "the disk buffer is full (CROWN_DEVICES_BUFFER_MB)")
    ]


def test_a_file_of_the_buffer_enters_once_and_its_unfinished_end_is_no_row(
    engine: Engine, tmp_path: Path
) -> None:
    row = line((1, 1, "2026-11-27T19:00:00+00:00", *(None,) * 14))
    folder = tmp_path / "buffer"
    Buffer(folder, 10_000).keep("samples", [row, row])
    (path,) = folder.glob("*.copy")
    path.write_bytes(path.read_bytes() + b"1\t1\t2026-11-27T19:0")
    saved = path.read_bytes()
    assert Writer(engine, Buffer(folder, 10_000)).write([], [])
    assert list(folder.glob("*.copy")) == []
    path.write_bytes(saved)
    assert Writer(engine, Buffer(folder, 10_000)).write([], [])
    assert one(engine, "select count(*) from devices.samples") == 2


def test_a_file_that_the_database_refuses_is_set_aside_and_its_neighbours_go_on(
    engine: Engine, tmp_path: Path
) -> None:
    buffer = Buffer(tmp_path / "buffer", 10_000)
    good = line((1, 1, "2026-11-27T19:00:00+00:00", *(None,) * 14))
    buffer.keep("samples", [good.replace("1\t1\t", "1\tmany\t")])
    buffer.close()
    buffer.keep("samples", [good])
    assert Writer(engine, buffer).write([], [])
    assert one(engine, "select count(*) from devices.samples") == 1
    assert one(engine, "select reason from devices.losses").startswith(
        "refused by the database: invalid input"
    )
    assert len(list(buffer.folder.glob("*.refused"))) == 1


def test_old_samples_go_by_partition_and_newer_ones_stay(engine: Engine, tmp_path: Path) -> None:
    writer = Writer(engine, Buffer(tmp_path / "buffer", 10_000))
    days = ("2026-08-01", "2026-11-26", "2026-11-27")
    writer.write([line((1, 1, f"{day}T19:00:00+00:00", *(None,) * 14)) for day in days], [])
    assert writer.drop_old(START.date(), 30) == ["samples_20260801"]
    assert rows(engine, "select cast(cast(at as date) as text) from devices.samples order by 1") == [
        ("2026-11-26",),
        ("2026-11-27",),
    ]


def test_a_receiver_moves_only_as_its_lifecycle_allows(engine: Engine) -> None:
    with engine.begin() as connection:
        receiver = inventory.add(connection, Endpoint("10.0.0.5", 2202, "ulxd"), "ann")
        assert inventory.move(connection, receiver, "online")
        with pytest.raises(Refused, match="cannot go from online to retired"):
            inventory.move(connection, receiver, "retired")
        with pytest.raises(BadInput, match="belongs to a receiver already"):
            inventory.add(connection, Endpoint("10.0.0.5", 2202, "ulxd"), "ann")
        for lifecycle in ("offline", "retired"):
            inventory.move(connection, receiver, lifecycle)
        with pytest.raises(Refused, match="cannot go from retired to online"):
            inventory.move(connection, receiver, "online")


def _server(engine: Engine) -> str:
    url = engine.url.set(drivername="postgresql", database="postgres")
    return url.render_as_string(hide_password=False)


def test_an_axient_receiver_has_both_antennas_and_its_quality_in_the_rows(
    engine: Engine, tmp_path: Path
) -> None:
    async def check() -> None:
        clock = VirtualClock(START)
        async with served(device("axtd", events=[event("pack_off", 2)]), clock) as server:
            add(engine, server)
            async with collecting(engine, clock, settings_of(tmp_path)) as collector:
                await until(clock, collector, lambda: collector.writer.entered >= 40)
        found = rows(
            engine,
            "select distinct channel, quality, transmitter_present, rf_a_dbm between -90 and -13,"
            " rf_a_dbm = rf_b_dbm, battery_bars from devices.samples"
            " where at > (select min(at) from devices.samples) + interval '5 seconds' and rf_a_dbm is not null order by 1",
        )
        assert found == [(1, 5, True, True, True, 4), (2, None, False, False, True, None)]

    run(check())


def test_a_clock_that_jumps_both_ways_makes_nobody_offline(engine: Engine, tmp_path: Path) -> None:
    async def check() -> None:
        clock = VirtualClock(START)
        async with served(device(), clock) as server:
            add(engine, server)
            async with collecting(engine, clock, settings_of(tmp_path)) as collector:
                for seconds in (7200, -10800):
                    before = collector.writer.entered
                    await until(clock, collector, lambda n=before: collector.writer.entered > n + 20)
                    clock.jump(seconds)
                before = collector.writer.entered
                await until(clock, collector, lambda: collector.writer.entered > before + 20)
        assert rows(engine, "select what from journal.activity where what = 'device_offline'") == []
        assert one(engine, "select lifecycle from devices.receivers") == "online"
        hours = "select distinct extract(hour from at at time zone 'UTC') from devices.samples order by 1"
        assert [int(hour) for (hour,) in rows(engine, hours)] == [18, 19, 21]

    run(check())


@pytest.mark.crash
def test_after_a_collector_is_killed_its_successor_goes_on_and_no_row_is_double(
    engine: Engine, tmp_path: Path
) -> None:
    async def check() -> None:
        clock = SystemClock()
        async with served(device(), clock) as server:
            add(engine, server)
            environment = {
                **os.environ,
                "CROWN_HOME": str(tmp_path),
                "CROWN_DATABASE_URL": engine.url.render_as_string(hide_password=False),
            }
            command = (sys.executable, "-m", "crown_cli.main", "devices", "collect")
            for ended_by in (signal.SIGKILL, signal.SIGTERM):
                collector = await asyncio.create_subprocess_exec(
                    *command, env=environment, stderr=subprocess.DEVNULL
                )
                known = one(engine, "select count(*) from devices.samples")
                await server.changed.until(lambda: server.meters == 4)
                while one(engine, "select count(*) from devices.samples") < known + 12:
                    await server.changed.until(iter((False, True)).__next__)
                collector.send_signal(ended_by)
                await collector.wait()
                await server.changed.until(lambda: server.clients == 0)
            assert collector.returncode == 0
            assert server.received[-4:] == [f"SET {n} METER_RATE 00000" for n in (1, 2, 3, 4)]
        assert one(engine, _DOUBLE) == 0
        assert one(engine, "select count(*) from devices.states where name = 'name' and channel = 1") == 1

    run(check(), 60)


def test_an_emptied_department_can_be_filled_again_and_keeps_its_rules(engine: Engine) -> None:
    with engine.begin() as connection:
        inventory.add(connection, Endpoint("10.0.0.5", 2202, "ulxd"), "ann")
        department.empty(connection, "devices")
    with engine.begin() as connection:
        receiver = inventory.add(connection, Endpoint("10.0.0.5", 2202, "ulxd"), "ann")
        assert inventory.move(connection, receiver, "online")
        with pytest.raises(Refused, match="cannot go from online to retired"):
            inventory.move(connection, receiver, "retired")

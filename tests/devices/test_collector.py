"""The collector against simulated receivers and a real database: rows, states, outages, leaders, alerts."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, text

from crown.database import department
from crown.devices.clock import SystemClock, VirtualClock
from crown.devices.collector.buffer import Buffer
from crown.devices.collector.collect import Collector
from crown.devices.collector.rows import line
from crown.devices.collector.writer import Writer
from crown.devices.drivers.interface import Description, Endpoint, mac_of
from crown.devices.drivers.shure_ascii import ShureAscii
from crown.devices.records import inventory
from crown.devices.simulator.server import Server
from crown.errors import BadInput, Refused
from crown.settings.model import Settings
from tests.devices.rack import START, device, endpoint, event, run, served

_MAC, _OTHER_MAC = "00:0e:dd:01:02:03", "00:0e:dd:0a:0b:0c"
_DOUBLE = "select count(*) from (select from devices.samples group by channel, at having count(*) > 1) each"


def settings_of(tmp_path: Path, **devices: Any) -> Settings:
    return Settings.model_validate({"home": tmp_path, "devices": devices})


@asynccontextmanager
async def collecting(
    engine: Engine,
    clock: VirtualClock,
    settings: Settings,
    address: str | None = None,
    mac_at: Callable[[str], str | None] = mac_of,
) -> AsyncIterator[Collector]:
    url = address or engine.url.render_as_string(hide_password=False)
    collector = Collector(engine, settings, clock, ShureAscii(clock, mac_at=mac_at), url)
    task = asyncio.create_task(collector.run())
    try:
        yield collector
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(
    clock: VirtualClock, collector: Collector, holds: Callable[[], bool], seconds: int = 200
) -> None:
    """Seconds pass until something holds; in each, wire and database have their turn."""
    for _ in range(seconds):
        if holds():
            return
        await clock.advance(1)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await collector.changes.until(holds)
    assert holds(), f"not within {seconds} s"


def one(engine: Engine, query: str, **given: Any) -> Any:
    with engine.connect() as connection:
        return connection.execute(text(query), given).scalar()


def rows(engine: Engine, query: str, **given: Any) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query), given)]


def add(engine: Engine, server: Server) -> int:
    with engine.begin() as connection:
        return inventory.add(connection, endpoint(server), "ann")


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


def test_another_device_at_a_known_address_is_not_the_old_one(engine: Engine, tmp_path: Path) -> None:
    async def check() -> None:
        clock = VirtualClock(START)
        async with served(device(serial="S1"), clock) as server:
            old = add(engine, server)
            async with collecting(engine, clock, settings_of(tmp_path)) as collector:
                await until(clock, collector, lambda: collector.writer.entered >= 8)
                at = one(engine, "select max(at) from devices.samples")
                server.device.described.serial = "S2"
                await server.power_cycle()
                samples = "select count(*) from devices.samples where receiver_id <> :old"
                await until(clock, collector, lambda: one(engine, samples, old=old) >= 8)
        found = rows(
            engine,
            "select receiver_id = :old, serial, address from devices.receivers order by 1 desc",
            old=old,
        )
        assert found == [(True, "S1", None), (False, "S2", "127.0.0.1")]
        late = "select count(*) from devices.samples where receiver_id = :old and at > :at + interval '3 seconds'"
        assert one(engine, late, old=old, at=at) == 0

    run(check())


def test_a_known_device_at_a_new_address_is_not_a_second_one(engine: Engine, tmp_path: Path) -> None:
    async def check() -> None:
        clock = VirtualClock(START)
        async with served(device(serial="S1"), clock) as before, served(device(serial="S1"), clock) as now:
            first = add(engine, before)
            async with collecting(engine, clock, settings_of(tmp_path)) as collector:
                serial = "select count(*) from devices.receivers where serial = 'S1'"
                await until(clock, collector, lambda: one(engine, serial) == 1)
                await before.stop()
                with engine.begin() as connection:
                    inventory.add(connection, endpoint(now), "ann")
                port = "select port from devices.receivers where serial = 'S1'"
                await until(clock, collector, lambda: one(engine, port) == now.port)
        assert one(engine, "select receiver_id from devices.receivers where serial = 'S1'") == first
        assert (
            one(engine, "select count(*) from devices.movements where receiver_id = :first", first=first) == 1
        )

    run(check())


def test_without_serials_another_mac_at_a_known_address_is_not_the_old_device(
    engine: Engine, tmp_path: Path
) -> None:
    async def check() -> None:
        clock, macs = VirtualClock(START), {"127.0.0.1": _MAC}
        async with served(device(serial=None), clock) as server:
            old = add(engine, server)
            async with collecting(engine, clock, settings_of(tmp_path), mac_at=macs.get) as collector:
                await until(clock, collector, lambda: collector.writer.entered >= 8)
                assert one(engine, "select mac from devices.receivers") == _MAC
                at = one(engine, "select max(at) from devices.samples")
                macs["127.0.0.1"] = _OTHER_MAC
                server.device.described.name = "OTHER"
                await server.power_cycle()
                samples = "select count(*) from devices.samples where receiver_id <> :old"
                await until(clock, collector, lambda: one(engine, samples, old=old) >= 8)
        found = rows(
            engine,
            "select receiver_id = :old, serial, mac, address, name from devices.receivers order by 1 desc",
            old=old,
        )
        assert found == [
            (True, None, _MAC, None, "RACK"),
            (False, None, _OTHER_MAC, "127.0.0.1", "OTHER"),
        ]
        late = "select count(*) from devices.samples where receiver_id = :old and at > :at + interval '3 seconds'"
        assert one(engine, late, old=old, at=at) == 0

    run(check())


def test_without_serials_a_known_mac_at_a_new_address_is_not_a_second_device(
    engine: Engine, tmp_path: Path
) -> None:
    async def check() -> None:
        clock, macs = VirtualClock(START), {"127.0.0.1": _MAC, "127.0.0.12": _MAC}
        moved = device(serial=None, address="127.0.0.12")
        async with served(device(serial=None), clock) as before, served(moved, clock) as now:
            first = add(engine, before)
            async with collecting(engine, clock, settings_of(tmp_path), mac_at=macs.get) as collector:
                await until(clock, collector, lambda: collector.writer.entered >= 8)
                await before.stop()
                with engine.begin() as connection:
                    inventory.add(connection, Endpoint("127.0.0.12", now.port, "ulxd"), "ann")
                address = "select address from devices.receivers where receiver_id = :first"
                await until(clock, collector, lambda: one(engine, address, first=first) == "127.0.0.12")
                entered = collector.writer.entered
                await until(clock, collector, lambda: collector.writer.entered >= entered + 8)
        assert rows(engine, "select distinct receiver_id from devices.samples") == [(first,)]
        moves = "select receiver_id, old_value, new_value from devices.movements where new_value is not null"
        assert rows(engine, moves) == [(first, "127.0.0.1", "127.0.0.12")]

    run(check())


def test_without_serial_and_mac_a_device_is_the_one_of_its_address(engine: Engine, tmp_path: Path) -> None:
    async def check() -> None:
        clock = VirtualClock(START)
        async with served(device(serial=None), clock) as server:
            receiver = add(engine, server)
            async with collecting(engine, clock, settings_of(tmp_path), mac_at={}.get) as collector:
                await until(clock, collector, lambda: collector.writer.entered >= 8)
                await server.power_cycle()
                entered = collector.writer.entered
                await until(clock, collector, lambda: collector.writer.entered >= entered + 8)
        assert rows(engine, "select distinct receiver_id from devices.samples") == [(receiver,)]
        assert rows(engine, "select receiver_id, serial, mac, lifecycle, name from devices.receivers") == [
            (receiver, None, None, "online", "RACK")
        ]

    run(check())


def test_a_serial_decides_before_a_mac_and_a_mac_before_an_address(engine: Engine) -> None:
    here, there = Endpoint("10.0.0.5", 2202, "ulxd"), Endpoint("10.0.0.6", 2202, "ulxd")
    with engine.begin() as connection:
        first = inventory.add(connection, here, "ann")
        # Neither is known yet: the address decides, and the row has serial and MAC from now on.
        assert inventory.settle(connection, Description(here, serial="S1", mac=_MAC)).receiver_id == first
        # Without a serial, the MAC decides.
        found = inventory.settle(connection, Description(there, mac=_MAC))
        assert (found.receiver_id, found.moved_from) == (first, "10.0.0.5")
        # Another serial is another device, also with the same MAC, which is its own from now on.
        other = inventory.settle(connection, Description(here, serial="S2", mac=_MAC))
        assert other.is_new
        # The same serial with another MAC is the same device.
        again = inventory.settle(connection, Description(there, serial="S1", mac=_OTHER_MAC))
        assert (again.receiver_id, again.is_new) == (first, False)
    found = rows(engine, "select receiver_id, serial, mac, address from devices.receivers order by 1")
    assert found == [
        (first, "S1", _OTHER_MAC, "10.0.0.6"),
        (other.receiver_id, "S2", _MAC, "10.0.0.5"),
    ]


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

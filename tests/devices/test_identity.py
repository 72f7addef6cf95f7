"""Who a receiver is: its serial decides, else its MAC, else its address."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

from crown.devices.clock import VirtualClock
from crown.devices.drivers.interface import Description, Endpoint
from crown.devices.records import inventory
from tests.devices.collecting import add, collecting, one, rows, settings_of, until
from tests.devices.rack import START, device, endpoint, run, served

_MAC, _OTHER_MAC = "00:0e:dd:01:02:03", "00:0e:dd:0a:0b:0c"


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

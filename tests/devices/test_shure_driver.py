"""The driver of Shure devices against simulated ones over TCP: what it hears, what it sends, and the faults of lines."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from crown.devices.clock import VirtualClock
from crown.devices.drivers.interface import Endpoint, mac_of
from crown.devices.drivers.shure_ascii import ShureAscii, Timing
from crown.errors import Refused, TemporaryFailure
from tests.devices.rack import START, device, endpoint, event, listened, passes, run, served


@pytest.mark.parametrize("fault", [None, "cut", "glued", "slow", "garbage"])
def test_everything_is_heard_however_the_device_cuts_its_frames(fault: str | None) -> None:
    async def check() -> None:
        clock = VirtualClock(START)
        async with (
            served(device(faults=[fault] if fault else []), clock) as server,
            listened(server, clock) as heard,
        ):
            await passes(clock, heard, lambda: len({s.channel for s in heard.samples}) == 4)
            assert heard.value(4, "name") == "BP04 Dan"
            assert heard.value(1, "battery_charge_percent") == 80
            assert heard.value(1, "battery_temperature_c") == 31
            assert heard.value(1, "frequency_mhz") == 542.125
            assert heard.value(None, "serial") == "S1"
            assert all(-128 <= s.rf_a_dbm <= -13 for s in heard.samples if s.rf_a_dbm is not None)
            assert heard.connections == 1

    run(check())


def test_a_change_on_the_device_is_heard_without_asking() -> None:
    async def check() -> None:
        clock = VirtualClock(START)
        async with served(device(), clock) as server, listened(server, clock) as heard:
            await passes(clock, heard, lambda: heard.value(1, "battery_bars") == 4)
            asked = sum("ALL" in frame for frame in server.received)
            server.device.act(event("pack_off"))
            await server.push(server.device.changes())
            await heard.changes.until(lambda: heard.value(1, "battery_bars") is None)
            assert heard.reports[1, None, "battery_minutes"].value.reason == "unknown"
            assert heard.reports[1, None, "battery_type"].value.reason == "unknown"
            assert sum("ALL" in frame for frame in server.received) == asked

    run(check())


def test_two_clients_are_served_and_each_meters_for_itself() -> None:
    async def check() -> None:
        clock = VirtualClock(START)
        async with served(device(), clock) as server, listened(server, clock) as first:
            async with listened(server, clock) as second:
                await passes(clock, second, lambda: len(first.samples) > 3 and len(second.samples) > 3)
                assert server.meters == 8
            await server.changed.until(lambda: server.clients == 1)
            assert server.meters == 4

    run(check())


def test_metering_is_stopped_before_the_connection_is_closed() -> None:
    async def check() -> None:
        clock = VirtualClock(START)
        async with served(device(), clock) as server:
            async with listened(server, clock) as heard:
                await passes(clock, heard, lambda: server.meters == 4)
            await server.changed.until(lambda: server.clients == 0)
            assert server.received[-4:] == [f"SET {n} METER_RATE 00000" for n in (1, 2, 3, 4)]

    run(check())


def test_qlxd_is_never_metered_and_is_asked_by_channel() -> None:
    async def check() -> None:
        clock = VirtualClock(START)
        async with served(device("qlxd"), clock) as server, listened(server, clock) as heard:
            await passes(clock, heard, lambda: heard.value(1, "battery_bars") == 4)
            await passes(clock, heard, lambda: server.received.count("GET 1 ALL") >= 3, 200)
            assert not [frame for frame in server.received if "METER_RATE" in frame]
            assert "GET 0 ALL" not in server.received
            assert heard.connections == 1
            assert not server.locked

    run(check())


def test_a_qlxd_whose_metering_client_vanishes_is_silent_until_its_power_cycle() -> None:
    async def check() -> None:
        clock = VirtualClock(START)
        async with served(device("qlxd"), clock) as server:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"< SET 1 METER_RATE 01000 >")
            await server.changed.until(lambda: server.meters == 1)
            writer.transport.abort()
            await server.changed.until(lambda: server.locked)
            driver = ShureAscii(clock, Timing(answer=0.2))
            assert (await driver.health(endpoint(server))).state == "silent"
            await server.power_cycle()
            assert (await driver.health(endpoint(server))).state == "online"

    run(check())


def test_only_the_metering_rate_is_ever_set() -> None:
    async def check() -> None:
        clock = VirtualClock(START)
        async with served(device("axtd"), clock) as server, listened(server, clock) as heard:
            await passes(clock, heard, lambda: len(heard.samples) > 4)
            driver = ShureAscii(clock)
            await driver.poll(endpoint(server))
            await driver.describe(endpoint(server))
            sets = [frame for frame in server.received if frame.startswith("SET")]
            assert sets
            assert all(frame.split()[2] == "METER_RATE" for frame in sets)

    run(check())


def test_a_silent_device_is_left_and_tried_again_with_a_longer_pause() -> None:
    async def check() -> None:
        clock = VirtualClock(START)
        async with served(device(faults=["silent"]), clock) as server, listened(server, clock) as heard:
            await passes(clock, heard, lambda: len(heard.reasons) == 2, 60)
            assert heard.reasons[0].endswith("is connected and says nothing.")
            assert heard.reports == {}
            server.device.described.faults.clear()
            await passes(clock, heard, lambda: heard.value(1, "name") == "HH01 Ann", 60)

    run(check())


def test_a_device_that_goes_away_is_found_again_when_it_is_back() -> None:
    async def check() -> None:
        clock = VirtualClock(START)
        async with served(device(), clock) as server, listened(server, clock) as heard:
            await passes(clock, heard, lambda: len(heard.samples) > 4)
            await server.power_cycle()
            heard.samples.clear()
            await passes(clock, heard, lambda: len(heard.samples) > 4)
            assert heard.connections == 2

    run(check())


def test_an_slxd_that_refuses_is_named_with_what_to_allow() -> None:
    async def check() -> None:
        clock = VirtualClock(START)
        async with served(device("slxd"), clock) as server:
            at = endpoint(server)
            assert (await ShureAscii(clock).describe(at)).model == "SLXD4"
        with pytest.raises(TemporaryFailure, match="third-party controller access"):
            await ShureAscii(clock).poll(at)
        other = Endpoint(at.address, at.port, "ulxd")
        health = await ShureAscii(clock).health(other)
        assert (health.state, "third-party" in health.sentence) == ("unreachable", False)

    run(check())


def test_devices_are_described_and_discovered_by_serial_and_channels() -> None:
    async def check() -> None:
        clock = VirtualClock(START)
        async with served(device(), clock) as ulxd, served(device("axtd", serial="S2"), clock) as axient:
            gone = Endpoint("127.0.0.1", 1, "ulxd")
            found = await ShureAscii(clock).discover([endpoint(ulxd), gone, endpoint(axient)])
            assert [(one.serial, one.channels, one.model) for one in found] == [
                ("S1", 4, None),
                ("S2", 2, "AD4D"),
            ]
            assert found[0].firmware == "2.7.6"
            with pytest.raises(Refused, match="crown devices add"):
                await ShureAscii(clock).configure_discovery(["10.0.0.0/24"])

    run(check())


def test_a_bad_word_and_an_absent_channel_are_answered_with_an_error() -> None:
    async def check() -> None:
        clock = VirtualClock(START)
        async with served(device(), clock) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            for words in (b"< GET 1 NONSENSE >", b"< GET 9 ALL >", b"< SET 1 AUDIO_GAIN 030 >", b"< 12 >"):
                writer.write(words)
                assert await reader.readuntil(b">") == b"< REP ERR >"
            writer.close()

    run(check())


def test_a_presence_of_axient_packs_comes_with_slot_and_sample() -> None:
    async def check() -> None:
        clock = VirtualClock(START)
        described = device("axtd", events=[event("pack_off", 2)])
        async with served(described, clock) as server, listened(server, clock) as heard:
            await passes(clock, heard, lambda: {s.channel for s in heard.samples} == {1, 2})
            await passes(
                clock, heard, lambda: heard.reports[2, 1, "slot_status"].value.value == "LINKED.INACTIVE"
            )
            before = len(heard.samples)
            await passes(clock, heard, lambda: any(s.channel == 2 for s in heard.samples[before:]))
            assert heard.reports[1, 1, "slot_status"].value.value == "LINKED.ACTIVE"
            assert [s.transmitter_present for s in heard.samples[before:] if s.channel == 2] == [False]
            assert next(s for s in heard.samples if s.channel == 1).transmitter_present is True

    run(check())


def test_a_mac_address_is_what_the_kernel_knows_of_a_neighbour(tmp_path: Path) -> None:
    table = tmp_path / "arp"
    table.write_text(
        "IP address HW type Flags HW address Mask Device\n10.0.0.5 0x1 0x2 00:0E:DD:01:02:03 * eth0\n"
        "10.0.0.6 0x1 0x0 00:00:00:00:00:00 * eth0\n"
    )
    assert mac_of("10.0.0.5", table) == "00:0e:dd:01:02:03"
    assert mac_of("10.0.0.6", table) is None
    assert mac_of("10.0.0.5", tmp_path / "absent") is None

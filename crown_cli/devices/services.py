"""The two long-running commands of devices: the collector and the simulator. Both end with Ctrl-C or SIGTERM."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from crown_cli.common.output import json_option, show_json_line
from crown_cli.common.world import open_world


def _until_stopped(work: Coroutine[Any, Any, None], seconds: float | None) -> None:
    """Run until the work ends, a signal comes, or so many seconds have passed."""

    async def bounded() -> None:
        task = asyncio.create_task(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        if seconds is not None:
            loop.call_later(seconds, task.cancel)
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(bounded())


_seconds_option = click.option(
    "--seconds", type=click.FloatRange(min=0), help="End after so long; default: never."
)


@click.command(short_help="Enter what all receivers say.")
@_seconds_option
@json_option
def collect(seconds: float | None, as_json: bool) -> None:
    """Listen to all receivers and enter samples, states and alerts.

    Of several collectors one leads, the others wait for it. While the database
    is away, samples wait in CROWN_DEVICES_BUFFER. Ctrl-C stops metering first.

    \b
    crown devices collect
    crown devices collect --seconds 60 --json
    """  # noqa: D301
    from crown.devices.clock import SystemClock
    from crown.devices.collector.collect import Collector
    from crown.devices.drivers.shure_ascii import ShureAscii, Timing

    with open_world() as world:
        clock = SystemClock()
        driver = ShureAscii(clock, Timing(metering=world.settings.devices.metering_seconds))
        collector = Collector(world.engine, world.settings, clock, driver, world.database_url)
        if not as_json:
            click.echo("Collecting; Ctrl-C ends it.", err=True)
        _until_stopped(collector.run(), seconds)
        entered, lost = collector.writer.entered, sum(one.rows for one in collector.writer.lost)
        waiting = collector.writer.buffer.bytes_waiting
    if as_json:
        show_json_line({"samples": entered, "bytes_waiting": waiting, "lost": lost})
    else:
        click.echo(f"{entered:,} samples entered; {waiting:,} bytes wait on disk; {lost:,} lost.")


@click.command(short_help="A rack to try, without hardware.")
@click.argument("rack", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--devices", "count", type=click.IntRange(1, 200), default=1, show_default=True, help="How many."
)
@click.option(
    "--port", type=click.IntRange(1, 65535), default=2202, show_default=True, help="TCP port of each."
)
@click.option(
    "--speed", type=click.FloatRange(0.1, 1000), default=1, show_default=True, help="Seconds in a second."
)
@_seconds_option
@json_option
def simulate(
    rack: Path | None, count: int, port: int, speed: float, seconds: float | None, as_json: bool
) -> None:
    """Simulate receivers on 127.0.0.11 and following, or those of the YAML file RACK.

    They speak the real protocol: batteries run down, a signal drops out, a
    firmware changes. docs/devices.md describes the file.

    \b
    crown devices simulate --devices 2
    crown devices simulate rack.yaml --speed 60
    """  # noqa: D301
    from crown.devices.clock import SystemClock
    from crown.devices.simulator.descriptions import read_rack, sample_rack
    from crown.devices.simulator.server import SimulatedRack

    described = read_rack(rack) if rack else sample_rack(count, port)

    async def serve() -> None:
        async with SimulatedRack(described, SystemClock(speed)) as served:
            for server in served.servers:
                device = server.device.described
                if as_json:
                    show_json_line({"address": device.address, "port": server.port, "family": device.family})
                else:
                    click.echo(
                        f"{device.name}: crown devices add {device.address} --port {server.port}"
                        f" --family {device.family}"
                    )
            await asyncio.Event().wait()

    _until_stopped(serve(), seconds)


COMMANDS = (simulate, collect)

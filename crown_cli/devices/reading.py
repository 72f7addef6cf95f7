"""Looking at devices and alerts, adding a receiver, acknowledging. What they do is in crown/devices/records."""

from __future__ import annotations

from typing import Any

import click

from crown_cli.common.output import json_option, rows_option, show_json, show_rows
from crown_cli.common.people import acting, who_option
from crown_cli.common.world import open_world

_RECEIVERS = ["receiver_id", "name", "model", "address", "lifecycle", "channels", "last_seen_at", "reason"]
_CHANNELS = [
    "receiver",
    "channel",
    "name",
    "mhz",
    "present",
    "rf_dbm",
    "audio_dbfs",
    "battery",
    "left",
    "alerts",
]


def _channel(row: dict[str, Any]) -> dict[str, Any]:
    """A channel for people: unknown is a dash, never a number."""
    levels = [one for one in (row["rf_a_dbm"], row["rf_b_dbm"]) if one is not None]
    charge, bars = row["battery_charge_percent"], row["battery_bars"]
    return {
        "receiver": row["receiver_id"],
        "channel": row["channel"],
        "name": row["name"],
        "mhz": row["frequency_mhz"],
        "present": row["transmitter_present"],
        "rf_dbm": str(max(levels)) if levels else "-",
        "audio_dbfs": "-" if row["audio_peak_dbfs"] is None else str(row["audio_peak_dbfs"]),
        "battery": f"{charge} %" if charge is not None else "-" if bars is None else f"{bars}/5",
        "left": "-" if row["battery_minutes"] is None else f"{row['battery_minutes']} min",
        "alerts": row["alerts"],
    }


@click.command(short_help="Receivers and channels as they are now.")
@json_option
def status(as_json: bool) -> None:
    """Show every receiver and the newest sample of each channel.

    A dash is unknown: the pack is off, or does not report it; --json says why.

    \b
    crown devices status
    crown devices status --json | jq '.channels[] | {name, battery_minutes}'
    """  # noqa: D301
    from crown.devices.records import reading

    with open_world() as world, world.engine.connect() as connection:
        receivers, channels = reading.receivers(connection), reading.channels(connection)
    if as_json:
        show_json({"receivers": receivers, "channels": channels})
        return
    show_people(receivers, channels)


def show_people(receivers: list[dict[str, Any]], channels: list[dict[str, Any]]) -> None:
    """Print receivers and channels as two tables."""
    show_rows(receivers, columns=_RECEIVERS, empty="No receiver; `crown devices add ADDRESS`.")
    if channels:
        show_rows([_channel(row) for row in channels], columns=_CHANNELS)


@click.command(short_help="Everything that is known of RECEIVER.")
@click.argument("receiver", type=int)
@json_option
def show(receiver: int, as_json: bool) -> None:
    """Show RECEIVER: its row, channels, current states, movements.

    \b
    crown devices show 1
    crown devices show 1 --json
    """  # noqa: D301
    from crown.devices.records import reading

    with open_world() as world, world.engine.connect() as connection:
        found = reading.receiver(connection, receiver)
    if as_json:
        show_json(found)
        return
    for name, value in found["receiver"].items():
        if value is not None:
            click.echo(f"{name}: {value}")
    show_rows([_channel(row) for row in found["channels"]], columns=_CHANNELS, empty="No channel yet.")
    show_rows(found["states"], title="States", empty="No state yet.")
    show_rows(found["movements"], title="Movements", empty="")


@click.command(short_help="Open alerts; --all with resolved ones.")
@click.option("--all", "resolved", is_flag=True, help="The newest 100, also resolved ones.")
@rows_option
def alerts(resolved: bool, as_json: bool) -> None:
    """Show open alerts, the most severe first.

    \b
    crown devices alerts
    crown devices alerts --all --csv > alerts.csv
    """  # noqa: D301
    from crown.devices.records import reading

    with open_world() as world, world.engine.connect() as connection:
        rows = reading.alerts(connection, resolved=resolved)
    columns = [
        "alert_id",
        "severity",
        "type",
        "receiver_id",
        "channel",
        "status",
        "overdue",
        "opened_at",
        "sentence",
    ]
    show_rows(rows, as_json=as_json, columns=columns, empty="No alert.")


@click.command(short_help="Acknowledge alerts.")
@click.argument("ids", nargs=-1, required=True, type=int, metavar="ID...")
@who_option
@json_option
def ack(ids: tuple[int, ...], who: str | None, as_json: bool) -> None:
    """Acknowledge alerts: somebody has seen them and acts.

    \b
    crown devices ack 12 13
    """  # noqa: D301
    from crown.devices.records import alerts as records
    from crown.devices.summary import SAMPLES

    with open_world() as world:
        person = acting(world.engine, who, "approve", SAMPLES)
        with world.engine.begin() as connection:
            done = records.acknowledge(connection, ids, person)
    if as_json:
        show_json({"acknowledged": done})
        return
    click.echo(
        f"{len(done)} acknowledged by {person}; {len(set(ids)) - len(done)} were already, or are resolved."
    )


@click.command(short_help="Listen to the receiver at ADDRESS.")
@click.argument("address")
@click.option("--port", type=click.IntRange(1, 65535), default=2202, show_default=True, help="Its TCP port.")
@click.option(
    "--family",
    default="ulxd",
    show_default=True,
    type=click.Choice(["ulxd", "qlxd", "axtd", "slxd"]),
    help="Which kind of receiver it is.",
)
@who_option
@json_option
def add(address: str, port: int, family: str, who: str | None, as_json: bool) -> None:
    """Add the receiver at ADDRESS; a running collector listens to it at once.

    \b
    crown devices add 10.0.0.5
    crown devices add 10.0.0.6 --family axtd
    """  # noqa: D301
    from crown.devices.drivers.interface import Endpoint
    from crown.devices.records import inventory
    from crown.devices.summary import SAMPLES

    with open_world() as world:
        person = acting(world.engine, who, "configure", SAMPLES)
        with world.engine.begin() as connection:
            receiver_id = inventory.add(connection, Endpoint(address, port, family), person)
    if as_json:
        show_json({"receiver_id": receiver_id, "address": address, "port": port, "family": family})
    else:
        click.echo(f"Receiver {receiver_id} is {address}:{port}; `crown devices collect` listens to it.")


COMMANDS = (add, status, show, alerts, ack)

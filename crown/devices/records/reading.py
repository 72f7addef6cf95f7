"""What `crown devices` and the observations show: receivers, channels as they are now, alerts. Read-only."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from crown.errors import BadInput

#: The newest sample of each channel; a channel without one in the last hour has none.
_CHANNELS = """
select c.receiver_id, c.channel, s.*,
       (select value from devices.states t where t.receiver_id = c.receiver_id and t.channel = c.channel
           and t.name = 'name' and t.valid_to is null limit 1) as name,
       (select value from devices.states t where t.receiver_id = c.receiver_id and t.channel = c.channel
           and t.name = 'frequency_mhz' and t.valid_to is null limit 1) as frequency_mhz,
       (select string_agg(a.type, ', ' order by a.type) from devices.open_alerts a
           where a.receiver_id = c.receiver_id and a.channel = c.channel) as alerts
from devices.channels c
left join lateral (
    select at, rf_a_dbm, rf_b_dbm, audio_peak_dbfs, transmitter_present, battery_bars, battery_charge_percent,
           battery_minutes, reasons
    from devices.samples m
    where m.receiver_id = c.receiver_id and m.channel = c.channel and m.at > now() - interval '1 hour'
    order by m.at desc limit 1) s on true
"""


def receivers(connection: Connection) -> list[dict[str, Any]]:
    """Every receiver that is not retired, with its lifecycle and why it cannot be reached."""
    rows = connection.execute(
        text(
            "select receiver_id, name, model, family, address, port, serial, firmware, lifecycle, last_seen_at, reason,"
            " (select count(*) from devices.channels c where c.receiver_id = r.receiver_id) as channels"
            " from devices.receivers r where lifecycle <> 'retired' order by receiver_id"
        )
    )
    return [dict(row) for row in rows.mappings()]


def channels(connection: Connection, receiver_id: int | None = None) -> list[dict[str, Any]]:
    """Every channel, or those of a receiver, with its newest sample of the last hour and its open alerts."""
    rows = connection.execute(
        text(f"{_CHANNELS} where cast(:id as integer) is null or c.receiver_id = :id order by 1, 2"),
        {"id": receiver_id},
    )
    return [dict(row) for row in rows.mappings()]


def receiver(connection: Connection, receiver_id: int) -> dict[str, Any]:
    """Everything that is known of a receiver.

    Raises:
        BadInput: there is none.
    """
    row = connection.execute(
        text("select * from devices.receivers where receiver_id = :id"), {"id": receiver_id}
    ).mappings()
    found = row.one_or_none()
    if found is None:
        raise BadInput(f"There is no receiver {receiver_id}; `crown devices status` lists them.")
    given = {"id": receiver_id}
    states = connection.execute(
        text(
            "select channel, slot, name, value, reason, valid_from from devices.states"
            " where receiver_id = :id and valid_to is null order by channel nulls first, slot nulls first, name"
        ),
        given,
    ).mappings()
    moved = connection.execute(
        text(
            "select at, what, old_value, new_value from devices.movements where receiver_id = :id order by 1"
        ),
        given,
    ).mappings()
    return {
        "receiver": dict(found),
        "channels": channels(connection, receiver_id),
        "states": [dict(one) for one in states],
        "movements": [dict(one) for one in moved],
    }


def alerts(connection: Connection, *, resolved: bool = False) -> list[dict[str, Any]]:
    """Open alerts, highest severity first; with `resolved` the newest 100 of all."""
    query = (
        "select *, false as overdue from devices.alerts order by opened_at desc limit 100"
        if resolved
        else "select * from devices.open_alerts order by array_position(array['high', 'medium', 'low'], severity), opened_at"
    )
    return [dict(row) for row in connection.execute(text(query)).mappings()]


def newest_sample(connection: Connection) -> datetime | None:
    """When the newest sample was received, as of the newest day with samples."""
    day = connection.execute(text("select max(day) from devices.days")).scalar_one()
    if day is None:
        return None
    return connection.execute(
        text("select max(at) from devices.samples where at >= cast(:day as timestamp) at time zone 'UTC'"),
        {"day": day},
    ).scalar_one()


def round_of(connection: Connection, minutes: int) -> dict[str, Any]:
    """What the last minutes brought: samples, channels, receivers by lifecycle, open alerts; for an observation."""
    of_samples = connection.execute(
        text(
            "select count(*) as samples, count(distinct (receiver_id, channel)) as channels, max(at) as newest"
            " from devices.samples where at > now() - make_interval(mins => :minutes)"
        ),
        {"minutes": minutes},
    ).one()
    by_lifecycle = connection.execute(
        text("select lifecycle, count(*) as count from devices.receivers group by 1 order by 1")
    )
    return {
        "samples": of_samples.samples,
        "channels": of_samples.channels,
        "newest_sample": of_samples.newest,
        "receivers": {row.lifecycle: row.count for row in by_lifecycle},
        "open_alerts": connection.execute(text("select count(*) from devices.open_alerts")).scalar_one(),
        "lost_rows": connection.execute(
            text("select coalesce(sum(rows), 0) from devices.losses")
        ).scalar_one(),
    }

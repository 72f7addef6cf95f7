"""Five-minute roll-ups of a day of samples, rebuilt as a whole; and which days are due. Hours and days are views on them.

A day is due when samples entered it after it was rolled up: late samples re-open exactly their day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, Engine, text

#: Below this level a received signal counts as lost, as in django-micboard.
LOST_BELOW_DBM = -80

_ROLL_UP = text("""
insert into devices.five_minutes (receiver_id, channel, at, samples, present, lost, rf_min_dbm, rf_average_dbm, rf_max_dbm,
    audio_average_dbfs, audio_max_dbfs, quality_min, battery_min_percent, battery_min_minutes)
select receiver_id, channel, date_bin('5 minutes', at, timestamptz '2000-01-01 00:00+00'), count(*),
       count(*) filter (where transmitter_present),
       count(*) filter (where transmitter_present and greatest(rf_a_dbm, rf_b_dbm) < :lost),
       min(greatest(rf_a_dbm, rf_b_dbm)), avg(greatest(rf_a_dbm, rf_b_dbm)), max(greatest(rf_a_dbm, rf_b_dbm)),
       avg(audio_peak_dbfs), max(audio_peak_dbfs), min(quality),
       min(coalesce(battery_charge_percent, battery_bars * 20)), min(battery_minutes)
from devices.samples
where at >= cast(:day as timestamp) at time zone 'UTC'
  and at < (cast(:day as timestamp) + interval '1 day') at time zone 'UTC'
group by 1, 2, 3
""")


@dataclass(frozen=True)
class RolledUp:
    """What rebuilding a day made."""

    day: date
    samples: int
    rows: int
    channels: int
    lost_seconds: int


def due(connection: Connection) -> dict[date, datetime]:
    """Days with samples that their roll-up has not seen, and when they last changed, oldest first."""
    rows = connection.execute(
        text(
            "select d.day, d.changed_at from devices.days d left join devices.rolled_up_days r using (day)"
            " where r.as_of is null or r.as_of < d.changed_at order by d.day"
        )
    )
    return {row.day: row.changed_at for row in rows}


def roll_up(engine: Engine, day: date) -> RolledUp:
    """Rebuild the five minutes of a day; a second call makes the same rows.

    A day whose samples were dropped by retention keeps the roll-up that it has.
    """
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        # Before the transaction: its snapshot must see what an earlier holder committed.
        connection.execute(text("select pg_advisory_lock(7263172)"))
        connection.commit()
        try:
            with connection.begin():
                return _rebuilt(connection, day)
        finally:
            connection.execute(text("select pg_advisory_unlock(7263172)"))
            connection.commit()


def _rebuilt(connection: Connection, day: date) -> RolledUp:
    given = {"day": day, "lost": LOST_BELOW_DBM}
    changed_at = connection.execute(
        text("select changed_at from devices.days where day = :day"), given
    ).scalar_one_or_none()
    there = connection.execute(
        text("select to_regclass(:name) is not null"), {"name": f"devices.samples_{day:%Y%m%d}"}
    ).scalar_one()
    if there:
        connection.execute(
            text(
                "delete from devices.five_minutes where at >= cast(:day as timestamp) at time zone 'UTC'"
                " and at < (cast(:day as timestamp) + interval '1 day') at time zone 'UTC'"
            ),
            given,
        )
        connection.execute(_ROLL_UP, given)
    made = connection.execute(
        text(
            "select coalesce(sum(samples), 0) as samples, count(*) as rows,"
            " count(distinct (receiver_id, channel)) as channels, coalesce(sum(lost), 0) as lost_seconds"
            " from devices.five_minutes where at >= cast(:day as timestamp) at time zone 'UTC'"
            " and at < (cast(:day as timestamp) + interval '1 day') at time zone 'UTC'"
        ),
        given,
    ).one()
    if changed_at is not None:
        connection.execute(
            text(
                "insert into devices.rolled_up_days (day, as_of, samples) values (:day, :as_of, :samples)"
                " on conflict (day) do update set as_of = excluded.as_of, samples = excluded.samples,"
                " made_at = clock_timestamp()"
            ),
            {"day": day, "as_of": changed_at, "samples": made.samples},
        )
    return RolledUp(day, *made)

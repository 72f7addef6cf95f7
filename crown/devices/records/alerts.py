"""Battery alerts: opened and resolved with hysteresis, each a row that moves from pending to resolved.

`BatteryWatch` decides and writes nothing; the functions write, in the caller's transaction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from crown.devices.records.inventory import DEPARTMENT
from crown.errors import BadInput
from crown.journal import activity, notices

BATTERY_LOW, BATTERY_CRITICAL = "battery_low", "battery_critical"
SEVERITIES = {BATTERY_LOW: "low", BATTERY_CRITICAL: "high"}
#: A charge must be low for so long: a glitch of one report is no alert.
_HOLD = timedelta(seconds=5)
#: So many percent above its threshold an alert is resolved.
_HYSTERESIS = 5


@dataclass(frozen=True)
class Turn:
    """An alert is to be opened or resolved."""

    type: str
    opens: bool
    percent: int


@dataclass
class BatteryWatch:
    """The battery of one channel.

    Attributes:
        thresholds: percent at which each type is opened.
        is_open: types that are open.
    """

    thresholds: Mapping[str, int]
    is_open: set[str] = field(default_factory=set)
    _below_since: dict[str, datetime] = field(default_factory=dict)

    def look(self, percent: int | None, at: datetime) -> list[Turn]:
        """What a charge changes; an unknown one (pack off) changes nothing, it neither charges nor empties a battery."""
        if percent is None:
            self._below_since.clear()
            return []
        turns = []
        for kind, threshold in self.thresholds.items():
            if percent <= threshold:
                since = self._below_since.setdefault(kind, at)
                # A clock that was set back begins the wait anew.
                self._below_since[kind] = since = min(since, at)
                if kind not in self.is_open and at - since >= _HOLD:
                    self.is_open.add(kind)
                    turns.append(Turn(kind, True, percent))
                continue
            self._below_since.pop(kind, None)
            if kind in self.is_open and percent >= threshold + _HYSTERESIS:
                self.is_open.discard(kind)
                turns.append(Turn(kind, False, percent))
        return turns


def open_types(connection: Connection) -> dict[tuple[int, int | None], set[str]]:
    """The types that are open, by receiver and channel."""
    found: dict[tuple[int, int | None], set[str]] = {}
    rows = connection.execute(
        text("select receiver_id, channel, type from devices.alerts where status <> 'resolved'")
    )
    for receiver_id, channel, kind in rows:
        found.setdefault((receiver_id, channel), set()).add(kind)
    return found


def enter(
    connection: Connection,
    receiver_id: int,
    channel: int,
    name: str,
    turn: Turn,
    at: datetime,
    snapshot: Mapping[str, Any],
) -> None:
    """Open an alert, with a notice for people, or resolve it. One that is open already is not opened twice."""
    given = {"id": receiver_id, "channel": channel, "type": turn.type, "at": at}
    if not turn.opens:
        resolved = connection.execute(
            text(
                "update devices.alerts set status = 'resolved', resolved_at = :at where receiver_id = :id"
                " and channel = :channel and type = :type and status <> 'resolved' returning alert_id"
            ),
            given,
        ).scalar_one_or_none()
        if resolved is not None:
            _record(connection, DEPARTMENT, "alert_resolved", resolved, new={"percent": turn.percent})
        return
    level = "critical" if turn.type == BATTERY_CRITICAL else "low"
    minutes = snapshot.get("battery_minutes")
    left = f", {minutes} minutes left" if minutes is not None else ""
    sentence = f"Battery {level} on {name}: {turn.percent} %{left}; change the battery or the pack."
    alert_id = connection.execute(
        text(
            "insert into devices.alerts (type, severity, receiver_id, channel, sentence, snapshot, opened_at)"
            " values (:type, :severity, :id, :channel, :sentence, cast(:snapshot as jsonb), :at)"
            " on conflict do nothing returning alert_id"
        ),
        {
            **given,
            "severity": SEVERITIES[turn.type],
            "sentence": sentence,
            "snapshot": json.dumps(dict(snapshot)),
        },
    ).scalar_one_or_none()
    if alert_id is not None:
        notices.post(
            connection, kind="failure", department=DEPARTMENT, subject=_subject(alert_id), sentence=sentence
        )
        _record(connection, DEPARTMENT, "alert_opened", alert_id, details=sentence)


def follow_notices(connection: Connection) -> int:
    """Alerts whose notice went out are sent, those whose notice no address took are failed; how many became sent."""
    given = {"department": DEPARTMENT}
    connection.execute(
        text(
            "update devices.alerts a set status = 'failed' from journal.notices n"
            " where a.status = 'pending' and n.department = :department and n.sent_at is null and n.attempts > 0"
            " and n.subject = 'alert ' || a.alert_id"
        ),
        given,
    )
    return connection.execute(
        text(
            "update devices.alerts a set status = 'sent', sent_at = n.sent_at from journal.notices n"
            " where a.status in ('pending', 'failed') and n.department = :department and n.sent_at >= a.opened_at"
            " and n.subject = 'alert ' || a.alert_id"
        ),
        given,
    ).rowcount


def acknowledge(connection: Connection, alert_ids: Sequence[int], who: str) -> list[int]:
    """A person has seen alerts; those that were open and not acknowledged yet.

    Raises:
        BadInput: there is no such alert.
    """
    known = connection.execute(
        text("select alert_id from devices.alerts where alert_id = any(:ids)"), {"ids": list(alert_ids)}
    ).scalars()
    missing = sorted(set(alert_ids) - set(known))
    if missing:
        raise BadInput(f"There is no alert {missing[0]}; `crown devices alerts` lists them.")
    done = connection.execute(
        text(
            "update devices.alerts set status = 'acknowledged', acknowledged_at = clock_timestamp(),"
            " acknowledged_by = :who where alert_id = any(:ids) and status in ('pending', 'sent', 'failed')"
            " returning alert_id"
        ),
        {"ids": list(alert_ids), "who": who},
    ).scalars()
    acknowledged = sorted(done)
    for alert_id in acknowledged:
        _record(connection, who, "alert_acknowledged", alert_id, via="cli")
    return acknowledged


def _subject(alert_id: int) -> str:
    return f"alert {alert_id}"


def _record(
    connection: Connection, who: str, what: str, alert_id: int, via: activity.Via = "run", **more: Any
) -> None:
    activity.record(
        connection, who=who, what=what, subject=_subject(alert_id), department=DEPARTMENT, via=via, **more
    )

"""Receivers as rows: added, recognised by serial or MAC, moved through their lifecycle. What they measure is not here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from crown.devices.drivers.interface import Description, Endpoint
from crown.devices.drivers.shure_fields import FAMILIES
from crown.errors import BadInput, Refused
from crown.journal import activity

DEPARTMENT = "devices"
#: Receivers that are not asked.
NOT_POLLED = ("maintenance", "retired")


@dataclass(frozen=True)
class Receiver:
    """A receiver that is polled."""

    receiver_id: int
    endpoint: Endpoint
    serial: str | None
    mac: str | None
    lifecycle: str
    name: str | None


@dataclass(frozen=True)
class Settled:
    """Who answered at an address.

    Attributes:
        receiver_id: the row that its data belong to.
        is_new: no row had its serial or MAC before.
        moved_from: where it was before, when it has a new address.
    """

    receiver_id: int
    is_new: bool = False
    moved_from: str | None = None


def add(connection: Connection, endpoint: Endpoint, who: str) -> int:
    """Add a receiver that is to be polled; its id.

    Raises:
        BadInput: an unknown family, or an address that is taken.
    """
    if endpoint.family not in FAMILIES:
        raise BadInput(f"{endpoint.family!r} is no family of devices; there are {', '.join(FAMILIES)}.")
    # Emptying the department takes its manufacturers, too.
    connection.execute(
        text(
            "insert into devices.manufacturers (code, name) values ('shure', 'Shure') on conflict do nothing"
        )
    )
    try:
        with connection.begin_nested():
            receiver_id = connection.execute(
                text(
                    "insert into devices.receivers (family, address, port, lifecycle)"
                    " values (:family, :address, :port, 'provisioning') returning receiver_id"
                ),
                vars(endpoint),
            ).scalar_one()
    except IntegrityError:
        raise BadInput(
            f"{endpoint} belongs to a receiver already; `crown devices status` lists them."
        ) from None
    _record(connection, who, "device_added", receiver_id, via="cli", new={"address": str(endpoint)})
    return int(receiver_id)


def polled(connection: Connection) -> list[Receiver]:
    """The receivers that are asked, by id."""
    rows = connection.execute(
        text(
            "select receiver_id, address, port, family, serial, mac, lifecycle, name from devices.receivers"
            " where address is not null and lifecycle <> all(:left_out) order by receiver_id"
        ),
        {"left_out": list(NOT_POLLED)},
    )
    return [
        Receiver(
            row.receiver_id,
            Endpoint(row.address, row.port, row.family),
            row.serial,
            row.mac,
            row.lifecycle,
            row.name,
        )
        for row in rows
    ]


def settle(connection: Connection, described: Description) -> Settled:
    """Whose data come from an address: the serial decides, without one the MAC address, without both the address.

    The row has the serial and the MAC address of the described device afterwards; a MAC address is of one row. A known
    device at a new address moves there, with a row in devices.movements. A known address at which another device answers
    is taken from its row, which stays with its history.
    """
    given = {
        "address": described.endpoint.address,
        "port": described.endpoint.port,
        "family": described.endpoint.family,
        "serial": described.serial,
        "mac": described.mac,
    }
    here = connection.execute(
        text("select * from devices.receivers where address = :address and port = :port for update"), given
    ).one_or_none()
    known = connection.execute(
        text(
            "select * from devices.receivers where serial = :serial"
            " or mac = :mac and (serial is null or cast(:serial as text) is null)"
            " order by (serial = :serial) desc nulls last limit 1 for update"
        ),
        given,
    ).one_or_none()
    if known is None and here is not None and _may_be(here, described):
        known = here
    if known is not None:
        _identify(connection, known.receiver_id, described)
    if known is not None and here is not None and known.receiver_id == here.receiver_id:
        return Settled(known.receiver_id)
    if here is not None:
        connection.execute(
            text(
                "update devices.receivers set address = null, reason = 'Another device answers at its address.',"
                " lifecycle = case when lifecycle in ('retired', 'discovered') then lifecycle else 'offline' end"
                " where receiver_id = :id"
            ),
            {"id": here.receiver_id},
        )
        _moved(connection, here.receiver_id, here.address, None)
    if known is not None:
        connection.execute(
            text(
                "update devices.receivers set address = :address, port = :port, family = :family"
                " where receiver_id = :receiver_id"
            ),
            {**given, "receiver_id": known.receiver_id},
        )
        _moved(connection, known.receiver_id, known.address, described.endpoint.address)
        return Settled(known.receiver_id, moved_from=known.address)
    receiver_id = connection.execute(
        text(
            "insert into devices.receivers (family, address, port, lifecycle)"
            " values (:family, :address, :port, 'provisioning') returning receiver_id"
        ),
        given,
    ).scalar_one()
    _identify(connection, receiver_id, described)
    identity = {"serial": described.serial, "mac": described.mac}
    _record(connection, DEPARTMENT, "device_discovered", receiver_id, new=identity)
    return Settled(int(receiver_id), is_new=True)


def _identify(connection: Connection, receiver_id: int, described: Description) -> None:
    """Keep the serial and the MAC address that a device has; another row that had its MAC address loses it."""
    given = {"id": receiver_id, "serial": described.serial, "mac": described.mac}
    connection.execute(
        text("update devices.receivers set mac = null where mac = :mac and receiver_id <> :id"), given
    )
    connection.execute(
        text(
            "update devices.receivers set serial = coalesce(:serial, serial), mac = coalesce(:mac, mac)"
            " where receiver_id = :id"
        ),
        given,
    )


def _may_be(row: object, described: Description) -> bool:
    """Whether nothing says that a row is another device than the described one."""
    pairs = ((getattr(row, name), getattr(described, name)) for name in ("serial", "mac"))
    return all(before is None or now is None or before == now for before, now in pairs)


def seen(connection: Connection, moments: dict[int, datetime]) -> None:
    """When devices were last heard; never set back."""
    if moments:
        connection.execute(
            text(
                "update devices.receivers set last_seen_at = greatest(last_seen_at, :at) where receiver_id = :id"
            ),
            [{"id": receiver_id, "at": at} for receiver_id, at in moments.items()],
        )


def described(connection: Connection, receiver_id: int, fields: dict[str, str | None]) -> None:
    """Keep what a device reports of itself: model, name, firmware, RF band; a change is a row of the trail."""
    names = {"model": "model", "device_name": "name", "firmware": "firmware", "rf_band": "rf_band"}
    new = {names[field]: value for field, value in fields.items() if field in names and value}
    if not new:
        return
    row = connection.execute(
        text(
            "select model, name, firmware, rf_band from devices.receivers where receiver_id = :id for update"
        ),
        {"id": receiver_id},
    ).one()
    old = {name: getattr(row, name) for name in new}
    changed = {name: value for name, value in new.items() if old[name] != value}
    if not changed:
        return
    connection.execute(
        text(
            f"update devices.receivers set {', '.join(f'{name} = :{name}' for name in changed)}"
            " where receiver_id = :id"
        ),
        {**changed, "id": receiver_id},
    )
    before = {name: old[name] for name in changed}
    if any(value is not None for value in before.values()):
        _record(connection, DEPARTMENT, "device_updated", receiver_id, old=before, new=changed)


def move(connection: Connection, receiver_id: int, lifecycle: str, reason: str | None = None) -> bool:
    """Move a receiver through its lifecycle; False when it is there already. last_seen_at stays as it is.

    Raises:
        Refused: the move is not allowed.
    """
    before = connection.execute(
        text("select lifecycle from devices.receivers where receiver_id = :id for update"),
        {"id": receiver_id},
    ).scalar_one()
    given = {"id": receiver_id, "new": lifecycle, "reason": reason}
    if before == lifecycle:
        connection.execute(
            text(
                "update devices.receivers set reason = :reason"
                " where receiver_id = :id and reason is distinct from :reason"
            ),
            given,
        )
        return False
    try:
        with connection.begin_nested():
            connection.execute(
                text(
                    "update devices.receivers set lifecycle = :new, reason = :reason where receiver_id = :id"
                ),
                given,
            )
    except IntegrityError as error:
        raise Refused(str(error.orig).splitlines()[0]) from None
    _record(
        connection,
        DEPARTMENT,
        f"device_{lifecycle}",
        receiver_id,
        old={"lifecycle": before},
        new={"lifecycle": lifecycle},
        details=reason,
    )
    return True


def channels(connection: Connection, receiver_id: int, numbers: set[int]) -> None:
    """Keep which channels a receiver has: as many as the device reports, not as a table of models says."""
    connection.execute(
        text(
            "insert into devices.channels (receiver_id, channel)"
            " select :id, unnest(cast(:numbers as smallint[])) on conflict do nothing"
        ),
        {"id": receiver_id, "numbers": sorted(numbers)},
    )


def _moved(connection: Connection, receiver_id: int, old: str | None, new: str | None) -> None:
    connection.execute(
        text(
            "insert into devices.movements (receiver_id, what, old_value, new_value) values (:id, 'address', :old, :new)"
        ),
        {"id": receiver_id, "old": old, "new": new},
    )
    _record(connection, DEPARTMENT, "device_moved", receiver_id, old={"address": old}, new={"address": new})


def _record(
    connection: Connection,
    who: str,
    what: str,
    receiver_id: int,
    via: activity.Via = "run",
    **more: object,
) -> None:
    activity.record(
        connection,
        who=who,
        what=what,
        subject=f"receiver {receiver_id}",
        department=DEPARTMENT,
        via=via,
        **more,
    )

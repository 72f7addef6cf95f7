"""What a listened receiver says as rows: one sample for each channel and second, one row for each change of a state.

Rows are lines of COPY, as the database and the disk buffer take them. Nothing is written here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from crown.devices.drivers.interface import Description, Endpoint
from crown.devices.drivers.metering import Measured
from crown.devices.drivers.shure_fields import MEASURED, Report

SAMPLE_COLUMNS = (
    *("receiver_id", "channel", "at", "rf_a_dbm", "rf_b_dbm", "audio_peak_dbfs", "audio_rms_dbfs"),
    *("antenna_a_active", "antenna_b_active", "quality", "overload", "transmitter_present"),
    *("battery_bars", "battery_charge_percent", "battery_minutes", "battery_temperature_c", "reasons"),
)
STATE_COLUMNS = ("receiver_id", "channel", "slot", "name", "value", "reason", "at")
_LEVELS = SAMPLE_COLUMNS[3:11]
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\x00": None})
_NEVER = datetime.min.replace(tzinfo=UTC)
#: A device that does not say its serial within so many seconds has none.
IDENTITY_SECONDS = 3
#: So many rows wait until the inventory knows whose they are.
_HELD = 1000


def _cell(value: object) -> str:
    if value is None:
        return "\\N"
    if isinstance(value, bool):
        return "t" if value else "f"
    return value.translate(_ESCAPES) if isinstance(value, str) else str(value)


def _second(at: datetime) -> str:
    return at.replace(microsecond=0).isoformat()


def line(values: tuple[object, ...]) -> str:
    """A row as COPY takes it."""
    return "\t".join(map(_cell, values)) + "\n"


@dataclass
class ChannelState:
    """What is known of a channel now."""

    battery: dict[str, int | None] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    measured: Measured | None = None
    second: str | None = None
    entered: str | None = None
    slot_active: dict[int, bool] = field(default_factory=dict)
    pack_known: dict[str, bool] = field(default_factory=dict)

    @property
    def present(self) -> bool | None:
        """Whether a transmitter is received: slots and pack decide, then the sample; None: nobody said so yet."""
        if any(self.slot_active.values()):
            return True
        if self.measured is not None and self.measured.transmitter_present is not None:
            return self.measured.transmitter_present
        if self.slot_active:
            return False
        return any(self.pack_known.values()) if self.pack_known else None

    @property
    def percent(self) -> int | None:
        """Charge in percent; of bars alone, 20 percent each."""
        charge, bars = self.battery.get("battery_charge_percent"), self.battery.get("battery_bars")
        return charge if charge is not None else None if bars is None else bars * 20


class ReceiverRows:
    """Hears one receiver (`interface.Sink`) and gives rows once a second.

    Args:
        receiver_id: the row of the inventory.
        endpoint: where it is.
        serial: that the inventory knows.
        mac: likewise.

    Attributes:
        last_seen: when its last byte arrived; None: never.
        reason: why it cannot be reached; None while it can.
        stranger: the device that answers here, while the inventory has another serial or MAC address, or lacks it;
            its rows wait.
        identified: whether it is decided who answers here: by serial, else by MAC address, else by the address.
        of_device: what the device says of itself.
        channels: the state of each channel.
    """

    def __init__(
        self, receiver_id: int, endpoint: Endpoint, serial: str | None, mac: str | None = None
    ) -> None:
        self.receiver_id, self.endpoint = receiver_id, endpoint
        self._known, self._mac = (serial, mac), mac
        self.last_seen: datetime | None = None
        self.reason: str | None = None
        self.stranger: Description | None = None
        self.of_device: dict[str, str | None] = {}
        self.channels: dict[int, ChannelState] = {}
        self._states: dict[tuple[int | None, int | None, str], tuple[str | None, str | None]] = {}
        self._changes: list[str] = []
        self._connected_at = _NEVER
        self.identified = False
        self._rows: list[str] = []

    @property
    def is_known(self) -> bool:
        """Whether what is heard belongs to the receiver of the inventory."""
        return self.identified and self.stranger is None

    def connected(self, at: datetime, mac: str | None) -> None:
        """A connection is open; who answers is decided by the serial, or by the MAC address when none comes."""
        self._connected_at, self.identified, self._mac = at, False, mac

    def disconnected(self, at: datetime, reason: str) -> None:  # noqa: ARG002 - the interface of a sink
        """It ended: levels and packs are not known any more, states stay."""
        self.reason = reason
        for number, channel in self.channels.items():
            self._finish(number, channel)
            channel.measured = None

    def reported(self, at: datetime, report: Report) -> None:
        """A field."""
        self._heard(at)
        if report.field == "serial" and report.channel is None:
            if report.value.value is not None:
                self._identify(str(report.value.value))
            return
        if report.channel is not None:
            self._of_channel(at, report)
        elif report.value.value is not None:
            self.of_device[report.field] = str(report.value.value)
        if report.field not in MEASURED or report.slot is not None:
            self._state(at, report)

    def measured(self, at: datetime, measured: Measured) -> None:
        """A sample."""
        self._heard(at)
        channel = self.channels.setdefault(measured.channel, ChannelState())
        self._begin(measured.channel, channel, at)
        channel.measured = measured

    def recognised(self, serial: str | None, mac: str | None) -> None:
        """What the inventory has now; when it is the device that answers here, that is no stranger any more."""
        self._known = (serial, mac)
        if self.stranger is not None and self._is_in_inventory(self.stranger):
            self.stranger = None

    def name_of(self, channel: int) -> str:
        """What people call a channel: its name, and the device's."""
        name, _ = self._states.get((channel, None, "name"), (None, None))
        return f"{name or f'channel {channel}'} ({self.of_device.get('device_name') or self.endpoint})"

    def take(self, now: datetime, *, ends: bool = False) -> tuple[list[str], list[str]]:
        """The seconds that are over and the state changes since the last call; none while it is not sure whose they are.

        With `ends` the second that is under way, too: nobody listens any more.
        """
        # A clock that was set back begins the wait anew.
        self._connected_at = min(self._connected_at, now)
        if not self.identified and (now - self._connected_at).total_seconds() >= IDENTITY_SECONDS:
            self._identify(None)
        if not self.is_known:
            del self._rows[:-_HELD]
            return [], []
        current = _second(now)
        for number, channel in sorted(self.channels.items()):
            if channel.second != current or ends:
                self._finish(number, channel)
        samples, self._rows = self._rows, []
        changes, self._changes = self._changes, []
        return samples, changes

    def _begin(self, number: int, channel: ChannelState, at: datetime) -> None:
        """Something arrived: when it is of another second, the row of the one before is complete."""
        second = _second(at)
        if channel.second != second:
            self._finish(number, channel)
            channel.second = second

    def _finish(self, number: int, channel: ChannelState) -> None:
        """The row of the second of which something arrived; a second has one row, also when a connection ended in it."""
        if channel.second is not None and channel.second != channel.entered:
            self._rows.append(self._sample(number, channel, channel.second))
            channel.entered = channel.second
        channel.second = None

    def _heard(self, at: datetime) -> None:
        self.last_seen, self.reason = at, None

    def _identify(self, serial: str | None) -> None:
        answers = Description(self.endpoint, serial=serial, mac=self._mac)
        if not self._is_in_inventory(answers):
            self.stranger = answers
        self.identified = True

    def _is_in_inventory(self, answers: Description) -> bool:
        pairs = zip((answers.serial, answers.mac), self._known, strict=True)
        return all(given is None or given == known for given, known in pairs)

    def _of_channel(self, at: datetime, report: Report) -> None:
        assert report.channel is not None
        channel = self.channels.setdefault(report.channel, ChannelState())
        if report.slot is not None:
            if report.field == "slot_status":
                channel.slot_active[report.slot] = report.value.value == "LINKED.ACTIVE"
            return
        if report.field in MEASURED:
            self._begin(report.channel, channel, at)
            value = report.value.value
            channel.battery[report.field] = int(value) if value is not None else None
            channel.reasons.pop(report.field, None)
            if report.value.reason:
                channel.reasons[report.field] = report.value.reason
        if report.field in ("battery_bars", "pack_type"):
            channel.pack_known[report.field] = report.value.value is not None

    def _state(self, at: datetime, report: Report) -> None:
        key = (report.channel, report.slot, report.field)
        value = None if report.value.value is None else str(report.value.value)
        if self._states.get(key) != (value, report.value.reason):
            self._states[key] = (value, report.value.reason)
            row = (self.receiver_id, *key, value, report.value.reason, at.isoformat())
            self._changes.append(line(row))

    def _sample(self, number: int, channel: ChannelState, at: str) -> str:
        measured = channel.measured
        reasons = dict(channel.reasons)
        levels: tuple[object, ...] = (None,) * len(_LEVELS)
        if measured is not None:
            levels = tuple(getattr(measured, name) for name in _LEVELS)
            reasons |= measured.reasons
        why = "; ".join(f"{name}: {reason}" for name, reason in sorted(reasons.items()))
        battery = tuple(channel.battery.get(name) for name in MEASURED)
        return line((self.receiver_id, number, at, *levels, channel.present, *battery, why or None))

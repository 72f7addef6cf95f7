"""The state of one simulated receiver, and its words on the wire. Connections and faults of the line are in server.py."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from crown.devices.drivers import shure_fields
from crown.devices.drivers.frames import write
from crown.devices.drivers.shure_fields import AXIENT, QLXD, SLXD, ULXD
from crown.devices.simulator.descriptions import Channel, Device, Event, Pack

#: Levels of a channel whose pack is off or out of reach.
_NOISE_DBM = -108.0
_SILENCE_DBFS = -50.0
#: Alkaline cells are reported as bars alone.
_WITHOUT_CHARGE = frozenset({"ALKA", "LITH"})


class SimulatedDevice:
    """A receiver whose packs run down, drop out and change by its events.

    Args:
        described: what it is; its own copy.
    """

    def __init__(self, described: Device) -> None:
        self.described = described.model_copy(deep=True)
        self.family = described.family
        self.reachable = True
        self.seconds = 0.0
        self._random = random.Random(described.seed)  # noqa: S311 - repeatable
        self._dropped: set[int] = set()
        self._disturbed: set[int] = set()
        self._muted: set[int] = set()
        self._events = sorted(described.events, key=lambda event: event.at)
        self._reported = dict(self._words())

    @property
    def channels(self) -> range:
        """The numbers of its channels."""
        return range(1, len(self.described.channels) + 1)

    def pass_time(self, seconds: float) -> list[bytes]:
        """Let time pass; the REP frames of what changed."""
        self.seconds += seconds
        while self._events and self._events[0].at <= self.seconds:
            self.act(self._events.pop(0))
        for channel in self.described.channels:
            if channel.pack is not None and channel.pack.on:
                used = seconds / 60 / channel.pack.full_minutes * 100
                channel.pack.charge_percent = max(0.0, channel.pack.charge_percent - used)
                channel.pack.on = channel.pack.charge_percent > 0
        return self.changes()

    def act(self, event: Event) -> None:
        """Let an event happen; `changes` gives what it changes."""
        _ACTS[event.do](self, event)

    def changes(self) -> list[bytes]:
        """The REP frames of what changed since the last call."""
        now = dict(self._words())
        changed = [
            write("REP", number, *words.split(" ", 1))
            for (number, words_of), words in now.items()
            if self._reported.get((number, words_of)) != words
        ]
        self._reported = now
        return changed

    def all_of(self, number: int | None) -> list[bytes]:
        """The answer to GET ALL: of a channel, or of the device and all its channels."""
        return [
            write("REP", channel, *words.split(" ", 1))
            for (channel, _), words in self._words()
            if number in (None, 0, channel)
        ]

    def one_of(self, number: int | None, name: str) -> list[bytes]:
        """The answer to GET of one property; empty when the device has none of that name."""
        return [
            write("REP", channel, *words.split(" ", 1))
            for (channel, prop), words in self._words()
            if prop.split(" ")[0] == name and (number == channel or (number == 0 and channel is not None))
        ]

    def sample(self, number: int) -> bytes:
        """A SAMPLE frame of a channel, in the form of its family."""
        return write("SAMPLE", number, "ALL", *_SAMPLES[self.family](self, number))

    def levels(self, number: int) -> tuple[float, float]:
        """RF in dBm and audio in dBFS."""
        channel = self.described.channels[number - 1]
        if channel.pack is None or not channel.pack.on:
            return _NOISE_DBM, _SILENCE_DBFS
        if number in self._dropped:
            return _NOISE_DBM + self._random.uniform(0, 4), _SILENCE_DBFS
        rf = channel.rf_dbm + self._random.gauss(0, 3)
        audio = _SILENCE_DBFS if number in self._muted else channel.audio_dbfs + self._random.gauss(0, 4)
        return min(rf, -13.0), min(audio, 0.0)

    def _words(self) -> Iterator[tuple[tuple[int | None, str], str]]:
        """Every property, by channel and name, with its words."""
        described = self.described
        of_device = {
            "MODEL": described.model if self.family in (AXIENT, SLXD) else None,
            "DEVICE_ID": f"{{{described.name:<31}}}" if self.family == AXIENT else f"{{{described.name:<8}}}",
            "FW_VER": f"{{{described.firmware:<18}}}",
            "RF_BAND": f"{{{described.rf_band:<8}}}",
            "SERIAL_NUM": f"{{{described.serial}}}" if described.serial else None,
        }
        for name, value in of_device.items():
            if value is not None:
                yield (None, name), f"{name} {value}"
        for number, channel in enumerate(described.channels, 1):
            for name, value in self._of_channel(number, channel):
                yield (number, name), f"{name} {value}"

    def _of_channel(self, number: int, channel: Channel) -> Iterator[tuple[str, str]]:
        width = 7 if self.family == AXIENT else 6
        yield "CHAN_NAME", f"{{{channel.name:<31}}}"
        yield "FREQUENCY", f"{round(channel.frequency_mhz * 1000):0{width}d}"
        yield "AUDIO_GAIN", "030"
        if self.family != SLXD:
            yield "AUDIO_MUTE", "ON" if number in self._muted else "OFF"
        if self.family == AXIENT:
            linked = channel.pack is not None
            on = channel.pack is not None and channel.pack.on
            yield "SLOT_STATUS 1", "LINKED.ACTIVE" if on else "LINKED.INACTIVE" if linked else "EMPTY"
            yield "INTERFERENCE_STATUS", "DETECTED" if number in self._disturbed else "NONE"
        elif self.family != SLXD:
            yield "RF_INT_DET", "CRITICAL" if number in self._disturbed else "NONE"
        for field, value in _pack_fields(channel.pack).items():
            if shure_fields.applies(self.family, field):
                yield shure_fields.property_of(self.family, field), value

    def _change_pack(self, event: Event, on: bool) -> None:
        channel = self.described.channels[event.channel - 1]
        channel.pack = channel.pack or Pack()
        channel.pack.on = on


def _pack_fields(pack: Pack | None) -> dict[str, str]:
    """The raw values of a pack; 255, 65535 and UNKN of one that is off."""
    if pack is None or not pack.on:
        return {
            "battery_bars": "255",
            "battery_charge_percent": "255",
            "battery_minutes": "65535",
            "battery_cycles": "65535",
            "battery_health_percent": "255",
            "battery_temperature_c": "255",
            "battery_type": "UNKN",
            "pack_type": "UNKN",
        }
    charge = pack.charge_percent
    gauge = pack.battery_type not in _WITHOUT_CHARGE
    return {
        "battery_bars": f"{min(5, -(-round(charge) // 20)):03d}",
        "battery_charge_percent": f"{round(charge):03d}" if gauge else "255",
        "battery_minutes": f"{round(charge / 100 * pack.full_minutes):05d}" if gauge else "65535",
        "battery_cycles": f"{pack.cycles:05d}" if gauge else "65535",
        "battery_health_percent": f"{pack.health_percent:03d}" if gauge else "255",
        "battery_temperature_c": f"{pack.temperature_c + 40:03d}" if gauge else "255",
        "battery_type": pack.battery_type,
        "pack_type": pack.model,
        "pack_name": f"{{{pack.name:<8}}}",
    }


def _ulxd_sample(device: SimulatedDevice, number: int) -> list[str]:
    rf, audio = device.levels(number)
    antenna = "XX" if rf < -100 else ("XB" if device._random.random() < 0.05 else "AX")
    return [antenna, f"{max(0, round(rf + 128)):03d}", f"{max(0, round(audio + 50)):03d}"]


def _axient_sample(device: SimulatedDevice, number: int) -> list[str]:
    rf, audio = device.levels(number)
    received = rf > -100
    level = f"{round(rf + 120):03d}"
    return [
        "005" if received else "255",
        "031" if received else "000",
        f"{round(audio + 120):03d}",
        f"{round(audio + 114):03d}",
        "BB" if received else "XX",
        *("31" if received else "00", level, "31" if received else "00", level),
    ]


def _slxd_sample(device: SimulatedDevice, number: int) -> list[str]:
    rf, audio = device.levels(number)
    return [f"{round(level + 120):03d}" for level in (audio, audio - 6, rf)]


_SAMPLES: dict[str, Callable[[SimulatedDevice, int], list[str]]] = {
    ULXD: _ulxd_sample,
    QLXD: _ulxd_sample,
    AXIENT: _axient_sample,
    SLXD: _slxd_sample,
}


def _described(name: str, kind: type = str) -> Callable[[SimulatedDevice, Event], None]:
    return lambda device, event: setattr(device.described, name, kind(event.value))


def _of_channel(name: str, kind: type = str) -> Callable[[SimulatedDevice, Event], None]:
    return lambda device, event: setattr(
        device.described.channels[event.channel - 1], name, kind(event.value)
    )


def _charge(device: SimulatedDevice, event: Event) -> None:
    pack = device.described.channels[event.channel - 1].pack
    if pack is not None:
        pack.charge_percent = float(event.value)


_ACTS: dict[str, Callable[[SimulatedDevice, Event], None]] = {
    "pack_off": lambda device, event: device._change_pack(event, False),
    "pack_on": lambda device, event: device._change_pack(event, True),
    "rf_drop": lambda device, event: device._dropped.add(event.channel),
    "rf_back": lambda device, event: device._dropped.discard(event.channel),
    "interference": lambda device, event: device._disturbed.add(event.channel),
    "clear": lambda device, event: device._disturbed.discard(event.channel),
    "mute": lambda device, event: device._muted.add(event.channel),
    "unmute": lambda device, event: device._muted.discard(event.channel),
    "peak": _of_channel("audio_dbfs", float),
    "charge": _charge,
    "frequency": _of_channel("frequency_mhz", float),
    "rename": _of_channel("name"),
    "firmware": _described("firmware"),
    "vanish": lambda device, _: setattr(device, "reachable", False),
    "return": lambda device, _: setattr(device, "reachable", True),
}
